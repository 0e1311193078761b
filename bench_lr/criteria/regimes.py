"""The criterion about regimes of the LR: too low, right, jumping about, diverging."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_lr.criteria.comparison import BoolArray, conclude
from bench_lr.criteria.level import coverage
from bench_lr.criteria.registry import Arms, criterion
from bench_lr.criteria.result import CriterionError, CriterionResult, Detail
from bench_lr.criteria.share import share_comparison, share_region
from bench_lr.stats import FloatArray, clopper_pearson

CLASSES = ("too_low", "right", "jumps", "diverges")
NONE = len(CLASSES)
"""Class of a run that is none of these."""
MIN_TIMES = 8

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """Where one class ends and the next begins; see `regimes`."""

    early: float
    late: float
    high: float
    fast: float
    rough: float
    diverged_above: float


def _problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    if len(list(params["order"])) < len(CLASSES):
        yield f"order needs an arm for each of {', '.join(CLASSES)}"
    for name in ("early", "late"):
        if not 0.0 < params[name] <= 0.5:
            yield f"{name} is a share of the evaluations in (0, 0.5], not {params[name]}"
    for name in ("high", "fast", "rough"):
        if params[name] < 1.0:
            yield f"{name} is a factor of 1 or more, not {params[name]}"
    if not 0.0 <= params["above"] < 1.0:
        yield f"above must lie in [0, 1), not {params['above']}"


@criterion("regimes", arm_params=("order",), shape="curves", margin_param="above", check=_problems)
def regimes(
    arms: Arms,
    *,
    order: Sequence[str],
    above: float = 0.5,
    early: float = 0.1,
    late: float = 0.25,
    high: float = 1.5,
    fast: float = 2.0,
    rough: float = 2.0,
    diverged_above: float = 0.95 * math.log(10.0),
) -> CriterionResult:
    """As the LR rises, training is too slow, then right, then jumps about, then diverges.

    Every run is put into a class by its loss curve, in this order of questions. The early and the
    late level are means over the first `early` and the last `late` of the evaluations; the
    roughness is the SD of the late evaluations about their least-squares line. What is best is the
    arm of the same seed with the lowest late level.

    - ``diverges``: a value is not finite, or the late level is at least `diverged_above` and the
      loss does not keep falling.
    - ``right``: the late level is at most `high` times the best.
    - ``too_low``: the loss keeps falling: from each quarter of the run to the next, and in the end
      by more than the roughness.
    - ``jumps``: the loss falls quickly (the early level is at most `fast` times the lowest of the
      arms that do not diverge) and ends rough (more than `rough` times the best arm's).
    - none, where it is neither; such a run, in transition, says nothing of the order.

    Hypothesis: with a probability above `above`, a seed's classes follow one another in the order
    too_low, right, jumps, diverges as the LR rises, and all four occur.
    Test: exact binomial: 95 % Clopper-Pearson interval of the share of such seeds. Reproduced when
    it lies above `above`, refuted when below.
    Error control: at most 2.5 % a side; the limits of the classes are part of the claim.
    Source: Clopper and Pearson (1934), Biometrika 26, 404-413. The classes are the four curves of
    a textbook figure put into words: loss increases and diverges; drops quickly, then jumps back
    and forth at a relatively large value; right; decreases slowly.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
        A positive loss, smaller being better; 8 evaluations or more.
    order : sequence of str
        Arms by rising LR, four or more.
    above : float
        What the share of seeds should exceed, in [0, 1).
    early, late : float
        Shares of the evaluations, in (0, 0.5]; at least one and four evaluations.
    high, fast, rough : float
        Factors, 1 or more: of the late level, the early level, the roughness.
    diverged_above : float
        Late level of a run that has learnt nothing; by default 95 % of the loss of guessing among
        ten classes, ln 10.
    """
    names = list(order)
    curves = np.stack([arms[name] for name in names], axis=1)
    if curves.shape[2] < MIN_TIMES:
        raise CriterionError(f"regimes needs {MIN_TIMES} evaluations, not {curves.shape[2]}")
    if (curves <= 0).any():
        raise CriterionError("regimes needs positive losses")
    classes = classify(curves, Limits(early, late, high, fast, rough, diverged_above))
    satisfied = np.array([_in_order(row) for row in classes], dtype=np.bool_)
    judged = share_comparison("share of seeds", satisfied, share_region(above=above))
    result = conclude(
        [judged], margin=above, satisfied=satisfied, notes=[_majorities(names, classes)]
    )
    return replace(result, details=result.details + tuple(_rows(names, classes)))


def classify(curves: FloatArray, limits: Limits) -> Classes:
    """Class of every run, an index into `CLASSES` or `NONE`.

    Parameters
    ----------
    curves : ndarray, shape (seeds, arms, times)
        NaN where a run has diverged.

    Returns
    -------
    ndarray of int, shape (seeds, arms)
    """
    times = curves.shape[2]
    first = max(1, round(limits.early * times))
    last = max(4, round(limits.late * times))
    end = curves[:, :, -last:]
    level = end.mean(axis=2)
    roughness = _roughness(end)
    quarters = np.stack([q.mean(axis=2) for q in np.array_split(curves, 4, axis=2)], axis=2)
    falls = -np.diff(quarters, axis=2)
    falling = (falls > 0.0).all(axis=2) & (falls[:, :, -1] > roughness)
    hopeless = (level >= limits.diverged_above) & ~falling
    diverged: BoolArray = np.isnan(curves).any(axis=2) | hopeless
    kept = np.where(diverged, np.inf, level)
    start = np.where(diverged, np.inf, curves[:, :, :first].mean(axis=2))
    best = kept.argmin(axis=1)[:, None]
    right = kept <= limits.high * np.take_along_axis(kept, best, axis=1)
    quick = start <= limits.fast * start.min(axis=1, keepdims=True)
    rough = roughness > limits.rough * np.take_along_axis(roughness, best, axis=1)
    found: Classes = np.select(
        [diverged, right, falling, quick & rough],
        [CLASSES.index(name) for name in ("diverges", "right", "too_low", "jumps")],
        NONE,
    )
    return found


def _roughness(values: FloatArray) -> FloatArray:
    """SD of the last axis about its least-squares line, which takes two degrees of freedom."""
    clock = np.arange(values.shape[-1], dtype=np.float64)
    clock -= clock.mean()
    centred = values - values.mean(axis=-1, keepdims=True)
    slope = (centred * clock).sum(axis=-1, keepdims=True) / (clock**2).sum()
    rest: FloatArray = np.sqrt(((centred - slope * clock) ** 2).sum(axis=-1) / (clock.size - 2))
    return rest


def _in_order(classes: Classes) -> bool:
    """Whether the classes of a seed, by rising LR, come in their order and none is missing."""
    known = classes[classes != NONE]
    return set(known.tolist()) == set(range(NONE)) and bool((np.diff(known) >= 0).all())


def _majority(column: Classes) -> int:
    return int(np.bincount(column, minlength=NONE + 1).argmax())


def _majorities(names: Sequence[str], classes: Classes) -> str:
    """Arms by the class that most of their runs have."""
    most = [_majority(column) for column in classes.T]
    told = [
        f"{word}: {', '.join(name for name, m in zip(names, most, strict=True) if m == place)}"
        for place, word in enumerate([*CLASSES, "none"])
        if place in most
    ]
    return "; ".join(told)


def _rows(names: Sequence[str], classes: Classes) -> Iterator[Detail]:
    for name, column in zip(names, classes.T, strict=True):
        most = _majority(column)
        hits = int((column == most).sum())
        interval = clopper_pearson(hits, column.size, coverage())
        word = [*CLASSES, "none"][most]
        yield Detail(f"{name}: {word}", hits / column.size, interval, None, None)
