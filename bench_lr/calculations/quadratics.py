r"""Descent on quadratics :math:`f(w) = \frac12 \sum_i \lambda_i w_i^2`, with and without noise.

Without noise each coordinate is multiplied by :math:`1 - \eta \lambda_i` at every step: it changes
sign when :math:`\eta > 1/\lambda_i` and grows when :math:`\eta > 2/\lambda_i` (LeCun, Bottou, Orr
and Müller 1998, Efficient BackProp, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench_lr.calculations.streams import generators
from bench_lr.calculations.words import Count, NonNegative, Numbers, Positive, Positives
from bench_lr.schedules import Floats


@dataclass(frozen=True)
class QuadraticDescent:
    """Gradient descent on a quadratic from `start`, once with each of `lrs`.

    `report`: ``loss`` (after all `steps`, as a multiple of the loss at the start); ``flips`` (share
    of the steps at which a coordinate changes its sign); ``steps_to`` (steps until the loss is at
    most `target` of that at the start, or `steps` if it never is).
    """

    curvatures: Positives
    start: Numbers
    lrs: Positives
    steps: Count
    report: Literal["loss", "flips", "steps_to"] = "loss"
    target: Positive = 1e-3
    kind: Literal["quadratic_descent"] = "quadratic_descent"

    def __post_init__(self) -> None:
        """Raise ValueError unless there is a start for every curvature."""
        _same_length(self.curvatures, self.start)

    def path(self, lrs: Sequence[float] | None = None, steps: int | None = None) -> Floats:
        """Return the weights before every step and after the last.

        Returns
        -------
        array, shape (lrs, steps + 1, curvatures)
        """
        rates = np.asarray(self.lrs if lrs is None else lrs, dtype=np.float64)
        count = self.steps if steps is None else steps
        curvature = np.asarray(self.curvatures, dtype=np.float64)
        weights = np.empty((rates.size, count + 1, curvature.size))
        weights[:, 0] = self.start
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(count):
                now = weights[:, step]
                weights[:, step + 1] = now - rates[:, None] * (curvature * now)
        return weights

    def loss(self, path: Floats) -> Floats:
        """Return the loss along a path, as a multiple of that at the start, shape (lrs, steps)."""
        with np.errstate(over="ignore", invalid="ignore"):
            losses: Floats = 0.5 * (np.asarray(self.curvatures) * path**2).sum(axis=-1)
            relative: Floats = losses / losses[:, :1]
        return relative

    def values(self) -> Floats:
        """Return what is reported of each of `lrs`, shape (len(lrs),)."""
        path = self.path()
        if self.report == "flips":
            with np.errstate(over="ignore", invalid="ignore"):
                flips = (np.sign(path[:, 1:]) * np.sign(path[:, :-1]) < 0).any(axis=-1)
            result: Floats = flips.mean(axis=1)
            return result
        losses = self.loss(path)
        if self.report == "loss":
            return losses[:, -1]
        reached = losses <= self.target
        return np.where(reached.any(axis=1), reached.argmax(axis=1), self.steps).astype(np.float64)


@dataclass(frozen=True)
class QuadraticThreshold:
    r"""The LR at which gradient descent on a quadratic begins to overshoot, or to diverge.

    Found by trying: LRs are divided ever more finely between one that does not and one that does.
    `of`: ``overshoot`` (a coordinate changes its sign, :math:`1 / \lambda_{max}` by theory) or
    ``divergence`` (a coordinate has grown after 400 steps, :math:`2 / \lambda_{max}`).
    """

    curvatures: Positives
    of: Literal["overshoot", "divergence"]
    kind: Literal["quadratic_threshold"] = "quadratic_threshold"

    def values(self) -> Floats:
        """Return the threshold, shape (1,)."""
        low, high = 0.0, 1.0
        while not self._does(np.array([high]))[0]:
            low, high = high, 2.0 * high
        for _ in range(8):
            rates = np.linspace(low, high, 65)
            first = int(self._does(rates[1:]).argmax()) + 1
            low, high = float(rates[first - 1]), float(rates[first])
        return np.array([0.5 * (low + high)])

    def _does(self, rates: Floats) -> npt.NDArray[np.bool_]:
        start = (1.0,) * len(self.curvatures)
        steps = 1 if self.of == "overshoot" else 400
        descent = QuadraticDescent(self.curvatures, start, tuple(rates), steps)
        path = descent.path()
        if self.of == "overshoot":
            return np.asarray((path[:, 1] < 0).any(axis=-1))
        # Not finite: it has grown beyond what a number holds.
        return np.asarray((~(np.abs(path[:, -1]) <= np.abs(path[:, 0]))).any(axis=-1))


@dataclass(frozen=True)
class NoisyQuadratic:
    r"""Stochastic gradient descent on :math:`\frac12 \lambda w^2`, once with each of `lrs`.

    The gradient of a batch of B is :math:`\lambda w + \sigma \xi / \sqrt{B}` with :math:`\xi`
    standard normal and :math:`\sigma` = `noise`. The noise is the same for every LR and batch size.

    `report`: ``plateau`` (mean loss over the last `window` steps); ``relative_plateau`` (the same
    divided by what `PlateauLevel` says); ``curve`` (loss after every step, of a single LR).
    """

    curvature: Positive
    lrs: Positives
    noise: NonNegative
    steps: Count
    window: Count
    start: float = 1.0
    batch_size: Count = 1
    report: Literal["plateau", "relative_plateau", "curve"] = "plateau"
    seeds: Count = 20
    kind: Literal["noisy_quadratic"] = "noisy_quadratic"

    def __post_init__(self) -> None:
        """Raise ValueError for a window longer than the run, or a curve of several LRs."""
        if self.window > self.steps:
            raise ValueError(f"window ({self.window}) exceeds steps ({self.steps})")
        if self.report == "curve" and len(self.lrs) > 1:
            raise ValueError("report: curve needs a single LR")

    def values(self) -> Floats:
        """Return what is reported, shape (seeds, len(lrs)), or (seeds, steps) of a curve."""
        noise = np.stack(
            [g.standard_normal(self.steps) for g in generators("noisy quadratic", self.seeds)]
        )
        noise *= self.noise / np.sqrt(self.batch_size)
        rates = np.asarray(self.lrs, dtype=np.float64)
        weights = np.full((self.seeds, rates.size), self.start)
        losses = np.empty((self.steps, self.seeds, rates.size))
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(self.steps):
                weights = weights - rates * (self.curvature * weights + noise[:, step, None])
                losses[step] = 0.5 * self.curvature * weights**2
            plateau: Floats = losses[-self.window :].mean(axis=0)
        if self.report == "curve":
            return np.ascontiguousarray(losses[:, :, 0].T)
        if self.report == "plateau":
            return plateau
        level = PlateauLevel(self.curvature, self.lrs, self.noise, self.batch_size)
        relative: Floats = plateau / level.values()
        return relative


@dataclass(frozen=True)
class PlateauLevel:
    r"""Expected loss of `NoisyQuadratic` in the end: :math:`\eta \sigma^2 / 2B(2 - \eta\lambda)`.

    In the stationary state :math:`E w^2 = (1 - \eta\lambda)^2 E w^2 + \eta^2 \sigma^2 / B`, and the
    loss is :math:`\frac12 \lambda E w^2`.
    """

    curvature: Positive
    lrs: Positives
    noise: NonNegative
    batch_size: Count = 1
    kind: Literal["plateau_level"] = "plateau_level"

    def __post_init__(self) -> None:
        """Raise ValueError for an LR at which the descent does not settle."""
        if max(self.lrs) * self.curvature >= 2:
            raise ValueError(f"an LR of 2 / curvature = {2 / self.curvature:g} or more diverges")

    def values(self) -> Floats:
        """Return the level for each of `lrs`, shape (len(lrs),)."""
        rates = np.asarray(self.lrs, dtype=np.float64)
        variance = self.noise**2 / self.batch_size
        result: Floats = rates * variance / (2 * (2 - rates * self.curvature))
        return result


def _same_length(curvatures: Sequence[float], start: Sequence[float]) -> None:
    if len(curvatures) != len(start):
        raise ValueError(f"start has {len(start)} coordinates, curvatures has {len(curvatures)}")
