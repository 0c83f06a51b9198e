"""Lists the cases for guard pages: layers of networks in small and odd sizes, edges, random problems."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from convhub.backend import RunOptions
from convhub.conformance.problems.cases import random_problem
from convhub.problem import PRIMITIVES, Problem

WIDTHS = (128, 256, 512)
DTYPES = ("float32", "float64", "float16", "bfloat16")

#: Odd and non-square throughout; each runs all primitives.
GEOMETRIES = (
    "n1c1h4w4_k1r3s3",
    "n1c5h3w7_k6r1s1",
    "n3c8h1w1_k9r1s1",
    "n2c9h7w13_k10r1s1",
    "n1c33h9w31_k35r1s1",
    "n1c33h17w32_k35r1s1",
    "n2c4h9w8_k6r1s1_stride2x3",
    "n1c17h9w11_k19r1s1_stride2",
    "n2c9h5w5_k10r3s2",
    "n2c3h9w12_k7r3s3_pad1-2x2-0",
    "n2c6h15w18_k5r3s4_stride2x3_pad1x2",
    "n2c4h13w17_k6r2s2_stride3x4_pad1-0x0-1",
    "n1c5h19w23_k7r3s2_dilation2x5_pad2x3",
    "n1c3h17w20_k4r3s3_stride4x2_dilation2x4_pad3x1",
    "n2c5h16w19_k4r3s3_stride2x3_pad1_out5x4",
    "n2c2h4w5_k3r2s2_pad3x4",
    "n1c2h2w3_k2r1s2_stride9x1_pad0-9x0_out1x1",
    "n2c150h5w6_k17r3s3_pad1",
    "n1c2h3w131_k5r3s3_pad1",
    "n0c4h6w7_k6r3s2_groups2",
    # First layers, and last ones.
    "n1c3h23w25_k8r7s7_stride2_pad3",
    "n2c3h19w21_k16r3s3_stride2_pad1",
    "n1c3h21w27_k17r4s4_stride4_pad0-0x1-2",
    "n1c3h13w47_k9r3s3_pad1",
    "n2c2h17w31_k12r5s5_stride2_pad2",
    "n2c6h20w21_k1r3s3_pad1",
    "n1c21h9w35_k2r3s3_pad1",
    "n2c11h13w17_k3r5s5_pad2",
    # Many channels: dense, one axis at a time, strided, dilated; larger than a tile.
    "n2c17h11w13_k18r3s3_pad1",
    "n3c16h9w7_k33r3s3_pad1-2x2-0",
    "n1c19h14w11_k18r5s5_pad2x1",
    "n1c4h3w3_k3r3s3",
    "n2c17h9w15_k18r1s3_pad0x1",
    "n2c19h15w9_k17r3s1_pad1x0",
    "n1c18h7w23_k19r1s7_pad0x3",
    "n1c17h23w7_k21r7s1_pad3x0",
    "n1c18h15w13_k17r3s3_stride2_pad1",
    "n1c17h17w19_k18r5s5_stride2_pad2",
    "n1c18h13w15_k17r3s3_dilation2_pad2",
    "n1c24h29w31_k33r3s3_pad1",
    "n2c33h27w29_k34r3s3_stride2x2_pad1-0x1-0",
    "n1c129h9w7_k131r3s3_pad1",
    "n37c5h14w15_k9r5s5_pad2",
    "n1c67h11w13_k71r1s1",
    # Matrices: a kernel as large as its image.
    "n3c5h6w7_k4r6s7",
    "n2c31h4w3_k29r4s3",
    # Groups of many and of few channels.
    "n2c12h9w11_k8r3s3_pad1_groups4",
    "n2c34h9w7_k38r3s3_pad1_groups2",
    "n2c20h9w11_k28r3s3_pad1_groups4",
    "n2c12h10w29_k12r3s3_pad1_groups3",
    "n1c12h6w7_k4r2s2_groups4",
    "n1c3h5w7_k3r1s1_groups3",
    "n2c20h9w16_k40r3s3_pad1x2_groups20",
    # Depthwise: rows longer and shorter than vectors, more and fewer channels than a vector has lanes.
    "n2c7h17w19_k7r3s3_pad1_groups7",
    "n2c5h8w3_k5r3s3_pad1_groups5",
    "n1c3h6w19_k3r3s3_groups3",
    "n2c37h3w4_k37r3s3_pad1x0_groups37",
    "n1c33h14w33_k33r5s3_stride2_pad2x1_groups33",
    "n2c17h19w21_k17r3s4_stride2x3_pad1-0x2-1_groups17",
    "n1c18h17w20_k18r3s3_stride4x2_dilation2x4_pad3x1_groups18",
    "n1c19h21w33_k19r13s9_pad6x4_groups19",
    "n2c35h13w11_k35r1s1_groups35",
    "n2c67h33w35_k67r3s3_pad1x1_groups67",
)
#: With rows of every length, which decides the remainder at the end of an image: dense, read in place and
#: not, grouped, and depthwise.
LENGTHS = range(17, 34)
ROWS = (
    "n1c5h1w{}_k18r1s1",
    "n2c6h2w{}_k17r2s3",
    "n1c3h2w{}_k5r1s3_pad0x1-0",
    "n1c6h2w{}_k3r1s2_groups3",
    "n1c16h2w{}_k16r2s3_groups16",
)
#: The number of further random problems of each primitive; half of them with more channels.
RANDOM = 12


class Case(NamedTuple):
    """One problem under one set of options."""

    problem: Problem
    options: RunOptions

    def __str__(self) -> str:
        own = self.options.backend
        changed = {
            field.name: getattr(own, field.name)
            for field in dataclasses.fields(own)
            if getattr(own, field.name) != field.default
        }
        changed |= {} if self.options.workspace_limit else {"workspace_limit": 0}
        return " ".join([str(self.problem), *(f"{name}={value}" for name, value in changed.items())])


def problems(dtype: str, width: int) -> Iterator[Problem]:
    """Yield the fixed problems and random ones, which differ for each dtype and width."""
    rows = [row.format(length) for row in ROWS for length in LENGTHS]
    for geometry in (*GEOMETRIES, *rows):
        for primitive in PRIMITIVES:
            yield Problem.parse(f"{primitive}_{dtype}_{geometry}")
    generator = np.random.default_rng([width, *dtype.encode()])
    for _ in range(RANDOM // 2):
        for primitive in PRIMITIVES:
            yield random_problem(generator, primitive, dtype)
            yield _with_channels(random_problem(generator, primitive, dtype), generator)


def _with_channels(problem: Problem, generator: np.random.Generator) -> Problem:
    """Return a problem with enough channels a group to fill vectors, or, once in three, a depthwise one."""
    one, other = (int(count) for count in generator.integers(1, 45, 2))
    if one % 3 == 0:
        return problem.replace(groups=other, in_channels=other, out_channels=other)
    groups = min(problem.groups, 2)
    return problem.replace(groups=groups, in_channels=groups * one, out_channels=groups * other)


def variants(own: type, width: int) -> list[RunOptions]:
    """Return options with each of the engine's own settings changed, one at a time, and with no workspace.

    Two threads are allowed, but only problems large enough use them.
    """
    kinds: dict[str, Any] = typing.get_type_hints(own)
    made = [{}]
    for field in dataclasses.fields(own):
        choices = typing.get_args(kinds[field.name]) or (True, False)
        if field.name != "vector_bits":
            made += [{field.name: choice} for choice in choices if choice != field.default]
    usual = [RunOptions(backend=own(vector_bits=width, **fields)) for fields in made]
    usual.append(RunOptions(threads=2, backend=own(vector_bits=width)))
    return [*usual, RunOptions(threads=2, workspace_limit=0, backend=own(vector_bits=width))]


def cases(dtype: str, width: int) -> Iterator[tuple[Case, str]]:
    """Yield each case with the algorithm that runs it; options that change no plan are left out."""
    import convhub_numba
    from convhub_numba.planner import make_plan

    options = variants(convhub_numba.Options, width)
    for problem in problems(dtype, width):
        seen = set()
        for chosen in options:
            if not chosen.workspace_limit and problem.macs > 10**5:
                continue
            made = make_plan(problem, chosen)
            if repr(made) not in seen:
                seen.add(repr(made))
                yield Case(problem, chosen), made.algorithm


def one_of_each(dtype: str, width: int) -> dict[tuple[str, str], Case]:
    """Return the smallest case of each algorithm and primitive that a dtype has."""
    chosen: dict[tuple[str, str], Case] = {}
    for case, algorithm in cases(dtype, width):
        key = (algorithm, case.problem.primitive)
        if key not in chosen or case.problem.macs < chosen[key].problem.macs:
            chosen[key] = case
    return chosen
