r"""A line through the origin that is too steep, and the LR that levels it in one step.

The points lie on y = 0, the line is :math:`z = w x`, the loss is
:math:`\frac{1}{2m} \sum_i (z_i - y_i)^2 = \frac12 w^2 \overline{x^2}` and its gradient
:math:`w \overline{x^2}`. One step of descent reaches w = 0 with the LR :math:`1 / \overline{x^2}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench_lr.calculations.streams import generators
from bench_lr.calculations.words import Count, Numbers, Positive
from bench_lr.schedules import Floats


@dataclass(frozen=True)
class LineLoss:
    """Half the mean squared error of the line with slope `slope` at points `x` on y = 0."""

    x: Numbers
    slope: float
    kind: Literal["line_loss"] = "line_loss"

    def values(self) -> Floats:
        """Return the loss, shape (1,)."""
        return np.array([np.mean((self.slope * np.asarray(self.x)) ** 2) / 2])


@dataclass(frozen=True)
class NeededLr:
    """The LR with which one step turns the slope `slope` into 0 at points `x` on y = 0.

    `by`: ``gradient`` (the step is LR times gradient) or ``loss`` (LR times loss, which is not
    descent but what the source reckons with).
    """

    x: Numbers
    slope: Positive
    by: Literal["gradient", "loss"]
    kind: Literal["needed_lr"] = "needed_lr"

    def __post_init__(self) -> None:
        """Raise ValueError if no point is off the origin."""
        if not any(self.x):
            raise ValueError("every point lies at 0, where any line fits")

    def values(self) -> Floats:
        """Return the LR, shape (1,)."""
        return np.array([_needed(np.asarray(self.x)[None], self.slope, self.by)[0]])


@dataclass(frozen=True)
class NeededLrDraws:
    """The same LR when `points` points are drawn from a uniform distribution around 0, by seed.

    The points of a smaller sample are the first ones of a larger sample of the same seed.
    """

    points: Count
    half_width: Positive
    slope: Positive
    by: Literal["gradient", "loss"]
    seeds: Count = 1000
    kind: Literal["needed_lr_draws"] = "needed_lr_draws"

    def values(self) -> Floats:
        """Return the LR of each seed, shape (seeds,)."""
        x = np.stack([g.uniform(-1, 1, self.points) for g in generators("points", self.seeds)])
        return _needed(self.half_width * x, self.slope, self.by)


def _needed(x: Floats, slope: float, by: str) -> Floats:
    """Shape (samples, points) to (samples,)."""
    square = np.mean(x**2, axis=1)
    strength = slope * square if by == "gradient" else slope**2 * square / 2
    needed: Floats = slope / strength
    return needed
