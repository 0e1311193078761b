"""ordered, slope."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate

from .samples import base, half_width, sample, with_nan

WIDTH = half_width(1.0, 8)


def ladder(*steps: float, n: int = 8, sd: float = 1.0) -> dict[str, np.ndarray]:
    """Arms a, b, c, ... each the given mean step above the one before."""
    arms = {"a": base(n)}
    for i, step in enumerate(steps):
        previous = arms["abcdef"[i]]
        arms["abcdef"[i + 1]] = previous + sample(step, sd, n, seed=i)
    return arms


@pytest.mark.parametrize(
    ("steps", "margin", "verdict"),
    [
        ((2, 3, 4), 0.0, "reproduced"),
        ((2, 1.01 * WIDTH, 4), 0.0, "reproduced"),
        ((2, 0.99 * WIDTH, 4), 0.0, "inconclusive"),
        ((2, 3, 4), 1.5, "inconclusive"),
        ((2, -1.01 * WIDTH, 4), 0.0, "inconclusive"),  # below, but not after Holm over three
        ((2, -5, 9), 0.0, "refuted"),  # though d is far above a
        ((5, 5, 5), 9.0, "refuted"),
    ],
)
def test_every_step_must_be_up(steps, margin, verdict):
    result = evaluate("ordered", ladder(*steps), order=["a", "b", "c", "d"], margin=margin)
    assert result.verdict == verdict
    assert result.estimate == pytest.approx(min(steps))
    assert [row.label for row in result.details] == ["b - a", "c - b", "d - c"]


def test_order_is_by_the_list_not_by_the_mapping():
    assert evaluate("ordered", ladder(5, 5), order=["c", "b", "a"]).verdict == "refuted"


def test_ordered_mirrors_when_smaller_is_better():
    for steps in [(2, 3), (2, -5), (2, 0.1)]:
        arms = ladder(*steps)
        mirrored = {name: -values for name, values in arms.items()}
        assert evaluate("ordered", arms, order=["a", "b", "c"]) == evaluate(
            "ordered", mirrored, order=["a", "b", "c"], larger_is_better=False
        )


def test_ordered_needs_six_seeds_or_exact_values():
    assert evaluate("ordered", ladder(9, n=5), order=["a", "b"]).verdict == "incomplete"
    arms = {"a": np.array([1.0]), "b": np.array([2.0]), "c": np.array([2.0])}
    assert evaluate("ordered", arms, order=["a", "b"], exact=True).verdict == "reproduced"
    assert evaluate("ordered", arms, order=["b", "a"], exact=True).verdict == "refuted"
    assert evaluate("ordered", arms, order=["a", "b", "c"], exact=True).verdict == "inconclusive"


def test_ordered_single_run_rate_needs_every_step_in_the_same_seed():
    arms = {"a": np.zeros(8), "b": np.ones(8), "c": np.full(8, 2.0)}
    arms["b"][0], arms["c"][1] = -1.0, 0.5
    assert evaluate("ordered", arms, order=["a", "b", "c"]).single_run_rate == 6 / 8


def test_an_arm_that_diverges_is_the_bottom_of_the_order():
    arms = ladder(5, 5)
    arms["a"] = with_nan(arms["a"], *range(8))
    assert evaluate("ordered", arms, order=["a", "b", "c"]).verdict == "reproduced"
    assert evaluate("ordered", arms, order=["b", "c", "a"]).verdict == "refuted"


def test_ordered_needs_two_arms():
    with pytest.raises(CriterionError, match="two arms or more"):
        evaluate("ordered", ladder(1), order=["a"])


# --- slope of a metric ------------------------------------------------------------------------

X = {"a": 1.0, "b": 4.0, "c": 16.0, "d": 64.0}


def power(slopes: np.ndarray) -> dict[str, np.ndarray]:
    scale = np.exp(base(len(slopes)) / 5)
    return {name: scale * x**slopes for name, x in X.items()}


@pytest.mark.parametrize(
    ("mean", "params", "verdict"),
    [
        (0.5, {}, "reproduced"),
        (0.02, {}, "inconclusive"),
        (-0.5, {}, "refuted"),
        (0.5, {"margin": 0.4}, "reproduced"),
        (0.5, {"margin": 0.6}, "refuted"),
        (0.5, {"low": 0.4, "high": 0.6}, "reproduced"),
        (0.5, {"low": 0.4}, "reproduced"),
        (0.5, {"high": 0.6}, "reproduced"),
        (0.5, {"low": 0.45, "high": 0.55}, "inconclusive"),
        (0.5, {"low": 0.6, "high": 0.7}, "refuted"),
        (0.5, {"high": 0.4}, "refuted"),
    ],
)
def test_slope_of_a_power_law(mean, params, verdict):
    slopes = sample(mean, 0.1)
    result = evaluate("slope", power(slopes), x=X, **params)
    half = half_width(0.1, 8)
    assert result.verdict == verdict
    assert result.estimate == pytest.approx(mean)
    assert result.ci == pytest.approx((mean - half, mean + half))
    assert result.sd == pytest.approx(0.1)
    assert result.margin == (None if {"low", "high"} & set(params) else params.get("margin", 0.0))


@pytest.mark.parametrize("log", [True, False])
def test_slope_per_seed_is_that_of_scipys_regression(log):
    rng = np.random.default_rng(5)
    arms = {name: rng.uniform(1, 9, 8) for name in X}
    scale = np.log if log else np.asarray
    expected = [
        stats.linregress(scale(list(X.values())), scale([arms[n][seed] for n in X])).slope
        for seed in range(8)
    ]
    result = evaluate("slope", arms, x=X, log=log)
    assert result.estimate == pytest.approx(np.mean(expected))
    assert result.sd == pytest.approx(np.std(expected, ddof=1))
    assert result.single_run_rate == np.mean(np.array(expected) > 0)


def test_a_seed_with_a_diverged_run_has_no_slope():
    arms = power(sample(0.5, 0.1, 10))
    arms["c"] = with_nan(arms["c"], 0, 1)
    result = evaluate("slope", arms, x=X)
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(sample(0.5, 0.1, 10)[2:].mean())
    assert "no slope in 2 of 10" in result.note
    assert result.single_run_rate == 8 / 10
    arms["c"] = with_nan(arms["c"], *range(5))
    assert evaluate("slope", arms, x=X).verdict == "inconclusive"
    arms = power(sample(0.5, 0.1, 14))
    arms["c"] = with_nan(arms["c"], *range(8))  # six are left, but they are a minority
    assert evaluate("slope", arms, x=X).verdict == "inconclusive"


def test_an_exact_slope_needs_one_seed():
    arms = {name: np.array([x**2]) for name, x in X.items()}
    assert evaluate("slope", arms, x=X, margin=1.9, exact=True).verdict == "reproduced"
    with pytest.raises(CriterionError, match="one seed"):
        evaluate("slope", arms, x=X, margin=1.9)


# --- slope of the best choice -----------------------------------------------------------------

PLACES, CHOICES = (8, 32, 128), (0.1, 0.2, 0.4, 0.8, 1.6)
BATCH = {f"{b}/{lr}": b for b in PLACES for lr in CHOICES}
LR = {f"{b}/{lr}": lr for b in PLACES for lr in CHOICES}


def phase(*best: tuple[float, float, float], n: int = 8) -> dict[str, np.ndarray]:
    """Accuracy by batch size and LR; `best` gives each seed's best LR per batch size, in turn."""
    arms = {}
    for name in BATCH:
        at = PLACES.index(int(BATCH[name]))
        arms[name] = np.array(
            [-abs(np.log(LR[name] / best[seed % len(best)][at])) for seed in range(n)]
        )
    return arms


