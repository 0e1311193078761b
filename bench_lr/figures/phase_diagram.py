"""Learning rate against batch size: a heat map with the ridge of the best learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import metric_label
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats, larger_is_better, trajectories
from bench_lr.figures.style import EXPECTED, INK
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Grid:
    """Outcomes over learning rate and batch size.

    Attributes
    ----------
    lrs, batch_sizes : tuple
        In ascending order.
    values : array, shape (lrs, batch sizes, seeds)
        NaN where a run diverged or is missing.
    present : array of bool, same shape
        Whether the run is there.
    """

    lrs: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    values: Floats
    present: npt.NDArray[np.bool_]

    @property
    def means(self) -> Floats:
        """Mean over seeds, NaN if any run of the cell diverged; shape (lrs, batch sizes)."""
        count = self.present.sum(axis=2)
        total = np.where(self.present, self.values, 0.0).sum(axis=2)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def best(self, larger: bool) -> Floats:
        """Index of every seed's best LR at each batch size, NaN if none; (batch sizes, seeds)."""
        bad = -np.inf if larger else np.inf
        filled = np.where(np.isfinite(self.values), self.values, bad)
        index: Floats = (filled.argmax(axis=0) if larger else filled.argmin(axis=0)).astype(float)
        index[~np.isfinite(self.values).any(axis=0)] = np.nan
        return index


@figure("phase_diagram")
def phase_diagram(
    verdict: ClaimVerdict,
    *,
    metric: str = "accuracy",
    split: str = "validation",
    reduce_epochs: int = 2,
    second_metric: str | None = None,
) -> Figure:
    """Draw the arms of an LR x batch-size grid as a heat map, both axes logarithmic.

    Parameters
    ----------
    metric, split : str
        Rows of the results to draw.
    reduce_epochs : int
        Each run counts with its mean over the last so many epochs.
    second_metric : str, optional
        A second panel for this metric.
    """
    metrics = [metric, *([second_metric] if second_metric else [])]
    grids = [grid(verdict, name, split, reduce_epochs) for name in metrics]
    wide = max(len(grids[0].batch_sizes), 4)
    tall = max(len(grids[0].lrs), 4)
    notes = [
        f"Cells: mean over seeds of the last {reduce_epochs} epochs"
        if reduce_epochs > 1
        else "Cells: mean over seeds at the last epoch",
        "outlined: best mean at that batch size",
        "white dots: each seed's best LR (area = number of seeds)",
        "×: a run diverged",
    ]
    frame = canvas(
        verdict,
        notes,
        widths=[1.0] * len(metrics),
        width=max(9.0, len(metrics) * (2.8 + 0.6 * wide)),
        body=max(3.6, 1.2 + 0.42 * tall),
    )
    for axes, name, cells in zip(frame.axes, metrics, grids, strict=True):
        if not np.isfinite(cells.means).any():
            nothing(axes, "incomplete: no runs to show yet")
            continue
        draw_map(axes, cells, name, metric_label(verdict, name, split))
        _ridge(axes, cells, larger_is_better(name))
    return frame.figure


def grid(verdict: ClaimVerdict, metric: str, split: str, epochs: int) -> Grid:
    """Collect the claim's arms by LR and batch size."""
    arms = [arm for arm in verdict.claim.arms if arm.runs]
    places = [(arm.runs[0].optimizer.lr, arm.runs[0].batches[0].batch_size) for arm in arms]
    lrs = tuple(sorted({lr for lr, _ in places}))
    sizes = tuple(sorted({size for _, size in places}))
    seeds = sorted({run.seed for arm in arms for run in arm.runs})
    values = np.full((len(lrs), len(sizes), len(seeds)), np.nan)
    present = np.zeros(values.shape, dtype=bool)
    for arm, (lr, size) in zip(arms, places, strict=True):
        data = trajectories(verdict.frame, arm.name, metric, split)
        for seed, value in zip(data.seeds, data.last(epochs), strict=True):
            if seed in seeds:
                spot = (lrs.index(lr), sizes.index(size), seeds.index(seed))
                values[spot], present[spot] = value, True
    return Grid(lrs, sizes, values, present)


def slope(cells: Grid, larger: bool) -> tuple[float, float]:
    """Least-squares line of log best LR on log batch size, over all seeds.

    Returns
    -------
    (slope, intercept)
        Of natural logarithms; NaN when there are fewer than two batch sizes.
    """
    best = cells.best(larger)
    column, seed = np.nonzero(np.isfinite(best))
    if len(set(column.tolist())) < 2:
        return float("nan"), float("nan")
    x = np.log(np.asarray(cells.batch_sizes, dtype=float))[column]
    y = np.log(np.asarray(cells.lrs))[best[column, seed].astype(int)]
    power, offset = np.polyfit(x, y, 1)
    return float(power), float(offset)


