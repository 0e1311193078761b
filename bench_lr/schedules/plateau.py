"""Reduce on plateau: the schedule that watches the run it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench_lr.schedules.clock import Clock, Floats, NonNegative

LEAST_CHANGE = 1e-8
"""A cut that changes the LR by no more than this is not made (``eps`` of torch)."""


@dataclass(frozen=True)
class Plateau:
    """Multiply the LR by `factor` once a metric has not improved for `patience` evaluations.

    Looked at after every evaluation; semantics and defaults are those of
    ``torch.optim.lr_scheduler.ReduceLROnPlateau``. An evaluation counts as better than the best so
    far if it is so by more than `threshold`: a share of the best (``rel``), or in the metric's
    units (``abs``). The evaluation that exceeds `patience` in a row without improvement cuts the
    LR, not below `min_lr`; the `cooldown` evaluations after a cut are not counted.

    Parameters
    ----------
    metric, split : str
        What to watch; a split the run is evaluated on, or the mean loss of training.
    """

    metric: Literal["loss", "accuracy"]
    split: Literal["train", "training_set", "validation", "test"]
    mode: Literal["min", "max"]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 10
    threshold: NonNegative = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: Annotated[int, Field(ge=0)] = 0
    min_lr: NonNegative = 0.0
    kind: Literal["plateau"] = "plateau"

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR before any cut, shape (steps,)."""
        return np.ones_like(clock.step)

    def better(self, value: Floats, best: Floats) -> npt.NDArray[np.bool_]:
        """Whether each value is an improvement on the best so far."""
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "abs":
            bar = best + sign * self.threshold
        else:
            bar = best * (1 + sign * self.threshold)
        result: npt.NDArray[np.bool_] = sign * value > sign * bar
        return result


class Watch:
    """The state of one plateau schedule in runs that follow it.

    Parameters
    ----------
    plateau : Plateau
        The schedule.
    base : sequence of float, shape (runs,)
        Their base LRs.
    """

    def __init__(self, plateau: Plateau, base: Sequence[float] | Floats) -> None:
        self._plateau = plateau
        self.rate: Floats = np.array(base, dtype=np.float64)
        """LR of each run now."""
        self._best = np.full(self.rate.shape, -np.inf if plateau.mode == "max" else np.inf)
        self._bad = np.zeros(self.rate.shape, dtype=np.int64)
        self._cooling = np.zeros(self.rate.shape, dtype=np.int64)

    @property
    def state(self) -> tuple[npt.NDArray[np.generic], ...]:
        """What it remembers, copied."""
        kept = (self.rate, self._best, self._bad, self._cooling)
        return tuple(array.copy() for array in kept)

    def restore(self, state: Sequence[npt.NDArray[np.generic]]) -> None:
        """Go on from what `state` was."""
        rate, best, bad, cooling = state
        self.rate, self._best = rate.astype(np.float64), best.astype(np.float64)
        self._bad, self._cooling = bad.astype(np.int64), cooling.astype(np.int64)

    def observe(self, value: Floats) -> None:
        """Take the metric of one evaluation of each run, shape (runs,), and cut where due."""
        plateau = self._plateau
        better = plateau.better(value, self._best)
        self._best = np.where(better, value, self._best)
        self._bad = np.where(better, 0, self._bad + 1)
        cooling = self._cooling > 0
        self._cooling -= cooling
        self._bad[cooling] = 0
        due = self._bad > plateau.patience
        lower = np.maximum(self.rate * plateau.factor, plateau.min_lr)
        self.rate = np.where(due & (self.rate - lower > LEAST_CHANGE), lower, self.rate)
        self._cooling[due] = plateau.cooldown
        self._bad[due] = 0
