"""Whether two samples of seeds differ, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench_lr.stats import holm
from bench_lr.two_samples import Sample, means_p, shares_p


def summary(x: np.ndarray) -> Sample:
    return Sample(x.mean(-1), x.std(-1, ddof=1), x.shape[-1])


@pytest.mark.parametrize("sizes", [(8, 8), (10, 6), (6, 32), (2, 2)])
@pytest.mark.parametrize("scale", [1.0, 0.2, 1e-9, 1e9])
def test_the_p_value_is_the_larger_of_students_and_welchs(
    sizes: tuple[int, int], scale: float
) -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(3.0, 1.0, sizes[0])
    new = 3.5 + scale * rng.normal(size=sizes[1])
    expected = [stats.ttest_ind(old, new, equal_var=pooled).pvalue for pooled in (True, False)]
    assert means_p(summary(old), summary(new)) == pytest.approx(max(expected))
    assert means_p(summary(new), summary(old)) == pytest.approx(max(expected))


def test_with_equal_sizes_it_is_welchs() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.normal(size=(50, 8)), 3 * rng.normal(size=(50, 8))
    welch = stats.ttest_ind(old, new, axis=1, equal_var=False).pvalue
    np.testing.assert_allclose(means_p(summary(old), summary(new)), welch)


def test_tiny_and_huge_units_give_the_same_p_value() -> None:
    ps = [float(means_p(Sample(0.0, u, 8), Sample(2 * u, 2 * u, 10))) for u in (1e-200, 1.0, 1e200)]
    assert ps == pytest.approx([ps[1]] * 3)


def test_a_sample_without_spread_is_compared_by_the_spread_of_the_other() -> None:
    # One of ten seeds chose otherwise, which is one standard error of that sample.
    p = float(means_p(Sample(0.0, 0.0, 10), Sample(0.1, math.sqrt(0.1), 10)))
    assert p == pytest.approx(2 * stats.t.sf(1.0, 9))


@pytest.mark.parametrize(("mean", "p"), [(1.0, 1.0), (1.0 + 1e-12, 0.0)])
def test_without_any_spread_equal_means_are_equal(mean: float, p: float) -> None:
    assert means_p(Sample(1.0, 0.0, 8), Sample(mean, 0.0, 8)) == p


@pytest.mark.parametrize(
    "wrong", [Sample(0, 1, 1), Sample(0, -1, 8), Sample(math.nan, 1, 8), Sample(0, math.inf, 8)]
)
def test_impossible_samples_are_refused(wrong: Sample) -> None:
    good = Sample(0.0, 1.0, 8)
    for pair in ((wrong, good), (good, wrong)):
        with pytest.raises(ValueError):
            means_p(*pair)


@pytest.mark.parametrize("counts", [(0, 8, 8, 8), (3, 10, 9, 10), (2, 6, 20, 32), (5, 8, 5, 8)])
def test_shares_are_compared_by_the_hypergeometric_distribution(
    counts: tuple[int, int, int, int],
) -> None:
    hits, n, hits_new, n_new = counts
    given = stats.hypergeom(n + n_new, hits + hits_new, n).pmf(np.arange(n + 1))
    expected = given[given <= given[hits] * (1 + 1e-9)].sum()
    assert shares_p(*counts) == pytest.approx(expected)


def test_equal_shares_have_p_value_one() -> None:
    assert shares_p(0, 8, 0, 10) == shares_p(8, 8, 10, 10) == shares_p(4, 8, 4, 8) == 1.0


@pytest.mark.parametrize("wrong", [(-1, 8, 0, 8), (9, 8, 0, 8), (0, 8, 11, 10)])
def test_what_is_no_count_is_refused(wrong: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError):
        shares_p(*wrong)


CHECKS, NUMBERS = 2000, 60


def failing(draw: str, sizes: tuple[int, int]) -> float:
    """Share of checks of equal trainings in which any number is found to have moved."""
    rng = np.random.default_rng(2)

    def sample(n: int) -> np.ndarray:
        shape = (CHECKS, NUMBERS, n)
        if draw == "t3":
            return rng.standard_t(3, shape)
        return rng.normal(size=shape) if draw == "normal" else rng.exponential(size=shape)

    p = means_p(*(summary(sample(n)) for n in sizes))
    return float(np.mean([holm(row).min() < 0.05 for row in p]))


@pytest.mark.parametrize("sizes", [(8, 8), (8, 10), (10, 8), (10, 10), (32, 6), (6, 32)])
@pytest.mark.parametrize("draw", ["normal", "t3", "exponential"])
def test_equal_trainings_fail_at_most_one_check_in_twenty(
    draw: str, sizes: tuple[int, int]
) -> None:
    assert failing(draw, sizes) <= 0.05


@pytest.mark.parametrize("shift", [2.0, 3.0, 4.0])
def test_a_shift_is_found_among_sixty_numbers_nearly_as_often_as_a_t_test_can(shift: float) -> None:
    rng = np.random.default_rng(3)
    old, new = rng.normal(size=(2, 400, NUMBERS, 8))
    new[:, 0] += shift
    p = means_p(summary(old), summary(new))
    found = np.mean([holm(row)[0] < 0.05 for row in p])
    bound = stats.t.isf(0.05 / NUMBERS / 2, 14)
    power = stats.nct.sf(bound, 14, shift / math.sqrt(2 / 8))
    # Welch's fewer degrees of freedom cost a little, the binomial error is 0.025.
    assert power - 0.15 < found < power + 0.1
