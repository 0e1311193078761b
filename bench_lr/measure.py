"""From the trajectories of an arm's runs to the numbers that a criterion looks at."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench_lr.results import Results
from bench_lr.schema import COUNTS, Measure
from bench_lr.tables import Floats, Ints, Moments
from bench_lr.targets import meets

_SAME_EPOCH = 1e-6


class MeasureError(ValueError):
    """The stored runs do not hold what a criterion wants to look at."""


def measure(results: Results, what: Measure) -> tuple[Floats, Floats | None]:
    """Reduce the results of an arm's runs, in order of seed, to what a criterion looks at.

    Returns
    -------
    values : array, shape (seeds,) or, for ``at`` and ``curve``, (seeds, times)
    times : array, shape (times,), or None
        Epochs of the columns.

    Raises
    ------
    MeasureError
        If a run has no such metric, split or epoch.
    """
    if what.reduce in _BY_RUN:
        return _BY_RUN[what.reduce](results, what), None
    epochs, curves = _trajectories(results, what)
    match what.reduce:
        case "curve":
            kept = epochs >= what.from_epoch - _SAME_EPOCH
            return curves[:, kept], epochs[kept]
        case "mean_last":
            if not isinstance(what.epochs, int):
                raise MeasureError("mean_last needs epochs: <number of epochs>")
            kept = epochs > epochs[-1] - what.epochs + _SAME_EPOCH
            return curves[:, kept].mean(1), None
    wanted = what.epochs if isinstance(what.epochs, tuple) else ()
    if not wanted:
        raise MeasureError(f"{what.reduce} needs epochs: [<epoch>, ...]")
    columns = []
    for epoch in wanted:
        near = np.flatnonzero(np.abs(epochs - epoch) < _SAME_EPOCH)
        if not len(near):
            raise MeasureError(f"no evaluation at epoch {epoch:g} (the last is {epochs[-1]:g})")
        columns.append(near[0])
    values = curves[:, columns]
    return (values, np.asarray(wanted)) if what.reduce == "at" else (values.mean(1), None)


@dataclass(frozen=True)
class _Group:
    """Runs that have the same rows.

    Attributes
    ----------
    members : array, shape (members,)
        Positions of the runs.
    rows : array, shape (times,)
        Rows of the watched metric, in order of time.
    curves : array, shape (members, times)
    """

    moments: Moments
    members: Ints
    rows: Ints
    curves: Floats


def _groups(results: Results, metric: str, split: str) -> list[_Group]:
    """Values of a metric, by what runs say of when; runs may end at different times."""
    wanted = (metric, split)
    code = results.kinds.index(wanted) if wanted in results.kinds else -1
    found = []
    # Runs of an arm have the same rows, or nearly all of them have.
    for place in np.unique(results.which).tolist():
        moments, members = results.moments[place], np.flatnonzero(results.which == place)
        rows = _rows(moments, metric, code)
        if not len(rows):
            have = sorted(
                f"{m} ({s})" for m, s in (results.kinds[i] for i in np.unique(moments.kind))
            )
            raise MeasureError(f"no {metric} on {split}; there are {', '.join(have)}")
        if metric in COUNTS:
            count = (moments.step if metric == "steps" else moments.examples)[rows]
            curves = np.tile(count.astype(np.float64), (len(members), 1))
        else:
            curves = results.value[results.starts[members][:, None] + rows]
        found.append(_Group(moments, members, rows, curves))
    return found


def _by_run(reduce: Callable[[Floats], Floats]) -> Callable[[Results, Measure], Floats]:
    """Return the reduction of every run for itself by `reduce`, (runs, times) to (runs,)."""

    def reduced(results: Results, what: Measure) -> Floats:
        values = np.empty(results.runs)
        for group in _groups(results, what.metric, what.split):
            values[group.members] = reduce(group.curves)
        return values

    return reduced


def _first(results: Results, what: Measure) -> Floats:
    """When each run first meets the limit, shape (runs,)."""
    if what.otherwise is None:
        raise MeasureError("first needs otherwise: <number>")
    if (what.at_most is None) == (what.at_least is None):
        raise MeasureError("first needs at_most or at_least")
    values = np.empty(results.runs)
    clocks = _groups(results, "seconds", "train") if what.of == "seconds" else []
    for group in _groups(results, what.metric, what.split):
        met = meets(group.curves, what.at_most, what.at_least)
        when = met.argmax(1)
        match what.of:
            case "seconds":
                (clock,) = (it for it in clocks if it.moments is group.moments)
                times = _beside(group, clock)[np.arange(len(when)), when]
            case "epochs":
                times = group.moments.epoch[group.rows][when]
            case "steps":
                times = group.moments.step[group.rows][when]
            case "examples":
                times = group.moments.examples[group.rows][when]
        values[group.members] = np.where(met.any(1), times, what.otherwise)
    return values


def _onset(results: Results, what: Measure) -> Floats:
    """LR at which each run's loss rises, shape (runs,)."""
    if what.otherwise is None:
        raise MeasureError("onset needs otherwise: <number>")
    values = np.empty(results.runs)
    rates = _groups(results, "lr", "train")
    for group in _groups(results, what.metric, what.split):
        (rate,) = (it for it in rates if it.moments is group.moments)
        late = group.moments.epoch[group.rows] >= what.from_epoch - _SAME_EPOCH
        lrs, losses = _beside(group, rate)[:, late], group.curves[:, late]
        values[group.members] = [
            _risen(lr, loss, what.rise, what.otherwise)
            for lr, loss in zip(lrs, losses, strict=True)
        ]
    return values


