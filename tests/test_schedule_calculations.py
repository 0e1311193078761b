"""Numbers worked out of schedules, against sympy, closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from bench_lr.calculations import (
    ExpectedQuadratic,
    PlateauRule,
    RobbinsMonro,
    ScheduledQuadratic,
    ScheduleSums,
    ScheduleValues,
)
from bench_lr.calculations.robbins_monro import conditions
from bench_lr.calculations.streams import generators
from bench_lr.schedules import (
    Clock,
    Constant,
    Cyclic,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    Planned,
    Polynomial,
    Step,
    Warmup,
)


def test_values_of_a_schedule_in_epochs_at_steps_need_the_steps_of_an_epoch() -> None:
    schedule = Warmup(0.25, epochs=2.0)
    found = ScheduleValues(schedule, 4.0, (0, 1, 7, 8, 9), steps_per_epoch=4).values()
    np.testing.assert_allclose(found, [1, 1 + 3 / 8, 1 + 21 / 8, 4, 4])
    by_epoch = ScheduleValues(schedule, 4.0, (0, 1, 2)).values()
    np.testing.assert_allclose(by_epoch, [1, 2.5, 4])


@pytest.mark.parametrize("rate", [0.05, 0.1, 1.0])
def test_the_travel_left_of_an_exponential_is_its_own_value(rate: float) -> None:
    sums = ScheduleSums(
        Exponential(rate=rate, unit="epoch"), 0.5, (0, 1, 5, 40), report="left", until=5000
    )
    np.testing.assert_allclose(sums.values(), np.exp(-rate * np.array([0, 1, 5, 40])), rtol=1e-9)


def test_partial_sums_of_a_geometric_series_and_of_its_squares() -> None:
    for power in (1.0, 2.0):
        found = ScheduleSums(Exponential(factor=0.9), 0.1, (0, 3, 100), power=power).values()
        q = 0.9**power
        np.testing.assert_allclose(
            found, [0.1**power * (1 - q**n) / (1 - q) for n in (0, 3, 100)], rtol=1e-12
        )


k = sympy.Symbol("k", integer=True, nonnegative=True)
BY_SYMPY: dict[str, tuple[Planned, sympy.Expr]] = {
    "constant": (Constant(), sympy.Integer(1)),
    "exponential": (Exponential(factor=0.9), sympy.Rational(9, 10) ** k),
    "exponential rate": (Exponential(rate=0.5), sympy.exp(-k / 2)),
    # Every 50 steps, 50 times the same value: a geometric series.
    "step": (Step(0.9, 50), 50 * sympy.Rational(9, 10) ** k),
    **{
        f"inverse {p}": (Inverse(1.0, float(p)), (1 + k) ** -p)
        for p in (
            sympy.Rational(1, 4),
            sympy.Rational(1, 2),
            sympy.Rational(51, 100),
            sympy.Rational(3, 4),
            sympy.Integer(1),
            sympy.Rational(101, 100),
            sympy.Integer(2),
        )
    },
}


@pytest.mark.parametrize("name", BY_SYMPY)
def test_the_conditions_are_what_sympy_says_of_the_two_series(name: str) -> None:
    schedule, term = BY_SYMPY[name]
    first, second = (sympy.Sum(term**n, (k, 0, sympy.oo)).is_convergent() for n in (1, 2))
    assert conditions(schedule) == (not bool(first), bool(second))
    assert RobbinsMonro(schedule).values().tolist() == [float(not first), float(bool(second))]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (MultiStep(0.1, (3, 5), "step"), (True, False)),
        (Polynomial(50, 2.0), (False, True)),
        (Polynomial(50, 2.0, final=0.1), (True, False)),
        (Linear(50, 0.0), (False, True)),
        (Linear(50, 0.1), (True, False)),
        (Cyclic(0.0, 5), (True, False)),
        (Warmup(0.1, steps=5, then=Exponential(factor=0.5)), (False, True)),
        (Warmup(0.1, steps=5, then=Inverse(0.1, 1.0)), (True, True)),
        (Step(1.5, 30_000), (True, False)),
    ],
)
def test_the_other_schedules_end_in_one_of_those_series(
    schedule: Planned, expected: tuple[bool, bool]
) -> None:
    assert conditions(schedule) == expected
    # A sum that is said to be finite hardly grows from 10^4 steps to 10^5.
    now = np.arange(100_000, dtype=np.float64)
    multiplier = schedule.multiplier(Clock(now, now))
    grown = [(multiplier**n).sum() / (multiplier[:10_000] ** n).sum() for n in (1, 2)]
    assert (grown[0] > 1.1) == expected[0]
    assert (grown[1] < 1.01) == expected[1]


def test_descent_on_a_noisy_quadratic_is_the_plain_loop() -> None:
    schedule = Inverse(0.2, 0.75)
    at = (40_000, 10, 1000)
    found = ScheduledQuadratic(schedule, 0.3, at, curvature=0.7, noise=0.5, seeds=3).values()
    for seed, stream in enumerate(generators("scheduled_quadratic", 3)):
        noise = 0.5 * stream.standard_normal(1 << 16)
        weight, squared = 1.0, []
        for step in range(40_000):
            rate = 0.3 * (1 + 0.2 * step) ** -0.75
            weight -= rate * (0.7 * weight + noise[step])
            squared.append(weight**2)
        expected = [np.mean(squared[end - max(1, end // 10) : end]) for end in at]
        np.testing.assert_allclose(found[seed], expected, rtol=1e-9)


def test_at_a_fixed_rate_the_distance_ends_at_the_floor() -> None:
    floor = 0.2 * 9.0 / (2.0 * (2 - 0.2 * 2.0))
    found = ScheduledQuadratic(Constant(), 0.2, (200_000,), curvature=2.0, noise=3.0).values()
    assert abs(found.mean() / floor - 1) < 0.03
    exact = ExpectedQuadratic(Constant(), 0.2, (500, 200_000), curvature=2.0, noise=3.0).values()
    np.testing.assert_allclose(exact, floor, rtol=1e-12)


@pytest.mark.parametrize("schedule", [Inverse(0.2, 0.75), Exponential(factor=0.99), Step(0.9, 50)])
def test_the_expected_distance_is_the_sum_over_all_draws(schedule: Planned) -> None:
    """In closed form: the start and every draw, each shrunk by all later steps."""
    steps, curvature, noise = 70_000, 0.7, 0.5
    rates = 0.3 * schedule.multiplier(Clock(np.arange(steps), np.arange(steps)))
    at = (70_000, 3, 40_000)
    found = ExpectedQuadratic(schedule, 0.3, at, curvature, noise, start=2.0).values()
    for end, value in zip(at, found, strict=True):
        shrunk = np.cumsum(np.log(1 - rates[:end] * curvature)[::-1])[::-1]
        later = np.exp(2 * np.append(shrunk[1:], 0.0))
        expected = 4.0 * np.exp(2 * shrunk[0]) + ((rates[:end] * noise) ** 2 * later).sum()
        assert value == pytest.approx(expected, rel=1e-9)


def test_simulated_distances_scatter_about_the_expected_one() -> None:
    at = (1, 30, 500)
    found = ScheduledQuadratic(Inverse(0.1, 0.5), 0.1, at, seeds=3000).values()
    # Means over the last tenth of the steps.
    windows = [(1,), (28, 29, 30), tuple(range(451, 501))]
    expected = [
        ExpectedQuadratic(Inverse(0.1, 0.5), 0.1, window).values().mean() for window in windows
    ]
    error = found.std(axis=0) / np.sqrt(3000)
    assert (np.abs(found.mean(axis=0) - expected) < 4 * error).all()


def test_a_fall_is_the_last_distance_over_an_earlier_one() -> None:
    at = (100, 20_000, 1000)
    curve = ExpectedQuadratic(Inverse(0.1, 1.0), 0.1, at).values()
    fall = ExpectedQuadratic(Inverse(0.1, 1.0), 0.1, at, report="fall", since=1000).values()
    assert fall.tolist() == [curve[1] / curve[2]]
    with pytest.raises(ValueError, match="since"):
        ExpectedQuadratic(Constant(), 0.1, (100,), report="fall")
    with pytest.raises(ValueError, match="not one of at"):
        ExpectedQuadratic(Constant(), 0.1, (100,), report="fall", since=10)


def rule(**changes: object) -> PlateauRule:
    given: dict[str, object] = {
        "cut_when": "below",
        "threshold": 1e-5,
        "window": 20,
        "factor": 0.1,
        "lr": 0.1,
        "iterations": 500,
        "start": 10.0,
    }
    return PlateauRule(**{**given, **changes})  # type: ignore[arg-type]


def test_without_cuts_the_loss_follows_the_closed_form() -> None:
    losses = rule(cut_when="never").values()
    contraction, noise = 0.9**2, 0.01
    floor = noise / (1 - contraction)
    expected = [0.5 * (floor + (100 - floor) * contraction**t) for t in range(500)]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    assert rule(cut_when="never", report="height").values().tolist() == [np.inf]


@pytest.mark.parametrize("cut_when", ["below", "above"])
@pytest.mark.parametrize("restart", [True, False])
def test_the_rule_cuts_where_a_list_of_losses_says_so(cut_when: str, restart: bool) -> None:
    losses = rule(cut_when=cut_when, restart=restart).values()
    rates = rule(cut_when=cut_when, restart=restart, report="lr").values()
    lr, seen, cuts = 0.1, [], 0
    for loss, rate in zip(losses, rates, strict=True):
        seen.append(loss)
        if len(seen) > 20:
            change = seen[-21] - seen[-1]
            if change < 1e-5 if cut_when == "below" else change >= 1e-5:
                lr, cuts = lr * 0.1, cuts + 1
                seen = [loss] if restart else seen
        assert rate == pytest.approx(lr, rel=1e-12)
    assert cuts >= 2
