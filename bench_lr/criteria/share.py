"""The criterion about how many of the seeds meet conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench_lr.criteria.comparison import BoolArray, Comparison, Region, conclude
from bench_lr.criteria.level import coverage
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionResult, Detail
from bench_lr.criteria.validation import range_problems
from bench_lr.stats import clopper_pearson, share_p


def share_region(
    low: float | None = None, high: float | None = None, above: float | None = None
) -> Region:
    """Where a share is said to lie: above `above`, or from `low` to `high`, both in."""
    return Region.between(low, high) if above is None else Region(low=above)


def share_comparison(label: str, satisfied: BoolArray, region: Region) -> Comparison:
    """Compare the share of seeds that satisfy something with a region, by the exact binomial test.

    Parameters
    ----------
    satisfied : ndarray of bool, shape (seeds,)
    region : Region
        Of shares.

    Notes
    -----
    Holds when the Clopper-Pearson interval lies inside the region; `p_against` is the smaller of
    the two one-sided p-values for "beyond an end".
    """
    hits, seeds = int(satisfied.sum()), satisfied.size
    lo, hi = clopper_pearson(hits, seeds, coverage())
    low, high = max(region.low, 0.0), min(region.high, 1.0)
    bounded_below, bounded_above = region.low > 0.0 or not region.closed, region.high < 1.0
    return Comparison(
        label=label,
        holds=region.holds(lo, hi),
        p_for=max(
            share_p(hits, seeds, low, "greater") if bounded_below else 0.0,
            share_p(hits, seeds, high, "less") if bounded_above else 0.0,
        ),
        p_against=min(
            share_p(hits, seeds, low, "less") if bounded_below else 1.0,
            share_p(hits, seeds, high, "greater") if bounded_above else 1.0,
        ),
        slack=region.slack(hits / seeds),
        estimate=hits / seeds,
        ci=(lo, hi),
        note=f"{hits} of {seeds} seeds",
    )


def _problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    if not params["conditions"]:
        yield "conditions is empty"
    for name, ends in params["conditions"].items():
        given = list(ends)
        if len(given) != 2:
            yield f"the condition on {name!r} must be [low, high], either may be null, not {given}"
        elif None not in given and given[0] > given[1]:
            yield f"the condition on {name!r}: low {given[0]} exceeds high {given[1]}"
    yield from share_problems(params)


def share_problems(params: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the share that is claimed."""
    low, high, above = params["low"], params["high"], params["above"]
    if above is None:
        yield from range_problems(params)
    elif low is not None or high is not None:
        yield "give above or a range (low, high), not both"
    elif not 0.0 <= above < 1.0:
        yield f"above must lie in [0, 1), not {above}"
    for name in ("low", "high"):
        if params[name] is not None and not 0.0 <= params[name] <= 1.0:
            yield f"{name} must lie in [0, 1], not {params[name]}"
    if above is None and (low or 0.0) <= 0.0 and (1.0 if high is None else high) >= 1.0:
        yield "every share lies between 0 and 1: say which"


@criterion(
    "share",
    arm_params=("conditions",),
    shape="times",
    may_all_diverge=True,
    margin_param="above",
    check=_problems,
)
def share(
    arms: Arms,
    *,
    conditions: Mapping[str, Sequence[float | None]],
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> CriterionResult:
    """The share of seeds that meet all conditions exceeds `above`, or lies in [low, high].

    A seed meets the condition on an arm when the arm's value lies in the condition's range, both
    ends in (at every evaluation, if there are several). A diverged run meets none. Where values
    lie on a grid, put the ends between its points: whether two decimal numbers are equal is then
    not asked.
    Hypothesis: a seed meets all conditions with a probability above `above`, or in [low, high].
    Test: exact binomial: 95 % Clopper-Pearson interval of the share. Reproduced when it lies where
    claimed, refuted when wholly elsewhere. "x lies within the inter-quartile range" is the share
    of values below x in [0.25, 0.75].
    Error control: at most 2.5 % a side; no assumption about how the values are distributed.
    Source: Clopper and Pearson (1934), Biometrika 26, 404-413.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    conditions : mapping of arm to [low, high]
        In units of the arm's values; a null leaves that side unbounded, two ask for a run that has
        not diverged.
    low, high : float, optional
        Range of the share, in [0, 1]; at least one, without `above`.
    above : float, optional
        What the share should exceed, in [0, 1).
    """
    met = {
        name: np.all(Region.between(*ends).contains(arms[name]), axis=1)
        for name, ends in conditions.items()
    }
    satisfied = np.all(list(met.values()), axis=0)
    judged = share_comparison("share of seeds", satisfied, share_region(low, high, above))
    result = conclude([judged], margin=above, satisfied=satisfied)
    if len(met) == 1:
        return result
    rows = tuple(
        Detail(
            f"condition on {name}",
            float(own.mean()),
            clopper_pearson(int(own.sum()), own.size, coverage()),
            None,
            None,
        )
        for name, own in met.items()
    )
    return replace(result, details=result.details + rows)