def draw_map(axes: Axes, cells: Grid, metric: str, label: str) -> None:
    import seaborn as sns
    from matplotlib.colors import LogNorm

    means = cells.means
    percent = metric == "accuracy"
    shade = np.maximum(100 - means, 1e-2) if percent else np.maximum(means, 1e-12)
    low, high = float(np.nanmin(shade)), float(np.nanmax(shade))
    low, high = low * 0.97, min(high, low * 40) * 1.03
    words = np.array([[_cell(value, percent) for value in row] for row in means], dtype=object)
    blank = np.logical_not(cells.present.any(axis=2))
    words[blank] = ""
    dark = len(cells.batch_sizes) > 9
    sns.heatmap(
        shade,
        ax=axes,
        cmap="viridis_r",
        norm=LogNorm(low, high),
        annot=words,
        fmt="",
        annot_kws={"size": 6.5 if dark else 8, "va": "bottom"},
        linewidths=0.5,
        linecolor="white",
        cbar_kws={"label": label.replace("accuracy", "error"), "pad": 0.02, "aspect": 30},
        xticklabels=[f"{size}" for size in cells.batch_sizes],
        yticklabels=[f"{lr:.3g}" for lr in cells.lrs],
    )
    for row, column in zip(*np.nonzero(np.isnan(means)), strict=True):
        axes.text(
            column + 0.5,
            row + 0.5,
            "" if blank[row, column] else "×",
            ha="center",
            va="center",
            color=INK,
        )
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set(xlabel="batch size", ylabel="learning rate")
    axes.set_title(label, loc="left", size=10.5, color=INK)
    axes.tick_params(rotation=0, length=0)
    _bar_ticks(axes, low, high)


def _bar_ticks(axes: Axes, low: float, high: float) -> None:
    bar = axes.collections[0].colorbar
    if bar is None:
        return
    steps = [m * 10.0**e for e in range(-12, 4) for m in (1, 2, 3, 5, 7)]
    ticks = [tick for tick in steps if low <= tick <= high]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.minorticks_off()
    bar.outline.set_visible(False)


def _ridge(axes: Axes, cells: Grid, larger: bool) -> None:
    from matplotlib.patches import Rectangle

    means = cells.means if larger else -cells.means
    best = cells.best(larger)
    for column in range(len(cells.batch_sizes)):
        if np.isfinite(means[:, column]).any():
            row = int(np.nanargmax(means[:, column]))
            axes.add_patch(
                Rectangle((column, row), 1, 1, fill=False, ec=EXPECTED, lw=2.2, zorder=3)
            )
        chosen = best[column][np.isfinite(best[column])].astype(int)
        for row, seeds in zip(*np.unique(chosen, return_counts=True), strict=True):
            axes.scatter(
                column + 0.5,
                row + 0.24,
                s=70 * seeds / max(chosen.size, 1) + 5,
                color="white",
                edgecolor=INK,
                linewidth=0.7,
                zorder=4,
            )
    power, offset = slope(cells, larger)
    if not np.isfinite(power):
        return
    columns = np.arange(len(cells.batch_sizes))
    heights = offset + power * np.log(np.asarray(cells.batch_sizes, dtype=float))
    rows = row_position(heights, np.log(np.asarray(cells.lrs)))
    axes.plot(columns + 0.5, rows + 0.5, color=EXPECTED, lw=1.8, ls=(0, (4, 2)), zorder=2.5)
    axes.set_xlabel(f"batch size (dashed: best LR ∝ B^{power:.2f})".replace("-", "−"))
    axes.set(xlim=(0, len(cells.batch_sizes)), ylim=(0, len(cells.lrs)))


def row_position(heights: Floats, levels: Floats) -> Floats:
    """Rows at which log learning rates stand, going on straight beyond the ends of the grid."""
    if levels.size < 2:
        return np.zeros_like(heights)
    index = np.clip(np.searchsorted(levels, heights) - 1, 0, levels.size - 2)
    return index + (heights - levels[index]) / (levels[index + 1] - levels[index])


def _cell(value: float, percent: bool) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.2f}" if percent else f"{value:.3g}" if value < 10 else f"{value:.0f}"
