"""Recognises that memory has run out, whichever library says it, and raises one kind of error.

NumPy, Numba and CuPy raise a `MemoryError`; torch a `RuntimeError` that only its text tells apart, or on a
GPU its own error named `OutOfMemoryError`; CUDA's driver and its libraries an error with a code.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from ..errors import ConvhubError, OutOfMemoryError, kind_of, safe_str

__all__ = ["as_memory_error"]

#: What torch's allocators, C++, CUDA, cuBLAS and cuDNN say; compiled when first needed, which few ever do.
_SAID = (
    r"(can't|cannot|could not|unable to) allocate|not enough memory|out of memory|bad_alloc|ALLOC_FAILED"
    r"|OUT_OF_MEMORY|MemoryAllocation"
)


def as_memory_error(error: BaseException, where: str) -> BaseException | None:
    """Return a `MemoryError` in place of another error that says that memory has run out; None for others.

    Parameters
    ----------
    error : BaseException
        As a library raised it. The new one is of its type too, where that type is the library's own, since
        callers may be waiting for either.
    where : str
        What was being done, to begin the message with.

    Examples
    --------
    >>> error = as_memory_error(RuntimeError("DefaultCPUAllocator: can't allocate memory"), "torch failed")
    >>> error, isinstance(error, MemoryError)
    (OutOfMemoryError("torch failed: DefaultCPUAllocator: can't allocate memory"), True)
    >>> as_memory_error(RuntimeError("stack expects each tensor to be equal size"), "torch failed")
    """
    if isinstance(error, ConvhubError | MemoryError):
        return None
    text = safe_str(error)
    says_so = isinstance(error, RuntimeError) and re.search(_SAID, text, re.IGNORECASE) is not None
    if not says_so and kind_of(error) != "OutOfMemoryError":
        return None
    kind: Any = type(error)
    new: BaseException = _kind_for(kind)(f"{where}: {text}")
    return new


@functools.cache
def _kind_for(kind: Any) -> Any:
    if issubclass(OutOfMemoryError, kind) or kind.__init__ is not RuntimeError.__init__:
        return OutOfMemoryError  # which is one of that kind already, or could not be made of a text alone
    members: dict[str, Any] = {"__reduce__": _plain}
    return type(kind.__name__, (OutOfMemoryError, kind), members)


def _plain(error: Any) -> tuple[Any, ...]:
    """Return how to make the error again in another process, which knows no class that was made here."""
    return OutOfMemoryError, error.args
