"""From the trajectories of an arm's runs to the numbers that a criterion looks at."""

from __future__ import annotations

import numpy as np

from bench_lr.results import Results
from bench_lr.schema import COUNTS, Measure
from bench_lr.tables import Floats, Ints, Moments

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
        case "largest" | "smallest":
            # Of a run that diverged there is no best: what it reached it did not keep.
            best = curves.max(1) if what.reduce == "largest" else curves.min(1)
            return best, None
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
    wanted = (what.metric, what.split)
    code = results.kinds.index(wanted) if wanted in results.kinds else -1
    # Runs of an arm have the same rows, or nearly all of them have.
    present = np.unique(results.which)
    rows = {p: _rows(results.moments[p], what.metric, code) for p in present.tolist()}
    which = results.which.tolist()
    counts = np.array([len(rows[p]) for p in which], np.int64)
    if not counts.all():
        lone = results.moments[which[int(counts.argmin())]]
        have = sorted(f"{m} ({s})" for m, s in (results.kinds[i] for i in np.unique(lone.kind)))
        raise MeasureError(f"no {what.metric} on {what.split}; there are {', '.join(have)}")
    if (counts != counts[0]).any():
        raise MeasureError(f"runs of an arm have different numbers of {what.metric} evaluations")
    curves = np.empty((results.runs, int(counts[0])))
    for place, chosen in rows.items():
        moments, members = results.moments[place], np.flatnonzero(results.which == place)
        if what.metric in COUNTS:
            curves[members] = (moments.step if what.metric == "steps" else moments.examples)[chosen]
        else:
            curves[members] = results.value[results.starts[members][:, None] + chosen]
    return results.moments[which[0]].epoch[rows[which[0]]], curves


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
