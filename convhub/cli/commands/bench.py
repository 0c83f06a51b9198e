"""Implements ``convhub bench``, which times a backend against torch or another backend.

The command line is read here; what it asks for is done in `convhub.cli.bench`, a file for each of the three
modes: layers are timed, or with ``--start`` first calls are, or with ``--from`` nothing is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..bench.options import Options, check_only, given
from ..bench.outputs import Outputs
from ..choices import AccuracyChoice, MemoryChoice, PrimitiveChoice
from ..json_output import JsonOption

__all__ = ["bench"]

#: Parameters that concern only the output.
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
        str | None,
        typer.Option(metavar="DTYPE", help="Dtype of layers without one.  [default: float32]"),
    ] = None,
    primitive: Annotated[
        PrimitiveChoice | None,
        typer.Option(
            help="The primitive to time; for transposed layers, forward is conv_transpose2d.  "
            "[default: forward]"
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Only these classes, separated by commas; may be repeated."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(metavar="DEVICE", help="Device: cpu, cuda, or one of several GPUs such as cuda:1."),
    ] = "cpu",
    threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Threads of each side.")] = 1,
    accuracy: Annotated[
        AccuracyChoice, typer.Option(help="convhub's setting accuracy.")
    ] = AccuracyChoice.standard,
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let both sides round products of float32 to TF32, on a GPU.")
    ] = False,
    memory: Annotated[
        MemoryChoice,
        typer.Option(help="Keep freed memory in the process, return it to the system, or time both."),
    ] = MemoryChoice.both,
    quick: Annotated[bool, typer.Option("--quick", help="Two layers of each class, three rounds.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every layer of each class.")] = False,
    layers: Annotated[
        bool, typer.Option("--layers", "--verbose", help="List each layer, not only the classes.")
    ] = False,
    json_file: JsonOption = None,
    plot: Annotated[File, typer.Option(metavar="FILE", help="Draw a figure: .png, .svg …")] = None,
    markdown: Annotated[File, typer.Option(metavar="FILE", help="Write the tables as Markdown.")] = None,
    save_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write JSON and tables there, named by date, chip and dtype; a rerun replaces them.",
        ),
    ] = None,
    start: Annotated[
        bool, typer.Option("--start", help="Instead, time the first calls of new processes, and a tiny call.")
    ] = False,
    from_file: Annotated[
        File, typer.Option("--from", metavar="FILE", help="Time nothing; show a report that --json wrote.")
    ] = None,
) -> None:
    """Time a backend against torch, layer by layer.

    Both sides get the same numbers and the same number of threads, and take turns in one process. Exit code 1
    if they do not agree on a result. Nothing else should run on the machine meanwhile.
    """
    outputs = Outputs(
        layers=layers or bool(problems),
        json_file=json_file,
        plot=plot,
        markdown=markdown,
        save_to=save_to,
    )
    outputs.check_writable()
    # Each mode is imported when it is wanted: the other commands need not wait for it.
    if start:
        check_only(context, STARTING, "--start times one PROBLEM at most, and no layers")
        from ..bench.first_calls import time_first_calls

        time_first_calls(backend, problems or [], json_file)
        return
    outputs.check_figure()
    if from_file is not None:
        check_only(context, SHOWING, "--from times nothing")
        from ..bench.saved_report import show_saved

        show_saved(from_file, outputs)
        return
    from ..bench.layer_times import time_layers

    options = Options(
        problems=problems or [],
        backend=backend,
        against=against,
        shapes=shapes,
        dtype=dtype,
        primitive=None if primitive is None else primitive.value,
        classes=classes or [],
        device=device,
        threads=threads,
        accuracy=accuracy.value,
        tf32=tf32,
        memory=memory.value,
        quick=quick,
        every=every,
        given=given(context),
    )
    time_layers(options, outputs)
