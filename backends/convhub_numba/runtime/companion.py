"""Has a companion process compile what later calls will need, while this process compiles or computes.

Within one process only one kernel is compiled at a time: Numba has a lock, and LLVM another. So the first
time that a process compiles, it starts a companion, and tells it of every plan that it makes or expects to
make. The companion compiles their kernels into files, other than those that this process is compiling; a call
that needs a kernel in the companion's hands waits for it (`kernel_cache.claim`). With nothing to compile,
there is no companion.

There is none either where it could not help: on one core, with ``threads = 1``, where kernels are not kept in
files, or without a Python to start; nor with the option ``companion = false``. It ends with this process, and
whatever becomes of it, calls compile for themselves.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import pickle
import socket
import subprocess
import sys
from collections import deque

from convhub.backend import Problem, RunOptions, python_command

from . import kernel_cache
from .helpers import cores

__all__ = ["compiling", "expect", "stay_alone"]

log = logging.getLogger("convhub.numba")

#: The most plans that are remembered until something is compiled.
MOST_REMEMBERED = 256

#: The module that the companion runs.
MODULE = f"{__package__.partition('.')[0]}.companion_process"

_remembered: deque[bytes] = deque(maxlen=MOST_REMEMBERED)


class _State:
    """Whether this process is to have no companion, and the companion if it has one."""

    alone = False
    process: subprocess.Popen[bytes] | None = None
    connection: socket.socket | None = None


def stay_alone() -> None:
    """Have no companion: this process is one, or one of several that compile ahead."""
    _State.alone = True


def expect(problem: Problem, options: RunOptions, vector_bits: int) -> None:
    """Tell the companion of a problem whose kernels a call will probably need.

    Handlers of signals and other threads may do the same meanwhile: messages are sent whole, in any order.
    """
    is_wanted = options.threads > 1 and (options.backend is None or options.backend.companion)
    if _State.alone or not is_wanted:
        return
    _remembered.append(pickle.dumps((problem, options, vector_bits)))
    if _State.connection is not None:
        _tell(_State.connection)


def compiling() -> None:
    """Start the companion, if there is work for one: this process holds `forks.lock`, and will compile."""
    if _State.alone or _State.connection is not None or not _remembered:
        return
    _State.connection = _start()
    if _State.connection is None:
        _State.alone = True
    else:
        _tell(_State.connection)


def _tell(connection: socket.socket) -> None:
    """Send what is remembered; if no more is taken, do without a companion from now on."""
    try:
        while _remembered:
            message = _remembered.popleft()
            sent = connection.send(message, getattr(socket, "MSG_NOSIGNAL", 0))
            if sent < len(message):
                raise BlockingIOError(f"{sent} of {len(message)} bytes were taken")
    except IndexError:  # another thread has sent the last one
        return
    except OSError as error:
        log.info("the companion process takes no more problems: %s", error)
        _end()


def _start() -> socket.socket | None:
    """Start the companion, and return the connection to it, or None where there is none."""
    if not _is_useful():
        return None
    connection, other = socket.socketpair()
    try:
        _State.process = subprocess.Popen(
            python_command("-m", MODULE),
            stdin=other.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        log.info("no companion process can be started: %s", error)
        connection.close()
        return None
    finally:
        other.close()
    connection.setblocking(False)
    log.info("a companion process compiles what later calls will probably need")
    return connection


def _is_useful() -> bool:
    name = os.path.basename(sys.executable or "").lower()
    is_python = name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)
    return os.name == "posix" and is_python and cores() > 1 and kernel_cache.folder() is not None


def _end() -> None:
    """End the companion now; a kernel that it was compiling is compiled by the call that needs it."""
    _State.alone = True
    connection, process = _State.connection, _State.process
    _State.connection = _State.process = None
    if connection is not None:
        connection.close()
    if process is not None:
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()


def _forget() -> None:
    """Let go of the companion, which is the parent's, in a process that was forked."""
    connection, process = _State.connection, _State.process
    _State.connection = _State.process = None
    if connection is not None:
        connection.close()  # or the companion would outlive the parent
    if process is not None:
        process.returncode = 0  # it is no child of this process, which cannot wait for it


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
