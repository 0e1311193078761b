"""Compiled products of a matrix of few non-zero values with dense ones.

The sparse matrix has a row an image and a column a pixel, and its values are bytes that stand for
entries of a table. Its products with dense matrices are sums of their rows, each times a number.
"""

# mypy: disable-error-code="no-untyped-def, call-arg"

from __future__ import annotations

from bench_lr.cohort.compiling import compiled
from bench_lr.cohort.vectors import add_rows, fetch

BLOCK = 64
"""Images whose transpose is made at a time: with their rows of a dense matrix, what is near."""
AHEAD = 8
"""Images that are fetched from memory before they are needed."""


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
                add_rows(
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
                        add_rows(flat, row, back, block, width, image, level_of, table, first, last)
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
