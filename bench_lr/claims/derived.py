"""What a claim says of its derived quantities, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from bench_lr.claims.measures import measure_problems
from bench_lr.claims.problems import Problem, unknown
from bench_lr.derived import arm_patterns, chosen, circle, operands
from bench_lr.probes import DisplacementSketch, is_due
from bench_lr.schema import (
    BestSetting,
    BestValue,
    Claim,
    Derived,
    Measured,
    SketchDistance,
    ValueNear,
)


def derived_problems(claim: Claim) -> Iterator[Problem]:
    """Yield what keeps derived quantities from being worked out; the arms must be known."""
    derived = claim.spec.derived
    for name, quantity in derived.items():
        key = f"derived.{name}"
        yield from _name_problems(claim, name)
        yield from _operand_problems(claim, quantity, key)
        yield from _arm_problems(claim, quantity, key)
        if isinstance(quantity, SketchDistance):
            yield from _sketch_problems(claim, quantity, key)
        if isinstance(quantity, Measured | BestSetting | BestValue | ValueNear):
            what = quantity.measure
            arms = chosen(arm_patterns(quantity), (arm.name for arm in claim.arms))
            yield from measure_problems(claim, arms, what, f"{key}.measure")
            if what.reduce in ("curve", "at"):
                allowed = "one that gives one number a seed"
                yield Problem(claim.file, f"{key}.measure.reduce", what.reduce, allowed)
    if loop := circle(derived):
        found = f"worked out of itself: {' <- '.join(loop)}"
        yield Problem(claim.file, f"derived.{loop[0]}", found, "quantities without a circle")


def _name_problems(claim: Claim, name: str) -> Iterator[Problem]:
    if name in claim.spec.calculations or any(arm.name == name for arm in claim.arms):
        other = "a calculation" if name in claim.spec.calculations else "an arm"
        yield Problem(claim.file, f"derived.{name}", f"the name of {other}", "a name of its own")


def _operand_problems(claim: Claim, quantity: Derived, key: str) -> Iterator[Problem]:
    known = [*claim.spec.derived, *claim.spec.calculations]
    for operand in operands(quantity):
        if operand in known:
            continue
        place = f"{key}.{_field(quantity)}"
        if any(arm.name == operand for arm in claim.arms):
            allowed = "a derived quantity of kind measured, which says what of the arm is meant"
            yield Problem(claim.file, place, f"the arm {operand!r}", allowed)
        else:
            yield unknown(claim.file, place, operand, known)


def _arm_problems(claim: Claim, quantity: Derived, key: str) -> Iterator[Problem]:
    arms = [arm.name for arm in claim.arms]
    several = isinstance(quantity, BestSetting | BestValue | ValueNear)
    place = f"{key}.{'arms' if isinstance(quantity, ValueNear) else _field(quantity)}"
    for pattern in arm_patterns(quantity):
        if pattern not in arms and not (several and chosen([pattern], arms)):
            yield unknown(claim.file, place, pattern, arms)
    found = chosen(arm_patterns(quantity), arms)
    # A profile may leave one of the arms that a pattern stands for; its value is then the best.
    one_will_do = isinstance(quantity, BestValue) and not set(arm_patterns(quantity)) <= set(arms)
    if several and len(found) == 1 and not one_will_do:
        yield Problem(claim.file, place, f"one arm, {found[0]}", "arms to choose from")


def _sketch_problems(claim: Claim, quantity: SketchDistance, key: str) -> Iterator[Problem]:
    """Sketches that the runs will not have."""
    runs = {arm.name: arm.runs[0] for arm in claim.arms if arm.name in quantity.of}
    sizes = {}
    for name, run in runs.items():
        probes = [p for p in run.evaluation.probes if isinstance(p, DisplacementSketch)]
        if not probes:
            allowed = "arms with a probe of kind displacement_sketch"
            yield Problem(claim.file, f"{key}.of", f"{name}, which has no sketch", allowed)
            continue
        sizes[name] = probes[0].size
        at = quantity.at
        if at is not None and not any(is_due(probe, at) for probe in probes):
            allowed = ", ".join(f"{epoch:g}" for probe in probes for epoch in probe.at)
            yield Problem(claim.file, f"{key}.at", f"{at:g}", f"{allowed}, the probe's of {name}")
    if len(set(sizes.values())) > 1:
        told = " and ".join(f"{size} in {name}" for name, size in sizes.items())
        yield Problem(claim.file, f"{key}.of", f"sketches of size {told}", "sketches of one size")


def _field(quantity: Derived) -> str:
    """Key under which a quantity names what it is worked out of."""
    keys = {field.name for field in fields(quantity)}
    return next(key for key in ("of", "terms", "arms", "arm") if key in keys)
