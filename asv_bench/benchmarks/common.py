"""Defines the rows and the layers that all benchmarks share, and the conditions for skipping one.

asv runs the current benchmarks on past revisions. So they use only what convhub exports, and their rows do
not depend on the revision: asv identifies parameters by their index alone. asv discards earlier results of a
benchmark when the source of its methods changes, docstrings included.

asv shows "n/a" for a benchmark whose ``setup`` raises `NotImplementedError`, and reports no error. So only
this module raises it: `ready` for layers that a backend declines, and `need_module` for modules that a
revision does not have yet. Any other reason why a row does not run, above all a missing import, is a failure.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import convhub

from .calls import Layer, convhub_call, operands, torch_call

__all__ = [
    "DTYPES",
    "ENGINES",
    "FAST_ROWS",
    "LAYERS",
    "NUMBER",
    "PRIMITIVES",
    "REPEAT",
    "ROWS",
    "SMALL_LAYERS",
    "TORCH_ITSELF",
    "WARMUP",
    "layer",
    "need_module",
    "ready",
    "small_layer",
]

#: The backends of this repository that run on the CPU; a revision that lacks one has "n/a" in its row.
ENGINES = ("naive", "numba", "numpy", "torch")

#: The row that is not a backend of convhub: torch's own functions, in the same environment and run.
TORCH_ITSELF = "torch itself"

#: Readable loops in Python, which need up to a minute for one of `LAYERS`.
LOOPS = ("naive",)

PRIMITIVES = ("forward", "grad_input", "grad_weight")
DTYPES = ("float32", "float64")

#: One layer of each class of `convhub.bench.classes`, from the lists in ``convhub/bench/shapes``, of at most
#: 120 million multiply-accumulates. They are written out, since a curve over years must have the same problem
#: throughout, and the lists may grow.
LAYERS: dict[str, str] = {
    "3x3": "n1c64h28w28_k96r3s3_pad1x1",
    "1x1": "n1c512h28w28_k128r1s1",
    "3x3 strided": "n3c96h28w28_k96r3s3_stride2x2_pad1x1",
    "5x5 and 7x7": "n4c256h7w7_k1024r7s7",
    "stem": "n1c3h224w224_k64r7s7_stride2x2_pad3x3",
    "depthwise": "n6c256h38w38_k256r3s3_pad1x1_groups256",
    "large depthwise": "n1c512h14w14_k512r27s27_pad13x13_groups512",
    "grouped": "n4c256h28w28_k256r3s3_pad1x1_groups32",
    "dilated": "n1c32h64w64_k32r3s3_pad4x4_dilation4x4",
    "transposed": "n1c144h14w14_k288r3s3_pad1x1",
    "odd": "n1c160h17w17_k160r7s1_pad3x0",
}

#: A sample is one call, and a process takes 5 to 60 samples, for 0.1 s. The median counts, since it is not
#: affected by the few calls during which the system gives the core to another program. A sample of many calls
#: would usually contain such an interruption.
NUMBER = 1
REPEAT = (5, 60, 0.1)
WARMUP = 0.05

SMALL_LAYERS = {"small": "n1c4h10w10_k4r3s3_pad1x1", "tiny": "n1c1h4w4_k1r3s3"}


def _third_party() -> list[str]:
    """Return other installed backends that run on the CPU, and plugins that failed to load.

    The latter are listed so that their benchmarks fail; without a row, nobody might notice.
    """
    broken = [failure.name for failure in convhub.explain(SMALL_LAYERS["tiny"]).failures]
    return [name for name in [*convhub.available_backends("cpu"), *broken] if name not in ENGINES]


ROWS = [*ENGINES, TORCH_ITSELF, *dict.fromkeys(_third_party())]

#: The rows that are fast enough for `LAYERS`.
FAST_ROWS = [row for row in ROWS if row not in LOOPS]


@functools.cache
def layer(name: str, primitive: str = "forward", dtype: str = "float32") -> Layer:
    """Return one of `LAYERS`.

    Parameters
    ----------
    name : str
        The class of the layer.
    primitive : {"forward", "grad_input", "grad_weight"}
        convhub's primitive: for the transposed layer, grad_input is ``conv_transpose2d`` itself, and forward
        its gradient for the input.
    dtype : str
        NumPy's name of the dtype.
    """
    problem = convhub.Problem.parse(f"{primitive}_{dtype}_{LAYERS[name]}")
    return Layer(problem, transposed=name == "transposed")


@functools.cache
def small_layer(name: str, primitive: str = "forward") -> Layer:
    """Return one of `SMALL_LAYERS`."""
    return Layer(convhub.Problem.parse(f"{primitive}_{SMALL_LAYERS[name]}"))


@functools.cache
def ready(row: str, layer: Layer) -> Callable[[], Any]:
    """Return a layer as a call without arguments, after a first call, which may have compiled code.

    Raises
    ------
    NotImplementedError
        If the row's backend declines the layer, or does not exist in this revision. asv shows "n/a".
    RuntimeError
        If the row does not run it for another reason, such as an ImportError, or a NotImplementedError of
        the backend, which would otherwise be a silent "n/a". asv shows "failed".
    """
    if row in ENGINES:
        need_module(f"convhub_{row}")
    declined = ""
    call = None
    try:
        call = _call(row, layer)
        call()
    except convhub.UnsupportedProblemError as error:
        declined = _own_refusal(row, layer)
        if not declined:
            raise RuntimeError(f"{row} does not run {layer.problem}: {error}") from error
    except (ImportError, NotImplementedError) as error:
        raise RuntimeError(f"{row} does not run {layer.problem}: {error!r}") from error
    if declined:
        raise NotImplementedError(f"{row} declines {layer.problem}: {declined}")
    assert call is not None
    return call


def need_module(name: str) -> None:
    """Skip the benchmark that is being set up if this revision has no such module.

    Raises
    ------
    NotImplementedError
        If there is none. A module that exists but cannot be imported is a failure instead.
    """
    if importlib.util.find_spec(name) is None:
        raise NotImplementedError(f"this revision of convhub has no module {name}")


def _call(row: str, layer: Layer) -> Callable[[], Any]:
    given = operands(layer.problem)
    return torch_call(layer, given) if row == TORCH_ITSELF else convhub_call(layer, given, row)


def _own_refusal(row: str, layer: Layer) -> str:
    """Return the reason of a backend that declines, or "" for a fault such as "its supports raised …"."""
    (part,) = convhub.explain(layer.problem, backend=row).parts
    reason = dict(part.verdicts).get(row) or ""
    return "" if reason.startswith("its ") else reason
