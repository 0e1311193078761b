"""Seeds added look by look: levels against published tables, errors by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import evaluate
from bench_lr.criteria.level import ALPHA, alpha, coverage, judged_at
from bench_lr.looks import judge_in_looks, levels, pocock_like

LOOKS = (8, 12, 18, 27, 40)
PAIR = {"treatment": "t", "control": "c"}


def bounds(found: tuple[float, ...]) -> list[float]:
    return [float(stats.norm.isf(level)) for level in found]


def obrien_fleming_like(share: float) -> float:
    return float(2 * stats.norm.sf(stats.norm.isf(ALPHA / 2) / np.sqrt(share)) / ALPHA)


def test_levels_are_those_of_published_tables() -> None:
    """Five equally spaced looks at 2.5 % a side: Jennison and Turnbull (2000), Lan and DeMets."""
    looks = (10, 20, 30, 40, 50)
    pocock = [2.438, 2.427, 2.410, 2.397, 2.386]
    assert bounds(levels(looks)) == pytest.approx(pocock, abs=1e-3)
    late = [4.877, 3.357, 2.680, 2.290, 2.031]
    assert bounds(levels(looks, ALPHA, obrien_fleming_like)) == pytest.approx(late, abs=1e-3)


def test_one_look_spends_everything() -> None:
    assert levels((8,)) == pytest.approx((ALPHA,))


def test_the_spending_function_runs_from_nothing_to_everything() -> None:
    assert pocock_like(0.0) == 0.0
    assert pocock_like(1.0) == pytest.approx(1.0)
    shares = [pocock_like(t) for t in np.linspace(0, 1, 50)]
    assert (np.diff(shares) > 0).all()


@pytest.mark.parametrize("looks", [(), (0, 4), (8, 8), (12, 8)])
def test_looks_must_increase(looks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="increase"):
        levels(looks)


def test_the_chance_of_ever_crossing_is_what_may_be_spent() -> None:
    """By simulation of z statistics, which the levels are exact for."""
    rng = np.random.default_rng(5)
    steps = np.diff((0, *LOOKS))
    walks = np.cumsum(rng.standard_normal((200_000, len(LOOKS))) * np.sqrt(steps), axis=1)
    z = walks / np.sqrt(LOOKS)
    crossed = (z > np.array(bounds(levels(LOOKS)))).any(axis=1).mean()
    assert crossed == pytest.approx(ALPHA, abs=4 * np.sqrt(ALPHA / 200_000))


def sample(rng: np.random.Generator, mean: float, seeds: int = LOOKS[-1]) -> dict[str, np.ndarray]:
    shared = rng.normal(0.0, 3.0, seeds)
    return {"t": shared + rng.normal(mean, 0.7, seeds), "c": shared + rng.normal(0, 0.7, seeds)}


def test_on_the_boundary_the_error_of_all_looks_together_is_kept() -> None:
    rng = np.random.default_rng(11)
    trials = 2000
    words = [
        judge_in_looks("superior", sample(rng, 0.0), LOOKS, **PAIR).verdict for _ in range(trials)
    ]
    limit = ALPHA + 3.5 * np.sqrt(ALPHA * (1 - ALPHA) / trials)
    assert words.count("reproduced") / trials <= limit
    assert words.count("refuted") / trials <= limit
    # Nor are the levels needlessly strict: looking at each at 2.5 % would give about 7 %.
    assert words.count("reproduced") / trials >= 0.012


def test_looking_at_the_full_level_each_time_would_not_keep_it() -> None:
    rng = np.random.default_rng(11)
    trials = 600
    wrong = 0
    for _ in range(trials):
        arms = sample(rng, 0.0)
        found = [
            evaluate("superior", {k: v[:n] for k, v in arms.items()}, **PAIR).verdict for n in LOOKS
        ]
        wrong += "reproduced" in found or "refuted" in found
    assert wrong / trials > 0.08


def test_a_clear_case_ends_early_and_a_close_one_does_not() -> None:
    rng = np.random.default_rng(2)
    clear = judge_in_looks("superior", sample(rng, 4.0), LOOKS, **PAIR)
    assert (clear.verdict, clear.seeds) == ("reproduced", 8)
    assert "decided at look 1 of 5" in clear.note
    close = judge_in_looks("superior", sample(rng, 0.0), LOOKS, **PAIR)
    assert (close.verdict, close.seeds) == ("inconclusive", 40)
    assert "not decided at look 5 of 5" in close.note


def test_a_decision_stands_whatever_seeds_come_later() -> None:
    """Seeds that other criteria of the claim ask for change nothing."""
    rng = np.random.default_rng(2)
    arms = sample(rng, 4.0)
    first = judge_in_looks("superior", {k: v[:8] for k, v in arms.items()}, LOOKS, **PAIR)
    arms["t"][8:] -= 100.0
    assert judge_in_looks("superior", arms, LOOKS, **PAIR) == first


def test_seeds_between_and_beyond_looks_are_left_out() -> None:
    rng = np.random.default_rng(3)
    arms = sample(rng, 0.0, 60)
    short = {name: values[:12] for name, values in arms.items()}
    between = {name: values[:15] for name, values in arms.items()}
    assert judge_in_looks("superior", between, LOOKS, **PAIR) == judge_in_looks(
        "superior", short, LOOKS, **PAIR
    )
    assert judge_in_looks("superior", arms, LOOKS, **PAIR).seeds == 40


def test_the_interval_is_as_wide_as_its_look_demands() -> None:
    rng = np.random.default_rng(4)
    arms = {name: values[:8] for name, values in sample(rng, 0.5).items()}
    result = judge_in_looks("superior", arms, LOOKS, **PAIR)
    difference = arms["t"] - arms["c"]
    level = levels(LOOKS)[0]
    expected = stats.t.interval(1 - 2 * level, 7, difference.mean(), stats.sem(difference))
    assert result.ci == pytest.approx(expected)


def test_fewer_seeds_than_the_first_look_are_judged_as_they_are() -> None:
    arms = {"t": [1.0, 2.0], "c": [0.0, 0.0]}
    assert judge_in_looks("superior", arms, LOOKS, **PAIR).verdict == "incomplete"


def test_a_level_goes_for_its_context_only() -> None:
    assert (alpha(), coverage()) == (0.025, 0.95)
    with judged_at(0.01):
        assert coverage() == pytest.approx(0.98)
    assert alpha() == 0.025
    with pytest.raises(ValueError, match="one-sided"), judged_at(0.7):
        pass
