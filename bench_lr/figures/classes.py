"""Which runs meet which conditions: the classes by which a figure colours them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench_lr.derived import sources
from bench_lr.figures.measured import Sample, derived_sample, samples, shown_scale
from bench_lr.figures.series import select
from bench_lr.schema import Measure
from bench_lr.verdict import ClaimVerdict

Conditions = Mapping[str, tuple[float | None, float | None]]
Classes = Mapping[str, Conditions]
NO_CLASS = "other"
"""What runs are called that fit no class."""


def classify(
    verdict: ClaimVerdict, classes: Classes | None, criterion: str | None
) -> dict[str, dict[str, set[int]]]:
    """Sort runs into classes.

    Parameters
    ----------
    classes : mapping of title to conditions, optional
        A condition is the range in which a derived quantity lies, both ends in.
    criterion : str, optional
        Id of a criterion ``share`` whose conditions make one more class, called by its id.

    Returns
    -------
    dict of title to dict of arm to seeds
        Only arms that the quantities of a class are worked out of; a seed may be in several
        classes, of which the first counts.
    """
    wanted: dict[str, tuple[Conditions, Measure | None]] = {
        title: (conditions, None) for title, conditions in (classes or {}).items()
    }
    for judged in verdict.criteria:
        if judged.spec.id == criterion:
            conditions = judged.spec.params.get("conditions", {})
            wanted[judged.spec.id.replace("_", " ")] = conditions, judged.spec.measure
    found: dict[str, dict[str, set[int]]] = {}
    for title, (conditions, what) in wanted.items():
        patterns = [p for name in conditions for p in sources(verdict.claim.spec, name)[0]]
        arms = [arm.name for arm in select(verdict.claim.arms, patterns)]
        seeds: set[int] | None = None
        for name, ends in conditions.items():
            fitting = _within(_numbers(verdict, name, what), *ends)
            seeds = fitting if seeds is None else seeds & fitting
        found[title] = {arm: seeds or set() for arm in arms}
    return found


def _numbers(verdict: ClaimVerdict, name: str, what: Measure | None) -> Sample:
    if what is not None and any(arm.name == name for arm in verdict.claim.arms):
        found = samples(verdict, [name], what)[name]
        # Conditions are in the units that are stored, samples in those that are shown.
        return replace(found, values=found.values / shown_scale(what))
    return derived_sample(verdict, name)


def _within(sample: Sample, low: float | None, high: float | None) -> set[int]:
    return {
        seed
        for seed, value in zip(sample.seeds, sample.values, strict=True)
        if (low is None or value >= low) and (high is None or value <= high) and value == value
    }
