r"""Cutting the LR on a plateau, as a rule that can be written the right way round or the wrong one.

The rule watches the expected loss of stochastic gradient descent on a noisy quadratic, which it
changes in turn: with curvature :math:`\lambda` and gradient noise :math:`\sigma` the expected
squared distance follows :math:`m \leftarrow (1 - \eta\lambda)^2 m + \eta^2\sigma^2` and the loss is
:math:`\frac12 \lambda m`. At a fixed LR it falls geometrically to the floor
:math:`\eta\sigma^2 / (2 (2 - \eta\lambda))`. No random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.calculations.words import Count, Positive
from bench_lr.schedules import Floats


@dataclass(frozen=True)
class PlateauRule:
    """Multiply the LR by `factor` when the loss has fallen by so much over `window` iterations.

    `cut_when`: ``below`` (the fall is less than `threshold`: a plateau), ``above`` (it is more) or
    ``never``. The rule is looked at in every iteration as soon as `window` losses have been seen;
    with `restart`, they are counted anew after a cut.

    `report`: ``loss`` or ``lr`` (of every `every`-th iteration); ``final_loss``; ``height`` (loss
    at the first cut as a multiple of the floor of the first LR, infinite if there is no cut).
    """

    cut_when: Literal["below", "above", "never"]
    threshold: Positive
    window: Count
    factor: Annotated[float, Field(gt=0, lt=1)]
    lr: Positive
    iterations: Count
    start: Positive
    restart: bool = True
    curvature: Positive = 1.0
    noise: Positive = 1.0
    report: Literal["loss", "lr", "final_loss", "height"] = "loss"
    every: Count = 1
    kind: Literal["plateau_rule"] = "plateau_rule"

    def values(self) -> Floats:
        """Return what is reported, shape (iterations / every,) or (1,)."""
        losses, rates, first_cut = self._followed()
        match self.report:
            case "loss":
                return losses[:: self.every]
            case "lr":
                return rates[:: self.every]
            case "final_loss":
                return losses[-1:]
        floor = self.lr * self.noise**2 / (2 * (2 - self.lr * self.curvature))
        return np.array([np.inf if first_cut is None else losses[first_cut] / floor])

    def _followed(self) -> tuple[Floats, Floats, int | None]:
        """Loss before, and LR of, each iteration; and the iteration of the first cut."""
        squared, lr = self.start**2, self.lr
        losses, rates = np.empty(self.iterations), np.empty(self.iterations)
        since, first_cut = 0, None
        for now in range(self.iterations):
            losses[now] = 0.5 * self.curvature * squared
            if self.cut_when != "never" and now - since >= self.window:
                fall = losses[now - self.window] - losses[now]
                if (fall < self.threshold) == (self.cut_when == "below"):
                    lr *= self.factor
                    first_cut = now if first_cut is None else first_cut
                    since = now if self.restart else since
            rates[now] = lr
            squared = (1 - lr * self.curvature) ** 2 * squared + (lr * self.noise) ** 2
        return losses, rates, first_cut
