"""Draws random problems by hypothesis, which shrinks failures to their smallest form."""

from __future__ import annotations

from hypothesis import strategies as st

from ...backend import Backend
from ...problem import Problem
from .cases import fit, narrowed

__all__ = ["problems"]


@st.composite
def problems(draw: st.DrawFn, backend: Backend, device: str = "cpu", largest: int = 10**6) -> Problem:
    """Draw a problem that `backend` declares, of at most `largest` multiply-accumulates.

    Problems shrink toward sizes of one. The backend's `supports` is not called.
    """

    def small(least: int, most: int) -> int:
        return draw(st.integers(least, most))

    def two(least: int, most: int) -> tuple[int, int]:
        return (small(least, most), small(least, most))

    capabilities = backend.capabilities
    groups = small(1, 4)
    kernel_size, output_size = two(1, 5), two(1, 8)
    channels = (small(1, 9), small(1, 9))
    # Problems that are too large are reduced, not discarded: few would be left for a slow backend.
    while _macs(groups, channels, kernel_size, output_size) * 2 > largest:
        channels = (max(1, channels[0] // 2), max(1, channels[1] // 2))
        output_size = (max(1, output_size[0] - 1), max(1, output_size[1] - 1))
        groups = max(1, groups - 1)
    primitive = draw(st.sampled_from([p for p in backend.primitives if capabilities.dtypes_of(p)]))
    drawn = {
        "primitive": primitive,
        "dtype": draw(st.sampled_from(_simplest_first(capabilities.dtypes_of(primitive)))),
        "device": device,
        "batch": draw(st.sampled_from((1, 2, 0))),
        "groups": groups,
        "in_channels": groups * channels[0],
        "out_channels": groups * channels[1],
        "output_size": output_size,
        "kernel_size": kernel_size,
        "stride": two(1, 4),
        "dilation": two(1, 3),
        "padding": (two(0, 4), two(0, 4)),
        "unused": two(0, 3),
    }
    return fit(**narrowed(drawn, capabilities))


def _simplest_first(dtypes: tuple[str, ...]) -> list[str]:
    return sorted(dtypes, key=lambda dtype: {"float32": 0, "float64": 1}.get(dtype, 2))


def _macs(groups: int, channels: tuple[int, int], kernel: tuple[int, int], output: tuple[int, int]) -> int:
    return groups * channels[0] * channels[1] * kernel[0] * kernel[1] * output[0] * output[1]