def choose(arms, **params):
    return evaluate("slope", arms, x=BATCH, choice=LR, **params)


def test_slope_of_the_best_choice_is_a_regression_of_each_seeds_argmax():
    best = [(0.2, 0.4, 0.8), (0.2, 0.2, 0.8), (0.4, 0.4, 0.4)]
    expected = np.array(
        [stats.linregress(np.log(PLACES), np.log(best[s % 3])).slope for s in range(8)]
    )
    result = choose(phase(*best))
    assert result.verdict == "reproduced"
    assert result.estimate == pytest.approx(expected.mean())
    assert result.sd == pytest.approx(expected.std(ddof=1))
    assert result.single_run_rate == pytest.approx((expected > 1e-12).mean())
    assert [row.label for row in result.details] == [
        "slope",
        "best choice at x=8",
        "best choice at x=32",
        "best choice at x=128",
    ]
    assert [row.estimate for row in result.details[1:]] == [0.2, 0.4, 0.8]


def test_the_opposite_trend_refutes_and_a_mixed_one_is_inconclusive():
    assert choose(phase((0.8, 0.4, 0.2))).verdict == "refuted"
    assert choose(phase((0.8, 0.4, 0.2), (0.2, 0.4, 0.8))).verdict == "inconclusive"


def test_a_best_choice_that_never_moves_has_slope_0_exactly():
    result = choose(phase((0.4, 0.4, 0.4)))
    assert (result.verdict, result.ci, result.single_run_rate) == ("inconclusive", (0.0, 0.0), 0.0)
    assert choose(phase((0.4, 0.4, 0.4)), low=0.0, high=0.0).verdict == "reproduced"


def test_rounding_does_not_decide_on_which_side_of_a_bound_a_common_slope_lies():
    for low, high in [(0.5, None), (None, 0.5), (0.5, 0.5)]:
        assert choose(phase((0.2, 0.4, 0.8)), low=low, high=high).verdict == "reproduced"
    assert choose(phase((0.2, 0.4, 0.8)), margin=0.5).verdict == "inconclusive"


def test_smaller_is_better_mirrors_the_best_choice():
    arms = phase((0.2, 0.4, 0.8), (0.2, 0.2, 0.8))
    mirrored = {name: -values for name, values in arms.items()}
    assert choose(mirrored, larger_is_better=False) == choose(arms)


