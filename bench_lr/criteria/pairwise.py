"""Criteria about two arms: which is better, whether they are alike, and their ratio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench_lr.criteria.comparison import (
    Comparison,
    Region,
    conclude,
    directional,
    exponentiated,
    matching,
)
from bench_lr.criteria.labels import comparison_labels
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionError, CriterionResult
from bench_lr.criteria.validation import different_arms, margin_problems, range_problems
from bench_lr.stats import FloatArray, paired_differences


def _superior_problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    yield from different_arms(params, "treatment", "control")
    if params["relative"] and params["margin"] <= -1:
        yield f"a relative margin must exceed -1, not {params['margin']}"


def _margin_and_arms(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    yield from different_arms(params, "treatment", "control")
    yield from margin_problems(params)


def _difference(
    arms: Arms, treatment: str, control: str, relative: bool, larger_is_better: bool
) -> FloatArray:
    """Advantage of the treatment, shape (seeds, times), as a log ratio if `relative`."""
    first, second = arms[treatment], arms[control]
    if relative:
        for name in (treatment, control):
            if (arms[name] <= 0).any():
                raise CriterionError(f"relative=True needs positive values; {name!r} has others")
        first, second = np.log(first), np.log(second)
    difference = paired_differences(first, second)
    return difference if larger_is_better else -difference


def _one_sided(
    arms: Arms,
    treatment: str,
    control: str,
    bound: float,
    *,
    margin: float,
    relative: bool,
    larger_is_better: bool,
    exact: bool,
    times: Sequence[float | str] | None,
) -> CriterionResult:
    """Judge that the treatment's advantage exceeds `bound` at every time."""
    region = Region(low=float(np.log1p(bound)) if relative else bound)
    difference = _difference(arms, treatment, control, relative, larger_is_better)
    lost, gone = np.isnan(arms[treatment]), np.isnan(arms[control])
    labels = comparison_labels(f"{treatment} - {control}", times, difference.shape[1])
    comparisons = []
    for t, label in enumerate(labels):
        judged = directional(
            label, difference[:, t], (treatment, lost[:, t]), (control, gone[:, t]), region
        )
        comparisons.append(exponentiated(judged, 1.0) if relative else judged)
    satisfied = np.all(region.contains(difference) | (gone & ~lost), axis=1)
    return conclude(comparisons, margin=margin, satisfied=satisfied, exact=exact)


@criterion("superior", arm_params=("treatment", "control"), shape="times", check=_superior_problems)
def superior(
    arms: Arms,
    *,
    treatment: str,
    control: str,
    margin: float = 0.0,
    relative: bool = False,
    larger_is_better: bool = True,
    exact: bool = False,
    times: Sequence[float | str] | None = None,
) -> CriterionResult:
    """The treatment is better than the control by more than `margin`.

    Hypothesis: the mean seed-paired difference, treatment - control (control - treatment when
    smaller is better), exceeds `margin`; with several evaluations, at each of them.
    Test: two-sided 95 % Student-t interval. Reproduced when it lies above `margin`, refuted when
    below. `relative` judges the mean difference of logarithms against ``log1p(margin)`` and reports
    fractions, ``exp(d) - 1``.
    Error control: 2.5 % on each side; several evaluations: all must hold (intersection-union), one
    refutes after Holm's adjustment. Divergence: see `comparison.directional`.
    Source: Student (1908), Biometrika 6, 1-25; Berger (1982), Technometrics 24, 295-300; Holm
    (1979), Scandinavian Journal of Statistics 6, 65-70.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    treatment, control : str
        Arms.
    margin : float
        In units of the metric, or a fraction if `relative`.
    relative : bool
        Compare by ratio (positive metrics, such as a cross-entropy).
    larger_is_better : bool
        Direction of the metric.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    times : sequence, optional
        Names of the evaluations, for labels.
    """
    return _one_sided(
        arms,
        treatment,
        control,
        margin,
        margin=margin,
        relative=relative,
        larger_is_better=larger_is_better,
        exact=exact,
        times=times,
    )


