"""Words on a figure: names of arms and metrics, and labels that stand at the ends of lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.figures.series import Trajectories
from bench_lr.figures.style import FAINT, Colour, readable
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "accuracy": ("accuracy", "%"),
    "cross_entropy": ("cross-entropy", "nats"),
    "half_mse": ("½ MSE", ""),
    "loss_sd": ("SD of the minibatch loss", ""),
    "lr": ("learning rate", ""),
    "seconds": ("training time", "s"),
}
UNSPLIT = ("loss_sd", "lr", "seconds")
"""Metrics that are of the training alone, whose split goes without saying."""


def metric_words(verdict: ClaimVerdict, metric: str) -> tuple[str, str]:
    """Return name and unit of a metric; the loss is called by the name of the claim's loss."""
    if metric == "loss":
        kinds = {arm.runs[0].task.loss for arm in verdict.claim.arms if arm.runs}
        metric = next(iter(kinds)) if len(kinds) == 1 else metric
    return METRICS.get(metric, (metric.replace("_", " "), ""))


def metric_label(verdict: ClaimVerdict, metric: str, split: str) -> str:
    """Return the axis label of a metric, unit included."""
    name, unit = metric_words(verdict, metric)
    where = "" if metric in UNSPLIT else f"{split.replace('_', ' ')} "
    return f"{where}{name}" + (f", {unit}" if unit else "")


def arm_label(name: str) -> str:
    """Write the name of an arm for readers: ``lr=0.5,batch_size=16`` is "LR 0.5, B 16"."""
    name = re.sub(r"\blr=", "LR ", name)
    name = re.sub(r"\bbatch_size=", "B ", name)
    return re.sub(r",(?=\S)", ", ", name).replace("_", " ")


def with_diverged(label: str, arm: Trajectories) -> str:
    """Add the count of diverged runs to a label, if there are any."""
    if not arm.seeds:
        return f"{label} (incomplete: no runs)"
    return f"{label} ({arm.diverged} of {len(arm.seeds)} diverged)" if arm.diverged else label


@dataclass(frozen=True)
class EndLabel:
    """A label for a line that ends at `y` (in data units; NaN when there is no line)."""

    text: str
    y: float
    colour: Colour | str
    bold: bool = False
    x: float | None = None
    """Where the line ends, if not where the others do."""


def label_ends(axes: Axes, x: float, labels: Sequence[EndLabel], *, size: float = 9.0) -> None:
    """Write labels beside the right ends of lines, in the lines' order, without overlap.

    Lines off the scale keep their place in the order at the edge of the panel, with an arrow.
    The limits of `axes` must be final.
    """
    low, high = (_height(axes, limit) for limit in axes.get_ylim())
    height = axes.bbox.height * 72 / axes.figure.dpi
    step = min(size * 1.45 / height, 1.0 / max(len(labels), 1))
    known = [label for label in labels if np.isfinite(label.y)]
    unknown = [label for label in labels if not np.isfinite(label.y)]
    ordered = [*sorted(known, key=lambda label: -label.y), *unknown]
    wanted = [
        float(np.clip((_height(axes, label.y) - low) / (high - low), 0, 1))
        if np.isfinite(label.y)
        else 0.0
        for label in ordered
    ]
    for place, goal, label in zip(spread(wanted, step), wanted, ordered, strict=True):
        bottom, top = axes.get_ylim()
        off = "↓ " if label.y < bottom else "↑ " if label.y > top else ""
        axes.annotate(
            off + label.text,
            xy=(x if label.x is None else label.x, goal),
            xycoords=("data", "axes fraction"),
            xytext=(1.045, place),
            textcoords="axes fraction",
            va="center",
            ha="left",
            size=size,
            color=readable(label.colour),
            weight="bold" if label.bold else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": FAINT,
                "lw": 0.8,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            }
            if np.isfinite(label.y) and not off
            else None,
        )


def _height(axes: Axes, y: float) -> float:
    """Where `y` stands on the axis, in units that are even on the page."""
    return float(np.log(max(y, 1e-300))) if axes.get_yscale() == "log" else y


def spread(wanted: Sequence[float], step: float) -> list[float]:
    """Move places apart to at least `step`, keeping their (descending) order and staying in [0, 1].

    Groups of places that would overlap are centred on the mean of what they want.
    """
    groups: list[list[float]] = []
    for place in wanted:
        groups.append([place])
        while len(groups) > 1 and _bottom(groups[-2], step) - _top(groups[-1], step) < step - 1e-9:
            last = groups.pop()
            groups[-1].extend(last)
    places: list[float] = []
    for group in groups:
        top = _top(group, step)
        places.extend(top - index * step for index in range(len(group)))
    return places


def _top(group: Sequence[float], step: float) -> float:
    reach = (len(group) - 1) * step
    centre = float(np.mean(group))
    return float(np.clip(centre + reach / 2, min(reach, 1.0), 1.0))


def _bottom(group: Sequence[float], step: float) -> float:
    return _top(group, step) - (len(group) - 1) * step
