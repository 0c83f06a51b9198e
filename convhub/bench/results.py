"""Defines the results of a benchmark, as data that can be written to JSON and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..system.machine import Machine
from ..versioned_json import read_json
from .peak import Peak

__all__ = ["FORMAT", "Memory", "Report", "Row", "Settings", "read_report"]

#: The version of the JSON file's format; a file that is read must have the same.
FORMAT = 1

#: keep
#:     Freed memory stays with the process and is reused: times show the arithmetic without the system's part.
#: system
#:     malloc's default: times are those of an ordinary program.
#: pool
#:     The only mode on a GPU: the libraries keep freed memory in pools, as they do by default.
Memory = Literal["keep", "system", "pool"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the layers were timed.

    `backend` is None where convhub chose, layer by layer. `against` is ``"torch"`` for torch itself, or one
    of convhub's backends. `seconds` is how long a layer may take, all rounds of both sides together. `device`
    is ``"cpu"`` or, with its number, ``"cuda:0"``; `threads` matters only on the former, `allow_tf32` only on
    the latter.
    """

    backend: str | None = None
    against: str = "torch"
    threads: int = 1
    accuracy: str = "standard"
    memory: tuple[Memory, ...] = ("keep", "system")
    least_rounds: int = 3
    most_rounds: int = 9
    seconds: float = 1.0
    device: str = "cpu"
    allow_tf32: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, timed in one mode of memory.

    Parameters
    ----------
    layer_class, name, problem, operation : str
        What was timed; `problem` is its text.
    macs, bytes : int
        Multiply-accumulates, and the size of both operands and the result.
    memory : {"keep", "system", "pool"}
        See `Memory`.
    backend, algorithm : str
        What convhub ran; empty if it ran nothing.
    against : str
        What the other side ran.
    milliseconds, against_milliseconds : float or None
        The time of one call: the least of all rounds with `memory` keep, else their median.
    rounds : int
        The number of rounds.
    declined, against_declined : str
        Why a side did not run the problem; empty if it did.
    issue_milliseconds, against_issue_milliseconds : float or None
        On a GPU, how long the host took to issue a call.
    """

    layer_class: str
    name: str
    problem: str
    operation: str
    macs: int
    bytes: int
    memory: Memory
    backend: str = ""
    algorithm: str = ""
    against: str = ""
    milliseconds: float | None = None
    against_milliseconds: float | None = None
    rounds: int = 0
    declined: str = ""
    against_declined: str = ""
    issue_milliseconds: float | None = None
    against_issue_milliseconds: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as long the other side takes; above 1 convhub is faster."""
        if self.milliseconds is None or self.against_milliseconds is None:
            return None
        return self.against_milliseconds / self.milliseconds

    @property
    def primitive(self) -> str:
        """The primitive that the problem's text begins with."""
        from ..problem import Problem

        return Problem.parse(self.problem).primitive

    @property
    def gflops(self) -> float | None:
        """Billions of operations a second by convhub, two for each multiply-accumulate."""
        return _rate(self.macs, self.milliseconds)

    @property
    def against_gflops(self) -> float | None:
        """The same rate of the other side."""
        return _rate(self.macs, self.against_milliseconds)

    @property
    def intensity(self) -> float:
        """Operations for each byte of operands and result."""
        return 2 * self.macs / self.bytes


def _rate(macs: int, milliseconds: float | None) -> float | None:
    return None if milliseconds is None else 2e-6 * macs / milliseconds


@dataclass(frozen=True, slots=True)
class Report:
    """A whole benchmark: the machine, the command that repeats it, the machine's peak, and the rows."""

    machine: Machine
    command: str
    date: str
    settings: Settings
    peak: Peak | None
    rows: list[Row] = field(default_factory=list)
    format: int = FORMAT


def read_report(path: Path) -> Report:
    """Read what `convhub.versioned_json.write_json` wrote.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or is no report of this format.
    """
    return read_json(
        path, Report, key="format", version=FORMAT, argument="from", command="convhub bench --json"
    )
