"""Looking at the results more than once: seeds are added until a criterion is decided.

Every look could decide wrongly, so the 2.5 % a side that one judgement may spend are divided among
looks declared beforehand. What may have been spent by the time a share t of all seeds is there is

    0.025 log(1 + (e - 1) t),

the spending function of Lan and DeMets (1983) that stays close to Pocock's equal levels: early
looks get enough to end a clear case. From it follows, look by look, the level at which a z test
must be made for the chance of ever crossing, under the null hypothesis, to be what was spent
(Armitage, McPherson and Rowe 1969). Criteria use their own tests at these levels (Jennison and
Turnbull 2000, section 4.4, for t tests); the interval they report is a repeated confidence interval
(Jennison and Turnbull 1989): all looks together cover 95 %.

References: Lan and DeMets (1983), Biometrika 70, 659-663; Armitage, McPherson and Rowe (1969),
Journal of the Royal Statistical Society A 132, 235-244; Jennison and Turnbull (1989), JRSS B 51,
305-361, and (2000), Group Sequential Methods.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from bench_lr.criteria import CriterionResult, evaluate
from bench_lr.criteria.level import ALPHA, judged_at
from bench_lr.schema import Claim

_GRID = 1501
_FAR = 8.0
"""Standard deviations beyond which nothing is left."""

Spending = Callable[[float], float]


def pocock_like(share: float) -> float:
    """Part of the error spent when `share` of the seeds are there; 0 at 0 and 1 at 1."""
    return float(np.log1p((np.e - 1.0) * share))


@lru_cache(maxsize=64)
def levels(
    looks: tuple[int, ...], alpha: float = ALPHA, spending: Spending = pocock_like
) -> tuple[float, ...]:
    """One-sided level of every look.

    Parameters
    ----------
    looks : tuple of int
        Seeds at each look, increasing; the last is the cap.
    alpha : float
        What all looks together may spend.

    Returns
    -------
    tuple of float
        With a single look, `alpha`.

    Raises
    ------
    ValueError
        If the looks do not increase from 1 or more.

    Notes
    -----
    With B a Brownian motion and t the share of seeds, the looks are at B(t). The density of B(t)
    on the paths that have not crossed is carried from look to look by convolution with the normal
    density of the increment, on a grid.
    """
    if not looks or looks[0] < 1 or any(b <= a for a, b in itertools.pairwise(looks)):
        raise ValueError(f"looks must increase from 1 or more, not {looks}")
    times = [n / looks[-1] for n in looks]
    found: list[float] = []
    spent = before = 0.0
    points: NDArray[np.float64] = np.zeros(0)
    density: NDArray[np.float64] = np.zeros(0)
    for time in times:
        budget = alpha * spending(time) - spent
        spent += budget
        step = float(np.sqrt(time - before))

        def beyond(
            bound: float, points: Any = points, density: Any = density, step: float = step
        ) -> float:
            """Chance to be beyond `bound` now, not having crossed before."""
            if not points.size:
                return float(stats.norm.sf(bound / step))
            tail = stats.norm.sf((bound - points) / step)
            return float(np.trapezoid(density * tail, points))

        reach = _FAR * float(np.sqrt(time))
        bound = float(optimize.brentq(lambda b, f=beyond, c=budget: f(b) - c, -reach, reach))
        found.append(float(stats.norm.sf(bound / np.sqrt(time))))
        grid = np.linspace(-reach, bound, _GRID)
        if not points.size:
            density = stats.norm.pdf(grid, scale=step)
        else:
            kernel = stats.norm.pdf(grid[:, None] - points[None, :], scale=step)
            density = np.asarray(np.trapezoid(kernel * density, points, axis=1))
        points, before = grid, time
    return tuple(found)


def seeds_at(claim: Claim, seeds: int) -> Claim:
    """Return a claim with its first `seeds` seeds in every arm, whatever it had."""
    arms = [
        replace(arm, runs=tuple(replace(arm.runs[0], seed=seed) for seed in range(seeds)))
        for arm in claim.arms
    ]
    return replace(claim, arms=tuple(arms))


def first_look(claim: Claim) -> Claim:
    """Return a claim as it is at the first look that its profile declares.

    One whose outcome has no chance in it (a single seed, or no training at all) stays as it is.
    """
    looks = claim.profile.looks
    if not looks or claim.seeds < 2:
        return claim
    return replace(seeds_at(claim, looks[0]), looks=looks)


def next_look(claim: Claim) -> Claim | None:
    """Return a claim as it is at its next look, or None after the last."""
    later = [n for n in claim.looks if n > claim.seeds]
    return seeds_at(claim, later[0]) if later else None


def judge_in_looks(
    kind: str, arms: Mapping[str, ArrayLike], looks: Sequence[int], **params: Any
) -> CriterionResult:
    """Judge one criterion at each look that there are seeds for, until it is decided.

    A function of the arms and the declared looks alone: it says the same whenever it is asked,
    however many seeds were added for the sake of other criteria.

    Parameters
    ----------
    kind, arms, params
        As for `criteria.evaluate`; seeds beyond the last look are left out.
    looks : sequence of int
        Seeds at each look, as declared before the first.

    Returns
    -------
    CriterionResult
        Of the look that decided, or the last there are seeds for. Its note says which.

    Raises
    ------
    CriterionError
        As `criteria.evaluate`.
    ValueError
        If the looks do not increase.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in arms.items()}
    seeds = max((len(values) for values in arrays.values() if values.ndim), default=0)
    made = [n for n in looks if n <= seeds]
    if not made:
        return evaluate(kind, arms, **params)
    for number, (n, level) in enumerate(zip(made, levels(tuple(looks)), strict=False), start=1):
        with judged_at(level):
            result = evaluate(kind, {name: values[:n] for name, values in arrays.items()}, **params)
        decided = result.verdict in ("reproduced", "refuted")
        if decided or n == made[-1]:
            word = "decided" if decided else "not decided"
            said = f"{word} at look {number} of {len(looks)} ({n} seeds, level {level:.2g} a side)"
            return replace(result, note="; ".join(part for part in (result.note, said) if part))
    raise AssertionError("unreachable")
