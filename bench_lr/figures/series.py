"""From a tidy frame to the arrays that are drawn: trajectories, means and their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from bench_lr.schema import Arm

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Clock = Literal["epoch", "step", "examples", "seconds"]
CLOCKS: dict[Clock, str] = {
    "epoch": "epoch",
    "step": "parameter updates",
    "examples": "training examples",
    "seconds": "training time, s",
}
"""What can stand on a time axis, and how it is called there."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Trajectories:
    """One metric of one arm.

    Attributes
    ----------
    epochs : array, shape (times,)
    values : array, shape (seeds, times)
        NaN where a run has diverged. Accuracies are in percent.
    seeds : tuple of int
        Seed of each row.
    ends : array, shape (seeds,), or None
        Epoch of the last evaluation that each run has; None if they all have the last one.
    """

    epochs: Floats
    values: Floats
    seeds: tuple[int, ...]
    ends: Floats | None = None

    @property
    def ended(self) -> int:
        """Runs that ended before the last evaluation and have not diverged."""
        if self.ends is None:
            return 0
        whole = np.isfinite(self.values).all(axis=1)
        return int((whole & (self.ends < self.epochs[-1] - 1e-6)).sum())

    def own(self) -> Floats:
        """Values as in `values`, NaN after a run's last evaluation."""
        if self.ends is None:
            return self.values
        kept: Floats = np.where(self.epochs <= self.ends[:, None] + 1e-6, self.values, np.nan)
        return kept

    @property
    def diverged(self) -> int:
        """Runs with a value that is not finite."""
        return int((~np.isfinite(self.values)).any(axis=1).sum())

    def last(self, epochs: int | None) -> Floats:
        """Mean over the evaluations of the last `epochs` epochs (the last one if None).

        Returns
        -------
        array, shape (seeds,)
            NaN for a run that diverged within them.
        """
        if not self.epochs.size:
            return np.empty(0)
        window = self.epochs >= self.epochs[-1]
        if epochs is not None:
            window |= self.epochs > self.epochs[-1] - epochs + 1e-6
        result: Floats = self.values[:, window].mean(axis=1)
        return result


def trajectories(frame: pd.DataFrame, arm: str, metric: str, split: str) -> Trajectories:
    """Pick one metric of one arm; shape (0, 0) when there is nothing.

    A run that ended before others, at its target, keeps its last value: a mean over those still
    under way would be one over the slow.
    """
    if frame.empty:
        return Trajectories(np.empty(0), np.empty((0, 0)), ())
    rows = frame[(frame["arm"] == arm) & (frame["metric"] == metric) & (frame["split"] == split)]
    if rows.empty:
        return Trajectories(np.empty(0), np.empty((0, 0)), ())
    table = (
        rows.assign(epoch=rows["epoch"].astype(float).round(6))
        # What is not there is not what is not a number.
        .assign(value=rows["value"].astype(float).fillna(np.inf))
        .groupby(["seed", "epoch"])["value"]
        .last()
        .unstack("epoch")
        .sort_index()
    )
    epochs = table.columns.to_numpy(dtype=np.float64)
    last = epochs[table.notna().to_numpy()[:, ::-1].argmax(axis=1) * -1 - 1]
    values = table.ffill(axis=1).to_numpy(dtype=np.float64) * scale(metric)
    values[~np.isfinite(values)] = np.nan
    return Trajectories(epochs, values, tuple(int(seed) for seed in table.index), last)


def positions(frame: pd.DataFrame, arm: str, epochs: Floats, clock: Clock) -> Floats:
    """Where evaluations of an arm stand on a clock, shape (epochs,).

    Seconds are the mean over seeds of the training time until then; NaN where it was not stored.
    """
    if clock == "epoch" or not epochs.size:
        return epochs
    rows = frame[frame["arm"] == arm]
    column = {"step": "step", "examples": "examples", "seconds": "value"}[clock]
    if clock == "seconds":
        rows = rows[rows["metric"] == "seconds"]
    means = rows.groupby(rows["epoch"].astype(float).round(6))[column].mean()
    found: Floats = means.reindex(epochs).to_numpy(dtype=np.float64)
    return found


@dataclass(frozen=True)
class Band:
    """Mean across seeds and its pointwise 95 % Student-t interval, each of shape (times,).

    Diverged runs are left out; the interval is NaN where fewer than two runs are left.
    """

    mean: Floats
    low: Floats
    high: Floats


def band(values: Floats) -> Band:
    """Return mean and interval of `values`, shape (seeds, times), across seeds."""
    from scipy import stats

    count = np.isfinite(values).sum(axis=0)
    total = np.where(np.isfinite(values), values, 0.0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    squares = np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(axis=0)
    freedom = np.maximum(count - 1, 1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(
        squares / freedom / np.maximum(count, 1)
    )
    half = np.where(count > 1, half, np.nan)
    return Band(mean, mean - half, mean + half)


def select(arms: Sequence[Arm], patterns: Iterable[str] | None) -> list[Arm]:
    """Arms whose name is, or matches, one of `patterns`, in the claim's order; all if None."""
    if patterns is None:
        return list(arms)
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    return [arm for arm in arms if any(arm.name == p or fnmatchcase(arm.name, p) for p in wanted)]


def scale(metric: str) -> float:
    """Factor from stored to shown values: accuracies are stored as fractions, shown in percent."""
    return 100.0 if metric == "accuracy" else 1.0


def larger_is_better(metric: str) -> bool:
    """Whether larger values of `metric` are the better ones (losses are the rule)."""
    return "accuracy" in metric
