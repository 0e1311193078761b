"""Single runs over time: which are flat where the source says, which reach a target, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench_lr.figures.axis import plain_log, time_axis
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.classes import NO_CLASS, Classes, classify
from bench_lr.figures.labels import arm_label, metric_label
from bench_lr.figures.numbers import number
from bench_lr.figures.registry import figure
from bench_lr.figures.series import (
    CLOCKS,
    Clock,
    Floats,
    larger_is_better,
    positions,
    scale,
    select,
    trajectories,
)
from bench_lr.figures.style import BLUE, EXPECTED, INK, Colour, colours, readable
from bench_lr.schema import Arm
from bench_lr.targets import meets
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS_SHOWN = 700
"""Evaluations of a run that a line can show."""
GREY = "#6b7280"
Word = tuple[str, Colour | str]
"""A line of a legend and its colour."""
PANELS = 3
"""Arms up to which each has a panel, where the claim does not say."""


@dataclass(frozen=True)
class Runs:
    """The runs of an arm.

    Attributes
    ----------
    x : array, shape (times,)
    values : array, shape (seeds, times)
        NaN after a run's end.
    reached : array, shape (seeds,)
        Where on the axis each run first met the target; NaN if it never did.
    label : str
        What its runs are called that are not classed; empty where the panel says it.
    classes, colours : tuple
        Of each run.
    """

    name: str
    label: str
    x: Floats
    values: Floats
    reached: Floats
    diverged: npt.NDArray[np.bool_]
    classes: tuple[str, ...]
    colours: tuple[Colour | str, ...]


@figure("trajectories")
def draw_trajectories(
    verdict: ClaimVerdict,
    *,
    metric: str = "loss",
    split: str = "validation",
    arms: Sequence[str] | None = None,
    panels: Mapping[str, Sequence[str]] | None = None,
    x: Clock = "epoch",
    log_x: bool = False,
    log_y: bool = True,
    window: tuple[float, float] | None = None,
    window_label: str | None = None,
    target: float | None = None,
    classes: Classes | None = None,
    criterion: str | None = None,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draw every run as a line of its own.

    Parameters
    ----------
    metric, split : str
        Rows of the results to draw. Accuracy is shown in percent.
    arms : list of str, optional
        Names or globs of the arms to draw; all by default.
    panels : mapping of title to list of str, optional
        Side-by-side panels with the arms of each. By default a panel an arm, up to three.
    x : {"epoch", "step", "examples", "seconds"}
        What stands on the horizontal axis.
    log_x, log_y : bool
        Logarithmic axes.
    window : pair of float, optional
        Shaded stretch of the axis that the source speaks of, named by `window_label`.
    target : float, optional
        A line, in the units of ``stop_at`` (accuracy as a fraction); a dot stands where a run first
        meets it.
    classes : mapping of title to mapping of derived quantity to [low, high], optional
        Runs that meet all conditions of a class are drawn in its colour, as in the criterion
        ``share``: both ends in, null open. A run belongs to the first class that it fits, and only
        runs of arms that the quantities are worked out of are classed.
    criterion : str, optional
        Id of a criterion ``share`` whose conditions make the class.
    xlim, ylim : pair of float, optional
        Limits of the axes in shown units.
    """
    target = None if target is None else target * scale(metric)
    chosen = select(verdict.claim.arms, arms)
    groups = [(title, select(chosen, names)) for title, names in (panels or {}).items()]
    if not groups:
        alone = len(chosen) <= PANELS
        groups = [(arm_label(a.name), [a]) for a in chosen] if alone else [("", chosen)]
    sorted_in = classify(verdict, classes, criterion)
    sign = 1 if larger_is_better(metric) else -1
    drawn: list[tuple[str, list[Runs]]] = []
    for title, members in groups or [("", [])]:
        # Alone in its panel, an arm is named by the panel's title.
        palette = colours(members) if len(members) > 1 else {}
        group = [
            _runs(
                verdict,
                arm,
                metric,
                split,
                x,
                target,
                sign,
                sorted_in,
                arm_label(arm.name) if palette else "",
                palette.get(arm.name, BLUE),
            )
            for arm in members
        ]
        drawn.append((title, group))
    notes = ["A line a run"]
    if target is not None:
        notes.append("dots: target first met")
    if any(runs.diverged.any() for _, group in drawn for runs in group):
        notes.append("✕: a run diverged")
    columns = len(drawn) if len(drawn) <= PANELS else 2
    lines = -(-len(drawn) // columns)
    frame = canvas(
        verdict,
        notes,
        widths=[1.0] * columns,
        rows=lines,
        width=float(np.clip(5.0 * columns, 8.0, 11.0)),
        body=4.4 if lines == 1 else 3.4 * lines,
    )
    for axes in frame.axes[len(drawn) :]:
        axes.set_axis_off()
    legends = [_legend(group, sorted_in, x, target) for _, group in drawn]
    rows = max(len(legend) for legend in legends)
    across = xlim or _x_limits([runs for _, group in drawn for runs in group], log_x)
    limits = ylim or _limits([runs for _, group in drawn for runs in group], target, log_y)
    for place, (axes, (title, group)) in enumerate(zip(frame.axes, drawn, strict=False)):
        if not any(np.isfinite(runs.values).any() for runs in group) or limits is None:
            lost = any(runs.diverged.any() for runs in group)
            _head(axes, title, legends[place], rows)
            nothing(axes, "every run diverged" if lost else "incomplete: no runs to show yet")
            continue
        axes.set_xscale("log" if log_x else "linear")
        axes.set_yscale("log" if log_y else "linear")
        _window(axes, window, window_label, across)
        _draw(axes, group)
        axes.set_ylim(*limits)
        axes.set_xlim(*across)
        if target is not None:
            _target(axes, group, target)
        time_axis(axes, x, log=log_x)
        if log_y:
            plain_log(axes.yaxis, *limits)
        if place % columns == 0:
            axes.set_ylabel(metric_label(verdict, metric, split))
        _head(axes, title, legends[place], rows)
    return frame.figure


def _runs(
    verdict: ClaimVerdict,
    arm: Arm,
    metric: str,
    split: str,
    clock: Clock,
    target: float | None,
    sign: int,
    sorted_in: Mapping[str, Mapping[str, set[int]]],
    label: str,
    own_colour: Colour | str,
) -> Runs:
    import seaborn as sns

    data = trajectories(verdict.frame, arm.name, metric, split)
    at = positions(verdict.frame, arm.name, data.epochs, clock)
    own = data.own()
    palette = [(r, g, b) for r, g, b in sns.color_palette("colorblind", len(sorted_in) + 1)]
    mine = {title: members[arm.name] for title, members in sorted_in.items() if arm.name in members}
    rest = NO_CLASS if mine else label
    titles = tuple(
        next((title for title, seeds in mine.items() if seed in seeds), rest) for seed in data.seeds
    )
    diverged = np.array([bool(np.isnan(row).any()) for row in data.values], dtype=bool)
    shades: dict[str, Colour | str] = dict(zip(sorted_in, palette, strict=False))
    shades[NO_CLASS] = GREY
    return Runs(
        name=arm.name,
        label=label,
        x=at,
        values=own,
        reached=first_met(own, at, target, sign),
        diverged=diverged,
        classes=titles,
        colours=tuple(shades.get(title, own_colour) for title in titles),
    )


def first_met(values: Floats, x: Floats, target: float | None, sign: int) -> Floats:
    """Return where each run first meets the target, shape (seeds,); NaN if it never does.

    Parameters
    ----------
    values : array, shape (seeds, times)
    sign : {1, -1}
        Whether the target is met from below (1) or from above (-1).
    """
    if target is None or not x.size:
        return np.full(len(values), np.nan)
    met = meets(values, None if sign > 0 else target, target if sign > 0 else None)
    found: Floats = np.where(met.any(axis=1), x[met.argmax(axis=1)], np.nan)
    return found


def _limits(runs: Sequence[Runs], target: float | None, log: bool) -> tuple[float, float] | None:
    every = np.concatenate([np.empty(0), *(one.values.ravel() for one in runs)])
    every = every[np.isfinite(every) & ((every > 0) | (not log))]
    if not every.size:
        return None
    # A run on its way to divergence would press all others together.
    low, high = (float(v) for v in np.quantile(every, [0.0, 0.998]))
    if target is not None and (target > 0 or not log):
        low, high = min(low, target), max(high, target)
    if log:
        pad = (high / low) ** 0.07 if high > low else 1.5
        return low / pad, high * pad
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad


def _x_limits(runs: Sequence[Runs], log: bool) -> tuple[float, float]:
    every = np.concatenate([np.ones(1), *(one.x[np.isfinite(one.x)] for one in runs)])
    every = every[1:] if every.size > 1 else every
    low, high = (float(every.min()) if log else 0.0), float(every.max())
    return low, high if high > low else low + 1.0


def _window(
    axes: Axes,
    window: tuple[float, float] | None,
    words: str | None,
    across: tuple[float, float],
) -> None:
    # Words beyond the axis would leave the panel no room.
    if window is None or window[0] >= across[1] or window[1] <= across[0]:
        return
    window = max(window[0], across[0]), min(window[1], across[1])
    axes.axvspan(*window, color=EXPECTED, alpha=0.07, lw=0, zorder=0)
    for end in window:
        axes.axvline(end, color=EXPECTED, lw=0.8, alpha=0.5, zorder=0.5)
    if words:
        log = axes.get_xscale() == "log"
        middle = float(np.sqrt(window[0] * window[1])) if log else sum(window) / 2
        axes.annotate(
            words,
            (middle, 0.985),
            xycoords=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            size=8.5,
            color=EXPECTED,
        )


def _draw(axes: Axes, runs: Sequence[Runs]) -> None:
    count = sum(len(one.values) for one in runs)
    faint = float(np.clip(14 / max(count, 1), 0.3, 0.85))
    for one in runs:
        kept = _kept(one.x.size)
        # The runs that fit no class lie below the others.
        for row in sorted(range(len(one.values)), key=lambda r: one.classes[r] != NO_CLASS):
            values, colour = one.values[row], one.colours[row]
            below = one.classes[row] == NO_CLASS
            look: dict[str, Any] = {"color": colour, "zorder": 2 if below else 3}
            axes.plot(one.x[kept], values[kept], lw=0.9, alpha=faint, **look)
            if one.diverged[row] and np.isfinite(values).any():
                last = int(np.flatnonzero(np.isfinite(values))[-1])
                axes.plot(one.x[last], values[last], marker="x", ms=5, mew=1.4, ls="", **look)


def _kept(size: int) -> npt.NDArray[np.int64]:
    """Evaluations to draw: all, or so many that the line looks the same, evenly and the first."""
    if size <= POINTS_SHOWN:
        return np.arange(size)
    even = np.linspace(0, size - 1, POINTS_SHOWN)
    early = np.geomspace(1, size, POINTS_SHOWN // 4) - 1
    return np.unique(np.concatenate([even, early]).round().astype(np.int64))


def _target(axes: Axes, runs: Sequence[Runs], target: float) -> None:
    axes.axhline(target, color=EXPECTED, lw=1.2, ls=(0, (4, 2)), zorder=1.5)
    axes.annotate(
        f"target {target:g}",
        (0.012, target),
        (0, 3),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        size=8.5,
        color=EXPECTED,
    )
    for one in runs:
        for at, colour in zip(one.reached, one.colours, strict=True):
            if np.isfinite(at):
                axes.plot(
                    at, target, marker="o", ms=4, mew=0.5, mec="white", color=colour, zorder=5
                )


def _legend(
    runs: Sequence[Runs], titles: Iterable[str], clock: Clock, target: float | None
) -> list[Word]:
    """Classes of a panel, or its arms, with their counts, and when its runs met the target."""
    counts: dict[tuple[str, Colour | str], list[bool]] = {}
    for one in runs:
        for name, colour, at in zip(one.classes, one.colours, one.reached, strict=True):
            counts.setdefault((name, colour), []).append(bool(np.isfinite(at)))
    total = sum(map(len, counts.values()))
    order = [*titles, NO_CLASS]
    named = sorted(
        (key for key in counts if key[0]),
        key=lambda key: order.index(key[0]) if key[0] in order else -1,
    )
    words: list[Word] = []
    for name, colour in named:
        met = counts[name, colour]
        if any(name == one.label for one in runs):
            said = name if target is None else f"{name}: {sum(met)} of {len(met)} met the target"
        else:
            said = f"{name}: {len(met)} of {total}"
        words.append((said, colour))
    if target is None or not total or any(one.label for one in runs):
        return words
    reached = np.concatenate([one.reached for one in runs])
    said = f"met the target: {int(np.isfinite(reached).sum())} of {reached.size}"
    median = float(np.median(np.where(np.isnan(reached), np.inf, reached)))
    if np.isfinite(median) and clock == "epoch":
        said += f", median epoch {number(median)}"
    elif np.isfinite(median):
        said += f", median {number(median)} {CLOCKS[clock]}".replace(" training time,", "")
    return [*words, (said, INK)]


def _head(axes: Axes, title: str, legend: Sequence[Word], rows: int) -> None:
    """Write the title of a panel and its legend above it, in so many rows."""
    axes.set_title(title, loc="left", size=10.5, color=INK, pad=6 + 12.5 * rows)
    for place, (words, colour) in enumerate(legend):
        axes.annotate(
            words,
            (0, 1),
            (0, 4 + 12.5 * (rows - place - 1)),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="left",
            va="bottom",
            size=8.5,
            weight="bold",
            color=readable(colour),
        )
