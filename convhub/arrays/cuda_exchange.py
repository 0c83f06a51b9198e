"""Passes CUDA arrays of torch to CuPy's backends, and the reverse, sharing memory, stream and device.

While such a call runs, both libraries work on the operands' device, and on the current stream of the caller's
library. So the work is ordered like any other of the caller's, nothing waits, and no event ties the stream to
another, which would end a graph capture.

Memory allocated during the call comes from torch, whichever library asks for it:

- A returned tensor is torch's own: ``record_stream``, memory statistics and the private pools of
  ``torch.cuda.graph`` know it, and the two libraries do not each keep a pool of unused memory.
- A CuPy array returned by a torch backend holds torch's memory. When it is deleted, torch reuses the memory
  for new work on the stream that was current at the call. Callers that use the array on other streams must
  keep it until these are done, as with an array from CuPy's pool.

Operands are kept until the work is enqueued, not until it is done. That is enough if they were made on the
same stream, or if the caller keeps them: the rule of both libraries.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from .dtypes import numpy_dtype
from .info import Array, array_info

__all__ = ["cupy_to_torch", "one_stream", "torch_to_cupy"]

#: The handle of CUDA's default stream; zero means another one where CuPy gives each thread a default stream.
LEGACY_STREAM = 1


def one_stream(library: str, operand: Array) -> AbstractContextManager[None]:
    """Return a context in which the other library works where `library`, ``"torch"`` or ``"cupy"``, does.

    The device is that of `operand`, and the stream the current one of `library` on that device.
    """
    return _cupy_beside_torch(operand) if library == "torch" else _torch_beside_cupy(operand)


@contextlib.contextmanager
def _cupy_beside_torch(tensor: Array) -> Iterator[None]:
    import cupy
    import torch

    device = tensor.device
    stream = cupy.cuda.Stream.from_external(_TorchStream(torch.cuda.current_stream(device)))
    lend = functools.partial(_lend, device)
    with cupy.cuda.Device(device.index), stream, cupy.cuda.using_allocator(lend):
        yield


@contextlib.contextmanager
def _torch_beside_cupy(array: Array) -> Iterator[None]:
    import cupy
    import torch

    cuda: Any = torch.cuda
    device = array.device.id
    pointer = cupy.cuda.get_current_stream(device).ptr
    # torch would read the address 0 as a request for any stream.
    default = pointer in (0, LEGACY_STREAM)
    stream = cuda.default_stream(device) if default else cuda.ExternalStream(pointer, device=device)
    with cuda.device(device), cuda.stream(stream):
        yield


class _TorchStream:
    """Presents a torch stream to CuPy, which older versions of torch do not do themselves."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        """Return the version of the protocol, and the address of the stream."""
        return 0, self.stream.cuda_stream or LEGACY_STREAM


def _lend(device: Any, size: int) -> Any:
    """Allocate by torch instead of from CuPy's pool."""
    import cupy
    import torch

    try:
        memory = torch.empty(size, dtype=torch.uint8, device=device)
    except torch.cuda.OutOfMemoryError as error:
        # torch raises a RuntimeError; CuPy expects a MemoryError of its allocator.
        raise MemoryError(str(error)) from error
    return cupy.cuda.MemoryPointer(_torch_memory()(memory.untyped_storage(), device.index), 0)


@functools.cache
def _torch_memory() -> Any:
    """Return the CuPy class that wraps torch's memory; defined late, since it needs CuPy."""
    import cupy

    class TorchMemory(cupy.cuda.UnownedMemory):  # type: ignore[misc]  # of a library without types
        def __init__(self, storage: Any, device: int) -> None:
            super().__init__(storage.data_ptr(), storage.nbytes(), storage, device)
            self.storage = storage

    return TorchMemory


def torch_to_cupy(tensor: Array) -> Array:
    """Return a CuPy array over the memory of a CUDA tensor, which lives as long as the array does.

    A lazily conjugated or negated tensor is computed first, on torch's current stream. Nothing else is
    enqueued: what CuPy then does must run on that stream, see `one_stream`.

    Raises
    ------
    DtypeError
        If the tensor is of bfloat16, and ml_dtypes is not installed.
    """
    plain = tensor.detach().resolve_conj().resolve_neg()
    return _cupy_view(plain, plain.device.index)


def _cupy_view(tensor: Array, device: int) -> Array:
    import cupy

    shape, dtype = tuple(tensor.shape), numpy_dtype(array_info("tensor", tensor).dtype)
    memory = _torch_memory()(tensor.untyped_storage(), device)
    # An empty tensor may have any offset.
    offset = tensor.storage_offset() * dtype.itemsize if tensor.numel() else 0
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, offset), strides)


def cupy_to_torch(array: Array) -> Array:
    """Return a tensor over the memory of a CuPy array, which lives as long as the tensor does.

    It is a copy, on CuPy's current stream, only where torch cannot express the strides. As in
    `torch_to_cupy`, nothing orders the streams.
    """
    import torch

    dtype, shape = getattr(torch, array.dtype.name), array.shape
    device = torch.device("cuda", array.device.id)
    if not array.size:
        return torch.empty(shape, dtype=dtype, device=device)
    if any(step < 0 or step % array.itemsize for step in array.strides):
        array = _contiguous(array)
    if isinstance(array.data.mem, _torch_memory()):
        return _torch_view(array, dtype)
    # Stream -1 requests no event: both libraries work on one stream.
    return torch.utils.dlpack.from_dlpack(array.__dlpack__(stream=-1))


def _contiguous(array: Array) -> Array:
    import cupy

    with array.device:
        return cupy.ascontiguousarray(array)


def _torch_view(array: Array, dtype: Any) -> Array:
    """Return a tensor in the torch storage that holds a CuPy array."""
    import torch

    storage, itemsize = array.data.mem.storage, array.itemsize
    offset = (array.data.ptr - storage.data_ptr()) // itemsize
    strides = tuple(step // itemsize for step in array.strides)
    empty = torch.empty(0, dtype=dtype, device=storage.device)
    return empty.set_(storage, offset, array.shape, strides)
