"""Brings the source of a correlation into an order that vectors can read.

`load_planes` copies a piece of the source with its zero padding, split by the phase of rows and columns, so
that whatever the stride, neighbouring outputs read neighbouring elements and no boundary needs a test.
`list_runs` and `pack_panel` then gather the columns of a matrix product, a few pixels wide, from it.
"""

from __future__ import annotations

import numpy as np

from .. import jit
from ..vectors.half import widen
from ..vectors.moves import clear_vector, copy_every, copy_vector, pack_runs

__all__ = ["WHOLE", "copy_run", "list_runs", "load_planes", "pack_panel"]

WHOLE = np.zeros((1, 2), np.int64)  # the one phase of an array that is not split


@jit.part()
def copy_run(to, to_offset, source, offset, length, lanes):
    """Copy `length` elements that lie side by side; the last vector overlaps the one before."""
    if length >= lanes:
        for j in range(0, length - lanes, lanes):
            copy_vector(to, to_offset + j, source, offset + j, lanes)
        copy_vector(to, to_offset + length - lanes, source, offset + length - lanes, lanes)
    elif length >= 4:
        for j in range(0, length - 4, 4):
            copy_vector(to, to_offset + j, source, offset + j, 4)
        copy_vector(to, to_offset + length - 4, source, offset + length - 4, 4)
    else:
        for j in range(length):
            copy_vector(to, to_offset + j, source, offset + j, 1)


@jit.kernel()
def load_planes(pad, source, n0, n1, c0, c1, phases, step_h, step_w, row0, rows, column0, columns, lanes):
    """Fill ``pad[c, phase, n, row, column]`` with the source's pixel, widened, or zero where there is none.

    The pixel of row i and column j in the plane of phase (u, v) is at
    ``(row0 + i) * step_h + u``, ``(column0 + j) * step_w + v``. Rows are written in order, each overwriting
    the excess of the previous row's vectors; `pad` has room for one more vector. This is all one function,
    because passing arrays to another costs more than a short row.
    """
    H, W = source.shape[2], source.shape[3]
    zero, quarter = pad.dtype.type(0), max(1, lanes // 4)
    stride_n, stride_c, stride_h, stride_w = source.strides
    item = source.itemsize
    dense = stride_w == item and (stride_n | stride_c | stride_h) % item == 0
    dense = dense and stride_n >= 0 and stride_c >= 0 and stride_h >= 0
    stride_n, stride_c, stride_h = stride_n // item, stride_c // item, stride_h // item
    end = (source.shape[0] - 1) * stride_n + (source.shape[1] - 1) * stride_c + (H - 1) * stride_h + W
    at = 0
    for c in range(c0, c1):
        for f in range(phases.shape[0]):
            left = min(columns, max(0, -column0))
            right = max(left, min(columns, (W - phases[f, 1] + step_w - 1) // step_w - column0))
            top = min(rows, max(0, -row0))
            bottom = max(top, min(rows, (H - phases[f, 0] + step_h - 1) // step_h - row0))
            # Whole rows that follow one another are copied as one.
            one_run = dense and step_h == step_w == 1 and right - left == columns == W and stride_h == W
            for n in range(n0, n1):
                if left == right:
                    for k in range(at, at + rows * columns):
                        pad[k] = zero
                    at += rows * columns
                    continue
                for k in range(at, at + top * columns):
                    pad[k] = zero
                for i in range(top, bottom):
                    to = at + i * columns
                    h = (row0 + i) * step_h + phases[f, 0]
                    w = (column0 + left) * step_w + phases[f, 1]
                    if one_run:
                        copy_run(pad, to, source, n * stride_n + c * stride_c + h * stride_h,
                                 (bottom - top) * columns, lanes)  # fmt: skip
                        break
                    if left > 0:  # mostly less than a vector; a longer loop becomes a call of memset
                        clear_vector(pad, to, lanes)
                        for k in range(lanes, left):
                            pad[to + k] = zero
                    j = left
                    start = n * stride_n + c * stride_c + h * stride_h + w - left * step_w
                    if dense and step_w == 1:
                        while j + lanes <= right:
                            copy_vector(pad, to + j, source, start + j, lanes)
                            j += lanes
                        if j < right and right - left >= lanes:
                            copy_vector(pad, to + right - lanes, source, start + right - lanes, lanes)
                            j = right
                        elif j < right and start + j + lanes <= end:
                            copy_vector(pad, to + j, source, start + j, lanes)
                            j = right
                    elif dense and step_w == 2:
                        while j < right and start + 2 * (j + lanes) <= end:
                            copy_every(pad, to + j, source, start + 2 * j, 2, 1, lanes)
                            j += lanes
                    elif dense and step_w == 4:
                        while j + lanes // 4 < right and start + 4 * (j + lanes) <= end:
                            copy_every(pad, to + j, source, start + 4 * j, 4, 1, lanes)
                            j += lanes
                        while j < right and start + 4 * (j + quarter) <= end:
                            copy_every(pad, to + j, source, start + 4 * j, 4, 4, lanes)
                            j += quarter
                    while j < right:
                        pad[to + j] = widen(source[n, c, h, w + (j - left) * step_w])
                        j += 1
                    if right < columns:
                        clear_vector(pad, to + right, lanes)
                        for k in range(right + lanes, columns):
                            pad[to + k] = zero
                for k in range(at + bottom * columns, at + rows * columns):
                    pad[k] = zero
                at += rows * columns


@jit.part()
def list_runs(runs, first, last, rows, columns, pitch, image_pitch, lanes):
    """List where pixels `first` to `last` lie, in runs of at most `lanes` that are contiguous.

    Pixels are counted along columns, rows and images. Run i is (place in the panel, place in the source,
    length) at ``runs[3 * i]``. Return the number of runs.
    """
    image = rows * columns
    line = image if pitch == columns else columns
    count = 0
    pixel = first
    while pixel < last:
        n, within = pixel // image, pixel % image
        start = n * image_pitch + (within // line) * pitch + within % line
        length = min(last - pixel, line - within % line)
        for step in range(0, length, lanes):
            runs[3 * count] = pixel - first + step
            runs[3 * count + 1] = start + step
            runs[3 * count + 2] = min(lanes, length - step)
            count += 1
        pixel += length
    return count


@jit.part()
def pack_panel(panel, width, source, runs, run_count, offsets, count, reach, readable, lanes):
    """Fill ``panel[t, j]`` with ``source[place of pixel j + offsets[t]]`` for `count` terms `t`.

    Short runs are copied a whole vector at a time: the excess is overwritten by the next run or the next
    term, and the panel has room for one more vector. `reach` is the largest offset; nothing at or past
    `readable` is read.
    """
    safe = True
    for i in range(run_count):
        safe = safe and runs[3 * i + 1] + reach + lanes <= readable
    if safe and run_count == 3:
        pack_runs(panel, width, source, runs, offsets, count, 3, lanes)
    elif safe and run_count == 4:
        pack_runs(panel, width, source, runs, offsets, count, 4, lanes)
    elif safe and run_count == 5:
        pack_runs(panel, width, source, runs, offsets, count, 5, lanes)
    else:
        for t in range(count):
            for i in range(run_count):
                to, start = t * width + runs[3 * i], runs[3 * i + 1] + offsets[t]
                if safe:
                    copy_vector(panel, to, source, start, lanes)
                else:
                    for j in range(runs[3 * i + 2]):
                        panel[to + j] = source[start + j]
