"""The criterion about runs that blow up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench_lr.criteria.comparison import BoolArray, Comparison, conclude
from bench_lr.criteria.level import coverage
from bench_lr.criteria.registry import Arms, arm_names, criterion
from bench_lr.criteria.result import CriterionResult
from bench_lr.stats import clopper_pearson, share_p


def _problems(params: Mapping[str, Any], _: Sequence[str] | None) -> Iterator[str]:
    if not arm_names(params["arms_named"]):
        yield "arms_named is empty"
    if not 0.0 <= params["expected_share_above"] < 1.0:
        yield f"expected_share_above must lie in [0, 1), not {params['expected_share_above']}"


@criterion(
    "diverges",
    arm_params=("arms_named",),
    shape="times",
    may_all_diverge=True,
    margin_param="expected_share_above",
    check=_problems,
)
def diverges(
    arms: Arms, *, arms_named: str | Sequence[str], expected_share_above: float = 0.5
) -> CriterionResult:
    """More than a share of the runs of each named arm diverge.

    Hypothesis: in every named arm, a run diverges with probability above `expected_share_above`.
    Test: exact binomial: 95 % Clopper-Pearson interval of the share of diverged seeds. Reproduced
    when all lie above, refuted when one lies below. The estimate is that of the arm with the
    smallest share.
    Error control: at most 2.5 % a side; several arms: intersection-union, refutation adjusted by
    Holm.
    Source: Clopper and Pearson (1934), Biometrika 26, 404-413; Berger (1982), Technometrics 24,
    295-300; Holm (1979), Scandinavian Journal of Statistics 6, 65-70.

    Parameters
    ----------
    arms : mapping of name to array, shape (seeds, times)
        A run with one value that is not finite has diverged.
    arms_named : str or sequence of str
        Arms that should diverge.
    expected_share_above : float
        In [0, 1).
    """
    names = arm_names(arms_named)
    diverged = {name: np.any(np.isnan(arms[name]), axis=1) for name in names}
    comparisons = [_share(name, diverged[name], expected_share_above) for name in names]
    return conclude(
        comparisons,
        margin=expected_share_above,
        satisfied=np.all(list(diverged.values()), axis=0),
    )


def _share(name: str, diverged: BoolArray, bound: float) -> Comparison:
    hits, seeds = int(diverged.sum()), diverged.size
    lo, hi = clopper_pearson(hits, seeds, coverage())
    return Comparison(
        label=f"share of {name} that diverged",
        holds=lo > bound,
        p_for=share_p(hits, seeds, bound, "greater"),
        p_against=share_p(hits, seeds, bound, "less"),
        slack=hits / seeds - bound,
        estimate=hits / seeds,
        ci=(lo, hi),
        note=f"{hits} of {seeds} diverged",
    )
