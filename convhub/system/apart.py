"""Runs functions that must not be interrupted half way in another thread, where no signal interrupts them.

Signal handlers run in the main thread, between any two instructions. An import that Ctrl-C ends half way may
leave a library that can no longer be imported (torch says that a function already has a docstring), and a
compiler may keep a lock that is never released. In another thread both run to their end; the waiting caller
is interrupted at once, and finds the work done when it calls again.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["apart"]

Result = TypeVar("Result")

#: A stack size in bytes that is enough for compilers and imports; 0 would mean the system's default.
LEAST_STACK = 2**20


def apart(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return ``function(*arguments)``, which Ctrl-C and other signals do not interrupt.

    This is for work that takes long the first time and is then kept, such as importing a library or
    compiling. It has the caller's context. If the caller is interrupted, the work goes on, and a program that
    ends waits until it is done. Outside of the main thread, where no handler runs, or where no thread can be
    started, the function is called directly.

    Parameters
    ----------
    function : callable
        The function to call in another thread.
    *arguments : object
        The arguments of the call.

    Returns
    -------
    object
        The function's result; its error is raised here.

    Examples
    --------
    >>> apart(max, 2, 3)
    3
    """
    if threading.current_thread() is not threading.main_thread() or sys.is_finalizing():
        return function(*arguments)
    if 0 < threading.stack_size() < LEAST_STACK:
        return function(*arguments)
    results: list[Result] = []
    errors: list[BaseException] = []
    ended: SimpleQueue[None] = SimpleQueue()
    run = contextvars.copy_context().run

    def work() -> None:
        try:
            results.append(run(function, *arguments))
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            errors.append(error)
        finally:
            ended.put(None)

    try:
        threading.Thread(target=work, name=f"convhub {function.__name__}").start()
    except RuntimeError:  # no more threads can be started
        return function(*arguments)
    while not (results or errors):
        with contextlib.suppress(Empty):  # wakes regularly, as on some systems no signal interrupts a wait
            ended.get(timeout=0.1)
    if errors:
        raise errors[0]
    return results[0]
