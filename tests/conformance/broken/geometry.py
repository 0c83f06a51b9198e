"""Faults of geometry: a pixel meets the wrong weight. Each is in all three primitives in turn."""

from __future__ import annotations

import functools

import numpy as np
from conformance.correct.gather import ABSENT, compute, inside, positions, right_map
from conformance.correct.widths import narrow, widen

from .faults import fault

#: What sees that a sum has wrong terms, without rounding coming into it.
NUMBERS = ("random data", "positive data", "exact integers")


def wrong_map(*checks):
    """Make a function from a problem to wrong tables a fault."""

    def add(function):
        @functools.wraps(function)
        def faulty(right, first, second, bias, problem, options):
            given = (widen(first), widen(second), widen(bias))
            return narrow(compute(function(problem), *given, problem), problem)

        return fault(*checks)(faulty)

    return add


def moved(problem, **changes):
    """Return the right tables but for `positions` with other parameters; each is a pair, one for an axis."""
    rows, columns = (
        inside(
            problem, axis, positions(problem, axis, **{name: pair[axis] for name, pair in changes.items()})
        )
        for axis in (0, 1)
    )
    return right_map(problem)._replace(rows=rows, columns=columns)


# --- stride and dilation ----------------------------------------------------------------------------------


@wrong_map(*NUMBERS, "adjoint", "agrees with torch")
def stride_swapped(problem):
    """Uses the stride of the rows for the columns, and vice versa."""
    return moved(problem, stride=problem.stride[::-1])


@wrong_map(*NUMBERS)
def stride_of_the_rows_for_both(problem):
    """Uses the stride of the rows for both axes."""
    return moved(problem, stride=(problem.stride[0],) * 2)


@wrong_map(*NUMBERS)
def dilation_swapped(problem):
    """Uses the dilation of the rows for the columns, and vice versa."""
    return moved(problem, dilation=problem.dilation[::-1])


@wrong_map(*NUMBERS, "adjoint")
def dilation_ignored(problem):
    """Treats every dilation as 1."""
    return moved(problem, dilation=(1, 1))


@wrong_map(*NUMBERS)
def stride_cut_to_the_kernel(problem):
    """Replaces a stride that is larger than the kernel with the kernel's size."""
    return moved(problem, stride=tuple(map(min, problem.stride, problem.kernel_size)))


# --- padding ----------------------------------------------------------------------------------------------


@wrong_map(*NUMBERS, "public functions")
def padding_mirrored(problem):
    """Swaps the padding of top and bottom, and of left and right."""
    return moved(problem, before=[side[1] for side in problem.padding])


@wrong_map(*NUMBERS)
def padding_swapped(problem):
    """Uses the padding of the rows for the columns, and vice versa."""
    return moved(problem, before=[side[0] for side in problem.padding[::-1]])


@wrong_map(*NUMBERS)
def padding_short_on_one_side(problem):
    """Has one column less of padding on the left."""
    (top, _), (left, _) = problem.padding
    return moved(problem, before=(top, max(0, left - 1)))


@wrong_map(*NUMBERS)
def border_replicated(problem):
    """Repeats the pixels of the border where zeros should be."""
    rows, columns = (np.clip(positions(problem, axis), 0, problem.input_size[axis] - 1) for axis in (0, 1))
    return right_map(problem)._replace(rows=rows, columns=columns)


@wrong_map(*NUMBERS)
def indices_wrap_around(problem):
    """Reads the padding from the other end of the image, as negative indices do in Python."""
    rows, columns = (positions(problem, axis) % problem.input_size[axis] for axis in (0, 1))
    return right_map(problem)._replace(rows=rows, columns=columns)


@wrong_map(*NUMBERS)
def padding_in_steps_of_dilation(problem):
    """Multiplies the padding by the dilation."""
    return moved(
        problem, before=[side[0] * d for side, d in zip(problem.padding, problem.dilation, strict=True)]
    )


# --- groups and channels ----------------------------------------------------------------------------------


@wrong_map(*NUMBERS, "torch tensors")
def groups_all_the_first(problem):
    """Lets every group read the channels of the first."""
    channels = right_map(problem).channels
    return right_map(problem)._replace(channels=np.broadcast_to(channels[0], channels.shape))


