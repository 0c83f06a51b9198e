"""Writes the progress of a pytest run to a file, for the program that waits for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["Progress", "Step", "parse_step"]


class Step(NamedTuple):
    """One line of the file: "collected" with the number of tests, "start" or "end" with the id of one."""

    kind: str
    value: str


def parse_step(line: str) -> Step:
    """Read a line that `Progress` wrote."""
    kind, value = json.loads(line)
    return Step(kind, value)


class Progress:
    """A pytest plugin that writes the file, line by line as events happen."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._collected = False

    def _write(self, kind: str, value: object) -> None:
        self._file.write(json.dumps([kind, str(value)]) + "\n")
        self._file.flush()

    def _collect(self, count: int) -> None:
        if not self._collected and count:
            self._collected = True
            self._write("collected", count)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write how many tests there are."""
        self._collect(len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:
        """Write the same if worker processes collected them."""
        self._collect(len(ids))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write which test starts."""
        self._write("start", nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write which test has ended."""
        self._write("end", nodeid)

    def pytest_unconfigure(self) -> None:
        """Close the file."""
        self._file.close()
