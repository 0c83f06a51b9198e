"""``convhub bench``: how fast a backend is beside torch, or beside another backend."""

from __future__ import annotations

import datetime
import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..dispatch import check_name
from ..errors import ArgumentError
from ..problem import Problem
from .output import print_error, print_warning
from .progress import progress
from .versions import versions

if TYPE_CHECKING:
    from ..bench.layers import Layer
    from ..bench.results import Memory, Report, Settings

__all__ = ["EXTRA", "bench"]

EXTRA = "convhub[bench]"

#: Layers of each class, by default and with --quick.
USUAL, QUICK = 8, 2

#: Parameters that concern only what is shown and written.
SHOWING = ("from_file", "layers", "json_file", "plot", "markdown")
#: Parameters that --start takes.
STARTING = ("start", "problems", "backend", "json_file")

File = Path | None


def bench(
    context: typer.Context,
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROBLEM]...",
            help="Problems, such as 'forward_float32_n1c3h32w32_k8r3s3'; by default, layers of networks.",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Time this backend; by default the one that convhub chooses."),
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="NAME", help="Compare with torch itself, or with this backend of convhub.")
    ] = "torch",
    shapes: Annotated[
        File, typer.Option(metavar="FILE", help="Layers: a CSV table, or a problem in each line.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", help="Of layers without one.  [default: float32]")
    ] = None,
    primitive: Annotated[
        Literal["forward", "grad_input", "grad_weight", "all"] | None,
        typer.Option(
            help="What of the layers to time; forward is conv_transpose2d for transposed ones.  "
            "[default: forward]"
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Only these classes of layers, with commas; may be repeated."),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Of both sides.")] = 1,
    accuracy: Annotated[
        Literal["standard", "strict"], typer.Option(help="The setting of convhub.")
    ] = "standard",
    memory: Annotated[
        Literal["both", "keep", "system"],
        typer.Option(help="Let freed memory stay, or not, or each in turn."),
    ] = "both",
    quick: Annotated[bool, typer.Option("--quick", help="Two layers of each class, three rounds.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every layer of each class.")] = False,
    layers: Annotated[
        bool, typer.Option("--layers", "--verbose", help="List each layer, not only classes.")
    ] = False,
    json_file: Annotated[File, typer.Option("--json", metavar="FILE", help="Write everything there.")] = None,
    plot: Annotated[File, typer.Option(metavar="FILE", help="Draw a figure: .png, .svg …")] = None,
    markdown: Annotated[File, typer.Option(metavar="FILE", help="Write tables for the docs there.")] = None,
    start: Annotated[
        bool, typer.Option("--start", help="Time first calls of new processes, and a tiny call, instead.")
    ] = False,
    from_file: Annotated[
        File, typer.Option("--from", metavar="FILE", help="Time nothing; show what --json wrote.")
    ] = None,
) -> None:
    """Time a backend beside torch, layer by layer.

    Both sides get the same arrays and as many threads, in one process, in turns. Exit code 1 if they do not
    agree on a result. Nothing else should run on the machine meanwhile.
    """
    if start:
        _check_only(context, STARTING, "--start times one PROBLEM at most, and no layers")
        _started(backend, problems or [], json_file)
        return
    if plot is not None:
        _need("matplotlib", "--plot")
        _check_suffix(plot)
    if from_file is not None:
        _check_only(context, SHOWING, "--from times nothing")
        from ..bench.results import read_report

        _deliver(read_report(from_file), layers, json_file, plot, markdown)
        return
    if against == "torch":
        _need("torch", "--against torch")
    else:
        check_name(against, "--against")
    if backend is not None:
        check_name(backend, "--backend")
    settings = _settings(backend, against, threads, accuracy, memory, quick)
    chosen = _chosen(problems or [], shapes, dtype, primitive, classes or [], quick, every)
    command = _command(
        *(problems or []),
        backend=backend,
        against=against,
        shapes=shapes,
        dtype=dtype,
        primitive=primitive,
        classes=",".join(classes or []) or None,
        threads=threads,
        accuracy=accuracy,
        memory=memory,
        quick=quick,
        all=every,
    )
    _deliver(_timed(chosen, settings, command), layers or bool(problems), json_file, plot, markdown)


def _started(backend: str | None, problems: Sequence[str], json_file: Path | None) -> None:
    """Measure and print what first calls cost."""
    from ..bench.start import TINY, measure_start
    from .start_report import show_start, start_json

    if len(problems) > 1:
        raise typer.BadParameter("--start times one PROBLEM at most, and no layers")
    if backend is not None:
        check_name(backend, "--backend")
    found = measure_start(backend, str(Problem.parse(problems[0])) if problems else TINY)
    show_start(found)
    if json_file is not None:
        json_file.write_text(start_json(found), encoding="utf-8")


