"""Distinguishes tensors that hold numbers from those that represent others while torch transforms or records.

Only a plain tensor may be read: one of torch's own classes, dense, with its own memory. Others look like
it and have none (a tensor that `torch.func` wraps, a fake one, one whose storage was freed), or mean
something else (nested, masked and distributed ones). What torch itself wraps goes through torch's dispatcher,
see `convhub.torch.operators`; everything else is refused by name.
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ArgumentError, ArgumentTypeError

__all__ = ["PLAIN", "check", "has_address", "is_recorded", "missing_memory"]

Tensor = torch.Tensor
_C: Any = torch._C
PLAIN = (torch.Tensor, torch.nn.Parameter)

# Bound once, since every call needs them.
_modes = _C._len_torch_dispatch_stack
_included = _C._dispatch_tls_is_dispatch_key_included
_FUNCTORCH = _C.DispatchKey.FuncTorchDynamicLayerFrontMode
_PRE_DISPATCH = _C.DispatchKey.PreDispatch


def is_recorded(*operands: Tensor | None) -> bool:
    """Return whether torch must see a primitive on these tensors as a single operator.

    This is so where `torch.func` transforms, where something records operators (`make_fx`, `torch.export`) or
    intercepts them (a `TorchDispatchMode`), and where a tensor has no memory that could be read here.
    """
    if _modes() or _included(_FUNCTORCH) or _included(_PRE_DISPATCH):
        return True
    for operand in operands:
        if operand is not None and type(operand) not in PLAIN and not _is_like_parameter(type(operand)):
            return True
    return False


def has_address(tensor: Tensor) -> bool:
    """Return whether a tensor gives its address: those that torch wraps refuse to, or give none."""
    try:
        return bool(tensor.data_ptr()) or not tensor.numel()
    except RuntimeError:
        return False


def missing_memory(tensor: Tensor) -> str | None:
    """Describe the memory that a tensor lacks; None if all of its elements lie within its storage.

    A storage can be freed or made smaller under its tensors, as FSDP does between passes.
    """
    if not tensor.numel():
        return None
    last = tensor.storage_offset() + sum(
        (size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True)
    )
    storage, needed = tensor.untyped_storage(), (last + 1) * tensor.element_size()
    if storage.nbytes() >= needed and storage.data_ptr():
        return None
    return f"whose storage has {storage.nbytes()} bytes where {needed} are needed"


def check(name: str, tensor: Tensor) -> None:
    """Refuse the argument called `name` unless it is a plain tensor, or torch's wrapper around one.

    Raises
    ------
    ArgumentTypeError
        If it is a tensor of a kind that convhub cannot compute with.
    ArgumentError
        If it has no memory.
    """
    if _C._is_tracing():
        raise ArgumentTypeError(
            f"{name} is a tensor that torch.jit.trace records, which would keep this call's numbers as "
            "constants; record with torch.fx.experimental.proxy_tensor.make_fx or "
            "torch.export.export(..., strict=False)"
        )
    kind = type(tensor)
    if torch.nn.parameter.is_lazy(tensor):
        raise ArgumentTypeError(
            f"{name} is a {kind.__name__}, which has no shape yet; call the lazy module on an input first"
        )
    if tensor.is_nested:
        raise ArgumentTypeError(
            f"{name} is a nested tensor; it must be dense: pass its parts one by one, or "
            f"{name}.to_padded_tensor(0.0)"
        )
    if kind not in PLAIN and not _is_like_parameter(kind) and not _is_torchs_wrapper(kind):
        raise ArgumentTypeError(
            f"{name} is a {kind.__module__}.{kind.__qualname__} of shape {tuple(tensor.shape)}, a subclass "
            f"of torch.Tensor; it must be a plain torch.Tensor{_way_out(name, tensor)}"
        )
    functorch = _C._functorch
    if functorch.is_legacy_batchedtensor(tensor):
        raise ArgumentTypeError(
            f"{name} is a tensor of shape {tuple(tensor.shape)} that torch._vmap_internals batched; it must "
            "be batched by torch.func.vmap"
        )
    if functorch.is_functorch_wrapped_tensor(tensor) and (
        functorch.maybe_current_level() is None or functorch.unwrap_if_dead(tensor) is not tensor
    ):
        raise ArgumentError(
            f"{name} is a tensor of shape {tuple(tensor.shape)} that a torch.func transform wrapped, and the "
            "transform has ended; return it from the function that is transformed"
        )
    if tensor.layout is torch.strided and tensor.device.type != "meta" and not is_recorded(tensor):
        _check_memory(name, tensor)


def _check_memory(name: str, tensor: Tensor) -> None:
    if tensor._is_zerotensor():  # zeros without memory, which can be computed
        return
    if torch._is_functional_tensor(tensor):
        raise ArgumentError(
            f"{name} is a functional tensor of shape {tuple(tensor.shape)}, which has no memory outside of "
            "torch.func.functionalize; it must be a plain torch.Tensor"
        )
    missing = missing_memory(tensor)
    if missing is not None:
        raise ArgumentError(
            f"{name} is a torch.Tensor of shape {tuple(tensor.shape)} {missing}; it must hold its elements"
        )


def _is_like_parameter(kind: type) -> bool:
    """Return whether a class is some kind of parameter, which adds attributes but changes no meaning."""
    return (
        issubclass(kind, torch.nn.Parameter)
        and kind.__torch_function__ is torch.nn.Parameter.__torch_function__
        and kind.__torch_dispatch__ is torch.nn.Parameter.__torch_dispatch__
    )


def _is_torchs_wrapper(kind: type) -> bool:
    """Return whether torch itself uses a class to record or to infer shapes."""
    return (kind.__module__, kind.__qualname__) in (
        ("torch._subclasses.fake_tensor", "FakeTensor"),
        ("torch._subclasses.functional_tensor", "FunctionalTensor"),
    )


def _way_out(name: str, tensor: Any) -> str:
    for method in ("full_tensor", "to_tensor", "dequantize"):  # DTensor, MaskedTensor, quantized weights
        if hasattr(type(tensor), method) and not hasattr(torch.Tensor, method):
            argument = "0.0" if method == "to_tensor" else ""
            return f", as {name}.{method}({argument}) gives"
    if type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__:
        return f": {name}.as_subclass(torch.Tensor)"
    return ""
