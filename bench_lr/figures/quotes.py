"""What several places of a source say of the same things, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_lr.calculations import Statements
from bench_lr.figures.canvas import LEADING, MARGIN, POINTS, canvas, nothing, wrapped
from bench_lr.figures.registry import figure
from bench_lr.figures.style import EXPECTED, FAINT, INK, MUTED
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
SAID, WORDS, HEAD = 11.0, 8.5, 9.5
FIRST, LAST, GAP, PAD = 92.0, 96.0, 14.0, 9.0


@dataclass(frozen=True)
class _Row:
    """A row of the table: its words broken into lines, and whether the places differ."""

    item: list[str]
    said: list[list[str]]
    words: list[list[str]]
    differ: bool

    @property
    def height(self) -> float:
        """In points."""
        cells = [
            LEADING * (SAID * len(said) + WORDS * len(words))
            for said, words in zip(self.said, self.words, strict=True)
        ]
        return max([LEADING * SAID * len(self.item), *cells]) + 2 * PAD


@figure("quotes")
def quotes(verdict: ClaimVerdict, *, calculation: str | None = None) -> Figure:
    """Draw a table of what each place says of each item, with what contradicts marked.

    Parameters
    ----------
    calculation : str, optional
        Which calculation of kind ``statements``; the first by default.
    """
    known = verdict.claim.spec.calculations
    tables = {name: item for name, item in known.items() if isinstance(item, Statements)}
    chosen = tables.get(calculation) if calculation else next(iter(tables.values()), None)
    if chosen is None:
        frame = canvas(verdict, width=WIDTH)
        nothing(frame.axes[0], "incomplete: no statements to compare")
        return frame.figure
    room = WIDTH * POINTS - 2 * MARGIN
    column = (room - FIRST - LAST) / len(chosen.places)
    head = [wrapped(place, HEAD, column - GAP, bold=True) for place in chosen.places]
    rows = [
        _Row(
            wrapped(item.item, SAID, FIRST - GAP, bold=True),
            [wrapped(_said(said), SAID, column - GAP, bold=True) for said in item.says],
            [wrapped(text, WORDS, column - GAP) for text in item.words] or [[] for _ in item.says],
            np.unique(numbers[~np.isnan(numbers)]).size > 1,
        )
        for item, numbers in zip(chosen.items, chosen.values(), strict=True)
    ]
    head_height = LEADING * HEAD * max(len(lines) for lines in head) + PAD
    height = head_height + sum(row.height for row in rows) + 2 * PAD
    notes = [
        "Bold: the meaning as the claim file reads it, by which places are compared",
        "below it: how the place puts it (translated where it is not English)",
    ]
    frame = canvas(verdict, notes, width=WIDTH, body=height / POINTS)
    axes = frame.axes[0]
    axes.set(xlim=(0, room), ylim=(height, 0))
    axes.set_axis_off()
    lefts = [FIRST + column * place for place in range(len(chosen.places))]
    for left, lines in zip(lefts, head, strict=True):
        _write(axes, left, PAD / 2, lines, HEAD, MUTED, bold=True)
    top = head_height
    for row in rows:
        axes.plot([0, room], [top, top], color=FAINT, lw=0.8)
        _draw(axes, row, lefts, top, room)
        top += row.height
    axes.plot([0, room], [top, top], color=FAINT, lw=0.8)
    return frame.figure


def _draw(axes: Axes, row: _Row, lefts: list[float], top: float, room: float) -> None:
    colour = EXPECTED if row.differ else INK
    if row.differ:
        axes.axhspan(top, top + row.height, color=EXPECTED, alpha=0.07, lw=0)
    _write(axes, 4, top + PAD, row.item, SAID, INK, bold=True)
    for left, said, words in zip(lefts, row.said, row.words, strict=True):
        _write(axes, left, top + PAD, said, SAID, colour if said != ["—"] else MUTED, bold=True)
        below = top + PAD + LEADING * SAID * len(said)
        _write(axes, left, below, words, WORDS, MUTED)
    mark = ["≠ contradiction"] if row.differ else ["= agreement"]
    _write(axes, room - LAST + 4, top + PAD, mark, HEAD, colour if row.differ else MUTED, bold=True)


def _write(
    axes: Axes, x: float, y: float, lines: list[str], size: float, colour: str, bold: bool = False
) -> None:
    # Line by line from the baseline: the top of a text depends on its letters.
    for number, line in enumerate(lines):
        axes.text(
            x,
            y + size * (0.95 + LEADING * number),
            line,
            size=size,
            color=colour,
            weight="bold" if bold else "normal",
            va="baseline",
            ha="left",
            in_layout=False,
        )


def _said(said: str | float | None) -> str:
    if said is None:
        return "—"
    return said if isinstance(said, str) else f"{said:g}"
