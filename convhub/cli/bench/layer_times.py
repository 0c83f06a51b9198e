"""Times layers on both sides, in turns: what ``convhub bench`` does by default."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ...bench.archive import check_free, name_of
from ...bench.device import parse_device
from ...bench.layers import Layer
from ...bench.peak import Peak
from ...bench.results import Report, Row, Settings
from ...bench.run import run
from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ...system.machine import Machine
from ..needs import need
from ..output import print_warning
from ..progress import progress
from .choice import chosen_layers, machine_of, settings_of
from .options import EXTRA, Options
from .outputs import Outputs

__all__ = ["time_layers"]


def time_layers(options: Options, outputs: Outputs) -> None:
    """Time the layers that the options choose, and deliver the report."""
    if options.against == "torch":
        need("torch", "--against torch", EXTRA)
    else:
        check_name(options.against, "--against", current_dispatcher())
    if options.backend is not None:
        check_name(options.backend, "--backend", current_dispatcher())
    device = parse_device(options.device)
    # First what is written, then whether this machine can do it.
    layers = chosen_layers(options, device)
    dtypes = [layer.problem.dtype for layer in layers]
    settings = settings_of(options, device, dtypes)
    machine = machine_of(settings, device)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    if outputs.save_to is not None:  # before minutes have passed
        name = name_of(today, machine.chip, dtypes, options.tf32)
        check_free(outputs.save_to, name, options.command)
    _warn_if_busy(machine)
    rows, peak = _timed(layers, settings, machine)
    report = Report(machine, options.command, today, settings, peak, rows)
    outputs.save(report)
    outputs.deliver(report)


def _warn_if_busy(machine: Machine) -> None:
    if machine.busy and machine.gpu is not None:
        print_warning(f"the GPU's load is {machine.gpu.load} %: something else runs on it")
    elif machine.busy:
        print_warning(
            f"the load is {machine.load:.2f}: something else runs on this machine, and threads that wait for "
            "each other, such as torch's, may seem many times slower than they are"
        )


def _timed(layers: Sequence[Layer], settings: Settings, machine: Machine) -> tuple[list[Row], Peak | None]:
    dtypes = {layer.problem.dtype for layer in layers}
    # BLAS has these two; of any other type's arithmetic, and of a GPU's, it would tell nothing.
    peak_dtype = "float64" if dtypes == {"float64"} else "float32"
    with progress(len(layers) * len(settings.memory)) as advance:
        return run(layers, settings, peak_dtype="" if machine.gpu else peak_dtype, advance=advance)
