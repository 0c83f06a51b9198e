"""Checks that a call with ``threads = 1`` works on one thread, by the processor's time of all others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ...reference.operands import operands
from ..calls import compute, registered, settings
from ..trial import CheckFailure, Skip, Trial

__all__ = ["one_thread"]

#: A measurement takes so many seconds of the processor's time at least, and calls end after so many at most.
LEAST, MOST = 0.03, 0.3
#: The part of the processor's time that other threads of the process may take.
SHARE = 0.2
#: The rounds of which each must show other threads at work, and the seconds that these have to become quiet.
ROUNDS, PATIENCE = 4, 1.0


class _Spent(NamedTuple):
    """Seconds of the processor's time: of the calling thread, of all others, and what the clock says."""

    own: float
    others: float
    clock: float

    @property
    def on_several(self) -> bool:
        """Whether several threads worked: the caller and others, or several others while it waited."""
        everything = self.own + self.others
        if self.others <= SHARE * everything:
            return False
        return self.own > SHARE * everything or everything > (1 + SHARE) * self.clock


def one_thread(trial: Trial) -> None:
    """Check that with ``threads = 1`` only one thread works at once.

    Threads that end with the call count too, and those of libraries, but not those of BLAS and of torch,
    whose number belongs to the whole process. If another measurement shows none, what one shows was the work
    of something else.
    """
    capabilities = registered(trial.backend).backend.capabilities
    if not capabilities.threads or capabilities.arrays == "torch":
        raise Skip("its number of threads belongs to the whole process")
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise Skip("threadpoolctl is not installed, so the threads of BLAS cannot be left out") from error
    if trial.problem.device != "cpu":
        raise Skip("the time of threads says nothing of a GPU")
    given = operands(trial.problem, trial.seed, bias=True)
    with threadpool_limits(1, user_api="blas"), settings(threads=1):
        compute(trial, given)
        for _ in range(ROUNDS):
            _wait_for_quiet()
            spent = _measured(lambda: compute(trial, given))
            if not spent.on_several:
                return
    raise CheckFailure(
        trial,
        f"with threads = 1, other threads took {spent.others:.3g} s of the processor's time, and the caller "
        f"{spent.own:.3g} s; a backend whose number of threads cannot be set declares threads=False",
    )


def _measured(call: Callable[[], object]) -> _Spent:
    begin = time.perf_counter(), time.thread_time(), time.process_time()
    while True:
        call()
        clock, own, everything = (
            now - then
            for now, then in zip(
                (time.perf_counter(), time.thread_time(), time.process_time()), begin, strict=True
            )
        )
        if everything > LEAST or clock > MOST:
            return _Spent(own, everything - own, clock)


def _wait_for_quiet() -> None:
    """Wait until threads that earlier calls have left spin no more."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        before = time.process_time()
        time.sleep(0.005)
        if time.process_time() - before < 0.001:
            return
