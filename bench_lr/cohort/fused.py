"""Whole steps of very small networks in one compiled loop.

A network of a dozen weights takes less time to train on a batch than a single call of PyTorch
costs. Here all steps of a span are one call: the runs lie side by side in memory, so that every
operation is one on vectors of runs. Fully connected networks with plain
gradient descent on half the squared error, on a CPU; the recorded operations that it stands in for
are its oracle in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from bench_lr.cohort.compiling import compiled
from bench_lr.cohort.vectors import add_products

IDENTITY, SIGMOID, TANH, RELU = range(4)

_LOG2E = np.float32(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUNDING = np.float32(1.5 * 2**23)
_MOST, _LEAST = np.float32(88.0), np.float32(-87.0)


@intrinsic
def _two_to_the(typing, exponent):  # type: ignore[no-untyped-def]
    """Two to the power of a whole number from -126 to 127, given and returned as float32."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        number = ir.IntType(32)
        biased = builder.add(builder.fptosi(values[0], number), number(127))
        return builder.bitcast(builder.shl(biased, number(23)), ir.FloatType())

    return types.float32(types.float32), generate


def exponential(x: Any) -> Any:
    """Exponential function, in compiled code only."""
    raise NotImplementedError


@overload(exponential)
def _exponential(x):  # type: ignore[no-untyped-def]
    if x == types.float64:
        return lambda x: np.exp(x)

    def vectorisable(x):  # type: ignore[no-untyped-def]
        """Cephes' expf (Moshier 1992), 2 ulp: 2^n exp(r), n a whole number and |r| < 0.35."""
        # NaN stays NaN; what would overflow becomes the largest there is.
        x = _MOST if x > _MOST else x
        x = _LEAST if x < _LEAST else x
        n = (x * _LOG2E + _ROUNDING) - _ROUNDING
        y = (x - n * _LN2_HIGH) - n * _LN2_LOW
        p = np.float32(1.9875691500e-4)
        p = p * y + np.float32(1.3981999507e-3)
        p = p * y + np.float32(8.3334519073e-3)
        p = p * y + np.float32(4.1665795894e-2)
        p = p * y + np.float32(1.6666665459e-1)
        p = p * y + np.float32(5.0000001201e-1)
        return (p * y * y + y + np.float32(1)) * _two_to_the(n)  # type: ignore[call-arg]

    return vectorisable


@compiled
def activate(kind, values):  # type: ignore[no-untyped-def]
    """Apply an activation in place."""
    one = values.dtype.type(1)
    if kind == RELU:
        for r in range(len(values)):
            values[r] = values[r] if not values[r] < 0 else 0
    elif kind == SIGMOID:
        for r in range(len(values)):
            values[r] = one / (one + exponential(-values[r]))
    elif kind == TANH:
        for r in range(len(values)):
            values[r] = one - (one + one) / (one + exponential(values[r] + values[r]))


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


@compiled
def spread(positions, data, scale, arms, out):  # type: ignore[no-untyped-def]
    """Give the examples of every seed to all its arms.

    Parameters
    ----------
    positions : array of int, shape (G, B)
    data : array, shape (examples, width)
    scale : float
        What they are multiplied by.
    out : array, shape (width or more, B, R)
        Run (g, l) at g * arms + l.
    """
    seeds, batch = positions.shape
    for g in range(seeds):
        for b in range(batch):
            n = positions[g, b]
            for i in range(data.shape[1]):
                value = data[n, i] * scale
                for r in range(g * arms, (g + 1) * arms):
                    out[i, b, r] = value