def _check_only(context: typer.Context, allowed: Sequence[str], why: str) -> None:
    """Refuse, beside --from or --start, what they have no use for."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in allowed and source is not None and source.name == "COMMANDLINE":
            named = parameter.opts[0] if parameter.param_type_name == "option" else "PROBLEM"
            raise typer.BadParameter(f"{why}: leave {named} out")


def _need(module: str, option: str) -> None:
    """End the command where a package is not there that `option` needs."""
    if importlib.util.find_spec(module) is None:
        print_error(f"{option} needs {module}: pip install '{EXTRA}'")
        raise typer.Exit(2)


def _check_suffix(path: Path) -> None:
    """Refuse a figure that could not be written, before minutes have passed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    known = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in known:
        raise ArgumentError(f"plot is {str(path)!r}; its suffix must be of {', '.join(sorted(known))}")


def _settings(
    backend: str | None, against: str, threads: int, accuracy: str, memory: str, quick: bool
) -> Settings:
    from ..bench.results import Settings
    from ..bench.run import possible_memory

    possible = possible_memory()
    modes: tuple[Memory, ...] = tuple(mode for mode in possible if memory in ("both", mode))
    if not modes:
        raise ArgumentError(f"memory is {memory!r}, for which glibc is needed; here there is {possible[0]!r}")
    rounds = 3 if quick else 9
    return Settings(backend, against, threads, accuracy, modes, most_rounds=rounds)


def _chosen(
    problems: Sequence[str],
    shapes: Path | None,
    dtype: str | None,
    primitive: str | None,
    classes: Sequence[str],
    quick: bool,
    every: bool,
) -> list[Layer]:
    """Return what is to be timed."""
    from ..bench import selection
    from ..bench.classes import class_of, parse_classes
    from ..bench.layers import built_in, of_problem, problems_of, read_file

    wanted = parse_classes(classes)
    if problems and shapes:
        raise typer.BadParameter("give PROBLEM or --shapes, and not both")
    are_texts = True
    if problems:
        found = [of_problem(Problem.parse(text)) for text in problems]
    elif shapes:
        found, are_texts = read_file(shapes)
    else:
        found, are_texts = built_in(), False
    if are_texts and (dtype or primitive):
        option = "--dtype" if dtype else "--primitive"
        raise typer.BadParameter(f"{option} is for tables of layers; a PROBLEM says it itself")
    if not are_texts:
        found = problems_of(
            [selection.shrunk(layer) for layer in found], primitive or "forward", dtype or "float32"
        )
    if not (problems or shapes):
        found = [layer for layer in found if selection.usual_size(layer)]
    # A file of the user's is timed as it is, to the last layer.
    most = QUICK if quick else None if every or problems or shapes else USUAL
    chosen: list[Layer] = []
    merged = selection.merged(found)
    for one in dict.fromkeys(layer.problem.primitive for layer in merged):
        members = [layer for layer in merged if layer.problem.primitive == one]
        chosen += members if problems else selection.by_class(members, wanted, most)
    if not chosen:
        there = ", ".join(dict.fromkeys(class_of(layer) for layer in merged)) or "no layers"
        raise ArgumentError(
            f"classes is {', '.join(wanted)!r}, of which there is no layer; there are {there}"
        )
    return chosen


def _timed(chosen: Sequence[Layer], settings: Settings, command: str) -> Report:
    from ..bench.machine import this_machine
    from ..bench.results import Report
    from ..bench.run import run

    machine = this_machine(versions())
    if machine.busy:
        print_warning(
            f"the load is {machine.load:.2f}: something else runs on this machine, and threads that wait for "
            "each other, such as torch's, may seem many times slower than they are"
        )
    dtypes = {layer.problem.dtype for layer in chosen}
    with progress(len(chosen) * len(settings.memory)) as advance:
        rows, peak = run(
            chosen,
            settings,
            # BLAS has these two; of any other type's arithmetic it would tell nothing.
            peak_dtype="float64" if dtypes == {"float64"} else "float32",
            advance=advance,
        )
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Report(machine, command, today, settings, peak, rows)


def _command(*arguments: str, **options: object) -> str:
    """Return the command line that repeats the benchmark; what has its default is left out."""
    defaults = {"against": "torch", "threads": 1, "accuracy": "standard", "memory": "both"}
    words = ["convhub", "bench", *arguments]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value not in (None, False, defaults.get(name)):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _deliver(
    report: Report, layers: bool, json_file: Path | None, plot: Path | None, markdown: Path | None
) -> None:
    """Print a report, and write the files that are wanted; first that which cannot be made again."""
    from .bench_report import show_report

    if json_file is not None:
        from ..bench.results import write_report

        write_report(report, json_file)
    show_report(report, layers=layers)
    if markdown is not None:
        from ..bench.markdown import to_markdown

        markdown.write_text(to_markdown(report), encoding="utf-8")
    if plot is not None:
        from ..bench.plot import draw

        draw(report, plot)
