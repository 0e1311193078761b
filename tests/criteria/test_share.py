"""share: how many of the seeds meet conditions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate
from bench_lr.criteria.level import judged_at

from .samples import NAN


def values(hits: int, n: int) -> np.ndarray:
    """n values of which `hits` lie in [1, 2]."""
    outside = np.where(np.arange(n - hits) % 2, 0.9, 2.1)
    return np.random.default_rng(0).permutation(np.concatenate([np.linspace(1, 2, hits), outside]))


@pytest.mark.parametrize(
    ("hits", "n", "claimed", "verdict"),
    [
        (20, 20, {"above": 0.8}, "reproduced"),
        (19, 20, {"above": 0.8}, "inconclusive"),
        (11, 20, {"above": 0.8}, "refuted"),
        (12, 20, {"above": 0.8}, "inconclusive"),
        (1, 8, {"above": 0.0}, "reproduced"),
        (0, 8, {"above": 0.0}, "inconclusive"),
        (20, 40, {"low": 0.25, "high": 0.75}, "reproduced"),
        (26, 40, {"low": 0.25, "high": 0.75}, "inconclusive"),
        (37, 40, {"low": 0.25, "high": 0.75}, "refuted"),
        (3, 40, {"low": 0.25, "high": 0.75}, "refuted"),
        (40, 40, {"low": 0.9}, "reproduced"),
        (0, 40, {"high": 0.1}, "reproduced"),
        (10, 10, {"high": 0.5}, "refuted"),
        (5, 5, {"above": 0.5}, "incomplete"),
    ],
)
def test_the_exact_interval_of_the_share_decides(hits, n, claimed, verdict):
    result = evaluate("share", {"a": values(hits, n)}, conditions={"a": [1, 2]}, **claimed)
    assert (result.verdict, result.margin) == (verdict, claimed.get("above"))
    if verdict != "incomplete":
        exact = stats.binomtest(hits, n).proportion_ci(method="exact")
        assert result.estimate == result.single_run_rate == hits / n
        assert result.ci == pytest.approx((exact.low, exact.high))


def test_the_p_value_is_that_of_the_binomial_test():
    for above in (0.3, 0.5, 0.8):
        result = evaluate("share", {"a": values(9, 12)}, conditions={"a": [1, 2]}, above=above)
        wanted = stats.binomtest(9, 12, above, "greater").pvalue
        assert result.p_value == pytest.approx(wanted)
        # The interval and the p-value say the same.
        assert (result.verdict == "reproduced") == (wanted < 0.025)
    both = evaluate("share", {"a": values(9, 12)}, conditions={"a": [1, 2]}, low=0.2, high=0.9)
    sides = (stats.binomtest(9, 12, p, side) for p, side in ((0.2, "greater"), (0.9, "less")))
    assert both.p_value == pytest.approx(max(side.pvalue for side in sides))


def test_another_level_widens_the_interval():
    with judged_at(0.005):
        result = evaluate("share", {"a": values(9, 10)}, conditions={"a": [1, 2]}, above=0.5)
    exact = stats.binomtest(9, 10).proportion_ci(0.99, method="exact")
    assert result.ci == pytest.approx((exact.low, exact.high))
    assert result.verdict == "inconclusive"


def test_a_seed_must_meet_every_condition_and_both_ends_are_in():
    arms = {"a": [1, 2, 3, 4, 5, 6, 7, 8], "b": [8, 7, 6, 5, 4, 3, 2, 1], "c": [0.0] * 8}
    result = evaluate("share", arms, conditions={"a": [2, None], "b": [None, 6]}, above=0.5)
    assert result.estimate == 6 / 8
    assert [(row.label, row.estimate) for row in result.details[1:]] == [
        ("condition on a", 7 / 8),
        ("condition on b", 6 / 8),
    ]
    assert evaluate("share", arms, conditions={"a": [2, 6]}, above=0.1).estimate == 5 / 8


def test_a_diverged_run_meets_no_condition():
    arms = {"a": [NAN, NAN, np.inf, 1, 1, 1, 1, 1], "b": [NAN] * 8}
    assert evaluate("share", arms, conditions={"a": [None, None]}, above=0.5).estimate == 5 / 8
    assert evaluate("share", arms, conditions={"b": [None, None]}, above=0.5).verdict == "refuted"


def test_several_evaluations_must_all_meet_it():
    curves = np.ones((8, 3))
    curves[0, 1] = 5.0
    assert evaluate("share", {"a": curves}, conditions={"a": [0, 2]}, above=0.5).estimate == 7 / 8


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"conditions": {}, "above": 0.5}, "conditions is empty"),
        ({"conditions": {"b": [0, 1]}, "above": 0.5}, "unknown arm 'b'"),
        ({"conditions": {"a": [0]}, "above": 0.5}, r"'a' must be \[low, high\]"),
        ({"conditions": {"a": [2, 1]}, "above": 0.5}, "low 2 exceeds high 1"),
        ({"conditions": {"a": ["0", 1]}, "above": 0.5}, "conditions must be"),
        ({"conditions": {"a": [0, 1]}}, "give low, high or both"),
        ({"conditions": {"a": [0, 1]}, "above": 0.5, "low": 0.1}, "not both"),
        ({"conditions": {"a": [0, 1]}, "above": 1.0}, r"above must lie in \[0, 1\)"),
        ({"conditions": {"a": [0, 1]}, "low": 0.5, "high": 1.5}, r"high must lie in \[0, 1\]"),
        ({"conditions": {"a": [0, 1]}, "low": 0.6, "high": 0.5}, "exceeds high"),
        ({"conditions": {"a": [0, 1]}, "low": 0, "high": 1}, "every share"),
    ],
)
def test_share_refuses_bad_parameters(params, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("share", {"a": values(8, 8)}, **params)


def test_on_the_boundary_a_decided_verdict_is_rare():
    """Both ends of the range, and a bound off the middle, with Bernoulli seeds of that share."""
    rng = np.random.default_rng(5)
    for truth, claimed in (
        (0.5, {"above": 0.5}),
        (0.8, {"above": 0.8}),
        (0.25, {"low": 0.25, "high": 0.75}),
        (0.75, {"low": 0.25, "high": 0.75}),
    ):
        words = [
            evaluate(
                "share",
                {"a": rng.random(40) - truth},
                conditions={"a": [None, 0]},
                **claimed,
            ).verdict
            for _ in range(1500)
        ]
        wrong = len(words) - words.count("inconclusive")
        # Three standard errors above 5 %; and a test that never decides is no test.
        assert 0.01 * len(words) <= wrong <= (0.05 + 3 * np.sqrt(0.05 * 0.95 / 1500)) * len(words)
