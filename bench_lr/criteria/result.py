"""What a criterion returns, and the error it raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["reproduced", "refuted", "inconclusive", "incomplete"]
Interval = tuple[float, float]


class CriterionError(ValueError):
    """A criterion cannot be evaluated: unknown kind, bad parameters, or unusable arms."""


@dataclass(frozen=True)
class Detail:
    """One comparison, arm or entry of a criterion: a row of the report's table.

    Attributes
    ----------
    label : str
        What was compared.
    estimate, ci : float, (float, float), or None
        Estimate and its 95 % interval; None where none can be given (a diverged arm).
    p_value : float or None
        One-sided p-value for the claim (small speaks for it), not adjusted.
    verdict : str or None
        Verdict on this row alone, its refutation adjusted (Holm) for the other rows; None for a row
        that only informs.
    """

    label: str
    estimate: float | None
    ci: Interval | None
    p_value: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class CriterionResult:
    """Verdict of one criterion and the numbers behind it.

    Attributes
    ----------
    verdict : {"reproduced", "refuted", "inconclusive", "incomplete"}
    estimate, ci : float, (float, float), or None
        The quantity judged and its 95 % interval; with several comparisons, those of the weakest.
    margin : float or None
        The margin as pre-registered.
    seeds : int
        Number of seeds given (diverged ones included).
    p_value : float or None
        One-sided p-value for the claim (small speaks for it; below 0.025 is "reproduced" unless
        divergence or the edge of a grid forbids it); the largest of several comparisons. None for
        exact quantities.
    single_run_rate, single_run_ci : float, (float, float), or None
        Share of seeds whose single run satisfies the claim as stated, with its Wilson interval.
    note : str
        What a reader must know beside the numbers.
    sd : float or None
        Between-seed standard deviation of the per-seed quantity whose mean is `estimate`, in the
        units of `estimate` (delta method where that was averaged as a logarithm); None for
        shares of seeds.
    details : tuple of Detail
        One row per comparison.
    """

    verdict: Verdict
    estimate: float | None
    ci: Interval | None
    margin: float | None
    seeds: int
    p_value: float | None
    single_run_rate: float | None
    single_run_ci: Interval | None
    note: str = ""
    sd: float | None = None
    details: tuple[Detail, ...] = ()
