"""What a claim says about judging and drawing, checked before anything is trained."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from bench_lr import criteria, figures
from bench_lr.claims.problems import Problem, parse, unknown
from bench_lr.claims.settings import arm_value
from bench_lr.schema import Claim, CriterionSpec


def check_claim(claim: Claim) -> list[Problem]:
    """Return every mistake in the criteria and the figure of a claim."""
    return [*_criteria_problems(claim), *_figure_problems(claim)]


def selected_arms(claim: Claim, spec: CriterionSpec) -> list[str]:
    """Names of the arms and calculations that a criterion looks at, in the claim's order."""
    names = [arm.name for arm in claim.arms] or list(claim.spec.calculations)
    everything = [*(arm.name for arm in claim.arms), *claim.spec.calculations]
    if not spec.arms:
        return names
    return [n for n in everything if any(n == p or fnmatch.fnmatch(n, p) for p in spec.arms)]


def criterion_params(claim: Claim, spec: CriterionSpec) -> dict[str, Any]:
    """Parameters of a criterion with those that hang on the arms filled in."""
    chosen = set(selected_arms(claim, spec))
    arms = [arm for arm in claim.arms if arm.name in chosen]
    params = dict(spec.params)
    for name, key in spec.by_arm.items():
        params[name] = {arm.name: arm_value(arm, key) for arm in arms}
    if spec.order_by is not None:
        key = spec.order_by
        params["order"] = [a.name for a in sorted(arms, key=lambda arm: arm_value(arm, key))]
    return params


def _criteria_problems(claim: Claim) -> list[Problem]:
    found: list[Problem] = []
    seen: set[str] = set()
    names = [*(arm.name for arm in claim.arms), *claim.spec.calculations]
    for spec in claim.spec.criteria:
        key = f"criteria.{spec.id}"
        if spec.id in seen:
            found.append(Problem(claim.file, key, "the id twice", "an id each"))
        seen.add(spec.id)
        if spec.kind not in criteria.KINDS:
            found.append(unknown(claim.file, f"{key}.kind", spec.kind, criteria.KINDS))
            continue
        found += [
            unknown(claim.file, f"{key}.arms", pattern, names)
            for pattern in spec.arms
            if not fnmatch.filter(names, pattern) and pattern not in names
        ]
        chosen = selected_arms(claim, spec)
        trained = [name for name in chosen if name not in claim.spec.calculations]
        if trained and spec.measure is None:
            found.append(Problem(claim.file, f"{key}.measure", "nothing", "a measure of the runs"))
        if claim.profile.may_judge or not trained:
            found += [
                Problem(claim.file, key, text, "see the kind's parameters")
                for text in criteria.problems(spec.kind, criterion_params(claim, spec), chosen)
            ]
    return found


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
    for name, parameter in allowed.items():
        if name in spec.params:
            parse(
                parameter.annotation, spec.params[name], claim.file, f"figure.params.{name}", found
            )
        elif parameter.default is parameter.empty:
            found.append(Problem(claim.file, f"figure.params.{name}", "nothing", "a value"))
    return found
