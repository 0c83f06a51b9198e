"""Implements ``convhub compile``, which has backends compile ahead of calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...errors import ArgumentError
from ...system.cores import available_cores
from ..choices import PrimitiveChoice
from ..json_output import STDOUT, JsonOption, check_writable, write_json
from ..output import SHOWN, counted, listed, print_error, show
from ..progress import progress

if TYPE_CHECKING:
    from ...ahead.worker import Outcome

__all__ = ["compile"]

File = Path | None


def compile(  # noqa: A001 - the command's name
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROBLEM",
            help="Problems, such as 'forward_float32_n1c3h32w32_k8r3s3'.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FACTORY",
            help="The layers of a torch model: a function that returns it, or it and an example input.",
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--input", metavar="SHAPE", help="The shape of the model's input, such as 8x3x224x224."),
    ] = None,
    shapes: Annotated[
        File, typer.Option(metavar="FILE", help="Layers: a CSV table, or a problem in each line.")
    ] = None,
    from_log: Annotated[
        File,
        typer.Option(
            metavar="LOG", help="The problems in what CONVHUB_VERBOSE=1 has logged; - for standard input."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Layers of many networks, which have all kernels that are common.")
    ] = False,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DTYPE",
            help="Dtypes of layers, separated by commas; may be repeated.  [default: a model's own; float32 "
            "for a table; float32,float64 with --all]",
        ),
    ] = None,
    primitive: Annotated[
        PrimitiveChoice | None,
        typer.Option(help="Only this primitive of layers; forward is enough for inference.  [default: all]"),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Compile for this backend; by default the one that would run each."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1024, help="How many processes compile at once.  [default: one a core]"
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Measure where the time goes, in one process; keep and load nothing."),
    ] = False,
    markdown: Annotated[
        File, typer.Option(metavar="FILE", help="Write the tables of --profile as Markdown.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Compile what calls will need, so that no call waits for it.

    What is compiled is kept where later processes find it; what is there already costs nothing. Nothing is
    computed. Exit code 1 if something cannot be compiled, or if no backend compiles ahead.

    With --profile, nothing is kept: every kernel of the problems is compiled once, and a table has the
    seconds of each phase of the compiler, another one the functions that kernels are made of.
    """
    _check_profile(profile, jobs, markdown)
    if backend is not None:
        if profile:
            _check_backend(backend, "compile_profile", "does not measure compiling")
        else:
            _check_backend(backend, "compile", "compiles nothing ahead")
    from ...ahead.problems import in_turns
    from ...ahead.run import run
    from ..compile_sources import Sources

    sources = Sources(
        problems=problems or [],
        model=model,
        input=shape,
        shapes=shapes,
        from_log=from_log,
        every=every,
        dtypes=[name for names in dtype or () for name in names.split(",")],
        primitive=None if primitive is None else primitive.value,
    )
    found = sources.read()
    begin = time.perf_counter()
    with progress(len(found)) as advance:
        if profile:
            outcomes = run(found, backend, 1, advance, profile=True)
        else:
            outcomes = run(in_turns(found), backend, jobs or available_cores(), advance)
    seconds = time.perf_counter() - begin
    if profile:
        from ..compile_profile import report_profile

        report_profile(outcomes, seconds, sources.command("--profile", backend=backend), json_file, markdown)
    else:
        _report(outcomes, seconds, json_file)
    if _went_wrong(outcomes, "measures compiling" if profile else "compiles ahead"):
        raise typer.Exit(1)


def _check_profile(profile: bool, jobs: int | None, markdown: Path | None) -> None:
    """Refuse options that do not belong together."""
    if profile and jobs is not None:
        raise typer.BadParameter("--jobs is not for --profile, which measures in one process: leave it out")
    if markdown is not None:
        if not profile:
            raise typer.BadParameter("--markdown is for --profile: leave it out")
        check_writable("--markdown", markdown)


def _check_backend(name: str, needed: str, does: str) -> None:
    """Refuse a backend without the function that is needed.

    Raises
    ------
    UnknownBackendError, ArgumentError
        Naming those that do.
    """
    dispatcher = current_dispatcher()
    check_name(name, "--backend", dispatcher)
    backends = dispatcher.registry.backends
    if name != "auto" and getattr(backends[name].backend, needed) is None:
        able = [each for each, (backend, _) in backends.items() if getattr(backend, needed) is not None]
        raise ArgumentError(f"--backend is {name!r}, which {does}; those that do: {listed(able)}")


def _report(outcomes: Sequence[Outcome], seconds: float, json_file: str | None) -> None:
    """Print and write what each backend has compiled."""
    if json_file is not None:
        rows = list(map(asdict, outcomes))
        for row in rows:
            del row["kernels"]  # which were not measured
        write_json({"seconds": seconds, "problems": rows}, json_file)
    if json_file != STDOUT:
        _show(outcomes, seconds)


def _show(outcomes: Sequence[Outcome], seconds: float) -> None:
    """Print what each backend has compiled."""
    for name in dict.fromkeys(outcome.backend for outcome in outcomes if not outcome.error):
        own = [outcome for outcome in outcomes if outcome.backend == name and not outcome.error]
        compiled = [outcome.compiled for outcome in own if outcome.compiled is not None]
        if not compiled:
            show(f"{name}: compiles nothing ahead, {counted(len(own), 'problem')} left out")
            continue
        made = f"{counted(sum(compiled), 'kernel')} compiled, and all others found"
        show(f"{name}: {counted(len(own), 'problem')}, {made}, {seconds:.1f} s")


def _went_wrong(outcomes: Sequence[Outcome], done: str) -> bool:
    """Return whether something could not be compiled, or no backend did it, which is printed."""
    errors: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.error:
            errors.setdefault(outcome.error, []).append(outcome.problem)
    for error, problems in list(errors.items())[:SHOWN]:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        print_error(error if problems[0] in error else f"{problems[0]}{more}: {error}")
    if len(errors) > SHOWN:
        print_error(f"{len(errors) - SHOWN} more; --json has all")
    if not errors and not any(outcome.compiled is not None for outcome in outcomes):
        names = listed(dict.fromkeys(outcome.backend for outcome in outcomes))
        print_error(f"nothing was compiled: of {names}, no backend {done}")
        return True
    return bool(errors)
