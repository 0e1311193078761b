"""Loops of the noisy quadratic under a schedule, compiled; imported where first needed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench_lr.cohort.compiling import compiled
from bench_lr.schedules import Floats

Ints = npt.NDArray[np.int64]


@compiled
def descend(
    weights: Floats,
    rates: Floats,
    noise: Floats,
    curvature: float,
    firsts: Ints,
    ends: Ints,
    totals: Floats,
) -> None:
    """Take the steps of a block, in place.

    Parameters
    ----------
    weights : array, shape (seeds,)
        Changed.
    rates : array, shape (steps,)
    noise : array, shape (seeds, steps)
    firsts, ends : array, shape (windows,)
        Steps of the block that a window begins with, and ends before.
    totals : array, shape (windows, seeds)
        Sums of squared distances, added to.
    """
    for seed in range(weights.size):
        weight = weights[seed]
        for step in range(rates.size):
            weight -= rates[step] * (curvature * weight + noise[seed, step])
            for window in range(ends.size):
                if firsts[window] <= step < ends[window]:
                    totals[window, seed] += weight * weight
        weights[seed] = weight


@compiled
def expect(
    moment: Floats, rates: Floats, curvature: float, noise: float, ends: Ints, result: Floats
) -> None:
    """Carry the expected squared weight through a block of steps.

    Parameters
    ----------
    moment : array, shape (1,)
        Changed in place.
    rates : array, shape (steps,)
    ends : array, shape (ends,)
        Numbers of steps of the block after which the moment is noted.
    result : array, shape (ends,)
        Where it is noted.
    """
    now = moment[0]
    for step in range(rates.size):
        left = 1.0 - rates[step] * curvature
        now = left * left * now + (rates[step] * noise) ** 2
        for place in range(ends.size):
            if ends[place] == step + 1:
                result[place] = now
    moment[0] = now
