"""Gradient descent on a bowl of two dimensions: where it goes, and how fast it falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.calculations import QuadraticDescent
from bench_lr.figures.axis import plain_log
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import EndLabel, label_ends
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.style import EXPECTED, INK, MUTED
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4


@figure("paths")
def paths(
    verdict: ClaimVerdict,
    *,
    lrs: Sequence[float] = (),
    steps: int = 25,
    calculation: str | None = None,
) -> Figure:
    """Draw descents over the contours of a quadratic, one panel a LR, and their losses.

    Parameters
    ----------
    lrs : list of float
        At most four; those of the calculation by default.
    steps : int
        How many to draw.
    calculation : str, optional
        Which calculation of kind ``quadratic_descent``, for its curvatures (two), start and target;
        the first by default.
    """
    import seaborn as sns

    known = verdict.claim.spec.calculations
    bowls = {
        name: item
        for name, item in known.items()
        if isinstance(item, QuadraticDescent) and len(item.curvatures) == 2
    }
    chosen = bowls.get(calculation) if calculation else next(iter(bowls.values()), None)
    shown = list(lrs or (chosen.lrs if chosen else ()))[:MOST]
    notes = ["Dots: the weights after each step", "lines: equal loss", "cross: the minimum"]
    if chosen is None or not shown:
        frame = canvas(verdict, notes)
        nothing(frame.axes[0], "incomplete: no quadratic of two dimensions")
        return frame.figure
    notes.append(f"dotted: {chosen.target:g} of the loss at the start")
    widths = [1.0] * len(shown) + [1.5]
    frame = canvas(verdict, notes, widths=widths, width=11.5, body=2.9)
    walked = chosen.path(shown, steps)
    losses = chosen.loss(walked)
    palette = sns.color_palette("colorblind", len(shown))
    reach = 1.35 * float(np.abs(np.asarray(chosen.start)).max())
    for axes, lr, walk, colour in zip(frame.axes, shown, walked, palette, strict=False):
        _bowl(axes, chosen, reach)
        axes.plot(walk[:, 0], walk[:, 1], color=colour, lw=1.2, marker="o", ms=3.2, zorder=3)
        axes.plot(*walk[0], marker="o", ms=7, mfc="white", mec=colour, mew=1.8, zorder=4)
        axes.set_title(f"LR {lr:g}", loc="left", size=11, color=INK, weight="bold")
    frame.axes[0].set_ylabel(f"w₂ (curvature {chosen.curvatures[1]:g})")
    for axes in frame.axes[1:-1]:
        axes.set_yticklabels([])
    last = frame.axes[-1]
    labels = []
    floor = 1e-2 * chosen.target
    for lr, loss, colour in zip(shown, losses, palette, strict=True):
        visible = np.where(loss > floor, loss, np.nan)
        tell(last.plot(visible, color=colour, lw=1.8), f"LR {lr:g}")
        below = loss <= floor
        end = float(loss[-1]) if not below.any() else floor
        labels.append(EndLabel(f"LR {lr:g}", end, colour))
    last.axhline(chosen.target, color=EXPECTED, ls=":", lw=1.3)
    last.set_yscale("log")
    top = min(max(10.0, float(np.nanmax(losses))), 1e4)
    last.set(ylim=(floor, top), xlim=(0, steps), xlabel="step")
    plain_log(last.yaxis, floor, top)
    last.set_title("loss, as a share of that at the start", loc="left", size=10, color=MUTED)
    label_ends(last, steps, labels)
    return frame.figure


def _bowl(axes: Axes, bowl: QuadraticDescent, reach: float) -> None:
    grid = np.linspace(-reach, reach, 161)
    x, y = np.meshgrid(grid, grid)
    loss = 0.5 * (bowl.curvatures[0] * x**2 + bowl.curvatures[1] * y**2)
    levels = loss.max() * np.linspace(0.04, 1, 9) ** 2
    axes.contour(x, y, loss, levels=levels, colors="#b9c0c8", linewidths=0.9)
    axes.plot(0, 0, marker="+", ms=11, mew=2, color=EXPECTED, zorder=5)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_xlabel(f"w₁ (curvature {bowl.curvatures[0]:g})")
    axes.grid(visible=False)
