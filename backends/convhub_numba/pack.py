"""Bringing the source of a correlation into an order that vectors can read.

`load_planes` copies a piece of the source with its zero padding, split by the phase of rows and columns, so
that whatever the stride, neighbouring outputs read neighbouring elements and no boundary needs a test.
`list_runs` and `pack_panel` then gather the columns of a matrix product, a few pixels wide, from it.
"""

from __future__ import annotations

from numba import njit

from .moves import copy_even, copy_vector, pack_runs
from .narrow import widened

__all__ = ["copy_run", "list_runs", "load_planes", "pack_panel"]


@njit(nogil=True, error_model="numpy")
def copy_run(to, to_offset, source, offset, length, lanes):  # type: ignore[no-untyped-def]
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


@njit(nogil=True, error_model="numpy")
def load_planes(pad, source, n0, n1, c0, c1, phases, step_h, step_w, row0, rows, column0, columns, lanes):  # type: ignore[no-untyped-def]
    """Fill ``pad[c, phase, n, row, column]`` with the source's pixel, widened, or zero where there is none.

    The pixel of row i and column j in the plane of phase (u, v) is at
    ``(row0 + i) * step_h + u``, ``(column0 + j) * step_w + v``.
    """
    H, W = source.shape[2], source.shape[3]
    zero = pad.dtype.type(0)
    stride_n, stride_c, stride_h, stride_w = source.strides
    item = source.itemsize
    dense = step_w <= 2 and stride_w == item and (stride_n | stride_c | stride_h) % item == 0
    at = 0
    for c in range(c0, c1):
        for f in range(phases.shape[0]):
            left = min(columns, max(0, -column0))
            right = max(left, min(columns, (W - phases[f, 1] + step_w - 1) // step_w - column0))
            top = min(rows, max(0, -row0))
            bottom = max(top, min(rows, (H - phases[f, 0] + step_h - 1) // step_h - row0))
            length = right - left
            # Whole rows that follow one another are copied as one.
            one_run = step_h == 1 and length == columns == W and stride_h == W * item
            for n in range(n0, n1):
                if length < columns or bottom - top < rows:
                    pad[at : at + rows * columns] = zero
                for i in range(top, bottom):
                    h = (row0 + i) * step_h + phases[f, 0]
                    w = (column0 + left) * step_w + phases[f, 1]
                    to = at + i * columns + left
                    start = (n * stride_n + c * stride_c + h * stride_h) // item + w
                    if dense and step_w == 1:
                        if one_run:
                            copy_run(pad, to, source, start, (bottom - top) * columns, lanes)
                            break
                        copy_run(pad, to, source, start, length, lanes)
                        continue
                    j = 0
                    if dense and step_w == 2:
                        # Two vectors are read for one: never past the end of the row.
                        while j + lanes <= length and w + 2 * lanes <= W:
                            copy_even(pad, to + j, source, start + 2 * j, lanes)
                            j += lanes
                            w += 2 * lanes
                    while j < length:
                        pad[to + j] = widened(source[n, c, h, w])
                        j += 1
                        w += step_w
                at += rows * columns


@njit(nogil=True, error_model="numpy")
def list_runs(runs, first, last, rows, columns, pitch, image_pitch, lanes):  # type: ignore[no-untyped-def]
    """List where pixels `first` to `last` lie, in runs of at most `lanes` that are contiguous.

    Pixels are counted along columns, rows and images. Run i is (place in the panel, place in the source,
    length) at ``runs[3 * i]``; returns how many runs there are.
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


@njit(nogil=True, error_model="numpy")
def pack_panel(panel, width, source, runs, run_count, offsets, count, reach, readable, lanes):  # type: ignore[no-untyped-def]
    """Fill ``panel[t, j]`` with ``source[place of pixel j + offsets[t]]`` for `count` terms `t`.

    Short runs are copied a whole vector at a time: what that writes too much is overwritten by the next
    run or the next term, and the panel has room for a vector more. `reach` is the largest offset; nothing
    at or past `readable` is read.
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
