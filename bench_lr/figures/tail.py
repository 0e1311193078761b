"""Where every seed ended up: one dot a seed, one bar for the mean and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bench_lr.figures.canvas import clipped, nothing
from bench_lr.figures.labels import arm_label
from bench_lr.figures.series import Trajectories, band
from bench_lr.figures.style import EXPECTED, INK, MUTED, Colour, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Drawn(Protocol):
    """What the panel needs of a line."""

    @property
    def name(self) -> str:
        """Name of the arm."""

    @property
    def data(self) -> Trajectories:
        """Its trajectories."""

    @property
    def colour(self) -> Colour | str:
        """Its colour."""

    @property
    def expected(self) -> bool:
        """Whether the source expects it to do best."""


def draw_tail(axes: Axes, lines: Sequence[Drawn], epochs: int) -> None:
    """Draw per arm the per-seed means over the last `epochs` epochs.

    The axis shows the better arms; an arm far off it is named at the edge with its mean.
    """
    import pandas as pd
    import seaborn as sns

    kept = [line for line in lines if line.data.seeds]
    ends = {line.name: line.data.last(epochs) for line in kept}
    finite = {name: values[np.isfinite(values)] for name, values in ends.items()}
    if not any(values.size for values in finite.values()):
        nothing(axes, "every run diverged")
        return
    dots = pd.DataFrame(
        [(name, value) for name, values in finite.items() for value in values],
        columns=["arm", "value"],
    )
    order = [line.name for line in kept]
    sns.stripplot(
        dots,
        x="arm",
        y="value",
        order=order,
        hue="arm",
        hue_order=order,
        palette=[line.colour for line in kept],
        alpha=0.55,
        size=4.5,
        jitter=False,
        legend=False,
        ax=axes,
    )
    low, high = limits([values for values in finite.values() if values.size])
    for place, line in enumerate(kept):
        values = finite[line.name]
        if lost := ends[line.name].size - values.size:
            words = f"{lost} div." if values.size else "all\ndiv."
            axes.annotate(
                words,
                (place, 0.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                size=8,
                color=MUTED,
            )
        if not values.size:
            continue
        summary = band(values[:, None])
        mean = float(summary.mean[0])
        if not low <= mean <= high:
            axes.annotate(
                f"{'↓' if mean < low else '↑'} {mean:.1f}",
                (place, 0.08 if mean < low else 0.95),
                xycoords=("data", "axes fraction"),
                ha="center",
                size=8,
                color=readable(line.colour),
            )
            continue
        half = np.nan_to_num(float(summary.high[0]) - mean)
        axes.errorbar(
            place + 0.22, mean, yerr=half, fmt="D", ms=5, capsize=3.5, lw=1.6, color=INK, zorder=4
        )
    axes.set(ylim=(low, high), xlabel="", ylabel="", xlim=(-0.6, len(kept) - 0.3))
    axes.grid(visible=False, axis="x")
    _ticks(axes, kept)
    span = f"mean of last {epochs} epochs" if epochs > 1 else "mean of the last epoch"
    axes.set_title(f"{span}, by seed", loc="left", size=10, color=INK)
    axes.set_xlabel("diamond: mean and its 95 % t interval", size=8.5)


def limits(groups: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that show all dots of the groups near the others.

    A group counts as far when its median lies further from the median of all groups' medians
    than six times the median such distance.
    """
    medians = np.array([np.median(values) for values in groups])
    away = np.abs(medians - np.median(medians))
    own = float(np.median([np.ptp(values) for values in groups]))
    near = away <= max(6 * float(np.median(away)), 3 * own)
    shown = np.concatenate([values for values, keep in zip(groups, near, strict=True) if keep])
    low, high = float(shown.min()), float(shown.max())
    pad = 0.08 * (high - low) or 0.01 * abs(high) or 1.0
    return low - pad, high + pad


def _ticks(axes: Axes, lines: Sequence[Drawn]) -> None:
    labels = [clipped(("★ " if x.expected else "") + arm_label(x.name), 9, 130) for x in lines]
    steep = sum(len(label) for label in labels) > 34
    axes.set_xticks(
        range(len(lines)),
        labels,
        rotation=35 if steep else 0,
        ha="right" if steep else "center",
        rotation_mode="anchor" if steep else "default",
        size=9,
    )
    for tick, line in zip(axes.get_xticklabels(), lines, strict=True):
        tick.set_color(EXPECTED if line.expected else INK)
        tick.set_fontweight("bold" if line.expected else "normal")
