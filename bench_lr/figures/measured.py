"""One number a seed: what a figure shows of an arm, or of a derived quantity."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench_lr.figures.labels import metric_label, metric_words
from bench_lr.figures.series import Floats, band, larger_is_better, scale
from bench_lr.measure import MeasureError, measure
from bench_lr.results import Results
from bench_lr.schema import COUNTS, Measure
from bench_lr.tables import Moments
from bench_lr.verdict import ClaimVerdict

DEFAULT = Measure(metric="accuracy", reduce="mean_last", epochs=5)
Centre = Literal["mean", "geometric", "median"]
EVENTS = ("first", "onset")
"""Reductions whose result is when something happens, not a value of the metric."""


@dataclass(frozen=True)
class Sample:
    """A number of each seed.

    Attributes
    ----------
    values : array, shape (seeds,)
        NaN for a run that diverged; accuracies are in percent.
    capped : array of bool, shape (seeds,)
        Whether a run has the value that stands for "never": it did not reach its target.
    seeds : tuple of int
        What to pair samples by.
    """

    values: Floats
    capped: npt.NDArray[np.bool_]
    seeds: tuple[int, ...]

    @property
    def finite(self) -> Floats:
        """Values of the runs that did not diverge."""
        found: Floats = self.values[np.isfinite(self.values)]
        return found

    @property
    def diverged(self) -> int:
        """Runs without a number."""
        return int(self.values.size - self.finite.size)


def samples(verdict: ClaimVerdict, arms: Sequence[str], what: Measure) -> dict[str, Sample]:
    """Reduce every run of the arms to the number that `what` names.

    Returns
    -------
    dict of arm to Sample
        Without values where nothing is stored; a run that lacks what is asked for counts so.
    """
    found: dict[str, dict[int, float]] = {name: {} for name in arms}
    frame = verdict.frame
    if not frame.empty:
        rows = frame[frame["arm"].isin(list(arms))]
        if what.metric not in COUNTS:
            # A range test's loss is read beside its learning rate, a time to a target on a clock.
            own = (rows["metric"] == what.metric) & (rows["split"] == what.split)
            rows = rows[own | rows["metric"].isin(["lr", "seconds"])]
        for name in arms:
            for seed, run in rows[rows["arm"] == name].groupby("seed", sort=True):
                with contextlib.suppress(MeasureError):
                    value = np.ravel(measure(_results(run), what)[0])[-1]
                    found[name][int(str(seed))] = float(value)
    return {name: _sample(values, what) for name, values in found.items()}


def _sample(found: Mapping[int, float], what: Measure) -> Sample:
    values = np.array(list(found.values()), dtype=np.float64)
    never = np.nan if what.otherwise is None else what.otherwise
    capped: npt.NDArray[np.bool_] = values == never
    values[~np.isfinite(values)] = np.nan
    return Sample(values * shown_scale(what), capped, tuple(found))


def derived_sample(verdict: ClaimVerdict, name: str) -> Sample:
    """Return a derived quantity, or a calculation, of the claim; empty if it is not known."""
    known: Mapping[str, Floats] = {**verdict.calculations, **verdict.derived}
    values = np.array(known.get(name, ()), dtype=np.float64)
    # Of several numbers a seed, the last.
    values = values[:, -1] if values.ndim == 2 else values.ravel()
    values[~np.isfinite(values)] = np.nan
    runs = verdict.claim.arms[0].runs if verdict.claim.arms else ()
    seeds = tuple(run.seed for run in runs)
    if len(seeds) != values.size:
        seeds = tuple(range(values.size))
    return Sample(values, np.zeros(values.size, dtype=bool), seeds)


def derived_names(verdict: ClaimVerdict, patterns: Iterable[str]) -> list[str]:
    """Names of the derived quantities and calculations that are, or match, one of `patterns`.

    In the order of the patterns; one that is no glob is kept whether it is known or not.
    """
    known = [*verdict.claim.spec.calculations, *verdict.claim.spec.derived]
    known += [name for name in verdict.derived if name not in known]
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in known if fnmatchcase(name, pattern)]
        found.update(dict.fromkeys([pattern] if pattern in known else matching or [pattern]))
    return list(found)


CENTRES: dict[Centre, tuple[str, str]] = {
    "mean": ("mean over {} seeds", "its 95 % t interval"),
    "geometric": ("geometric mean over {} seeds", "its 95 % t interval (of logarithms)"),
    "median": ("median of {} seeds", "the quartiles"),
}
"""A centre and its interval in words."""


def shown_measures(verdict: ClaimVerdict, given: Sequence[Measure] | None) -> list[Measure]:
    """Return the measures to show: those given, else the first two that the criteria look at.

    Of measures of one metric the first counts, those of claim criteria before others.
    """
    if given:
        return list(given)
    found: dict[tuple[str, str], Measure] = {}
    for role in ("claim", "reading", "control"):
        for judged in verdict.criteria:
            what = judged.spec.measure
            if judged.spec.role == role and what is not None and what.reduce != "curve":
                found.setdefault((what.metric, what.split), what)
    return list(found.values())[:2] or [DEFAULT]


def measure_label(verdict: ClaimVerdict, what: Measure) -> str:
    """Say in words what a measure is, with its unit."""
    if what.reduce in EVENTS:
        return _event_label(verdict, what)
    if what.metric in COUNTS:
        return {"steps": "parameter updates", "examples": "training examples"}[what.metric]
    return metric_label(verdict, what.metric, what.split) + _when(what)


def is_larger_better(what: Measure) -> bool:
    """Whether larger numbers are the better ones."""
    return larger_is_better(what.metric) and what.reduce not in EVENTS


def shown_scale(what: Measure) -> float:
    """Factor from what a measure gives to what is shown."""
    return 1.0 if what.reduce in EVENTS else scale(what.metric)


def _when(what: Measure) -> str:
    match what.reduce:
        case "largest" | "smallest":
            return f" ({what.reduce} of the run)"
        case "mean_last" if what.epochs == 1:
            return " (last epoch)"
        case "mean_last":
            return f" (last {what.epochs} epochs)"
        case "mean_at" | "at" if isinstance(what.epochs, tuple):
            many = "s" if len(what.epochs) > 1 else ""
            return f" (epoch{many} {', '.join(f'{e:g}' for e in what.epochs)})"
    return ""


def _event_label(verdict: ClaimVerdict, what: Measure) -> str:
    if what.reduce == "onset":
        return "learning rate at which the loss rises"
    name, unit = metric_words(verdict, what.metric)
    least = what.at_most is None
    limit = (what.at_least if least else what.at_most) or 0.0
    shown = f"{limit * scale(what.metric):g}{' %' if unit == '%' else ''}"
    spent = {"steps": "parameter updates", "examples": "training examples"}.get(what.of, what.of)
    return f"{spent} to {what.split.replace('_', ' ')} {name} {'≥' if least else '≤'} {shown}"


def _results(run: pd.DataFrame) -> Results:
    """Return one run's rows as `measure` reads them."""
    pairs = list(zip(run["metric"], run["split"], strict=True))
    kinds = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    moments = Moments(
        step=run["step"].to_numpy(np.int64),
        epoch=run["epoch"].to_numpy(np.float64),
        examples=run["examples"].to_numpy(np.int64),
        kind=np.array([kinds[pair] for pair in pairs], np.int16),
    )
    return Results(
        moments=(moments,),
        which=np.zeros(1, np.int64),
        starts=np.array([0, len(pairs)], np.int64),
        value=run["value"].to_numpy(np.float64),
        kinds=tuple(kinds),
    )


def middle_of(sample: Sample, how: Centre) -> tuple[float, float, float]:
    """Return the centre of a sample and its interval, without the runs that diverged.

    Returns
    -------
    (centre, low, high)
        Mean and 95 % t interval, the same of logarithms (of numbers above 0), or median and
        quartiles; NaN where there is none.
    """
    values = sample.finite
    if not values.size:
        return float("nan"), float("nan"), float("nan")
    if how == "median":
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        return float(middle), float(low), float(high)
    if how == "geometric":
        values = np.log(values[values > 0])
        found = band(values[:, None])
        return (
            float(np.exp(found.mean[0])),
            float(np.exp(found.low[0])),
            float(np.exp(found.high[0])),
        )
    found = band(values[:, None])
    return float(found.mean[0]), float(found.low[0]), float(found.high[0])
