"""Schedules against torch's own and against closed forms."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from bench_lr.schedules import Clock, Constant, Floats, MultiStep, Step, Unit

STEPS = 3000
PER_EPOCH = 7


def clock(steps: int = STEPS, per_epoch: int = PER_EPOCH) -> Clock:
    step = np.arange(steps, dtype=np.float64)
    return Clock(step=step, epoch=np.floor(step / per_epoch))


def by_torch(kind: type, unit: Unit, steps: int = STEPS, **params: object) -> Floats:
    """Multipliers that a scheduler of torch gives, stepped by hand as training would."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = kind(optimizer, **params)
        for step in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            if unit == "step" or (step + 1) % PER_EPOCH == 0:
                scheduler.step()
    return np.asarray(rates)


@pytest.mark.parametrize("unit", ["step", "epoch"])
@pytest.mark.parametrize(("factor", "every"), [(0.9, 50), (0.5, 1), (0.1, 999), (1.01, 7)])
def test_step_is_torchs_step_lr(factor: float, every: int, unit: Unit) -> None:
    expected = by_torch(torch.optim.lr_scheduler.StepLR, unit, step_size=every, gamma=factor)
    found = Step(factor, every, unit).multiplier(clock())
    # Relative, down to where torch's repeated products run out of digits.
    normal = expected > 1e-250
    np.testing.assert_allclose(found[normal], expected[normal], rtol=1e-11)


@pytest.mark.parametrize("unit", ["step", "epoch"])
@pytest.mark.parametrize(
    ("factor", "milestones"),
    [(0.2, (10, 15, 18)), (0.1, (1,)), (0.5, (2, 2, 300)), (2.0, (2999,)), (0.3, ())],
)
def test_multistep_is_torchs_multi_step_lr(
    factor: float, milestones: tuple[int, ...], unit: Unit
) -> None:
    expected = by_torch(
        torch.optim.lr_scheduler.MultiStepLR, unit, milestones=list(milestones), gamma=factor
    )
    found = MultiStep(factor, milestones, unit).multiplier(clock())
    np.testing.assert_allclose(found, expected, rtol=1e-12)


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


def test_constant_is_one_throughout() -> None:
    assert Constant().multiplier(clock()).tolist() == [1.0] * STEPS
