"""From the trajectories of an arm's runs to the numbers that a criterion looks at."""

from __future__ import annotations

import numpy as np

from bench_lr.results import Floats, Ints, Results
from bench_lr.schema import COUNTS, Measure

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
    epochs, curves = _trajectories(results, what)
    match what.reduce:
        case "final":
            return curves[:, -1], None
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


def _trajectories(results: Results, what: Measure) -> tuple[Floats, Floats]:
    """Epochs (times,) and values (runs, times) of a metric, in order of time."""
    run = results.run
    column: Ints | Floats
    if what.metric in COUNTS:
        rows = _steps(run, results.step)
        column = results.step if what.metric == "steps" else results.examples
    else:
        wanted = (what.metric, what.split)
        code = results.kinds.index(wanted) if wanted in results.kinds else -1
        rows = np.flatnonzero(results.kind == code)
        rows = rows[np.lexsort((results.step[rows], run[rows]))]
        column = results.value
    counts = np.bincount(run[rows], minlength=results.runs)
    if not counts.all():
        here = results.of(lone := int(counts.argmin()), lone + 1)
        have = sorted(f"{m} ({s})" for m, s in (here.kinds[i] for i in np.unique(here.kind)))
        raise MeasureError(f"no {what.metric} on {what.split}; there are {', '.join(have)}")
    if (counts != counts[0]).any():
        raise MeasureError(f"runs of an arm have different numbers of {what.metric} evaluations")
    curves = column[rows].astype(np.float64).reshape(results.runs, -1)
    return results.epoch[rows[: counts[0]]], curves


def _steps(run: Ints, step: Ints) -> Ints:
    """First row of each step of each run, in order."""
    rows = np.lexsort((step, run))
    new = (np.diff(run[rows], prepend=-1) != 0) | (np.diff(step[rows], prepend=-1) != 0)
    first: Ints = rows[new]
    return first
