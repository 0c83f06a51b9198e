"""Assigns checks to the problems of a level."""

from __future__ import annotations

from ..arrays import numpy_dtype
from ..problem import PRIMITIVES, Primitive, Problem
from ..reference.bounds import LONG
from .author import Level
from .calls import registered
from .levels import narrowed, of_layers, problems, usual_dtypes
from .problems import cases
from .problems.layers import KINDS
from .subjects import BOTH, Subject
from .verify import CHECKS

__all__ = ["planned"]

#: From this many multiply-accumulates on, only checks that size could break are run.
LARGE = 10**6

#: Checks of one layer of each kind: they make many calls, and find no more on other layers.
KIND_CHECKS = (
    "nonfinite",
    "mixed scales",
    "ends of range",
    "each axis",
    "own result",
    "changed elements",
    "primitives by turns",
    "different callers",
    "process state",
    "silent",
)
#: Those of them that ordinary problems have too, in every type: of few calls.
CHEAP_KIND_CHECKS = ("nonfinite", "mixed scales", "ends of range")
#: The check of layers, which are too many for any other.
LAYER_CHECKS = ("any size",)
#: The checks of problems with long sums; no other check depends on a sum's length.
LONG_CHECKS = ("long sums",)
#: The fork comes last, since it matters most after threads have worked.
FORK_CHECKS = ("any thread count", "many callers", "after fork")

#: Checks for which there are problems of their own.
SPECIAL_CHECKS = {
    *("same shapes", "one array twice", "many calls", "after fork", "strict accuracy", "plain tensors"),
    *("flat resources", "workspace limit", "one thread"),
    *LAYER_CHECKS,
    *LONG_CHECKS,
}
ORDINARY_CHECKS = tuple(
    name
    for name in CHECKS
    if name not in SPECIAL_CHECKS and (name not in KIND_CHECKS or name in CHEAP_KIND_CHECKS)
)
LARGE_CHECKS = (
    "random data",
    "exact integers",
    "every element",
    "no stale state",
    "small workspace",
    "any thread count",
    "many callers",
)

#: Problems whose output is smaller than what fits: with all of their shapes many others can be computed.
SAME_SHAPES = (
    "n2c6h13w14_k4r3s2_groups2_out3x3",
    "n1c16h13w14_k16r3s3_out4x4",
    "n2c8h7w9_k16r1s1_out3x3",
    "n2c16h13w14_k16r3s3_groups16_out4x4",
    "n1c5h9w9_k7r3s3_pad1-0x0-2",
)
#: Problems that engines compute by transforms, if they have any.
TRANSFORMED = ("n1c32h8w9_k32r3s3_pad1x1", "n1c24h11w12_k17r4s4_pad2x1")
#: A problem whose windows, copied, take many times the memory of its image.
OF_MANY_WINDOWS = "n2c2h64w62_k2r9s9_pad4x4"
#: A problem that engines share among threads, if they have several.
SHARED = "n2c16h16w18_k64r3s3_pad1x1"
#: Problems for what does not depend on sizes: one without padding, and one with every parameter.
FEW = ("n2c4h6w7_k3r3s3", "n2c6h7w9_k4r3s2_stride2x1_pad1-0x0-2_dilation1x2_groups2")
#: Problems whose operands have one shape.
ONE_SHAPE: dict[Primitive, str] = {
    "forward": "n4c3h3w2_k4r3s2_pad1x1",
    "grad_input": "n3c3h3w3_k3r3s2_pad1x0",
    "grad_weight": "n2c3h4w5_k3r1s3_pad0x1",
}
#: A problem that is computed in microseconds.
TINY = "n1c2h4w5_k3r2s3"
#: Problems whose result is equal to an operand, if the other is an identity.
POINTWISE = ("n2c5h4w6_k5r1s1", "n1c7h1w1_k7r1s1", "n2c16h5w5_k16r1s1")


def planned(level: Level, subject: Subject) -> dict[Problem, tuple[str, ...]]:
    """Return the names of the checks for each problem of a level."""
    plan: dict[Problem, tuple[str, ...]] = {}

    def add(problem: Problem, checks: tuple[str, ...]) -> None:
        applicable = (name for name in checks if name != "ends of range" or _has_checked_ends(problem.dtype))
        plan[problem] = tuple(dict.fromkeys((*plan.get(problem, ()), *applicable)))

    for problem in problems(level, subject):
        is_long, is_large = problem.terms >= LONG, problem.macs >= LARGE
        add(problem, LONG_CHECKS if is_long else LARGE_CHECKS if is_large else ORDINARY_CHECKS)
    for problem, checks in _special(subject):
        add(problem, checks)
    for problem in of_layers(level, registered(subject.backend).backend, subject.device):
        add(problem, LAYER_CHECKS)
    for problem in cases.forked(BOTH, subject.device):
        add(problem, FORK_CHECKS)
    return plan


def _has_checked_ends(dtype: str) -> bool:
    return dtype == "float16" or numpy_dtype(dtype).kind in "iu"


def _special(subject: Subject) -> list[tuple[Problem, tuple[str, ...]]]:
    """Return the problems that are there for certain checks, in one of the usual types by turns."""
    backend = registered(subject.backend).backend
    found: list[tuple[Problem, tuple[str, ...]]] = []
    for turn, primitive in enumerate(PRIMITIVES):
        dtypes = usual_dtypes(backend, primitive)
        texts: list[tuple[str, tuple[str, ...]]] = [(text, KIND_CHECKS) for text in KINDS]
        texts += [(text, ("same shapes", "different callers")) for text in SAME_SHAPES]
        texts += [(ONE_SHAPE[primitive], ("one array twice",)), (TINY, ("many calls", "flat resources"))]
        texts += [(text, ("own result",)) for text in POINTWISE]
        texts += [(text, ("strict accuracy",)) for text in TRANSFORMED]
        texts += [(text, ("plain tensors",)) for text in FEW]
        texts += [(OF_MANY_WINDOWS, ("workspace limit",))]
        texts += [(SHARED, ("flat resources", "one thread"))]
        for i, (text, checks) in enumerate(texts if dtypes else []):
            dtype = dtypes[(i + turn) % len(dtypes)]
            problem = Problem.parse(f"{primitive}_{dtype}_{text}_{subject.device}")
            found.append((narrowed(problem, backend.capabilities), checks))
    return found
