"""Schedules against torch's own and against closed forms."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import yaml
from torch.optim import lr_scheduler

from bench_lr.claims.problems import Problem, parse
from bench_lr.schedules import (
    Clock,
    Constant,
    Cyclic,
    Exponential,
    Floats,
    Inverse,
    Linear,
    MultiStep,
    Planned,
    Plateau,
    Polynomial,
    RangeTest,
    Schedule,
    Segment,
    Step,
    Unit,
    Warmup,
    Watch,
)
from bench_lr.schedules.registered import SCHEDULES

STEPS = 3000
PER_EPOCH = 7


def clock(steps: int = STEPS, per_epoch: int = PER_EPOCH) -> Clock:
    return Clock.steady(np.arange(steps, dtype=np.float64), per_epoch)


def by_torch(
    make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler],
    unit: Unit,
    steps: int = STEPS,
) -> Floats:
    """Multipliers that a scheduler of torch gives, stepped by hand as training would."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(optimizer)
        for step in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            if unit == "step" or (step + 1) % PER_EPOCH == 0:
                scheduler.step()
    return np.asarray(rates)


def assert_equals_torch(
    schedule: Schedule,
    make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler],
    unit: Unit,
    rtol: float = 1e-11,
) -> None:
    expected = by_torch(make, unit)
    found = schedule.multiplier(clock())
    # Down to where torch's repeated products run out of digits.
    normal = np.abs(expected) > 1e-250
    np.testing.assert_allclose(found[normal], expected[normal], rtol=rtol, atol=1e-13)


in_both_units = pytest.mark.parametrize("unit", ["step", "epoch"])


@in_both_units
@pytest.mark.parametrize(("factor", "every"), [(0.9, 50), (0.5, 1), (0.1, 999), (1.01, 7)])
def test_step_is_torchs_step_lr(factor: float, every: int, unit: Unit) -> None:
    assert_equals_torch(
        Step(factor, every, unit), lambda o: lr_scheduler.StepLR(o, every, factor), unit
    )


@in_both_units
@pytest.mark.parametrize(
    ("factor", "milestones"),
    [(0.2, (10, 15, 18)), (0.1, (1,)), (0.5, (2, 2, 300)), (2.0, (2999,)), (0.3, ())],
)
def test_multistep_is_torchs_multi_step_lr(
    factor: float, milestones: tuple[int, ...], unit: Unit
) -> None:
    assert_equals_torch(
        MultiStep(factor, milestones, unit),
        lambda o: lr_scheduler.MultiStepLR(o, list(milestones), factor),
        unit,
    )


@in_both_units
@pytest.mark.parametrize("factor", [0.9, 0.99, 0.9999, 1.001])
def test_exponential_is_torchs_exponential_lr(factor: float, unit: Unit) -> None:
    assert_equals_torch(
        Exponential(factor=factor, unit=unit), lambda o: lr_scheduler.ExponentialLR(o, factor), unit
    )


@in_both_units
@pytest.mark.parametrize(("power", "total"), [(1.0, 100), (0.5, 2500), (2.0, 17), (3.7, 300)])
def test_polynomial_is_torchs_polynomial_lr(power: float, total: int, unit: Unit) -> None:
    # Torch multiplies ratios one by one: its error grows with the power and the length.
    assert_equals_torch(
        Polynomial(total, power, unit=unit),
        lambda o: lr_scheduler.PolynomialLR(o, total, power),
        unit,
        rtol=1e-9,
    )


@in_both_units
@pytest.mark.parametrize(("final", "until"), [(0.01, 100), (0.5, 1), (0.2, 2500), (0.0, 30)])
def test_linear_is_torchs_linear_lr(final: float, until: int, unit: Unit) -> None:
    assert_equals_torch(
        Linear(until, final, unit),
        lambda o: lr_scheduler.LinearLR(o, 1.0, final, until),
        unit,
        rtol=1e-9,
    )


@in_both_units
@pytest.mark.parametrize(("low", "half"), [(0.1, 40), (0.0, 1), (0.5, 333), (0.25, 7)])
def test_cyclic_is_torchs_triangular_cyclic_lr(low: float, half: int, unit: Unit) -> None:
    assert_equals_torch(
        Cyclic(low, half, unit),
        lambda o: lr_scheduler.CyclicLR(o, low, 1.0, half, cycle_momentum=False),
        unit,
    )


