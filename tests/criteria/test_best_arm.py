"""best_arm: rivals, the edge of the grid, divergence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate

from .samples import base, half_width, sample, with_nan

WIDTH = half_width(1.0, 8)


def grid(n: int = 8, sd: float = 1.0, **deficits: float) -> dict[str, np.ndarray]:
    """Arm `b`, and others behind it by the given means, the differences having the given SD."""
    arms = {
        name: base(n) - sample(deficit, sd, n, seed=i)
        for i, (name, deficit) in enumerate(sorted(deficits.items()))
    }
    return dict(sorted({**arms, "b": base(n)}.items()))


@pytest.mark.parametrize(
    ("a", "c", "verdict"),
    [
        (5.0, 5.0, "reproduced"),
        (-0.5 + 1.01 * WIDTH, 5.0, "reproduced"),
        (-0.5 + 0.99 * WIDTH, 5.0, "inconclusive"),
        (-0.5 - 0.99 * WIDTH, 5.0, "inconclusive"),
        (-5.0, 5.0, "refuted"),
        (5.0, -5.0, "refuted"),
    ],
)
def test_the_verdict_is_about_the_strongest_rival(a, c, verdict):
    arms = grid(a=a, c=c)
    result = evaluate("best_arm", arms, expected="b", margin=0.5)
    strongest = "a" if a <= c else "c"
    paired = stats.ttest_rel(arms["b"], arms[strongest])
    assert result.verdict == verdict
    assert result.estimate == pytest.approx(min(a, c))
    assert result.ci == pytest.approx(tuple(paired.confidence_interval()))
    assert result.sd == pytest.approx(1.0)
    assert {row.label for row in result.details} == {"b - a", "b - c"}


def test_refutation_is_adjusted_for_the_number_of_rivals():
    once = 1.2 * WIDTH  # p about .01: below .025, above .025 / 4
    alone = evaluate("best_arm", grid(a=-0.5 - once), expected="b", margin=0.5)
    crowd = evaluate("best_arm", grid(a=-0.5 - once, c=9, d=9, e=9), expected="b", margin=0.5)
    assert (alone.verdict, crowd.verdict) == ("refuted", "inconclusive")


def test_smaller_is_better_mirrors_the_result():
    arms = grid(a=2.0, c=-0.2)
    mirrored = {name: -values for name, values in arms.items()}
    for expected in arms:
        for margin in (0.0, 1.0, 5.0):
            params = {"expected": expected, "margin": margin, "order": list(arms)}
            assert evaluate("best_arm", mirrored, **params, larger_is_better=False) == evaluate(
                "best_arm", arms, **params
            )


def test_single_run_rate_counts_seeds_whose_best_arm_it_is_ties_included():
    arms = {
        "a": np.array([1.0, 1, 1, 1, 1, 9, 9, np.nan]),
        "b": np.array([2.0, 2, 2, 1, 0, 2, np.nan, 2]),
        "c": np.array([0.0, 0, 3, 0, 0, 0, 0, 0]),
    }
    result = evaluate("best_arm", arms, expected="b", margin=0.1)
    assert result.single_run_rate == 4 / 8  # seeds 0, 1, the tie at 3, and 7, where a diverged


def test_the_note_names_the_best_mean_and_the_arms_tied_with_the_expected_one():
    result = evaluate("best_arm", grid(a=-0.1, c=0.1, d=9.0, sd=0.1), expected="b", margin=0.5)
    assert result.verdict == "reproduced"
    assert "best mean: a" in result.note
    assert result.note.endswith("tied with b within 0.5: a, c")


def test_five_seeds_are_incomplete_and_one_is_enough_for_exact_values():
    assert evaluate("best_arm", grid(5, a=9.0), expected="b", margin=0).verdict == "incomplete"
    arms = {"a": np.array([1.0]), "b": np.array([2.0])}
    assert evaluate("best_arm", arms, expected="b", margin=0, exact=True).verdict == "reproduced"
    assert evaluate("best_arm", arms, expected="a", margin=0, exact=True).verdict == "refuted"


# --- the edge of the grid ---------------------------------------------------------------------


@pytest.mark.parametrize("order", [["b", "a", "c"], ["a", "c", "b"]])
def test_an_expected_arm_on_the_edge_cannot_be_called_the_optimum(order):
    arms = grid(a=5.0, c=5.0)
    assert evaluate("best_arm", arms, expected="b", margin=0.5).verdict == "reproduced"
    result = evaluate("best_arm", arms, expected="b", margin=0.5, order=order)
    assert result.verdict == "inconclusive"
    assert "edge" in result.note
    assert result.estimate == pytest.approx(5.0)


def test_an_expected_arm_inside_the_grid_can():
    result = evaluate("best_arm", grid(a=5, c=5), expected="b", margin=0.5, order=["a", "b", "c"])
    assert result.verdict == "reproduced"
    assert "edge" not in result.note


def test_an_edge_arm_still_refutes_an_interior_one():
    result = evaluate("best_arm", grid(a=-5, c=5), expected="b", margin=0.5, order=["a", "b", "c"])
    assert result.verdict == "refuted"
    assert "edge" in result.note


def test_an_interior_arm_tied_with_a_better_edge_stays_reproduced_with_a_warning():
    arms = grid(a=-0.1, c=5, sd=0.1)
    result = evaluate("best_arm", arms, expected="b", margin=0.5, order=["a", "b", "c"])
    assert result.verdict == "reproduced"
    assert "best mean (a) lies on the edge" in result.note


def test_an_edge_arm_tied_with_a_better_interior_one_is_reproduced():
    arms = grid(a=-0.1, c=5, sd=0.1)
    result = evaluate("best_arm", arms, expected="b", margin=0.5, order=["b", "a", "c"])
    assert result.verdict == "reproduced"


def test_an_edge_arm_that_diverges_anywhere_is_not_the_best():
    arms = grid(a=-0.3, c=5, sd=0.1)
    arms["a"] = with_nan(arms["a"], 0)
    result = evaluate("best_arm", arms, expected="b", margin=0.5, order=["a", "b", "c"])
    assert result.verdict == "reproduced"
    assert "best mean: b" in result.note


# --- divergence -------------------------------------------------------------------------------


def test_a_rival_that_always_diverges_is_beaten():
    arms = grid(a=5.0, c=-9.0)
    arms["c"] = with_nan(arms["c"], *range(8))
    result = evaluate("best_arm", arms, expected="b", margin=0.5)
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(5.0)
    assert "c diverged in 8 of 8" in result.note


@pytest.mark.parametrize(("seeds", "verdict"), [(1, "inconclusive"), (8, "refuted")])
def test_an_expected_arm_that_diverges_is_never_the_best(seeds, verdict):
    arms = grid(a=5.0, c=5.0)
    arms["b"] = with_nan(arms["b"], *range(seeds))
    result = evaluate("best_arm", arms, expected="b", margin=0.5)
    assert (result.verdict, result.estimate) == (verdict, None)
    assert result.single_run_rate == (8 - seeds) / 8


def test_a_rival_that_diverges_in_part_is_compared_on_its_survivors():
    arms = grid(a=5.0, c=5.0)
    arms["c"] = with_nan(arms["c"], 0, 1)
    assert evaluate("best_arm", arms, expected="b", margin=0.5).verdict == "reproduced"
    arms["c"] = with_nan(arms["c"], 2)
    assert evaluate("best_arm", arms, expected="b", margin=0.5).verdict == "inconclusive"


# --- bad input --------------------------------------------------------------------------------


def test_an_order_must_hold_every_arm():
    with pytest.raises(CriterionError, match="order leaves out arm 'c'"):
        evaluate("best_arm", grid(a=1, c=1), expected="b", margin=0.5, order=["a", "b"])
    with pytest.raises(CriterionError, match=r"order names an unknown arm 'bb'.*nearest: 'b'"):
        evaluate("best_arm", grid(a=1), expected="b", margin=0.5, order=["a", "b", "bb"])


def test_one_arm_alone_is_not_compared():
    with pytest.raises(CriterionError, match="no arm beside"):
        evaluate("best_arm", {"b": base()}, expected="b", margin=0.5)
