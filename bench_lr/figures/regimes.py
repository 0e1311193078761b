"""The four regimes of the learning rate: a loss curve a rate, in the colour of its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench_lr.criteria.regimes import CLASSES
from bench_lr.figures.axis import panel_width, plain_log, time_axis
from bench_lr.figures.canvas import canvas, nothing, wrapped
from bench_lr.figures.labels import EndLabel, arm_label, label_ends, metric_label
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Clock, Floats, Trajectories, positions, select, trajectories
from bench_lr.figures.style import MUTED, Colour, readable
from bench_lr.figures.style import colours as own_colours
from bench_lr.verdict import ClaimVerdict, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Regime = Literal["too_low", "right", "jumps", "diverges"]
Named = Literal["blue", "green", "red", "yellow"]

SHADES: dict[Named, str] = {
    "blue": "#0173b2",
    "green": "#029e73",
    "red": "#c8321e",
    "yellow": "#c79a00",
}
COLOURS: dict[Regime, Named] = {
    "too_low": "blue",
    "right": "green",
    "jumps": "red",
    "diverges": "yellow",
}
WORDS: dict[str, str] = {
    "too_low": "too low: slow",
    "right": "right",
    "jumps": "high: falls fast, then jumps about",
    "diverges": "too high: diverges",
    "none": "between two classes",
}


@dataclass(frozen=True)
class Curve:
    """The runs of one learning rate; `shown` is the row that is drawn thick."""

    name: str
    regime: str
    x: Floats
    data: Trajectories
    shown: int
    colour: Colour | str


@figure("regimes")
def regimes(
    verdict: ClaimVerdict,
    *,
    criterion: str | None = None,
    metric: str | None = None,
    split: str | None = None,
    arms: Sequence[str] | None = None,
    x: Clock = "epoch",
    log_x: bool = False,
    log_y: bool = True,
    colours: Mapping[Regime, Named] | None = None,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draw the loss of each learning rate's first seed, the others faint, by class.

    Parameters
    ----------
    criterion : str, optional
        Id of the criterion ``regimes`` that sorts the arms; by default the first. An arm is of the
        class of most of its runs.
    metric, split : str, optional
        Rows of the results to draw; by default what the criterion looks at.
    arms : list of str, optional
        Names or globs of the arms to draw; all by default.
    x : {"epoch", "step", "examples", "seconds"}
        What stands on the horizontal axis.
    log_x, log_y : bool
        Logarithmic axes.
    colours : mapping of class to {"blue", "green", "red", "yellow"}, optional
        The colours that the source describes.
    ylim : pair of float, optional
        Limits of the y axis in shown units.
    """
    judged = _criterion(verdict, criterion)
    what = None if judged is None else judged.spec.measure
    metric = metric or (what.metric if what else "loss")
    split = split or (what.split if what else "validation")
    chosen = select(verdict.claim.arms, arms)
    sorted_in = _classes(judged, [arm.name for arm in chosen])
    palette = {**COLOURS, **(colours or {})}
    # Until it is judged nothing has a class, and rates are told by a sequence of colours.
    unsorted = {} if sorted_in else own_colours(chosen)
    curves = []
    for arm in chosen:
        data = trajectories(verdict.frame, arm.name, metric, split)
        if data.seeds:
            regime = sorted_in.get(arm.name, "none")
            shade = {str(name): SHADES[colour] for name, colour in palette.items()}
            place = positions(verdict.frame, arm.name, data.epochs, x)
            colour = unsorted.get(arm.name) or shade.get(regime, MUTED)
            curves.append(Curve(arm.name, regime, place, data, 0, colour))
    seeds = sorted({len(curve.data.seeds) for curve in curves})
    notes = ["Thick: the first seed of each learning rate"]
    if seeds and seeds[-1] > 1:
        notes.append(f"faint: the other seeds ({seeds[-1]} in all)")
    notes.append("✕: a run diverged")
    notes.append("class: that of most runs of the rate" if sorted_in else "not sorted into classes")
    frame = canvas(verdict, notes, width=9.5, body=5.2)
    axes = frame.axes[0]
    limits = ylim or _limits(curves, log_y)
    if limits is None:
        lost = any(curve.data.diverged for curve in curves)
        nothing(axes, "every run diverged" if lost else "incomplete: no runs to show yet")
        return frame.figure
    axes.set_xscale("log" if log_x else "linear")
    axes.set_yscale("log" if log_y else "linear")
    for curve in curves:
        _draw(axes, curve)
    axes.set_ylim(*limits)
    every = np.concatenate([curve.x[np.isfinite(curve.x)] for curve in curves])
    axes.set_xlim(float(every.min()) if log_x else 0.0, float(every.max()))
    time_axis(axes, x, log=log_x)
    if log_y:
        plain_log(axes.yaxis, *limits)
    axes.set_ylabel(metric_label(verdict, metric, split))
    if sorted_in:
        _legend(axes, curves)
    _ends(axes, curves)
    return frame.figure


