"""Computed values against the ones a source prints."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench_lr.figures.axis import plain_log
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import EndLabel, arm_label, label_ends
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats
from bench_lr.figures.style import EXPECTED, INK, MUTED, Colour
from bench_lr.stats import t_interval
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DOTS = 60
"""Values of a calculation up to which each is a dot."""


@figure("values")
def values(
    verdict: ClaimVerdict,
    *,
    printed: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    x: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    x_label: str = "step",
    y_label: str = "learning rate",
    line: Literal["step", "line", "none"] = "step",
    show: Sequence[str] | None = None,
    log: Literal["x", "y", "both"] | None = None,
    ylim: tuple[float, float] | None = None,
    panels: Mapping[str, Sequence[str]] | None = None,
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Draw what the claim's calculations gave, and the printed values with their differences.

    Parameters
    ----------
    printed : list of float, or mapping of calculation to list of float, optional
        The source's numbers, one for each of `x`; a list belongs to the first calculation.
    x : list of float, or mapping of calculation to list of float, optional
        Where the values stand; 0, 1, 2, ... by default.
    x_label, y_label : str
        Axis labels, units included.
    line : {"step", "line", "none"}
        How the computed values are joined: held until the next, straight, or not at all.
    show : list of str, optional
        Which calculations, by name or glob; all by default. Of simulations (seeds, values) the mean
        is drawn with its 95 % t interval.
    log : {"x", "y", "both"}, optional
        Logarithmic axes.
    ylim : pair of float, optional
        Limits of the y axis.
    panels : mapping of title to list of str, optional
        Calculations side by side on one scale, by name or glob, instead of `show`; those at the
        same place in their panels have the same colour.
    names : mapping of calculation to str, optional
        What to call them.
    """
    import seaborn as sns

    wanted: Mapping[str, Sequence[str] | None] = panels or {"": show}
    groups = {
        title: {
            name: array
            for name, array in verdict.calculations.items()
            if chosen is None or any(fnmatch.fnmatch(name, pattern) for pattern in chosen)
            if np.isfinite(array).any()
        }
        for title, chosen in wanted.items()
    }
    tables = printed if isinstance(printed, Mapping) else {}
    if printed is not None and not tables:
        first = next((name for group in groups.values() for name in group), None)
        tables = {first: [float(value) for value in _list(printed)]} if first else {}
    dots = any(array.shape[-1] <= DOTS for group in groups.values() for array in group.values())
    notes = ["Dots: computed" if dots or not any(groups.values()) else "Lines: computed"]
    if any(array.ndim == 2 for group in groups.values() for array in group.values()):
        notes.append("bands: 95 % t interval of the mean over seeds")
    if tables:
        notes.append("diamonds: as printed, with their distance from the computed value")
        notes.append("red and bold: farther than half a unit of the last printed digit")
    frame = canvas(verdict, notes, widths=[1.0] * len(groups), width=10.0)
    frame.axes[0].set_ylabel(y_label)
    if not any(groups.values()):
        nothing(frame.axes[0], "incomplete: no values were computed")
        return frame.figure
    labels: list[EndLabel] = []
    for axes, (title, group) in zip(frame.axes, groups.items(), strict=True):
        axes.set_xlabel(x_label)
        axes.set_title(title, loc="left", size=11, color=INK)
        palette = sns.color_palette("colorblind", max(len(group), 1))
        for (name, array), colour in zip(group.items(), palette, strict=False):
            text = (names or {}).get(name, arm_label(name))
            place = _places(x, name, array.shape[-1])
            labels.append(_line(axes, place, array, colour, line, text))
            if name in tables:
                _table(axes, place, _centre(array), np.asarray(tables[name], dtype=float))
    _scale(frame.axes, log, ylim)
    if len(groups) > 1:
        for axes in frame.axes:
            axes.legend(fontsize=9)
    elif len(labels) > 1:
        label_ends(frame.axes[0], max(label.x or 0.0 for label in labels), labels)
    return frame.figure


