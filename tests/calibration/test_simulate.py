"""The simulator against theory, and against criteria that are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from bench_lr import criteria
from bench_lr.calibration.calibrate import calibrate
from bench_lr.calibration.noise import NOISES
from bench_lr.calibration.record import Calibration, Rate
from bench_lr.calibration.setups import SETUPS
from bench_lr.calibration.simulate import (
    SEEDS,
    Tally,
    Task,
    Truth,
    experiments,
    simulate,
    tasks,
    truths,
)
from bench_lr.criteria import comparison
from bench_lr.stats import Student

BOUNDARY = Truth("boundary", 0.0, "only")


def tallied(kind: str, truth: Truth, n: int, trials: int, noise: str = "gaussian") -> Tally:
    (found,) = simulate(Task(kind, noise, truth, (n,), trials, 5))
    return found


def near(count: int, trials: int, expected: float) -> bool:
    """Whether a count is within four standard errors of what is expected."""
    error = np.sqrt(expected * (1 - expected) / trials)
    return bool(abs(count / trials - expected) < 4 * error)


def t_power(effect: float, n: int, level: float = 0.025) -> float:
    return float(stats.nct.sf(stats.t.isf(level, n - 1), n - 1, effect * np.sqrt(n)))


# --- the arms ---------------------------------------------------------------------------------


def test_every_kind_is_simulated_but_the_exact_one():
    assert set(SETUPS) == set(criteria.KINDS) - {"table", "contradicts"}


@pytest.mark.parametrize("kind", SETUPS)
@pytest.mark.parametrize(("advantage", "verdict"), [(0.01, "reproduced"), (-0.01, "refuted")])
def test_the_bound_lies_where_the_advantage_is_0(kind, advantage, verdict):
    setup = SETUPS[kind]
    rng = np.random.default_rng(0)
    values = advantage + 1e-4 * rng.normal(size=(10, setup.comparisons))
    shared = rng.normal(0.0, 3.0, 10)
    assert criteria.evaluate(kind, setup.build(values, shared), **setup.params).verdict == verdict


@pytest.mark.parametrize("kind", SETUPS)
def test_one_comparison_alone_can_refute_and_is_enough_to_stop_a_reproduction(kind):
    setup = SETUPS[kind]
    for j in range(setup.comparisons):
        values = np.full((10, setup.comparisons), 4.0)
        values[:, j] = -0.01
        arms = setup.build(values, np.linspace(-3.0, 3.0, 10))
        assert criteria.evaluate(kind, arms, **setup.params).verdict == "refuted"


def test_the_difference_of_two_arms_has_the_mean_and_sd_of_the_truth():
    truth = Truth("against", 1.5, "only")
    rng = np.random.default_rng(2)
    (arms,) = experiments(SETUPS["superior"], NOISES["gaussian"], truth, 1, 20_000, rng)
    difference = arms["t"] - arms["c"] - SETUPS["superior"].params["margin"]
    assert difference.mean() == pytest.approx(-1.5, abs=0.03)
    assert difference.std() == pytest.approx(1.0, abs=0.02)


def test_truths_hold_both_sides_and_for_several_comparisons_the_worst_boundaries():
    assert [t.name for t in truths(1)][:3] == ["boundary", "0.5 SD claim", "0.5 SD against"]
    assert {t.spread for t in truths(3) if t.side == "boundary"} == {"all", "one"}
    assert Truth("against", 1.0, "one").advantages(3) == (-1.0, 4.0, 4.0)
    assert Truth("claim", 1.0, "all").advantages(2) == (1.0, 1.0)


# --- against theory ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["superior", "non_inferior", "equivalent", "ratio", "slope"])
def test_on_the_boundary_a_t_interval_is_wrong_in_2_5_percent_a_side(kind):
    found = tallied(kind, BOUNDARY, 6, 1500)
    assert near(found.reproduced, found.trials, 0.025)
    assert near(found.refuted, found.trials, 0.025)
    assert found.wrong == found.reproduced + found.refuted


@pytest.mark.parametrize(("effect", "n"), [(0.5, 20), (1.0, 6), (1.0, 10)])
def test_power_is_that_of_the_noncentral_t_distribution(effect, n):
    expected = t_power(effect, n)
    claim = tallied("superior", Truth("claim", effect, "only"), n, 1500)
    against = tallied("superior", Truth("against", effect, "only"), n, 1500)
    assert near(claim.right, claim.trials, expected)
    assert near(against.right, against.trials, expected)


def test_several_independent_steps_are_reproduced_as_often_as_all_of_them_together():
    found = tallied("ordered", Truth("claim", 1.0, "all"), 10, 1500)
    assert near(found.right, found.trials, t_power(1.0, 10) ** 3)


def test_one_step_is_refuted_as_often_as_holms_first_level_allows():
    found = tallied("ordered", Truth("against", 1.0, "one"), 10, 1500)
    assert near(found.right, found.trials, t_power(1.0, 10, 0.025 / 3))


@pytest.mark.parametrize("noise", ["gaussian", "t3", "skewed up"])
def test_the_sign_test_is_wrong_as_often_as_the_binomial_distribution_says(noise):
    tail = stats.binom.sf(15 - 1, 20, 0.5)  # 14 of 20 leaves one half inside the interval
    assert tail < 0.025 < stats.binom.sf(14 - 1, 20, 0.5)
    found = tallied("overtakes", BOUNDARY, 20, 1500, noise)
    assert near(found.reproduced, found.trials, tail)
    assert near(found.refuted, found.trials, tail)


def test_the_power_of_the_sign_test_follows_from_the_share_beyond_the_median():
    share = stats.norm.cdf(1.5)
    found = tallied("overtakes", Truth("claim", 1.5, "only"), 10, 1500)
    assert near(found.right, found.trials, stats.binom.sf(9 - 1, 10, share))


# --- reproducible, and open to other judges ----------------------------------------------------


def test_counts_depend_on_the_seed_alone():
    task = tasks(["superior"], 40, 1)[0]
    assert simulate(task) == simulate(task)
    assert simulate(replace(task, seed=2)) != simulate(task)


def test_two_processes_count_what_one_does():
    alone, together = (calibrate(["superior"], trials=20, seeds=(6,), processes=p) for p in (1, 2))
    assert alone.tallies == together.tallies


def test_a_judge_is_given_the_first_seeds_of_one_experiment():
    seen = []

    def judge(kind, arms, params):
        seen.append({name: values.copy() for name, values in arms.items()})
        return criteria.evaluate(kind, arms, **params)

    simulate(Task("best_arm", "t3", Truth("boundary", 0.0, "all"), (6, 10), 1, 0), judge)
    small, large = seen
    assert {len(values) for values in small.values()} == {6}
    for name, values in small.items():
        np.testing.assert_array_equal(values, large[name][:6])


def test_fewer_seeds_in_the_list_leave_out_cells_only():
    cells = calibrate(["slope"], trials=8, seeds=(6, 8)).tallies
    assert {t.seeds for t in cells} == {6, 8}
    assert {t.noise for t in cells} == set(NOISES) - {"skewed down", "double down"}
    assert {t.truth.side for t in cells if NOISES[t.noise].limit is None} == {"boundary"}
    assert {t.trials for t in cells if t.truth.side == "boundary"} == {8, 2}
    assert SEEDS == (6, 8, 10, 20, 32)


# --- planted mistakes are reported ---------------------------------------------------------------


def broken(found: Calibration) -> set[tuple[str, str]]:
    return {(t.truth.side, t.truth.spread) for t in found.broken()}


def test_the_criteria_as_they_are_break_no_limit():
    found = calibrate(["superior", "ordered", "overtakes"], trials=600, seeds=(6, 20))
    assert not broken(found)


def test_a_normal_quantile_in_place_of_students_is_reported(monkeypatch):
    def interval(self, level=0.95):
        half = special.ndtri((1 + level) / 2) * self.sd / np.sqrt(self.n)
        return self.mean - half, self.mean + half

    monkeypatch.setattr(Student, "interval", interval)
    monkeypatch.setattr(
        Student,
        "p",
        lambda self, bound, side: float(
            special.ndtr((bound - self.mean) * (1 if side == "greater" else -1) / self.sd * 6**0.5)
        ),
    )
    assert broken(calibrate(["superior"], trials=800, seeds=(6,))) == {("boundary", "only")}


def test_leaving_out_holms_adjustment_is_reported(monkeypatch):
    monkeypatch.setattr(comparison, "holm", lambda p: np.asarray(p))
    found = calibrate(["curves_match"], trials=600, seeds=(10,))
    assert ("boundary", "all") in broken(found)
    assert ("boundary", "one") not in broken(found)


def test_reproducing_a_claim_of_which_a_part_holds_is_reported():
    def judge(kind, arms, params):
        result = criteria.evaluate(kind, arms, **params)
        if any(row.verdict == "reproduced" for row in result.details):
            return replace(result, verdict="reproduced")
        return result

    found = calibrate(["best_arm"], trials=200, seeds=(8,), judge=judge)
    assert {("boundary", "one"), ("against", "one")} <= broken(found)


def test_an_interval_of_90_percent_is_reported():
    def judge(kind, arms, params):
        difference = arms["t"] - arms["c"]
        lo, hi = stats.ttest_1samp(difference, 0.0).confidence_interval(0.90)
        inside, outside = lo >= -4 and hi <= 4, lo > 4 or hi < -4
        result = criteria.evaluate(kind, arms, **params)
        return replace(
            result, verdict="reproduced" if inside else "refuted" if outside else "inconclusive"
        )

    assert broken(calibrate(["equivalent"], trials=600, seeds=(10,), judge=judge))


def test_arms_that_are_not_paired_lose_their_power():
    def judge(kind, arms, params):
        return criteria.evaluate(kind, {**arms, "c": np.roll(arms["c"], 1)}, **params)

    paired, unpaired = (
        calibrate(["superior"], trials=400, seeds=(10,), **given).power(
            "superior", "claim", 1.5, seeds=10
        )
        for given in ({}, {"judge": judge})
    )
    assert paired.value > 0.9
    assert unpaired.value < 0.4


def test_a_limit_is_broken_only_surely():
    assert not Rate(56, 1000).above(0.05)
    assert Rate(90, 1000).above(0.05)
    assert not Rate(900, 1000).above(None)
