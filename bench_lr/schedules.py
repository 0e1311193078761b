"""Learning-rate schedules: pure functions from training time to a multiplier of the base LR.

A schedule never sees the network. The engine evaluates it once for every step of a run and trains
from the resulting table, so runs of one cohort may follow different schedules at no cost.
To add one: write a frozen dataclass with a literal ``kind`` and a ``multiplier``, and name it in
``Schedule`` below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

Floats = npt.NDArray[np.float64]
Unit = Literal["step", "epoch"]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Clock:
    """Where each parameter update stands in its run.

    Parameters
    ----------
    step : array, shape (steps,)
        Updates made before this one; the first update has step 0.
    epoch : array, shape (steps,)
        Completed epochs before this update (whole numbers, as floats).
    """

    step: Floats
    epoch: Floats

    def of(self, unit: Unit) -> Floats:
        """Return the clock that counts in `unit`."""
        return self.step if unit == "step" else self.epoch


@dataclass(frozen=True)
class Constant:
    """The base LR throughout (the "fixed" policy)."""

    kind: Literal["constant"] = "constant"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        return np.ones_like(clock.step)


@dataclass(frozen=True)
class Step:
    r"""Step decay, :math:`\gamma^{\lfloor t / T \rfloor}` with t in `unit` and T = `every`.

    The ``staircase`` form of TensorFlow's exponential decay; ``StepLR`` of torch.
    """

    factor: Positive
    every: Annotated[int, Field(ge=1)]
    unit: Unit = "step"
    kind: Literal["step"] = "step"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        result: Floats = np.power(self.factor, np.floor(clock.of(self.unit) / self.every))
        return result


@dataclass(frozen=True)
class MultiStep:
    r"""Multiply by `factor` at each milestone, :math:`\gamma^{\#\{m : m \le t\}}` with t in `unit`.

    The same as ``torch.optim.lr_scheduler.MultiStepLR``.
    """

    factor: Positive
    milestones: tuple[Annotated[int, Field(ge=0)], ...]
    unit: Unit = "epoch"
    kind: Literal["multistep"] = "multistep"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        passed = np.searchsorted(np.sort(self.milestones), clock.of(self.unit), side="right")
        result: Floats = np.power(self.factor, passed.astype(np.float64))
        return result


Schedule = Annotated[Constant | Step | MultiStep, Field(discriminator="kind")]
