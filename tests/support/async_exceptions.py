"""Exceptions that strike a call at any line, as the handler of a signal may raise them."""

from __future__ import annotations

import contextlib
import sys
import threading
import time


class Strike(BaseException):
    """What a handler raises; nothing in between may take it for anything else."""


def strike(function, files, line):
    """Call `function`, and raise `Strike` before the line number `line` of those that run in `files`.

    Counted is each line that begins, again and again in a loop. Return whether there were as many.
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
    """Return the part of a core that this process takes while it has nothing to do."""
    start, spent = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - spent) / (time.perf_counter() - start)


def threads_of_process():
    """Return how many threads this process has, or those that Python knows where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    except OSError:
        return threading.active_count()
