"""superior, non_inferior, equivalent, ratio."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate

from .samples import NAN, base, curves, half_width, pair, sample, with_nan

WIDTH = half_width(1.0, 8)
TC = {"treatment": "t", "control": "c"}


def test_superior_reports_the_paired_t_test_of_scipy():
    arms = pair(1.3, 1.0)
    result = evaluate("superior", arms, **TC, margin=0.2)
    expected = stats.ttest_rel(arms["t"], arms["c"]).confidence_interval()
    assert result.estimate == pytest.approx(1.3)
    assert result.ci == pytest.approx((expected.low, expected.high))
    assert result.p_value == pytest.approx(
        stats.ttest_1samp(arms["t"] - arms["c"], 0.2, alternative="greater").pvalue
    )
    assert (result.margin, result.seeds) == (0.2, 8)
    assert result.sd == pytest.approx(1.0)
    (row,) = result.details
    assert (row.estimate, row.ci, row.verdict) == (result.estimate, result.ci, "reproduced")


CASES = [
    # kind, margin, mean difference in half widths beyond a bound, verdict
    ("superior", 0.5, 0.5 + 1.01 * WIDTH, "reproduced"),
    ("superior", 0.5, 0.5 + 0.99 * WIDTH, "inconclusive"),
    ("superior", 0.5, 0.5 - 0.99 * WIDTH, "inconclusive"),
    ("superior", 0.5, 0.5 - 1.01 * WIDTH, "refuted"),
    ("superior", -0.5, -0.5 + 1.01 * WIDTH, "reproduced"),
    ("non_inferior", 0.5, -0.5 + 1.01 * WIDTH, "reproduced"),
    ("non_inferior", 0.5, -0.5 + 0.99 * WIDTH, "inconclusive"),
    ("non_inferior", 0.5, -0.5 - 0.99 * WIDTH, "inconclusive"),
    ("non_inferior", 0.5, -0.5 - 1.01 * WIDTH, "refuted"),
    ("equivalent", 2.0, 2.0 - 1.01 * WIDTH, "reproduced"),
    ("equivalent", 2.0, -2.0 + 1.01 * WIDTH, "reproduced"),
    ("equivalent", 2.0, 2.0 - 0.99 * WIDTH, "inconclusive"),
    ("equivalent", 2.0, 2.0 + 0.99 * WIDTH, "inconclusive"),
    ("equivalent", 2.0, 2.0 + 1.01 * WIDTH, "refuted"),
    ("equivalent", 2.0, -2.0 - 1.01 * WIDTH, "refuted"),
]


@pytest.mark.parametrize(("kind", "margin", "mean", "verdict"), CASES)
def test_the_verdict_changes_where_the_interval_crosses_the_margin(kind, margin, mean, verdict):
    assert evaluate(kind, pair(mean, 1.0), **TC, margin=margin).verdict == verdict


@pytest.mark.parametrize(("kind", "margin", "mean", "verdict"), CASES)
def test_a_metric_of_which_smaller_is_better_mirrors_every_number(kind, margin, mean, verdict):
    arms = pair(mean, 1.0)
    straight = evaluate(kind, arms, **TC, margin=margin)
    mirrored = evaluate(
        kind, {n: -a for n, a in arms.items()}, **TC, margin=margin, larger_is_better=False
    )
    assert mirrored == straight


@pytest.mark.parametrize("kind", ["superior", "non_inferior", "equivalent"])
def test_seeds_are_paired_by_position_not_pooled(kind):
    arms = pair(0.5, 0.1)
    margin = {"superior": 0.0, "non_inferior": 0.0, "equivalent": 1.0}[kind]
    assert evaluate(kind, arms, **TC, margin=margin).verdict == "reproduced"
    shuffled = {"t": np.roll(arms["t"], 1), "c": arms["c"]}
    assert evaluate(kind, shuffled, **TC, margin=margin).verdict == "inconclusive"


@pytest.mark.parametrize("kind", ["superior", "non_inferior", "equivalent"])
def test_five_seeds_are_not_enough_and_six_are(kind):
    assert evaluate(kind, pair(0.0, 1e-3, 6), **TC, margin=0.1).verdict != "incomplete"
    result = evaluate(kind, pair(0.0, 1e-3, 5), **TC, margin=0.1)
    assert (result.verdict, result.estimate, result.ci, result.seeds) == (
        "incomplete",
        None,
        None,
        5,
    )
    assert result.margin == 0.1
    assert "6" in result.note


def test_an_incomplete_result_has_the_default_margin():
    assert evaluate("superior", pair(0.0, 1.0, 5), **TC).margin == 0.0


def test_single_run_rate_is_the_share_of_seeds_that_satisfy_the_claim():
    difference = np.array([0.4, 0.6, 0.7, -1.0, 2.0, 0.5, 0.1, 0.9])
    arms = {"t": base() + difference, "c": base()}
    wilson = stats.binomtest(4, 8).proportion_ci(method="wilson")
    above = evaluate("superior", arms, **TC, margin=0.55)
    assert above.single_run_rate == 4 / 8
    assert above.single_run_ci == pytest.approx((wilson.low, wilson.high))
    assert evaluate("non_inferior", arms, **TC, margin=0.05).single_run_rate == 7 / 8
    assert evaluate("equivalent", arms, **TC, margin=0.65).single_run_rate == 4 / 8


def test_identical_arms_are_equivalent_at_margin_0_but_not_superior():
    arms = {"t": base(), "c": base()}
    result = evaluate("equivalent", arms, **TC, margin=0.0)
    assert (result.verdict, result.p_value) == ("reproduced", 0.0)
    result = evaluate("superior", arms, **TC)
    assert (result.verdict, result.ci) == ("inconclusive", (0.0, 0.0))


@pytest.mark.parametrize(
    ("kind", "value", "verdict"),
    [
        ("superior", 3.0, "reproduced"),
        ("superior", 2.0, "inconclusive"),
        ("superior", 1.0, "refuted"),
        ("equivalent", 2.0, "reproduced"),
        ("equivalent", 3.0, "refuted"),
    ],
)
def test_exact_counts_need_one_seed_only(kind, value, verdict):
    arms = {"t": np.array([5.0 + value]), "c": np.array([5.0])}
    result = evaluate(kind, arms, **TC, margin=2.0, exact=True)
    assert (result.verdict, result.estimate, result.ci) == (verdict, value, (value, value))
    assert (result.seeds, result.sd, result.p_value) == (1, 0.0, None)
    with pytest.raises(CriterionError, match="one seed"):
        evaluate(kind, arms, **TC, margin=2.0)


def test_declaring_exact_what_varies_does_not_lower_the_number_of_seeds():
    assert evaluate("superior", pair(9.0, 0.1, 5), **TC, exact=True).verdict == "incomplete"
    result = evaluate("superior", pair(9.0, 0.1, 6), **TC, exact=True)
    assert result.verdict == "reproduced"
    assert result.p_value is not None
    assert "differ" in result.note


# --- relative ---------------------------------------------------------------------------------


def _ratio_pair(fraction: float, sd: float) -> dict[str, np.ndarray]:
    control = np.exp(sample(0.0, 0.5, 8, 5))
    return {"t": control * np.exp(sample(np.log1p(fraction), sd)), "c": control}


def test_relative_differences_are_judged_on_logarithms_and_reported_as_fractions():
    arms = _ratio_pair(0.2, 0.05)
    result = evaluate("superior", arms, **TC, margin=0.1, relative=True)
    half = half_width(0.05, 8)
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(0.2)
    assert result.ci == pytest.approx((1.2 * np.exp(-half) - 1, 1.2 * np.exp(half) - 1))
    assert result.sd == pytest.approx(1.2 * 0.05)
    assert evaluate("superior", arms, **TC, margin=0.3, relative=True).verdict == "refuted"


def test_relative_superior_of_a_cross_entropy_says_by_how_much_the_control_is_larger():
    arms = _ratio_pair(0.25, 0.01)
    result = evaluate(
        "superior",
        arms,
        treatment="c",
        control="t",
        margin=0.2,
        relative=True,
        larger_is_better=False,
    )
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("fraction", "verdict"),
    [(0.015, "reproduced"), (-0.015, "reproduced"), (0.02, "inconclusive"), (0.04, "refuted")],
)
def test_relative_equivalence_within_two_percent(fraction, verdict):
    arms = _ratio_pair(fraction, 0.003)
    assert evaluate("equivalent", arms, **TC, margin=0.02, relative=True).verdict == verdict


@pytest.mark.parametrize(
    ("fraction", "verdict"), [(-0.05, "reproduced"), (-0.095, "refuted"), (-0.15, "refuted")]
)
def test_relative_non_inferiority(fraction, verdict):
    # The bound is 1 / 1.1, -9.1 %: the control is larger by less than 10 %.
    arms = _ratio_pair(fraction, 0.001)
    assert evaluate("non_inferior", arms, **TC, margin=0.1, relative=True).verdict == verdict


def test_relative_needs_positive_values():
    arms = {"t": base(), "c": base() - 20}
    with pytest.raises(CriterionError, match="positive values; 'c'"):
        evaluate("superior", arms, **TC, relative=True)


# --- several times ----------------------------------------------------------------------------


def _curve_pair(levels: list[float], sd: float = 1.0) -> dict[str, np.ndarray]:
    control = np.stack([base(seed=50 + t) for t in range(len(levels))], axis=1)
    return {"t": control + curves(levels, sd), "c": control}


def test_superior_at_every_time_needs_every_time_and_reports_the_weakest():
    result = evaluate("superior", _curve_pair([3.0, 2.0, 4.0]), **TC, times=[1, 2.5, "end"])
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(2.0)
    assert result.p_value == max(row.p_value for row in result.details)
    assert [row.label for row in result.details] == ["t - c at 1", "t - c at 2.5", "t - c at end"]
    assert evaluate("superior", _curve_pair([3.0, 0.2, 4.0]), **TC).verdict == "inconclusive"


def test_one_time_refutes_only_after_adjusting_for_the_number_of_times():
    once = 1.2 * WIDTH  # p about .01: below .025, above .025 / 4
    assert evaluate("superior", _curve_pair([-once]), **TC).verdict == "refuted"
    result = evaluate("superior", _curve_pair([-once, 5.0, 5.0, 5.0]), **TC)
    assert result.verdict == "inconclusive"
    assert result.estimate == pytest.approx(-once)
    strong = evaluate("superior", _curve_pair([-3 * WIDTH, 5.0, 5.0, 5.0]), **TC)
    assert strong.verdict == "refuted"
    assert "t - c at time 0" in strong.note
    assert [row.verdict for row in strong.details] == ["refuted"] + ["reproduced"] * 3


def test_equivalence_at_every_time():
    assert evaluate("equivalent", _curve_pair([0.5, -0.5]), **TC, margin=2).verdict == "reproduced"
    assert evaluate("equivalent", _curve_pair([0.5, -1.5]), **TC, margin=2).verdict == (
        "inconclusive"
    )
    result = evaluate("equivalent", _curve_pair([0.5, -9.5]), **TC, margin=2)
    assert (result.verdict, result.estimate) == ("refuted", pytest.approx(-9.5))


def test_a_seed_satisfies_a_claim_about_curves_at_all_times_or_not_at_all():
    arms = {"t": np.ones((8, 3)), "c": np.zeros((8, 3))}
    arms["t"][0, 0] = arms["t"][1, 2] = -1.0
    assert evaluate("superior", arms, **TC).single_run_rate == 6 / 8


# --- divergence -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["superior", "non_inferior"])
@pytest.mark.parametrize(("count", "verdict"), [(1, "inconclusive"), (7, "inconclusive")])
def test_a_diverged_treatment_cannot_be_supported(kind, count, verdict):
    arms = pair(50.0, 1.0)
    arms["t"] = with_nan(arms["t"], *range(count))
    result = evaluate(kind, arms, **TC, margin=0.1)
    assert (result.verdict, result.estimate, result.ci) == (verdict, None, None)
    assert f"t diverged in {count} of 8" in result.note
    assert result.single_run_rate == (8 - count) / 8


@pytest.mark.parametrize("kind", ["superior", "non_inferior"])
def test_a_treatment_that_diverges_in_most_seeds_refutes(kind):
    # Clopper-Pearson of 8/8 and of 9/10 lies above one half, of 7/8 (.47) and 8/10 (.44) does not.
    for n, count, verdict in [(8, 8, "refuted"), (10, 9, "refuted"), (10, 8, "inconclusive")]:
        arms = pair(50.0, 1.0, n)
        arms["t"] = with_nan(arms["t"], *range(count))
        assert evaluate(kind, arms, **TC, margin=0.1).verdict == verdict


def test_a_treatment_that_diverges_only_where_the_control_does_is_not_refuted():
    arms = pair(1.0, 1.0, 10)
    arms = {name: with_nan(values, *range(9)) for name, values in arms.items()}
    assert evaluate("superior", arms, **TC).verdict == "inconclusive"


@pytest.mark.parametrize("kind", ["superior", "non_inferior"])
def test_a_control_that_always_diverges_is_beaten(kind):
    arms = pair(-5.0, 1.0)
    arms["c"][:] = np.inf
    result = evaluate(kind, arms, **TC, margin=0.1)
    assert (result.verdict, result.estimate, result.ci) == ("reproduced", None, None)
    assert result.single_run_rate == 1.0
    assert "beaten" in result.note


def test_a_control_that_diverges_in_part_is_compared_on_six_survivors_or_not_at_all():
    arms = pair(3.0, 1.0)
    arms["c"] = with_nan(arms["c"], 1, 4)
    result = evaluate("superior", arms, **TC)
    left = np.delete(arms["t"] - arms["c"], [1, 4])
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(left.mean())
    assert "c diverged in 2 of 8" in result.note
    arms["c"] = with_nan(arms["c"], 7)
    result = evaluate("superior", arms, **TC)
    assert (result.verdict, result.estimate) == ("inconclusive", None)


def test_survivors_refute_only_if_the_treatment_also_loses_in_most_seeds():
    few, many = pair(-9.0, 1.0, 12), pair(-9.0, 1.0, 12)
    few["c"] = with_nan(few["c"], 0)  # 11 of 12 lost: a majority for sure
    many["c"] = with_nan(many["c"], *range(5))  # 7 of 12 lost: not for sure
    assert evaluate("superior", few, **TC).verdict == "refuted"
    assert evaluate("superior", many, **TC).verdict == "inconclusive"


def test_divergence_in_one_arm_only_breaks_equivalence():
    arms = pair(0.0, 0.1, 10)
    assert evaluate("equivalent", arms, **TC, margin=1.0).verdict == "reproduced"
    for seeds, verdict in [
        ((0,), "inconclusive"),
        (range(8), "inconclusive"),
        (range(9), "refuted"),
    ]:
        for name in arms:
            broken = {**arms, name: with_nan(arms[name], *seeds)}
            result = evaluate("equivalent", broken, **TC, margin=1.0)
            assert (result.verdict, result.ci) == (verdict, None)


def test_divergence_in_both_arms_of_a_pair_leaves_the_others_to_be_compared():
    arms = {name: with_nan(values, 0, 1) for name, values in pair(0.0, 0.1).items()}
    result = evaluate("equivalent", arms, **TC, margin=1.0)
    assert result.verdict == "reproduced"
    assert result.single_run_rate == 6 / 8
    arms = {name: with_nan(values, 2) for name, values in arms.items()}
    assert evaluate("equivalent", arms, **TC, margin=1.0).verdict == "inconclusive"


@pytest.mark.parametrize("kind", ["superior", "non_inferior", "equivalent"])
def test_nothing_but_diverged_runs_is_an_error(kind):
    arms = {"t": np.full(8, NAN), "c": np.full(8, NAN)}
    with pytest.raises(CriterionError, match="all runs diverged"):
        evaluate(kind, arms, **TC, margin=0.1)


def test_a_curve_that_diverges_late_is_judged_where_it_lives():
    arms = _curve_pair([5.0, 5.0])
    arms["c"][:, 1] = NAN
    result = evaluate("superior", arms, **TC)
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(5.0)
    assert [row.estimate is None for row in result.details] == [False, True]


# --- ratio ------------------------------------------------------------------------------------

ND = {"numerator": "t", "denominator": "c"}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.9, 2.1, "reproduced"),
        (1.9, None, "reproduced"),
        (None, 2.1, "reproduced"),
        (0.0, 2.1, "reproduced"),
        (-1.0, 2.1, "reproduced"),
        (2.0, 2.1, "inconclusive"),
        (2.1, None, "refuted"),
        (None, 1.9, "refuted"),
        (None, -1.0, "refuted"),
    ],
)
def test_ratio_is_the_geometric_mean_of_per_seed_ratios(low, high, verdict):
    arms = _ratio_pair(1.0, 0.01)
    result = evaluate("ratio", arms, **ND, low=low, high=high)
    half = half_width(0.01, 8)
    assert result.verdict == verdict
    if high is None or high > 0:
        assert result.estimate == pytest.approx(2.0)
        assert result.ci == pytest.approx((2 * np.exp(-half), 2 * np.exp(half)))
        assert result.sd == pytest.approx(0.02)


def test_ratio_of_values_of_either_sign_is_an_arithmetic_mean():
    arms = {"t": sample(0.0, 1.0), "c": np.full(8, 2.0)}
    result = evaluate("ratio", arms, **ND, low=-1.0, high=1.0)
    assert result.estimate == pytest.approx(0.0, abs=1e-12)
    assert result.sd == pytest.approx(0.5)


def test_an_exact_ratio_meets_its_bounds():
    for n, d in [(3438.0, 1719.0), (9.0, 3.0), (1.0, 10.0)]:
        arms = {"t": np.array([n]), "c": np.array([d])}
        result = evaluate("ratio", arms, **ND, low=n / d, high=n / d, exact=True)
        assert (result.verdict, result.estimate, result.ci) == (
            "reproduced",
            n / d,
            (n / d, n / d),
        )
        assert result.single_run_rate == 1.0
        off = evaluate("ratio", arms, **ND, low=n / d + 1e-6, exact=True)
        assert off.verdict == "refuted"


def test_ratio_with_diverged_runs_is_not_supported():
    arms = _ratio_pair(1.0, 0.01)
    arms["t"] = with_nan(arms["t"], 3)
    assert evaluate("ratio", arms, **ND, low=1.0, high=3.0).verdict == "inconclusive"


def test_ratio_refuses_a_denominator_of_zero():
    with pytest.raises(CriterionError, match="'c' holds a zero"):
        evaluate("ratio", {"t": np.ones(8), "c": np.zeros(8)}, **ND, low=1.0)
