"""The criterion about an optimum: which arm of a grid is best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench_lr.criteria.comparison import BoolArray, Region, conclude, directional
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionResult
from bench_lr.criteria.validation import margin_problems
from bench_lr.stats import FloatArray, paired_differences


def worst_if_diverged(values: FloatArray) -> float:
    """Mean over the seeds, minus infinity if one diverged; larger is better."""
    return -np.inf if np.isnan(values).any() else float(values.mean())


def _problems(params: Mapping[str, Any], arms: Sequence[str] | None) -> Iterator[str]:
    yield from margin_problems(params)
    expected, order = params["expected"], params["order"]
    if not set(arms or order or ("any",)) - {expected}:
        yield f"there is no arm beside the expected one, {expected!r}"
    if order is not None:
        for name in dict.fromkeys([expected, *(arms or ())]):
            if name not in list(order):
                yield f"order leaves out arm {name!r}"


@criterion("best_arm", arm_params=("expected", "order"), every_arm=True, check=_problems)
def best_arm(
    arms: Arms,
    *,
    expected: str,
    margin: float,
    order: Sequence[str] | None = None,
    larger_is_better: bool = True,
    exact: bool = False,
) -> CriterionResult:
    """The expected arm is the best of all arms, or within `margin` of the best.

    Hypothesis: for every other arm a, the mean seed-paired difference d(a), expected - a
    (a - expected when smaller is better), exceeds ``-margin``.
    Test: two-sided 95 % Student-t intervals of d(a). Reproduced when every lower end exceeds
    ``-margin``; refuted when some d(a) is below ``-margin``. The estimate is d to the strongest
    rival. With `order`, an expected arm with the best mean at either end of the grid is not shown
    to be the optimum: reproduced becomes inconclusive.
    Error control: intersection-union, each rival at 2.5 %, so choosing the strongest costs nothing;
    refutation adjusted by Holm over the rivals. Divergence: see `comparison.directional`.
    Source: Berger (1982), Technometrics 24, 295-300; Hsu (1984), Annals of Statistics 12,
    1136-1144, for comparisons with the best; Holm (1979), Scandinavian Journal of Statistics 6,
    65-70.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds,)
        All are compared.
    expected : str
        The arm said to be best.
    margin : float
        0 or more, in units of the metric.
    order : sequence of str, optional
        All arms, from the low to the high end of the grid.
    larger_is_better : bool
        Direction of the metric.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    """
    rivals = [name for name in arms if name != expected]
    scores = {name: values if larger_is_better else -values for name, values in arms.items()}
    diverged = {name: np.isnan(values) for name, values in scores.items()}
    region = Region(low=-margin)
    comparisons = [
        directional(
            f"{expected} - {name}",
            paired_differences(scores[expected], scores[name]),
            (expected, diverged[expected]),
            (name, diverged[name]),
            region,
        )
        for name in rivals
    ]
    means = {name: worst_if_diverged(values) for name, values in scores.items()}
    best = max(means, key=lambda name: means[name])
    known = bool(np.isfinite(means[best]))
    tied = [
        name
        for name, c in zip(rivals, comparisons, strict=True)
        if c.ci is not None and -margin <= c.ci[0] and c.ci[1] <= margin
    ]
    notes = [f"best mean: {best}" if known else "every arm diverged in some seed: no best mean"]
    if tied:
        notes.append(f"tied with {expected} within {margin:g}: {', '.join(tied)}")
    edge = order is not None and known and best in (order[0], order[-1])
    if edge:
        notes.append(f"the best mean ({best}) lies on the edge of the grid")
    result = conclude(
        comparisons,
        margin=margin,
        satisfied=_wins(scores, expected),
        notes=notes,
        exact=exact,
    )
    if edge and best == expected and result.verdict == "reproduced":
        note = f"{result.note}; {expected} cannot be called the optimum: extend the grid"
        return replace(result, verdict="inconclusive", note=note)
    return result


def _wins(scores: Arms, expected: str) -> BoolArray:
    """Seeds in which the expected arm is the best, alone or tied; a diverged run never is."""
    table = np.stack(list(scores.values()), axis=1)
    own = scores[expected]
    wins: BoolArray = ~np.isnan(own) & (own >= np.where(np.isnan(table), -np.inf, table).max(1))
    return wins
