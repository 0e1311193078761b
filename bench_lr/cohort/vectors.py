"""Sums of rows in vector registers: the inner loops of compiled steps.

A sum of a few long rows, each times something, wants to stay in registers while the rows pass by.
No compiler keeps it there of its own accord in loops over scalars, so these loops are written in
LLVM's own terms, for whatever vectors the machine has.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, unreachable"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR_BYTES = 64
"""Rows are padded to a multiple of this; a vector of 16 float32, 8 float64."""
MOST_VECTORS = 7
"""Vectors of a row that are summed at a time: with halves of 32 bytes, what 16 registers hold."""


def lanes(itemsize: int) -> int:
    """Values of a vector."""
    return VECTOR_BYTES // itemsize


def padded(values: int, itemsize: int) -> int:
    """Length of a row for so many values."""
    vector = lanes(itemsize)
    return -(-values // vector) * vector


class _Loop:
    """LLVM code of one sum of rows; arrays are flat, and places in them whole numbers."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any, size: int) -> None:
        self.context, self.builder = context, builder
        self.signature, self.values = signature, values
        self.integer, self.int32 = ir.IntType(64), ir.IntType(32)
        number = ir.FloatType() if size == 4 else ir.DoubleType()
        self.lanes, self.size = lanes(size), size
        self.vector = ir.VectorType(number, self.lanes)

    def data(self, position: int) -> Any:
        """Where the values of an array argument begin."""
        array = self.context.make_array(self.signature.args[position])
        return array(self.context, self.builder, self.values[position]).data

    def pointer(self, array: Any, start: Any, number: int) -> Any:
        place = self.builder.add(start, self.integer(number * self.lanes))
        found = self.builder.gep(array, [place], inbounds=True)
        return self.builder.bitcast(found, self.vector.as_pointer())

    def load(self, array: Any, start: Any, number: int) -> Any:
        loaded = self.builder.load(self.pointer(array, start, number))
        loaded.align = self.size
        return loaded

    def scalar(self, array: Any, place: Any) -> Any:
        return self.builder.load(self.builder.gep(array, [place], inbounds=True))

    def spread(self, factor: Any) -> Any:
        """The same number in all places of a vector."""
        unknown = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(unknown, factor, self.int32(0))
        everywhere = ir.Constant(ir.VectorType(self.int32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, unknown, everywhere)

    def add_up(
        self, out: Any, at: Any, count: int, first: Any, last: Any, term: Callable[[Any], Any]
    ) -> None:
        """``out[at:] += sum(term(j)(number))``, j from `first` to before `last`."""
        sums = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for number, total in enumerate(sums):
            self.builder.store(self.load(out, at, number), total)
        one = self.integer(1)
        with cgutils.for_range_slice(self.builder, first, last, one, self.integer) as (j, _):
            pair = term(j)
            for number, total in enumerate(sums):
                left, right = pair(number)
                product = self.builder.fmul(left, right, flags=["contract"])
                added = self.builder.fadd(self.builder.load(total), product, flags=["contract"])
                self.builder.store(added, total)
        for number, total in enumerate(sums):
            place = self.pointer(out, at, number)
            stored = self.builder.store(self.builder.load(total), place)
            stored.align = self.size


def _size(array: Any) -> int:
    return 4 if array.dtype == types.float32 else 8


@intrinsic(prefer_literal=True)
def _add_rows(typing, target, at, rows, base, stride, index, level, table, first, last, vectors):
    if not isinstance(vectors, types.IntegerLiteral):
        return None
    whole, count = types.intp, vectors.literal_value
    places = (target, whole, rows, whole, whole, index, level, table, whole, whole)
    signature = types.void(*places, types.literal(count))

    def generate(context, builder, signature, values):
        loop = _Loop(context, builder, signature, values, _size(target))
        out, dense, places, levels, numbers = (loop.data(i) for i in (0, 2, 5, 6, 7))
        at, base, stride, first, last = (values[i] for i in (1, 3, 4, 8, 9))

        def term(j: Any) -> Any:
            place = builder.zext(loop.scalar(places, j), loop.integer)
            row = builder.add(base, builder.mul(place, stride))
            which = builder.zext(loop.scalar(levels, j), loop.integer)
            factor = loop.spread(loop.scalar(numbers, which))
            return lambda number: (factor, loop.load(dense, row, number))

        loop.add_up(out, at, count, first, last, term)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def _add_products(typing, target, at, left, l0, l_step, right, r0, r_step, terms, vectors):
    if not isinstance(vectors, types.IntegerLiteral):
        return None
    whole, count = types.intp, vectors.literal_value
    places = (target, whole, left, whole, whole, right, whole, whole, whole)
    signature = types.void(*places, types.literal(count))

    def generate(context, builder, signature, values):
        loop = _Loop(context, builder, signature, values, _size(target))
        out, ours, theirs = (loop.data(i) for i in (0, 2, 5))
        at, l0, l_step, r0, r_step, terms = (values[i] for i in (1, 3, 4, 6, 7, 8))

        def term(j: Any) -> Any:
            one = builder.add(l0, builder.mul(j, l_step))
            other = builder.add(r0, builder.mul(j, r_step))
            return lambda number: (
                loop.load(ours, one, number),
                loop.load(theirs, other, number),
            )

        loop.add_up(out, at, count, loop.integer(0), terms, term)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def fetch(typing, array, index):
    """Ask for the cache line of ``array[index]`` (flat)."""
    signature = types.void(array, types.intp)

    def generate(context, builder, signature, values):
        flat = context.make_array(signature.args[0])(context, builder, values[0]).data
        place = builder.bitcast(builder.gep(flat, [values[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(ask, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return signature, generate


@numba.njit(inline="always")
def add_rows(target, at, rows, base, stride, index, level, table, first, last):
    """Add to a row of `stride` values the sum of other rows, each times a number.

    ``target[at:][:stride] += sum(table[level[j]] * rows[base + index[j] * stride:][:stride])`` for
    j from `first` to before `last`. All arrays are flat; `stride` is whole vectors.
    """
    vectors = stride * target.itemsize // VECTOR_BYTES
    parts = (vectors + MOST_VECTORS - 1) // MOST_VECTORS
    for part in range(parts):
        count = (vectors + parts - part - 1) // (parts - part)
        vectors -= count
        if count == 1:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 1)
        elif count == 2:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 2)
        elif count == 3:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 3)
        elif count == 4:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 4)
        elif count == 5:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 5)
        elif count == 6:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 6)
        else:
            _add_rows(target, at, rows, base, stride, index, level, table, first, last, 7)
        done = count * (VECTOR_BYTES // target.itemsize)
        at, base = at + done, base + done


@numba.njit(inline="always")
def add_products(target, at, values, left, l0, l_step, right, r0, r_step, terms):
    """Add to a row of `values` values the sum of products of two others, value by value.

    ``target[at:][:values] += sum(left[l0 + j*l_step:][:values] * right[r0 + j*r_step:][:values])``
    for j below `terms`. All arrays are flat; `values` is whole vectors.
    """
    vector = VECTOR_BYTES // target.itemsize
    while values > 0:
        if values >= 4 * vector:
            _add_products(target, at, left, l0, l_step, right, r0, r_step, terms, 4)
            done = 4 * vector
        elif values >= 2 * vector:
            _add_products(target, at, left, l0, l_step, right, r0, r_step, terms, 2)
            done = 2 * vector
        else:
            _add_products(target, at, left, l0, l_step, right, r0, r_step, terms, 1)
            done = vector
        values -= done
        at, l0, r0 = at + done, l0 + done, r0 + done
