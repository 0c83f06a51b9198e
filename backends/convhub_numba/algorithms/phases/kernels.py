"""Computes grad_input with a stride, of few input channels: all phases of a row from one load of ``dy``.

A column of ``dx`` meets only the kernel columns of its phase (see `correlation`). Computing the phases one
after another reads ``dy`` once for each and writes every other column of ``dx``; where so few channels are
summed from a vector of ``dy``, that takes longer than the products. Here a register tile holds the channels
and column phases of a few vectors of one row of ``dx``, which is written whole.

Rows of kernels, one for each channel of ``dy`` and kernel row, are summed in blocks of few terms, blocks in
their order: the bits do not depend on how tasks are shared out.
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pack import WHOLE, copy_run
from ...runtime.calls import call
from ...vectors.half import widen
from ...vectors.phase_microkernel import interleave, phases_tile

__all__ = ["Sizes", "correlate"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    out_channels: int  # K, of dy
    out_rows: int  # H and W of dx
    out_columns: int
    step_h: int
    rows: int  # the most rows and columns that a phase of dx has
    columns: int
    shift_h: int  # least row of dy that row 0 of a phase of dx reads
    shift_w: int
    span_h: int  # how many rows more are read for each row of a phase
    span_w: int
    tile_rows: int
    tile_columns: int
    block_rows: int  # rows of kernels that are summed at once
    pad_items: int
    packed_items: int
    tile_items: int


@jit.part()
def pack_weight(packed, weight, rows, columns):
    """Lay the weight (1, C, K, R, S) out, ``packed[phase][k, row of the phase, column, c]``, widened."""
    at = 0
    C, K = weight.shape[1], weight.shape[2]
    start = 0
    while start < rows.shape[0]:
        end = start
        while end < rows.shape[0] and rows[end, 0] == rows[start, 0]:
            end += 1
        for k in range(K):
            for i in range(start, end):
                for j in range(columns.shape[0]):
                    for c in range(C):
                        packed[at] = widen(weight[0, c, k, rows[i, 1], columns[j, 0]])
                        at += 1
        start = end


@jit.part()
def list_vectors(bases, rows, columns, pitch, vectors, lanes):
    """List where the vectors that cover `rows` by `columns` begin in the source; return how many.

    A row's last vector is moved back to end with the row, and computes a few pixels twice. The list is
    filled up to a multiple of `vectors` with its last entry.
    """
    count = 0
    for a in range(rows):
        for b in range(0, columns, lanes):
            bases[count] = a * pitch + max(0, min(b, columns - lanes))
            count += 1
    filled = count
    while filled % vectors:
        bases[filled] = bases[count - 1]
        filled += 1
    return count


@jit.kernel()
def correlate(
    first, last, scratch, table, out, source, flat_source, weight, flat_weight, bias, columns, rows, sizes,
    planes_code, source_in_place, weight_in_place, height, vectors, lanes, taps, step, residue, dilation,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a tile of one image's ``dx``, in all channels and phases.

    The arguments are those of `gemm.kernels.correlate`, except that `columns` lists the kernel columns as
    `phase_microkernel.shared_columns` orders them, by the four literals at the end, and `rows` has (phase,
    kernel row, row of dy from the phase's first on).
    """
    K, C, W = sizes.out_channels, height, sizes.out_columns
    pad, at = scratch[: sizes.pad_items], sizes.pad_items
    packed = scratch[at : at + sizes.packed_items]
    at += sizes.packed_items
    tile, line = scratch[at : at + sizes.tile_items], scratch[at + sizes.tile_items :]
    bases, offsets = table[: table.size - K * rows.shape[0]], table[table.size - K * rows.shape[0] :]
    pack_weight(packed, weight, rows, columns)
    b_blocks = (sizes.columns + sizes.tile_columns - 1) // sizes.tile_columns
    a_blocks = (sizes.rows + sizes.tile_rows - 1) // sizes.tile_rows
    for task in range(first, last):
        b0 = task % b_blocks * sizes.tile_columns
        a0 = task // b_blocks % a_blocks * sizes.tile_rows
        n = task // b_blocks // a_blocks
        tile_rows, tile_columns = (
            min(sizes.rows - a0, sizes.tile_rows),
            min(sizes.columns - b0, sizes.tile_columns),
        )
        pad_rows, pitch = tile_rows + sizes.span_h, tile_columns + sizes.span_w
        call(planes_code, (
            pad, source, n, n + 1, 0, K, WHOLE, 1, 1, a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pitch,
            lanes,
        ))  # fmt: skip
        start = 0
        for phase in range(sizes.step_h):
            end = start
            while end < rows.shape[0] and rows[end, 0] == phase:
                end += 1
            # The numbers of rows of kernels of each phase, and of rows of dx in this tile.
            count, t = K * (end - start), 0
            for k in range(K):
                for i in range(start, end):
                    offsets[t] = (k * pad_rows + rows[i, 2]) * pitch
                    t += 1
            weights_at = start * K * taps * C
            start = end
            height_here = min(tile_rows, (sizes.out_rows - phase + sizes.step_h - 1) // sizes.step_h - a0)
            found = list_vectors(bases, height_here, tile_columns, pitch, vectors, lanes)
            for v in range(0, found, vectors):
                t0 = 0
                while True:
                    many = min(sizes.block_rows, count - t0)
                    phases_tile(tile, packed, weights_at + t0 * taps * C, pad, bases, v, offsets, t0, many,
                                t0 > 0, height, taps, step, residue, dilation, vectors, lanes)  # fmt: skip
                    t0 += many
                    if t0 >= count:
                        break
                for i in range(min(vectors, found - v)):
                    a, b = bases[v + i] // pitch, b0 + bases[v + i] % pitch
                    w, valid = b * step, min(tile_columns, lanes) * step
                    for c in range(C):
                        place = ((n * C + c) * sizes.out_rows + (a0 + a) * sizes.step_h + phase) * W + w
                        from_tile = (c * step * vectors + i) * lanes
                        if valid == step * lanes and w + valid <= W:
                            interleave(out, place, tile, from_tile, vectors * lanes, bias, c, step, lanes)
                        else:
                            interleave(line, 0, tile, from_tile, vectors * lanes, bias, c, step, lanes)
                            copy_run(out, place, line, 0, min(valid, W - w), lanes)
