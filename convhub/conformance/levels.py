"""Defines the levels: full, and quick, which in under a minute finds every fault the suite is tested with.

Level quick has `QUICK_EDGES`, `QUICK_LARGE` and `QUICK_TAPS` for each primitive, alternating float32 and
float64, `EVERY_DTYPE` in each type, and long sums in float32, all adapted to what the backend declares. Level
full has all problems of the suite, declared or not; undeclared ones are skipped and counted.

``docs/conformance-faults.md`` lists these faults, and the checks that find them.
"""

from __future__ import annotations

import itertools

from ..backend import Backend, Capabilities
from ..problem import PRIMITIVES, Primitive, Problem
from .author import LEVELS, Level
from .calls import registered
from .problems.cases import EDGES, LARGE, TAPS, crossed, edges, large, long_sums, taps
from .problems.layers import KINDS, layers
from .subjects import BOTH, Subject, dtypes

__all__ = [
    "EVERY_DTYPE",
    "LEVELS",
    "QUICK_EDGES",
    "QUICK_LARGE",
    "QUICK_TAPS",
    "Level",
    "narrowed",
    "of_layers",
    "problems",
    "quick",
    "usual_dtypes",
]

#: One of `EDGES` for each kind of extreme: sizes, strides, paddings and numbers of channels at which tiles,
#: vectors and special cases go wrong.
QUICK_EDGES = (
    "every parameter at once",
    "one pixel, one weight",
    "pointwise",
    "pointwise with stride",
    "pointwise with padding",
    "kernel as large as the image",
    "kernel larger than the image",
    "stride larger than the kernel",
    "stride beyond the image",
    "dilation, stride and groups",
    "dilated beyond the image",
    "depthwise",
    "depthwise with a multiplier",
    "groups of one output channel each",
    "asymmetric padding with stride",
    "padding wider than the kernel",
    "one side padded",
    "fewer outputs than fit",
    "output_padding of the stride or more",
    "tall",
    "wide",
    "wide kernel",
    "empty batch",
    "prime channels past two vectors",
    "many channels, one pixel",
    "many channels, kernel of the image",
    "many images",
    "row of more than 512 pixels",
)

#: Those of `LARGE` that exceed a million products and 65536 elements at the lowest cost.
QUICK_LARGE = ("square", "depthwise", "wide image")

#: The one of `TAPS` whose transforms amplify errors most.
QUICK_TAPS = ("7x7 taps",)

#: Those of `EDGES` that each primitive computes in every type: all parameters at once, and a long sum.
EVERY_DTYPE = {
    "forward": ("every parameter at once", "sum over many channels"),
    "grad_input": ("every parameter at once", "sum over many output channels"),
    "grad_weight": ("every parameter at once", "sum over many pixels"),
}


def usual_dtypes(backend: Backend, primitive: Primitive) -> tuple[str, ...]:
    """Return the types in which most problems are tried: float32 and float64, or the first that is declared.

    Examples
    --------
    >>> from convhub.backend import Capabilities
    >>> usual_dtypes(Backend("mine", Capabilities(dtypes=("int8", "float64")), len), "forward")
    ('float64',)
    """
    if primitive not in backend.primitives:
        return ()
    declared = backend.capabilities.dtypes_of(primitive)
    return tuple(dtype for dtype in BOTH if dtype in declared) or declared[:1]


def of_layers(level: Level, backend: Backend, device: str) -> list[Problem]:
    """Return each layer of a level in one of the usual types, and `KINDS` in all others, per primitive.

    They are adapted to what the backend declares.
    """
    found: dict[Problem, None] = {}
    for turn, primitive in enumerate(PRIMITIVES):
        usual = usual_dtypes(backend, primitive)
        if not usual:
            continue
        texts = [(text, usual[(i + turn) % len(usual)]) for i, text in enumerate(layers(level))]
        others = [one for one in backend.capabilities.dtypes_of(primitive) if one not in usual]
        for text, dtype in (*texts, *itertools.product(KINDS, others)):
            problem = Problem.parse(f"{primitive}_{dtype}_{text}_{device}")
            found[narrowed(problem, backend.capabilities)] = None
    return list(found)


