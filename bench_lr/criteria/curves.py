"""Criteria about learning curves: whether they match, and when one overtakes another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench_lr.criteria.comparison import BoolArray, Region, conclude, matching, single_run
from bench_lr.criteria.labels import comparison_labels
from bench_lr.criteria.level import coverage
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionError, CriterionResult, Detail, Verdict
from bench_lr.criteria.validation import different_arms, margin_problems
from bench_lr.stats import FloatArray, clopper_pearson, paired_differences, share_p


def _match_problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    yield from margin_problems(params)
    others = list(params["others"])
    if not others:
        yield "others is empty"
    if params["reference"] in others:
        yield f"others holds the reference {params['reference']!r}"


@criterion("curves_match", arm_params=("reference", "others"), shape="times", check=_match_problems)
def curves_match(
    arms: Arms,
    *,
    reference: str,
    others: Sequence[str],
    margin: float,
    larger_is_better: bool = True,
    times: Sequence[float | str] | None = None,
    exact: bool = False,
) -> CriterionResult:
    """The mean curves of the other arms stay within `margin` of the reference at every time.

    Hypothesis: for every other arm and every evaluation, the mean seed-paired difference, other -
    reference, lies in [-margin, margin].
    Test: two one-sided tests each, by inclusion of the 95 % Student-t interval. Reproduced when all
    lie inside; refuted when one lies wholly outside. The estimate is the signed difference at the
    largest gap between mean curves.
    Error control: intersection-union over arms and times; refutation adjusted by Holm over the
    same. Divergence: see `comparison.matching`.
    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680; Berger
    (1982), Technometrics 24, 295-300; Holm (1979), Scandinavian Journal of Statistics 6, 65-70.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    reference : str
        Arm that the others are compared with.
    others : sequence of str
        Arms that should match it.
    margin : float
        0 or more, in units of the metric.
    larger_is_better : bool
        Only sets the sign of the estimate: positive when the other arm is better.
    times : sequence, optional
        Names of the evaluations, for labels; their index (from 0) when left out.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    """
    base = arms[reference]
    region = Region(-margin, margin, closed=True)
    sign = 1.0 if larger_is_better else -1.0
    gone = np.isnan(base)
    comparisons = []
    satisfied: BoolArray = np.ones(len(base), dtype=np.bool_)
    for name in others:
        gap = sign * paired_differences(arms[name], base)
        lost = np.isnan(arms[name])
        satisfied &= np.all(region.contains(gap), axis=1)
        pair = f"{name} - {reference}"
        comparisons += [
            replace(
                matching(
                    label,
                    gap[:, t],
                    (name, lost[:, t]),
                    (reference, gone[:, t]),
                    region,
                ),
                group=pair,
            )
            for t, label in enumerate(comparison_labels(pair, times, base.shape[1]))
        ]
    widest = min(comparisons, key=lambda c: c.slack)
    notes = [f"largest gap: {widest.label}"] if widest.estimate is not None else []
    return conclude(comparisons, margin=margin, satisfied=satisfied, notes=notes, exact=exact)


def _overtakes_problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    yield from different_arms(params, "leader", "chaser")
    if params["sustained"] < 1:
        yield f"sustained must be 1 or more, not {params['sustained']}"


@criterion(
    "overtakes",
    arm_params=("leader", "chaser"),
    shape="curves",
    margin_param="by",
    check=_overtakes_problems,
)
def overtakes(
    arms: Arms,
    *,
    leader: str,
    chaser: str,
    by: float,
    times: Sequence[float] | None = None,
    sustained: int = 5,
    larger_is_better: bool = True,
) -> CriterionResult:
    """In the median seed the chaser gets ahead of the leader, and stays there, by time `by`.

    A seed crosses at the first evaluation from which the chaser is strictly better for `sustained`
    evaluations in a row; it never crosses if no such stretch fits. A diverged run is behind any
    other.
    Hypothesis: more than half of the seeds cross at `by` or before.
    Test: exact binomial (sign) test: 95 % Clopper-Pearson interval of the share of seeds that do.
    Reproduced when it lies above one half, refuted when below. The estimate is the share.
    Error control: at most 2.5 % a side; no assumption about how crossing times are distributed.
    Source: Dixon and Mood (1946), Journal of the American Statistical Association 41, 557-566;
    Clopper and Pearson (1934), Biometrika 26, 404-413.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    leader, chaser : str
        Arms.
    by : float
        In the units of `times`.
    times : sequence of float, optional
        Increasing times of the evaluations; their index (from 0) when left out.
    sustained : int
        Length of the stretch, in evaluations.
    larger_is_better : bool
        Direction of the metric.
    """
    sign = 1.0 if larger_is_better else -1.0
    first, second = sign * arms[leader], sign * arms[chaser]
    seeds, count = first.shape
    clock = np.arange(count, dtype=np.float64) if times is None else np.array(times, dtype=float)
    if clock.size != count:
        raise CriterionError(f"times has {clock.size} entries, the arms {count} evaluations")
    if (np.diff(clock) <= 0).any():
        raise CriterionError("times must increase")
    if sustained > count:
        raise CriterionError(f"sustained={sustained} exceeds the {count} evaluations")
    ahead: BoolArray = (second > first) | (np.isnan(first) & ~np.isnan(second))
    crossing = _crossing_times(ahead, clock, sustained)
    early: BoolArray = crossing <= by
    hits = int(early.sum())
    lo, hi = clopper_pearson(hits, seeds, coverage())
    verdict: Verdict = "reproduced" if lo > 0.5 else "refuted" if hi < 0.5 else "inconclusive"
    median = float(np.median(crossing))
    never = int(np.isinf(crossing).sum())
    note = (
        f"median crossing time: {f'{median:g}' if np.isfinite(median) else 'never'}; "
        f"{never} of {seeds} seeds never cross"
    )
    if at_once := int(ahead[:, :sustained].all(axis=1).sum()):
        note += f"; {at_once} lead from the first evaluation"
    if diverged := int((np.isnan(first) | np.isnan(second)).any(axis=1).sum()):
        note += f"; a run diverged in {diverged} seeds"
    p_value = share_p(hits, seeds, 0.5, "greater")
    share = hits / seeds
    return CriterionResult(
        verdict=verdict,
        estimate=share,
        ci=(lo, hi),
        margin=by,
        seeds=seeds,
        p_value=p_value,
        note=note,
        details=(
            Detail(f"{chaser} ahead of {leader} by {by:g}", share, (lo, hi), p_value, verdict),
        ),
        **single_run(early),
    )


def _crossing_times(ahead: BoolArray, clock: FloatArray, sustained: int) -> FloatArray:
    """Per seed, the time at which the first stretch of `sustained` True begins; else infinity."""
    windows = np.lib.stride_tricks.sliding_window_view(ahead, sustained, axis=1)
    stretches = np.all(windows, axis=2)
    times: FloatArray = np.where(
        stretches.any(axis=1), clock[stretches.argmax(axis=1)], np.inf
    ).astype(np.float64)
    return times
