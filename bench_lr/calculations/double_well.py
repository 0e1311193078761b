r"""Gradient noise and a local minimum: descent in a tilted double well.

:math:`U(x) = x^4/4 - x^2/2 + t x` with tilt t between 0 and :math:`2 / \sqrt{27}` has a shallow
minimum near 1, a deep one near -1 and a barrier between them. Noise of variance :math:`\sigma^2/B`
in the gradient makes descent with LR :math:`\eta` a walk at temperature
:math:`T = \eta \sigma^2 / 2B`, which leaves a well of depth D at a rate of about
:math:`\exp(-D / T)` (Kramers 1940, Physica 7, 284-304).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.calculations.streams import generators
from bench_lr.calculations.words import Count, NonNegative, Positive
from bench_lr.schedules import Floats

Tilt = Annotated[float, Field(gt=0, lt=2 / 27**0.5)]


@dataclass(frozen=True)
class DoubleWell:
    """Runs that start above the shallow minimum: 1 for each that reaches the deep one, else 0.

    `start` is where they start; from the default a small step leads down into the shallow minimum.
    `noise` is the standard deviation of one example's gradient, divided by the root of
    `batch_size`. The noise of a seed is the same whatever the other settings.
    """

    lr: Positive
    noise: NonNegative
    steps: Count
    batch_size: Count = 1
    tilt: Tilt = 0.1
    start: float = 1.5
    seeds: Count = 200
    kind: Literal["double_well"] = "double_well"

    @property
    def level(self) -> float:
        """How noisy the walk is, ησ²/B: twice its temperature."""
        return self.lr * self.noise**2 / self.batch_size

    def potential(self, x: Floats) -> Floats:
        """Return the loss at `x`, of the same shape."""
        return x**4 / 4 - x**2 / 2 + self.tilt * x

    def stationary(self) -> tuple[float, float, float]:
        """Return the deep minimum, the top of the barrier and the shallow minimum."""
        deep, top, shallow = sorted(np.roots([1.0, 0.0, -1.0, self.tilt]).real)
        return float(deep), float(top), float(shallow)

    def paths(self, seeds: int | None = None) -> Floats:
        """Return where each run is before every step and after the last, shape (seeds, steps + 1).

        The same runs, whether fewer are asked for or all.
        """
        count = self.seeds if seeds is None else seeds
        noise = np.stack([g.standard_normal(self.steps) for g in generators("double well", count)])
        noise *= self.noise / np.sqrt(self.batch_size)
        path = np.empty((self.steps + 1, count))
        path[0] = self.start
        kicks = np.ascontiguousarray(noise.T)
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(self.steps):
                x = path[step]
                path[step + 1] = x - self.lr * (x * x * x - x + self.tilt + kicks[step])
        return np.ascontiguousarray(path.T)

    def values(self) -> Floats:
        """Return whether each run reached the deep minimum, shape (seeds,)."""
        deep = self.stationary()[0]
        return np.asarray((self.paths() <= deep).any(axis=1), dtype=np.float64)
