"""Reads the options of ``convhub bench``: the settings, the machine, and the layers that are timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from ..bench import selection
from ..bench.classes import class_of, parse_classes
from ..bench.cuda import cuda
from ..bench.device import Device, backend_on, check_other, library_of
from ..bench.layers import Layer, built_in, of_problem, problems_of, read_file
from ..bench.results import Memory, Settings
from ..bench.run import possible_memory
from ..bench.sides import TORCH
from ..errors import ArgumentError, BackendUnavailableError
from ..problem import Problem
from ..system.gpu import Gpu, GpuError, gpus
from ..system.machine import Machine, this_machine
from ..system.versions import versions

__all__ = ["chosen_layers", "machine_of", "settings_on_cpu", "settings_on_gpu"]

#: Layers of each class, by default and with --quick.
USUAL, QUICK = 8, 2

#: Rounds at most, by default and with --quick.
ROUNDS, QUICK_ROUNDS = 9, 3

#: Options that apply to the CPU only.
OF_CPU = ("threads", "memory")


def settings_on_cpu(
    backend: str | None, against: str, threads: int, accuracy: str, memory: str, quick: bool, tf32: bool
) -> Settings:
    """Return the settings for the CPU, where backend None leaves the choice to convhub."""
    if tf32:
        raise typer.BadParameter("--tf32 is for GPUs: add --device cuda, or leave it out")
    possible = possible_memory()
    modes: tuple[Memory, ...] = tuple(mode for mode in possible if memory in ("both", mode))
    if not modes:
        raise ArgumentError(f"memory is {memory!r}, for which glibc is needed; here there is {possible[0]!r}")
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return Settings(backend, against, threads, accuracy, modes, most_rounds=rounds)


def settings_on_gpu(
    device: Device,
    backend: str | None,
    against: str,
    accuracy: str,
    quick: bool,
    tf32: bool,
    dtypes: Sequence[str],
    given: Mapping[str, bool],
) -> Settings:
    """Return the settings for a GPU, where the backend is one that can run there.

    Parameters
    ----------
    dtypes : sequence of str
        The dtypes of the layers that are timed.
    given : mapping of str to bool
        For each parameter, whether it was given on the command line.
    """
    for name in OF_CPU:
        if given[name]:
            raise typer.BadParameter(f"--{name} has no meaning on a GPU: leave it out")
    if tf32 and "float32" not in dtypes:
        others = ", ".join(dict.fromkeys(dtypes))
        raise typer.BadParameter(f"--tf32 is for float32, not for {others}: leave it out")
    name = backend_on(device, None if backend == "auto" else backend, against)
    check_other(device, against)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return Settings(
        name,
        against,
        accuracy=accuracy,
        memory=("pool",),
        most_rounds=rounds,
        device=str(device),
        allow_tf32=tf32,
    )


def machine_of(settings: Settings, device: Device) -> Machine:
    """Return the description of this machine, with the GPU if one is timed."""
    if device.type == "cpu":
        return this_machine(versions())
    assert settings.backend is not None
    libraries = [library_of(settings.backend), TORCH if settings.against == TORCH else ""]
    known = versions()
    for library in dict.fromkeys(filter(None, libraries)):
        known |= cuda(library).versions()
    return this_machine(known, _gpu(device))


def _gpu(device: Device) -> Gpu:
    try:
        return gpus()[device.index]
    except (GpuError, IndexError) as error:
        raise BackendUnavailableError(f"device is '{device}', and the driver says: {error}") from error


def chosen_layers(
    device: Device,
    problems: Sequence[str],
    shapes: Path | None,
    dtype: str | None,
    primitive: str | None,
    classes: Sequence[str],
    quick: bool,
    every: bool,
) -> list[Layer]:
    """Return the layers to time."""
    wanted = parse_classes(classes)
    if problems and shapes:
        raise typer.BadParameter("give PROBLEM or --shapes, and not both")
    limits = selection.CPU if device.type == "cpu" else selection.GPU
    are_texts = True
    if problems:
        found = [of_problem(Problem.parse(text)) for text in problems]
    elif shapes:
        found, are_texts = read_file(shapes)
        limits = limits._replace(images=None)  # never more images than in the user's table
    else:
        found, are_texts = built_in(), False
    if are_texts and (dtype or primitive):
        option = "--dtype" if dtype else "--primitive"
        raise typer.BadParameter(f"{option} is for tables of layers; a PROBLEM says it itself")
    if not are_texts:
        sized = [selection.fitted(layer, limits) for layer in found]
        found = problems_of(sized, primitive or "forward", dtype or "float32")
    if not (problems or shapes):
        found = [layer for layer in found if selection.usual_size(layer, limits)]
    # All layers of the user's file are timed.
    most = QUICK if quick else None if every or problems or shapes else USUAL
    chosen: list[Layer] = []
    merged = selection.merged(layer.on(device.type) for layer in found)
    for one in dict.fromkeys(layer.problem.primitive for layer in merged):
        members = [layer for layer in merged if layer.problem.primitive == one]
        chosen += members if problems else selection.by_class(members, wanted, most)
    if not chosen:
        there = ", ".join(dict.fromkeys(class_of(layer) for layer in merged)) or "no layers"
        raise ArgumentError(
            f"classes is {', '.join(wanted)!r}, of which there is no layer; there are {there}"
        )
    return chosen
