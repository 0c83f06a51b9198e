"""Makes forks wait for locks, so that no child inherits one held by a thread that it does not have.

Renewing them in the child would not suffice: work that the other thread had begun, in Numba and in LLVM,
would stay half done there forever. So a fork waits until no other thread compiles or loads machine code. A
call of a kernel that is already compiled takes none of these locks.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Any, Protocol

__all__ = ["lock", "wait_for"]


class Lock(Protocol):
    """A lock that a fork can wait for."""

    def __enter__(self) -> Any:
        """Lock it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Any:
        """Unlock it."""


#: Held while anything is imported, compiled or loaded; taken before all others.
lock = threading.RLock()

_waited_for: list[Lock] = [lock]
_held = threading.local()


def wait_for(*locks: Lock) -> None:
    """Let forks wait for these locks too, which are taken in this order."""
    _waited_for.extend(locks)


def _before() -> None:
    _held.locks = []
    for each in tuple(_waited_for):
        each.__enter__()
        _held.locks.append(each)


def _after() -> None:
    while _held.locks:
        _held.locks.pop().__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
