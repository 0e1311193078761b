"""Noise and skewness against moments, closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.calibration import skewness
from bench_lr.calibration.noise import NOISES, SKEWNESS, differences, lognormal, lognormal_sigma
from bench_lr.calibration.skewness import Arm, matched, paired, sample_skewness


def drawn(name: str, correlation: float = 0.0, comparisons: int = 1) -> np.ndarray:
    rng = np.random.default_rng(1)
    return differences(NOISES[name], rng, 4000, 50, comparisons, correlation)


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_mean_0_and_sd_1_and_the_median_it_says(name):
    values = drawn(name).ravel()
    assert values.mean() == pytest.approx(0.0, abs=0.01)
    assert values.std() == pytest.approx(1.0, abs=0.05)
    assert np.median(values) == pytest.approx(NOISES[name].median(), abs=0.01)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("name", ["skewed up", "skewed down", "double up"])
def test_skewed_noise_is_as_skewed_as_it_says_however_correlated(name, correlation):
    values = drawn(name, correlation, 2)
    expected = NOISES[name].skewness
    assert stats.skew(values.reshape(-1, 2)) == pytest.approx([expected] * 2, abs=0.1)
    found = np.corrcoef(values[:, :, 0].ravel(), values[:, :, 1].ravel())[0, 1]
    assert found == pytest.approx(correlation, abs=0.01)


def test_the_heavy_tails_are_those_of_students_t_with_3_degrees_of_freedom():
    values = drawn("t3").ravel()
    for level in (0.75, 0.975, 0.999):
        expected = stats.t.ppf(level, 3) / np.sqrt(3)
        assert np.quantile(values, level) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("wanted", [0.1, 0.5, 1.0, 4.0])
def test_the_sigma_of_a_lognormal_is_the_one_scipy_gives_that_skewness(wanted):
    assert stats.lognorm.stats(lognormal_sigma(wanted), moments="s") == pytest.approx(wanted)


def test_sample_skewness_is_scipys_without_bias():
    x = np.random.default_rng(3).exponential(size=(5, 9))
    assert sample_skewness(x) == pytest.approx(stats.skew(x, axis=1, bias=False))


def test_skewness_is_found_again_from_many_small_samples():
    for wanted in (1.0, 2.0):
        samples = lognormal(np.random.default_rng(7), (20_000, 8), wanted)
        observed = float(np.quantile(np.abs(sample_skewness(samples)), 0.95))
        assert matched(observed, 8) == pytest.approx(wanted, rel=0.15)
        assert abs(float(np.median(sample_skewness(samples)))) < wanted  # why it must be translated


def test_the_constant_is_what_the_measured_quantile_stands_for():
    """1.61 is the upper end of the bootstrap interval that its docstring reports."""
    assert matched(1.61, 8) == pytest.approx(SKEWNESS, abs=0.06)


def test_pairs_are_made_within_claims_and_identical_arms_left_out():
    rng = np.random.default_rng(0)
    one, two, three = rng.normal(size=(3, 8))
    arms = [Arm("a/b", one), Arm("a/b", two), Arm("a/b", one), Arm("c/d", three)]
    expected = abs(stats.skew(one - two, bias=False))
    assert paired(arms) == pytest.approx([expected, expected])
    assert not arms[0].split or one.std() > skewness.SPLIT_RUNS
    assert Arm("a/b", np.array([0.1, 0.9] * 4)).split