@wrong_map(*NUMBERS)
def groups_off_by_one(problem):
    """Lets each group read the channels of the next."""
    shifted = right_map(problem).channels + problem.group_channels[0]
    return right_map(problem)._replace(channels=shifted % problem.in_channels)


@wrong_map(*NUMBERS)
def groups_round_robin(problem):
    """Deals output channels to the groups in turn, not in blocks."""
    per_group = problem.group_channels[0]
    groups = np.arange(problem.out_channels) % problem.groups
    return right_map(problem)._replace(channels=groups[:, None] * per_group + np.arange(per_group))


@wrong_map(*NUMBERS)
def channels_interleaved(problem):
    """Uses every groups-th channel as a group, not a block of channels."""
    per_group = problem.group_channels[0]
    groups = np.arange(problem.out_channels) // (problem.group_channels[1])
    return right_map(problem)._replace(channels=groups[:, None] + np.arange(per_group) * problem.groups)


@wrong_map(*NUMBERS)
def multiplier_across_channels(problem):
    """Wrong only for depthwise with a multiplier: output channels read the channels in turn."""
    if not 1 < problem.groups == problem.in_channels < problem.out_channels:
        return right_map(problem)
    channels = (np.arange(problem.out_channels) % problem.in_channels)[:, None]
    return right_map(problem)._replace(channels=channels)


# --- kernels ----------------------------------------------------------------------------------------------


@wrong_map(*NUMBERS, "agrees with torch")
def kernel_flipped(problem):
    """Convolves in the mathematical sense, with the kernel flipped."""
    return right_map(problem)._replace(weights=right_map(problem).weights[:, ::-1, ::-1])


@wrong_map(*NUMBERS)
def kernel_transposed(problem):
    """Reads the kernel's columns as its rows."""
    weights = right_map(problem).weights
    C, R, S = weights.shape
    return right_map(problem)._replace(weights=weights.reshape(C, S, R).transpose(0, 2, 1))


@wrong_map(*NUMBERS)
def weight_channels_last(problem):
    """Reads the weight as if its channels came last."""
    weights = right_map(problem).weights
    C, R, S = weights.shape
    return right_map(problem)._replace(weights=weights.reshape(R, S, C).transpose(2, 0, 1))


@wrong_map(*NUMBERS)
def kernel_cut_to_the_image(problem):
    """Wrong only for kernels that reach beyond the image: leaves out the taps that exceed its size."""
    tables = right_map(problem)
    tables.rows[:, problem.input_size[0] :] = ABSENT
    tables.columns[:, problem.input_size[1] :] = ABSENT
    return tables


@wrong_map(*NUMBERS)
def last_tap_left_out(problem):
    """Wrong only for large kernels: loops over eight columns of a kernel, and forgets the rest."""
    tables = right_map(problem)
    tables.columns[:, 8:] = ABSENT
    return tables


@wrong_map(*NUMBERS)
def pointwise_stride_ignored(problem):
    """Wrong only for kernels of one weight: uses every pixel, not every stride-th."""
    return moved(problem, stride=(1, 1)) if problem.kernel_size == (1, 1) else right_map(problem)


@wrong_map(*NUMBERS)
def pointwise_padding_ignored(problem):
    """Wrong only for kernels of one weight: assumes that there is no padding."""
    return moved(problem, before=(0, 0)) if problem.kernel_size == (1, 1) else right_map(problem)


@wrong_map(*NUMBERS)
def one_row_taken_for_one_column(problem):
    """Wrong only for kernels of one row or one column: uses the padding of the other axis."""
    if 1 not in problem.kernel_size or problem.kernel_size == (1, 1):
        return right_map(problem)
    return moved(problem, before=[side[0] for side in problem.padding[::-1]])


# --- edges of the image -----------------------------------------------------------------------------------


@wrong_map(*NUMBERS)
def last_pixels_never_read(problem):
    """Stops one row before the image ends."""
    tables = right_map(problem)
    last = problem.input_size[0] - 1
    return tables._replace(rows=np.where(tables.rows == last, ABSENT, tables.rows))


@wrong_map(*NUMBERS, "adjoint")
def last_row_dropped(problem):
    """Leaves out the last row of the output."""
    tables = right_map(problem)
    tables.rows[-1] = ABSENT
    return tables


@wrong_map(*NUMBERS)
def last_column_dropped(problem):
    """Leaves out the last column of the output."""
    tables = right_map(problem)
    tables.columns[-1] = ABSENT
    return tables
