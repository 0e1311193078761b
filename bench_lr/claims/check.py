"""What a claim says about judging and drawing, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench_lr import criteria, figures
from bench_lr.calculations import Statements
from bench_lr.claims.derived import derived_problems
from bench_lr.claims.measures import measure_problems
from bench_lr.claims.problems import Problem, parse, unknown
from bench_lr.claims.settings import arm_value, has_value
from bench_lr.derived import chosen, metric, needs_runs
from bench_lr.schema import Claim, CriterionSpec, Measure

NO_CHANGE = ("equivalent", "curves_match")
"""Kinds that say that nothing changes."""
FIGURE_ARMS = (
    "arms",
    "calculation",
    "control",
    "controls",
    "drawn",
    "groups",
    "highlight",
    "lines",
    "panels",
    "paths",
    "ratio_to",
    "series",
    "show",
    "treatment",
)
"""Parameters of figures that name arms or calculations."""
FIGURE_QUANTITIES = ("derived", "names", "printed", "x")
"""Parameters of figures that may be mappings from arms or quantities."""


def check_claim(claim: Claim) -> list[Problem]:
    """Return every mistake in the derived quantities, the criteria and the figure of a claim.

    Where the claim has neither arms nor calculations they are not known, and what hangs on them is
    not checked.
    """
    found: list[Problem] = []
    if _arms_known(claim):
        found += derived_problems(claim)
    found += [*_criteria_problems(claim), *_figure_problems(claim)]
    return found or [*_control_problems(claim)]


def selected_arms(claim: Claim, spec: CriterionSpec) -> list[str]:
    """Names of the arms, calculations and derived quantities that a criterion looks at.

    In the claim's order; see `CriterionSpec.arms` for what is looked at when it names none.
    """
    everything = _names(claim)
    if spec.arms:
        return chosen(spec.arms, everything)
    named = _named(spec)
    if any(n in claim.spec.derived or n in claim.spec.calculations for n in named):
        return [n for n in everything if n in named]
    return [arm.name for arm in claim.arms] or list(claim.spec.calculations)


def _names(claim: Claim) -> list[str]:
    """Everything that a criterion can be given."""
    return [*(arm.name for arm in claim.arms), *claim.spec.calculations, *claim.spec.derived]


def _named(spec: CriterionSpec) -> set[str]:
    """What the parameters of a criterion name."""
    if spec.kind not in criteria.KINDS:
        return set()
    given = (spec.params.get(name) for name in criteria.KINDS[spec.kind].arm_params)
    return {name for value in given for name in criteria.arm_names(value)}


def criterion_params(claim: Claim, spec: CriterionSpec) -> dict[str, Any]:
    """Parameters of a criterion with those that hang on the arms filled in."""
    looked_at = set(selected_arms(claim, spec))
    arms = [arm for arm in claim.arms if arm.name in looked_at]
    params = dict(spec.params)
    if spec.kind == "contradicts":
        said = [claim.spec.calculations[n] for n in claim.spec.calculations if n in looked_at]
        names = [item for table in said if isinstance(table, Statements) for item in table.names]
        params.setdefault("items", names)
    for name, key in spec.by_arm.items():
        params[name] = {arm.name: arm_value(arm, key) for arm in arms}
    if spec.order_by is not None:
        key = spec.order_by
        params["order"] = [a.name for a in sorted(arms, key=lambda arm: arm_value(arm, key))]
    return params


def metric_judged(claim: Claim, spec: CriterionSpec) -> str:
    """Metric in whose units a criterion's numbers are, or an empty string if there is none."""
    if spec.measure is not None:
        return "" if spec.measure.reduce in ("first", "onset") else spec.measure.metric
    found = {metric(claim.spec, name) for name in selected_arms(claim, spec)}
    return found.pop() if len(found) == 1 else ""


def _criteria_problems(claim: Claim) -> list[Problem]:
    specs = claim.spec.criteria
    found: list[Problem] = []
    if _arms_known(claim) and not any(spec.role == "claim" for spec in specs):
        found.append(Problem(claim.file, "criteria", "no role claim", "at least one, to decide it"))
    seen: set[str] = set()
    for spec in specs:
        if spec.id in seen:
            key = f"criteria.{spec.id}"
            found.append(Problem(claim.file, key, "the id twice", "an id each"))
        seen.add(spec.id)
        found += _criterion_problems(claim, spec)
    return found


def _criterion_problems(claim: Claim, spec: CriterionSpec) -> list[Problem]:
    key = f"criteria.{spec.id}"
    found: list[Problem] = []
    if spec.measure is not None:
        names = selected_arms(claim, spec)
        found += measure_problems(claim, names, spec.measure, f"{key}.measure")
    if spec.kind not in criteria.KINDS:
        return [*found, unknown(claim.file, f"{key}.kind", spec.kind, criteria.KINDS)]
    if not _arms_known(claim):
        filled = [*spec.by_arm, *(["order"] if spec.order_by else [])]
        known = criteria.parameters(spec.kind)
        if any(n in known and known[n].default is known[n].empty for n in filled):
            return found
        texts = criteria.problems(spec.kind, spec.params)
    else:
        names = _names(claim)
        found += [
            unknown(claim.file, f"{key}.arms", pattern, names)
            for pattern in spec.arms
            if not chosen([pattern], names)
        ]
        looked_at = selected_arms(claim, spec)
        arms = {arm.name for arm in claim.arms}
        if arms & set(looked_at) and spec.measure is None:
            found.append(Problem(claim.file, f"{key}.measure", "nothing", "a measure of the runs"))
        if lacking := [*_lacking_settings(claim, spec, set(looked_at))]:
            return [*found, *lacking]
        if arms & set(looked_at) and spec.measure is not None:
            found += _shape_problems(claim, spec, spec.measure, f"{key}.measure.reduce")
        judged = claim.profile.may_judge or not any(needs_runs(claim.spec, n) for n in looked_at)
        # A name that is wrong is told beside all that would be right.
        told = names if _named(spec) - set(names) else looked_at
        texts = criteria.problems(spec.kind, criterion_params(claim, spec), told) if judged else ()
    return [*found, *(Problem(claim.file, key, t, "see the kind's parameters") for t in texts)]


