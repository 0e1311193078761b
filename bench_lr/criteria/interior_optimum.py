"""The criterion about a U-shape: the best of an ordered list of arms is at neither end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from bench_lr.criteria.comparison import BoolArray, Comparison, Region, conclude, directional
from bench_lr.criteria.level import alpha, judged_at
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionResult
from bench_lr.criteria.validation import margin_problems
from bench_lr.stats import FloatArray, paired_differences, share_p

Ends = Literal["both", "first", "last"]


def _problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    yield from margin_problems(params)
    if len(list(params["order"])) < 3:
        yield "order needs three arms or more: an arm between two ends"


@criterion("interior_optimum", arm_params=("order",), check=_problems)
def interior_optimum(
    arms: Arms,
    *,
    order: Sequence[str],
    margin: float = 0.0,
    larger_is_better: bool = True,
    ends: Ends = "both",
    exact: bool = False,
) -> CriterionResult:
    """Some arm between the ends of `order` is better than either end by more than `margin`.

    The arms between the ends need not be the same for both ends, nor need they rise and fall
    steadily: the claim is that going to either end costs something.
    Hypothesis: for each end e there is an arm i between the ends whose mean seed-paired
    difference, i - e (e - i when smaller is better), exceeds `margin`.
    Test: two-sided Student-t intervals of i - e. An end is beaten when the interval of some i,
    widened for the number m of arms between the ends (level 2.5 % / m a side), lies above
    `margin`; it is not beaten when the 95 % interval of every i lies below. Reproduced when both
    ends are beaten, refuted when one is not. The estimate is that of the end beaten least, by the
    arm that beats it most clearly, with the widened interval.
    Error control: a union over the arms between (Holm, whose first step is Bonferroni's) inside
    an intersection-union over the ends; for refutation an intersection-union over the arms
    inside Holm over the ends. Divergence: see `comparison.directional`, the arm between being the
    treatment; besides, an end that diverged in more than half of the seeds, where the arm between
    never did, is beaten if that is a majority of all seeds by the sign test.
    Source: Berger (1982), Technometrics 24, 295-300; Holm (1979), Scandinavian Journal of
    Statistics 6, 65-70; Simonsohn (2018), Advances in Methods and Practices in Psychological
    Science 1, 538-555, for testing a U-shape by its two sides.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds,)
    order : sequence of str
        Three arms or more, from one end to the other.
    margin : float
        0 or more, in units of the metric.
    larger_is_better : bool
        Direction of the metric.
    ends : {"both", "first", "last"}
        Which ends must be beaten.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    """
    names = list(order)
    between = names[1:-1]
    sides = {"both": [names[0], names[-1]], "first": [names[0]], "last": [names[-1]]}[ends]
    region = Region(low=margin)
    scores = {name: arms[name] if larger_is_better else -arms[name] for name in names}
    comparisons = [_end(scores, end, between, region) for end in sides]
    satisfied = np.all([_beaten(scores, end, between, region) for end in sides], axis=0)
    means = {name: _mean(scores[name]) for name in names}
    best = max(means, key=lambda name: means[name])
    notes = [f"best mean: {best}"] if np.isfinite(means[best]) else []
    return conclude(comparisons, margin=margin, satisfied=satisfied, notes=notes, exact=exact)


def _mean(scores: FloatArray) -> float:
    return -np.inf if np.isnan(scores).any() else float(scores.mean())


def _beaten(
    scores: Mapping[str, FloatArray], end: str, between: Sequence[str], region: Region
) -> BoolArray:
    """Seeds in which an arm between is better than the end."""
    found: BoolArray = np.zeros(len(scores[end]), dtype=np.bool_)
    for name in between:
        difference = paired_differences(scores[name], scores[end])
        found |= region.contains(difference) | (np.isnan(scores[end]) & ~np.isnan(scores[name]))
    return found


def _end(
    scores: Mapping[str, FloatArray], end: str, between: Sequence[str], region: Region
) -> Comparison:
    """Evidence that some arm between beats an end, and that none does."""
    count = len(between)
    alone = [_candidate(scores, name, end, region) for name in between]
    with judged_at(alpha() / count):
        widened = [_candidate(scores, name, end, region) for name in between]
    best = min(widened, key=lambda c: (c.p_for, -c.slack))
    return replace(
        best,
        p_for=min(1.0, count * best.p_for),
        p_against=max(c.p_against for c in alone),
    )


def _candidate(scores: Mapping[str, FloatArray], name: str, end: str, region: Region) -> Comparison:
    lost, gone = np.isnan(scores[name]), np.isnan(scores[end])
    difference = paired_differences(scores[name], scores[end])
    label = f"{name} - {end}"
    if 2 * int(gone.sum()) > gone.size and not lost.any():
        # Most runs at the end have no number: that it is worse is judged by their share.
        hits = int((gone | region.contains(difference)).sum())
        p = share_p(hits, gone.size, 0.5, "greater")
        note = f"{end} diverged in {gone.sum()} of {gone.size} seeds and is worse in {hits}"
        return Comparison(label, p < alpha(), p, 1.0, np.inf if p < alpha() else -np.inf, note=note)
    return directional(label, difference, (name, lost), (end, gone), region)
