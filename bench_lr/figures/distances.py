"""Distance from the minimum of a noisy quadratic over steps, under several schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench_lr.calculations import ExpectedQuadratic, ScheduledQuadratic
from bench_lr.calculations.robbins_monro import conditions
from bench_lr.figures.axis import plain_log
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import EndLabel, label_ends
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure("distances")
def distances(verdict: ClaimVerdict) -> Figure:
    """Draw the claim's expected distances as lines and simulated ones as dots.

    A line is a calculation of kind expected_quadratic that reports its curve; the dots, one a seed,
    are those of kind scheduled_quadratic with the same schedule. Beside each name stands which of
    the two Robbins-Monro conditions the schedule meets.
    """
    import seaborn as sns

    calculations = verdict.claim.spec.calculations
    lines = {
        name: one
        for name, one in calculations.items()
        if isinstance(one, ExpectedQuadratic) and one.report == "curve"
    }
    notes = [
        "Lines: expected squared distance, exact",
        "dots: simulated, one a seed, mean over the last tenth of the steps",
        "beside the names: is Ση infinite, is Ση² finite",
    ]
    frame = canvas(verdict, notes, width=10.5)
    axes = frame.axes[0]
    if not lines:
        nothing(axes, "incomplete: no distances to draw")
        return frame.figure
    axes.set(xlabel="step", ylabel="squared distance from the minimum", xscale="log", yscale="log")
    labels, lowest, last = [], np.inf, 1
    for (name, line), colour in zip(
        lines.items(), sns.color_palette("colorblind", len(lines)), strict=True
    ):
        order = np.argsort(line.at)
        at, found = np.asarray(line.at)[order], verdict.calculations[name][order]
        tell(axes.plot(at, found, color=colour, lw=1.8, zorder=3), name)
        marks = " ".join("✓" if met else "✗" for met in conditions(line.schedule))
        labels.append(EndLabel(f"{name}  {marks}", float(found[-1]), colour))
        lowest, last = min(lowest, float(found.min())), max(last, int(at[-1]))
        for other, dots in calculations.items():
            if isinstance(dots, ScheduledQuadratic) and dots.schedule == line.schedule:
                for values in verdict.calculations[other]:
                    axes.plot(dots.at, values, "o", color=colour, ms=3, alpha=0.45, mew=0, zorder=2)
    axes.set_xlim(1, 1.15 * last)
    axes.set_ylim(bottom=lowest / 30)
    plain_log(axes.xaxis, *axes.get_xlim())
    plain_log(axes.yaxis, *axes.get_ylim())
    label_ends(axes, last, labels)
    return frame.figure