def test_ties_go_to_the_smaller_choice_whatever_the_order_of_the_mapping():
    arms = phase((0.4, 0.4, 0.4))
    for name in ("8/0.2", "8/0.8"):
        arms[name] = arms["8/0.4"].copy()
    expected = stats.linregress(np.log(PLACES), np.log([0.2, 0.4, 0.4])).slope
    assert choose(arms).estimate == pytest.approx(expected)
    backwards = dict(reversed(BATCH.items()))
    result = evaluate("slope", arms, x=backwards, choice=LR)
    assert result.estimate == pytest.approx(expected)


def test_a_diverged_run_is_never_the_best_choice():
    arms = phase((0.2, 0.4, 0.8))
    arms["128/0.8"] = with_nan(arms["128/0.8"], *range(8))
    arms["128/1.6"] -= 0.1  # so that 0.4 is second
    expected = stats.linregress(np.log(PLACES), np.log([0.2, 0.4, 0.4])).slope
    assert choose(arms).estimate == pytest.approx(expected)


@pytest.mark.parametrize(
    ("best", "params", "verdict", "word"),
    [
        # Lower edge at the smallest x, upper edge at the largest: the true slope is steeper.
        ((0.1, 0.4, 0.8), {}, "reproduced", "harmless"),
        ((0.2, 0.4, 1.6), {}, "reproduced", "harmless"),
        ((0.1, 0.1, 1.6), {"margin": 0.1}, "reproduced", "harmless"),
        ((0.2, 0.4, 0.8), {}, "reproduced", ""),
        # The same edges under a claim that the slope is small.
        ((0.2, 0.4, 1.6), {"low": 0.5, "high": 0.9}, "inconclusive", "extend"),
        ((0.2, 0.4, 0.8), {"low": 0.4, "high": 0.9}, "reproduced", ""),
        ((1.6, 0.4, 0.2), {"high": 0.5}, "reproduced", "harmless"),
        ((0.1, 0.4, 0.8), {"high": 0.9}, "inconclusive", "extend"),
        # A falling optimum on outer edges may only fall faster: the refutation stands.
        ((1.6, 0.4, 0.1), {}, "refuted", "harmless"),
        ((0.8, 0.4, 0.2), {}, "refuted", ""),
        # Too shallow a slope, but the optimum at the largest x lies beyond the grid.
        ((0.8, 0.8, 1.6), {"margin": 0.5}, "inconclusive", "extend"),
    ],
)
def test_an_optimum_on_the_edge_withdraws_only_a_verdict_it_could_have_made(
    best, params, verdict, word
):
    result = choose(phase(best), **params)
    assert result.verdict == verdict
    assert ("edge" in result.note) == bool(word)
    assert word in result.note


def test_a_harmful_edge_makes_a_rise_inconclusive():
    x = {name: place for name, place in BATCH.items() if place != 32}
    choice = {name: LR[name] for name in x}
    del x["128/1.6"], choice["128/1.6"]
    arms = phase((0.1, 0.4, 0.2))
    assert evaluate("slope", arms, x=x, choice=choice).verdict == "reproduced"
    for name in ("128/0.1",):
        del x[name], choice[name]
    result = evaluate("slope", arms, x=x, choice=choice)  # now 0.2 is the lower edge at 128
    assert result.verdict == "inconclusive"
    assert "x=128 is on the lower edge" in result.note


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"x": {"8/0.1": 8, "8/0.2": 8}, "choice": None}, "two different values"),
        ({"x": {"8/0.1": 8, "32/0.1": 0}, "choice": None}, "needs x and choice to be positive"),
        ({"choice": {"8/0.1": 0.1}}, "must name the same arms"),
        ({"choice": dict.fromkeys(LR, 0.1)}, "same x and the same choice"),
        ({"x": {"8/0.1": 8, "32/0.1": 32}, "choice": {"8/0.1": 1, "32/0.1": 1}}, "one choice only"),
        ({"x": {"8/0.1": 8, "23/0.1": 23}, "choice": None}, r"'23/0.1' \(nearest: '"),
        ({"margin": 0.1, "low": 0.0}, "not both"),
        ({"low": 2.0, "high": 1.0}, "low 2.0 exceeds high 1.0"),
        ({"choice": None}, "needs positive values"),
        ({"x": [8, 32]}, "x must be Mapping"),
    ],
)
def test_slope_refuses_bad_parameters(params, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("slope", phase((0.2, 0.4, 0.8)), **{"x": BATCH, "choice": LR, **params})


def test_a_negative_margin_lets_a_step_fall_by_so_much():
    level = base()
    arms = {
        name: level + sample(mean, 0.1, seed=i)
        for i, (name, mean) in enumerate({"a": 0.0, "b": 1.0, "c": 0.9, "d": 2.0}.items())
    }
    order = {"order": list(arms)}
    assert evaluate("ordered", arms, **order).verdict == "inconclusive"
    assert evaluate("ordered", arms, **order, margin=-0.5).verdict == "reproduced"
    low = {**arms, "c": level + sample(0.2, 0.1, seed=7)}
    result = evaluate("ordered", low, **order, margin=-0.5)
    assert (result.verdict, result.margin) == ("refuted", -0.5)
