"""Schedules that raise the LR: cycles, warm-up, and the LR range test."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.schedules.clock import Clock, Floats, Fraction, Positive, Unit
from bench_lr.schedules.decay import (
    Constant,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Cyclic:
    """A triangular wave between `low` and 1 (shares of the base LR), from `low` upwards.

    It takes `half_period` (in `unit`) to rise and as long to fall.

    Source: Smith (2017), Cyclical learning rates for training neural networks, section 3.2, policy
    "triangular"; ``CyclicLR`` of torch.
    """

    low: Fraction
    half_period: Positive
    unit: Unit = "step"
    kind: Literal["cyclic"] = "cyclic"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        halves = clock.of(self.unit) / self.half_period
        height = 1 - np.abs(np.mod(halves, 2.0) - 1)
        result: Floats = self.low + (1 - self.low) * height
        return result


Plain = Annotated[
    Constant | Step | MultiStep | Exponential | Inverse | Polynomial | Linear | Cyclic,
    Field(discriminator="kind"),
]


@dataclass(frozen=True)
class Warmup:
    """A lower LR over the first `epochs` (or `steps`), then another schedule.

    ``gradual`` adds a constant at every update, from `start` (a share of the base LR) up to 1;
    ``constant`` holds `start`. The schedule `then` counts from the start of the run, so that its
    milestones mean what they mean without warm-up.

    Source: Goyal et al. (2017), Accurate, large minibatch SGD, section 2.2.

    Raises
    ------
    ValueError
        If not exactly one of `epochs` and `steps` is given.
    """

    start: Fraction
    epochs: Positive | None = None
    steps: Count | None = None
    mode: Literal["gradual", "constant"] = "gradual"
    then: Plain = field(default_factory=Constant)
    kind: Literal["warmup"] = "warmup"

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("one of epochs and steps")

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        length = self.epochs if self.steps is None else self.steps
        assert length is not None
        done = clock.of("fractional_epoch" if self.steps is None else "step") / length
        low = self.start if self.mode == "constant" else self.start + (1 - self.start) * done
        result: Floats = np.where(done < 1, low, self.then.multiplier(clock))
        return result


@dataclass(frozen=True)
class Segment:
    """A stretch of a range test: LRs from `start` to `stop`, both included, each held alike long.

    They grow by `step` (added) or by `growth` (multiplied) and are held for `epochs` epochs or
    `steps` updates each. A segment of one LR has `start` equal to `stop` and neither.

    Raises
    ------
    ValueError
        If `stop` is below `start`, or not one way to grow or not one length is given.
    """

    start: Positive
    stop: Positive
    step: Positive | None = None
    growth: Annotated[float, Field(gt=1)] | None = None
    epochs: Count | None = None
    steps: Count | None = None

    def __post_init__(self) -> None:
        if self.stop < self.start:
            raise ValueError("stop not below start")
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("one of epochs and steps: how long each LR is held")
        ways = (self.step is not None) + (self.growth is not None)
        if ways > 1 or (ways == 0 and self.stop != self.start):
            raise ValueError("one of step and growth")

    @property
    def rates(self) -> Floats:
        """The LRs, shape (rates,); rounded to 12 digits, so that 3 times 0.1 is 0.3."""
        # Rounding must not lose the last one.
        if self.step is not None:
            count = int(np.floor((self.stop - self.start) / self.step * (1 + 1e-9) + 1e-9))
            values = self.start + self.step * np.arange(count + 1)
        elif self.growth is not None:
            count = int(np.floor(np.log(self.stop / self.start) / np.log(self.growth) + 1e-9))
            values = self.start * self.growth ** np.arange(count + 1)
        else:
            values = np.array([self.start])
        return np.array([float(f"{value:.12g}") for value in values])

    @property
    def held(self) -> int:
        """How long each LR is held, in epochs or updates."""
        held = self.epochs if self.steps is None else self.steps
        assert held is not None
        return held


@dataclass(frozen=True)
class RangeTest:
    """The LR range test: rising LRs, each held for a while, with weights carried from one to next.

    The LRs are absolute: the base LR of the run has to be 1. The last one is held to the end.

    Source: Smith (2017), Cyclical learning rates for training neural networks, section 3.3.

    Raises
    ------
    ValueError
        If some segments count epochs and others updates.
    """

    segments: Annotated[tuple[Segment, ...], Field(min_length=1)]
    kind: Literal["range_test"] = "range_test"

    def __post_init__(self) -> None:
        if len({segment.steps is None for segment in self.segments}) > 1:
            raise ValueError("segments all in epochs or all in steps")

    @property
    def unit(self) -> Unit:
        """What the segments count."""
        return "epoch" if self.segments[0].steps is None else "step"

    @cached_property
    def rates(self) -> Floats:
        """All LRs in order, shape (rates,)."""
        return np.concatenate([segment.rates for segment in self.segments])

    @cached_property
    def ends(self) -> Floats:
        """When each LR ends, in `unit`, shape (rates,)."""
        held = [np.full(segment.rates.size, float(segment.held)) for segment in self.segments]
        result: Floats = np.cumsum(np.concatenate(held))
        return result

    def multiplier(self, clock: Clock) -> Floats:
        """LR of each step (the base LR being 1), shape (steps,)."""
        which = np.searchsorted(self.ends, clock.of(self.unit), side="right")
        result: Floats = self.rates[np.minimum(which, self.rates.size - 1)]
        return result