@compiled
def forward(weights, kinds, activations):  # type: ignore[no-untyped-def]
    """Outputs of all layers from the inputs in ``activations[0]``."""
    for k in range(len(weights)):
        w, x, y = weights[k], activations[k], activations[k + 1]
        outputs, inputs, runs = w.shape
        batch = x.shape[1]
        left, right, out = w.reshape(-1), x.reshape(-1), y.reshape(-1)
        values = batch * runs
        for o in range(outputs):
            own = out[o * values : (o + 1) * values]
            own[:] = 0
            for b in range(batch):
                l0, r0 = o * inputs * runs, b * runs
                add_products(own, b * runs, runs, left, l0, runs, right, r0, values, inputs)
            activate(kinds[k], own)


@compiled
def train(  # type: ignore[no-untyped-def]
    positions,
    data,
    scale,
    targets,
    one,
    rates,
    arms,
    weights,
    kinds,
    activations,
    gradients,
    wanted,
    losses,
):
    """Take the steps of a span.

    Parameters
    ----------
    positions : array of int, shape (steps, G, B)
        Which examples.
    data : array, shape (examples, inputs)
    scale : float
        What they are multiplied by.
    targets : array, shape (examples, outputs)
    one : float
        What targets are multiplied by.
    rates : array, shape (steps, runs)
        -LR / batch size.
    weights : tuple of array, shape (outputs, inputs + 1, R)
        Updated in place; the last column is the bias. R is `runs`, padded to whole vectors.
    kinds : array of int
        What follows each layer.
    activations, gradients : tuple of array, shape (width + 1, B, R)
        Scratch: the inputs of the first layer, then the outputs of every layer. Activations end
        with ones.
    wanted : array, shape (outputs, B, R)
        Scratch.
    losses : array of float64, shape (steps, runs)
        Becomes the mean loss of every step before its update.
    """
    layers = len(weights)
    steps, _, batch = positions.shape
    outputs, _, runs = weights[layers - 1].shape
    out, delta = activations[layers], gradients[layers]
    for s in range(steps):
        spread(positions[s], data, scale, arms, activations[0])
        spread(positions[s], targets, one, arms, wanted)
        forward(weights, kinds, activations)
        for r in range(losses.shape[1]):
            losses[s, r] = 0
        for o in range(outputs):
            for b in range(batch):
                for r in range(losses.shape[1]):
                    error = out[o, b, r] - wanted[o, b, r]
                    # Squared as precisely as it is: what overflows in training has diverged.
                    losses[s, r] += np.float64(error * error)
                    delta[o, b, r] = error * rates[s, r]
        for r in range(losses.shape[1]):
            losses[s, r] /= 2 * batch
        for k in range(layers - 1, -1, -1):
            w, x, dx, dy = weights[k], activations[k], gradients[k], gradients[k + 1]
            ways, inputs, _ = w.shape
            weight, right, back = w.reshape(-1), x.reshape(-1), dy.reshape(-1)
            if k:
                front = dx.reshape(-1)
                step, values = inputs * runs, batch * runs
                for i in range(inputs - 1):
                    own = front[i * values : (i + 1) * values]
                    own[:] = 0
                    for b in range(batch):
                        l0, r0 = i * runs, b * runs
                        add_products(own, b * runs, runs, weight, l0, step, back, r0, values, ways)
                    differentiate(kinds[k - 1], own, right[i * values : (i + 1) * values])
            for o in range(ways):
                for i in range(inputs):
                    at, l0, r0 = (o * inputs + i) * runs, o * batch * runs, i * batch * runs
                    add_products(weight, at, runs, back, l0, runs, right, r0, runs, batch)


@compiled
def measure(weights, kinds, activations, wanted, losses):  # type: ignore[no-untyped-def]
    """Add up the losses of examples whose inputs and targets lie in `activations` and `wanted`.

    Parameters
    ----------
    losses : array of float64, shape (runs,)
        Zeros; becomes the sums.
    """
    forward(weights, kinds, activations)
    out = activations[len(weights)]
    for o in range(wanted.shape[0]):
        for b in range(wanted.shape[1]):
            for r in range(len(losses)):
                error = out[o, b, r] - wanted[o, b, r]
                losses[r] += np.float64(error * error) / 2
