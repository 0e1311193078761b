"""Computed values against the ones a source prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import EndLabel, arm_label, label_ends
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats
from bench_lr.figures.style import EXPECTED, MUTED
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@figure("values")
def values(
    verdict: ClaimVerdict,
    *,
    printed: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    x: Sequence[float] | None = None,
    x_label: str = "step",
    y_label: str = "learning rate",
    line: Literal["step", "line", "none"] = "step",
) -> Figure:
    """Draw what the claim's calculations gave, and the printed values with their differences.

    Parameters
    ----------
    printed : list of float, or mapping of calculation to list of float, optional
        The source's numbers, one for each of `x`; a list belongs to the first calculation.
    x : list of float, optional
        Where the values stand; 0, 1, 2, ... by default.
    x_label, y_label : str
        Axis labels, units included.
    line : {"step", "line", "none"}
        How the computed values are joined: held until the next, straight, or not at all.
    """
    import seaborn as sns

    computed = {
        name: np.ravel(array.mean(axis=0) if array.ndim == 2 else array)
        for name, array in verdict.calculations.items()
    }
    tables = printed if isinstance(printed, Mapping) else {}
    if printed is not None and not tables and computed:
        tables = {next(iter(computed)): [float(value) for value in _list(printed)]}
    notes = ["Dots: computed"]
    if tables:
        notes.append("diamonds: as printed, with their distance from the computed value")
        notes.append("red and bold: farther than half a unit of the last printed digit")
    frame = canvas(verdict, notes, width=10.0)
    axes = frame.axes[0]
    axes.set(xlabel=x_label, ylabel=y_label)
    shown = {name: array for name, array in computed.items() if np.isfinite(array).any()}
    if not shown:
        nothing(axes, "incomplete: no values were computed")
        return frame.figure
    palette = sns.color_palette("colorblind", len(shown))
    style = {"step": "steps-post", "line": "default", "none": "default"}[line]
    labels = []
    for (name, array), colour in zip(shown.items(), palette, strict=True):
        place = _places(x, array.size)
        axes.plot(
            place,
            array,
            color=colour,
            drawstyle=style,
            ls="" if line == "none" else "-",
            marker="o" if array.size <= 60 else "",
            ms=5,
            lw=1.6,
        )
        labels.append(EndLabel(arm_label(name), float(array[-1]), colour))
        if name in tables:
            _table(axes, place, array, np.asarray(tables[name], dtype=float))
    axes.margins(x=0.06, y=0.16)
    if len(labels) > 1:
        label_ends(axes, float(max(_places(x, shown[name].size)[-1] for name in shown)), labels)
    return frame.figure


def _list(printed: Sequence[float] | Mapping[str, Sequence[float]]) -> Sequence[float]:
    return [] if isinstance(printed, Mapping) else printed


def _places(x: Sequence[float] | None, size: int) -> Floats:
    if x is None or len(x) != size:
        return np.arange(size, dtype=np.float64)
    return np.asarray(x, dtype=np.float64)


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
    for place, value, own in zip(x[:size], printed[:size], computed[:size], strict=True):
        away = value - own
        off = abs(away) > 0.5 * last_digit(value) * (1 + 1e-9)
        axes.annotate(
            f"{value:g}\n{_distance(away, value)}",
            (place, value),
            xytext=(7, 6),
            textcoords="offset points",
            ha="left",
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
