"""Runs that leave a local minimum, or do not: the potential, some paths, and how many leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.calculations import DoubleWell
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.labels import arm_label
from bench_lr.figures.registry import figure
from bench_lr.figures.style import CONTROL, EXPECTED, INK, MUTED
from bench_lr.stats import wilson
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUNS = 4
"""Paths drawn of each noise level: the first ones."""


@figure("double_well")
def double_well(
    verdict: ClaimVerdict,
    *,
    paths: Sequence[str] = (),
    series: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draw the potential with sample paths, and the share of runs that escape against ησ²/B.

    Parameters
    ----------
    paths : list of str
        Calculations of kind ``double_well`` whose first runs are drawn, one panel each; the first
        one by default.
    series : mapping of label to list of str, optional
        Which calculations belong together in the panel of shares; all as one by default.
    """
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    known = verdict.claim.spec.calculations
    wells = {name: item for name, item in known.items() if isinstance(item, DoubleWell)}
    drawn = [name for name in paths or list(wells)[:1] if name in wells]
    notes = [
        f"Paths: the first {RUNS} runs of each level, the same noise scaled",
        "points: share of all runs that reached the deep minimum, with 95 % Wilson intervals",
    ]
    if not drawn:
        frame = canvas(verdict, notes)
        nothing(frame.axes[0], "incomplete: no runs in a double well")
        return frame.figure
    widths = [0.85] + [1.0] * len(drawn) + [1.5]
    frame = canvas(verdict, notes, widths=widths, width=11.5, body=4.0)
    first = wells[drawn[0]]
    deep, top, shallow = first.stationary()
    x = np.linspace(-1.75, 1.75, 400)
    left = frame.axes[0]
    left.plot(first.potential(x), x, color=INK, lw=1.8)
    marks = (
        (first.start, "start"),
        (shallow, "local minimum"),
        (top, "barrier"),
        (deep, "minimum"),
    )
    for place, words in marks:
        at = float(first.potential(np.array(place)))
        left.plot(at, place, "o", color=EXPECTED if words == "start" else INK, ms=5)
        left.annotate(words, (at, place), (7, 0), textcoords="offset points", va="center", size=8.5)
    left.set(xlabel="loss", ylabel="weight x", ylim=(-1.75, 1.75), xlim=(-0.45, 0.95))
    for axes, name in zip(frame.axes[1:], drawn, strict=False):
        _paths(axes, wells[name], name)
    groups = dict(series) if series else {"": list(wells)}
    palette = sns.color_palette("colorblind", len(groups))
    right = frame.axes[-1]
    for (label, names), colour in zip(groups.items(), palette, strict=True):
        _shares(right, verdict, {n: wells[n] for n in names if n in wells}, label, colour)
    right.set(xlabel="noise level ησ²/B", ylim=(-0.04, 1.04))
    right.set_title("share of runs that escape", loc="left", size=10, color=MUTED)
    right.xaxis.set_major_locator(MaxNLocator(4))
    right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    if any(groups):
        right.legend(loc="upper left", fontsize=8.5)
    return frame.figure


def _paths(axes: Axes, well: DoubleWell, name: str) -> None:
    deep, top, _ = well.stationary()
    for path in well.paths(RUNS):
        reached = np.flatnonzero(path <= deep)
        end = int(reached[0]) if reached.size else path.size - 1
        axes.plot(path[: end + 1], color=EXPECTED if reached.size else CONTROL, lw=0.6, alpha=0.8)
    for level in (deep, top):
        axes.axhline(level, color=MUTED, lw=0.8, ls=":")
    axes.set(ylim=(-1.75, 1.75), xlim=(0, well.steps), xlabel="step")
    axes.set_yticklabels([])
    axes.set_title(arm_label(name), loc="left", size=9.5, color=INK)


def _shares(
    axes: Axes,
    verdict: ClaimVerdict,
    wells: Mapping[str, DoubleWell],
    label: str,
    colour: tuple[float, float, float],
) -> None:
    points = []
    for name, well in sorted(wells.items(), key=lambda item: item[1].level):
        escaped = verdict.calculations.get(name)
        if escaped is not None and escaped.size:
            hits = int(np.nansum(escaped))
            points.append((well.level, hits / escaped.size, *wilson(hits, escaped.size)))
    if not points:
        return
    level, share, low, high = np.array(points).T
    spread = np.clip([share - low, high - share], 0, None)
    axes.errorbar(
        level, share, spread, color=colour, marker="o", ms=5, lw=1.4, capsize=3, label=label
    )
