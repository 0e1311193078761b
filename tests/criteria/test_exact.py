"""table, stays_within, diverges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate

from .samples import NAN, curves, half_width, sample, with_nan

WIDTH = half_width(1.0, 8)
PRINTED = [0.1, 0.09, 0.081, 0.073, 0.065, 0.059, 0.053]
STEPS = 0.1 * 0.9 ** np.arange(7)


def test_a_table_is_reproduced_when_every_entry_is_within_its_tolerance():
    result = evaluate("table", {"lr": STEPS}, expected=PRINTED, tolerance=0.001)
    largest = np.abs(STEPS - PRINTED).max()
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(largest)
    assert result.ci == (result.estimate, result.estimate)
    assert (result.margin, result.seeds, result.single_run_rate) == (0.001, 1, 1.0)
    assert result.p_value is None
    assert len(result.details) == 7
    assert result.details[4].estimate == STEPS[4]


def test_one_entry_refutes_a_table_and_is_named():
    result = evaluate("table", {"lr": STEPS}, expected=PRINTED, tolerance=0.0005)
    assert result.verdict == "refuted"
    assert [row.verdict for row in result.details].count("refuted") == 1
    assert result.details[4].verdict == "refuted"
    assert "1 of 7 differ" in result.note
    assert "entry 4" in result.note
    assert result.single_run_rate == 0.0


def test_each_entry_may_have_its_own_tolerance():
    tolerance = [0.0005] * 4 + [0.001] + [0.0005] * 2
    result = evaluate("table", {"lr": STEPS}, expected=PRINTED, tolerance=tolerance)
    assert (result.verdict, result.margin) == ("reproduced", 0.001)


@pytest.mark.parametrize(
    ("value", "tolerance", "verdict"),
    [
        (2.0, 0.0, "reproduced"),
        (np.nextafter(2.0, 3.0), 0.0, "refuted"),
        (2.5, 0.5, "refuted"),  # a deviation of the tolerance itself is too large
        (2.4999, 0.5, "reproduced"),
        (1.5, 0.5, "refuted"),
    ],
)
def test_a_tolerance_is_exclusive_and_0_means_equal(value, tolerance, verdict):
    arms = {"count": np.array([1.0, value])}
    result = evaluate("table", arms, expected=[1.0, 2.0], tolerance=tolerance)
    assert result.verdict == verdict


def test_identical_seeds_confirm_a_table_and_different_ones_refute_it():
    arms = {"count": np.tile([1719.0, 3438.0], (3, 1))}
    params = {"expected": [1719, 3438], "tolerance": 1.0}
    result = evaluate("table", arms, **params)
    assert (result.verdict, result.seeds, result.single_run_rate) == ("reproduced", 3, 1.0)
    arms["count"][2, 1] += 0.5  # within tolerance, and yet no exact number
    result = evaluate("table", arms, **params)
    assert result.verdict == "refuted"
    assert "seeds disagree" in result.note


def test_one_expected_number_is_looked_for_in_every_seed():
    arms = {"updates": np.full(8, 3438.0)}
    result = evaluate("table", arms, expected=[3438], tolerance=0)
    assert (result.verdict, result.seeds) == ("reproduced", 8)


def test_an_entry_that_is_not_a_number_differs():
    result = evaluate("table", {"a": np.array([1.0, NAN])}, expected=[1, 2], tolerance=9.0)
    assert (result.verdict, result.estimate, result.ci) == ("refuted", None, None)


def test_a_table_looks_at_the_arm_it_names():
    arms = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 2.0, 3.0])}
    params = {"expected": [1, 2, 3], "tolerance": 0}
    assert evaluate("table", arms, **params, arm="b").verdict == "reproduced"
    with pytest.raises(CriterionError, match="several arms"):
        evaluate("table", arms, **params)
    with pytest.raises(CriterionError, match="2 values, expected has 3"):
        evaluate("table", arms, **params, arm="a")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"expected": [], "tolerance": 0}, "expected is empty"),
        ({"expected": [1, 2], "tolerance": [0]}, "tolerance has 1 entries, expected has 2"),
        ({"expected": [1, 2], "tolerance": -1}, "tolerance must be 0 or more"),
        ({"expected": [1, "2"], "tolerance": 0}, "expected must be Sequence"),
        ({"expected": [1, 2]}, "missing parameter 'tolerance'"),
    ],
)
def test_table_refuses_bad_parameters(params, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("table", {"a": np.array([1.0, 2.0])}, **params)


# --- stays_within -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "low", "high", "verdict"),
    [
        (1.0, 1.0 - 1.01 * WIDTH, 1.0 + 1.01 * WIDTH, "reproduced"),
        (1.0, 1.0 - 0.99 * WIDTH, 5.0, "inconclusive"),
        (1.0, -5.0, 1.0 + 0.99 * WIDTH, "inconclusive"),
        (1.0, 1.0 + 1.01 * WIDTH, 5.0, "refuted"),
        (1.0, -5.0, 1.0 - 1.01 * WIDTH, "refuted"),
        (1.0, None, 5.0, "reproduced"),
        (1.0, -5.0, None, "reproduced"),
        (1.0, 5.0, None, "refuted"),
    ],
)
def test_the_interval_of_the_mean_stays_within(mean, low, high, verdict):
    values = sample(mean, 1.0)
    result = evaluate("stays_within", {"a": values}, arm="a", low=low, high=high)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert result.verdict == verdict
    assert result.ci == pytest.approx((expected.low, expected.high))


def test_a_curve_stays_within_at_every_time():
    arms = {"a": curves([0.0, 3.0, 1.0], 1.0)}
    result = evaluate("stays_within", arms, arm="a", low=-2, high=4.5, times=[1, 2, 3])
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(3.0)  # the one nearest to an end
    assert [row.label for row in result.details] == ["a at 1", "a at 2", "a at 3"]
    assert evaluate("stays_within", arms, arm="a", low=-2, high=3).verdict == "inconclusive"
    assert evaluate("stays_within", arms, arm="a", low=-2, high=1).verdict == "refuted"


def test_an_exact_value_on_the_end_is_within():
    arms = {"a": np.array([2.0])}
    for high, verdict in [(2.0, "reproduced"), (1.9, "refuted")]:
        result = evaluate("stays_within", arms, arm="a", low=0.0, high=high, exact=True)
        assert result.verdict == verdict


@pytest.mark.parametrize(("seeds", "verdict"), [(1, "inconclusive"), (8, "refuted")])
def test_a_diverged_run_does_not_stay_within(seeds, verdict):
    curve = np.zeros((8, 2))
    curve[:seeds, 1] = NAN
    result = evaluate("stays_within", {"a": curve}, arm="a", low=-9, high=9)
    assert result.verdict == verdict
    assert f"a diverged in {seeds} of 8" in result.note
    assert result.single_run_rate == (8 - seeds) / 8


def test_stays_within_needs_a_range():
    with pytest.raises(CriterionError, match="give low, high or both"):
        evaluate("stays_within", {"a": sample(0, 1)}, arm="a")


# --- diverges ---------------------------------------------------------------------------------


def diverging(count: int, n: int = 8) -> np.ndarray:
    return with_nan(np.zeros(n), *range(count))


@pytest.mark.parametrize(
    ("count", "n", "share", "verdict"),
    [
        (8, 8, 0.5, "reproduced"),
        (7, 8, 0.5, "inconclusive"),
        (9, 10, 0.5, "reproduced"),
        (1, 8, 0.5, "inconclusive"),
        (0, 8, 0.5, "refuted"),
        (1, 8, 0.0, "reproduced"),
        (0, 8, 0.0, "inconclusive"),
        (8, 8, 0.9, "inconclusive"),
        (5, 5, 0.5, "incomplete"),
    ],
)
def test_diverges_judges_the_share_of_diverged_seeds(count, n, share, verdict):
    arms = {"hot": diverging(count, n)}
    result = evaluate("diverges", arms, arms_named="hot", expected_share_above=share)
    assert (result.verdict, result.margin) == (verdict, share)
    if verdict != "incomplete":
        exact = stats.binomtest(count, n).proportion_ci(method="exact")
        assert result.estimate == result.single_run_rate == count / n
        assert result.ci == pytest.approx((exact.low, exact.high))


def test_all_named_arms_must_diverge():
    arms = {"hot": diverging(8), "warm": diverging(4), "cold": diverging(0)}
    assert evaluate("diverges", arms, arms_named=["hot"]).verdict == "reproduced"
    mixed = evaluate("diverges", arms, arms_named=["hot", "warm"])
    assert (mixed.verdict, mixed.estimate, mixed.single_run_rate) == ("inconclusive", 0.5, 0.5)
    assert evaluate("diverges", arms, arms_named=["hot", "cold"]).verdict == "refuted"


def test_a_curve_with_one_bad_value_has_diverged():
    curve = np.zeros((8, 5))
    curve[:, 4] = np.inf
    assert evaluate("diverges", {"hot": curve}, arms_named="hot").verdict == "reproduced"


def test_diverges_refuses_bad_parameters():
    with pytest.raises(CriterionError, match="arms_named is empty"):
        evaluate("diverges", {"hot": diverging(8)}, arms_named=[])
    with pytest.raises(CriterionError, match=r"must lie in \[0, 1\)"):
        evaluate("diverges", {"hot": diverging(8)}, arms_named="hot", expected_share_above=1.0)
