"""Can the design of a claim decide it? Asked before anything is trained.

A claim that nothing changes without a control that does is a mistake in its file (`claims.check`).
What cannot or will hardly be decided, or compares unlike with unlike, is said here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from bench_lr import criteria
from bench_lr.budget import budget
from bench_lr.claims.check import criterion_params, selected_arms
from bench_lr.criteria.comparison import MIN_SEEDS, Region
from bench_lr.criteria.level import ALPHA
from bench_lr.criteria.regimes import MIN_TIMES
from bench_lr.criteria.share import share_region
from bench_lr.derived import best_values, chosen, needs_runs
from bench_lr.looks import levels
from bench_lr.schema import COUNTS, Claim, CriterionSpec
from bench_lr.stats import clopper_pearson

ENOUGH = 0.8
"""Chance of a decision below which a design is called weak."""
MOST_SEEDS = 2000
ALIKE = 0.05
"""Share by which budgets may differ, as where a last partial batch is left out."""


@dataclass(frozen=True)
class Remark:
    """What a reader should know of a design before paying for it."""

    claim: str
    criterion: str
    text: str

    def __str__(self) -> str:
        return f"{self.claim} {self.criterion}: {self.text}"


def remarks(claim: Claim, expected_sd: Mapping[str, float]) -> list[Remark]:
    """List what makes a claim hard to decide or unfair.

    Parameters
    ----------
    expected_sd : mapping
        Between-seed standard deviation of what a criterion judges, by the criterion's id, in units
        of its estimate; one that the claim file states comes before these.
    """
    if not claim.profile.may_judge or claim.out_of_profile:
        return []
    found: list[Remark] = []
    for spec in claim.spec.criteria:
        if spec.role == "reading" or spec.kind not in criteria.KINDS:
            continue
        arms = selected_arms(claim, spec)
        if not any(needs_runs(claim.spec, name) for name in arms):
            continue
        known = spec.sd if spec.sd is not None else expected_sd.get(spec.id)
        # A control should fail: how surely it would succeed is of no interest.
        sd = known if spec.role == "claim" else None
        texts = [_too_few(claim, spec), _at_an_edge(claim, spec), _weak(claim, spec, sd)]
        texts += [_too_few_evaluations(claim, spec, arms), _share_out_of_reach(claim, spec)]
        texts += [_unequal_tuning(claim, spec)]
        texts += [_unequal_choice(claim, arms), _unequal_budgets(claim, spec, arms)]
        found += [Remark(claim.id, spec.id, text) for text in texts if text]
    return found


def chance_to_decide(sd: float, margin: float, seeds: int, two_sided: bool) -> float:
    """Chance that the t interval lies within a margin when there is no difference.

    Parameters
    ----------
    sd : float
        Of the seed-paired differences, which are normal.
    margin : float
        Distance from no difference to the bound, or to either bound if `two_sided`.

    Returns
    -------
    float
        One-sided: ``P(T > t)`` for T of the noncentral t distribution with n - 1 degrees of freedom
        and noncentrality ``margin sqrt(n) / sd``. Two-sided: the mean over the distribution of
        the sample's own SD of ``P(|mean| < margin - t s / sqrt(n))``.

    References
    ----------
    Owen (1965), A special case of a bivariate non-central t-distribution, Biometrika 52, 437-446.
    """
    if seeds < 2:
        return 0.0
    if sd == 0.0:
        return 1.0
    df, root = seeds - 1, float(np.sqrt(seeds))
    quantile = float(special.stdtrit(df, 1.0 - ALPHA))
    if not two_sided:
        return float(stats.nct.sf(quantile, df, margin * root / sd))
    # The middle of each of 400 equally likely slices of the distribution of s.
    own = sd * np.sqrt(stats.chi2.ppf((np.arange(400) + 0.5) / 400, df) / df)
    room = np.maximum(0.0, margin - quantile * own / root)
    return float(np.mean(2.0 * special.ndtr(room * root / sd) - 1.0))


def seeds_needed(sd: float, margin: float, two_sided: bool, chance: float = ENOUGH) -> int | None:
    """Fewest seeds with at least such a `chance_to_decide`; None if it takes over 2,000."""
    low, high = MIN_SEEDS - 1, MIN_SEEDS
    while chance_to_decide(sd, margin, high, two_sided) < chance:
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = chance_to_decide(sd, margin, middle, two_sided) >= chance
        low, high = (low, middle) if enough else (middle, high)
    return max(high, MIN_SEEDS)


def _most_seeds(claim: Claim) -> int:
    return claim.looks[-1] if claim.looks else claim.seeds


def _too_few(claim: Claim, spec: CriterionSpec) -> str:
    needed = criteria.KINDS[spec.kind].min_seeds
    seeds = _most_seeds(claim)
    if seeds >= needed or spec.params.get("exact"):
        return ""
    return f"cannot be decided: it needs {needed} seeds, and there are {seeds}"


def _too_few_evaluations(claim: Claim, spec: CriterionSpec, arms: list[str]) -> str:
    if spec.kind != "regimes" or spec.measure is None:
        return ""
    begin = spec.measure.from_epoch
    counts = [
        int((run.epochs - begin) * run.evaluation.per_epoch / run.evaluation.every)
        for run in (arm.runs[0] for arm in claim.arms if arm.name in arms)
    ]
    if not counts or min(counts) >= MIN_TIMES:
        return ""
    return f"cannot be decided: it needs {MIN_TIMES} evaluations, and there are {min(counts)}"


def share_in_reach(region: Region, seeds: int, level: float = ALPHA) -> bool:
    """Whether some number of seeds out of `seeds` would show that a share lies in a region."""
    hits = range(seeds + 1)
    return any(region.holds(*clopper_pearson(n, seeds, 1.0 - 2.0 * level)) for n in hits)


def _share_out_of_reach(claim: Claim, spec: CriterionSpec) -> str:
    """Shares of seeds that even the clearest outcome would not show with so few seeds."""
    region = _share_claimed(spec)
    seeds = _most_seeds(claim)
    if region is None or seeds < criteria.KINDS[spec.kind].min_seeds:
        return ""
    level = levels(claim.looks)[-1] if claim.looks else ALPHA
    if share_in_reach(region, seeds, level):
        return ""
    low, high = seeds, 2 * seeds
    while not share_in_reach(region, high, level):
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return f"cannot be reproduced: such a share takes over {MOST_SEEDS:,} seeds"
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_in_reach(region, middle, level) else (middle, high)
    return f"cannot be reproduced: {seeds} seeds are too few for such a share; {high:,} may do"


def _share_claimed(spec: CriterionSpec) -> Region | None:
    """Where a criterion says that a share of seeds lies; None if it is about something else."""
    params = spec.params
    match spec.kind:
        case "overtakes":
            return share_region(above=0.5)
        case "diverges":
            return share_region(above=params.get("expected_share_above", 0.5))
        case "regimes":
            return share_region(above=params.get("above", 0.5))
        case "share":
            return share_region(params.get("low"), params.get("high"), params.get("above"))
    return None


def _at_an_edge(claim: Claim, spec: CriterionSpec) -> str:
    """An optimum that could only lie at the edge of its grid, where it is not called one."""
    params = criterion_params(claim, spec)
    order, expected = list(params.get("order") or ()), params.get("expected")
    if spec.kind == "best_arm" and order and expected in (order[0], order[-1]):
        return (
            f"cannot be reproduced: {expected}, which should be the best, is at the edge of the "
            "grid; add arms beyond it"
        )
    if spec.kind == "slope" and params.get("choice"):
        few = [at for at, n in Counter(params["x"][n] for n in params["choice"]).items() if n < 3]
        if few:
            return f"at x={min(few):g} there are two choices, so that the best is at an edge"
    return ""


def _weak(claim: Claim, spec: CriterionSpec, sd: float | None) -> str:
    """Where no difference is what the claim says, how surely that would be seen."""
    margin, two_sided = _distance(claim, spec)
    seeds = _most_seeds(claim)
    if sd is None or margin is None or seeds < criteria.KINDS[spec.kind].min_seeds:
        return ""
    chance = chance_to_decide(sd, margin, seeds, two_sided)
    if chance >= ENOUGH:
        return ""
    needed = seeds_needed(sd, margin, two_sided)
    enough = f"over {MOST_SEEDS:,}" if needed is None else f"{needed:,}"
    what = "arms that are alike" if two_sided else "an arm that is as good"
    return (
        f"{what} would be called so in {chance:.0%} of such experiments ({seeds} seeds, SD "
        f"{sd:.2g}, margin {margin:g}); {enough} seeds would make it {ENOUGH:.0%}"
    )


def _distance(claim: Claim, spec: CriterionSpec) -> tuple[float | None, bool]:
    """Distance from what the claim says to the bound of its region, and whether it has two."""
    params = spec.params
    match spec.kind:
        case "best_arm" | "non_inferior":
            return params.get("margin"), False
        case "ordered" if params.get("margin", 0.0) < 0.0:
            return -params["margin"], False
        case "equivalent" | "curves_match":
            return params.get("margin"), True
        case "slope" | "ratio" if "low" in params and "high" in params:
            return (params["high"] - params["low"]) / 2, True
    return None, False


def _unequal_tuning(claim: Claim, spec: CriterionSpec) -> str:
    params = criterion_params(claim, spec)
    if spec.kind != "slope" or not params.get("choice"):
        return ""
    counts = Counter(params["x"][name] for name in params["choice"])
    if len(set(counts.values())) == 1:
        return ""
    told = ", ".join(f"{n} at x={at:g}" for at, n in sorted(counts.items()))
    return f"unequal tuning: choices tried are {told}"


def _unequal_choice(claim: Claim, names: list[str]) -> str:
    """Best values chosen among different numbers of arms, which is not equally optimistic."""
    arms = [arm.name for arm in claim.arms]
    counts = {
        name: len(chosen(quantity.arms, arms))
        for name, quantity in best_values(claim.spec, names).items()
    }
    if len(set(counts.values())) < 2:
        return ""
    told = ", ".join(f"{name} of {n}" for name, n in counts.items())
    return f"unequal tuning: the best is chosen among different numbers of arms ({told})"


def _unequal_budgets(claim: Claim, spec: CriterionSpec, arms: list[str]) -> str:
    if spec.measure is None or spec.measure.metric in COUNTS:
        return ""
    spent = {arm.name: budget(arm.runs[0]).examples for arm in claim.arms if arm.name in arms}
    if not spent:
        return ""
    low, high = min(spent, key=lambda n: spent[n]), max(spent, key=lambda n: spent[n])
    if spent[high] <= spent[low] * (1 + ALIKE):
        return ""
    return f"unequal training budgets: {low} sees {spent[low]:,} examples, {high} {spent[high]:,}"
