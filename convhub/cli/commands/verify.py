"""Implements ``convhub verify``, which runs the suite's checks on one problem or on random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from ...dispatch.candidates import available_backends
from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...problem import Problem
from ..json_output import STDOUT, JsonOption, write_json
from ..output import print_error, print_warning
from ..progress import progress
from ..verify_report import Tally, show_tallies, tally_row

__all__ = ["verify"]


def verify(
    problem: Annotated[
        str | None,
        typer.Argument(
            metavar="PROBLEM",
            help="A problem, such as 'grad_input_float64_n2c4h9w8_k6r3s2_stride2x1'.",
            show_default=False,
        ),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Check N random problems that the backend takes, instead of PROBLEM."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of the random problems and data.")] = 0,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Check this backend; may be repeated. By default, all available."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Check the results of backends on PROBLEM, or N random ones.

    Each result is compared with the exact one, under the bound of the backend's accuracy class.
    Exit code 1 if a check fails, or if nothing could be checked.
    """
    if (problem is None) == (random is None):
        raise typer.BadParameter("give a PROBLEM or --random N, and not both")
    for name in backend or ():
        check_name(name, "--backend", current_dispatcher())
    names = list(dict.fromkeys(backend or available_backends()))
    if problem is not None:
        written = [Problem.parse(problem)]
        problems = dict.fromkeys(names, written)
    else:
        problems = {name: _drawn(name, random or 0, seed) for name in names}
    tallies = _check(problems, seed)
    if json_file is not None:
        rows = {tally.backend: tally_row(tally) for tally in tallies}
        write_json({"seed": seed, "backends": rows}, json_file)
    if json_file != STDOUT:
        show_tallies(tallies)
    unchecked = [tally.backend for tally in tallies if not tally.checked]
    if not tallies:
        print_error("no backend is available; see `convhub backends`")
    elif len(unchecked) == len(tallies) or (backend and unchecked):
        print_error(f"nothing was checked on {', '.join(unchecked)}: every check was skipped")
    elif not any(tally.failures for tally in tallies):
        return
    raise typer.Exit(1)


def _drawn(name: str, count: int, seed: int) -> list[Problem]:
    """Return `count` random problems that a backend takes, or fewer with a warning if it takes few."""
    # Imported here, since the other commands do not need it.
    from ...conformance.calls import refused
    from ...conformance.verify import random_problems

    drawn = list(random_problems(count, seed, backend=name))
    if len(drawn) < count and refused(name, drawn[0]) is None:
        print_warning(f"of very many random problems, {name!r} takes only {len(drawn)}, not {count}")
    return drawn


def _check(problems: Mapping[str, Sequence[Problem]], seed: int) -> list[Tally]:
    from ...conformance.verify import verify as findings_of

    tallies = []
    with progress(sum(map(len, problems.values()))) as advance:
        for name, chosen in problems.items():
            tally = Tally(name)
            for problem in chosen:
                tally.add(findings_of(problem, name, seed))
                advance(name)
            tallies.append(tally)
    return tallies
