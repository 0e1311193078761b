"""The seed-paired difference of two arms over epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import arm_label, metric_words
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats, Trajectories, band, larger_is_better, trajectories
from bench_lr.figures.style import BLUE, EXPECTED, INK, MUTED
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@figure("difference")
def difference(
    verdict: ClaimVerdict,
    *,
    treatment: str,
    control: str,
    metric: str = "accuracy",
    split: str = "validation",
    mark_epoch: float | None = None,
    epochs: tuple[float, float] | None = None,
    sustained: int | None = None,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draw treatment − control of every seed (thin) and the mean with its 95 % band.

    Parameters
    ----------
    treatment, control : str
        Names of two arms. Runs of one seed are paired.
    metric, split : str
        Rows of the results to draw; accuracy differences are shown in percentage points.
    mark_epoch : float, optional
        Draws a vertical line there: when the source says it happens.
    epochs : pair of float, optional
        First and last epoch to show.
    sustained : int, optional
        Marks for every seed the first of so many consecutive evaluations, itself preceded by none
        such, at which the treatment is strictly better than the control.
    ylim : pair of float, optional
        Limits of the y axis in shown units.
    """
    x, first, second = paired(
        trajectories(verdict.frame, treatment, metric, split),
        trajectories(verdict.frame, control, metric, split),
    )
    sign = 1 if larger_is_better(metric) else -1
    ahead = (sign * first > sign * second) | (np.isnan(second) & ~np.isnan(first))
    crossings = [first_sustained(row, x, sustained or 1) for row in ahead]
    gap = first - second
    if epochs is not None:
        inside = (x >= epochs[0]) & (x <= epochs[1])
        x, gap = x[inside], gap[:, inside]
    name, unit = metric_words(verdict, metric)
    unit = "percentage points" if unit == "%" else unit
    notes = [f"Thin lines: {len(gap)} seeds; band: 95 % t interval of the mean difference"]
    diverged = int((~np.isfinite(gap)).any(axis=1).sum())
    if diverged:
        notes.append(f"{diverged} of {len(gap)} pairs have a diverged run")
    if sustained:
        notes.append(f"dots: first of {sustained} consecutive evaluations ahead, per seed")
    frame = canvas(verdict, notes, width=9.5)
    axes = frame.axes[0]
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{split} {name} difference" + (f",\n{unit}" if unit else ""))
    if not np.isfinite(gap).any():
        nothing(axes, f"incomplete: no pairs of {arm_label(treatment)} and {arm_label(control)}")
        return frame.figure

    summary = band(gap)
    axes.axhline(0, color=INK, lw=1)
    for row in gap:
        axes.plot(x, row, color=BLUE, lw=0.6, alpha=0.35)
    axes.fill_between(x, summary.low, summary.high, color=BLUE, alpha=0.22, lw=0)
    mean = axes.plot(x, summary.mean, color=BLUE, lw=2.4, marker="o" if x.size == 1 else "")
    tell(mean, f"{arm_label(treatment)} less {arm_label(control)}")
    axes.set_xlim(float(x[0]) if epochs else 0, float(x[-1]))
    axes.set_ylim(*(ylim or _limits(gap, summary.mean)))
    _sides(axes, arm_label(treatment), arm_label(control), sign)
    if mark_epoch is not None and mark_epoch <= axes.get_xlim()[1]:
        axes.axvline(mark_epoch, color=EXPECTED, lw=1.4, ls=(0, (4, 2)), zorder=1)
        axes.annotate(
            f" source: epoch {mark_epoch:g}",
            (mark_epoch, 0.97),
            xycoords=("data", "axes fraction"),
            va="top",
            size=9,
            color=EXPECTED,
        )
    if sustained:
        _crossings(axes, np.array(crossings))
    return frame.figure


def paired(treatment: Trajectories, control: Trajectories) -> tuple[Floats, Floats, Floats]:
    """Pick the seeds and epochs that two arms share.

    Returns
    -------
    (array of shape (times,), and two of shape (seeds, times))
        Epochs, treatment and control.
    """
    seeds = [seed for seed in treatment.seeds if seed in control.seeds]
    epochs, left, right = np.intersect1d(treatment.epochs, control.epochs, return_indices=True)
    if not seeds or not epochs.size:
        return np.empty(0), np.empty((0, 0)), np.empty((0, 0))
    rows = [treatment.seeds.index(seed) for seed in seeds]
    others = [control.seeds.index(seed) for seed in seeds]
    return epochs, treatment.values[rows][:, left], control.values[others][:, right]


def first_sustained(ahead: npt.NDArray[np.bool_], epochs: Floats, length: int) -> float:
    """Return the epoch of the first of `length` consecutive True; infinity if there is none.

    Parameters
    ----------
    ahead, epochs : array, shape (times,)
        Whether one arm is ahead, and when.
    length : int
        Evaluations in a row.
    """
    if ahead.size < length:
        return float("inf")
    stretches = np.lib.stride_tricks.sliding_window_view(ahead, length).all(axis=1)
    return float(epochs[int(np.argmax(stretches))]) if stretches.any() else float("inf")


def _limits(gap: Floats, mean: Floats) -> tuple[float, float]:
    """Leave the steep start out, but never the mean's later course nor zero."""
    late = gap[:, gap.shape[1] // 5 :]
    values = late[np.isfinite(late)]
    if not values.size:
        values = gap[np.isfinite(gap)]
    low, high = np.quantile(values, [0.005, 0.995])
    span = high - low
    middle = mean[np.isfinite(mean)]
    low = min(low, 0.0, max(float(middle.min()), low - span))
    high = max(high, 0.0, min(float(middle.max()), high + span))
    pad = 0.12 * (high - low) or 1.0
    return float(low - 1.5 * pad), float(high + pad)


def _sides(axes: Axes, treatment: str, control: str, sign: int) -> None:
    for name, up in ((treatment, sign > 0), (control, sign < 0)):
        axes.annotate(
            f"{name} ahead {'↑' if up else '↓'}",
            (1.012, 0.98 if up else 0.02),
            xycoords="axes fraction",
            va="top" if up else "bottom",
            ha="left",
            rotation=90,
            size=9,
            color=MUTED,
        )


def _crossings(axes: Axes, times: Floats) -> None:
    crossed = times[np.isfinite(times)]
    low, high = axes.get_ylim()
    low -= 0.14 * (high - low)
    axes.set_ylim(low, high)
    levels: dict[float, int] = {}
    for time in crossed:
        level = levels.get(float(time), 0)
        levels[float(time)] = level + 1
        axes.plot(
            time,
            low + (0.025 + 0.028 * level) * (high - low),
            marker="o",
            ms=5,
            color=INK,
            clip_on=False,
            zorder=5,
        )
    never = int(times.size - crossed.size)
    median = float(np.median(times))
    words = f"first sustained lead: median {f'epoch {median:g}' if median < np.inf else 'never'}"
    if never:
        words += f"; {never} of {times.size} seeds never"
    left, right = axes.get_xlim()
    late = bool(crossed.size) and np.median(crossed) > (left + right) / 2
    axes.annotate(
        words,
        (0.015 if late else 0.985, 0.03),
        xycoords="axes fraction",
        va="bottom",
        ha="left" if late else "right",
        size=8.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )
