"""Every claim file of the suite; a new file brings its own tests."""

from __future__ import annotations

from functools import cache

import pytest

from bench_lr.budget import budget
from bench_lr.claims import claim_files, conf_roots, load_claims
from bench_lr.claims.check import check_claim, criterion_params, selected_arms
from bench_lr.claims.files import group_names
from bench_lr.criteria.comparison import MIN_SEEDS
from bench_lr.identity import run_id
from bench_lr.schema import Claim

ROOT = conf_roots()[-1]
PROFILES = group_names([ROOT], "profile")
EXACT_KINDS = ("table", "contradicts")
NEED_CONTROL = ("curves_match", "equivalent")

every_claim = pytest.mark.parametrize("claim_id", claim_files([ROOT]))
every_profile = pytest.mark.parametrize("profile", PROFILES)


@cache
def load(claim_id: str, profile: str) -> Claim:
    (claim,) = load_claims([claim_id], profile, roots=[ROOT], check=check_claim)
    return claim


@every_claim
@every_profile
def test_it_loads_and_its_criteria_and_figure_are_sound(claim_id: str, profile: str) -> None:
    claim = load(claim_id, profile)
    assert claim.id == claim_id
    assert claim.arms or claim.spec.calculations


@every_claim
def test_it_says_where_it_comes_from(claim_id: str) -> None:
    spec = load(claim_id, "quick").spec
    for text in (spec.title, spec.statement, spec.place, spec.source_says):
        assert text.strip()


@every_claim
def test_something_decides_it_and_every_criterion_looks_at_something(claim_id: str) -> None:
    claim = load(claim_id, "standard")
    assert any(spec.role == "claim" for spec in claim.spec.criteria)
    for spec in claim.spec.criteria:
        assert selected_arms(claim, spec)


@every_claim
def test_a_claim_that_things_are_equal_has_a_control_that_must_fail(claim_id: str) -> None:
    specs = load(claim_id, "standard").spec.criteria
    kinds = {spec.kind for spec in specs if spec.role == "claim"}
    controls = {spec.kind for spec in specs if spec.role == "control"}
    if kinds & set(NEED_CONTROL):
        assert controls & set(NEED_CONTROL)


@every_claim
@every_profile
def test_the_budget_of_every_arm_can_be_told(claim_id: str, profile: str) -> None:
    for arm in load(claim_id, profile).arms:
        spent = {budget(run) for run in arm.runs}
        assert len(spent) == 1
        (cost,) = spent
        assert cost.updates >= cost.epochs >= 1
        assert cost.examples >= cost.updates


@every_claim
@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_it_has_enough_seeds_to_be_decided(claim_id: str, profile: str) -> None:
    claim = load(claim_id, profile)
    exact = all(
        spec.kind in EXACT_KINDS or criterion_params(claim, spec).get("exact")
        for spec in claim.spec.criteria
        if spec.role == "claim"
    )
    # Quick may have the fewest that can judge, where differences are large.
    fewest = MIN_SEEDS if profile == "quick" else max(8, MIN_SEEDS)
    for arm in claim.arms:
        assert exact or len(arm.runs) >= fewest
        assert [run.seed for run in arm.runs] == list(range(len(arm.runs)))


@every_claim
@every_profile
def test_no_two_arms_are_the_same_run(claim_id: str, profile: str) -> None:
    runs = [run for arm in load(claim_id, profile).arms for run in arm.runs]
    assert len({run_id(run) for run in runs}) == len(runs)


@every_claim
@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_what_is_shortened_says_why(claim_id: str, profile: str) -> None:
    claim, full = load(claim_id, profile), load(claim_id, "standard")
    if profile == "quick" and claim.spec.profiles.get("quick") is not None:
        patch = claim.spec.profiles["quick"]
        if patch.train is not None or patch.grid is not None or patch.arms is not None:
            assert claim.shortened
    spend = {sum(budget(run).examples for run in arm.runs) for arm in claim.arms}
    whole = {sum(budget(run).examples for run in arm.runs) for arm in full.arms}
    assert max(spend, default=0) <= max(whole, default=0)
