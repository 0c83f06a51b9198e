"""Shields a backend from torch modes that a caller may have switched on.

They belong to the caller's own operators: autocast would round a backend's operands to 16 bits, a default
device or another `TorchFunctionMode` would replace functions that it calls, a `TorchDispatchMode` or a
transform of `torch.func` would take its intermediate tensors for the caller's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["call"]

_C: Any = torch._C
_autocast = _C._is_any_autocast_enabled
_modes = _C._len_torch_dispatch_stack
_transforms = _C._are_functorch_transforms_active


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a backend's function with all of the caller's modes off."""
    with _C.DisableTorchFunction():
        if _autocast() or _modes() or _transforms():
            with _without_modes():
                return function(*arguments)
        return function(*arguments)


@contextlib.contextmanager
def _without_modes() -> Iterator[None]:
    from torch.utils._python_dispatch import _disable_current_modes

    with contextlib.ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if _modes():
            stack.enter_context(_disable_current_modes())
        if _transforms():
            stack.enter_context(_C._DisableFuncTorch())
        yield
