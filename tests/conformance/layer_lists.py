"""Makes the suite's lists of layers: combined sizes of every kind, single ones, and layers of real networks.

Any two values of `FACTORS` meet in a layer of level quick, and any three of fewer values in one of level
full. Each of many more sizes is in one layer of both levels. The layers of networks are those of ``convhub
bench``, with fewer images of fewer pixels. From the root of the repository, this renews both files::

    PYTHONPATH=tests .venv/bin/python -m conformance.layer_lists
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from convhub.bench.layers import built_in
from convhub.conformance.author import LEVELS, Level
from convhub.conformance.problems.cases import fit
from convhub.conformance.problems.covering import covering
from convhub.conformance.problems.layers import path_of
from convhub.problem import Problem
from convhub.problem.sizes import Pair

from .single_sizes import KNOWN, SINGLE, SINGLE_GROUPS

#: How many values of different factors meet in every way.
STRENGTH: dict[Level, int] = {"quick": 2, "full": 3}

#: Of each factor the usual value stands first: rows take it where nothing is missing. Channels are those of a
#: group; multiples of 8 and 16, for which engines have fast paths, and numbers just past a power of two.
FACTORS: dict[Level, dict[str, Sequence[Any]]] = {
    "quick": {
        "in_channels": (16, 3, 64, 1, 8, 33, 136, 257, 528, 1040),
        "out_channels": (16, 64, 1, 8, 5, 37, 129, 272, 514, 1032),
        "groups": (1, 2, 3, 5, 8, 32, 72),
        "batch": (2, 1, 8, 17, 33, 66, 130),
        "kernel_size": (
            (3, 3),
            (1, 1),
            (2, 2),
            (4, 4),
            (5, 5),
            (7, 7),
            (1, 3),
            (3, 1),
            (9, 8),
            (1, 11),
            (12, 1),
        ),
        "stride": ((1, 1), (2, 2), (1, 2), (2, 1), (3, 3), (4, 4)),
        "dilation": ((1, 1), (2, 2), (1, 2), (3, 1)),
        "padding": ("none", "around", "top", "bottom", "left", "right", "wide"),
        "output_size": (
            *((8, 8), (7, 7), (1, 1), (14, 15), (16, 16), (1, 9), (9, 1), (33, 31), (5, 66), (70, 6)),
            *((1, 1030), (1030, 1), (2, 4100)),
        ),
        "unused": ((0, 0), (1, 1), (0, 2), (3, 0)),
    },
    "full": {
        "in_channels": (16, 3, 1, 64, 257, 1040),
        "out_channels": (16, 5, 1, 64, 272, 1032),
        "groups": (1, 2, 33),
        "batch": (2, 1, 9, 34, 66),
        "kernel_size": ((3, 3), (1, 1), (4, 4), (7, 7), (9, 8), (1, 3)),
        "stride": ((1, 1), (2, 2), (1, 3), (3, 1)),
        "dilation": ((1, 1), (2, 2), (1, 2)),
        "padding": ("none", "around", "top", "bottom", "left", "right"),
        "output_size": ((8, 8), (1, 1), (15, 17), (33, 34), (1, 1030), (1030, 1)),
    },
}

#: The limits of one layer: products, elements of its largest array, and pixels times the taps that read them,
#: of which some engines make a matrix.
MOST_MACS, MOST_ELEMENTS, MOST_COLUMNS = 2**21, 2**20 + 2**18, 2**20

#: The padding of each side - top, bottom, left, right - by the factor's value, for kernels that reach over
#: `reach` pixels.
_SIDES: dict[str, Callable[[Pair], tuple[Pair, Pair]]] = {
    "none": lambda reach: ((0, 0), (0, 0)),
    "around": lambda reach: _both_sides(*(max(1, (size - 1) // 2) for size in reach)),
    "top": lambda reach: ((1, 0), (0, 0)),
    "bottom": lambda reach: ((0, 2), (0, 0)),
    "left": lambda reach: ((0, 0), (2, 0)),
    "right": lambda reach: ((0, 0), (0, 1)),
    "wide": lambda reach: _both_sides(*reach),
    "last": lambda reach: ((0, 1), (0, 1)),
    "first": lambda reach: ((1, 0), (1, 0)),
    "uneven": lambda reach: ((1, 2), (3, 0)),
}


def _both_sides(rows: int, columns: int) -> tuple[Pair, Pair]:
    return (rows, rows), (columns, columns)


def layer(values: Mapping[str, Any]) -> Problem:
    """Return the forward problem of values of factors; those that are left out are as small as can be.

    Examples
    --------
    >>> print(layer({"in_channels": 3, "groups": 2, "output_size": (1, 9), "padding": "top"}))
    forward_float32_n1c6h1w9_k2r1s1_pad1-0x0-0_out1x9
    """
    groups, kernel = values.get("groups", 1), values.get("kernel_size", (1, 1))
    dilation = values.get("dilation", (1, 1))
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    return fit(
        primitive="forward",
        batch=values.get("batch", 1),
        in_channels=groups * values.get("in_channels", 1),
        out_channels=groups * values.get("out_channels", 1),
        groups=groups,
        kernel_size=kernel,
        stride=values.get("stride", (1, 1)),
        dilation=dilation,
        padding=_SIDES[values.get("padding", "none")](reach),
        output_size=values.get("output_size", (1, 1)),
        unused=values.get("unused", (0, 0)),
    )


def possible(values: Mapping[str, Any]) -> bool:
    """Return whether some layer of these values keeps the limits."""
    return _keeps_limits(layer(values))


def _keeps_limits(problem: Problem) -> bool:
    largest = max(math.prod(shape) for shape in (*problem.operand_shapes, problem.result_shape))
    columns = problem.batch * problem.in_channels * math.prod((*problem.kernel_size, *problem.output_size))
    return problem.macs <= MOST_MACS and largest <= MOST_ELEMENTS and columns <= MOST_COLUMNS


#: The rows and columns of the output of a real layer, the largest that keep the limits.
SIDES = ((14, 14), (9, 8), (7, 7), (5, 4), (3, 3), (2, 2), (1, 2), (1, 1))


def of_networks(level: Level) -> Iterator[Problem]:
    """Yield layers of networks, of one image of few pixels: at level quick, the cheapest of each kind."""
    found: dict[Any, Problem] = {}
    for one in built_in():
        problem = _reduced(one.problem)
        if problem is None:
            continue
        key = problem if level == "full" else _kind(problem)
        if key not in found or problem.macs < found[key].macs:
            found[key] = problem
    yield from found.values()


def _reduced(problem: Problem) -> Problem | None:
    """Return the layer with the largest of `SIDES` that keeps the limits, or None."""
    for sides in SIDES:
        side = (min(sides[0], problem.output_size[0]), min(sides[1], problem.output_size[1]))
        one = fit(
            primitive="forward",
            batch=1,
            in_channels=problem.in_channels,
            out_channels=problem.out_channels,
            groups=problem.groups,
            kernel_size=problem.kernel_size,
            stride=problem.stride,
            dilation=problem.dilation,
            padding=problem.padding,
            output_size=side,
        )
        if _keeps_limits(one):
            return one
    return None


def _kind(problem: Problem) -> tuple[Any, ...]:
    """Return what engines choose an algorithm by."""
    depth = min(problem.in_channels, problem.out_channels)
    return (
        problem.kernel_size,
        problem.stride,
        problem.dilation > (1, 1),
        "dense"
        if problem.groups == 1
        else "depthwise"
        if problem.groups == problem.in_channels
        else "grouped",
        problem.in_channels % 16 == 0,
        problem.out_channels % 16 == 0,
        depth > 64,
        depth > 512,
    )


def text_of(problem: Problem) -> str:
    """Return a problem's text without primitive and dtype."""
    return str(problem).removeprefix("forward_float32_")


def lists(level: Level) -> str:
    """Return the contents of the file of a level."""
    combined = [layer(row) for row in covering(FACTORS[level], STRENGTH[level], possible)]
    single = [layer(row) for sizes in (SINGLE, SINGLE_GROUPS) for row in covering(sizes, 1, possible)]
    known = [Problem.parse(text) for text in KNOWN.values()]
    real = of_networks(level)
    return "".join(
        f"# {title}\n" + "".join(f"{text}\n" for text in dict.fromkeys(map(text_of, problems)))
        for title, problems in (
            ("Sizes of every kind, combined.", combined),
            ("Every single size.", single),
            ("Layers known by name.", known),
            ("Layers of networks.", real),
        )
    )


def main() -> None:
    """Write the files."""
    for level in LEVELS:
        path_of(level).write_text(lists(level), encoding="utf-8")


if __name__ == "__main__":
    main()
