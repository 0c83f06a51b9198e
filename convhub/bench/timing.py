"""Times two calls in turns, so that what disturbs one disturbs the other."""

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

#: Seconds of one turn, as far as one call is not longer: beyond what a clock or a short pause matters.
TURN = 0.03

Call = Callable[[], object]

#: Returns the seconds of one call, measured over the given number of calls, one after the other.
Clock = Callable[[Call, int], float]


class Times(NamedTuple):
    """Seconds of one call, for each of the rounds, in the order in which the calls were given."""

    rounds: list[tuple[float, ...]]

    def of(self, index: int) -> list[float]:
        """Return the times of one of the calls."""
        return [times[index] for times in self.rounds]


def on_host(call: Call, count: int) -> float:
    """Return the seconds of one call by the clock of the host: the `Clock` of what runs there."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, count):
        call()
    return (time.perf_counter() - start) / count


def interleaved(calls: Sequence[Call], settings: Settings, clocks: Sequence[Clock] | None = None) -> Times:
    """Time the calls in rounds: in each, every call has its turn, and the order is reversed each time.

    A turn begins with a call that does not count, which brings the caches back from the other side; then as
    many calls as fill `TURN` are timed together. There are at least ``settings.least_rounds``, and more, up
    to ``most_rounds``, while the layer has taken less than ``seconds``. Every call must have run before.
    Each is measured by its own of the `clocks`; by default, by that of the host.
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
    """Return how many calls fill a turn, found in steps: alone, a call may take longer than among others."""
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
    """Return what stands for all rounds.

    Where memory is kept nothing makes a call faster than it is, so that the least is the least disturbed.
    Where it is not, the system's work is part of what is timed, and varies: the median is what one sees. So
    it is on a GPU, whose clock goes up and down with heat and power.

    Examples
    --------
    >>> milliseconds([0.003, 0.001, 0.008], "keep"), milliseconds([0.003, 0.001, 0.008], "system")
    (1.0, 3.0)
    """
    return 1e3 * (min(seconds) if memory == "keep" else statistics.median(seconds))
