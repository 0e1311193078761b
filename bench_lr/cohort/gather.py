"""Compiled products of a matrix of few non-zero values with dense ones.

The sparse matrix has a row an image and a column a pixel, and its values are bytes that stand for
entries of a table. Its products with dense matrices are sums of their rows, each times a number,
and a handful of vector registers holds such a sum: `add_rows` is that loop, written in LLVM's own
terms because no compiler finds it in a loop over scalars.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, unreachable"

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from bench_lr.cohort.compiling import compiled

VECTOR_BYTES = 64
"""Rows of dense matrices are padded to a multiple of this; a vector of 16 float32, 8 float64."""
MOST_VECTORS = 7
"""Vectors of a row that are summed at a time: with halves of 32 bytes, what 16 registers hold."""
BLOCK = 64
"""Images whose transpose is made at a time: with their rows of a dense matrix, what is near."""
AHEAD = 8
"""Images that are fetched from memory before they are needed."""


@intrinsic(prefer_literal=True)
def add_rows(typing, target, at, rows, base, stride, index, level, table, first, last, vectors):
    """Add to part of a row the sum of parts of other rows, each times a number.

    ``target[at:at+N] += sum(table[level[j]] * rows[base + index[j]*stride:][:N])`` for j from
    `first` to before `last`, where N is `vectors` (a literal) times the values of a vector. All
    arrays are flat.
    """
    if not isinstance(vectors, types.IntegerLiteral):
        return None
    count = vectors.literal_value
    size = 4 if target.dtype == types.float32 else 8
    lanes = VECTOR_BYTES // size
    whole = types.intp
    signature = types.void(
        *(target, whole, rows, whole, whole, index, level, table, whole, whole),
        types.literal(count),
    )

    def generate(context, builder, signature, values):
        def data(position: int) -> Any:
            array = context.make_array(signature.args[position])
            return array(context, builder, values[position]).data

        out, dense, places, levels, numbers = (data(i) for i in (0, 2, 5, 6, 7))
        at, base, stride, first, last = (values[i] for i in (1, 3, 4, 8, 9))
        integer, int32 = ir.IntType(64), ir.IntType(32)
        vector = ir.VectorType(context.get_value_type(target.dtype), lanes)
        to_all = ir.Constant(ir.VectorType(int32, lanes), [0] * lanes)
        unknown = ir.Constant(vector, ir.Undefined)

        def pointer(array: Any, start: Any, number: int) -> Any:
            place = builder.add(start, integer(number * lanes))
            return builder.bitcast(builder.gep(array, [place], inbounds=True), vector.as_pointer())

        def load(array: Any, start: Any, number: int) -> Any:
            loaded = builder.load(pointer(array, start, number))
            loaded.align = size
            return loaded

        def natural(array: Any, j: Any) -> Any:
            return builder.zext(builder.load(builder.gep(array, [j], inbounds=True)), integer)

        sums = [cgutils.alloca_once(builder, vector) for _ in range(count)]
        for number, total in enumerate(sums):
            builder.store(load(out, at, number), total)
        with cgutils.for_range_slice(builder, first, last, integer(1), integer) as (j, _):
            row = builder.add(base, builder.mul(natural(places, j), stride))
            factor = builder.load(builder.gep(numbers, [natural(levels, j)], inbounds=True))
            one = builder.insert_element(unknown, factor, int32(0))
            spread = builder.shuffle_vector(one, unknown, to_all)
            for number, total in enumerate(sums):
                product = builder.fmul(spread, load(dense, row, number), flags=["contract"])
                added = builder.fadd(builder.load(total), product, flags=["contract"])
                builder.store(added, total)
        for number, total in enumerate(sums):
            stored = builder.store(builder.load(total), pointer(out, at, number))
            stored.align = size
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
def add_to_row(target, at, rows, base, stride, index, level, table, first, last):
    """Add to a row of `stride` values, as many vectors at a time as registers hold."""
    lanes = VECTOR_BYTES // target.itemsize
    vectors = stride // lanes
    parts = (vectors + MOST_VECTORS - 1) // MOST_VECTORS
    done = 0
    for part in range(parts):
        count = (vectors - done + parts - part - 1) // (parts - part)
        t, b = at + done * lanes, base + done * lanes
        if count == 1:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 1)
        elif count == 2:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 2)
        elif count == 3:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 3)
        elif count == 4:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 4)
        elif count == 5:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 5)
        elif count == 6:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 6)
        else:
            add_rows(target, t, rows, b, stride, index, level, table, first, last, 7)
        done += count


@compiled
def multiply(positions, starts, pixel, level, table, weight, biased, scratch, out):
    """Products of images with weights, plus biases.

    Parameters
    ----------
    positions : array of int, shape (G, B)
        Which images.
    starts, pixel, level : arrays of int
        Image n has the levels ``level[starts[n]:starts[n+1]]`` at these pixels.
    table : array, shape (levels,)
        What a level stands for.
    weight : array, shape (G, L, rows, width)
        A row a pixel and, if `biased`, the biases as a last row; columns past the outputs are zero.
    scratch : array, shape (B, width)
    out : array, shape (G, L, outputs, B)
        Becomes the products.
    """
    seeds, arms, rows, width = weight.shape
    batch = out.shape[3]
    flat, products = weight.reshape(-1), scratch.reshape(-1)
    for g in range(seeds):
        for a in range(arms):
            base = (g * arms + a) * rows * width
            bias = base + (rows - 1) * width
            for b in range(batch):
                n = positions[g, b]
                if a == 0 and b + AHEAD < batch:
                    ahead = positions[g, b + AHEAD]
                    for j in range(starts[ahead], starts[ahead + 1], 32):
                        fetch(pixel, j)
                        fetch(level, j)
                at = b * width
                for o in range(width):
                    products[at + o] = flat[bias + o] if biased else 0
                add_to_row(
                    products, at, flat, base, width, pixel, level, table, starts[n], starts[n + 1]
                )
            turn(scratch, out[g, a])


@compiled
def turn(source, target):
    """Transpose the first columns of `source` into `target`, a few cache lines at a time."""
    rows, columns = target.shape
    for first in range(0, columns, 16):
        last = min(first + 16, columns)
        for i in range(rows):
            for j in range(first, last):
                target[i, j] = source[j, i]


@compiled
def by_pixel(positions, starts, pixel, level, ends, image, level_of):
    """Sort what images hold by pixel.

    Parameters
    ----------
    positions : array of int, shape (B,)
    ends : array of int, shape (pixels,)
        Becomes where, in `image` and `level_of`, what belongs to a pixel ends.
    image, level_of : arrays, of as many values as all images could hold
        Become the number in the batch of an image, and its level.
    """
    ends[:] = 0
    for b in range(len(positions)):
        n = positions[b]
        for j in range(starts[n], starts[n + 1]):
            ends[pixel[j]] += 1
    total = 0
    for k in range(len(ends)):
        count = ends[k]
        ends[k] = total
        total += count
    for b in range(len(positions)):
        n = positions[b]
        for j in range(starts[n], starts[n + 1]):
            k = pixel[j]
            i = ends[k]
            image[i] = b
            level_of[i] = level[j]
            ends[k] = i + 1


@compiled
def add_outer(
    positions, starts, pixel, level, table, delta, weight, biased, turned, ends, image, level_of
):
    """Add to weights the outer products of images and what comes back from the layer behind.

    Parameters
    ----------
    delta : array, shape (G, L, outputs, B)
    weight : array, shape (G, L, rows, width)
        As for `multiply`, which has the other parameters too.
    turned : array, shape (L, B, width)
        Scratch; its columns past the outputs are zero.
    ends, image, level_of : arrays
        Scratch, as `by_pixel` wants it for `BLOCK` images.
    """
    seeds, arms, rows, width = weight.shape
    outputs, batch = delta.shape[2], delta.shape[3]
    flat, back = weight.reshape(-1), turned.reshape(-1)
    for g in range(seeds):
        for a in range(arms):
            for first in range(0, outputs, 16):
                last = min(first + 16, outputs)
                for b in range(batch):
                    for o in range(first, last):
                        turned[a, b, o] = delta[g, a, o, b]
        for start in range(0, batch, BLOCK):
            stop = min(start + BLOCK, batch)
            by_pixel(positions[g, start:stop], starts, pixel, level, ends, image, level_of)
            for a in range(arms):
                base = (g * arms + a) * rows * width
                block = (a * batch + start) * width
                first = 0
                for k in range(len(ends)):
                    last = ends[k]
                    if last > first:
                        row = base + k * width
                        add_to_row(
                            flat, row, back, block, width, image, level_of, table, first, last
                        )
                    first = last
                if biased:
                    bias = base + (rows - 1) * width
                    for b in range(stop - start):
                        for o in range(width):
                            flat[bias + o] += back[block + b * width + o]


@compiled
def compress(images, pixel, level):
    """Write down the values that are not zero, and where they are, of images (n, pixels)."""
    at = 0
    for n in range(images.shape[0]):
        for k in range(images.shape[1]):
            if images[n, k] != 0:
                pixel[at] = k
                level[at] = images[n, k]
                at += 1
