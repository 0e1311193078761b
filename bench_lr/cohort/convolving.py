"""Compiled loops of a first convolution with ReLU and pooling (see `first_convolution`).

The batch of an image lies last: a pixel is as many values as a batch has examples, and what a row
of a kernel multiplies are three rows of an image, each a pixel further than the one before.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from bench_lr.cohort.compiling import compiled, reordered
from bench_lr.cohort.first_convolution import KERNEL, POOL

NOWHERE = 255
"""In place of that of a window's largest value, where its ReLU is off."""


@compiled
def _add_rows(row, top, middle, bottom, taps, batch, first):
    """Add to a row of outputs (or, `first`, set it to) what three rows of an image contribute."""
    n = len(row)
    a0, a1, a2 = top[:n], top[batch : batch + n], top[2 * batch : 2 * batch + n]
    b0, b1, b2 = middle[:n], middle[batch : batch + n], middle[2 * batch : 2 * batch + n]
    c0, c1, c2 = bottom[:n], bottom[batch : batch + n], bottom[2 * batch : 2 * batch + n]
    u0, u1, u2 = taps[0, 0], taps[0, 1], taps[0, 2]
    v0, v1, v2 = taps[1, 0], taps[1, 1], taps[1, 2]
    w0, w1, w2 = taps[2, 0], taps[2, 1], taps[2, 2]
    if first:
        for t in range(n):
            total = u0 * a0[t] + u1 * a1[t] + u2 * a2[t]
            total += v0 * b0[t] + v1 * b1[t] + v2 * b2[t]
            row[t] = total + (w0 * c0[t] + w1 * c1[t] + w2 * c2[t])
    else:
        for t in range(n):
            total = u0 * a0[t] + u1 * a1[t] + u2 * a2[t]
            total += v0 * b0[t] + v1 * b1[t] + v2 * b2[t]
            row[t] += total + (w0 * c0[t] + w1 * c1[t] + w2 * c2[t])


@compiled
def _pool(top, bottom, bias, batch, out, where):
    """Largest value of each window of two rows, with bias and ReLU, and its place."""
    zero, b = out.dtype.type(0), np.uint64(batch)
    for window in range(np.uint64(len(out)) // b):
        for e in range(b):
            t, left = window * b + e, np.uint64(2) * window * b + e
            largest, place = top[left], np.uint8(0)
            value = top[left + b]
            place = np.uint8(1) if value > largest else place
            largest = value if value > largest else largest
            value = bottom[left]
            place = np.uint8(2) if value > largest else place
            largest = value if value > largest else largest
            value = bottom[left + b]
            place = np.uint8(3) if value > largest else place
            largest = (value if value > largest else largest) + bias
            where[t] = place if largest > zero else np.uint8(NOWHERE)
            out[t] = zero if largest < zero else largest  # NaN stays NaN


@compiled
def convolve(images, weight, bias, batch, rows, out, where):
    """Convolution, bias, ReLU and max pooling; ties go to the first value, as in PyTorch.

    Parameters
    ----------
    images : array [G, C, H, W B]
        Of each seed.
    weight, bias : array [G, L, O, C, 3, 3], [G, L, O]
    rows : array [2, W' B]
        Room for the outputs of a row of windows.
    out, where : array [G, L, F >= O H' W' B / 4]
        Results, and the place of each in its window, counted row by row.
    """
    channels = images.shape[1]
    high, wide = (images.shape[2] - KERNEL + 1) // POOL, len(rows[0]) // POOL
    for g in range(weight.shape[0]):
        for arm in range(weight.shape[1]):
            for o in range(weight.shape[2]):
                for y in range(high):
                    for number in range(POOL):
                        for c in range(channels):
                            image, at = images[g, c], y * POOL + number
                            three = image[at], image[at + 1], image[at + 2]
                            _add_rows(rows[number], *three, weight[g, arm, o, c], batch, c == 0)
                    at = (o * high + y) * wide
                    found, place = out[g, arm, at : at + wide], where[g, arm, at : at + wide]
                    _pool(rows[0], rows[1], bias[g, arm, o], batch, found, place)


@compiled
def _unpool(given, where, batch, top, bottom):
    """Put the gradient of each window where its largest value came from, zero elsewhere."""
    zero, b = given.dtype.type(0), np.uint64(batch)
    for window in range(np.uint64(len(given)) // b):
        for e in range(b):
            t, left = window * b + e, np.uint64(2) * window * b + e
            top[left] = given[t] if where[t] == np.uint8(0) else zero
            top[left + b] = given[t] if where[t] == np.uint8(1) else zero
            bottom[left] = given[t] if where[t] == np.uint8(2) else zero
            bottom[left + b] = given[t] if where[t] == np.uint8(3) else zero


@reordered
def _add_products(gradients, image, batch, total):
    """Add to `total` [3] the products of a row of gradients with the three rows of an image."""
    length = len(gradients)
    left, middle = image[:length], image[batch : batch + length]
    right = image[2 * batch : 2 * batch + length]
    zero = gradients.dtype.type(0)
    s0, s1, s2 = zero, zero, zero
    for t in range(length):
        s0 += gradients[t] * left[t]
        s1 += gradients[t] * middle[t]
        s2 += gradients[t] * right[t]
    total[0] += s0
    total[1] += s1
    total[2] += s2


@reordered
def _sum(given, where):
    """Sum the gradients of the results that are not zero."""
    zero = given.dtype.type(0)
    total = zero
    for t in range(len(given)):
        total += given[t] if where[t] != np.uint8(NOWHERE) else zero
    return total


@compiled
def differentiate(images, given, where, batch, rows, weight, bias):
    """Work out the gradients of `weight` and `bias` from that of the results; see `convolve`."""
    channels = images.shape[1]
    high, wide = (images.shape[2] - KERNEL + 1) // POOL, len(rows[0]) // POOL
    weight[:] = 0
    for g in range(weight.shape[0]):
        for arm in range(weight.shape[1]):
            for o in range(weight.shape[2]):
                at = o * high * wide
                shown = where[g, arm, at : at + high * wide]
                bias[g, arm, o] = _sum(given[g, arm, at : at + high * wide], shown)
                for y in range(high):
                    at = (o * high + y) * wide
                    gradient, place = given[g, arm, at : at + wide], where[g, arm, at : at + wide]
                    _unpool(gradient, place, batch, rows[0], rows[1])
                    for number in range(POOL):
                        for i in range(channels * KERNEL):
                            image = images[g, i // KERNEL, y * POOL + number + i % KERNEL]
                            total = weight[g, arm, o, i // KERNEL, i % KERNEL]
                            _add_products(rows[number], image, batch, total)
