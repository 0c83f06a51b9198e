"""Lets three lines in an author's test folder run the suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

__all__ = ["LEVELS", "MARKER", "Level", "Wanted", "conformance_cases"]

#: How much is tried: "full" is everything; "quick" finds most faults in less than a minute.
Level: TypeAlias = Literal["quick", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)

#: The name of the mark by which the plugin recognizes the tests to parametrize.
MARKER = "convhub_conformance"

Test = TypeVar("Test", bound=Callable[..., Any])


class Wanted(NamedTuple):
    """The arguments of `conformance_cases`; None leaves one to the options of pytest."""

    backend: str | None
    level: Level | None
    seed: int | None
    xfails: str | Path | None


def conformance_cases(
    backend: str | None = None,
    *,
    level: Level | None = None,
    seed: int | None = None,
    xfails: str | Path | None = None,
) -> Callable[[Test], Test]:
    """Run a test once for each problem of the suite; its argument `case` runs the checks when called.

    The backend is looked up when pytest collects the test, not when this module is imported. Options of
    pytest (``--convhub-level``, ``--convhub-seed``, ``--convhub-xfails``), where they are given, override
    these arguments.

    Parameters
    ----------
    backend : str, optional
        The name of the backend; by default those that ``--convhub-backend`` names, or every one.
    level : {"quick", "full"}, optional
        By default full.
    seed : int, optional
        The seed of all random data; by default 0.
    xfails : path, optional
        A file of expected failures (`convhub.conformance.report.xfails`), relative to the test's folder.

    Examples
    --------
    The whole of ``tests/test_conformance.py`` in a distribution that provides the backend *mine*:

    >>> from convhub.conformance import conformance_cases
    >>> @conformance_cases("mine", level="quick")
    ... def test_conformance(case):
    ...     case()
    """
    import pytest

    wanted = Wanted(backend, level, seed, xfails)

    def mark(test: Test) -> Test:
        marked: Test = getattr(pytest.mark, MARKER)(wanted)(test)
        return marked

    return mark
