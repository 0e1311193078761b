"""Criteria about values themselves: a table of exact numbers, and a range to stay in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench_lr.criteria.comparison import (
    Comparison,
    Region,
    compare,
    conclude,
    single_run,
    undecided,
)
from bench_lr.criteria.labels import comparison_labels
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionError, CriterionResult, Detail, Verdict
from bench_lr.criteria.validation import range_problems


def _tolerances(params: Mapping[str, Any]) -> list[float]:
    tolerance = params["tolerance"]
    if np.ndim(tolerance) == 0:
        return [float(tolerance)] * len(params["expected"])
    return [float(t) for t in tolerance]


def _table_problems(params: Mapping[str, Any], arms: Sequence[str] | None) -> Iterator[str]:
    count, tolerances = len(params["expected"]), _tolerances(params)
    if count == 0:
        yield "expected is empty"
    if len(tolerances) != count:
        yield f"tolerance has {len(tolerances)} entries, expected has {count}"
    if any(t < 0 for t in tolerances):
        yield "tolerance must be 0 or more"
    if params["arm"] is None and arms is not None and len(arms) > 1:
        yield f"there are several arms ({', '.join(arms)}): say which with arm"


@criterion("table", arm_params=("arm",), min_seeds=1, shape="values", check=_table_problems)
def table(
    arms: Arms,
    *,
    expected: Sequence[float],
    tolerance: float | Sequence[float],
    arm: str | None = None,
) -> CriterionResult:
    """A list of exact numbers equals the expected one, entry by entry.

    Hypothesis: every ``|value - expected|`` is below its tolerance, or 0 where the tolerance is 0.
    Test: none, the numbers are exact: reproduced when all entries agree, refuted otherwise, and
    refuted when seeds disagree about a number that should have no seed in it.
    Error control: nothing is estimated. One seed is enough.
    Source: none; to the printed digits means a tolerance of half a unit of the last digit, or a
    whole unit where the source truncates.

    Parameters
    ----------
    arms : mapping of name to array, shape (values,) or (seeds, values)
        An array of one axis holds quantities, unless one is expected: then it holds its seeds.
    expected : sequence of float
        The numbers.
    tolerance : float or sequence of float
        Absolute, for all entries or one each.
    arm : str, optional
        Which arm; may be left out if there is one only.
    """
    name = arm if arm is not None else next(iter(arms))
    wanted = np.array(list(expected), dtype=np.float64)
    limits = np.array(_tolerances({"expected": expected, "tolerance": tolerance}))
    found = arms[name]
    if found.ndim == 1:
        found = found.reshape(-1, 1) if wanted.size == 1 else found.reshape(1, -1)
    if found.shape[1] != wanted.size:
        raise CriterionError(
            f"table: arm {name!r} has {found.shape[1]} values, expected has {wanted.size}"
        )
    deviations = np.where(np.isnan(found), np.inf, np.abs(found - wanted))
    right = (deviations < limits) | ((limits == 0.0) & (deviations == 0.0))
    agree = bool((found == found[:1]).all())
    largest = float(deviations.max())
    i = int(deviations.max(axis=0).argmax())
    notes = [] if right.all() else [f"{int((~right).any(axis=0).sum())} of {wanted.size} differ"]
    if largest > 0.0:
        notes.append(f"largest deviation at entry {i}: {found[:, i][0]:g}, not {wanted[i]:g}")
    if len(found) > 1 and not agree:
        notes.append("the seeds disagree")
    verdict: Verdict = "reproduced" if right.all() and (agree or len(found) == 1) else "refuted"
    rows = []
    for j, value in enumerate(found[0]):
        finite = not np.isnan(value)
        rows.append(
            Detail(
                label=f"entry {j}: {wanted[j]:g}",
                estimate=float(value) if finite else None,
                ci=(float(value), float(value)) if finite else None,
                p_value=None,
                verdict="reproduced" if right[:, j].all() else "refuted",
            )
        )
    known = bool(np.isfinite(largest))
    return CriterionResult(
        verdict=verdict,
        estimate=largest if known else None,
        ci=(largest, largest) if known else None,
        margin=float(limits.max()),
        seeds=len(found),
        p_value=None,
        **single_run(right.all(axis=1)),
        note="; ".join(notes),
        sd=0.0 if known and agree else None,
        details=tuple(rows),
    )


@criterion("stays_within", arm_params=("arm",), shape="times", check=range_problems)
def stays_within(
    arms: Arms,
    *,
    arm: str,
    low: float | None = None,
    high: float | None = None,
    exact: bool = False,
    times: Sequence[float | str] | None = None,
) -> CriterionResult:
    """The mean of an arm lies between `low` and `high`, both included, at every evaluation.

    Hypothesis: the mean lies in [low, high]; with several evaluations, at each of them.
    Test: 95 % Student-t interval. Reproduced when inside, refuted when wholly outside. A diverged
    run is outside any range: none may diverge, and a majority (Clopper-Pearson interval wholly
    above one half) refutes.
    Error control: 2.5 % a side; several evaluations: all must hold (intersection-union), one
    refutes after Holm's adjustment.
    Source: Student (1908), Biometrika 6, 1-25; Berger (1982), Technometrics 24, 295-300; Holm
    (1979), Scandinavian Journal of Statistics 6, 65-70.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
    arm : str
        Arm.
    low, high : float, optional
        Ends of the range; at least one.
    exact : bool
        The values have no between-seed variation: one seed is enough.
    times : sequence, optional
        Names of the evaluations, for labels.
    """
    values = arms[arm]
    seeds, count = values.shape
    region = Region.between(low, high)
    comparisons: list[Comparison] = []
    for t, label in enumerate(comparison_labels(arm, times, count)):
        bad = int(np.isnan(values[:, t]).sum())
        comparisons.append(
            undecided(label, f"{arm} diverged in {bad} of {seeds} seeds", bad, seeds)
            if bad
            else compare(label, values[:, t], region)
        )
    satisfied = np.all(region.contains(values), axis=1)
    return conclude(comparisons, margin=None, satisfied=satisfied, exact=exact)
