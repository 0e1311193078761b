"""How often a verdict is wrong when the truth lies on the boundary, by simulation with n = 8."""

from __future__ import annotations

import numpy as np
import pytest

from bench_lr.criteria import evaluate

TRIALS, SEEDS = 1500, 8
# Three standard errors of a rate of 5 % above it.
LIMIT = 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)


def rates(kind: str, truth: dict[str, float], **params) -> dict[str, float]:
    """Share of each verdict over simulated samples around the true means."""
    rng = np.random.default_rng(2024)
    counts = {"reproduced": 0, "refuted": 0, "inconclusive": 0}
    for _ in range(TRIALS):
        shared = rng.normal(0.0, 3.0, SEEDS)
        arms = {name: shared + rng.normal(mean, 1.0, SEEDS) for name, mean in truth.items()}
        counts[evaluate(kind, arms, **params).verdict] += 1
    return {verdict: count / TRIALS for verdict, count in counts.items()}


@pytest.mark.parametrize(
    ("kind", "truth", "params"),
    [
        ("superior", {"t": 1.0, "c": 0.0}, {"treatment": "t", "control": "c", "margin": 1.0}),
        ("equivalent", {"t": 4.0, "c": 0.0}, {"treatment": "t", "control": "c", "margin": 4.0}),
        ("best_arm", {"b": 0.0, "a": 1.0, "c": -9.0}, {"expected": "b", "margin": 1.0}),
        # All rivals on the boundary: the worst case for refutation.
        ("best_arm", dict(b=0.0, a=1.0, c=1.0, d=1.0, e=1.0), {"expected": "b", "margin": 1.0}),
    ],
)
def test_on_the_boundary_a_decided_verdict_is_rare(kind, truth, params):
    found = rates(kind, truth, **params)
    assert found["reproduced"] + found["refuted"] <= LIMIT
    assert found["reproduced"] <= LIMIT / 2
    # A test that never decides would pass the lines above: the intervals must also be sharp.
    assert found["reproduced"] + found["refuted"] >= 0.01


ENDS = {"order": ["first", "a", "b", "c", "last"], "margin": 1.0}


def test_an_interior_optimum_is_rarely_found_where_no_arm_between_is_better():
    """All three arms between on the bound, the other end clear: each could seem to beat it."""
    between = dict.fromkeys("abc", 1.0)
    found = rates("interior_optimum", {"first": 0.0, **between, "last": -9.0}, **ENDS)
    assert found["reproduced"] <= LIMIT / 2
    # Candidates that share an end are alike, which costs something; half of 2.5 % is left.
    assert found["reproduced"] >= 0.01


def test_an_interior_optimum_is_rarely_refuted_where_one_arm_between_is_as_much_better():
    """One arm on the bound, the others hopeless: each must be excluded at its own level only."""
    truth = {"first": 0.0, "a": 1.0, "b": -9.0, "c": -9.0, "last": -19.0}
    found = rates("interior_optimum", truth, **ENDS)
    assert 0.01 <= found["refuted"] <= LIMIT / 2


def test_both_ends_on_the_bound_are_held_together():
    truth = {"first": 0.0, "a": 1.0, "b": -9.0, "c": -9.0, "last": 0.0}
    found = rates("interior_optimum", truth, **ENDS)
    assert found["refuted"] <= LIMIT / 2
    assert found["reproduced"] <= LIMIT / 2


def test_one_rival_on_the_boundary_is_not_hidden_by_the_others():
    """Taking each rival at its own level is right only because all must hold."""
    found = rates("best_arm", {"b": 0.0, "a": 1.0, "c": 0.0, "d": 0.0}, expected="b", margin=1.0)
    assert found["reproduced"] <= LIMIT / 2


def test_far_from_the_boundary_the_verdict_is_right():
    params = {"treatment": "t", "control": "c"}
    assert rates("superior", {"t": 4.0, "c": 0.0}, **params)["reproduced"] > 0.99
    assert rates("superior", {"t": -4.0, "c": 0.0}, **params)["refuted"] > 0.99
