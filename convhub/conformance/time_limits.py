"""Ends a process whose test takes too long, whatever holds it up: a loop, a lock, or a library."""

from __future__ import annotations

import contextlib
import faulthandler
import time
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["DEFAULTS", "Limits", "refusal"]

#: The longest limit, in seconds.
MOST = 1e6


def refusal(seconds: float) -> str | None:
    """Return what is wrong with a limit, or None.

    Examples
    --------
    >>> refusal(0.5), refusal(0)
    (None, '0; it must be more than 0 seconds, and less than a million')
    """
    if 0 < seconds < MOST:
        return None
    return f"{seconds:g}; it must be more than 0 seconds, and less than a million"


class Limits(NamedTuple):
    """Seconds that one test of the suite may take, and that a run may.

    Examples
    --------
    >>> Limits(600.0, 7200.0).left(started=100.0, now=7000.0)
    300.0
    """

    test: float
    run: float

    def left(self, started: float, now: float) -> float:
        """Return the seconds that a test which starts now may take; at least one tenth."""
        return max(0.1, min(self.test, started + self.run - now))

    @contextlib.contextmanager
    def kept(self, started: float, stderr: int) -> Iterator[None]:
        """End the process with status 1, and write what each thread does, if a block takes too long.

        It works while another thread or a library holds the interpreter.

        Parameters
        ----------
        started : float
            When the run began, by `time.monotonic`.
        stderr : int
            The file's descriptor.
        """
        faulthandler.dump_traceback_later(self.left(started, time.monotonic()), exit=True, file=stderr)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


#: By level. Ten minutes for a test of level quick, which takes a slow backend a second or two.
DEFAULTS: dict[str, Limits] = {"quick": Limits(600.0, 7200.0), "full": Limits(1800.0, 43200.0)}