def _lacking_settings(claim: Claim, spec: CriterionSpec, names: set[str]) -> Iterator[Problem]:
    """Settings that a criterion wants to know of arms whose optimizer has none of that name."""
    wanted = {f"by_arm.{name}": key for name, key in spec.by_arm.items()}
    if spec.order_by is not None:
        wanted["order_by"] = spec.order_by
    for place, key in wanted.items():
        for arm in claim.arms:
            if arm.name in names and not has_value(arm, key):
                what = f"{key}, which {arm.runs[0].optimizer.kind} of arm {arm.name!r} lacks"
                yield Problem(claim.file, f"criteria.{spec.id}.{place}", what, "what all arms have")
                break


def _shape_problems(
    claim: Claim, spec: CriterionSpec, what: Measure, key: str
) -> Iterator[Problem]:
    """Curves where one number a seed is wanted, and the other way round."""
    shape = criteria.KINDS[spec.kind].shape
    several = what.reduce == "curve" or (
        what.reduce == "at" and isinstance(what.epochs, tuple) and len(what.epochs) > 1
    )
    if shape == "curves" and what.reduce not in ("curve", "at"):
        yield Problem(claim.file, key, f"{what.reduce}, for {spec.kind}", "curve")
    if shape == "seeds" and several:
        allowed = "one that gives one number a seed"
        yield Problem(claim.file, key, f"{what.reduce}, for {spec.kind}", allowed)


def _control_problems(claim: Claim) -> Iterator[Problem]:
    """What keeps a claim that nothing changes from ever failing."""
    counted = [spec for spec in claim.spec.criteria if spec.role == "claim"]
    unchanging = [s for s in counted if s.kind in NO_CHANGE and not s.params.get("exact")]
    if unchanging and not any(spec.role == "control" for spec in claim.spec.criteria):
        key, found = f"criteria.{unchanging[0].id}", f"{unchanging[0].kind}, and no control"
        allowed = "beside it a criterion with role: control, in which the claim should fail"
        yield Problem(claim.file, key, found, allowed)


def _arms_known(claim: Claim) -> bool:
    return bool(claim.arms or claim.spec.calculations)


def _figure_problems(claim: Claim) -> list[Problem]:
    spec = claim.spec.figure
    if spec.kind not in figures.FIGURES:
        return [unknown(claim.file, "figure.kind", spec.kind, figures.FIGURES)]
    allowed: Mapping[str, Any] = figures.parameters(spec.kind)
    found = [
        unknown(claim.file, f"figure.params.{name}", name, allowed)
        for name in spec.params
        if name not in allowed
    ]
    sound: dict[str, Any] = {}
    for name, parameter in allowed.items():
        if name in spec.params:
            key, before = f"figure.params.{name}", len(found)
            value = parse(parameter.annotation, spec.params[name], claim.file, key, found)
            if len(found) == before and _arms_known(claim):
                sound[name] = value
                # Learning rates are no names: ``printed`` of a range test has such keys.
                if not (isinstance(value, Mapping) and any(isinstance(k, float) for k in value)):
                    found += _figure_name_problems(claim, key, spec.params[name])
            ids = [criterion.id for criterion in claim.spec.criteria]
            if name == "criterion" and value is not None and value not in ids:
                found.append(unknown(claim.file, key, value, ids))
        elif parameter.default is parameter.empty:
            found.append(Problem(claim.file, f"figure.params.{name}", "nothing", "a value"))
    for name, value in sound.items():
        found += _figure_measure_problems(claim, f"figure.params.{name}", value, sound.get("arms"))
    return found


def _figure_name_problems(claim: Claim, key: str, value: Any) -> Iterator[Problem]:
    """Names and patterns of a figure that no arm, calculation or derived quantity has."""
    names = _names(claim)
    name = key.rpartition(".")[2]
    if name in ("derived", "classes"):
        names = [*claim.spec.calculations, *claim.spec.derived]
    for pattern in _patterns(name, value):
        if pattern not in names and (
            name in ("treatment", "control", "ratio_to", "calculation")
            or not chosen([pattern], names)
        ):
            yield unknown(claim.file, key, pattern, names)


def _patterns(name: str, value: Any) -> Iterator[str]:
    """Arms and quantities that a parameter of a figure names."""
    if name in FIGURE_ARMS and value is not None:
        for group in value.values() if isinstance(value, Mapping) else [value]:
            yield from [group] if isinstance(group, str) else group
    elif name in FIGURE_QUANTITIES and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from inner if isinstance(inner, Mapping) else [key]
    elif name == "derived" and isinstance(value, list):
        yield from value
    elif name == "classes" and value is not None:
        yield from (quantity for conditions in value.values() for quantity in conditions)


def _figure_measure_problems(
    claim: Claim, key: str, value: Any, patterns: Any
) -> Iterator[Problem]:
    """What is wrong with the measures of a figure, for the arms that it draws."""
    listed = list(enumerate(value)) if isinstance(value, list | tuple) else [(None, value)]
    drawn = [arm.name for arm in claim.arms]
    drawn = chosen(patterns, drawn) if patterns else drawn
    for place, what in listed:
        if isinstance(what, Measure):
            at = key if place is None else f"{key}.{place}"
            yield from measure_problems(claim, drawn, what, at)
