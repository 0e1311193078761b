"""What moved between two sets of findings, and whether chance can have moved it.

Every number that both sides have is tested against "nothing changed, only the seeds are others",
and all of these tests together are wrong in at most 5 % of comparisons (Holm), however many claims
there are:

- a mean over seeds: `two_samples.means_p`, a Student-t prediction of the fresh mean;
- a share of seeds, and how many seeds of an arm diverged: Fisher's exact test of the counts;
- an exact number: equality to 1e-9, no test.

Seeds that both sides have are not paired: what is asked is whether training is the same, and
rounding alone, which SGD amplifies and no version of a library keeps, shifts paired runs alike.

Not chance, whatever the numbers: a verdict that turns from reproduced to refuted or back; a
criterion or an estimate that comes or goes; seeds that no longer make a difference; and a verdict
that is another one though the rule for it (kind, margin) is, or though the numbers are the same. A
verdict that slides between decided and inconclusive while no number of its claim moved is chance,
told and no change: where the truth lies near a margin, half of all reruns do it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scipy import special

from bench_lr.criteria.comparison import MIN_SEEDS
from bench_lr.findings import ArmFinding, CriterionFinding, Finding
from bench_lr.origins import Difference, differences
from bench_lr.stats import holm
from bench_lr.two_samples import Sample, means_p, shares_p

LEVEL = 0.05
"""Chance that a comparison of two equal trainings reports any number as moved."""
ROUNDING = 1e-9
"""Relative difference up to which exact numbers are the same."""
_DECIDED = {"reproduced", "refuted"}
_ALIKE = "nothing: the seeds do not differ"


@dataclass(frozen=True)
class Change:
    """One number or verdict that is not what it was.

    Attributes
    ----------
    criterion : str
        Empty for what belongs to a claim as a whole.
    p : float or None
        Two-sided p-value, adjusted (Holm) for all numbers compared; None where chance has no part.
    """

    claim: str
    criterion: str
    what: str
    old: str
    new: str
    p: float | None = None

    def __str__(self) -> str:
        where = f"{self.claim} {self.criterion}".strip()
        p = "" if self.p is None else f" (adjusted p {self.p:.2g})"
        return f"{where}: {self.what} was {self.old}, is {self.new}{p}"


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing two sets of findings.

    Attributes
    ----------
    moved : tuple of Change
        Not chance, in order of the claims.
    slid : tuple of Change
        Verdicts that changed by chance.
    claims, numbers : int
        How many were compared.
    origins : tuple of Difference
        What differs in where the runs came from.
    """

    moved: tuple[Change, ...]
    slid: tuple[Change, ...]
    claims: int
    numbers: int
    origins: tuple[Difference, ...]


@dataclass(frozen=True)
class _Look:
    """A number that was compared, or a verdict: what to say of it if it moved.

    `p` is not adjusted; None where there is no test and `moved` says all. A verdict that `slid`
    moved only if something else of its claim did.
    """

    change: Change
    p: float | None = None
    moved: bool = False
    slid: bool = False
    is_number: bool = False


def compare(old: Mapping[str, Finding], new: Mapping[str, Finding]) -> Comparison:
    """Compare the findings of claims, by id, that are on both sides."""
    shared = [name for name in old if name in new]
    looks = [look for name in shared for look in _claim(name, old[name], new[name])]
    tested = [i for i, look in enumerate(looks) if look.p is not None]
    adjusted = holm([looks[i].p or 0.0 for i in tested])
    for i, p in zip(tested, adjusted.tolist(), strict=True):
        change = dataclasses.replace(looks[i].change, p=p)
        looks[i] = dataclasses.replace(looks[i], change=change, moved=p < LEVEL)
    unsettled = {look.change.claim for look in looks if look.moved}
    moved = [x for x in looks if x.moved or (x.slid and x.change.claim in unsettled)]
    slid = [x for x in looks if x.slid and x.change.claim not in unsettled]
    return Comparison(
        moved=tuple(look.change for look in moved),
        slid=tuple(look.change for look in slid),
        claims=len(shared),
        numbers=sum(look.is_number for look in looks),
        origins=differences([old[name] for name in shared], [new[name] for name in shared]),
    )


def _claim(claim: str, old: Finding, new: Finding) -> Iterator[_Look]:
    chance = not _judged_otherwise(old, new)
    yield from _verdicts(Change(claim, "", "the verdict", old.verdict, new.verdict), chance)
    if {_varies(old), _varies(new)} == {True, False}:
        was, now = ("the results" if _varies(side) else _ALIKE for side in (old, new))
        yield _Look(Change(claim, "", "what a seed changes", was, now), moved=True)
    before = {item.id: item for item in old.criteria}
    for item in new.criteria:
        past = before.pop(item.id, None)
        if past is None:
            come = Change(claim, item.id, "the criterion", "nothing", item.verdict)
            yield _Look(come, moved=True)
            continue
        if item.role != "reading":
            change = Change(claim, item.id, "the verdict", past.verdict, item.verdict)
            yield from _verdicts(change, chance)
        yield from _number(claim, past, item, old.diverged, new.diverged)
    for name in before:
        yield _Look(Change(claim, name, "the criterion", "there", "gone"), moved=True)
    yield from _diverged(claim, old, new)


def _verdicts(change: Change, chance: bool) -> Iterator[_Look]:
    words = {change.old, change.new}
    if len(words) == 2:
        # "incomplete" here is that of one criterion of a claim that was judged.
        slid = chance and words != _DECIDED and "incomplete" not in words
        yield _Look(change, moved=not slid, slid=slid)


