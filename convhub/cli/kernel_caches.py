"""Asks each backend for the compiled kernels that it keeps, and has it read, write and remove them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ..backend import CachedKernel, KernelCache
from ..callers_code import raised_by_caller
from ..dispatch.candidates import availability
from ..dispatch.dispatcher import Dispatcher
from ..errors import BackendContractError, BackendFailedError, describe_error, one_line, short_repr
from ..plugins import RegisteredBackend
from .output import counted

__all__ = ["Kept", "kept_kernels", "read_kernel", "remove_kernel", "write_kernel"]

Result = TypeVar("Result")


class Kept(NamedTuple):
    """The kernels that one backend keeps in a folder; or why there are none, with no folder."""

    registered: RegisteredBackend
    folder: str | None
    reason: str | None
    kernels: tuple[CachedKernel, ...]

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.registered.backend.name

    @property
    def size(self) -> int:
        """The size of all kernels, in bytes."""
        return sum(kernel.size for kernel in self.kernels)

    @property
    def outdated(self) -> tuple[CachedKernel, ...]:
        """The kernels that will not be used here."""
        return tuple(kernel for kernel in self.kernels if kernel.outdated is not None)

    @property
    def described(self) -> str:
        """One line on what is kept, and where."""
        if self.folder is None:
            return f"none: {self.reason}"
        outdated = f", {len(self.outdated)} out of date" if self.outdated else ""
        return (
            f"{counted(len(self.kernels), 'kernel')}{outdated}, {self.size / 2**20:.1f} MiB, in {self.folder}"
        )


def kept_kernels(dispatcher: Dispatcher) -> list[Kept]:
    """Return what each backend keeps that can be asked.

    Raises
    ------
    BackendError
        If a backend fails, or returns anything but the contract says.
    """
    registry = dispatcher.registry
    return [
        _kept(registered, dispatcher)
        for registered in registry.backends.values()
        if registered.backend.kernel_cache is not None
    ]


def _kept(registered: RegisteredBackend, dispatcher: Dispatcher) -> Kept:
    missing = availability(registered, dispatcher)
    if missing is not None:
        return Kept(registered, None, f"not available: {missing}", ())
    cache = _cache(registered)
    try:
        folder = _asked(registered, "folder", cache.folder)
    except OSError as error:
        return Kept(registered, None, one_line(str(error)), ())
    if type(folder) is not str:
        raise _wrong(registered, "folder", folder, "a text")
    kernels = _asked(registered, "entries", lambda: tuple(cache.entries()))
    for kernel in kernels:
        if not _is_sound(kernel):
            raise _wrong(registered, "entries", kernel, "convhub.backend.CachedKernel of the declared types")
    return Kept(registered, folder, None, kernels)


def read_kernel(kept: Kept, name: str) -> bytes:
    """Return a kernel as bytes.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is damaged.
    """
    content = _asked(kept.registered, "read", _cache(kept.registered).read, name)
    if type(content) is not bytes:
        raise _wrong(kept.registered, "read", content, "bytes")
    return content


def write_kernel(kept: Kept, name: str, content: bytes) -> None:
    """Keep a kernel.

    Raises
    ------
    OSError, ValueError
        If it cannot be written, or its backend refuses it.
    """
    _asked(kept.registered, "write", _cache(kept.registered).write, name, content)


def remove_kernel(kept: Kept, name: str) -> None:
    """Remove a kernel.

    Raises
    ------
    OSError, ValueError
        If it cannot be removed.
    """
    _asked(kept.registered, "remove", _cache(kept.registered).remove, name)


def _cache(registered: RegisteredBackend) -> KernelCache:
    cache = registered.backend.kernel_cache
    if cache is None:
        raise BackendContractError(f"{registered} keeps no kernels")
    return cache


def _asked(
    registered: RegisteredBackend, name: str, function: Callable[..., Result], *arguments: Any
) -> Result:
    """Return the result of a function of a backend; errors that the contract allows are passed on."""
    try:
        return function(*arguments)
    except (OSError, MemoryError):
        raise
    except BaseException as error:
        if raised_by_caller(error) or (arguments and isinstance(error, ValueError)):
            raise
        raise BackendFailedError(
            f"{registered} failed at {name} of its kernel_cache: {describe_error(error)}"
        ) from error


def _wrong(registered: RegisteredBackend, name: str, value: object, right: str) -> BackendContractError:
    return BackendContractError(
        f"{registered} returned {short_repr(value)} for {name} of its kernel_cache; it must be {right}"
    )


def _is_sound(kernel: object) -> bool:
    if not isinstance(kernel, CachedKernel):
        return False
    right = type(kernel.name) is str and type(kernel.size) is int and type(kernel.used) in (float, int)
    return right and (kernel.outdated is None or type(kernel.outdated) is str)
