"""``convhub bench``: how fast a backend is beside torch, or beside another backend."""

from __future__ import annotations

import datetime
import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...errors import ArgumentError
from ...problem import Problem
from ..choices import AccuracyChoice, MemoryChoice, PrimitiveChoice
from ..json_output import STDOUT, JsonOption, check_writable, write_text
from ..output import print_error, print_warning, show
from ..progress import progress

if TYPE_CHECKING:
    from ...bench.layers import Layer
    from ...bench.results import Report, Settings
    from ...system.machine import Machine

__all__ = ["EXTRA", "bench"]

EXTRA = "convhub[bench]"

#: Parameters that concern only what is shown and written.
SHOWING = ("from_file", "layers", "json_file", "plot", "markdown", "save_to")
#: Parameters that --start takes.
STARTING = ("start", "problems", "backend", "json_file")

File = Path | None


def bench(
    context: typer.Context,
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROBLEM",
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
        PrimitiveChoice | None,
        typer.Option(
            help="What of the layers to time; forward is conv_transpose2d for transposed ones.  "
            "[default: forward]"
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Only these classes of layers, with commas; may be repeated."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where: cpu, cuda, or one of several GPUs such as cuda:1.")
    ] = "cpu",
    threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Of both sides.")] = 1,
    accuracy: Annotated[
        AccuracyChoice, typer.Option(help="The setting of convhub.")
    ] = AccuracyChoice.standard,
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let both sides round products of float32 to TF32, on a GPU.")
    ] = False,
    memory: Annotated[
        MemoryChoice,
        typer.Option(help="Let freed memory stay, or not, or each in turn."),
    ] = MemoryChoice.both,
    quick: Annotated[bool, typer.Option("--quick", help="Two layers of each class, three rounds.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every layer of each class.")] = False,
    layers: Annotated[
        bool, typer.Option("--layers", "--verbose", help="List each layer, not only classes.")
    ] = False,
    json_file: JsonOption = None,
    plot: Annotated[File, typer.Option(metavar="FILE", help="Draw a figure: .png, .svg …")] = None,
    markdown: Annotated[File, typer.Option(metavar="FILE", help="Write tables for the docs there.")] = None,
    save_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write both there, named by date, chip and dtype; a rerun replaces them."
        ),
    ] = None,
    start: Annotated[
        bool, typer.Option("--start", help="Time first calls of new processes, and a tiny call, instead.")
    ] = False,
    from_file: Annotated[
        File, typer.Option("--from", metavar="FILE", help="Time nothing; show what --json wrote.")
    ] = None,
) -> None:
    """Time a backend beside torch, layer by layer.

    Both sides get the same numbers and as many threads, in one process, in turns. Exit code 1 if they do not
    agree on a result. Nothing else should run on the machine meanwhile.
    """
    for option, file in (("--plot", plot), ("--markdown", markdown)):
        if file is not None:
            check_writable(option, file)
    if start:
        _check_only(context, STARTING, "--start times one PROBLEM at most, and no layers")
        _started(backend, problems or [], json_file)
        return
    if plot is not None:
        _need("matplotlib", "--plot")
        _check_suffix(plot)
    if from_file is not None:
        _check_only(context, SHOWING, "--from times nothing")
        from ...bench.results import read_report

        report = read_report(from_file)
        _deliver(report, layers, json_file, plot, markdown)
        if save_to is not None:
            _save(report, save_to, json_file)
        return
    if against == "torch":
        _need("torch", "--against torch")
    else:
        check_name(against, "--against", current_dispatcher())
    if backend is not None:
        check_name(backend, "--backend", current_dispatcher())
    from ...bench.archive import check_free, name_of
    from ...bench.device import parse_device
    from ..bench_choice import chosen_layers, machine_of, settings_on_cpu, settings_on_gpu

    where = parse_device(device)
    # First what is written, then whether this machine can do it.
    wanted = None if primitive is None else primitive.value
    chosen = chosen_layers(where, problems or [], shapes, dtype, wanted, classes or [], quick, every)
    dtypes = [layer.problem.dtype for layer in chosen]
    if where.type == "cpu":
        settings = settings_on_cpu(backend, against, threads, accuracy.value, memory.value, quick, tf32)
    else:
        settings = settings_on_gpu(
            where, backend, against, accuracy.value, quick, tf32, dtypes, _given(context)
        )
    command = _command(
        *(problems or []),
        backend=backend,
        against=against,
        shapes=shapes,
        dtype=dtype,
        primitive=primitive,
        classes=",".join(classes or []) or None,
        device=device,
        threads=threads,
        accuracy=accuracy,
        tf32=tf32,
        memory=memory,
        quick=quick,
        all=every,
    )
    machine = machine_of(settings, where)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    if save_to is not None:  # before minutes have passed
        check_free(save_to, name_of(today, machine.chip, dtypes, tf32), command)
    report = _timed(chosen, settings, machine, command, today)
    if save_to is not None:
        _save(report, save_to, json_file)
    _deliver(report, layers or bool(problems), json_file, plot, markdown)


