"""curves_match, overtakes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate

from .samples import NAN, curves, half_width

WIDTH = half_width(1.0, 8)


def family(n: int = 8, sd: float = 1.0, **gaps: list[float]) -> dict[str, np.ndarray]:
    """Reference `r` and arms whose mean distance from it over time is given."""
    times = len(next(iter(gaps.values())))
    reference = curves([5.0 + t for t in range(times)], 4.0, n, seed=70)
    return {
        "r": reference,
        **{
            name: reference + curves(g, sd, n, seed=10 * i)
            for i, (name, g) in enumerate(gaps.items())
        },
    }


def match(arms, **params):
    others = [name for name in arms if name != "r"]
    return evaluate("curves_match", arms, reference="r", others=others, **params)


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (2.0 - 1.01 * WIDTH, "reproduced"),
        (-2.0 + 1.01 * WIDTH, "reproduced"),
        (2.0 - 0.99 * WIDTH, "inconclusive"),
        (2.0 + 1.01 * WIDTH, "inconclusive"),  # outside, but not after Holm over six comparisons
        (9.0, "refuted"),
        (-9.0, "refuted"),
    ],
)
def test_the_largest_gap_of_any_arm_at_any_time_decides(gap, verdict):
    arms = family(a=[0.1, -0.2, 0.1], b=[0.3, gap, 0.1])
    result = match(arms, margin=2.0)
    paired = stats.ttest_rel(arms["b"][:, 1], arms["r"][:, 1]).confidence_interval()
    assert result.verdict == verdict
    assert result.estimate == pytest.approx(gap)
    assert result.ci == pytest.approx((paired.low, paired.high))
    assert result.sd == pytest.approx(1.0)
    assert "largest gap: b - r at time 1" in result.note
    assert [row.label for row in result.details] == ["a - r", "b - r"]
    assert [row.estimate for row in result.details] == pytest.approx([-0.2, gap])
    assert result.details[0].verdict == "reproduced"
    assert result.details[1].verdict == verdict


def test_a_single_comparison_is_refuted_without_adjustment():
    assert match(family(a=[2.0 + 1.01 * WIDTH]), margin=2.0).verdict == "refuted"


def test_a_name_of_the_time_is_used_when_given():
    result = match(family(a=[0.0, 1.0]), margin=5.0, times=["epoch 1", "epoch 2"])
    assert "a - r at epoch 2" in result.note
    with pytest.raises(CriterionError, match="times names 3 evaluations, the arms have 2"):
        match(family(a=[0.0, 1.0]), margin=5.0, times=[1, 2, 3])


def test_single_run_rate_is_the_share_of_seeds_whose_own_largest_gap_is_within_the_margin():
    arms = {"r": np.zeros((8, 2)), "a": np.zeros((8, 2)), "b": np.zeros((8, 2))}
    arms["a"][0, 0], arms["b"][3, 1], arms["b"][4, 1] = 1.5, -1.5, 1.0
    assert match(arms, margin=1.0).single_run_rate == 6 / 8


def test_the_direction_of_the_metric_sets_the_sign_only():
    arms = family(a=[0.1, 1.9])
    straight, mirrored = match(arms, margin=9), match(arms, margin=9, larger_is_better=False)
    assert mirrored.estimate == pytest.approx(-straight.estimate)
    assert mirrored.verdict == straight.verdict == "reproduced"


def test_five_seeds_are_incomplete():
    assert match(family(5, a=[0.0, 0.0]), margin=9).verdict == "incomplete"


def test_arms_of_one_number_per_seed_are_curves_of_one_time():
    arms = {name: values[:, 0] for name, values in family(a=[0.1]).items()}
    result = match(arms, margin=2)
    assert (result.verdict, result.estimate) == ("reproduced", pytest.approx(0.1))


def test_divergence_in_one_arm_only_is_a_mismatch():
    arms = family(10, 0.1, a=[0.0, 0.0], b=[0.0, 0.0])
    arms["b"][0, 1] = NAN
    result = match(arms, margin=1.0)
    assert (result.verdict, result.estimate) == ("inconclusive", None)
    assert "b - r at time 1" in result.note
    assert [row.verdict for row in result.details] == ["reproduced", "inconclusive"]
    arms["b"][:, 1] = NAN
    assert match(arms, margin=1.0).verdict == "refuted"


def test_a_mismatch_of_a_majority_is_adjusted_for_the_number_of_comparisons():
    arms = family(8, 0.1, a=[0.0] * 8)
    arms["a"][:, 7] = NAN  # 8 of 8: p = .0039, times 8 comparisons = .031
    assert match(arms, margin=1.0).verdict == "inconclusive"


def test_all_arms_that_diverge_alike_are_compared_on_the_others():
    arms = family(8, 0.1, a=[0.0, 0.0])
    for values in arms.values():
        values[:2, 1] = NAN
    assert match(arms, margin=1.0).verdict == "reproduced"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"others": []}, "others is empty"),
        ({"others": ["a", "r"]}, "others holds the reference 'r'"),
        ({"others": ["a", "a"]}, "others names an arm twice"),
        ({"others": "a"}, "others must be Sequence"),
        ({"others": ["aa"]}, r"unknown arm 'aa' \(nearest: 'a'"),
        ({"others": ["a"], "margin": -1.0}, "margin must be 0 or more"),
    ],
)
def test_bad_parameters_are_refused(params, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("curves_match", family(a=[0.0]), **{"reference": "r", "margin": 1.0, **params})


# --- overtakes --------------------------------------------------------------------------------


def race(*crossings: int | None, times: int = 20) -> dict[str, np.ndarray]:
    """Leader and chaser; per seed the index at which the chaser gets ahead for good."""
    leader = np.zeros((len(crossings), times))
    chaser = np.full((len(crossings), times), -1.0)
    for seed, crossing in enumerate(crossings):
        if crossing is not None:
            chaser[seed, crossing:] = 1.0
    return {"l": leader, "c": chaser}


LC = {"leader": "l", "chaser": "c"}


@pytest.mark.parametrize(
    ("crossings", "verdict", "hits"),
    [
        ([3] * 8, "reproduced", 8),
        ([10] * 9 + [None], "reproduced", 9),
        ([10] * 7 + [11], "inconclusive", 7),  # Clopper-Pearson of 7/8 begins at .47
        ([10] * 4 + [11] * 4, "inconclusive", 4),
        ([11] * 8, "refuted", 0),
        ([None] * 8, "refuted", 0),
        ([10] + [11] * 9, "refuted", 1),
        ([10] * 5, "incomplete", None),
    ],
)
def test_overtakes_is_a_sign_test_of_the_crossing_times(crossings, verdict, hits):
    n = len(crossings)
    result = evaluate("overtakes", race(*crossings), **LC, by=10)
    assert (result.verdict, result.margin, result.seeds) == (verdict, 10, n)
    if hits is not None:
        exact = stats.binomtest(hits, n).proportion_ci(method="exact")
        assert result.estimate == result.single_run_rate == hits / n
        assert result.ci == pytest.approx((exact.low, exact.high))


def test_the_note_gives_the_median_and_how_many_never_cross():
    result = evaluate("overtakes", race(2, 2, 4, 6, 6, None, 0), **LC, by=5)
    assert "median crossing time: 4" in result.note
    assert "1 of 7 seeds never cross" in result.note
    assert "1 lead from the first" in result.note
    assert "never;" in evaluate("overtakes", race(2, *[None] * 6), **LC, by=5).note


def test_a_crossing_counts_only_if_sustained():
    arms = race(*[None] * 8)
    arms["c"][:, 3:7] = 1.0  # four in a row
    assert evaluate("overtakes", arms, **LC, by=10).verdict == "refuted"
    assert evaluate("overtakes", arms, **LC, by=10, sustained=4).verdict == "reproduced"
    assert evaluate("overtakes", arms, **LC, by=2, sustained=4).verdict == "refuted"
    assert evaluate("overtakes", arms, **LC, by=3, sustained=4).verdict == "reproduced"


def test_a_stretch_cut_off_by_the_end_does_not_count():
    assert evaluate("overtakes", race(*[16] * 8), **LC, by=19).verdict == "refuted"
    assert evaluate("overtakes", race(*[15] * 8), **LC, by=19).verdict == "reproduced"


def test_a_tie_is_not_ahead():
    arms = race(*[3] * 8)
    arms["c"][:, 8] = 0.0
    result = evaluate("overtakes", arms, **LC, by=10)
    assert result.verdict == "reproduced"
    arms["c"][:, 7] = 0.0  # now only four before the ties
    assert "median crossing time: 9" in evaluate("overtakes", arms, **LC, by=10).note


def test_crossing_times_are_in_the_units_of_times():
    arms, epochs = race(*[4] * 8), np.arange(1, 21) / 2
    assert evaluate("overtakes", arms, **LC, by=2.5, times=epochs).verdict == "reproduced"
    assert evaluate("overtakes", arms, **LC, by=2.4, times=epochs).verdict == "refuted"


def test_smaller_is_better_mirrors_overtaking():
    arms = race(1, 2, 3, 4, 11, 12, None, 3, 2)
    mirrored = {name: -values for name, values in arms.items()}
    assert evaluate("overtakes", arms, **LC, by=4) == evaluate(
        "overtakes", mirrored, **LC, by=4, larger_is_better=False
    )


def test_a_diverged_leader_is_overtaken_and_a_diverged_chaser_never_gets_ahead():
    arms = race(*[None] * 8)
    arms["l"][:, 6:] = NAN
    assert "median crossing time: 6" in evaluate("overtakes", arms, **LC, by=10).note
    arms["c"][:, 6:] = NAN
    assert evaluate("overtakes", arms, **LC, by=10).verdict == "refuted"


def test_overtaking_agrees_with_a_search_one_evaluation_at_a_time():
    rng = np.random.default_rng(3)
    arms = {"l": rng.normal(size=(12, 30)), "c": rng.normal(0.4, 1.0, size=(12, 30))}
    for sustained in (1, 2, 3):
        found = []
        for lead, chase in zip(arms["l"], arms["c"], strict=True):
            starts = [
                t
                for t in range(30 - sustained + 1)
                if all(chase[t + k] > lead[t + k] for k in range(sustained))
            ]
            found.append(starts[0] if starts else np.inf)
        for by in (0, 2, 5, 20):
            result = evaluate("overtakes", arms, **LC, by=by, sustained=sustained)
            assert result.estimate == np.mean([t <= by for t in found])
        assert f"median crossing time: {np.median(found):g}" in result.note


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sustained": 21}, "exceeds the 20 evaluations"),
        ({"sustained": 0}, "sustained must be 1 or more"),
        ({"sustained": 2.5}, "sustained must be int"),
        ({"times": [1.0, 2.0]}, "times has 2 entries, the arms 20"),
        ({"times": [1.0] * 20}, "times must increase"),
        ({"chaser": "l"}, "leader and chaser are the same arm"),
    ],
)
def test_overtakes_refuses_bad_parameters(params, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("overtakes", race(*[3] * 8), **{**LC, "by": 5, **params})


def test_overtakes_needs_curves():
    with pytest.raises(CriterionError, match=r"needs arms \(seeds, times\)"):
        evaluate("overtakes", {"l": np.zeros(8), "c": np.ones(8)}, **LC, by=5)