def _criterion(verdict: ClaimVerdict, wanted: str | None) -> Judged | None:
    for judged in verdict.criteria:
        if judged.spec.kind == "regimes" and wanted in (None, judged.spec.id):
            return judged
    return None


def _classes(judged: Judged | None, names: Sequence[str]) -> dict[str, str]:
    """Class of each arm, as the criterion's details have it."""
    rows = () if judged is None else judged.result.details
    found = {}
    for row in rows:
        name, _, word = row.label.rpartition(": ")
        if name in names:
            found[name] = word
    return found


def _limits(curves: Sequence[Curve], log: bool) -> tuple[float, float] | None:
    """Limits that show every curve that learns, and a third more than where they begin."""
    every = [c.data.values[np.isfinite(c.data.values)] for c in curves if c.regime != "diverges"]
    every = every or [c.data.values[np.isfinite(c.data.values)] for c in curves]
    values = np.concatenate([np.empty(0), *every])
    values = values[(values > 0) | (not log)]
    if not values.size:
        return None
    low, high = float(values.min()), float(np.quantile(values, 0.998))
    if log:
        reach = high / low if high > low else 2.0
        return low / reach**0.06, high * reach**0.3
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + 4 * pad


def _draw(axes: Axes, curve: Curve) -> None:
    values = curve.data.own()
    faint = float(np.clip(0.8 / max(len(values), 1), 0.06, 0.25))
    look: dict[str, Any] = {"color": curve.colour}
    for row in range(len(values)):
        thick = row == curve.shown
        drawn = axes.plot(
            curve.x,
            values[row],
            lw=1.9 if thick else 0.7,
            alpha=1.0 if thick else faint,
            zorder=4 if thick else 2,
            marker="o" if thick and curve.x.size == 1 else "",
            **look,
        )
        if thick:
            tell(drawn, arm_label(curve.name))
    run = values[curve.shown]
    known = np.flatnonzero(np.isfinite(run))
    if np.isnan(curve.data.values[curve.shown]).any() and known.size:
        last = int(known[-1])
        axes.plot(curve.x[last], run[last], marker="x", ms=7, mew=2, ls="", zorder=5, **look)


def _legend(axes: Axes, curves: Sequence[Curve]) -> None:
    """Name the classes above the panel, each in its colour with its learning rates."""
    rows: list[tuple[str, Colour | str]] = []
    for regime in (*CLASSES, "none"):
        members = [curve for curve in curves if curve.regime == regime]
        if members:
            names = ", ".join(arm_label(curve.name).removeprefix("LR ") for curve in members)
            words = f"{WORDS[regime]} (LR {names})"
            lines = wrapped(words, 9.0, panel_width(axes), bold=True)
            rows += [(line, members[0].colour) for line in lines]
    for place, (words, colour) in enumerate(rows):
        axes.annotate(
            words,
            (0, 1),
            (0, 6 + 13.5 * (len(rows) - place - 1)),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            size=9,
            weight="bold",
            color=readable(colour),
        )


def _ends(axes: Axes, curves: Sequence[Curve]) -> None:
    labels = []
    for curve in curves:
        run = curve.data.own()[curve.shown]
        known = np.flatnonzero(np.isfinite(run))
        if not known.size or np.isnan(curve.data.values[curve.shown]).any():
            continue
        last = int(known[-1])
        labels.append(
            EndLabel(arm_label(curve.name), float(run[last]), curve.colour, x=float(curve.x[last]))
        )
    if labels:
        label_ends(axes, axes.get_xlim()[1], labels)
