"""All claims on one page: verdict, how often one seed would have shown it, size of the effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench_lr.figures.canvas import POINTS, clipped, text_width, wrapped
from bench_lr.figures.numbers import in_margins, shown
from bench_lr.figures.style import FAINT, INK, LOOKS, MUTED, theme
from bench_lr.verdict import ClaimVerdict, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH = 12.0
ROW = 25.0
HEAD = 96.0
FOOT = 46.0
TITLES, CHIPS, ONE_SEED, EFFECT = (0.012, 0.435), (0.445, 0.565), (0.6, 0.775), (0.805, 0.985)
"""Columns as (left, right), in shares of the width."""
MARKS = (-100, -10, -1, 0, 1, 10, 100)


def leading(verdict: ClaimVerdict) -> Judged | None:
    """Return the criterion whose numbers stand for the claim on the scoreboard.

    The first claim criterion that has the verdict of the claim; if none has, the first one.
    """
    own = [judged for judged in verdict.criteria if judged.spec.role == "claim"]
    deciding = [judged for judged in own if judged.result.verdict == verdict.verdict]
    return next(iter([*deciding, *own]), None)


def by_source(verdicts: Sequence[ClaimVerdict]) -> dict[str, list[ClaimVerdict]]:
    """Group verdicts by source, sources and claims in order of first appearance."""
    groups: dict[str, list[ClaimVerdict]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict.claim.source, []).append(verdict)
    return groups


def draw_scoreboard(verdicts: Sequence[ClaimVerdict]) -> Figure:
    """Draw one row a claim, grouped by source.

    Each row shows the claim's title, its verdict, the share of seeds whose single run would have
    shown the claim (dot, with its 95 % Wilson interval), and the effect in units of the
    pre-registered margin (dot, with its 95 % interval; linear up to one margin, logarithmic
    beyond), the last two of the criterion that decides the verdict.
    """
    from matplotlib.figure import Figure

    groups = by_source(verdicts)
    lines = len(verdicts) + len(groups)
    height = HEAD + ROW * max(lines, 1) + FOOT
    with theme():
        fig = Figure(figsize=(WIDTH, height / POINTS))
        _head(fig, verdicts, height)
        seeds = _column(fig, ONE_SEED, lines, height)
        effect = _column(fig, EFFECT, lines, height)
        _axes(seeds, effect)
        place = 0
        for source, members in groups.items():
            y = _y(place, height)
            fig.text(TITLES[0], y, source, size=10.5, weight="bold", color=MUTED, va="center")
            for axes in (seeds, effect):
                axes.axhspan(place - 0.5, place + 0.5, color="white", lw=0, zorder=5)
            place += 1
            for verdict in members:
                _row(fig, seeds, effect, verdict, place, height)
                place += 1
        if not verdicts:
            fig.text(0.5, _y(0, height), "no claims", ha="center", color=MUTED)
    return fig


def _y(place: int, height: float) -> float:
    return 1 - (HEAD + ROW * (place + 0.5)) / height


def _column(fig: Figure, span: tuple[float, float], lines: int, height: float) -> Axes:
    tall = ROW * max(lines, 1)
    axes = fig.add_axes((span[0], FOOT / height, span[1] - span[0], tall / height))
    axes.set(ylim=(max(lines, 1) - 0.5, -0.5), yticks=[])
    axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="x", length=0, labelsize=8)
    return axes


def _axes(seeds: Axes, effect: Axes) -> None:
    seeds.set_xlim(-4, 104)
    seeds.set_xticks([0, 25, 50, 75, 100], ["0 %", "", "50 %", "", "100 %"])
    seeds.set_xlabel("of seeds, with 95 % Wilson interval", size=8)
    effect.set_xscale("symlog", linthresh=1, linscale=1.0)
    effect.set_xlim(-150, 150)
    effect.set_xticks(MARKS, [f"{mark:+d}".replace("-", "−") if mark else "0" for mark in MARKS])
    effect.minorticks_off()
    effect.axvspan(-1, 1, color="#eef1f4", lw=0, zorder=0)
    effect.axvline(0, color=MUTED, lw=0.8, zorder=1)
    effect.set_xlabel("with 95 % interval; log beyond ±1", size=8)


def _head(fig: Figure, verdicts: Sequence[ClaimVerdict], height: float) -> None:
    top = 1 - 14 / height
    fig.text(
        TITLES[0],
        top,
        "Which rules about learning rate and batch size hold?",
        size=15,
        weight="bold",
        color=INK,
        va="top",
    )
    x = TITLES[0]
    for word, look in LOOKS.items():
        count = sum(verdict.verdict == word for verdict in verdicts)
        label = f"{look.mark} {count} {word}"
        fig.text(x, 1 - 41 / height, label, size=10.5, color=look.colour, weight="bold", va="top")
        x += (text_width(label, 10.5, bold=True) + 20) / (WIDTH * POINTS)
    heads = (
        (TITLES[0], "claim", "left"),
        (sum(CHIPS) / 2, "verdict", "center"),
        (sum(ONE_SEED) / 2, "one seed would have\nshown it", "center"),
        (sum(EFFECT) / 2, "effect, in units of\nits margin", "center"),
    )
    for x, words, side in heads:
        fig.text(x, 1 - (HEAD - 6) / height, words, size=9, color=MUTED, ha=side, va="bottom")
    line = 1 - HEAD / height
    fig.add_artist(_rule(line))


def _rule(y: float) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([TITLES[0], EFFECT[1]], [y, y], color=FAINT, lw=1)


def _row(
    fig: Figure,
    seeds: Axes,
    effect: Axes,
    verdict: ClaimVerdict,
    place: int,
    height: float,
) -> None:
    y, look = _y(place, height), LOOKS[verdict.verdict]
    room = (TITLES[1] - TITLES[0] - 0.012) * WIDTH * POINTS
    title, size = verdict.claim.spec.title, 9.5
    if text_width(title, size) > room:
        size = 8.5
        first, *rest = wrapped(title, size, room)
        title = "\n".join([first, *([clipped(" ".join(rest), size, room)] if rest else [])])
    fig.text(TITLES[0] + 0.012, y, title, size=size, color=INK, va="center", linespacing=1.15)
    fig.text(
        sum(CHIPS) / 2,
        y,
        f"{look.mark}  {verdict.verdict}",
        size=8.5,
        weight="bold",
        color="white",
        ha="center",
        va="center",
        bbox={"boxstyle": "round,pad=0.32", "facecolor": look.colour, "edgecolor": "none"},
    )
    for axes in (seeds, effect):
        axes.axhline(place, color="#f0f2f4", lw=0.8, zorder=0)
    judged = leading(verdict)
    if judged is None:
        return
    result = judged.result
    if result.single_run_rate is not None and math.isfinite(result.single_run_rate):
        span = result.single_run_ci
        if span is not None:
            seeds.plot([100 * span[0], 100 * span[1]], [place] * 2, color=look.colour, lw=2)
        seeds.plot(
            100 * result.single_run_rate, place, marker=look.point, ms=6.5, color=look.colour
        )
    scaled = in_margins(judged)
    if scaled is not None:
        _effect(effect, *scaled, place, verdict.verdict)
    elif words := shown(judged).effect:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        text: dict[str, Any] = {"ha": "center", "va": "center", "size": 8, "bbox": box}
        effect.text(0, place, words, color=look.colour, zorder=6, **text)


def _effect(
    axes: Axes, estimate: float, ci: tuple[float, float] | None, place: int, verdict: str
) -> None:
    look = LOOKS[verdict]
    if ci is not None:
        axes.plot([_inside(end) for end in ci], [place] * 2, color=look.colour, lw=2)
    beyond = abs(estimate) > max(MARKS)
    shape = (">" if estimate > 0 else "<") if beyond else look.point
    axes.plot(_inside(estimate), place, marker=shape, ms=6.5, color=look.colour)


def _inside(value: float) -> float:
    """Hold a value (NaN and infinities too) within the axis."""
    edge = 1.3 * max(MARKS)
    return 0.0 if math.isnan(value) else min(max(value, -edge), edge)