def _risen(lrs: Floats, losses: Floats, rise: float, otherwise: float) -> float:
    """LR of the first of the stretches at one LR whose mean loss has risen, before the LR falls."""
    falls = np.flatnonzero(np.diff(lrs) < 0)
    if falls.size:
        lrs, losses = lrs[: falls[0] + 1], losses[: falls[0] + 1]
    starts = np.flatnonzero(np.diff(lrs, prepend=np.nan) != 0)
    lowest = np.inf
    for start, stop in itertools.pairwise([*starts.tolist(), len(lrs)]):
        mean = float(losses[start:stop].mean())
        if not np.isfinite(mean) or mean > rise * lowest:
            return float(lrs[start])
        lowest = min(lowest, mean)
    return otherwise


def _beside(group: _Group, other: _Group) -> Floats:
    """Values of another metric at the same times, shape (members, times)."""
    if not np.array_equal(group.moments.step[group.rows], other.moments.step[other.rows]):
        raise MeasureError("two metrics of a run are of different steps")
    return other.curves


_BY_RUN: dict[str, Callable[[Results, Measure], Floats]] = {
    "final": _by_run(lambda curves: curves[:, -1]),
    # Of a run that diverged there is no best: what it reached it did not keep.
    "largest": _by_run(lambda curves: curves.max(1)),
    "smallest": _by_run(lambda curves: curves.min(1)),
    "first": _first,
    "onset": _onset,
}
"""Reductions for which runs need not have ended at the same time."""


def _trajectories(results: Results, what: Measure) -> tuple[Floats, Floats]:
    """Epochs (times,) and values (runs, times) of a metric, in order of time."""
    groups = _groups(results, what.metric, what.split)
    if len({group.curves.shape[1] for group in groups}) > 1:
        raise MeasureError(
            f"runs of an arm have different numbers of {what.metric} evaluations, which "
            f"{what.reduce} cannot put together"
        )
    curves = np.empty((results.runs, groups[0].curves.shape[1]))
    for group in groups:
        curves[group.members] = group.curves
    return groups[0].moments.epoch[groups[0].rows], curves


def _rows(moments: Moments, metric: str, code: int) -> Ints:
    """Rows of a metric in order of time: of a count, the first of each step."""
    if metric in COUNTS:
        order = np.argsort(moments.step, kind="stable")
        new = np.diff(moments.step[order], prepend=-1) != 0
        first: Ints = order[new]
        return first
    rows = np.flatnonzero(moments.kind == code)
    sorted_rows: Ints = rows[np.argsort(moments.step[rows], kind="stable")]
    return sorted_rows
