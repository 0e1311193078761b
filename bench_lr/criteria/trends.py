"""Criteria about a trend over arms: their order, and the slope of a power law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from bench_lr.criteria.best_arm import worst_if_diverged
from bench_lr.criteria.comparison import (
    MIN_SEEDS,
    BoolArray,
    Region,
    compare,
    conclude,
    directional,
    undecided,
)
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionError, CriterionResult, Detail, Verdict
from bench_lr.criteria.validation import range_problems
from bench_lr.stats import FloatArray, paired_differences


def _ordered_problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    if len(params["order"]) < 2:
        yield "order needs two arms or more"


@criterion("ordered", arm_params=("order",), check=_ordered_problems)
def ordered(
    arms: Arms,
    *,
    order: Sequence[str],
    margin: float = 0.0,
    larger_is_better: bool = True,
    exact: bool = False,
) -> CriterionResult:
    """Each arm of `order` is better than the one before it by more than `margin`.

    Hypothesis: every mean seed-paired difference between neighbours, later - earlier
    (earlier - later when smaller is better), exceeds `margin`: strictly increasing by default; with
    a negative margin, no step falls by as much as that ("more or less in this order").
    Test: two-sided 95 % Student-t intervals. Reproduced when all lie above `margin`, refuted when
    one lies below. The estimate is the weakest step.
    Error control: intersection-union, each step at 2.5 %; refutation adjusted by Holm over the
    steps. Divergence: see `comparison.directional`, the later arm being the treatment.
    Source: Berger (1982), Technometrics 24, 295-300; Holm (1979), Scandinavian Journal of
    Statistics 6, 65-70.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds,)
    order : sequence of str
        Two arms or more, from low to high (from worst to best when smaller is better).
    margin : float
        In units of the metric; may be negative.
    larger_is_better : bool
        Direction of the metric.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    """
    region = Region(low=margin)
    sign = 1.0 if larger_is_better else -1.0
    comparisons = []
    satisfied: BoolArray = np.ones(len(arms[order[0]]), dtype=np.bool_)
    for earlier, later in pairwise(order):
        step = sign * paired_differences(arms[later], arms[earlier])
        lost, gone = np.isnan(arms[later]), np.isnan(arms[earlier])
        satisfied &= region.contains(step) | (gone & ~lost)
        comparisons.append(
            directional(f"{later} - {earlier}", step, (later, lost), (earlier, gone), region)
        )
    return conclude(comparisons, margin=margin, satisfied=satisfied, exact=exact)


def _slope_problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    x, choice = params["x"], params["choice"]
    if len(set(x.values())) < 2:
        yield "x needs two different values or more"
    if params["log"] and min([*x.values(), *(choice or {}).values()], default=1.0) <= 0:
        yield "log=True needs x and choice to be positive"
    if choice is not None:
        if set(choice) != set(x):
            yield "x and choice must name the same arms"
        elif len({(x[name], choice[name]) for name in x}) < len(x):
            yield "two arms have the same x and the same choice"
        counts = Counter(x.values())
        yield from (f"x={at:g} has one choice only" for at, n in counts.items() if n == 1)
    if params["low"] is not None or params["high"] is not None:
        yield from range_problems(params)
        if params["margin"] != 0.0:
            yield "give margin or a range (low, high), not both"


@dataclass(frozen=True)
class _Optima:
    """Best choice at each x, by seed and by the mean over seeds."""

    x: FloatArray
    per_seed: FloatArray
    by_mean: list[float | None]
    edges: list[int]
    """-1 or 1 where the best choice by mean is the smallest or the largest at that x, else 0."""


@criterion("slope", arm_params=("x", "choice"), check=_slope_problems)
def slope(
    arms: Arms,
    *,
    x: Mapping[str, float],
    choice: Mapping[str, float] | None = None,
    margin: float = 0.0,
    low: float | None = None,
    high: float | None = None,
    log: bool = True,
    larger_is_better: bool = True,
    exact: bool = False,
) -> CriterionResult:
    """A quantity grows with x by more than `margin` (or between `low` and `high`) on log-log axes.

    The quantity is the metric itself or, with `choice`, the choice whose metric is best at each x
    (a diverged run is never best; of equals, the smaller choice is).
    Hypothesis: the mean over seeds of the per-seed least-squares slope of log y on log x exceeds
    `margin`, or lies in [low, high].
    Test: 95 % Student-t interval of the per-seed slopes. Reproduced when it lies where claimed,
    refuted when wholly elsewhere. A best choice on the edge of its grid, by mean metric, hides an
    optimum farther out. Where that could only have weakened the verdict (for a rising slope: the
    lower edge at small x, the upper edge at large x, both flatten it) it is noted; where it could
    have made the verdict, the verdict is inconclusive.
    Error control: 2.5 % a side. A seed without a slope (a diverged run, or no survivor at some x)
    is left out if six and more than half of the seeds remain.
    Source: Student (1908), Biometrika 6, 1-25; slopes as per-subject summary measures: Matthews,
    Altman, Campbell and Royston (1990), BMJ 300, 230-235.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds,)
    x : mapping of arm to float
        For instance the batch size of each arm.
    choice : mapping of arm to float, optional
        For instance the LR of each arm.
    margin : float
        What the slope should exceed.
    low, high : float, optional
        Range of the slope, ends in, instead of `margin`.
    log : bool
        Slope on logarithms of both axes; False: on the values.
    larger_is_better : bool
        Direction of the metric (with `choice`).
    exact : bool
        The values have no between-seed variation: one seed is enough.
    """
    region = Region(low=margin) if low is None and high is None else Region.between(low, high)
    scale = np.log if log else np.asarray
    rows: tuple[Detail, ...] = ()
    optima = None
    if choice is None:
        abscissa = np.array([x[name] for name in x], dtype=np.float64)
        quantity = np.stack([arms[name] for name in x], axis=1)
        if log and (quantity <= 0).any():
            raise CriterionError("slope: log=True needs positive values")
    else:
        optima = _optima(arms, x, choice, 1.0 if larger_is_better else -1.0)
        abscissa, quantity = optima.x, optima.per_seed
        rows = tuple(
            Detail(f"best choice at x={at:g}", best, None, None, None)
            for at, best in zip(optima.x, optima.by_mean, strict=True)
        )
    centred = scale(abscissa) - scale(abscissa).mean()
    slopes = _slopes(centred, scale(quantity))
    left = slopes[~np.isnan(slopes)]
    missing = slopes.size - left.size
    if missing and (left.size < MIN_SEEDS or 2 * left.size <= slopes.size):
        judged = undecided("slope", f"no slope in {missing} of {slopes.size} seeds")
    else:
        judged = compare("slope", left, region)
        if missing:
            note = f"no slope in {missing} of {slopes.size} seeds: judged on the others"
            judged = replace(judged, note=note)
    result = conclude(
        [judged],
        margin=margin if low is None and high is None else None,
        satisfied=region.contains(slopes),
        exact=exact,
    )
    result = replace(result, details=result.details + rows)
    return result if optima is None else _edge_rule(result, optima, centred, region)


def _slopes(centred: FloatArray, y: FloatArray) -> FloatArray:
    """Least-squares slope of each row of y, NaN where the row holds one.

    Rounded to 12 digits of the steepest: the slopes of choices on a grid often agree in all seeds,
    and then the last bit alone would decide on which side of a bound they lie.
    """
    slopes = (centred * (y - y[:, :1])).sum(axis=1) / (centred**2).sum()
    steepest = np.nanmax(np.abs(slopes), initial=0.0)
    digits = 12 - int(np.ceil(np.log10(steepest))) if steepest > 0 else 0
    rounded: FloatArray = np.round(slopes, digits)
    return rounded


def _optima(
    arms: Arms, x: Mapping[str, float], choice: Mapping[str, float], sign: float
) -> _Optima:
    places = sorted(set(x.values()))
    columns, by_mean, edges = [], [], []
    for place in places:
        names = sorted((name for name in x if x[name] == place), key=lambda name: choice[name])
        grid = np.array([choice[name] for name in names], dtype=np.float64)
        scores = sign * np.stack([arms[name] for name in names], axis=1)
        ranked = np.where(np.isnan(scores), -np.inf, scores)
        survivor = np.isfinite(ranked).any(axis=1)
        columns.append(np.where(survivor, grid[ranked.argmax(axis=1)], np.nan))
        means = np.array([worst_if_diverged(column) for column in scores.T])
        best = int(means.argmax())
        known = bool(np.isfinite(means[best]))
        by_mean.append(float(grid[best]) if known else None)
        edges.append(0 if not known else -1 if best == 0 else 1 if best == grid.size - 1 else 0)
    return _Optima(np.array(places, dtype=np.float64), np.stack(columns, axis=1), by_mean, edges)


def _edge_rule(
    result: CriterionResult, optima: _Optima, centred: FloatArray, region: Region
) -> CriterionResult:
    """Withdraw a verdict that optima beyond the edges of the grid could have overturned."""
    if not any(optima.edges):
        return result
    said = []
    raises = lowers = False
    weights = np.round(centred / np.abs(centred).max(), 9)  # 0 at the centre, despite rounding
    for at, weight, edge in zip(optima.x, weights, optima.edges, strict=True):
        if edge == 0:
            continue
        # Moving the optimum outwards changes the slope by weight * edge times something positive.
        raises |= bool(weight * edge > 0)
        lowers |= bool(weight * edge < 0)
        effect = {1.0: "lowers", -1.0: "raises"}.get(float(np.sign(weight * edge)), "keeps")
        side = "lower" if edge < 0 else "upper"
        said.append(
            f"best choice at x={at:g} is on the {side} edge of its grid, which {effect} the slope"
        )
    harmful = False
    if result.verdict == "reproduced":
        harmful = (lowers and np.isfinite(region.low)) or (raises and np.isfinite(region.high))
    elif result.verdict == "refuted" and result.estimate is not None:
        harmful = raises if result.estimate < region.low else lowers
    if harmful:
        said.append("the true slope could lie elsewhere: extend the grid")
    elif result.verdict in ("reproduced", "refuted"):
        said.append("harmless: that cannot have made the verdict")
    verdict: Verdict = "inconclusive" if harmful else result.verdict
    note = "; ".join([part for part in (result.note, *said) if part])
    return replace(result, verdict=verdict, note=note)
