"""Learning curves: a metric over epochs, one line an arm, and where every seed ended up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench_lr.figures.axis import plain_log, time_axis
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import (
    EndLabel,
    arm_label,
    label_ends,
    metric_label,
    with_diverged,
)
from bench_lr.figures.numbers import number
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import (
    Band,
    Clock,
    Floats,
    Trajectories,
    band,
    larger_is_better,
    positions,
    select,
    trajectories,
)
from bench_lr.figures.style import CONTROL, EXPECTED, INK, MUTED, Colour, colours
from bench_lr.figures.tail import draw_tail
from bench_lr.schema import Arm
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEEP = 0.2
"""Share of the epochs at the start that does not count when the y limits are chosen."""


@dataclass(frozen=True)
class Line:
    """An arm, ready to draw."""

    name: str
    data: Trajectories
    x: Floats
    band: Band
    colour: Colour | str
    control: bool = False
    expected: bool = False

    @property
    def shown(self) -> bool:
        """Whether there is something to draw."""
        return bool(self.x.size) and bool(np.isfinite(self.x).any())

    @property
    def end(self) -> float:
        """Last value of the mean; NaN when there is none."""
        return float(self.band.mean[-1]) if self.band.mean.size else float("nan")


@figure("curves")
def curves(
    verdict: ClaimVerdict,
    *,
    metric: str = "accuracy",
    split: str = "validation",
    arms: Sequence[str] | None = None,
    panels: Mapping[str, Sequence[str]] | None = None,
    highlight: str | None = None,
    ylim: tuple[float, float] | None = None,
    mark_epoch: float | None = None,
    zoom_last: int | None = None,
    controls: Sequence[str] | None = None,
    tail_epochs: int | None = 5,
    x: Clock = "epoch",
    log_x: bool = False,
    log_y: bool = False,
    ratio_to: str | None = None,
    printed: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> Figure:
    """Draw the mean of a metric over time with its 95 % band, one line an arm.

    Parameters
    ----------
    metric, split : str
        Rows of the results to draw. Accuracy is shown in percent.
    arms : list of str, optional
        Names or globs of the arms to draw; all by default.
    panels : mapping of title to list of str, optional
        Side-by-side panels with the arms of each; they have one y axis when that leaves both
        readable. No dots of the seeds then.
    highlight : str, optional
        Name or glob of the arm the source expects to do best. By default the arm a ``best_arm``
        criterion expects.
    ylim : pair of float, optional
        Limits of the y axis in shown units. By default such that the lines can be told apart
        once the steep start is over.
    mark_epoch : float, optional
        Draws a vertical line there.
    zoom_last : int, optional
        Shows the last so many epochs only.
    controls : list of str, optional
        Names or globs of arms to draw dashed and grey.
    tail_epochs : int, optional
        Second panel: for every seed the mean over the last so many epochs. Null leaves it out.
    x : {"epoch", "step", "examples", "seconds"}
        What stands on the horizontal axis. Seconds want runs that were timed.
    log_x, log_y : bool
        Logarithmic axes.
    ratio_to : str, optional
        Arm whose last mean the others are divided by; the ratio stands beside their names.
    printed : mapping of arm to list of pair of float, optional
        The source's numbers (x and the metric in shown units) as open diamonds.

    Raises
    ------
    ValueError
        If `mark_epoch` or `zoom_last` is given and `x` is not the epoch.
    """
    if x != "epoch" and (mark_epoch is not None or zoom_last is not None):
        raise ValueError("mark_epoch and zoom_last are epochs, the x axis is not")
    chosen = select(verdict.claim.arms, arms)
    grouped = [(title, select(chosen, names)) for title, names in (panels or {}).items()]
    shown = [arm for arm in chosen if not grouped or any(arm in group for _, group in grouped)]
    groups = [members for _, members in grouped] or [shown]
    lines = _lines(verdict, groups, metric, split, highlight, controls, x)
    with_tail = not grouped and bool(tail_epochs) and any(line.data.seeds for line in lines)

    notes = [_band_note(lines)]
    if any(line.expected for line in lines):
        notes.append("★ = what the source expects")
    if ratio_to:
        notes.append(f"×: ratio of the last mean to that of {arm_label(ratio_to)}")
    if printed:
        notes.append("open diamonds: the source's numbers, in its own set-up")
    frame = canvas(
        verdict,
        notes,
        widths=[1.0] * len(grouped) if grouped else [1.55, 1.0] if with_tail else [1.0],
        width=5.4 * len(grouped) if len(grouped) > 2 else 10.5 if grouped or with_tail else 8.5,
    )
    drawn = [
        [line for line in lines if line.name in {arm.name for arm in members}]
        for _, members in grouped
    ] or [lines]
    own = [
        _log_limits(group) if log_y else _limits(group, larger_is_better(metric), zoom_last)
        for group in drawn
    ]
    limits = [ylim] * len(drawn) if ylim else shared(own)
    titles = [title for title, _ in grouped] or [""]
    for axes, title, group, pair in zip(frame.axes, titles, drawn, limits, strict=False):
        axes.set_title(title, loc="left", size=10.5, color=INK)
        axes.set_yscale("log" if log_y else "linear")
        axes.set_xscale("log" if log_x else "linear")
        _panel(axes, group, pair, mark_epoch, zoom_last, _ratios(lines, ratio_to))
        _printed(axes, group, printed or {})
        if any(line.shown for line in group):
            time_axis(axes, x, log=log_x)
        if log_y and pair is not None:
            plain_log(axes.yaxis, *pair)
    frame.axes[0].set_ylabel(metric_label(verdict, metric, split))
    if with_tail:
        draw_tail(frame.axes[1], lines, tail_epochs or 0)
    return frame.figure


def shared(
    limits: Sequence[tuple[float, float] | None],
) -> list[tuple[float, float] | None]:
    """Give all panels the same limits unless that would squeeze one of them to under half."""
    known = [pair for pair in limits if pair is not None]
    if not known:
        return list(limits)
    low, high = min(pair[0] for pair in known), max(pair[1] for pair in known)
    if high - low > 2 * min(pair[1] - pair[0] for pair in known):
        return list(limits)
    return [None if pair is None else (low, high) for pair in limits]


def expected_arm(verdict: ClaimVerdict) -> str | None:
    """Name of the arm that a ``best_arm`` criterion of the claim expects."""
    for judged in verdict.criteria:
        if judged.spec.kind == "best_arm" and judged.spec.role == "claim":
            found = judged.spec.params.get("expected")
            return found if isinstance(found, str) else None
    return None


def _lines(
    verdict: ClaimVerdict,
    groups: Sequence[Sequence[Arm]],
    metric: str,
    split: str,
    highlight: str | None,
    controls: Sequence[str] | None,
    clock: Clock,
) -> list[Line]:
    arms = list({arm.name: arm for group in groups for arm in group}.values())
    aside = {arm.name for arm in select(arms, controls)} if controls else set()
    wanted = highlight or expected_arm(verdict)
    starred = {arm.name for arm in select(arms, [wanted])} if wanted else set()
    palette: dict[str, Colour] = {}
    for group in groups:
        palette = {**colours([arm for arm in group if arm.name not in aside]), **palette}
    found = []
    for arm in arms:
        data = trajectories(verdict.frame, arm.name, metric, split)
        found.append(
            Line(
                name=arm.name,
                data=data,
                x=positions(verdict.frame, arm.name, data.epochs, clock),
                band=band(data.values),
                colour=EXPECTED
                if arm.name in starred
                else CONTROL
                if arm.name in aside
                else palette[arm.name],
                control=arm.name in aside,
                expected=arm.name in starred,
            )
        )
    return found


def _panel(
    axes: Axes,
    lines: Sequence[Line],
    limits: tuple[float, float] | None,
    mark_epoch: float | None,
    zoom_last: int | None,
    ratios: Mapping[str, str],
) -> None:
    present = [line for line in lines if line.shown]
    if not present or limits is None:
        diverged = [with_diverged(arm_label(line.name), line.data) for line in present]
        nothing(axes, "\n".join(diverged) or "incomplete: no runs to show yet")
        return
    for line in present:
        x, look = line.x, dict[str, Any](color=line.colour)
        axes.fill_between(x, line.band.low, line.band.high, alpha=0.18, lw=0, **look)
        mean = axes.plot(
            x,
            line.band.mean,
            lw=2.8 if line.expected else 1.6,
            ls=(0, (4, 2)) if line.control else "-",
            marker="o" if x.size == 1 else "",
            zorder=3 if line.expected else 2,
            **look,
        )
        tell(mean, arm_label(line.name))
    end = max(float(np.nanmax(line.x)) for line in present)
    start = 0.0 if zoom_last is None else end - zoom_last
    if axes.get_xscale() == "log":
        # A single evaluation would leave the axis no width.
        start = min(min(float(np.nanmin(line.x)) for line in present), 0.9 * end)
    axes.set(xlim=(start, end), ylim=limits)
    if mark_epoch is not None and mark_epoch <= axes.get_xlim()[1]:
        axes.axvline(mark_epoch, color=MUTED, lw=1, ls=":", zorder=1)
        axes.annotate(
            f" epoch {mark_epoch:g}",
            (mark_epoch, 0.015),
            xycoords=("data", "axes fraction"),
            size=8,
            color=MUTED,
        )
    label_ends(
        axes,
        end,
        [
            EndLabel(
                with_diverged(("★ " if line.expected else "") + arm_label(line.name), line.data)
                + ratios.get(line.name, ""),
                line.end,
                line.colour,
                bold=line.expected,
                x=float(np.nanmax(line.x)) if line.shown else None,
            )
            for line in lines
        ],
    )


def _printed(
    axes: Axes, lines: Sequence[Line], printed: Mapping[str, Sequence[tuple[float, float]]]
) -> None:
    for line in (line for line in lines if line.name in printed):
        x, y = zip(*printed[line.name], strict=True)
        look: dict[str, Any] = {"mfc": "white", "mec": line.colour, "mew": 1.4, "clip_on": False}
        dots = axes.plot(x, y, ls="", marker="D", ms=6, zorder=5, **look)
        tell(dots, f"{arm_label(line.name)}, as printed")


def _limits(
    lines: Sequence[Line], larger: bool, zoom_last: int | None
) -> tuple[float, float] | None:
    """Limits that show the settled part of the better arms; the rest may leave the panel."""
    present = [line for line in lines if line.data.epochs.size]
    ends = np.array([line.end for line in present])
    if not np.isfinite(ends).any():
        return None
    sign = 1.0 if larger else -1.0
    best, middle = np.nanmax(ends * sign), np.nanmedian(ends * sign)
    floor = middle - 4 * max(best - middle, 0.02 * abs(best))
    kept = [line for line in present if line.end * sign >= floor]
    lows, highs = [], []
    for line in kept:
        x = line.data.epochs
        first = x[-1] - zoom_last if zoom_last is not None else STEEP * x[-1]
        late = x >= first
        for bound in (line.band.mean, line.band.low, line.band.high):
            values = bound[late][np.isfinite(bound[late])]
            if values.size:
                lows.append(values.min())
                highs.append(values.max())
    low, high = float(min(lows)), float(max(highs))
    if zoom_last is None:
        low, high = _closer(kept, low, high, larger)
    pad = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    return low - pad, high + pad


def _log_limits(lines: Sequence[Line]) -> tuple[float, float] | None:
    """Limits of a logarithmic axis: all means."""
    values = np.concatenate([np.empty(0), *(line.band.mean for line in lines if line.shown)])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    pad = (high / low) ** 0.06 if high > low else 1.2
    return low / pad, high * pad


def _ratios(lines: Sequence[Line], ratio_to: str | None) -> dict[str, str]:
    """Ratio of each line's end to that of one, in words."""
    base = next((line.end for line in lines if line.name == ratio_to), float("nan"))
    if not np.isfinite(base) or base == 0:
        return {}
    return {
        line.name: f"  ×{number(line.end / base)}"
        for line in lines
        if line.name != ratio_to and np.isfinite(line.end)
    }


def _closer(lines: Sequence[Line], low: float, high: float, larger: bool) -> tuple[float, float]:
    """Cut more of the rise when the ends are close together, but never the later half."""
    ends = np.array([line.end for line in lines])
    reach = max(2.5 * float(np.ptp(ends)), 0.2 * (high - low))
    late = [line.band.mean[line.data.epochs >= 0.5 * line.data.epochs[-1]] for line in lines]
    if larger:
        return max(low, min(float(ends.min()) - reach, *(np.nanmin(x) for x in late))), high
    return low, min(high, max(float(ends.max()) + reach, *(np.nanmax(x) for x in late)))


def _band_note(lines: Sequence[Line]) -> str:
    seeds = sorted({len(line.data.seeds) for line in lines if line.data.seeds})
    if not seeds:
        return "no runs stored"
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    if seeds[-1] == 1:
        return "One seed: no band"
    note = f"Line and band: mean over {count} seeds and its 95 % t interval"
    diverged = any(line.data.diverged for line in lines)
    note += ", of the runs that have not diverged" if diverged else ""
    ended = any(line.data.ended for line in lines)
    return note + ("; a run that ended at its target keeps its last value" if ended else "")
