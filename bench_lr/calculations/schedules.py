"""Learning rates that a schedule gives, and that a source prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.calculations.words import Count, Positive, Steps
from bench_lr.schedules import Clock, Floats, Planned

Times = Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]


@dataclass(frozen=True)
class ScheduleValues:
    """LR of a schedule at the given steps (or epochs, for a schedule that counts epochs).

    With `steps_per_epoch`, `at` are steps whatever the schedule counts.
    """

    schedule: Planned
    lr: Positive
    at: Times
    steps_per_epoch: Count | None = None
    kind: Literal["schedule_values"] = "schedule_values"

    def values(self) -> Floats:
        """Return the LR at each of `at`, shape (len(at),)."""
        now = np.asarray(self.at, dtype=np.float64)
        steps = self.steps_per_epoch
        clock = Clock(now, now) if steps is None else Clock.steady(now, steps)
        result: Floats = self.lr * self.schedule.multiplier(clock)
        return result


@dataclass(frozen=True)
class ScheduleSums:
    r"""Partial sums :math:`\sum_{t < T} \eta_t^p` of a schedule's LRs, t in its own unit.

    With p = `power` = 1 this is the total travel: what all updates up to T amount to, in units of
    the gradient. `report` ``left`` is the share of the sum up to `until` that T and later times
    contribute.
    """

    schedule: Planned
    lr: Positive
    at: Steps
    power: Positive = 1.0
    report: Literal["sum", "left"] = "sum"
    until: Count | None = None
    kind: Literal["schedule_sums"] = "schedule_sums"

    def __post_init__(self) -> None:
        """Raise ValueError if `left` has no end, or an end before one of `at`."""
        if (self.until is None) != (self.report == "sum"):
            raise ValueError("until with report: left, and only with it")
        if self.until is not None and self.until < max(self.at):
            raise ValueError(f"until ({self.until}) not before the last of at")

    def values(self) -> Floats:
        """Return the sum before, or the share left at, each of `at`, shape (len(at),)."""
        now = np.arange(self.until or max(self.at), dtype=np.float64)
        rates = self.lr * self.schedule.multiplier(Clock(now, now))
        powers = rates**self.power
        if self.report == "sum":
            sums: Floats = np.concatenate([[0.0], np.cumsum(powers)])[np.asarray(self.at)]
            return sums
        # From the end, so that a small rest is no difference of large sums.
        rests = np.concatenate([np.cumsum(powers[::-1])[::-1], [0.0]])
        result: Floats = rests[np.asarray(self.at)] / rests[0]
        return result


@dataclass(frozen=True)
class RecursiveStepDecay:
    r"""Step decay read as a recursion on the current LR.

    :math:`\eta_{new} = \eta_{current} \gamma^{t / T}` applied at every multiple t of T = `every`.
    """

    lr: Positive
    factor: Positive
    every: Count
    at: Steps
    kind: Literal["recursive_step_decay"] = "recursive_step_decay"

    def values(self) -> Floats:
        """Return the LR at each of `at`, shape (len(at),)."""
        changes = np.asarray(self.at) // self.every
        # The exponents 1 + 2 + ... + n of n changes add up to n (n + 1) / 2.
        result: Floats = self.lr * np.power(self.factor, changes * (changes + 1) / 2)
        return result
