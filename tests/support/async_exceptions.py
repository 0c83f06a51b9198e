"""Raises exceptions at any line of a call, as the handler of a signal may."""

from __future__ import annotations

import contextlib
import sys
import threading
import time


class Strike(BaseException):
    """The exception that a handler raises; no code in between may catch it as another."""


def strike(function, files, line):
    """Call `function`, and raise `Strike` before the `line`-th line that runs in `files`.

    Each line counts whenever it begins, also again in a loop. Return whether that many lines ran.
    """
    begun = 0

    def in_file(frame, event, argument):
        nonlocal begun
        if event == "line":
            begun += 1
            if begun == line:
                sys.settrace(None)
                raise Strike
        return in_file

    def entered(frame, event, argument):
        return in_file if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        with contextlib.suppress(Strike):
            function()
            return False
    finally:
        sys.settrace(before)
    return True


def idle_cpu(seconds=0.05):
    """Return the part of a core that this process uses while idle."""
    start, spent = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - spent) / (time.perf_counter() - start)


def threads_of_process():
    """Return how many threads this process has, or those that Python knows where the system does not say."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    except OSError:
        return threading.active_count()
