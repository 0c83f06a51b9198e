"""Random problems for hypothesis, which shrinks what fails to its smallest form."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from ..problem import PRIMITIVES, Problem
from .cases import fit

__all__ = ["problems"]


@st.composite
def problems(draw: st.DrawFn, dtypes: Sequence[str], device: str = "cpu", largest: int = 10**6) -> Problem:
    """Draw a problem of at most `largest` multiply-accumulates; simpler ones shrink toward all ones.

    Parameters
    ----------
    dtypes : sequence of str
        Simplest first.
    """

    def small(least: int, most: int) -> int:
        return draw(st.integers(least, most))

    def two(least: int, most: int) -> tuple[int, int]:
        return (small(least, most), small(least, most))

    groups = small(1, 4)
    kernel_size, output_size = two(1, 5), two(1, 8)
    channels = (small(1, 9), small(1, 9))
    # What is too large is cut down, not thrown away: few problems of a slow backend would be left.
    while _macs(groups, channels, kernel_size, output_size) * 2 > largest:
        channels = (max(1, channels[0] // 2), max(1, channels[1] // 2))
        output_size = (max(1, output_size[0] - 1), max(1, output_size[1] - 1))
        groups = max(1, groups - 1)
    return fit(
        primitive=draw(st.sampled_from(PRIMITIVES)),
        dtype=draw(st.sampled_from(tuple(dtypes))),
        device=device,
        batch=draw(st.sampled_from((1, 2, 0))),
        groups=groups,
        in_channels=groups * channels[0],
        out_channels=groups * channels[1],
        output_size=output_size,
        kernel_size=kernel_size,
        stride=two(1, 4),
        dilation=two(1, 3),
        padding=(two(0, 4), two(0, 4)),
        unused=two(0, 3),
    )


def _macs(groups: int, channels: tuple[int, int], kernel: tuple[int, int], output: tuple[int, int]) -> int:
    return groups * channels[0] * channels[1] * kernel[0] * kernel[1] * output[0] * output[1]