@criterion(
    "non_inferior", arm_params=("treatment", "control"), shape="times", check=_margin_and_arms
)
def non_inferior(
    arms: Arms,
    *,
    treatment: str,
    control: str,
    margin: float,
    relative: bool = False,
    larger_is_better: bool = True,
    exact: bool = False,
    times: Sequence[float | str] | None = None,
) -> CriterionResult:
    """The treatment is worse than the control by less than `margin`.

    Hypothesis: the mean seed-paired difference, treatment - control (control - treatment when
    smaller is better), exceeds ``-margin``; with several evaluations, at each of them.
    Test: two-sided 95 % Student-t interval. Reproduced when it lies above ``-margin``, refuted when
    below; `relative` as in `superior`, against ``-log1p(margin)``.
    Error control: 2.5 % on each side; several evaluations and divergence as in `superior`.
    Source: Wellek (2010), Testing Statistical Hypotheses of Equivalence and Noninferiority,
    chapter 2.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    treatment, control : str
        Arms.
    margin : float
        0 or more; in units of the metric, or a fraction if `relative`.
    relative, larger_is_better, exact, times
        As in `superior`.
    """
    bound = 1.0 / (1.0 + margin) - 1.0 if relative else -margin
    return _one_sided(
        arms,
        treatment,
        control,
        bound,
        margin=margin,
        relative=relative,
        larger_is_better=larger_is_better,
        exact=exact,
        times=times,
    )


@criterion("equivalent", arm_params=("treatment", "control"), shape="times", check=_margin_and_arms)
def equivalent(
    arms: Arms,
    *,
    treatment: str,
    control: str,
    margin: float,
    relative: bool = False,
    larger_is_better: bool = True,
    exact: bool = False,
    times: Sequence[float | str] | None = None,
) -> CriterionResult:
    """The treatment differs from the control by no more than `margin` either way.

    Hypothesis: the mean seed-paired difference lies in [-margin, margin]; with several
    evaluations, at each of them.
    Test: two one-sided tests, by inclusion of the 95 % Student-t interval (the 90 % interval would
    do for 5 %: this is the conservative form). Reproduced when it lies inside, refuted when wholly
    outside. `relative` judges differences of logarithms against ``log1p(margin)`` and reports
    fractions.
    Error control: 2.5 % a side; several evaluations as in `superior`. Divergence: see
    `comparison.matching`.
    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680; Berger
    (1982) and Holm (1979) as in `superior`.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    treatment, control : str
        Arms.
    margin : float
        0 or more; in units of the metric, or a fraction if `relative`.
    larger_is_better : bool
        Only sets the sign of the estimate: positive when the treatment is better.
    relative, exact, times
        As in `superior`.
    """
    bound = float(np.log1p(margin)) if relative else margin
    region = Region(-bound, bound, closed=True)
    difference = _difference(arms, treatment, control, relative, larger_is_better)
    lost, gone = np.isnan(arms[treatment]), np.isnan(arms[control])
    labels = comparison_labels(f"{treatment} - {control}", times, difference.shape[1])
    comparisons = []
    for t, label in enumerate(labels):
        judged = matching(
            label, difference[:, t], (treatment, lost[:, t]), (control, gone[:, t]), region
        )
        comparisons.append(exponentiated(judged, 1.0) if relative else judged)
    satisfied = np.all(region.contains(difference), axis=1)
    return conclude(comparisons, margin=margin, satisfied=satisfied, exact=exact)


def _ratio_problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    yield from range_problems(params)
    yield from different_arms(params, "numerator", "denominator")


@criterion("ratio", arm_params=("numerator", "denominator"), check=_ratio_problems)
def ratio(
    arms: Arms,
    *,
    numerator: str,
    denominator: str,
    low: float | None = None,
    high: float | None = None,
    exact: bool = False,
) -> CriterionResult:
    """The ratio of two arms lies between `low` and `high`, both included.

    Hypothesis: the mean per-seed ratio (the geometric mean when all values are positive) lies in
    [low, high].
    Test: 95 % Student-t interval of the per-seed ratios, on logarithms when all are positive.
    Reproduced when inside, refuted when wholly outside.
    Error control: 2.5 % a side. Divergence: see `comparison.matching`.
    Source: Student (1908), Biometrika 6, 1-25.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds,)
    numerator, denominator : str
        Arms.
    low, high : float, optional
        Ends of the range; at least one.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    """
    over, under = arms[numerator], arms[denominator]
    if (under == 0).any():
        raise CriterionError(f"ratio: arm {denominator!r} holds a zero")
    values: FloatArray = over / under
    pair = (numerator, np.isnan(over)), (denominator, np.isnan(under))
    label = f"{numerator} / {denominator}"
    finite = values[~np.isnan(values)]
    # A constant ratio is its own mean; a logarithm would round an exact count.
    constant = bool((finite == finite[:1]).all())
    if constant or (finite <= 0).any() or (high is not None and high <= 0):
        judged: Comparison = matching(label, values, *pair, Region.between(low, high))
    else:
        logs = Region.between(
            float(np.log(low)) if low is not None and low > 0 else None,
            float(np.log(high)) if high is not None else None,
        )
        judged = exponentiated(matching(label, np.log(values), *pair, logs), 0.0)
    satisfied = Region.between(low, high).contains(values)
    return conclude([judged], margin=None, satisfied=satisfied, exact=exact)
