"""Schedules that lower the LR: the policies that frameworks and lectures name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.schedules.clock import Clock, Floats, Fraction, NonNegative, Positive, Unit


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


@dataclass(frozen=True)
class Exponential:
    r"""Exponential decay, written as :math:`\gamma^{t / T}` or as :math:`e^{-k t}`, t in `unit`.

    Either `factor` (γ, one `every` T) or `rate` (k, per unit) is given. ``ExponentialLR`` of torch
    with T = 1; TensorFlow's exponential decay without ``staircase``.

    Raises
    ------
    ValueError
        If not exactly one of `factor` and `rate` is given, or `every` with `rate`.
    """

    factor: Positive | None = None
    rate: Positive | None = None
    every: Positive = 1.0
    unit: Unit = "step"
    kind: Literal["exponential"] = "exponential"

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.rate is None):
            raise ValueError("one of factor (per every) and rate (e^(-rate t))")
        if self.rate is not None and self.every != 1.0:
            raise ValueError("every with factor only; rate is per unit")

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        time = clock.of(self.unit)
        if self.rate is not None:
            return np.exp(-self.rate * time)
        assert self.factor is not None
        result: Floats = np.power(self.factor, time / self.every)
        return result


@dataclass(frozen=True)
class Inverse:
    r""":math:`(1 + \gamma t)^{-p}` with t in `unit`, γ = `gamma` and p = `power`.

    The ``inv`` policy of Caffe; with p = 1 the hyperbolic decay :math:`1 / (1 + k t)`.
    """

    gamma: Positive
    power: Positive = 0.5
    unit: Unit = "step"
    kind: Literal["inverse"] = "inverse"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        result: Floats = np.power(1 + self.gamma * clock.of(self.unit), -self.power)
        return result


@dataclass(frozen=True)
class Polynomial:
    r""":math:`f + (1 - f)(1 - t / T)^p` up to t = T = `total` (in `unit`), f = `final` after it.

    The ``poly`` policy of Caffe; ``PolynomialLR`` of torch where `final` is 0.
    """

    total: Positive
    power: Positive = 1.0
    final: Fraction = 0.0
    unit: Unit = "step"
    kind: Literal["polynomial"] = "polynomial"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        left = 1 - np.minimum(clock.of(self.unit) / self.total, 1.0)
        result: Floats = self.final + (1 - self.final) * np.power(left, self.power)
        return result


@dataclass(frozen=True)
class Linear:
    r""":math:`(1 - \alpha) + \alpha f` with :math:`\alpha = \min(t / \tau, 1)`: constant after τ.

    τ = `until` in `unit`, f = `final`, the share of the base LR that is left.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, equation 8.14. ``LinearLR`` of
    torch with ``start_factor=1``.
    """

    until: Positive
    final: NonNegative = 0.01
    unit: Unit = "step"
    kind: Literal["linear"] = "linear"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,)."""
        done = np.minimum(clock.of(self.unit) / self.until, 1.0)
        result: Floats = (1 - done) + done * self.final
        return result
