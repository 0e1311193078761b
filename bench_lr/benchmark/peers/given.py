"""What every way is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from bench_lr.cohort import streams
from bench_lr.data import DataError, Dataset, load
from bench_lr.schedules import Constant
from bench_lr.schema import RunConfig, TaskConfig

EVALUATION_BATCH = 1000
"""Examples that are evaluated at a time."""


@dataclass(frozen=True)
class Curves:
    """Results of every evaluation on the validation set.

    Attributes
    ----------
    loss : array, shape (evaluations, runs)
        Mean loss.
    accuracy : array, shape (evaluations, runs)
        Share of right answers; NaN where targets are real numbers.
    """

    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @classmethod
    def of(cls, values: Any) -> Curves:
        """Make them of pairs of loss and accuracy, shape (evaluations, runs, 2)."""
        loss, accuracy = np.moveaxis(np.asarray(values, dtype=np.float64), 2, 0)
        return cls(loss, accuracy)

    @classmethod
    def joined(cls, parts: Sequence[Curves]) -> Curves:
        """Put the runs of several parts side by side."""
        loss = np.concatenate([part.loss for part in parts], axis=1)
        return cls(loss, np.concatenate([part.accuracy for part in parts], axis=1))


def dataset(name: str) -> Dataset:
    """Return a data set, or noise in its shape where it cannot be had: training takes as long."""
    try:
        return load(name)
    except DataError:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (70000, 1, 28, 28), dtype=torch.uint8, generator=generator)
        y = torch.randint(0, 10, (70000,), generator=generator)
        return Dataset("noise", x[:60000], y[:60000], x[60000:], y[60000:], "", 10)


@lru_cache(maxsize=1)
def inputs(data: Dataset) -> Tensor:
    """Training inputs as the networks see them, float32 [examples, ...]; converted once."""
    return data.train_x.float() * data.scale


class Visits:
    """Which examples a run trains and is evaluated on, and in which order.

    Parameters
    ----------
    available : int
        Examples of the data set.

    Attributes
    ----------
    train_at, held_out : array of int64
        Positions of its training and validation examples.
    """

    def __init__(self, run: RunConfig, available: int) -> None:
        self.train_at, self.held_out = streams.split(run.task, available, run.seed)
        self._seed = run.seed

    def epoch(self, number: int) -> streams.Indices:
        """Positions of the training examples in the order of an epoch."""
        return self.train_at[streams.epoch_order(self._seed, number, len(self.train_at))]


def check_plain(runs: Sequence[RunConfig]) -> None:
    """Raise ValueError if a run is more than plain SGD at a constant LR, all that peers do."""
    for run in runs:
        if not run.optimizer.is_plain or not isinstance(run.schedule, Constant):
            raise ValueError(f"not plain SGD at a constant learning rate: {run}")


def loss_of(task: TaskConfig, output: Tensor, target: Tensor) -> Tensor:
    """Mean loss of a batch."""
    if task.loss == "half_mse":
        return (output - target).square().sum(-1).mean() / 2
    return functional.cross_entropy(output, target)


def accuracy_of(task: TaskConfig, output: Tensor, target: Tensor) -> Tensor:
    """Share of right answers in a batch; NaN where targets are real numbers."""
    if task.loss == "half_mse":
        return output.new_tensor(torch.nan)
    return (output.argmax(-1) == target).float().mean()
