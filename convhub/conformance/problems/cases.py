"""Lists the problems of the suite: parameters crossed in pairs, named edges, larger ones, random ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...backend import Backend, Capabilities
from ...errors import ArgumentError
from ...problem import PRIMITIVES, Pair, Primitive, Problem
from .covering import covering

__all__ = [
    "EDGES",
    "LARGE",
    "LONG_SUMS",
    "TAPS",
    "crossed",
    "declared_problem",
    "edges",
    "fit",
    "forked",
    "large",
    "long_sums",
    "narrowed",
    "random_problem",
    "taps",
]

Sides = tuple[Pair, Pair]

#: (groups, input channels per group, output channels per group): dense, odd, prime and wider than any vector;
#: grouped; depthwise; depthwise with a multiplier.
CHANNELS = ((1, 1, 1), (1, 3, 5), (1, 17, 2), (1, 2, 33), (2, 2, 3), (3, 5, 1), (5, 1, 1), (4, 1, 3))

#: The parameters that are crossed; each pair of values occurs at least once.
FACTORS: dict[str, Sequence[Any]] = {
    "primitive": PRIMITIVES,
    "channels": CHANNELS,
    "batch": (1, 2, 3),
    "output": ((5, 7), (1, 1), (1, 9), (8, 3), (2, 17)),
    "kernel": ((3, 3), (1, 1), (2, 5), (4, 1), (1, 3), (5, 5)),
    "stride": ((1, 1), (2, 2), (1, 3), (3, 2), (5, 1)),
    "dilation": ((1, 1), (2, 1), (1, 3), (2, 2)),
    "padding": (((0, 0), (0, 0)), ((1, 1), (2, 2)), ((1, 0), (0, 2)), ((0, 3), (2, 1)), ((0, 0), (1, 1))),
    "unused": ((0, 0), (1, 0), (0, 2), (3, 1)),
}

#: Named edges. Dtypes are added, so they are written without one.
EDGES: dict[str, str] = {
    "one pixel, one weight": "n1c1h1w1_k1r1s1",
    "pointwise": "n2c19h7w5_k23r1s1",
    "pointwise with stride": "n2c7h9w8_k5r1s1_stride2x3",
    "pointwise with padding": "n1c3h4w5_k2r1s1_pad2x1",
    "kernel as large as the image": "n3c5h6w7_k4r6s7",
    "kernel larger than the image": "n1c2h2w3_k3r5s5_pad2x1",
    "stride larger than the kernel": "n2c3h23w19_k4r2s3_stride5x4",
    "stride beyond the image": "n1c3h4w5_k2r3s3_stride9x9",
    "dilation on both axes": "n1c4h15w17_k5r3s3_dilation2x3_pad2x3",
    "dilation, stride and groups": "n2c6h19w16_k9r3s2_stride2x3_dilation3x2_pad3x1_groups3",
    "dilated beyond the image": "n1c2h5w6_k2r3s3_dilation4x5_pad4x5",
    "depthwise": "n2c13h9w11_k13r3s3_pad1x1_groups13",
    "depthwise with a multiplier": "n1c7h8w9_k21r3s5_pad1x2_stride2x1_groups7",
    "depthwise with stride and dilation": "n2c5h14w13_k5r3s3_stride2x2_dilation2x2_pad2x2_groups5",
    "groups of one input channel each": "n1c4h6w7_k12r2s2_groups4",
    "groups of one output channel each": "n1c12h6w7_k4r2s2_groups4",
    "asymmetric padding": "n2c3h7w6_k4r3s3_pad0-2x1-0",
    "asymmetric padding with stride": "n1c3h10w7_k4r4s3_stride3x2_pad1-2x0-3",
    "padding as wide as the kernel": "n1c2h4w5_k3r3s3_pad3x3",
    "padding wider than the kernel": "n1c2h3w4_k3r2s2_pad5x4",
    "one side padded": "n1c2h6w6_k3r3s2_pad2-0x0",
    "fewer outputs than fit": "n2c3h11w12_k4r3s3_stride2x2_pad1x1_out4x5",
    "output_padding of the stride or more": "n1c3h12w14_k4r3s3_stride2x2_dilation3x4_out2x2",
    "one output of many": "n2c3h9w8_k4r3s3_out1x1",
    "tall": "n1c3h129w1_k4r5s1_pad2x0",
    "wide": "n1c3h1w131_k4r1s5_pad0x2_stride1x2",
    "tall kernel": "n1c2h31w5_k3r17s1",
    "wide kernel": "n1c2h5w37_k3r1s19_pad0x9",
    "empty batch": "n0c3h5w6_k4r3s2_stride2x1_pad1x0",
    "empty batch, grouped": "n0c4h5w6_k6r3s3_groups2",
    "prime channels past one vector": "n1c17h5w6_k17r3s3_pad1x1",
    "prime channels past two vectors": "n1c33h4w5_k37r2s3",
    "many channels, one pixel": "n1c67h1w1_k71r1s1",
    "many channels, kernel of the image": "n2c31h4w3_k29r4s3",
    "many images": "n41c2h3w4_k3r2s2",
    "first layer": "n1c3h21w23_k8r7s7_stride2x2_pad3x3",
    "row of more than 512 pixels": "n1c1h2w521_k2r1s3_pad0x1",
    "every parameter at once": "n2c6h7w9_k4r3s2_stride2x1_pad1-0x0-2_dilation1x2_groups2",
    "sum over many channels": "n1c131h3w3_k3r3s3",
    "sum over many output channels": "n1c3h2w2_k401r1s1",
    "sum over many pixels": "n5c1h17w16_k2r2s1",
    "rows just past a vector": "n1c2h3w17_k2r3s3_pad1x1",
    "rows just short of a vector": "n1c2h3w15_k2r3s3_pad1x1",
}

#: Problems too large for one tile or one thread, of about 10**6 to 10**7 products each.
LARGE: dict[str, str] = {
    "first layer": "n1c3h65w67_k16r7s7_stride2x2_pad3x3",
    "square": "n1c24h29w31_k33r3s3_pad1x1",
    "deep": "n1c129h9w7_k131r3s3_pad1x1",
    "pointwise, deep": "n1c257h11w13_k67r1s1",
    "strided": "n2c33h27w29_k34r3s3_stride2x2_pad1-0x1-0",
    "grouped": "n2c64h19w21_k96r3s3_pad1x1_groups4",
    "depthwise": "n2c67h33w35_k67r3s3_pad1x1_groups67",
    "dilated": "n1c20h37w35_k24r3s3_dilation2x2_pad2x2",
    "wide image": "n1c4h33w515_k8r3s3_pad1x1",
    "many images": "n37c5h14w15_k9r5s5_pad2x2",
}

#: Every number of taps for which transforms are used, equal and mixed, with enough channels for them;
#: grad_weight has short sums, in which the errors of transforms weigh most.
TAPS: dict[str, str] = {
    "2x2 taps": "n1c32h8w9_k32r2s2_pad1x1",
    "3x3 taps": "n1c32h8w9_k32r3s3_pad1x1",
    "4x4 taps": "n1c32h8w9_k32r4s4_pad2x1",
    "5x5 taps": "n1c32h8w9_k32r5s5_pad2x2",
    "6x6 taps": "n1c32h8w9_k32r6s6_pad3x2",
    "7x7 taps": "n1c32h8w9_k32r7s7_pad3x3",
    "3x7 taps": "n1c32h8w9_k32r3s7_pad1x3",
    "6x3 taps": "n1c32h8w9_k32r6s3_pad2x1",
    "2x5 taps": "n1c32h8w9_k32r2s5_pad1x2",
    "7x4 taps": "n1c32h8w9_k32r7s4_pad3x2",
    "5x6 taps": "n1c32h8w9_k32r5s6_pad2x3",
    "1x7 taps": "n2c33h5w9_k35r1s7_pad0x3",
    "7x7 taps with stride": "n1c32h13w14_k32r7s7_stride2x2_pad3x3",
    "5x7 taps with dilation": "n1c32h13w14_k16r5s7_dilation2x2_pad4x6",
}


#: The numbers of terms; some shapes use only the first, since they have many results.
LENGTHS = (2**16, 10**6)

#: Sums that are long along each axis in turn: `{0}` terms in total, `{1}` its root, `{2}` a 64th, `{3}` a
#: 16th. Then sums of the first length only: with many taps, many results, or many small images, which take
#: a backend that loops over images in Python minutes.
LONG_SUMS: dict[Primitive, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "forward": (
        ("n1c{0}h1w1_k1r1s1", "n1c{2}h8w8_k1r8s8"),
        ("n1c16h1w{3}_k1r1s{3}", "n1c{0}h3w3_k16r1s1"),
    ),
    "grad_input": (
        ("n1c1h1w1_k{0}r1s1", "n1c1h1w1_k{2}r8s8_pad7x7"),
        ("n1c1h1w1_k256r1s256_pad0x255", "n1c16h3w3_k{0}r1s1"),
    ),
    "grad_weight": (
        ("n1c1h{1}w{1}_k1r1s1", "n{1}c1h1w{1}_k1r1s1", "n{2}c1h8w8_k1r1s1"),
        (
            "n{3}c1h4w4_k1r1s1",
            "n{2}c16h8w8_k16r1s1",
            "n{2}c16h8w8_k16r1s1_groups4",
            "n{2}c16h8w8_k16r1s1_groups16",
        ),
    ),
}


def long_sums(primitive: Primitive, dtype: str, device: str = "cpu") -> list[Problem]:
    """Return the problems of `LONG_SUMS`.

    Examples
    --------
    >>> {problem.terms for problem in long_sums("grad_weight", "float32")} == {65536, 1000000}
    True
    """
    single, several = LONG_SUMS[primitive]
    texts = [(text, length) for length in LENGTHS for text in single]
    texts += [(text, LENGTHS[0]) for text in several]
    return [
        _from_text(
            text.format(terms, round(terms**0.5), terms // 64, terms // 16),
            primitive,
            dtype,
            device,
        )
        for text, terms in texts
    ]


def crossed(dtypes: Sequence[str], device: str = "cpu") -> list[Problem]:
    """Return problems in which any two values of any two parameters meet, dtype included."""
    factors = {**FACTORS, "dtype": tuple(dtypes)}
    problems = [_from_factors(row, device) for row in covering(factors)]
    return list(dict.fromkeys(problems))


def edges(dtypes: Sequence[str], device: str = "cpu") -> list[Problem]:
    """Return each of `EDGES` for each primitive; dtypes take turns."""
    return _table(EDGES, dtypes, device)


def large(dtypes: Sequence[str], device: str = "cpu") -> list[Problem]:
    """Return each of `LARGE` for each primitive; dtypes take turns."""
    return _table(LARGE, dtypes, device)


def taps(dtypes: Sequence[str], device: str = "cpu") -> list[Problem]:
    """Return each of `TAPS` for each primitive; dtypes take turns."""
    return _table(TAPS, dtypes, device)


def forked(dtypes: Sequence[str], device: str = "cpu") -> list[Problem]:
    """Return the problems that forked processes compute: one that needs threads, and one that does not."""
    texts = {"large": LARGE["square"], "small": EDGES["depthwise"]}
    return _table(texts, dtypes, device)


def _table(texts: Mapping[str, str], dtypes: Sequence[str], device: str) -> list[Problem]:
    rows = zip(itertools.product(texts.values(), PRIMITIVES), itertools.cycle(dtypes), strict=False)
    return [_from_text(text, primitive, dtype, device) for (text, primitive), dtype in rows]


def _from_text(text: str, primitive: str, dtype: str, device: str) -> Problem:
    return Problem.parse(f"{primitive}_{dtype}_{text}_{device}")


def _from_factors(row: Mapping[str, Any], device: str) -> Problem:
    groups, in_channels, out_channels = row["channels"]
    return fit(
        primitive=row["primitive"],
        dtype=row["dtype"],
        device=device,
        batch=row["batch"],
        groups=groups,
        in_channels=groups * in_channels,
        out_channels=groups * out_channels,
        output_size=row["output"],
        kernel_size=row["kernel"],
        stride=row["stride"],
        dilation=row["dilation"],
        padding=row["padding"],
        unused=row["unused"],
    )


def fit(*, output_size: Pair, unused: Pair = (0, 0), **others: Any) -> Problem:
    """Return a problem whose input is as large as `output_size` needs, or a little larger.

    Parameters
    ----------
    output_size : (int, int)
        The output is larger only if padding alone makes it so.
    unused : (int, int)
        Rows and columns of the input that no window needs to reach. Where more outputs would fit, the
        problem still has `output_size`, as that of a transposed convolution with `output_padding`.
    **others
        The other fields of `Problem`.
    """
    sizes: list[int] = []
    for axis in (0, 1):
        reach = others["dilation"][axis] * (others["kernel_size"][axis] - 1) + 1
        needed = (output_size[axis] - 1) * others["stride"][axis] + reach - sum(others["padding"][axis])
        sizes.append(max(needed, 1) + unused[axis])
    return Problem(input_size=(sizes[0], sizes[1]), output_size=output_size, **others)


def random_problem(
    rng: np.random.Generator, primitive: Primitive, dtype: str, within: Capabilities | None = None
) -> Problem:
    """Return a small random problem: each parameter is drawn independently, small values more often.

    Parameters
    ----------
    within : Capabilities, optional
        The features it may have; by default all.
    """

    def small(least: int, most: int) -> int:
        return min(int(rng.integers(least, most + 1)), int(rng.integers(least, most + 1)))

    def two(least: int, most: int) -> Pair:
        return (small(least, most), small(least, most))

    groups = small(1, 5)
    drawn: dict[str, Any] = {
        "primitive": primitive,
        "dtype": dtype,
        "batch": small(0, 4) or small(0, 4),
        "groups": groups,
        "in_channels": groups * small(1, 9),
        "out_channels": groups * small(1, 9),
        "output_size": two(1, 10),
        "kernel_size": two(1, 5),
        "stride": two(1, 4),
        "dilation": two(1, 3),
        "padding": (two(0, 3), two(0, 3)) if rng.random() < 0.5 else _symmetric(two(0, 3)),
        "unused": two(0, 3),
    }
    return fit(**(drawn if within is None else narrowed(drawn, within)))


def declared_problem(rng: np.random.Generator, backend: Backend, device: str = "cpu") -> Problem:
    """Return a small random problem that `backend` declares; its `supports` is not called.

    Raises
    ------
    ArgumentError
        If the backend declares nothing.
    """
    primitives = [p for p in backend.primitives if backend.capabilities.dtypes_of(p)]
    if not primitives:
        raise ArgumentError(f"backend is {backend.name!r}, which offers no primitive in any dtype")
    primitive = primitives[rng.integers(len(primitives))]
    dtypes = backend.capabilities.dtypes_of(primitive)
    usual = [dtype for dtype in dtypes if dtype in ("float32", "float64")]
    if usual and rng.random() < 0.5:  # or these would be rare among many
        dtypes = tuple(usual)
    dtype = dtypes[rng.integers(len(dtypes))]
    return random_problem(rng, primitive, dtype, backend.capabilities).replace(device=device)


def narrowed(drawn: Mapping[str, Any], capabilities: Capabilities) -> dict[str, Any]:
    """Return parameters for `fit`; those that `capabilities` exclude get their usual values."""
    found = dict(drawn)
    if not capabilities.groups:
        for name in ("in_channels", "out_channels"):
            found[name] //= found["groups"]
        found["groups"] = 1
    if not capabilities.stride:
        found["stride"] = (1, 1)
    if not capabilities.dilation:
        found["dilation"] = (1, 1)
    if not capabilities.padding:
        found["padding"] = _symmetric((0, 0))
    if not capabilities.asymmetric_padding:
        found["padding"] = _symmetric((found["padding"][0][0], found["padding"][1][0]))
    return found


def _symmetric(padding: Pair) -> Sides:
    return ((padding[0], padding[0]), (padding[1], padding[1]))