def _line(
    axes: Axes, place: Floats, array: Floats, colour: Colour, line: str, text: str
) -> EndLabel:
    """Draw one calculation and return what its end is called."""
    style = {"step": "steps-post", "line": "default", "none": "default"}[line]
    centre = _centre(array)
    drawn = axes.plot(
        place,
        centre,
        color=colour,
        drawstyle=style,
        ls="" if line == "none" else "-",
        marker="o" if centre.size <= DOTS else "",
        ms=5,
        lw=1.6,
        label=text,
    )
    tell(drawn, text)
    if array.ndim == 2 and len(array) > 1 and np.isfinite(array).all():
        low, high = np.array([t_interval(column)[1:] for column in array.T]).T
        # What reaches below 0 has no place on a logarithmic axis.
        low = np.where((low <= 0) & (centre > 0), centre, low)
        axes.fill_between(place, low, high, color=colour, alpha=0.2, lw=0)
    return EndLabel(text, float(centre[-1]), colour, x=float(place[-1]))


def _scale(panels: Sequence[Axes], log: str | None, ylim: tuple[float, float] | None) -> None:
    """Give the panels their scales, and one height to all."""
    for axes in panels:
        axes.set_xscale("log" if log in ("x", "both") else "linear")
        axes.set_yscale("log" if log in ("y", "both") else "linear")
        axes.margins(x=0.06, y=0.16)
    low, high = np.array([axes.get_ylim() for axes in panels]).T
    for axes in panels:
        axes.set_ylim(ylim or (low.min(), high.max()))
        if log in ("x", "both"):
            plain_log(axes.xaxis, *axes.get_xlim())
        if log in ("y", "both"):
            plain_log(axes.yaxis, *axes.get_ylim())
    for axes in panels[1:]:
        axes.set_yticklabels([])


def _centre(array: Floats) -> Floats:
    """Numbers as they are, or means over seeds."""
    means: Floats = array.mean(axis=0) if array.ndim == 2 else array
    return means


def _list(printed: Sequence[float] | Mapping[str, Sequence[float]]) -> Sequence[float]:
    return [] if isinstance(printed, Mapping) else printed


def _places(
    x: Sequence[float] | Mapping[str, Sequence[float]] | None, name: str, size: int
) -> Floats:
    given = x.get(name) if isinstance(x, Mapping) else x
    if given is None or len(given) != size:
        return np.arange(size, dtype=np.float64)
    return np.asarray(given, dtype=np.float64)


def _table(axes: Axes, x: Floats, computed: Floats, printed: Floats) -> None:
    size = min(x.size, printed.size, computed.size)
    axes.plot(
        x[:size],
        printed[:size],
        ls="",
        marker="D",
        ms=9,
        mfc="none",
        mec=EXPECTED,
        mew=1.5,
        zorder=4,
    )
    if size > 24:
        return
    # To the side where the line is not.
    side = -1 if computed[size - 1] > computed[0] else 1
    for place, value, own in zip(x[:size], printed[:size], computed[:size], strict=True):
        away = value - own
        off = abs(away) > 0.5 * last_digit(value) * (1 + 1e-9)
        axes.annotate(
            f"{value:g}\n{_distance(away, value)}",
            (place, value),
            xytext=(7 * side, 6),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="bottom",
            size=8.5 if size <= 10 else 7,
            color=EXPECTED if off else MUTED,
            weight="bold" if off else "normal",
            linespacing=1.25,
        )


def last_digit(printed: float) -> float:
    """Return the unit of a number's last digit, trailing zeros left out: 0.01 for 2.31."""
    mantissa, _, exponent = f"{printed:.12g}".partition("e")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


def _distance(away: float, value: float) -> str:
    if abs(away) <= 1e-9 * max(abs(value), 1e-300):
        return "exact"
    size = np.format_float_positional(abs(away), precision=2, fractional=False, trim="-")
    return f"{'−' if away < 0 else '+'}{size}"