def problems(level: Level, subject: Subject) -> list[Problem]:
    """Return the problems of a level, the same ones every time.

    Parameters
    ----------
    level : {"quick", "full"}
    subject : Subject
        A backend on one of its devices.

    Raises
    ------
    ValueError
        If there is no such level.

    Examples
    --------
    >>> quick = problems("quick", Subject("numpy", "cpu"))
    >>> len(quick) < len(problems("full", Subject("numpy", "cpu")))
    True
    """
    if level == "full":
        return _full(subject)
    if level == "quick":
        return quick(registered(subject.backend).backend, subject.device)
    raise ValueError(f"level is {level!r}; it must be one of {', '.join(map(repr, LEVELS))}")


def _full(subject: Subject) -> list[Problem]:
    found = [
        *crossed(dtypes(subject), subject.device),
        *edges(BOTH, subject.device),
        *large(BOTH, subject.device),
        *taps(BOTH, subject.device),
    ]
    # The crossed problems have few channels, and an engine may have special kernels for these.
    found += [
        Problem.parse(f"{primitive}_{dtype}_{EDGES['pointwise']}_{subject.device}")
        for dtype in dtypes(subject)[len(BOTH) :]
        for primitive in PRIMITIVES
    ]
    found += [
        problem
        for primitive in PRIMITIVES
        for dtype in BOTH
        for problem in long_sums(primitive, dtype, subject.device)
    ]
    return list(dict.fromkeys(found))


def quick(backend: Backend, device: str) -> list[Problem]:
    """Return the problems of level quick for a backend, registered or not."""
    found: dict[Problem, None] = {}
    for primitive in backend.primitives:
        declared = backend.capabilities.dtypes_of(primitive)
        if not declared:
            continue
        by_turns = usual_dtypes(backend, primitive)
        # The first type alternates between primitives, so that each text is tried in both.
        turn = PRIMITIVES.index(primitive)
        cases = [(EDGES[name], by_turns[(i + turn) % len(by_turns)]) for i, name in enumerate(QUICK_EDGES)]
        cases += [(LARGE[name], by_turns[0]) for name in QUICK_LARGE]
        cases += [(TAPS[name], by_turns[0]) for name in QUICK_TAPS]
        cases += [(EDGES[name], dtype) for dtype in declared for name in EVERY_DTYPE[primitive]]
        for text, dtype in cases:
            problem = Problem.parse(f"{primitive}_{dtype}_{text}_{device}")
            found[narrowed(problem, backend.capabilities)] = None
    for primitive in backend.primitives:
        for dtype in BOTH:
            if dtype in backend.capabilities.dtypes_of(primitive):
                for problem in long_sums(primitive, dtype, device):
                    found[narrowed(problem, backend.capabilities)] = None
                break
    return list(found)


def narrowed(problem: Problem, capabilities: Capabilities) -> Problem:
    """Return the problem without the parameters that a backend does not support.

    The padded image keeps its size.

    Examples
    --------
    >>> problem = Problem.parse("forward_n1c4h8w8_k4r3s3_stride2x2_pad1x1_groups2")
    >>> print(narrowed(problem, Capabilities(dtypes=("float32",), groups=False, padding=False)))
    forward_float32_n1c4h10w10_k4r3s3_stride2x2
    """
    padding = problem.padding
    if not capabilities.padding:
        padding = ((0, 0), (0, 0))
    elif not capabilities.asymmetric_padding:
        padding = ((max(padding[0]),) * 2, (max(padding[1]),) * 2)
    lost = [max(0, sum(problem.padding[axis]) - sum(padding[axis])) for axis in (0, 1)]
    everything_fits = problem.output_size == problem.full_output_size
    return problem.replace(
        groups=problem.groups if capabilities.groups else 1,
        stride=problem.stride if capabilities.stride else (1, 1),
        dilation=problem.dilation if capabilities.dilation else (1, 1),
        padding=padding,
        input_size=(problem.input_size[0] + lost[0], problem.input_size[1] + lost[1]),
        output_size=(0, 0) if everything_fits else problem.output_size,
    )
