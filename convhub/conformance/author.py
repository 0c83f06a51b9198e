"""Runs the suite in an author's test folder, by three lines there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

__all__ = ["LEVELS", "MARKER", "Level", "Wanted", "conformance_cases"]

#: How much is tried: full is everything; quick is what finds most faults in less than a minute.
Level: TypeAlias = Literal["quick", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)

#: The name of the mark by which the plugin knows the tests that are to be multiplied.
MARKER = "convhub_conformance"

Test = TypeVar("Test", bound=Callable[..., Any])


class Wanted(NamedTuple):
    """What `conformance_cases` was given; None: what the options of pytest say."""

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
    """Run a test once for each problem of the suite, its argument `case` being the checks to call.

    The backend is looked up when pytest collects the test, not when this module is imported. Options of
    pytest (``--convhub-level``, ``--convhub-seed``, ``--convhub-xfails``), where they are given, are stronger
    than what stands here.

    Parameters
    ----------
    backend : str, optional
        The name of the backend; by default those that ``--convhub-backend`` names, or every one.
    level : {"quick", "full"}, optional
        By default full.
    seed : int, optional
        Of all random data; by default 0.
    xfails : path, optional
        A file of expected failures (`convhub.conformance.report.xfails`), seen from the folder of the test.

    Examples
    --------
    The whole of ``tests/test_conformance.py`` of a distribution that brings the backend *mine*:

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
