"""Compiles problems in several processes at once, since a compiler uses one core of a process.

The processes are new ones, which inherit no thread and no lock, and take one problem at a time. They end when
their input does, so that none outlives the program that started them, however it ends.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import IO

import msgspec

from ..problem import Problem
from ..system.python_command import python_command
from .worker import Outcome

__all__ = ["run"]

#: The most characters shown of a dead process's stderr.
TAIL = 2000


def run(
    problems: Sequence[Problem],
    backend: str | None,
    jobs: int,
    advance: Callable[[str], None],
    profile: bool = False,
) -> list[Outcome]:
    """Compile what calls of the problems need, and return the outcomes in the order in which they ended.

    Parameters
    ----------
    problems : sequence of Problem
        In the order in which they are started.
    backend : str or None
        The backend that compiles; None: for each problem, the one that would run it.
    jobs : int
        How many processes work at once.
    advance : callable
        Called with a problem's text when it is done.
    profile : bool
        Whether to measure the compiling of each kernel, and to keep none.
    """
    waiting = deque(str(problem) for problem in problems)
    done: SimpleQueue[list[Outcome]] = SimpleQueue()
    processes = [_Process(backend, profile) for _ in range(min(jobs, len(waiting)))]
    threads = [threading.Thread(target=each.serve, args=(waiting, done)) for each in processes]
    outcomes: list[Outcome] = []
    try:
        for thread in threads:
            thread.start()
        for _ in problems:
            found = done.get()
            outcomes += found
            advance(found[0].problem)
    finally:  # also where Ctrl-C ends the wait
        waiting.clear()
        for process in processes:
            process.end()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    for line in dict.fromkeys(line for process in processes for line in process.said):
        sys.stderr.write(f"{line}\n")
    return outcomes


class _Process:
    """A process that compiles; where it dies, another takes its place for the problems that are left."""

    def __init__(self, backend: str | None, profile: bool) -> None:
        self.said: list[str] = []
        options = ["--profile"] * profile + ([backend] if backend else [])
        self._command = python_command("-m", f"{__package__}.worker", *options)
        self._running: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._lock = threading.Lock()

    def serve(self, waiting: deque[str], done: SimpleQueue[list[Outcome]]) -> None:
        """Compile problems until none is waiting."""
        with tempfile.TemporaryFile() as messages:
            while True:
                try:
                    problem = waiting.popleft()
                except IndexError:
                    break
                try:
                    answer = self._ask(problem, messages)
                except OSError as error:  # no process can be started
                    answer = [Outcome(problem, error=f"no process could be started: {error}")]
                done.put(answer)
            self._close()
            self.said = _text(messages).splitlines()

    def _ask(self, problem: str, messages: IO[bytes]) -> list[Outcome]:
        process = self._started(messages)
        if process is None:
            return [Outcome(problem, error="interrupted")]
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died; its exit code says so below
            process.stdin.write(f"{problem}\n".encode())
            process.stdin.flush()
        line = process.stdout.readline()
        if line:
            return msgspec.json.decode(line, type=list[Outcome])
        self._close()
        said = _text(messages)[-TAIL:]
        messages.truncate(0)
        messages.seek(0)
        return [Outcome(problem, error=f"the process that compiled ended with {process.returncode}:\n{said}")]

    def _started(self, messages: IO[bytes]) -> subprocess.Popen[bytes] | None:
        """Return the process, or None where all are to end."""
        with self._lock:
            if self._running is None and not self._ended:
                self._running = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages
                )
            return self._running

    def _close(self) -> None:
        """Let the process end by itself, which it does at the end of its input."""
        process, self._running = self._running, None
        if process is not None:
            process.communicate()

    def end(self) -> None:
        """End the process now, and start no other."""
        with self._lock:
            self._ended = True
            if self._running is not None:
                self._running.kill()


def _text(messages: IO[bytes]) -> str:
    messages.seek(0)
    return messages.read().decode(errors="replace").strip()
