"""Runs without a number, told at the top of a panel: diverged, or never at the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.figures.series import Floats
from bench_lr.figures.style import FAINT, MUTED, Colour, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = 3
"""Lines up to which each has a row of its own; of more, all have one together."""
ROW = 0.05
"""Height of a row, in shares of the panel."""


@dataclass(frozen=True)
class Lost:
    """How many runs of a line are lost at each x."""

    colour: Colour | str
    x: Floats
    diverged: Sequence[int]
    capped: Sequence[int]

    def __bool__(self) -> bool:
        return any(self.diverged) or any(self.capped)


def _pooled(lines: Sequence[Lost]) -> Lost:
    """Lost runs of all lines together."""
    every = np.unique(np.concatenate([line.x for line in lines]))
    sums = np.zeros((2, every.size), dtype=int)
    for line in lines:
        place = np.searchsorted(every, line.x)
        np.add.at(sums[0], place, line.diverged)
        np.add.at(sums[1], place, line.capped)
    return Lost(MUTED, every, sums[0].tolist(), sums[1].tolist())


def draw_lost(axes: Axes, lines: Sequence[Lost]) -> None:
    """Make room at the top of `axes` for a row a line that lost runs, and fill it.

    The y limits must be final but for this.
    """
    rows = [line for line in lines if line]
    if len(rows) > ROWS:
        rows = [_pooled(rows)]
    if not rows:
        return
    share = ROW * len(rows) + 0.025
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, float(low * (high / low) ** (1 / (1 - share))))
    else:
        axes.set_ylim(low, low + (high - low) / (1 - share))
    axes.axhline(high, color=FAINT, lw=0.8, zorder=0)
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
    for row, line in enumerate(rows):
        height = 1 - 0.012 - ROW * (row + 0.5)
        for at, diverged, capped in zip(line.x, line.diverged, line.capped, strict=True):
            parts = [(mark, n) for mark, n in (("✕", diverged), ("△", capped)) if n]
            if parts and np.isfinite(at):
                axes.annotate(
                    " ".join(f"{mark}{n}" for mark, n in parts),
                    (at, height),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    va="center",
                    size=7.5,
                    color=readable(line.colour),
                )
