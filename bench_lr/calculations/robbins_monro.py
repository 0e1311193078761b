r"""The Robbins-Monro conditions: which schedules meet them, and what a noisy quadratic does.

:math:`\sum \eta_k = \infty` and :math:`\sum \eta_k^2 < \infty` (Robbins and Monro 1951, A
stochastic approximation method, Annals of Mathematical Statistics 22, 400-407).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench_lr.calculations.streams import generators
from bench_lr.calculations.words import Count, Positive
from bench_lr.schedules import (
    Clock,
    Constant,
    Cyclic,
    Exponential,
    Floats,
    Inverse,
    Linear,
    MultiStep,
    Planned,
    Polynomial,
    RangeTest,
    Registered,
    Step,
    Warmup,
)

_BLOCK = 1 << 15
Ends = Annotated[tuple[Count, ...], Field(min_length=1)]
Ints = npt.NDArray[np.int64]


def conditions(schedule: Planned) -> tuple[bool, bool]:
    r"""Whether :math:`\sum \eta_k` diverges, and whether :math:`\sum \eta_k^2` converges.

    A schedule that stays above a positive LR has both sums infinite; one that falls at least
    geometrically, or is zero from some time on, has both finite; :math:`(1 + \gamma t)^{-p}` has
    the sums of :math:`t^{-p}` and :math:`t^{-2p}`.
    """
    stays, vanishes = (True, False), (False, True)
    match schedule:
        case Constant() | MultiStep() | Cyclic() | RangeTest():
            return stays
        case Step(factor=factor):
            return vanishes if factor < 1 else stays
        case Exponential(factor=factor):
            return vanishes if factor is None or factor < 1 else stays
        case Polynomial(final=final) | Linear(final=final):
            return stays if final > 0 else vanishes
        case Inverse(power=power):
            return power <= 1, 2 * power > 1
        case Warmup(then=then):
            return conditions(then)
        case Registered():
            raise ValueError("whether the sums of a registered schedule are finite is not known")


@dataclass(frozen=True)
class RobbinsMonro:
    """Whether a schedule, continued for ever, meets the two conditions."""

    schedule: Planned
    kind: Literal["robbins_monro"] = "robbins_monro"

    def __post_init__(self) -> None:
        conditions(self.schedule)

    def values(self) -> Floats:
        """Return 1 or 0 for an infinite sum, and for a finite sum of squares, shape (2,)."""
        return np.array(conditions(self.schedule), dtype=np.float64)


@dataclass(frozen=True)
class ScheduledQuadratic:
    r"""Stochastic gradient descent on :math:`\frac12 \lambda w^2` under a schedule.

    The gradient is :math:`\lambda w + \sigma \xi` with :math:`\xi` standard normal, the same draws
    for every schedule. Looked at at each of `at`: the mean squared distance from the minimum over
    the tenth of the steps that ends there.
    """

    schedule: Planned
    lr: Positive
    at: Ends
    curvature: Positive = 1.0
    noise: Positive = 1.0
    start: float = 1.0
    seeds: Count = 8
    kind: Literal["scheduled_quadratic"] = "scheduled_quadratic"

    def values(self) -> Floats:
        """Return the mean squared distances, shape (seeds, len(at))."""
        return _simulated(self).copy()


@dataclass(frozen=True)
class ExpectedQuadratic:
    r"""Expected squared distance from the minimum under `ScheduledQuadratic`: exact, no draws.

    :math:`m \leftarrow (1 - \eta\lambda)^2 m + \eta^2\sigma^2`, whose floor at a fixed LR is
    :math:`\eta \sigma^2 / (\lambda (2 - \eta \lambda))`. `report` ``curve`` is m after each of `at`
    steps; ``fall`` the last of them as a multiple of the one after `since`.
    """

    schedule: Planned
    lr: Positive
    at: Ends
    curvature: Positive = 1.0
    noise: Positive = 1.0
    start: float = 1.0
    report: Literal["curve", "fall"] = "curve"
    since: Count | None = None
    kind: Literal["expected_quadratic"] = "expected_quadratic"

    def __post_init__(self) -> None:
        """Raise ValueError unless `since` is one of `at` where it is needed, and only there."""
        if (self.report == "fall") != (self.since is not None):
            raise ValueError("since with report: fall, and only with it")
        if self.since is not None and self.since not in self.at:
            raise ValueError(f"since ({self.since}) not one of at")

    def values(self) -> Floats:
        """Return the expected squared distances, shape (len(at),), or their fall, shape (1,)."""
        curve = self._curve()
        if self.since is None:
            return curve
        last, earlier = int(np.argmax(self.at)), self.at.index(self.since)
        return np.array([curve[last] / curve[earlier]])

    def _curve(self) -> Floats:
        from bench_lr.calculations.robbins_monro_loops import expect

        ends = np.asarray(self.at, dtype=np.int64)
        moment, result = np.array([self.start**2]), np.full(ends.size, np.nan)
        for first in range(0, max(self.at), _BLOCK):
            now = np.arange(first, min(first + _BLOCK, max(self.at)), dtype=np.float64)
            rates = self.lr * self.schedule.multiplier(Clock(now, now))
            expect(moment, rates, self.curvature, self.noise, ends - first, result)
        return result


@lru_cache(maxsize=64)
def _simulated(of: ScheduledQuadratic) -> Floats:
    """Squared distances: a claim is judged, and drawn, several times in one process."""
    order = np.argsort(of.at)
    ends = np.asarray(of.at, dtype=np.int64)[order]
    firsts = ends - np.maximum(1, ends // 10)
    weights = np.full(of.seeds, of.start)
    totals = np.zeros((ends.size, of.seeds))
    draws = list(generators("scheduled_quadratic", of.seeds))
    noise = np.empty((of.seeds, _BLOCK))
    for first in range(0, int(ends[-1]), _BLOCK):
        last = min(first + _BLOCK, int(ends[-1]))
        now = np.arange(first, last, dtype=np.float64)
        rates = of.lr * of.schedule.multiplier(Clock(now, now))
        for seed, draw in enumerate(draws):
            draw.standard_normal(out=noise[seed])
        seen = (firsts < last) & (ends > first)
        totals[seen] += _descended(
            weights, rates, noise * of.noise, of.curvature, first, firsts[seen], ends[seen]
        )
    result = np.empty((of.seeds, ends.size))
    result[:, order] = (totals / (ends - firsts)[:, None]).T
    return result


def _descended(
    weights: Floats,
    rates: Floats,
    noise: Floats,
    curvature: float,
    first: int,
    firsts: Ints,
    ends: Ints,
) -> Floats:
    """Take the steps of a block; return the sums of squared distances, shape (windows, seeds)."""
    # Compilers take long to import, and to read a claim needs none.
    from bench_lr.calculations.robbins_monro_loops import descend

    totals = np.zeros((ends.size, weights.size))
    descend(weights, rates, noise, curvature, firsts - first, ends - first, totals)
    return totals
