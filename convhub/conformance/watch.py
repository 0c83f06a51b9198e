"""Notes which backend computed: another's result says nothing about the one under test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..dispatch import execute
from ..hookspecs import CallEvent

__all__ = ["Others", "watching"]


class Others:
    """Collects what backends other than the watched one computed.

    The usual cause is fallback, which a changed file or variable may switch on in the middle of a check.
    Another is a backend that passes its problem back to convhub.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._events: list[CallEvent] = []

    def __call__(self, event: CallEvent) -> None:
        """Note an event; called from any thread."""
        # One event is enough.
        if event.backend != self._backend and not self._events:
            self._events.append(event)

    @property
    def complaint(self) -> str:
        """What another backend computed, in one line; empty if nothing."""
        if not self._events:
            return ""
        event = self._events[0]
        return (
            f"{event.problem} was computed by {event.backend!r}, by {event.source}; {self._backend!r} must "
            "compute it, or decline it"
        )


@contextlib.contextmanager
def watching(backend: str) -> Iterator[Others]:
    """Watch everything that convhub computes during a block, in any thread of this process."""
    others = Others(backend)
    execute.internal_observers.append(others)
    try:
        yield others
    finally:
        execute.internal_observers.remove(others)
