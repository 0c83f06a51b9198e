"""Defines the argument of a check, and the exceptions that report its outcome."""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

from ..problem import Problem

__all__ = ["CheckFailure", "Skip", "Trial"]


class Trial(NamedTuple):
    """One check of one backend on one problem; the data follow from the seed."""

    backend: str
    problem: Problem
    seed: int = 0
    check: str = ""

    @property
    def command(self) -> str:
        """The command that repeats it, under the backends' options that the environment has now."""
        options = os.environ.get("CONVHUB_OPTIONS")
        variable = f"CONVHUB_OPTIONS={shlex.quote(options)} " if options else ""
        return f'{variable}convhub verify "{self.problem}" --backend {self.backend} --seed {self.seed}'


class CheckFailure(AssertionError):  # noqa: N818 - the name says what it is
    """A backend broke a promise.

    Its text ends with the command that repeats the failure.

    Attributes
    ----------
    what : str
        The finding and what would be right, in one line.
    ratio : float or None
        The worst error in units of its bound, if one was measured.
    """

    def __init__(self, trial: Trial, what: str, ratio: float | None = None) -> None:
        super().__init__(f"{trial.check or 'check'}: {what}\n  {trial.command}")
        self.what = what
        self.ratio = ratio


class Skip(Exception):  # noqa: N818 - it is no error
    """A check that does not apply, and why."""
