"""One seed-paired comparison, what divergence does to it, and how several make a verdict.

The rule shared by all kinds: a 95 % interval wholly where the claim says supports it, wholly where
it says not contradicts it. Several comparisons reproduce a claim when all support it
(intersection-union test: each at its own level, Berger 1982, Technometrics 24, 295-300), and refute
it when one contradicts it after Holm's adjustment at 0.025, one-sided.

A diverged run is the worst outcome its arm can have and has no number, so no mean and no t interval
of a sample that holds one: shares of seeds are then judged by the exact binomial test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_lr.criteria.level import alpha, coverage
from bench_lr.criteria.result import CriterionResult, Detail, Interval, Verdict
from bench_lr.stats import FloatArray, Student, holm, share_p, wilson

MIN_SEEDS = 6
_MAX_NOTES = 3

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """Where the claim says that the mean lies: between `low` and `high`, ends in if `closed`."""

    low: float = -np.inf
    high: float = np.inf
    closed: bool = False

    @classmethod
    def between(cls, low: float | None, high: float | None) -> Region:
        """From `low` to `high`, both in; None leaves that side unbounded."""
        return cls(-np.inf if low is None else low, np.inf if high is None else high, closed=True)

    def contains(self, values: FloatArray | float) -> BoolArray:
        """Whether each value lies inside; False for NaN."""
        x = np.asarray(values, dtype=np.float64)
        inside: BoolArray
        if self.closed:
            inside = (x >= self.low) & (x <= self.high)
        else:
            inside = (x > self.low) & (x < self.high)
        return inside

    def holds(self, lo: float, hi: float) -> bool:
        """Whether an interval lies wholly inside."""
        if self.closed:
            return self.low <= lo and hi <= self.high
        return self.low < lo and hi < self.high

    def excludes(self, values: FloatArray) -> BoolArray:
        """Whether each value lies strictly beyond an end; False for NaN."""
        outside: BoolArray = (values < self.low) | (values > self.high)
        return outside

    def slack(self, value: float) -> float:
        """Distance from `value` to the nearer end, negative outside."""
        return float(min(value - self.low, self.high - value))


@dataclass(frozen=True)
class Comparison:
    """Evidence of one comparison for and against the claim.

    `p_for` tests "outside the region", `p_against` tests "inside the region"; `slack` orders the
    comparisons of a criterion from weakest to strongest; comparisons of one `group` share a row.
    """

    label: str
    holds: bool
    p_for: float
    p_against: float
    slack: float
    estimate: float | None = None
    ci: Interval | None = None
    sd: float | None = None
    note: str = ""
    group: str = ""


def compare(label: str, sample: FloatArray, region: Region) -> Comparison:
    """Judge the mean of a finite per-seed sample (one value only if it is exact)."""
    if sample.size == 1:
        sample = np.repeat(sample, 2)
    student = Student.of(sample)
    lo, hi = student.interval(coverage())
    holds = region.holds(lo, hi)
    above = student.p(region.low, "greater") if math.isfinite(region.low) else 0.0
    below = student.p(region.high, "less") if math.isfinite(region.high) else 0.0
    too_low = student.p(region.low, "less") if math.isfinite(region.low) else 1.0
    too_high = student.p(region.high, "greater") if math.isfinite(region.high) else 1.0
    return Comparison(
        label=label,
        holds=holds,
        # A constant sample on a closed end is inside without any doubt.
        p_for=0.0 if student.sd == 0.0 and holds else max(above, below),
        p_against=min(too_low, too_high),
        slack=region.slack(student.mean),
        estimate=student.mean,
        ci=(lo, hi),
        sd=student.sd,
    )


def undecided(label: str, note: str, against: int = 0, seeds: int = 1) -> Comparison:
    """No t interval can be had; `against` of `seeds` contradict the claim by diverging."""
    return Comparison(
        label, False, 1.0, share_p(against, seeds, 0.5, "greater"), -np.inf, note=note
    )


def directional(
    label: str,
    difference: FloatArray,
    treatment: tuple[str, BoolArray],
    control: tuple[str, BoolArray],
    region: Region,
) -> Comparison:
    """Compare a treatment that should do better with a control, either of which may diverge.

    Parameters
    ----------
    difference : ndarray, shape (seeds,)
        Signed so that larger is better for the treatment; NaN where either diverged.
    treatment, control : (name, ndarray of bool)
        Name of the arm and which of its seeds diverged.
    region : Region
        Where the mean difference should lie; only its lower end is finite.

    Notes
    -----
    Treatment diverged somewhere: no t interval; contradicted when it diverged where the control did
    not in a majority of seeds (Clopper-Pearson interval wholly above one half). Control diverged
    everywhere: beaten. Control diverged in part: the surviving pairs are judged if there are six or
    more; since a diverged control is a win, they contradict the claim only if in addition the
    treatment loses in a majority of all seeds.
    """
    (name, lost), (other, gone) = treatment, control
    seeds = difference.size
    if lost.any():
        note = f"{name} diverged in {lost.sum()} of {seeds} seeds"
        return undecided(label, note, int((lost & ~gone).sum()), seeds)
    if not gone.any():
        return compare(label, difference, region)
    note = f"{other} diverged in {gone.sum()} of {seeds} seeds"
    if gone.all():
        beaten = share_p(seeds, seeds, 0.5, "greater")
        return Comparison(label, True, beaten, 1.0, np.inf, note=f"{note} and counts as beaten")
    alive = difference[~gone]
    if alive.size < MIN_SEEDS:
        return undecided(label, f"{note}: too few pairs are left to compare")
    result = compare(label, alive, region)
    majority = share_p(int(region.excludes(alive).sum()), seeds, 0.5, "greater")
    return replace(
        result,
        p_against=max(result.p_against, majority),
        note=f"{note}: compared on the other {alive.size}",
    )


def matching(
    label: str,
    values: FloatArray,
    first: tuple[str, BoolArray],
    second: tuple[str, BoolArray],
    region: Region,
) -> Comparison:
    """Compare two arms that should agree, either of which may diverge.

    A seed that diverged in one arm only is a mismatch: the claim can no longer be supported, and is
    contradicted when mismatches are a majority of seeds (Clopper-Pearson interval wholly above one
    half). A seed that diverged in both says nothing; six others must be left.
    """
    (name, lost), (other, gone) = first, second
    seeds = values.size
    mismatched = int((lost ^ gone).sum())
    if mismatched:
        note = (
            f"diverged in one arm only in {mismatched} of {seeds} seeds "
            f"({name}: {lost.sum()}, {other}: {gone.sum()})"
        )
        return undecided(label, note, mismatched, seeds)
    if not lost.any():
        return compare(label, values, region)
    note = f"{name} and {other} both diverged in {lost.sum()} of {seeds} seeds"
    alive = values[~lost]
    if alive.size < MIN_SEEDS:
        return undecided(label, f"{note}: too few pairs are left to compare")
    return replace(
        compare(label, alive, region), note=f"{note}: compared on the other {alive.size}"
    )


def exponentiated(comparison: Comparison, offset: float) -> Comparison:
    """Report a comparison of logarithms as ``exp(mean) - offset``, its SD by the delta method."""
    if comparison.estimate is None or comparison.ci is None or comparison.sd is None:
        return comparison
    factor = float(np.exp(comparison.estimate))
    lo, hi = comparison.ci
    return replace(
        comparison,
        estimate=factor - offset,
        ci=(float(np.exp(lo)) - offset, float(np.exp(hi)) - offset),
        sd=factor * comparison.sd,
    )


def single_run(satisfied: BoolArray) -> dict[str, Any]:
    """Fields of a result: share of seeds whose own run satisfies the claim, Wilson interval.

    Fewer seeds than a judgement needs are there only for exact numbers, on which seeds agree; an
    interval that treats them as a sample would mislead.
    """
    hits, seeds = int(satisfied.sum()), satisfied.size
    interval = wilson(hits, seeds) if seeds >= MIN_SEEDS else None
    return {"single_run_rate": hits / seeds, "single_run_ci": interval}


def conclude(
    comparisons: Sequence[Comparison],
    *,
    margin: float | None,
    satisfied: BoolArray,
    notes: Sequence[str] = (),
    exact: bool = False,
) -> CriterionResult:
    """Make the verdict of a criterion out of its comparisons.

    Parameters
    ----------
    comparisons : sequence of Comparison
        At least one; the estimate reported is that of the one with the least slack.
    margin : float or None
        As pre-registered.
    satisfied : ndarray of bool, shape (seeds,)
        Whether each seed's own run satisfies the claim as stated.
    notes : sequence of str
        What to say before the notes of the comparisons.
    exact : bool
        The quantity was declared exact: if all seeds agree, no test is made and none reported.
    """
    adjusted = holm([c.p_against for c in comparisons])
    verdicts: list[Verdict] = [
        "refuted" if p < alpha() else "reproduced" if c.holds else "inconclusive"
        for c, p in zip(comparisons, adjusted, strict=True)
    ]
    weakest = min(comparisons, key=lambda c: c.slack)
    said = list(notes)
    agree = exact and all(c.sd == 0.0 for c in comparisons)
    if exact:
        said.append("exact: all seeds agree" if agree else "declared exact, yet the seeds differ")
    refuting = [i for i, verdict in enumerate(verdicts) if verdict == "refuted"]
    if refuting and len(comparisons) > 1:
        worst = min(refuting, key=lambda i: float(adjusted[i]))
        said.append(
            f"refuted by {comparisons[worst].label} (Holm-adjusted p {adjusted[worst]:.2g})"
        )
    remarks = list(
        dict.fromkeys(
            f"{c.label}: {c.note}" if len(comparisons) > 1 else c.note
            for c in comparisons
            if c.note
        )
    )
    said += remarks[:_MAX_NOTES]
    if len(remarks) > _MAX_NOTES:
        said.append(f"and {len(remarks) - _MAX_NOTES} more comparisons with diverged runs")
    return CriterionResult(
        verdict=overall(verdicts),
        estimate=weakest.estimate,
        ci=weakest.ci,
        margin=margin,
        seeds=satisfied.size,
        p_value=None if agree else max(c.p_for for c in comparisons),
        note="; ".join(said),
        sd=weakest.sd,
        details=_rows(comparisons, verdicts, agree),
        **single_run(satisfied),
    )


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """One refuted refutes, all reproduced reproduce, anything else is inconclusive."""
    if "refuted" in verdicts:
        return "refuted"
    return "reproduced" if all(v == "reproduced" for v in verdicts) else "inconclusive"


def _rows(
    comparisons: Sequence[Comparison], verdicts: Sequence[Verdict], agree: bool
) -> tuple[Detail, ...]:
    groups: dict[str, list[int]] = {}
    for i, comparison in enumerate(comparisons):
        groups.setdefault(comparison.group or comparison.label, []).append(i)
    rows = []
    for label, members in groups.items():
        weakest = min((comparisons[i] for i in members), key=lambda c: c.slack)
        p_value = None if agree else max(comparisons[i].p_for for i in members)
        verdict = overall([verdicts[i] for i in members])
        rows.append(Detail(label, weakest.estimate, weakest.ci, p_value, verdict))
    return tuple(rows)
