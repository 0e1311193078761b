"""The LR range test: loss against a rising learning rate, and where it starts to rise."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench_lr.figures.axis import log_ticks, plain, plain_log
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import arm_label, metric_label
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats, select, trajectories
from bench_lr.figures.style import BLUE, EXPECTED, INK, MUTED
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 12
"""Seeds up to which each onset is a tick of full ink."""


@dataclass(frozen=True)
class Sweep:
    """One pass of rising learning rates over the runs of an arm.

    Attributes
    ----------
    lrs : array, shape (rates,)
    losses : array, shape (seeds, rates)
        Mean of the evaluations at each rate; not finite once a run has diverged.
    onsets : array, shape (seeds,)
        Rate at which each run's loss rises; NaN where it does not.
    """

    arm: str
    title: str
    lrs: Floats
    losses: Floats
    onsets: Floats


@figure("range_test")
def range_test(
    verdict: ClaimVerdict,
    *,
    metric: str = "loss",
    split: str = "train",
    arms: Sequence[str] | None = None,
    rounds: Sequence[str] | None = None,
    rise: float = 1.1,
    printed: Mapping[float, str] | None = None,
    log_x: bool = True,
    log_y: bool = True,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draw the loss of every run against the learning rate it had, and the onsets of the rise.

    The onset is the first rate whose mean loss is above `rise` times the smallest mean of the rates
    before it in the same round, or not finite, as in the measure ``onset``.

    Parameters
    ----------
    metric, split : str
        Rows of the results to draw; read beside the row ``lr`` of the same step.
    arms : list of str, optional
        Names or globs of the arms to draw, a panel each; all by default.
    rounds : list of str, optional
        Titles of the rounds. A round ends where the learning rate falls; each is a panel.
    rise : float
        How much more than its smallest value the loss is at the onset.
    printed : mapping of learning rate to text, optional
        The source's onset and pick, drawn as dashed lines in the panels whose range has them.
    log_x, log_y : bool
        Logarithmic axes. The lower axis then counts log10 of the rate, as range tests are drawn.
    ylim : pair of float, optional
        Limits of the y axis in shown units.
    """
    chosen = select(verdict.claim.arms, arms)
    sweeps = [
        sweep for arm in chosen for sweep in _sweeps(verdict, arm.name, metric, split, rise, rounds)
    ]
    seeds = sorted({len(sweep.losses) for sweep in sweeps})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}" if seeds else "no"
    notes = [
        f"Thin: {count} seeds; thick: their median",
        f"ticks: rate at which a seed's loss is first over {rise:g} times its lowest so far",
        "bar: quartiles of those, and their median",
    ]
    # An arm's rounds stand in a row; of single rounds three do.
    per_arm = [sum(sweep.arm == arm.name for sweep in sweeps) for arm in chosen]
    columns = max([1, *per_arm]) if max([1, *per_arm]) > 1 else min(max(len(sweeps), 1), 3)
    rows = max(-(-len(sweeps) // columns), 1)
    frame = canvas(
        verdict,
        notes,
        widths=[1.0] * columns,
        rows=rows,
        width=float(np.clip(3.6 * columns, 8.0, 11.0)),
        body=4.4 if rows == 1 else 3.7 * rows,
    )
    for axes in frame.axes[max(len(sweeps), 1) :]:
        axes.set_axis_off()
    if not sweeps:
        nothing(frame.axes[0], "incomplete: no runs to show yet")
        return frame.figure
    limits = ylim or _limits(sweeps, log_y)
    for place, (axes, sweep) in enumerate(zip(frame.axes, sweeps, strict=False)):
        axes.set_yscale("log" if log_y else "linear")
        _panel(axes, sweep, limits, log_x, printed or {})
        words = [arm_label(sweep.arm)] if len(chosen) > 1 or not sweep.title else []
        words += [sweep.title] if sweep.title else []
        axes.set_title(": ".join(words), loc="left", size=10.5, color=INK, pad=8)
        if log_y:
            plain_log(axes.yaxis, *limits)
        if place % columns == 0:
            axes.set_ylabel(metric_label(verdict, metric, split))
    return frame.figure


def onset(lrs: Floats, losses: Floats, rise: float) -> float:
    """Return the first rate whose loss exceeds `rise` times the smallest before it; NaN if none.

    Parameters
    ----------
    lrs, losses : array, shape (rates,)
    """
    lowest = np.inf
    for lr, loss in zip(lrs, losses, strict=True):
        if not np.isfinite(loss) or loss > rise * lowest:
            return float(lr)
        lowest = min(lowest, float(loss))
    return float("nan")


def _sweeps(
    verdict: ClaimVerdict,
    arm: str,
    metric: str,
    split: str,
    rise: float,
    titles: Sequence[str] | None,
) -> list[Sweep]:
    data = trajectories(verdict.frame, arm, metric, split)
    rates = trajectories(verdict.frame, arm, "lr", "train")
    epochs, mine, theirs = np.intersect1d(data.epochs, rates.epochs, return_indices=True)
    if not epochs.size:
        return []
    # The plan of rates is the same for all seeds; one that diverged may lack its end.
    plan = np.nanmax(rates.values[:, theirs], axis=0)
    values = data.values[:, mine]
    starts = [0, *(np.flatnonzero(np.diff(plan) < 0) + 1).tolist(), plan.size]
    found = []
    for place, (start, stop) in enumerate(itertools.pairwise(starts)):
        lrs = np.unique(plan[start:stop])
        columns = [values[:, start:stop][:, plan[start:stop] == lr].mean(axis=1) for lr in lrs]
        losses = np.stack(columns, axis=1)
        named = titles[place] if titles and place < len(titles) else f"round {place + 1}"
        if len(starts) == 2 and not titles:
            named = ""
        found.append(
            Sweep(
                arm,
                named,
                lrs,
                losses,
                np.array([onset(lrs, row, rise) for row in losses]),
            )
        )
    return found


def _limits(sweeps: Sequence[Sweep], log: bool) -> tuple[float, float]:
    """Limits that show the falls, with room at the foot; a loss that soars may leave the panel."""
    every = np.concatenate([sweep.losses[np.isfinite(sweep.losses)] for sweep in sweeps])
    every = every[(every > 0) | (not log)]
    if not every.size:
        return (0.1, 1.0)
    low, middle = (float(v) for v in np.quantile(every, [0.0, 0.5]))
    high = min(float(every.max()), (20 if log else 4) * middle)
    if log:
        pad = (high / low) ** 0.06 if high > low else 1.5
        return low / pad**4, high * pad
    pad = 0.06 * (high - low) or 1.0
    return low - 4 * pad, high + pad


def _panel(
    axes: Axes,
    sweep: Sweep,
    limits: tuple[float, float],
    log: bool,
    printed: Mapping[float, str],
) -> None:
    at = np.log10(sweep.lrs) if log else sweep.lrs
    losses = np.where(np.isfinite(sweep.losses), sweep.losses, np.nan)
    faint = float(np.clip(5 / max(len(losses), 1), 0.15, 0.6))
    for row in losses:
        axes.plot(at, row, color=BLUE, lw=0.8, alpha=faint)
    filled = np.where(np.isfinite(sweep.losses), sweep.losses, np.inf)
    middle = np.median(filled, axis=0)
    shown = np.where(np.isfinite(middle), middle, np.nan)
    tell(axes.plot(at, shown, color=BLUE, lw=2.4, zorder=3), "median", sweep.lrs)
    width = float(np.ptp(at)) or 1.0
    axes.set_xlim(float(at[0]) - 0.03 * width, float(at[-1]) + 0.03 * width)
    axes.set_ylim(*limits)
    _onsets(axes, sweep, log)
    _printed(axes, printed, log)
    axes.set_xlabel("log₁₀ of the learning rate" if log else "learning rate")
    axes.locator_params(axis="x", nbins=5)
    if log:
        _rates_above(axes, sweep.lrs)


def _rates_above(axes: Axes, lrs: Floats) -> None:
    top = axes.secondary_xaxis("top")
    ticks = log_ticks(float(lrs[0]), float(lrs[-1]))
    if len(ticks) > 6:
        ticks = ticks[:: -(-len(ticks) // 6)]
    top.set_xticks([float(np.log10(t)) for t in ticks], [plain(t) for t in ticks], size=8)
    top.set_xlabel("learning rate", size=8.5)
    top.spines["top"].set_visible(False)


def _onsets(axes: Axes, sweep: Sweep, log: bool) -> None:
    """Ticks at the foot of the panel, the quartiles above them, and both in words."""
    found = sweep.onsets[np.isfinite(sweep.onsets)]
    trans = axes.get_xaxis_transform()
    never = sweep.onsets.size - found.size
    words = f"no rise in {never} of {sweep.onsets.size}" if never else ""
    if found.size:
        at = np.log10(found) if log else found
        ink = 0.9 if found.size <= FEW else 0.45
        axes.vlines(at, 0.0, 0.035, transform=trans, color=INK, lw=1.2, alpha=ink, zorder=4)
        # Runs whose loss never rises lie beyond the end.
        every = np.where(np.isfinite(sweep.onsets), sweep.onsets, np.inf)
        low, middle, high = np.quantile(every, [0.25, 0.5, 0.75], method="inverted_cdf")
        end = sweep.lrs[-1]
        bar = [min(float(v), float(end)) for v in (low, high)]
        style: dict[str, Any] = {"transform": trans, "color": INK, "zorder": 4}
        axes.plot(np.log10(bar) if log else bar, [0.06] * 2, lw=3.2, alpha=0.55, **style)
        if np.isfinite(middle):
            spot = float(np.log10(middle)) if log else float(middle)
            axes.plot(spot, 0.06, marker="D", ms=5.5, **style)
        shown = [f"{v:.3g}" if np.isfinite(v) else "none" for v in (low, middle, high)]
        said = f"rise at {shown[1]} [{shown[0]}, {shown[2]}]"
        words = f"{said}; {words}" if words else said
    axes.annotate(
        words,
        (0.02, 0.11),
        xycoords="axes fraction",
        size=8.5,
        color=INK if found.size else MUTED,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
        zorder=5,
    )


def _printed(axes: Axes, printed: Mapping[float, str], log: bool) -> None:
    left, right = axes.get_xlim()
    places = {float(np.log10(lr)) if log else float(lr): words for lr, words in printed.items()}
    shown = sorted(at for at in places if left <= at <= right)
    for place, at in enumerate(shown):
        axes.axvline(at, color=EXPECTED, lw=1.2, ls=(0, (4, 2)), zorder=2.5)
        # Neighbours have their texts on different sides.
        late = at > left + (0.1 if len(shown) > 1 else 0.85) * (right - left)
        before = place % 2 == 0 and late
        axes.annotate(
            places[at],
            (at, 0.985),
            (-3 if before else 3, 0),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            rotation=90,
            ha="right" if before else "left",
            va="top",
            size=8.5,
            color=EXPECTED,
        )
