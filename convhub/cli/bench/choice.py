"""Chooses what ``convhub bench`` times: the settings, the machine, and the layers."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from ...bench import selection
from ...bench.classes import class_of, parse_classes
from ...bench.cuda import cuda
from ...bench.device import Device, backend_on, check_other, library_of
from ...bench.layers import Layer, built_in, of_problem, problems_of, read_file
from ...bench.results import Memory, Settings
from ...bench.run import possible_memory
from ...bench.sides import TORCH
from ...errors import ArgumentError, BackendUnavailableError
from ...problem import Problem
from ...system.gpu import Gpu, GpuError, gpus
from ...system.machine import Machine, this_machine
from ...system.versions import versions
from .options import Options

__all__ = ["chosen_layers", "machine_of", "settings_of"]

#: Layers of each class, by default and with --quick.
USUAL, QUICK = 8, 2

#: Rounds at most, by default and with --quick.
ROUNDS, QUICK_ROUNDS = 9, 3

#: Options that apply to the CPU only.
OF_CPU = ("threads", "memory")


def settings_of(options: Options, device: Device, dtypes: Sequence[str]) -> Settings:
    """Return how the layers are timed on a device.

    Parameters
    ----------
    dtypes : sequence of str
        The dtypes of the layers that are timed.
    """
    return _on_cpu(options) if device.type == "cpu" else _on_gpu(options, device, dtypes)


def _on_cpu(options: Options) -> Settings:
    """Return the settings for the CPU, where backend None leaves the choice to convhub."""
    if options.tf32:
        raise typer.BadParameter("--tf32 is for GPUs: add --device cuda, or leave it out")
    possible, memory = possible_memory(), options.memory
    modes: tuple[Memory, ...] = tuple(mode for mode in possible if memory in ("both", mode))
    if not modes:
        raise ArgumentError(f"memory is {memory!r}, for which glibc is needed; here there is {possible[0]!r}")
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    return Settings(
        options.backend, options.against, options.threads, options.accuracy, modes, most_rounds=rounds
    )


def _on_gpu(options: Options, device: Device, dtypes: Sequence[str]) -> Settings:
    """Return the settings for a GPU, where the backend is one that can run there."""
    for name in OF_CPU:
        if name in options.given:
            raise typer.BadParameter(f"--{name} has no meaning on a GPU: leave it out")
    if options.tf32 and "float32" not in dtypes:
        others = ", ".join(dict.fromkeys(dtypes))
        raise typer.BadParameter(f"--tf32 is for float32, not for {others}: leave it out")
    name = backend_on(device, None if options.backend == "auto" else options.backend, options.against)
    check_other(device, options.against)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    return Settings(
        name,
        options.against,
        accuracy=options.accuracy,
        memory=("pool",),
        most_rounds=rounds,
        device=str(device),
        allow_tf32=options.tf32,
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


def chosen_layers(options: Options, device: Device) -> list[Layer]:
    """Return what is to be timed."""
    classes = parse_classes(options.classes)
    if options.problems and options.shapes:
        raise typer.BadParameter("give PROBLEM or --shapes, and not both")
    is_users = bool(options.problems or options.shapes)
    limits = selection.CPU if device.type == "cpu" else selection.GPU
    are_texts = True
    if options.problems:
        found = [of_problem(Problem.parse(text)) for text in options.problems]
    elif options.shapes:
        found, are_texts = read_file(options.shapes)
        limits = limits._replace(images=None)  # never more images than in the user's table
    else:
        found, are_texts = built_in(), False
    if are_texts and (options.dtype or options.primitive):
        option = "--dtype" if options.dtype else "--primitive"
        raise typer.BadParameter(f"{option} is for tables of layers; a PROBLEM says it itself")
    if not are_texts:
        sized = [selection.fitted(layer, limits) for layer in found]
        found = problems_of(sized, options.primitive or "forward", options.dtype or "float32")
    if not is_users:
        found = [layer for layer in found if selection.usual_size(layer, limits)]
    # All layers of the user's file are timed.
    most = QUICK if options.quick else None if options.every or is_users else USUAL
    chosen: list[Layer] = []
    merged = selection.merged(layer.on(device.type) for layer in found)
    for one in dict.fromkeys(layer.problem.primitive for layer in merged):
        members = [layer for layer in merged if layer.problem.primitive == one]
        chosen += members if options.problems else selection.by_class(members, classes, most)
    if not chosen:
        there = ", ".join(dict.fromkeys(class_of(layer) for layer in merged)) or "no layers"
        raise ArgumentError(
            f"classes is {', '.join(classes)!r}, of which there is no layer; there are {there}"
        )
    return chosen