@in_both_units
@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        (Inverse(0.1), lambda t: (1 + 0.1 * t) ** -0.5),
        (Inverse(0.01, 1.0), lambda t: 1 / (1 + 0.01 * t)),
        (Inverse(2.0, 0.75), lambda t: (1 + 2 * t) ** -0.75),
        (Exponential(rate=0.1), lambda t: math.exp(-0.1 * t)),
        (Exponential(factor=0.96, every=400), lambda t: 0.96 ** (t / 400)),
        (Exponential(factor=0.5, every=2.5), lambda t: 0.5 ** (t / 2.5)),
        (Polynomial(500, 0.5, 0.2), lambda t: 0.2 + 0.8 * (1 - min(t, 500) / 500) ** 0.5),
    ],
)
def test_closed_forms_are_torchs_lambda_lr(
    schedule: Planned, rule: Callable[[int], float], unit: Unit
) -> None:
    schedule = type(schedule)(**{**vars(schedule), "unit": unit})
    assert_equals_torch(schedule, lambda o: lr_scheduler.LambdaLR(o, rule), unit)


def test_exponential_passes_through_the_step_decay_at_its_multiples() -> None:
    smooth = Exponential(factor=0.96, every=50).multiplier(clock())
    stairs = Step(0.96, 50).multiplier(clock())
    np.testing.assert_allclose(smooth[::50], stairs[::50], rtol=1e-12)
    assert (smooth <= stairs).all()
    assert (smooth[1:50] < stairs[1:50]).all()


