"""Recognises errors that memory has run out, of whichever library, and turns them into one type.

NumPy, Numba and CuPy raise a `MemoryError`; torch a `RuntimeError` that only its text distinguishes, or on a
GPU its own `OutOfMemoryError`; CUDA's driver and its libraries an error with a code.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from ..errors import ConvhubError, OutOfMemoryError, kind_of, safe_str

__all__ = ["as_memory_error"]

#: The messages of torch's allocators, C++, CUDA, cuBLAS and cuDNN; compiled only when first needed.
_SAID = (
    r"(can't|cannot|could not|unable to) allocate|not enough memory|out of memory|bad_alloc|ALLOC_FAILED"
    r"|OUT_OF_MEMORY|MemoryAllocation"
)


def as_memory_error(error: BaseException, where: str) -> BaseException | None:
    """Return a `MemoryError` for another error that says that memory has run out; None for other errors.

    Parameters
    ----------
    error : BaseException
        A library's error. The new one has its type too, if that is the library's own, since callers may catch
        either.
    where : str
        The failed operation, with which the message begins.

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
        return OutOfMemoryError  # it has that type already, or the type needs more than a text
    members: dict[str, Any] = {"__reduce__": _plain}
    return type(kind.__name__, (OutOfMemoryError, kind), members)


def _plain(error: Any) -> tuple[Any, ...]:
    """Return how to rebuild the error in another process, which lacks classes that were made here."""
    return OutOfMemoryError, error.args
