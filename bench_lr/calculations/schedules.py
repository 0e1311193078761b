"""Learning rates that a schedule gives, and that a source prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.schedules import Clock, Floats, Schedule

Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


@dataclass(frozen=True)
class ScheduleValues:
    """LR of a schedule at the given steps (or epochs, for a schedule that counts epochs)."""

    schedule: Schedule
    lr: Annotated[float, Field(gt=0)]
    at: Steps
    kind: Literal["schedule_values"] = "schedule_values"

    def values(self) -> Floats:
        """Return the LR at each of `at`, shape (len(at),)."""
        now = np.asarray(self.at, dtype=np.float64)
        result: Floats = self.lr * self.schedule.multiplier(Clock(step=now, epoch=now))
        return result


@dataclass(frozen=True)
class RecursiveStepDecay:
    r"""Step decay read as a recursion on the current LR.

    :math:`\eta_{new} = \eta_{current} \gamma^{t / T}` applied at every multiple t of T = `every`.
    """

    lr: Annotated[float, Field(gt=0)]
    factor: Annotated[float, Field(gt=0)]
    every: Annotated[int, Field(ge=1)]
    at: Steps
    kind: Literal["recursive_step_decay"] = "recursive_step_decay"

    def values(self) -> Floats:
        """Return the LR at each of `at`, shape (len(at),)."""
        changes = np.asarray(self.at) // self.every
        # The exponents 1 + 2 + ... + n of n changes add up to n (n + 1) / 2.
        result: Floats = self.lr * np.power(self.factor, changes * (changes + 1) / 2)
        return result
