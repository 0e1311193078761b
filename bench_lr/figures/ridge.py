"""Which learning rate is best at which batch size: one heat map for all claims."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.figures.canvas import POINTS, wrapped
from bench_lr.figures.phase_diagram import Grid, draw_map, grid, row_position, slope
from bench_lr.figures.series import Floats
from bench_lr.figures.style import EXPECTED, INK, LOOKS, MUTED, shared_but_grid, theme
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLOPES = (1.0, 0.5, 0.0)
NAMES = ("∝ B", "∝ √B", "flat")
LEAST = (3, 4)
"""Batch sizes, and learning rates at each, without which a grid says nothing of a ridge."""
EPOCHS = 2


@dataclass(frozen=True)
class Pieces:
    """A continuous line of pieces with the slopes 1, ½ and 0, each of which may be empty.

    Attributes
    ----------
    knots, heights : array, shape (4,)
        Where the pieces begin and end: log2 of the batch size and of the learning rate.
    """

    knots: Floats
    heights: Floats


def fit_pieces(x: Floats, y: Floats) -> Pieces:
    """Fit the pieces by least squares; a piece ends at one of `x`.

    Parameters
    ----------
    x, y : array, shape (points,)
        log2 of batch sizes, at least one, and of their best learning rates.
    """
    places = np.unique(x)
    best, chosen = np.inf, (places[0], places[0])
    for first, second in itertools.combinations_with_replacement(places, 2):
        rest = y - _rise(x, places[0], first, second)
        error = float(((rest - rest.mean()) ** 2).sum())
        if error < best - 1e-9:
            best, chosen = error, (first, second)
    knots = np.array([places[0], *chosen, places[-1]])
    rise = _rise(knots, places[0], *chosen)
    offset = float((y - _rise(x, places[0], *chosen)).mean())
    return Pieces(knots, rise + offset)


def widest(verdicts: Sequence[ClaimVerdict]) -> ClaimVerdict | None:
    """Return the judged claim with the most batch sizes, then arms, in a grid of LR and batch size.

    Its arms must differ in nothing else, and be classifiers.
    """
    found = [(_extent(verdict), -place) for place, verdict in enumerate(verdicts)]
    found = [item for item in found if item[0][0]]
    return verdicts[-max(found)[1]] if found else None


def draw_ridge(verdicts: Sequence[ClaimVerdict]) -> Figure | None:
    """Draw validation accuracy by learning rate and batch size, with the ridge of the best rates.

    Returns
    -------
    Figure or None
        None if no claim has such a grid with results.
    """
    from matplotlib.figure import Figure

    verdict = widest(verdicts)
    if verdict is None:
        return None
    cells = grid(verdict, "accuracy", "validation", EPOCHS)
    if not np.isfinite(cells.means).any():
        return None
    # Room of the cells, their axes and the bar, and of head and foot, in inches.
    width = max(7.2, 2.6 + 0.6 * len(cells.batch_sizes))
    height = 2.1 + 0.36 * len(cells.lrs)
    with theme():
        fig = Figure(figsize=(width, height))
        left, top = 0.16 / width, 1 - 0.16 / height
        look = LOOKS[verdict.verdict]
        title = "The best learning rate at each batch size"
        fig.text(left, top, title, size=13, weight="bold", color=INK, va="top")
        seeds = cells.present.any(axis=(0, 1)).sum()
        said = f"{verdict.claim.id}, profile {verdict.claim.profile.name}"
        fig.text(left, top - 0.29 / height, said, size=9, color=MUTED, va="top")
        fig.text(
            1 - left,
            top,
            f"{look.mark} {verdict.verdict}",
            size=10.5,
            weight="bold",
            color=look.colour,
            ha="right",
            va="top",
        )
        bottom = 0.86 / height
        axes = fig.add_axes((0.85 / width, bottom, 1 - 1.0 / width, top - 0.6 / height - bottom))
        draw_map(axes, cells, "accuracy", "validation accuracy, %")
        axes.set_title("", loc="left")
        _ridge(axes, cells)
        own = "each seed's own best rate" if seeds > 1 else "the best means"
        note = (
            f"outlined: best mean of the last {EPOCHS} epochs; ×: a run diverged; dashed: "
            f"least-squares line of pieces ∝ B, ∝ √B and flat, in this order, through {own}"
        )
        lines = wrapped(note, 8, (width - 0.4) * POINTS)
        fig.text(left, 0.05 / height, "\n".join(lines), size=8, color=MUTED, va="bottom")
    return fig


def _extent(verdict: ClaimVerdict) -> tuple[int, int]:
    """Batch sizes and arms of a claim's grid of LR and batch size; zeros if it is none."""
    arms = [arm for arm in verdict.claim.arms if arm.runs]
    firsts = [arm.runs[0] for arm in arms]
    places = {(run.optimizer.lr, run.batches[0].batch_size) for run in firsts}
    rates = Counter(size for _, size in places)
    whole = len(places) == len(arms) and shared_but_grid(arms)
    enough = len(rates) >= LEAST[0] and min(rates.values()) >= LEAST[1]
    classes = all(run.task.loss == "cross_entropy" for run in firsts)
    if verdict.verdict == "incomplete" or not (whole and enough and classes):
        return 0, 0
    return len(rates), len(arms)


def _rise(x: Floats, start: float, first: float, second: float) -> Floats:
    """How far the pieces have risen since `start`."""
    steep = np.clip(x, start, first) - start
    rest: Floats = SLOPES[0] * steep + SLOPES[1] * (np.clip(x, first, second) - first)
    return rest


def _ridge(axes: Axes, cells: Grid) -> None:
    from matplotlib.patches import Rectangle

    for at, means in enumerate(cells.means.T):
        if np.isfinite(means).any():
            row = int(np.nanargmax(means))
            axes.add_patch(Rectangle((at, row), 1, 1, fill=False, ec=EXPECTED, lw=2.2, zorder=3))
    best = cells.best(larger=True)
    column, seed = np.nonzero(np.isfinite(best))
    sizes = np.log2(np.asarray(cells.batch_sizes, dtype=float))
    rates = np.log2(np.asarray(cells.lrs))
    pieces = fit_pieces(sizes[column], rates[best[column, seed].astype(int)])
    x = np.interp(pieces.knots, sizes, np.arange(sizes.size)) + 0.5
    y = row_position(pieces.heights, rates) + 0.5
    axes.plot(x, y, color=EXPECTED, lw=2.0, ls=(0, (4, 2)), zorder=4)
    for place, name in enumerate(NAMES):
        if pieces.knots[place + 1] - pieces.knots[place] < 1e-9:
            continue
        # Between two columns, where no number is.
        between = float(np.clip(round((x[place] + x[place + 1]) / 2), x[place], x[place + 1]))
        axes.text(
            between,
            float(np.interp(between, x[place : place + 2], y[place : place + 2])),
            name,
            ha="center",
            va="center",
            size=9.5,
            weight="bold",
            color=EXPECTED,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            zorder=5,
        )
    power, _ = slope(cells, larger=True)
    if np.isfinite(power):
        words = f"batch size B (one straight line: best LR ∝ B^{power:.2f})"
        axes.set_xlabel(words.replace("-", "−"))
    axes.set(xlim=(0, len(cells.batch_sizes)), ylim=(0, len(cells.lrs)))
