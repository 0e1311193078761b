"""bench_lr.stats against scipy's own tests, closed forms and examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench_lr import stats


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.mark.parametrize("n", [2, 3, 8, 32])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_t_interval_equals_that_of_scipys_t_test(rng, n, level):
    x = rng.normal(3.0, 2.0, n)
    expected = scipy_stats.ttest_1samp(x, 0.0).confidence_interval(level)
    mean, lo, hi = stats.t_interval(x, level)
    assert mean == pytest.approx(x.mean(), rel=1e-12)
    assert (lo, hi) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_t_interval_of_paired_differences_equals_that_of_the_paired_t_test(rng):
    a, b = rng.normal(size=10), rng.normal(size=10)
    expected = scipy_stats.ttest_rel(a, b).confidence_interval()
    _, lo, hi = stats.t_interval(stats.paired_differences(a, b))
    assert (lo, hi) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_t_interval_of_a_constant_sample_is_its_value_exactly():
    assert stats.t_interval([0.1] * 7) == (0.1, 0.1, 0.1)
    assert sum([0.1] * 7) / 7 != 0.1  # what averaging would have given


@pytest.mark.parametrize("x", [[], [1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]])
def test_t_interval_refuses_what_is_not_a_sample(x):
    with pytest.raises(ValueError, match="sample"):
        stats.t_interval(x)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        stats.t_interval([1.0, 2.0], level)


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("bound", [-1.0, 0.0, 0.4])
def test_t_test_p_equals_scipys(rng, alternative, bound):
    x = rng.normal(0.2, 1.0, 9)
    expected = scipy_stats.ttest_1samp(x, bound, alternative=alternative).pvalue
    assert stats.t_test_p(x, bound, alternative) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("value", "alternative", "p"),
    [(2.0, "greater", 0.0), (2.0, "less", 1.0), (0.0, "less", 0.0), (0.0, "greater", 1.0)],
)
def test_t_test_p_of_a_constant_sample_is_certain(value, alternative, p):
    assert stats.t_test_p([value] * 5, 1.0, alternative) == p


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_t_test_p_of_a_constant_sample_at_the_bound_is_1(alternative):
    assert stats.t_test_p([0.1] * 7, 0.1, alternative) == 1.0


def test_t_test_p_refuses_a_two_sided_alternative():
    with pytest.raises(ValueError, match="two-sided"):
        stats.t_test_p([1.0, 2.0], 0.0, "two-sided")  # type: ignore[arg-type]


def test_paired_differences_keep_the_order_of_seeds_and_mark_divergence():
    difference = stats.paired_differences([3.0, np.nan, 5.0], [1.0, 1.0, 7.0])
    np.testing.assert_array_equal(difference, [2.0, np.nan, -2.0])


def test_paired_differences_refuse_unpaired_arms():
    with pytest.raises(ValueError, match="not paired"):
        stats.paired_differences([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        # 4*.005, 3*.01, 2*.03, 1*.04 -> running maximum .02 .03 .06 .06
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        # 3*.01, 2*.02, 1*.03 -> .03 .04 .04
        ([0.01, 0.02, 0.03], [0.03, 0.04, 0.04]),
        # 2*.6 is capped at 1, and .7 may not fall below it
        ([0.7, 0.6], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([0.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        ([], []),
    ],
)
def test_holm_equals_examples_worked_by_hand(p, adjusted):
    np.testing.assert_allclose(stats.holm(p), adjusted, rtol=1e-12)


def test_holm_rejects_what_the_step_down_procedure_rejects(rng):
    for _ in range(200):
        p = rng.uniform(size=6) ** 3
        alpha = 0.05
        rejected = np.zeros(6, dtype=bool)
        for k, i in enumerate(np.argsort(p)):
            if p[i] > alpha / (6 - k):
                break
            rejected[i] = True
        np.testing.assert_array_equal(stats.holm(p) <= alpha, rejected)


@pytest.mark.parametrize("p", [[1.2], [-0.1], [np.nan], [[0.1]]])
def test_holm_refuses_what_is_not_a_p_value(p):
    with pytest.raises(ValueError, match="p-values"):
        stats.holm(p)


@pytest.mark.parametrize(("k", "n"), [(0, 8), (3, 8), (8, 8), (17, 32)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_solves_its_equation(k, n, level):
    z = scipy_stats.norm.ppf((1 + level) / 2)
    share, shrink = k / n, 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert stats.wilson(k, n, level) == pytest.approx((centre - half, centre + half), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 8), (3, 8), (8, 8), (17, 32)])
def test_clopper_pearson_ends_are_beta_quantiles(k, n):
    lo = scipy_stats.beta.ppf(0.025, k, n - k + 1) if k else 0.0
    hi = scipy_stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    assert stats.clopper_pearson(k, n) == pytest.approx((lo, hi), abs=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("n", [6, 8, 32])
def test_share_p_is_small_exactly_when_clopper_pearson_lies_beyond_the_share(n, share):
    for k in range(n + 1):
        lo, hi = stats.clopper_pearson(k, n)
        assert (stats.share_p(k, n, share, "greater") < 0.025) == (lo > share)
        assert (stats.share_p(k, n, share, "less") < 0.025) == (hi < share)


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("k", [0, 3, 8])
def test_share_p_equals_scipys_binomial_test(k, alternative):
    expected = scipy_stats.binomtest(k, 8, 0.3, alternative=alternative).pvalue
    assert stats.share_p(k, 8, 0.3, alternative) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("interval", [stats.wilson, stats.clopper_pearson])
@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_a_share_needs_possible_counts(interval, k, n):
    with pytest.raises(ValueError, match="successes"):
        interval(k, n)


def test_prediction_interval_equals_its_formula():
    half = scipy_stats.t.ppf(0.95, 7) * 2.0 * np.sqrt(1 / 8 + 1 / 3)
    assert stats.prediction_interval(5.0, 2.0, 8, 3, level=0.9) == pytest.approx(
        (5.0 - half, 5.0 + half), rel=1e-12
    )


def test_prediction_interval_holds_the_mean_of_a_fresh_sample_as_often_as_it_says(rng):
    inside, trials = 0, 4000
    for _ in range(trials):
        old, new = rng.normal(size=6), rng.normal(size=4)
        lo, hi = stats.prediction_interval(old.mean(), old.std(ddof=1), 6, 4)
        inside += bool(lo <= new.mean() <= hi)
    assert inside / trials == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / trials))


@pytest.mark.parametrize(("n", "n_new", "sd"), [(1, 5, 1.0), (5, 0, 1.0), (5, 5, -1.0)])
def test_prediction_interval_refuses_impossible_samples(n, n_new, sd):
    with pytest.raises(ValueError, match="need"):
        stats.prediction_interval(0.0, sd, n, n_new)
