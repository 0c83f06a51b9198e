"""Times two calls in turns, so that disturbances affect both."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from .results import Memory, Settings

__all__ = ["Call", "Clock", "Times", "interleaved", "milliseconds", "on_host"]

#: The seconds of one turn, unless one call takes longer: enough that clocks and short pauses do not matter.
TURN = 0.03

Call = Callable[[], object]

#: Returns the seconds of one call, averaged over the given number of consecutive calls.
Clock = Callable[[Call, int], float]


class Times(NamedTuple):
    """Seconds of one call in each round, in the order in which the calls were given."""

    rounds: list[tuple[float, ...]]

    def of(self, index: int) -> list[float]:
        """Return the times of one of the calls."""
        return [times[index] for times in self.rounds]


def on_host(call: Call, count: int) -> float:
    """Return the seconds of one call by the host's clock: the `Clock` of calls that run there."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, count):
        call()
    return (time.perf_counter() - start) / count


def interleaved(calls: Sequence[Call], settings: Settings, clocks: Sequence[Clock] | None = None) -> Times:
    """Time the calls in rounds: in each, every call has one turn, and the order alternates.

    A turn begins with an untimed call, which refills the caches after the other side's turn; then as many
    calls as fill `TURN` are timed together. There are at least ``settings.least_rounds``, and more, up to
    ``most_rounds``, while the layer has taken less than ``seconds``. Every call must have run before. Each
    has its own clock in `clocks`; by default the host's.
    """
    clocks = clocks or [on_host] * len(calls)
    rounds: list[tuple[float, ...]] = []
    with _no_collection():
        start = time.perf_counter()
        counts = [_count(call, clock) for call, clock in zip(calls, clocks, strict=True)]
        while len(rounds) < settings.most_rounds and (
            len(rounds) < settings.least_rounds or time.perf_counter() - start < settings.seconds
        ):
            order = range(len(calls)) if len(rounds) % 2 else reversed(range(len(calls)))
            times = {}
            for index in order:
                calls[index]()
                times[index] = clocks[index](calls[index], counts[index])
            rounds.append(tuple(times[index] for index in range(len(calls))))
    return Times(rounds)


def _count(call: Call, clock: Clock) -> int:
    """Return how many calls fill a turn, found in steps: a single call may take longer than one of many."""
    count = 1
    while (seconds := max(clock(call, count), 1e-7)) * count < TURN / 8:
        count *= 4
    return max(1, int(TURN / seconds))


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def milliseconds(seconds: Sequence[float], memory: Memory) -> float:
    """Return the time that represents all rounds.

    If memory is kept, disturbances can only make a call slower, so the minimum is the least disturbed. If
    not, the system's work is part of the time, and varies: the median is typical. The same holds for a GPU,
    whose clock varies with heat and power.

    Examples
    --------
    >>> milliseconds([0.003, 0.001, 0.008], "keep"), milliseconds([0.003, 0.001, 0.008], "system")
    (1.0, 3.0)
    """
    return 1e3 * (min(seconds) if memory == "keep" else statistics.median(seconds))
