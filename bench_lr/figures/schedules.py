"""Learning rates over time under the schedules of a claim, with what the claim says of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench_lr.calculations import PlateauRule, ScheduleValues
from bench_lr.figures.axis import plain_log
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import EndLabel, label_ends
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats
from bench_lr.figures.style import CONTROL, EXPECTED, readable
from bench_lr.schedules import Clock
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LOSS_AND_LR: tuple[Literal["loss"], Literal["lr"]] = ("loss", "lr")


@figure("schedules")
def schedules(
    verdict: ClaimVerdict,
    *,
    until: float | None = None,
    x_label: str = "iteration",
    y_label: str = "learning rate",
    log: Literal["x", "y", "both"] | None = None,
    show: Sequence[str] | None = None,
    label_at: float | None = None,
    note: str = "",
) -> Figure:
    """Draw the LR of the claim's schedules at all times, and the points that its tables state.

    Parameters
    ----------
    until : float, optional
        Last time drawn, in the unit that the schedules count in (in steps for calculations with
        steps_per_epoch); the last that is computed by default.
    x_label, y_label : str
        Axis labels, units included.
    log : {"x", "y", "both"}, optional
        Logarithmic axes; a logarithmic time starts at 1.
    show : list of str, optional
        Which calculations of kind schedule_values, by name or glob; all by default.
    label_at : float, optional
        Time at which the lines are named, where they do not come together; the end by default.
    note : str
        What to look at, for the foot of the figure.
    """
    import seaborn as sns

    shown = {
        name: calculation
        for name, calculation in verdict.claim.spec.calculations.items()
        if isinstance(calculation, ScheduleValues)
        and (show is None or any(fnmatch.fnmatch(name, pattern) for pattern in show))
    }
    stated = _stated(verdict)
    controls = only_in_controls(verdict)
    notes = [*([note] if note else []), "Lines: the schedules", "dots: computed and compared"]
    if any(name in stated for name in shown):
        notes.append("diamonds: as the claim's tables state it")
    if controls & set(shown):
        notes.append("dashed: a control, which must not agree with the claim")
    frame = canvas(verdict, notes, width=10.0)
    axes = frame.axes[0]
    axes.set(xlabel=x_label, ylabel=y_label)
    if not shown:
        nothing(axes, "incomplete: no schedule to draw")
        return frame.figure
    until = max(max(one.at) for one in shown.values()) if until is None else until
    by_x, by_y = log in ("x", "both"), log in ("y", "both")
    palette = iter(sns.color_palette("colorblind", max(len(shown), 1)))
    labels = []
    for name, calculation in shown.items():
        control = name in controls
        colour = CONTROL if control else next(palette)
        time, rates = curve(calculation, until, from_one=by_x)
        style = "--" if control else "-"
        tell(axes.plot(time, rates, color=colour, lw=1.8, ls=style, zorder=2), name)
        named = until if label_at is None else label_at
        labels.append(EndLabel(name, float(np.interp(named, time, rates)), colour))
        at, found = np.asarray(calculation.at), verdict.calculations[name]
        inside = (at <= until) & ((at > 0) | (not by_x))
        if inside.sum() <= 60:
            axes.plot(at[inside], found[inside], "o", color=colour, ms=5, zorder=3)
        if len(stated.get(name, ())) == at.size:
            wanted = np.asarray(stated[name], dtype=np.float64)
            marks: dict[str, Any] = {"ms": 9, "mfc": "none", "mec": EXPECTED, "mew": 1.4}
            axes.plot(at[inside], wanted[inside], "D", zorder=4, **marks)
    if by_x:
        axes.set_xscale("log")
    if by_y:
        axes.set_yscale("log")
    axes.margins(x=0.03, y=0.08)
    axes.set_xlim(right=until * (1.0 if by_x else 1.01))
    plain_ticks(axes)
    if len(labels) > 1 and label_at is None:
        label_ends(axes, until, labels)
    elif len(labels) > 1:
        for label in labels:
            words: dict[str, Any] = {"color": readable(label.colour), "size": 9.0, "va": "bottom"}
            words |= {"xytext": (6, 3), "textcoords": "offset points"}
            axes.annotate(label.text, (label_at, label.y), **words)
    return frame.figure


def plain_ticks(axes: Axes) -> None:
    """Write ticks as plain numbers."""
    for axis, limits, scale in (
        (axes.xaxis, axes.get_xlim(), axes.get_xscale()),
        (axes.yaxis, axes.get_ylim(), axes.get_yscale()),
    ):
        if scale == "log":
            plain_log(axis, *limits)
        else:
            axis.set_major_formatter(lambda value, _: f"{value:,.9g}".replace("-", "−"))


@figure("plateau_rules")
def plateau_rules(verdict: ClaimVerdict, *, show: Sequence[str] | None = None) -> Figure:
    """Draw loss and LR under rules that cut the LR by what they see of the loss.

    Parameters
    ----------
    show : list of str, optional
        Which calculations of kind plateau_rule, by name or glob; all that report the loss by
        default.
    """
    import seaborn as sns

    shown = {
        name: calculation
        for name, calculation in verdict.claim.spec.calculations.items()
        if isinstance(calculation, PlateauRule)
        and (
            calculation.report == "loss"
            if show is None
            else any(fnmatch.fnmatch(name, pattern) for pattern in show)
        )
    }
    notes = [
        "Expected loss of gradient descent with noisy gradients on a quadratic; nothing is random",
        "triangles: cuts of the learning rate",
    ]
    frame = canvas(verdict, notes, widths=(1, 1), width=12.0)
    rate_axes, loss_axes = frame.axes
    if not shown:
        nothing(rate_axes, "incomplete: no rule to draw")
        nothing(loss_axes, "")
        return frame.figure
    rate_axes.set(xlabel="iteration", ylabel="learning rate", yscale="log", xscale="log")
    loss_axes.set(xlabel="iteration", ylabel="expected loss", yscale="log", xscale="log")
    labels: list[EndLabel] = []
    last = 1
    highest = 0.0
    for (name, rule), colour in zip(
        shown.items(), sns.color_palette("colorblind", len(shown)), strict=True
    ):
        losses, rates = (replace(rule, report=report, every=1).values() for report in LOSS_AND_LR)
        time = np.arange(1, losses.size + 1)
        cuts = np.flatnonzero(np.diff(rates) < 0) + 1
        tell(rate_axes.plot(time, rates, color=colour, lw=1.8, drawstyle="steps-post"), name)
        tell(loss_axes.plot(time, losses, color=colour, lw=1.8), name)
        loss_axes.plot(time[cuts], losses[cuts], "v", color=colour, ms=6)
        labels.append(EndLabel(name, float(losses[-1]), colour))
        last, highest = max(last, losses.size), max(highest, float(rates.max()))
    # Below a ten-thousandth of its base a LR does nothing that could be seen.
    rate_axes.set_ylim(highest / 1e5, 2 * highest)
    for axes in frame.axes:
        axes.set_xlim(1, last)
        plain_ticks(axes)
    label_ends(loss_axes, last, labels)
    return frame.figure


def curve(
    calculation: ScheduleValues, until: float, *, from_one: bool = False
) -> tuple[Floats, Floats]:
    """LR of a schedule at many times up to `until`, even or (`from_one`) even in logarithm."""
    time: Floats = (
        np.geomspace(1.0, until, 2001) if from_one else np.linspace(0.0, until, 2001)
    ).astype(np.float64)
    steps = calculation.steps_per_epoch
    clock = Clock(time, time) if steps is None else Clock.steady(time, steps)
    rates: Floats = calculation.lr * calculation.schedule.multiplier(clock)
    return time, rates


def _stated(verdict: ClaimVerdict) -> dict[str, list[float]]:
    """Numbers that the claim's own tables state, by calculation."""
    found: dict[str, list[float]] = {}
    for spec in verdict.claim.spec.criteria:
        if spec.kind == "table" and spec.role == "claim" and len(spec.arms) == 1:
            found.setdefault(spec.arms[0], list(spec.params["expected"]))
    return found


def only_in_controls(verdict: ClaimVerdict) -> set[str]:
    """Calculations that only controls look at."""
    looked_at: dict[bool, set[str]] = {True: set(), False: set()}
    for spec in verdict.claim.spec.criteria:
        names = {*spec.arms, *(v for v in spec.params.values() if isinstance(v, str))}
        looked_at[spec.role == "control"] |= names
    return looked_at[True] - looked_at[False]