def test_step_changes_at_the_update_after_each_period_and_at_no_other() -> None:
    found = Step(0.9, 50).multiplier(clock())
    expected = [math.prod([0.9] * (t // 50)) for t in range(STEPS)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert list(found[[0, 49, 50, 99, 100]]) == [1.0, 1.0, 0.9, 0.9, 0.9**2]


def test_multistep_changes_at_the_milestone_itself() -> None:
    found = MultiStep(0.5, (3, 5), "step").multiplier(clock(7))
    assert found.tolist() == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_the_order_of_milestones_does_not_matter_and_zero_counts_at_once() -> None:
    one, other = (MultiStep(0.5, m, "step").multiplier(clock(9)) for m in ((2, 5), (5, 2)))
    assert one.tolist() == other.tolist()
    assert MultiStep(0.5, (0,), "step").multiplier(clock(3)).tolist() == [0.5, 0.5, 0.5]


def test_a_schedule_in_epochs_changes_between_epochs_only() -> None:
    found = Step(0.5, 2, "epoch").multiplier(clock()).reshape(-1)[: 6 * PER_EPOCH]
    by_epoch = found.reshape(6, PER_EPOCH)
    assert by_epoch.tolist() == [[0.5 ** (e // 2)] * PER_EPOCH for e in range(6)]


def test_a_schedule_in_fractional_epochs_changes_at_every_step() -> None:
    found = Polynomial(4, 2.0, unit="fractional_epoch").multiplier(clock())
    expected = Polynomial(4 * PER_EPOCH, 2.0).multiplier(clock())
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_constant_is_one_throughout() -> None:
    assert Constant().multiplier(clock()).tolist() == [1.0] * STEPS


# --- warm-up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", ["steps", "epochs"])
@pytest.mark.parametrize("start", [0.1, 0.5, 1 / 7])
def test_gradual_warm_up_is_torchs_linear_then_constant_rate(start: float, counted: str) -> None:
    schedule = Warmup(start, steps=5 * PER_EPOCH) if counted == "steps" else Warmup(start, epochs=5)
    length = 5 * PER_EPOCH

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        up = lr_scheduler.LinearLR(optimizer, start, 1.0, length)
        after = lr_scheduler.ConstantLR(optimizer, 1.0)
        return lr_scheduler.SequentialLR(optimizer, [up, after], [length])

    assert_equals_torch(schedule, make, "step")


def test_gradual_warm_up_adds_the_same_at_every_step_until_the_scaled_rate() -> None:
    found = Warmup(0.125, epochs=5).multiplier(clock())
    steps = np.diff(found)
    length = 5 * PER_EPOCH
    np.testing.assert_allclose(steps[:length], 0.875 / length, rtol=1e-9)
    assert found[0] == 0.125
    assert (found[length:] == 1).all()


def test_constant_warm_up_holds_the_low_rate_and_then_jumps() -> None:
    found = Warmup(0.2, epochs=2, mode="constant").multiplier(clock())
    assert found.tolist() == [0.2] * 2 * PER_EPOCH + [1.0] * (STEPS - 2 * PER_EPOCH)


def test_milestones_after_a_warm_up_count_from_the_start_of_the_run() -> None:
    milestones = (30, 60, 80)
    schedule = Warmup(0.1, epochs=5, then=MultiStep(0.1, milestones))

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        length = 5 * PER_EPOCH
        up = lr_scheduler.LinearLR(optimizer, 0.1, 1.0, length)
        steps = [m * PER_EPOCH - length for m in milestones]
        return lr_scheduler.SequentialLR(
            optimizer, [up, lr_scheduler.MultiStepLR(optimizer, steps, 0.1)], [length]
        )

    assert_equals_torch(schedule, make, "step")


# --- range test -------------------------------------------------------------------------------


@in_both_units
def test_a_range_test_is_a_plain_loop_over_its_rates(unit: Unit) -> None:
    parts = [(0.1, 1.0, 0.1, 100), (0.5, 1.0, 0.01, 20), (0.8, 1.1, 0.01, 20)]
    segments = tuple(Segment(a, b, step=s, **{f"{unit}s": n}) for a, b, s, n in parts)
    expected = []
    for start, stop, step, held in parts:
        rate = start
        while rate <= stop + 1e-9:
            expected += [rate] * held * (PER_EPOCH if unit == "epoch" else 1)
            rate += step
    test = RangeTest(segments)
    assert test.rates.size == 10 + 51 + 31
    found = test.multiplier(clock(len(expected) + 50))
    np.testing.assert_allclose(found[:-50], expected, rtol=1e-12)
    # The last rate is held.
    np.testing.assert_allclose(found[-50:], 1.1)


def test_a_range_test_may_grow_by_a_factor_and_begin_with_single_rates() -> None:
    test = RangeTest((Segment(0.0001, 0.0001, steps=2), Segment(0.001, 1.0, growth=10.0, steps=3)))
    expected = [1e-4] * 2 + [1e-3] * 3 + [1e-2] * 3 + [0.1] * 3 + [1.0] * 3
    assert test.multiplier(clock(14)).tolist() == expected


def test_rates_of_a_range_test_are_written_as_people_write_them() -> None:
    assert Segment(0.1, 1.0, step=0.1, steps=1).rates.tolist() == [k / 10 for k in range(1, 11)]


# --- reduce on plateau ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"factor": 0.5, "patience": 0, "threshold": 0.02},
        {"factor": 0.9, "patience": 1, "cooldown": 3, "min_lr": 0.05},
        {"factor": 0.3, "patience": 2, "threshold": 0.3, "min_lr": 1e-9},
    ],
)
def test_plateau_is_torchs_reduce_lr_on_plateau_in_every_run(
    mode: str, threshold_mode: str, given: dict[str, float]
) -> None:
    rng = np.random.default_rng(3)
    runs, evaluations = 6, 1500
    base = 10.0 ** rng.uniform(-2, 0.5, runs)
    slopes = rng.uniform(0, 0.01, runs)
    times = np.arange(evaluations)[:, None]
    measured = np.exp(-slopes * times) + 0.02 * rng.standard_normal((evaluations, runs))
    measured = measured if mode == "min" else 2 - measured
    plateau = Plateau("loss", "train", mode, threshold_mode=threshold_mode, **given)
    watch = Watch(plateau, base)
    found = []
    for row in measured:
        watch.observe(row)
        found.append(watch.rate)
    for run in range(runs):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=base[run])
        theirs = lr_scheduler.ReduceLROnPlateau(
            optimizer, mode=mode, threshold_mode=threshold_mode, **given
        )
        expected = []
        for value in measured[:, run]:
            theirs.step(value)
            expected.append(optimizer.param_groups[0]["lr"])
        assert [rates[run] for rates in found] == expected
    # The test would show nothing if no run were cut, or all at the same times.
    cuts = np.diff(np.array(found), axis=0) < 0
    assert cuts.any()
    assert len({tuple(column) for column in cuts.T}) > 1


def test_the_examples_in_the_docs_are_schedules_one_of_every_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cosine(clock: Clock, *, epochs: float) -> Floats:
        return np.ones_like(clock.step)

    monkeypatch.setitem(SCHEDULES, "cosine", cosine)
    page = (Path(__file__).parent.parent / "docs" / "schedules.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    problems: list[Problem] = []
    found = [parse(Schedule, one, "docs", "", problems) for one in yaml.safe_load_all(block)]
    assert problems == []
    (planned, plateau) = get_args(get_args(Schedule)[0])
    kinds = {*get_args(get_args(planned)[0]), plateau}
    assert {type(schedule) for schedule in found} == kinds
    for kind in kinds:
        assert f"| `{kind.kind}` |" in page


# --- bad values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        ({"kind": "exponential"}, "schedule", "one of factor (per every) and rate"),
        ({"kind": "exponential", "factor": 0.5, "rate": 1.0}, "schedule", "one of factor"),
        ({"kind": "exponential", "rate": 1.0, "every": 2}, "schedule", "every with factor only"),
        ({"kind": "exponential", "factor": -1}, "schedule.factor", "greater than 0"),
        ({"kind": "inverse", "gamma": 0}, "schedule.gamma", "greater than 0"),
        ({"kind": "polynomial", "total": 5, "final": 2}, "schedule.final", "less than or equal"),
        ({"kind": "polynomial"}, "schedule.total", "the key is required"),
        ({"kind": "linear", "until": 0}, "schedule.until", "greater than 0"),
        ({"kind": "cyclic", "low": 1.5, "half_period": 1}, "schedule.low", "less than or equal"),
        ({"kind": "warmup", "start": 0.1}, "schedule", "one of epochs and steps"),
        (
            {"kind": "warmup", "start": 0.1, "epochs": 1, "then": {"kind": "plateau"}},
            "schedule.then.kind",
            "multistep",
        ),
        ({"kind": "warmup", "start": 0.1, "epochs": 1, "mode": "x"}, "schedule.mode", "gradual"),
        ({"kind": "range_test", "segments": []}, "schedule.segments", "at least 1"),
        (
            {"kind": "range_test", "segments": [{"start": 1, "stop": 2, "epochs": 1}]},
            "schedule.segments.0",
            "one of step and growth",
        ),
        (
            {"kind": "range_test", "segments": [{"start": 2, "stop": 1, "step": 1, "steps": 1}]},
            "schedule.segments.0",
            "stop not below start",
        ),
        (
            {"kind": "range_test", "segments": [{"start": 1, "stop": 2, "step": 1}]},
            "schedule.segments.0",
            "how long",
        ),
        (
            {
                "kind": "range_test",
                "segments": [
                    {"start": 1, "stop": 1, "steps": 1},
                    {"start": 1, "stop": 1, "epochs": 1},
                ],
            },
            "schedule",
            "all in epochs or all in steps",
        ),
        (
            {"kind": "plateau", "metric": "loss", "split": "train", "mode": "low"},
            "schedule.mode",
            "min, max",
        ),
        (
            {"kind": "plateau", "metric": "loss", "split": "train", "mode": "min", "factor": 1},
            "schedule.factor",
            "less than 1",
        ),
        ({"kind": "expnential"}, "schedule.kind", "exponential"),
        ({"kind": "cyclic", "lo": 0.1, "half_period": 3}, "schedule.lo", "low"),
    ],
)
def test_a_bad_value_is_told_by_key(content: dict[str, object], key: str, words: str) -> None:
    problems: list[Problem] = []
    assert parse(Schedule, content, "claim.yaml", "schedule", problems) is None
    told = [str(problem) for problem in problems if problem.key == key]
    assert told, [str(problem) for problem in problems]
    assert words in told[0]
