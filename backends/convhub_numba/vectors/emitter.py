"""Emits LLVM vector code that Numba does not make of plain loops.

A plain Numba loop keeps its accumulators in memory and stops at a third of the machine's peak. An `Emitter`
writes whole reduction loops whose accumulators are phi nodes, that is registers. The element type is that of
the arrays; the tile's shape and the vector's length are literal integers, so that one source serves every
machine: LLVM legalises any length on any of them.

Multiply-adds are ``llvm.fmuladd``: fused where the machine can.
"""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

from ..lowering import DATA

__all__ = ["INT64", "Emitter", "host_vector_bits"]

INT32 = ir.IntType(32)
INT64 = ir.IntType(64)


@functools.cache  # asking takes llvmlite's lock, which another thread may hold for long
def host_vector_bits() -> int:
    """Return the width in bits of this machine's widest vectors: 512, 256 or 128."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 512
    return 256 if features.get("avx") else 128


class Emitter:
    """Instructions for one element type and vector length, at the position of `builder`."""

    def __init__(self, context: Any, builder: Any, element: Any, lanes: int) -> None:
        self.context, self.builder, self.lanes = context, builder, lanes
        self.element = context.get_data_type(element)
        self.vector = ir.VectorType(self.element, lanes)
        self.zero = ir.Constant(self.vector, [0.0] * lanes)

    def data(self, array_type: Any, array: Any) -> Any:
        """Return the address of an array's first element."""
        return self.builder.extract_value(array, DATA)

    def integer(self, value: int) -> ir.Constant:
        """Return a 64-bit constant."""
        return ir.Constant(INT64, value)

    def constant(self, value: float) -> ir.Constant:
        """Return a vector of one value."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def multiple(self, value: Any, factor: int) -> Any:
        """Return ``value * factor``."""
        return self.builder.mul(value, self.integer(factor))

    def plus(self, pointer: Any, *offsets: Any) -> Any:
        """Return the address that many elements further on."""
        for offset in offsets:
            pointer = self.builder.gep(pointer, [offset])
        return pointer

    # Alignment 1 costs nothing on machines of this century, and allows arrays at any address.
    def load_vector(self, pointer: Any) -> Any:
        """Load a vector from any address."""
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=1)

    def store_vector(self, value: Any, pointer: Any) -> None:
        """Store a vector, of any length and type, to any address."""
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=1)

    def load_broadcast(self, pointer: Any) -> Any:
        """Load one element into all lanes."""
        scalar = self.builder.load(pointer, align=1)
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(INT32, 0))
        return self.shuffle(first, undefined, [0] * self.lanes)

    def first_lanes(self, count: Any) -> Any:
        """Return a mask of the first `count` lanes."""
        indices = ir.Constant(ir.VectorType(INT64, self.lanes), list(range(self.lanes)))
        undefined = ir.Constant(indices.type, ir.Undefined)
        limit = self.builder.insert_element(undefined, count, ir.Constant(INT32, 0))
        return self.builder.icmp_signed("<", indices, self.shuffle(limit, undefined, [0] * self.lanes))

    def load_masked(self, pointer: Any, mask: Any) -> Any:
        """Load the lanes of `mask`; the others are zero and their memory is not touched."""
        bits = 32 if self.element == ir.FloatType() else 64
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        kind = ir.FunctionType(self.vector, [place.type, INT32, mask.type, self.vector])
        name = f"llvm.masked.load.v{self.lanes}f{bits}.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [place, ir.Constant(INT32, 1), mask, self.zero])

    def across(self, value: Any) -> Any:
        """Return the sum of a vector's lanes, halves first."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        half = self.lanes // 2
        while half:
            upper = [(i + half) % self.lanes for i in range(self.lanes)]
            value = self.builder.fadd(value, self.shuffle(value, undefined, upper))
            half //= 2
        return self.builder.extract_element(value, ir.Constant(INT32, 0))

    def shuffle(self, left: Any, right: Any, lanes: list[int]) -> Any:
        """Pick lanes of two vectors, counted through both."""
        mask = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
        return self.builder.shuffle_vector(left, right, mask)

    def transposed(self, lines: list[Any]) -> list[Any]:
        """Return the columns of a square of vectors, one for each lane.

        At each stage, line a's odd runs of `run` lanes change places with line a + run's even ones.
        """
        lines, length, run = list(lines), len(lines), 1
        while run < length:
            even = [i + (length if i & run else 0) - (run if i & run else 0) for i in range(length)]
            odd = [lane + run for lane in even]
            for a in range(length):
                if not a & run:
                    upper, lower = lines[a], lines[a + run]
                    lines[a] = self.shuffle(upper, lower, even)
                    lines[a + run] = self.shuffle(upper, lower, odd)
            run *= 2
        return lines

    def multiply_add(self, left: Any, right: Any, addend: Any) -> Any:
        """Return ``left * right + addend``, fused if the machine can."""
        bits = 32 if self.element == ir.FloatType() else 64
        name = f"llvm.fmuladd.v{self.lanes}f{bits}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [left, right, addend])

    def loop(self, count: Any, starts: list[Any], body: Any) -> list[Any]:
        """Emit ``for t in range(count): values = body(t, values)`` with `values` in registers."""
        builder, before = self.builder, self.builder.block
        head, after = builder.append_basic_block("terms"), builder.append_basic_block("terms.end")
        builder.cbranch(builder.icmp_signed(">", count, self.integer(0)), head, after)
        builder.position_at_end(head)
        index = builder.phi(INT64)
        index.add_incoming(self.integer(0), before)
        values = [builder.phi(start.type) for start in starts]
        for value, start in zip(values, starts, strict=True):
            value.add_incoming(start, before)
        results = body(index, values)
        following = builder.add(index, self.integer(1))
        index.add_incoming(following, builder.block)
        for value, result in zip(values, results, strict=True):
            value.add_incoming(result, builder.block)
        last = builder.block
        builder.cbranch(builder.icmp_signed("<", following, count), head, after)
        builder.position_at_end(after)
        merged = [builder.phi(start.type) for start in starts]
        for phi, start, result in zip(merged, starts, results, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(result, last)
        return merged

    def outer_product(self, rows: int, vectors: int, load_row: Any, load_column: Any, sums: Any) -> Any:
        """Add ``row[i] * column[v]`` to each sum; the shorter side stays in registers."""
        new = list(sums)
        if vectors <= rows:
            columns = [load_column(v) for v in range(vectors)]
            for i in range(rows):
                row = load_row(i)
                for v in range(vectors):
                    new[i * vectors + v] = self.multiply_add(row, columns[v], sums[i * vectors + v])
        else:
            held = [load_row(i) for i in range(rows)]
            for v in range(vectors):
                column = load_column(v)
                for i in range(rows):
                    new[i * vectors + v] = self.multiply_add(held[i], column, sums[i * vectors + v])
        return new
