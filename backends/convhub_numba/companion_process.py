"""Compiles, in a process of its own, what `runtime.companion` sends: the problems that calls will need.

Stdin is a socket, with one pickle after another of (problem, options, vector_bits). The process ends when the
one that started it has ended.
"""

from __future__ import annotations

import contextlib
import pickle
import signal
import socket
from typing import BinaryIO

from .engine import likely_kernels, machinery
from .runtime import companion
from .runtime.compile import compile_unclaimed

__all__ = ["serve"]


def serve(messages: BinaryIO) -> None:
    """Compile until there are no more messages.

    The process that sends them compiles a problem's kernels in the order in which it launches them. Here they
    are compiled in the opposite order, so that the two meet in the middle.
    """
    for key in machinery():
        compile_unclaimed(key)
    while True:
        try:
            problem, options, vector_bits = pickle.load(messages)
        except EOFError:
            return
        # A call that needs one of these kernels compiles it itself, and fails where its caller sees it.
        with contextlib.suppress(Exception):
            for key in reversed(likely_kernels(problem, options, vector_bits)):
                compile_unclaimed(key)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the process that started this one
    companion.stay_alone()
    serve(socket.socket(fileno=0).makefile("rb"))
