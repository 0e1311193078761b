"""regimes: too low, right, jumps, diverges, in this order as the LR rises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench_lr.criteria import CriterionError, evaluate
from bench_lr.criteria.regimes import CLASSES, Limits, classify

from .samples import NAN

TIME = np.arange(40.0)
SLOW = 2.2 - TIME / 30
RIGHT = 2 * np.exp(-TIME / 4) + np.where(TIME % 2, 0.011, 0.010)
JUMPS = 2 * np.exp(-TIME / 3) + np.where(TIME % 2, 0.3, 0.1)
BLOWS = np.where(TIME < 9, 2.0 + TIME, NAN)
CHANCE = np.full(40, 2.31)
# Falls at once, then stays high, and as calm as the best.
FLAT = 0.5 + 2 * np.exp(-TIME / 0.5) + np.where(TIME % 2, 0.001, 0.0)
CRAWL = 2.35 - TIME / 400  # Has hardly begun to fall.
ORDER = ["0.01", "0.1", "1", "10"]


def arms(*rows: np.ndarray, n: int = 8, odd: int = 0, instead: tuple = ()) -> dict[str, np.ndarray]:
    """Arms by rising LR, the seeds of different scale; the first `odd` seeds have other curves."""
    scale = np.linspace(0.8, 0.9, n)[:, None]
    found = {}
    for place, (name, row) in enumerate(zip(ORDER, rows, strict=True)):
        values = scale * row
        if odd:
            values[:odd] = scale[:odd] * instead[place]
        found[name] = values
    return found


def judged(given: dict[str, np.ndarray], **params):
    return evaluate("regimes", given, **{"order": list(given), **params})


def test_four_regimes_in_order_are_reproduced_and_named_by_arm():
    result = judged(arms(SLOW, RIGHT, JUMPS, BLOWS))
    assert (result.verdict, result.estimate, result.single_run_rate) == ("reproduced", 1.0, 1.0)
    assert result.note.startswith("too_low: 0.01; right: 0.1; jumps: 1; diverges: 10")
    assert [row.label for row in result.details[1:]] == [
        "0.01: too_low",
        "0.1: right",
        "1: jumps",
        "10: diverges",
    ]


@pytest.mark.parametrize(
    "rows",
    [
        (RIGHT, SLOW, JUMPS, BLOWS),
        (SLOW, JUMPS, RIGHT, BLOWS),
        (SLOW, RIGHT, BLOWS, JUMPS),
        (SLOW, RIGHT, RIGHT, BLOWS),
        (SLOW, RIGHT, JUMPS, JUMPS),
        (RIGHT, RIGHT, JUMPS, BLOWS),
    ],
)
def test_another_order_or_a_missing_class_is_refuted(rows):
    assert judged(arms(*rows)).verdict == "refuted"


@pytest.mark.parametrize("odd", [0, 1, 4, 8])
def test_the_share_of_seeds_decides_by_the_exact_test(odd):
    given = arms(SLOW, RIGHT, JUMPS, BLOWS, odd=odd, instead=(SLOW, RIGHT, RIGHT, BLOWS))
    result = judged(given)
    exact = stats.binomtest(8 - odd, 8).proportion_ci(method="exact")
    assert result.estimate == (8 - odd) / 8
    assert result.ci == pytest.approx((exact.low, exact.high))
    words = {0: "reproduced", 1: "inconclusive", 4: "inconclusive", 8: "refuted"}
    assert result.verdict == words[odd]
    assert judged(given, above=0.0).verdict == ("inconclusive" if odd == 8 else "reproduced")


def classes(*rows: np.ndarray, **limits: float) -> list[str]:
    defaults = dict(early=0.1, late=0.25, high=1.5, fast=2.0, rough=2.0, diverged_above=2.19)
    found = classify(np.stack(rows)[None], Limits(**{**defaults, **limits}))[0]
    return [[*CLASSES, "none"][place] for place in found]


def test_every_class_by_its_words():
    assert classes(CRAWL, SLOW, RIGHT, JUMPS, BLOWS, CHANCE, FLAT) == [
        "too_low",
        "too_low",
        "right",
        "jumps",
        "diverges",
        "diverges",
        "none",
    ]


def test_noise_at_chance_does_not_keep_falling():
    """Quarters fall in a row by chance in one run of 24, but not by more than the noise."""
    rng = np.random.default_rng(0)
    curves = np.stack([2.32 + 0.02 * rng.normal(size=(500, 40)), np.ones((500, 40))], axis=1)
    found = classify(curves, Limits(0.1, 0.25, 1.5, 2.0, 2.0, 2.19))
    assert (found[:, 0] == CLASSES.index("diverges")).mean() > 0.99


def test_the_limits_are_where_they_are_said_to_be():
    level = np.full(40, 1.0)
    assert classes(level, 1.5 * level, 1.51 * level) == ["right", "right", "none"]
    assert classes(level, 1.51 * level, high=1.6) == ["right", "right"]
    assert classes(level, 2.2 * level, 2.18 * level)[1:] == ["diverges", "none"]
    assert classes(level, 2.2 * level, diverged_above=2.21)[1] == "none"
    wobble = np.where(TIME % 2, 0.05, -0.05)
    smooth, twice, more = 1 + wobble, 2 + 2 * wobble, 2 + 2.02 * wobble
    # Twice as rough is not yet more than twice as rough; both start within a factor of 2.1.
    assert classes(smooth, twice, more, fast=2.1)[1:] == ["none", "jumps"]
    # The same, but not quick: the first tenth is above twice the lowest start.
    late = np.where(TIME < 4, 2.17, more)
    assert classes(smooth, late, fast=2.1)[1] != "jumps"


def test_a_trend_is_no_roughness():
    falling = 2.0 - TIME / 40
    assert classes(np.full(40, 0.5) + np.where(TIME % 2, 0.02, 0.0), falling) == [
        "right",
        "too_low",
    ]


def test_a_run_that_keeps_falling_does_not_jump_however_calm_the_best_is():
    """A bend in a smooth curve is rough beside a best run that has come to rest."""
    rest, bend = 0.01 + 2 * np.exp(-TIME), 0.2 + 2 * np.exp(-TIME / 12)
    assert classes(rest, bend) == ["right", "too_low"]


def test_what_is_best_is_of_the_same_seed():
    one = arms(SLOW, RIGHT, JUMPS, BLOWS)
    scaled = {name: values * np.linspace(0.1, 1, 8)[:, None] for name, values in one.items()}
    assert judged(scaled).estimate == 1.0


def test_arms_in_transition_say_nothing_of_the_order():
    given = arms(SLOW, RIGHT, JUMPS, BLOWS)
    given["0.03"] = 0.9 * FLAT * np.ones((8, 1))
    result = judged(given, order=["0.01", "0.03", "0.1", "1", "10"])
    assert result.verdict == "reproduced"
    assert result.note.startswith("too_low: 0.01; right: 0.1; jumps: 1; diverges: 10; none: 0.03")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"order": ["0.01", "0.1", "1"]}, "an arm for each of too_low, right, jumps, diverges"),
        ({"order": ["0.01", "0.1", "1", "100"]}, "unknown arm '100'"),
        ({"late": 0.7}, r"late is a share of the evaluations in \(0, 0.5\]"),
        ({"early": 0.0}, "early is a share"),
        ({"high": 0.9}, "high is a factor of 1 or more"),
        ({"above": 1.0}, r"above must lie in \[0, 1\)"),
    ],
)
def test_nonsense_is_refused(params, message):
    with pytest.raises(CriterionError, match=message):
        judged(arms(SLOW, RIGHT, JUMPS, BLOWS), **params)


def test_curves_that_are_too_short_or_not_losses_are_refused():
    given = arms(SLOW, RIGHT, JUMPS, BLOWS)
    with pytest.raises(CriterionError, match="needs 8 evaluations, not 7"):
        judged({name: values[:, :7] for name, values in given.items()})
    with pytest.raises(CriterionError, match="positive losses"):
        judged({name: values - 1 for name, values in given.items()})