def _judged_otherwise(old: Finding, new: Finding) -> bool:
    """Whether another verdict comes from the rule: it is another one, or the numbers are equal."""
    before = {item.id: item for item in old.criteria}
    pairs = [(before[item.id], item) for item in new.criteria if item.id in before]
    if any((a.kind, a.margin) != (b.kind, b.margin) for a, b in pairs):
        return True
    known = [(a, b) for a, b in pairs if a.estimate is not None or b.estimate is not None]
    return bool(known) and all(
        a.seeds == b.seeds and _same(a.estimate, b.estimate) and _same(a.sd, b.sd) for a, b in known
    )


def _varies(side: Finding) -> bool | None:
    if side.seeds_differ is not None:
        return side.seeds_differ
    spreads = [item.sd for item in side.criteria if not item.exact and item.sd is not None]
    # A spread tells that seeds differ; that choices on a grid have none does not tell the contrary.
    return True if any(sd > 0 for sd in spreads) else None


def _number(
    claim: str, old: CriterionFinding, new: CriterionFinding, lost: int, lost_now: int
) -> Iterator[_Look]:
    if old.kind != new.kind:
        yield _Look(Change(claim, new.id, "the kind", old.kind, new.kind), moved=True)
        return
    a, b = old.estimate, new.estimate
    change = Change(claim, new.id, "the estimate", _shown(old), _shown(new))
    if a is None or b is None:
        # Runs that diverge take an estimate with them: their number is compared in its stead.
        if (a is None) != (b is None) and not (lost or lost_now):
            yield _Look(change, moved=True)
        return
    if _is_share(old) and _is_share(new):
        hits, hits_now = round(a * old.seeds), round(b * new.seeds)
        yield _Look(change, _shares(hits, old.seeds, hits_now, new.seeds), is_number=True)
        return
    spread, spread_now = _spread(old), _spread(new)
    if old.exact or new.exact or not (spread or spread_now):
        change = dataclasses.replace(change, what="the exact value")
        yield _Look(change, moved=not _same(a, b), is_number=True)
        return
    # Of several comparisons the weakest may be another one, with another spread, on either side.
    centre = new.centre if old.centre is None else old.centre
    if centre is not None:
        change = dataclasses.replace(change, what="the size of the estimate")
        a, b = abs(a - centre), abs(b - centre)
    before = Sample(a, spread, _survivors(old, lost))
    after = Sample(b, spread_now, _survivors(new, lost_now))
    yield _Look(change, float(means_p(before, after)), is_number=True)


def _diverged(claim: str, old: Finding, new: Finding) -> Iterator[_Look]:
    before, after = _arms(old, new), _arms(new, old)
    for name in before:
        a, b = before[name], after.get(name)
        if b is not None:
            was, now = (f"{arm.diverged} of {arm.seeds}" for arm in (a, b))
            p = _shares(a.diverged, a.seeds, b.diverged, b.seeds)
            change = Change(claim, "", f"the seeds of {name} that diverged", was, now)
            yield _Look(change, p, is_number=True)


def _shares(hits: int, n: int, hits_now: int, n_now: int) -> float | None:
    """p-value; None where no seed or every seed of both sides hits.

    The test is given their sum, so such a pair could not have been found to differ, and counts for
    nothing in a correction (Tarone 1990, Biometrics 46, 515-522).
    """
    decidable = 0 < hits + hits_now < n + n_now
    return shares_p(hits, n, hits_now, n_now) if decidable else None


def _arms(side: Finding, other: Finding) -> Mapping[str, ArmFinding]:
    """Arms of a finding; of an older record, which does not name them, if nothing diverged."""
    if side.arms or side.diverged or not side.criteria:
        return side.arms
    seeds = max(item.seeds for item in side.criteria)
    return {name: ArmFinding(seeds, 0) for name in other.arms}


def _is_share(item: CriterionFinding) -> bool:
    """Whether the estimate is a share of seeds: an interval, but no spread between seeds."""
    if item.sd is not None or item.estimate is None or item.ci is None or item.ci[0] == item.ci[1]:
        return False
    hits = item.estimate * item.seeds
    return 0.0 <= item.estimate <= 1.0 and abs(hits - round(hits)) < 1e-6


def _spread(item: CriterionFinding) -> float:
    """Standard deviation between seeds: as stated, or as wide as the interval; 0 without either."""
    if item.sd is not None:
        return item.sd
    if item.ci is None or item.seeds < 2 or not all(map(math.isfinite, item.ci)):
        return 0.0
    quantile = float(special.stdtrit(item.seeds - 1, 0.975))
    return (item.ci[1] - item.ci[0]) / 2 / quantile * math.sqrt(item.seeds)


def _survivors(item: CriterionFinding, diverged: int) -> int:
    """Seeds behind an estimate, at least: each run that diverged may have taken one away."""
    return max(2, min(MIN_SEEDS, item.seeds), item.seeds - diverged)


def _same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= ROUNDING * max(1.0, abs(a))


def _shown(item: CriterionFinding) -> str:
    if item.estimate is None:
        return "none"
    text = f"{item.estimate:.6g}"
    if item.ci is None or item.ci[0] == item.ci[1]:
        return text
    return f"{text} [{item.ci[0]:.6g}, {item.ci[1]:.6g}]"
