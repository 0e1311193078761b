"""A line that is too steep at several sets of points, and the learning rate that levels it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.calculations import LineLoss, NeededLr, NeededLrDraws
from bench_lr.figures.axis import plain_log
from bench_lr.figures.canvas import canvas, nothing, wrapped
from bench_lr.figures.registry import figure
from bench_lr.figures.style import EXPECTED, INK, MUTED
from bench_lr.stats import t_interval
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = "#b04500"
LEVEL = "#00735c"


@figure("line_fits")
def line_fits(
    verdict: ClaimVerdict, *, panels: Sequence[str] = (), drawn: Sequence[str] = ()
) -> Figure:
    """Draw points, the line and its residuals, a panel a set of points, with the LR they need.

    Parameters
    ----------
    panels : list of str
        Calculations of kind ``needed_lr``; all by default.
    drawn : list of str, optional
        Calculations of kind ``needed_lr_draws``: a last panel has the geometric mean of each with
        its 95 % t interval, against the number of points.
    """
    known = verdict.claim.spec.calculations
    fits = {name: item for name, item in known.items() if isinstance(item, NeededLr)}
    shown = [name for name in panels or fits if name in fits]
    draws = [(n, item) for n in drawn if isinstance(item := known.get(n), NeededLrDraws)]
    draws = [(name, item) for name, item in draws if name in verdict.calculations]
    notes = ["Blue: points", "brown: the line as it is", "green: where it should be"]
    if not shown:
        frame = canvas(verdict, notes)
        nothing(frame.axes[0], "incomplete: no points to fit")
        return frame.figure
    if draws:
        notes.append("last panel: points drawn at random, geometric mean and 95 % t interval")
    widths = [1.0] * len(shown) + ([1.35] if draws else [])
    frame = canvas(verdict, notes, widths=widths, width=11.5, body=3.5)
    reach = 1.2 * max(abs(x) for name in shown for x in fits[name].x)
    for axes, name in zip(frame.axes, shown, strict=False):
        _panel(axes, name, fits[name], reach)
    frame.axes[0].set_ylabel("y")
    for axes in frame.axes[1 : len(shown)]:
        axes.set_yticklabels([])
    if draws:
        _draws(frame.axes[-1], verdict, draws)
    return frame.figure


def _panel(axes: Axes, name: str, fit: NeededLr, reach: float) -> None:
    import seaborn as sns

    x = np.asarray(fit.x, dtype=np.float64)
    ends = np.array([-reach, reach])
    axes.axhline(0, color=LEVEL, lw=1.8)
    axes.plot(ends, fit.slope * ends, color=LINE, lw=1.8)
    axes.vlines(x, 0, fit.slope * x, color=MUTED, lw=1, ls=":")
    places, times = np.unique(x, return_counts=True)
    axes.plot(places, 0 * places, "o", ms=7, color=sns.color_palette("colorblind")[0], zorder=4)
    for place, count in zip(places, times, strict=True):
        if count > 1:
            axes.annotate(f"×{count}", (place, 0), (0, -15), textcoords="offset points", size=9)
    axes.set(xlim=(-reach, reach), ylim=(-1.3 * reach, 0.75 * reach), xlabel="x", yticks=[-2, 0, 2])
    axes.set_title("\n".join(wrapped(name, 10, 135, bold=True)), loc="left", size=10, color=INK)
    by_loss = NeededLr(fit.x, fit.slope, "loss").values()[0]
    by_gradient = NeededLr(fit.x, fit.slope, "gradient").values()[0]
    loss = LineLoss(fit.x, fit.slope).values()[0]
    words = f"loss {loss:.3g}\nneeded LR\n  by loss {by_loss:.3g}\n  by gradient {by_gradient:.3g}"
    axes.text(0.03, 0.03, words, transform=axes.transAxes, size=8.5, color=INK, linespacing=1.4)


def _draws(axes: Axes, verdict: ClaimVerdict, draws: Sequence[tuple[str, NeededLrDraws]]) -> None:
    points = np.array([item.points for _, item in draws], dtype=np.float64)
    centre, low, high = np.exp(
        [t_interval(np.log(verdict.calculations[name])) for name, _ in draws]
    ).T
    axes.errorbar(points, centre, [centre - low, high - centre], color=INK, marker="o", capsize=3)
    level = 3 / draws[0][1].half_width ** 2
    axes.axhline(level, color=EXPECTED, ls=":", lw=1.2)
    axes.annotate(
        f"{level:g}: endless points",
        (1, level),
        (-2, -4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        size=8.5,
        color=EXPECTED,
        ha="right",
        va="top",
    )
    axes.set(xscale="log", xlabel="points drawn", ylim=(0, 1.15 * float(high.max())))
    axes.margins(x=0.1)
    plain_log(axes.xaxis, *axes.get_xlim())
    axes.set_title("needed LR by gradient", loc="left", size=10, color=MUTED)
