"""The frame around every claim's figure: its title, its source's words, its verdict, its notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bench_lr.figures.style import EXPECTED, FAINT, INK, LOOKS, MUTED
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 72.0
MARGIN = 14.0
CHIP = 150.0
TITLE, SOURCE, NOTE = 13.0, 9.5, 8.0
LEADING = 1.35


@dataclass(frozen=True)
class Canvas:
    """A figure with its frame drawn and its panels empty, left to right and row after row."""

    figure: Figure
    axes: tuple[Axes, ...]


def canvas(
    verdict: ClaimVerdict,
    notes: Sequence[str] = (),
    *,
    widths: Sequence[float] = (1.0,),
    rows: int = 1,
    width: float = 10.0,
    body: float = 4.2,
) -> Canvas:
    """Draw the frame of a claim's figure.

    Parameters
    ----------
    notes : sequence of str
        What the marks of the figure mean; printed at its foot, before what is said of every claim
        (shortened set-up, missing runs).
    widths : sequence of float
        Relative widths of the panels of a row.
    rows : int
        Rows of panels.
    width, body : float
        Width of the figure and height of all rows together, in inches.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = width * POINTS - 2 * MARGIN
    spec = verdict.claim.spec
    title = wrapped(spec.title, TITLE, room - CHIP, bold=True)
    source = wrapped(f"Source ({spec.place}): {spec.source_says}", SOURCE, room - CHIP)
    foot = wrapped("  ·  ".join([*notes, *_state(verdict)]), NOTE, room)
    head_height = MARGIN + LEADING * (TITLE * len(title) + SOURCE * len(source)) + 8
    head_height = max(head_height, MARGIN + 46)
    foot_height = LEADING * NOTE * len(foot) + 12
    height = head_height + body * POINTS + foot_height

    engine = ConstrainedLayoutEngine(
        rect=(0.004, foot_height / height, 0.992, body * POINTS / height), w_pad=0.08, wspace=0.04
    )
    fig = Figure(figsize=(width, height / POINTS), layout=engine)
    left, top = MARGIN / (width * POINTS), 1 - MARGIN / height
    common: dict[str, Any] = {"va": "top", "ha": "left", "in_layout": False, "linespacing": LEADING}
    fig.text(left, top, "\n".join(title), size=TITLE, weight="bold", color=INK, **common)
    below = top - LEADING * TITLE * len(title) / height
    fig.text(left, below, "\n".join(source), size=SOURCE, color=EXPECTED, **common)
    fig.text(
        left,
        (foot_height - 4) / height,
        "\n".join(foot),
        size=NOTE,
        color=MUTED,
        **common,
    )
    _chip(fig, verdict, 1 - left, top, height)
    grid = fig.add_gridspec(rows, len(widths), width_ratios=list(widths))
    return Canvas(fig, tuple(fig.add_subplot(grid[i]) for i in range(rows * len(widths))))


def _chip(fig: Figure, verdict: ClaimVerdict, right: float, top: float, height: float) -> None:
    look = LOOKS[verdict.verdict]
    fig.text(
        right - 0.008,
        top - 2 / height,
        f"{look.mark}  {verdict.verdict}",
        size=11,
        weight="bold",
        color="white",
        va="top",
        ha="right",
        in_layout=False,
        bbox={"boxstyle": "round,pad=0.4", "facecolor": look.colour, "edgecolor": "none"},
    )
    lines = "\n".join(verdict.claim.id.split("/", 1))
    if text_width(verdict.claim.id, 7.5) < CHIP:
        lines = verdict.claim.id
    fig.text(
        right,
        top - 28 / height,
        lines,
        size=7.5,
        color=MUTED,
        va="top",
        ha="right",
        in_layout=False,
    )


def _state(verdict: ClaimVerdict) -> list[str]:
    claim = verdict.claim
    said = []
    if claim.shortened:
        said.append(f"Profile {claim.profile.name}, shortened: {claim.shortened}")
    else:
        said.append(f"Profile {claim.profile.name}")
    if claim.out_of_profile:
        said.append("incomplete: not part of this profile (wants a GPU)")
    elif verdict.missing or verdict.failed:
        gone = [f"{verdict.missing} missing"] if verdict.missing else []
        gone += [f"{verdict.failed} failed"] if verdict.failed else []
        said.append(f"incomplete: of {verdict.runs} runs, {' and '.join(gone)}")
    return said


def nothing(axes: Axes, words: str) -> None:
    """Say in the middle of `axes` why it shows no data."""
    axes.text(
        0.5,
        0.5,
        words,
        transform=axes.transAxes,
        ha="center",
        va="center",
        size=11,
        color=MUTED,
    )
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


@lru_cache(maxsize=4096)
def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Width of one line of text in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
    # Where a text breaks lines, in a file, is not where it does in a figure.
    line = words.replace("\n", " ") or " "
    width, _, _ = TextToPath().get_text_width_height_descent(line, font, ismath=False)
    return float(width)


def wrapped(words: str, size: float, room: float, *, bold: bool = False) -> list[str]:
    """Break text into lines of at most `room` points; a longer word stays whole."""
    lines: list[str] = []
    line = ""
    for word in words.split():
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size, bold=bold) > room:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


def clipped(words: str, size: float, room: float, *, bold: bool = False) -> str:
    """Shorten text to `room` points with an ellipsis."""
    if text_width(words, size, bold=bold) <= room:
        return words
    while words and text_width(words + "…", size, bold=bold) > room:
        words = words[:-1]
    return words.rstrip() + "…"
