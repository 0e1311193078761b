"""How much each arm spends: horizontal bars with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench_lr.budget import budget
from bench_lr.figures.canvas import canvas, clipped, nothing
from bench_lr.figures.labels import arm_label
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import select
from bench_lr.figures.style import colours
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {
    "steps": "parameter updates",
    "steps_per_epoch": "parameter updates per epoch",
    "examples": "training examples",
    "epochs": "epochs",
}


@figure("counts")
def counts(
    verdict: ClaimVerdict,
    *,
    metric: Literal["steps", "steps_per_epoch", "examples", "epochs"] = "steps",
    arms: Sequence[str] | None = None,
) -> Figure:
    """Draw what every arm spends, from its settings; they are exact and the same for all seeds.

    Parameters
    ----------
    metric : {"steps", "steps_per_epoch", "examples", "epochs"}
        What to count; a step is one parameter update. Per epoch: on average over the run.
    arms : list of str, optional
        Names or globs of the arms, or of the claim's calculations when it trains nothing.
    """
    chosen = select(verdict.claim.arms, arms)
    rows = []
    palette = colours(chosen)
    for arm in chosen:
        if arm.runs:
            spent = budget(arm.runs[0])
            number = {
                "steps": spent.updates,
                "steps_per_epoch": spent.updates / spent.epochs,
                "examples": spent.examples,
                "epochs": spent.epochs,
            }[metric]
            rows.append((arm_label(arm.name), float(number), palette[arm.name]))
    if not chosen:
        names = [name for name in verdict.calculations if arms is None or name in arms]
        rows = [
            (arm_label(name), float(np.ravel(verdict.calculations[name])[-1]), (0.0, 0.45, 0.7))
            for name in names
            if verdict.calculations[name].size
        ]
    frame = canvas(verdict, ["Exact counts"], width=9.0, body=0.75 + 0.42 * max(len(rows), 3))
    axes = frame.axes[0]
    axes.set_xlabel(UNITS[metric])
    if not rows:
        nothing(axes, "incomplete: nothing to count")
        return frame.figure
    places = np.arange(len(rows))
    values = [value for _, value, _ in rows]
    bars = axes.barh(places, values, color=[colour for *_, colour in rows], height=0.62)
    for bar, (label, *_) in zip(bars, rows, strict=True):
        tell(bar, label, only_x=True)
    axes.set_yticks(places, [clipped(label, 10, 240) for label, *_ in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(values) * 1.22 or 1.0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    least = min(value for value in values if value > 0) if any(values) else 0.0
    for place, value in zip(places, values, strict=True):
        times = f"  (×{value / least:.3g})" if least and value > least else ""
        axes.annotate(
            f"{value:,.0f}{times}",
            (value, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            size=10,
        )
    return frame.figure
