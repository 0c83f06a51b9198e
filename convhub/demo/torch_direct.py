"""Calls torch itself, if installed, for comparison with convhub's backends."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

__all__ = ["HOW_TO_GET", "ITSELF", "is_installed", "threads", "torch_call", "torch_gradients"]

#: Its name in tables; "torch" alone is convhub's backend of that name.
ITSELF = "torch itself"

HOW_TO_GET = "torch is not installed, so its column is absent; pip install 'convhub[torch]' brings it"


def is_installed() -> bool:
    """Return whether torch can be imported, without importing it."""
    return importlib.util.find_spec("torch") is not None


def threads() -> int:
    """Return how many threads torch uses."""
    import torch

    return torch.get_num_threads()


def torch_gradients(
    operation: str, operands: Sequence[NDArray[Any]], grad_output: NDArray[Any], options: dict[str, Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Return output and gradients from torch's own functions and autograd, or None without torch."""
    if not is_installed():
        return None
    import torch

    image, weight, bias = (torch.from_numpy(operand).requires_grad_() for operand in operands)
    output = getattr(torch.nn.functional, operation)(image, weight, bias, **options)
    gradients = torch.autograd.grad(output, (image, weight, bias), torch.from_numpy(grad_output))
    first, second, third = (gradient.numpy() for gradient in gradients)
    return output.detach().numpy(), first, second, third


def torch_call(
    operation: str, image: NDArray[Any], weight: NDArray[Any], options: dict[str, Any]
) -> Callable[[], NDArray[Any]]:
    """Return a function that runs `operation` in torch on arrays that are already tensors."""
    import torch

    function = getattr(torch.nn.functional, operation)
    x, w = torch.from_numpy(image), torch.from_numpy(weight)

    def call() -> NDArray[Any]:
        with torch.no_grad():
            return function(x, w, **options).numpy()  # type: ignore[no-any-return]

    return call
