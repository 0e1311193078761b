"""interior_optimum: the best of an ordered list of arms is at neither end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate
from bench_lr.criteria.level import judged_at

from .samples import NAN, base, sample, with_nan

ORDER = ["lo", "a", "b", "hi"]


def hill(n: int = 10, sd: float = 0.1, **above: float) -> dict[str, np.ndarray]:
    """Arms so far above a level that the seeds share; 0 where nothing is said."""
    level = base(n)
    return {
        name: level + sample(above.get(name, 0.0), sd, n, seed=i) for i, name in enumerate(ORDER)
    }


def judged(arms: dict[str, np.ndarray], **params):
    return evaluate("interior_optimum", arms, **{"order": ORDER, **params})


def test_a_hill_is_reproduced_and_its_ends_need_not_be_beaten_by_the_same_arm():
    assert judged(hill(a=1, b=1)).verdict == "reproduced"
    assert judged(hill(a=1)).verdict == "reproduced"
    arms = hill(lo=0, a=1, b=2, hi=1.5)
    assert judged(arms).verdict == "reproduced"
    valley = {name: -values for name, values in arms.items()}
    assert judged(valley, larger_is_better=False) == judged(arms)


def test_a_slope_is_refuted_by_the_end_that_is_best():
    result = judged(hill(lo=0, a=1, b=2, hi=3))
    assert result.verdict == "refuted"
    assert "refuted by b - hi" in result.note
    assert "best mean: hi" in result.note
    assert judged(hill(lo=0, a=1, b=2, hi=3), ends="first").verdict == "reproduced"
    assert judged(hill(lo=0, a=1, b=2, hi=3), ends="last").verdict == "refuted"
    assert judged(hill(lo=3, a=2, b=1, hi=0), ends="first").verdict == "refuted"
    assert judged(hill(lo=3, a=2, b=1, hi=0), ends="last").verdict == "reproduced"


def test_a_plateau_decides_nothing_and_with_a_margin_it_refutes():
    flat = hill(sd=0.5)
    assert judged(flat).verdict == "inconclusive"
    assert judged(flat, margin=3.0).verdict == "refuted"


def test_the_test_of_an_end_is_that_of_the_best_of_the_arms_between_by_bonferroni():
    arms = hill(sd=0.8, a=0.9, b=1.0, lo=0.1, hi=-9)
    result = judged(arms, margin=0.2)
    pvalues = [
        stats.ttest_1samp(arms[name] - arms["lo"], 0.2, alternative="greater").pvalue
        for name in ("a", "b")
    ]
    assert result.p_value == pytest.approx(2 * min(pvalues))
    best = arms["ab"[int(np.argmin(pvalues))]] - arms["lo"]
    wide = stats.ttest_1samp(best, 0.0).confidence_interval(1 - 0.05 / 2)
    assert result.estimate == pytest.approx(best.mean())
    assert result.ci == pytest.approx((wide.low, wide.high))
    assert result.sd == pytest.approx(best.std(ddof=1))
    assert (result.verdict == "reproduced") == (2 * min(pvalues) < 0.025)


def test_refuting_needs_every_arm_between_below_the_margin_and_holm_over_the_ends():
    rng = np.random.default_rng(4)
    decided = 0
    for _ in range(60):
        arms = {name: base() + rng.normal(0, 1, 8) for name in ORDER}
        result = judged(arms, margin=0.5)
        against = sorted(
            max(
                stats.ttest_1samp(arms[name] - arms[end], 0.5, alternative="less").pvalue
                for name in ("a", "b")
            )
            for end in ("lo", "hi")
        )
        refuted = 2 * against[0] < 0.025
        decided += refuted
        assert (result.verdict == "refuted") == refuted
    assert 0 < decided < 60


def test_another_level_goes_through():
    arms = hill(sd=0.8, a=1.4, b=1.5, lo=0.1, hi=-9)
    with judged_at(0.0001):
        strict = judged(arms)
    assert judged(arms).verdict == "reproduced"
    assert strict.verdict == "inconclusive"
    assert strict.ci[0] < judged(arms).ci[0]


def test_the_share_of_seeds_that_show_it_alone():
    arms = {
        "lo": np.zeros(8),
        "a": np.array([1, 1, 1, 1, -1, -1, 1, NAN]),
        "b": np.array([0, 0, 0, 0, 2, 0, 0, -1]),
        "hi": np.array([0, 0, 0, 3, 0, 0, NAN, 0]),
    }
    # Seeds 0, 1, 2, 4 (by b), and 6, where the end diverged.
    assert judged(arms).single_run_rate == 5 / 8


def test_an_end_that_diverged_everywhere_or_mostly_is_worse():
    arms = hill(a=1, b=1)
    gone = {**arms, "hi": np.full(10, NAN)}
    assert judged(gone).verdict == "reproduced"
    assert "hi diverged in 10 of 10 seeds" in judged(gone).note
    mostly = {**arms, "hi": with_nan(arms["hi"], *range(9))}
    assert judged(mostly).verdict == "reproduced"
    assert "diverged in 9 of 10 seeds and is worse in 10" in judged(mostly).note
    # By a majority alone: 7 of 10 is none that the sign test would see.
    good = {**arms, "hi": np.where(np.arange(10) < 7, NAN, arms["hi"] + 9)}
    assert judged(good).verdict == "inconclusive"
    half = {**arms, "hi": with_nan(arms["hi"], 0, 1)}
    assert judged(half).verdict == "reproduced"


def test_an_arm_between_that_diverged_cannot_beat_an_end():
    arms = hill(a=1, b=-1)
    assert judged({**arms, "a": with_nan(arms["a"], 3)}).verdict == "inconclusive"
    # Where all arms between diverged and the ends did not, none can be better.
    lost = {**arms, "a": np.full(10, NAN), "b": np.full(10, NAN)}
    assert judged(lost).verdict == "refuted"


def test_exact_numbers_need_one_seed():
    exact = {"lo": [9.0], "a": [3.0], "b": [4.0], "hi": [8.0]}
    smaller = {"larger_is_better": False, "exact": True}
    assert judged(exact, **smaller).verdict == "reproduced"
    assert judged(exact, **smaller, margin=5.5).verdict == "refuted"
    assert judged(exact, exact=True).verdict == "refuted"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"order": ["lo", "hi"]}, "three arms or more"),
        ({"order": ["lo", "a", "c", "hi"]}, "unknown arm 'c'"),
        ({"order": ["lo", "a", "lo"]}, "names an arm twice"),
        ({"margin": -1.0}, "margin must be 0 or more"),
        ({"ends": "left"}, "ends must be"),
    ],
)
def test_nonsense_is_refused(params, message):
    with pytest.raises(CriterionError, match=message):
        judged(hill(), **params)