def _started(backend: str | None, problems: Sequence[str], json_file: str | None) -> None:
    """Measure and print what first calls cost."""
    from ...bench.start import TINY, measure_start
    from ..start_report import show_start, start_json

    if len(problems) > 1:
        raise typer.BadParameter("--start times one PROBLEM at most, and no layers")
    if backend is not None:
        check_name(backend, "--backend", current_dispatcher())
    found = measure_start(backend, str(Problem.parse(problems[0])) if problems else TINY)
    if json_file is not None:
        write_text(start_json(found), json_file)
    if json_file != STDOUT:
        show_start(found)


def _check_only(context: typer.Context, allowed: Sequence[str], why: str) -> None:
    """Refuse, beside --from or --start, what they have no use for."""
    given = _given(context)
    for parameter in context.command.params:
        if parameter.name not in allowed and given[parameter.name or ""]:
            named = parameter.opts[0] if parameter.param_type_name == "option" else "PROBLEM"
            raise typer.BadParameter(f"{why}: leave {named} out")


def _given(context: typer.Context) -> dict[str, bool]:
    """Return of every parameter whether it stood on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    # click before 8.2 says so of arguments of which there are none, too.
    empty = {name for name, value in context.params.items() if value is None or value in ((), [])}
    return {
        name: source is not None and source.name == "COMMANDLINE" and name not in empty
        for name, source in sources.items()
    }


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


def _timed(chosen: Sequence[Layer], settings: Settings, machine: Machine, command: str, today: str) -> Report:
    from ...bench.results import Report
    from ...bench.run import run

    if machine.busy and machine.gpu is not None:
        print_warning(f"the GPU's load is {machine.gpu.load} %: something else runs on it")
    elif machine.busy:
        print_warning(
            f"the load is {machine.load:.2f}: something else runs on this machine, and threads that wait for "
            "each other, such as torch's, may seem many times slower than they are"
        )
    dtypes = {layer.problem.dtype for layer in chosen}
    # BLAS has these two; of any other type's arithmetic, and of a GPU's, it would tell nothing.
    peak_dtype = "float64" if dtypes == {"float64"} else "float32"
    with progress(len(chosen) * len(settings.memory)) as advance:
        rows, peak = run(chosen, settings, peak_dtype="" if machine.gpu else peak_dtype, advance=advance)
    return Report(machine, command, today, settings, peak, rows)


def _save(report: Report, folder: Path, json_file: str | None) -> None:
    """Write a report under the name of its date, chip and dtype, and print where."""
    from ...bench.archive import check_free, name_of, save

    dtypes = [Problem.parse(row.problem).dtype for row in report.rows]
    name = name_of(report.date, report.machine.chip, dtypes, report.settings.allow_tf32)
    check_free(folder, name, report.command)
    written = save(report, folder, name)
    if json_file != STDOUT:
        show(*map(str, written), "")


def _command(*arguments: str, **options: object) -> str:
    """Return the command line that repeats the benchmark; what has its default is left out."""
    defaults = {
        "against": "torch",
        "device": "cpu",
        "threads": 1,
        "accuracy": "standard",
        "memory": "both",
    }
    words = ["convhub", "bench", *arguments]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value not in (None, False, defaults.get(name)):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _deliver(
    report: Report, layers: bool, json_file: str | None, plot: Path | None, markdown: Path | None
) -> None:
    """Print a report, and write the files that are wanted; first that which cannot be made again."""
    from ..bench_report import show_report

    if json_file is not None:
        from ...versioned_json import as_json

        write_text(as_json(report), json_file)
    if json_file != STDOUT:
        show_report(report, layers=layers)
    if markdown is not None:
        from ...bench.markdown import to_markdown

        markdown.write_text(to_markdown(report), encoding="utf-8")
    if plot is not None:
        from ...bench.plot import draw

        draw(report, plot)
