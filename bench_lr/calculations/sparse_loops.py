"""The loop of the sparse logistic regression, compiled; imported where it is first needed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bench_lr.calculations.sparse_features import EPS
from bench_lr.cohort.compiling import compiled
from bench_lr.schedules import Floats

Ints = npt.NDArray[np.int64]


@compiled
def train(
    ends: Ints,
    present: Ints,
    y: Floats,
    lrs: Floats,
    adagrad: bool,
    decayed: bool,
    w: Floats,
    g: Floats,
    s: Floats,
) -> None:
    """Train one seed with each LR, in place.

    Parameters
    ----------
    ends : array, shape (steps * batch + 1,)
        Where the features of each example begin in `present`, and where those of the last end.
    present : array
        Features that examples have, one after another.
    y : array, shape (steps, batch)
    lrs : array, shape (lrs,)
    w : array, shape (lrs, features)
        Weights, changed.
    g, s : array, shape (features,)
        Room for a gradient and Adagrad's sums.
    """
    steps, batch = y.shape
    for row in range(lrs.size):
        s[:] = 0.0
        for step in range(steps):
            g[:] = 0.0
            for example in range(batch):
                place = step * batch + example
                z = 0.0
                for k in range(ends[place], ends[place + 1]):
                    z += w[row, present[k]]
                off = (1.0 / (1.0 + math.exp(-z)) - y[step, example]) / batch
                for k in range(ends[place], ends[place + 1]):
                    g[present[k]] += off
            rate = lrs[row] / math.sqrt(step + 1.0) if decayed else lrs[row]
            for j in range(g.size):
                if g[j] != 0.0:
                    if adagrad:
                        s[j] += g[j] * g[j]
                        w[row, j] -= rate * g[j] / (math.sqrt(s[j]) + EPS)
                    else:
                        w[row, j] -= rate * g[j]
