"""Which learning rate would one seed have called the best? By batch size, over all seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench_lr.figures.style import EXPECTED, FAINT, INK, MUTED, theme
from bench_lr.schema import Measure
from bench_lr.verdict import ClaimVerdict, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FULL = 560.0
"""Area in points squared of the mark of a rate that wins in every seed."""


@dataclass(frozen=True)
class Winners:
    """Seeds in which each learning rate was the best, for one batch size of one claim.

    Attributes
    ----------
    counts : mapping of LR to int
        Every rate that was tried.
    expected : float or None
        The rate that the source calls the best.
    """

    claim: str
    batch_size: int
    counts: dict[float, int]
    expected: float | None

    @property
    def seeds(self) -> int:
        """Seeds with a winner."""
        return sum(self.counts.values())

    @property
    def group(self) -> str:
        """What its column stands under: claims that name a rate together, others each alone."""
        return "" if self.expected is not None else self.claim


def winners(verdicts: Sequence[ClaimVerdict]) -> list[Winners]:
    """Count the winners of every claim that is about a best learning rate, by batch size.

    A seed's winner is the arm with its best run, by what the claim's first criterion measures; of
    equals the smaller rate, a diverged run never.
    """
    found = [own for verdict in verdicts for own in _of(verdict)]
    return sorted(found, key=lambda own: (own.group, own.batch_size))


def draw_winners(verdicts: Sequence[ClaimVerdict]) -> Figure | None:
    """Draw a column a batch size, a row a learning rate, and how many seeds it won in.

    Returns
    -------
    Figure or None
        None if no claim is about a best learning rate.
    """
    from matplotlib.figure import Figure

    columns = winners(verdicts)
    if not columns:
        return None
    rates = sorted({rate for column in columns for rate in column.counts})
    width, height = max(7.6, 2.6 + 0.78 * len(columns)), max(4.4, 2.5 + 0.34 * len(rates))
    with theme():
        fig = Figure(figsize=(width, height))
        left, bottom = 0.95 / width, 1.1 / height
        axes = fig.add_axes((left, bottom, 1 - left - 0.25 / width, 1 - bottom - 1.15 / height))
        _draw(axes, columns, rates)
        fig.text(
            0.25 / width,
            1 - 0.18 / height,
            "One seed, one winner: the best learning rate by batch size",
            size=13,
            weight="bold",
            va="top",
        )
        fig.text(
            0.25 / width,
            1 - 0.52 / height,
            "area and number: seeds whose own run was best at this rate",
            size=9.5,
            color=MUTED,
            va="top",
        )
        foot: dict[str, Any] = {"size": 9, "va": "center"}
        fig.text(0.25 / width, 0.22 / height, "○  the source's best rate", color=EXPECTED, **foot)
        fig.text(2.6 / width, 0.22 / height, "•  tried, best in no seed", color=MUTED, **foot)
    return fig


def _draw(axes: Axes, columns: Sequence[Winners], rates: Sequence[float]) -> None:
    rows = {rate: row for row, rate in enumerate(rates)}
    places = _places(columns)
    for place, column in zip(places, columns, strict=True):
        for rate, count in column.counts.items():
            row = rows[rate]
            if count:
                share = count / column.seeds
                axes.scatter(
                    place, row, s=FULL * share, color="#00735c", alpha=0.85, lw=0, zorder=3
                )
                inside = share > 0.25
                axes.annotate(
                    str(count),
                    (place, row),
                    (0 if inside else np.sqrt(FULL * share) / 2 + 3, 0),
                    textcoords="offset points",
                    ha="center" if inside else "left",
                    va="center",
                    size=8,
                    color="white" if inside else INK,
                    zorder=4,
                )
            else:
                axes.scatter(place, row, s=5, color=FAINT, lw=0, zorder=2)
        if column.expected in rows:
            at = rows[column.expected]
            axes.scatter(
                place, at, s=1.25 * FULL, facecolors="none", edgecolors=EXPECTED, lw=1.6, zorder=5
            )
    axes.set(xlim=(-0.6, places[-1] + 0.6), ylim=(-0.7, len(rates) - 0.3))
    axes.set_xticks(places, [f"{c.batch_size}\n{c.seeds} seeds" for c in columns], size=8.5)
    axes.set_yticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.tick_params(length=0)
    axes.set_xlabel("batch size")
    axes.set_ylabel("learning rate")
    for group in dict.fromkeys(column.group for column in columns):
        first = next(p for p, c in zip(places, columns, strict=True) if c.group == group)
        axes.annotate(
            group or "claims that name a rate",
            (first - 0.4, 1),
            (0, 5),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            size=8.5,
            color=MUTED,
        )


def _places(columns: Sequence[Winners]) -> list[float]:
    """Where columns stand: one apart, and a little more between groups."""
    place, places = 0.0, [0.0]
    for before, after in itertools.pairwise(columns):
        place += 1.0 if before.group == after.group else 1.6
        places.append(place)
    return places


def _of(verdict: ClaimVerdict) -> Iterator[Winners]:
    judged = next((j for j in verdict.criteria if j.spec.role == "claim"), None)
    if judged is None or verdict.frame.empty or not _about_a_best_rate(judged, verdict):
        return
    measure = judged.spec.measure
    assert measure is not None
    table = _by_seed(verdict.frame, measure)
    larger = judged.spec.params.get("larger_is_better", True)
    firsts = {arm.name: arm.runs[0] for arm in verdict.claim.arms}
    arms = sorted((n for n in table.columns if n in firsts), key=lambda n: firsts[n].optimizer.lr)
    expected = judged.spec.params.get("expected")
    for size in sorted({firsts[name].batches[0].batch_size for name in arms}):
        own = [name for name in arms if firsts[name].batches[0].batch_size == size]
        scores = table[own] if larger else -table[own]
        best = scores.dropna(how="all").idxmax(axis=1).value_counts()
        yield Winners(
            claim=verdict.claim.id,
            batch_size=size,
            counts={firsts[name].optimizer.lr: int(best.get(name, 0)) for name in own},
            expected=firsts[expected].optimizer.lr if expected in own else None,
        )


def _about_a_best_rate(judged: Judged, verdict: ClaimVerdict) -> bool:
    spec = judged.spec
    by_rate = spec.order_by == "lr" or spec.by_arm.get("choice") == "lr"
    sought = spec.kind == "best_arm" or (spec.kind == "slope" and "choice" in spec.by_arm)
    whole = spec.measure is not None and spec.measure.reduce in ("final", "mean_last")
    return by_rate and sought and whole and verdict.verdict != "incomplete"


def _by_seed(frame: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """What a criterion measures, a row a seed and a column an arm; NaN for a diverged run."""
    rows = frame[(frame["metric"] == measure.metric) & (frame["split"] == measure.split)]
    last = rows["epoch"].max()
    window = measure.epochs if isinstance(measure.epochs, int) else 0
    if measure.reduce == "mean_last":
        rows = rows[rows["epoch"] > last - window + 1e-6]
    else:
        rows = rows[rows["epoch"] > last - 1e-6]
    means = rows.groupby(["seed", "arm"], observed=True)["value"].agg(
        lambda v: v.mean(skipna=False)
    )
    return pd.DataFrame(means.unstack("arm"))
