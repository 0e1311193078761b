"""Whole steps of very small networks in one compiled loop.

A network of a dozen weights takes less time to train on a batch than a single call of PyTorch
costs. Here all steps of a strip are one call: the runs lie side by side in memory, so that every
operation is a loop over runs that the compiler vectorises. Fully connected networks with plain
gradient descent on half the squared error, on a CPU; the recorded operations that it stands in for
are its oracle in the tests.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import overload

from bench_lr.cohort.compiling import compiled

Floats = npt.NDArray[np.floating]

IDENTITY, SIGMOID, TANH, RELU = range(4)
LANES = 32
"""Runs are padded to a multiple of this, for loops without a remainder."""

_LOG2E = np.float32(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUNDING = np.float32(1.5 * 2**23)
_MOST, _LEAST = np.float32(88.0), np.float32(-87.0)


def exponential(values: Floats, bits: npt.NDArray[np.int32]) -> None:
    """Replace values by their exponentials, in compiled code only."""
    raise NotImplementedError


@overload(exponential)
def _exponential(values, bits):  # type: ignore[no-untyped-def]
    if values.dtype == numba.float64:

        def accurate(values, bits):  # type: ignore[no-untyped-def]
            for r in range(len(values)):
                values[r] = np.exp(values[r])

        return accurate

    def vectorised(values, bits):  # type: ignore[no-untyped-def]
        """Cephes' expf (Moshier 1992), 2 ulp: 2^n exp(r), n a whole number and |r| < 0.35."""
        powers = bits.view(np.float32)
        for r in range(len(values)):
            x = values[r]
            # NaN stays NaN; what would overflow becomes the largest there is.
            x = _MOST if x > _MOST else x
            x = _LEAST if x < _LEAST else x
            n = (x * _LOG2E + _ROUNDING) - _ROUNDING
            bits[r] = (np.int32(n) + np.int32(127)) << np.int32(23)
            y = (x - n * _LN2_HIGH) - n * _LN2_LOW
            p = np.float32(1.9875691500e-4)
            p = p * y + np.float32(1.3981999507e-3)
            p = p * y + np.float32(8.3334519073e-3)
            p = p * y + np.float32(4.1665795894e-2)
            p = p * y + np.float32(1.6666665459e-1)
            p = p * y + np.float32(5.0000001201e-1)
            values[r] = p * y * y + y + np.float32(1)
        for r in range(len(values)):
            values[r] *= powers[r]

    return vectorised


@compiled
def train(  # type: ignore[no-untyped-def]
    inputs, scale, targets, rates, weights, kinds, activations, gradients, bits, kept, arms
):
    """Take the steps of a strip.

    Parameters
    ----------
    inputs : array, shape (steps, G, B, row)
    scale : float
        What inputs are multiplied by.
    targets : array, shape (steps, G, 1, outputs, B)
    rates : array, shape (steps, G, L)
        -LR / batch size.
    weights : tuple of array, shape (outputs, inputs + 1, R)
        Updated in place; the last column is the bias.
    kinds : array of int
        What follows each layer.
    activations, gradients : tuple of array, shape (width, B, R)
        Scratch: the inputs of the first layer, then the outputs of every layer.
    bits : array of int32, shape (R,)
        Scratch.
    kept : array, shape (steps, G, L, outputs, B)
        Becomes the outputs of every step.
    """
    layers = len(weights)
    steps, seeds, batch = inputs.shape[0], inputs.shape[1], inputs.shape[2]
    runs = bits.shape[0]
    for s in range(steps):
        first = activations[0]
        for i in range(first.shape[0]):
            for b in range(batch):
                for g in range(seeds):
                    for a in range(arms):
                        first[i, b, g * arms + a] = inputs[s, g, b, i] * scale
        for k in range(layers):
            w, x, y = weights[k], activations[k], activations[k + 1]
            width = x.shape[0]
            for o in range(w.shape[0]):
                for b in range(batch):
                    out, bias = y[o, b], w[o, width]
                    for r in range(runs):
                        out[r] = bias[r]
                    for i in range(width):
                        column, row = w[o, i], x[i, b]
                        for r in range(runs):
                            out[r] += column[r] * row[r]
                    activate(kinds[k], out, bits)
        out, delta = activations[layers], gradients[layers]
        for o in range(out.shape[0]):
            for b in range(batch):
                for g in range(seeds):
                    for a in range(arms):
                        r = g * arms + a
                        kept[s, g, a, o, b] = out[o, b, r]
                        delta[o, b, r] = (out[o, b, r] - targets[s, g, 0, o, b]) * rates[s, g, a]
        for k in range(layers - 1, -1, -1):
            w, x, dx, dy = weights[k], activations[k], gradients[k], gradients[k + 1]
            width = x.shape[0]
            if k:
                for i in range(width):
                    for b in range(batch):
                        back = dx[i, b]
                        for r in range(runs):
                            back[r] = 0
                        for o in range(w.shape[0]):
                            column, row = w[o, i], dy[o, b]
                            for r in range(runs):
                                back[r] += column[r] * row[r]
                        differentiate(kinds[k - 1], back, x[i, b])
            for o in range(w.shape[0]):
                bias = w[o, width]
                for b in range(batch):
                    row = dy[o, b]
                    for r in range(runs):
                        bias[r] += row[r]
                for i in range(width):
                    column = w[o, i]
                    for b in range(batch):
                        row, value = dy[o, b], x[i, b]
                        for r in range(runs):
                            column[r] += row[r] * value[r]


@compiled
def activate(kind, values, bits):  # type: ignore[no-untyped-def]
    """Apply an activation in place."""
    if kind == RELU:
        for r in range(len(values)):
            values[r] = values[r] if not values[r] < 0 else 0
    elif kind == SIGMOID:
        for r in range(len(values)):
            values[r] = -values[r]
        exponential(values, bits)
        for r in range(len(values)):
            values[r] = 1 / (1 + values[r])
    elif kind == TANH:
        for r in range(len(values)):
            values[r] *= 2
        exponential(values, bits)
        for r in range(len(values)):
            values[r] = 1 - 2 / (1 + values[r])


@compiled
def differentiate(kind, back, output):  # type: ignore[no-untyped-def]
    """Multiply a gradient by the derivative of the activation that gave `output`."""
    if kind == RELU:
        for r in range(len(back)):
            back[r] = back[r] if output[r] > 0 else 0
    elif kind == SIGMOID:
        for r in range(len(back)):
            back[r] *= output[r] * (1 - output[r])
    elif kind == TANH:
        for r in range(len(back)):
            back[r] *= 1 - output[r] * output[r]
