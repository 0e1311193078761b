"""All claims on one page: verdict, how often one seed would have shown it, size of the effect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench_lr.claims.sources import NotTestable, Source
from bench_lr.figures.canvas import POINTS, clipped, text_width, wrapped
from bench_lr.figures.numbers import in_margins, shown
from bench_lr.figures.style import FAINT, INK, LOOKS, MUTED, theme
from bench_lr.verdict import ClaimVerdict, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH = 12.0
ROW, DENSE_ROW = 25.0, 19.5
"""Height of a row in points, and where there are more than `MANY`."""
MANY = 40
HEAD = 108.0
FOOT = 46.0
TITLES, COST, CHIPS = (0.012, 0.418), (0.427, 0.45), (0.458, 0.572)
ONE_SEED, EFFECT = (0.6, 0.775), (0.805, 0.985)
"""Columns as (left, right), in shares of the width."""
COSTS = {"s": "s", "m": "m", "G": "GPU"}
NOT_TESTABLE = "not testable"
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


@dataclass(frozen=True)
class Board:
    """A figure with rows from top to bottom; lengths in points."""

    figure: Figure
    height: float
    row: float
    seeds: Axes
    effect: Axes

    def y(self, place: int) -> float:
        """Middle of a row, as a share of the figure's height."""
        return 1 - (HEAD + self.row * (place + 0.5)) / self.height


def draw_scoreboard(
    verdicts: Sequence[ClaimVerdict], sources: Mapping[str, Source] | None = None
) -> Figure:
    """Draw one row a claim, grouped by source, and what each source says that cannot be tested.

    Each row shows the claim's title, its cost, its verdict, the share of seeds whose single run
    would have shown the claim (dot, with its 95 % Wilson interval), and the effect in units of the
    pre-registered margin (dot, with its 95 % interval; linear up to one margin, logarithmic
    beyond), the last two of the criterion that decides the verdict. What cannot be tested comes
    with the reason and is no verdict.

    Parameters
    ----------
    sources : mapping of name to Source, optional
        Whose titles are shown, and what they say that cannot be tested.
    """
    from matplotlib.figure import Figure

    sources = sources or {}
    groups = by_source(verdicts)
    groups |= {n: [] for n, it in sources.items() if it.not_testable and n not in groups}
    untestable = {name: sources[name].not_testable for name in groups if name in sources}
    count = len(verdicts) + len(groups) + sum(map(len, untestable.values()))
    lines = max(count, 1)
    row = ROW if lines <= MANY else DENSE_ROW
    height = HEAD + row * lines + FOOT
    with theme():
        fig = Figure(figsize=(WIDTH, height / POINTS))
        _head(fig, verdicts, sum(map(len, untestable.values())), height)
        seeds, effect = (_column(fig, at, lines, row, height) for at in (ONE_SEED, EFFECT))
        _axes(seeds, effect)
        board = Board(fig, height, row, seeds, effect)
        place = 0
        for name, members in groups.items():
            _group(board, name, sources.get(name), members, place)
            place += 1
            for verdict in members:
                _row(board, verdict, place)
                place += 1
            for item in untestable.get(name, ()):
                _untestable(board, item, place)
                place += 1
        if not count:
            fig.text(0.5, board.y(0), "no claims", ha="center", color=MUTED)
    return fig


def _group(
    board: Board, name: str, source: Source | None, members: Sequence[ClaimVerdict], place: int
) -> None:
    """Draw the heading of a source, with how many claims have which verdict."""
    fig, y = board.figure, board.y(place)
    _blank(board, place)
    fig.text(TITLES[0], y, name, size=10.5, weight="bold", color=MUTED, va="center")
    after = TITLES[0] + (text_width(name, 10.5, bold=True) + 9) / (WIDTH * POINTS)
    if source is not None:
        words = clipped(source.title, 8.5, (ONE_SEED[0] - after - 0.01) * WIDTH * POINTS)
        fig.text(after, y, words, size=8.5, color=MUTED, va="center")
    x = ONE_SEED[0]
    for word, look in LOOKS.items():
        count = sum(verdict.verdict == word for verdict in members)
        if count:
            text = f"{look.mark} {count}"
            fig.text(x, y, text, size=9.5, weight="bold", color=look.colour, va="center")
            x += (text_width(text, 9.5, bold=True) + 12) / (WIDTH * POINTS)


def _untestable(board: Board, item: NotTestable, place: int) -> None:
    """Draw a statement that cannot be tested: no verdict, no numbers, but the reason."""
    fig, y = board.figure, board.y(place)
    _blank(board, place)
    _title(board, item.statement, place, MUTED)
    fig.text(
        sum(CHIPS) / 2, y, f"–  {NOT_TESTABLE}", size=8.5, color=MUTED, ha="center", va="center"
    )
    text = _two_lines(item.reason, 7.8, (EFFECT[1] - ONE_SEED[0]) * WIDTH * POINTS)
    fig.text(ONE_SEED[0], y, text, size=7.8, color=MUTED, va="center", linespacing=1.15)


def _blank(board: Board, place: int) -> None:
    """Hide the grid of a row without numbers."""
    for axes in (board.seeds, board.effect):
        axes.axhspan(place - 0.5, place + 0.5, color="white", lw=0, zorder=5)


def _two_lines(text: str, size: float, room: float) -> str:
    first, *rest = wrapped(text, size, room)
    return "\n".join([first, *([clipped(" ".join(rest), size, room)] if rest else [])])


def _title(board: Board, title: str, place: int, colour: str) -> None:
    """Write what a row is about, on one line or in smaller letters on two."""
    room = (TITLES[1] - TITLES[0] - 0.012) * WIDTH * POINTS
    size, smaller = (9.5, 8.5) if board.row == ROW else (8.8, 7.6)
    if text_width(title, size) > room:
        size, title = smaller, _two_lines(title, smaller, room)
    x, y = TITLES[0] + 0.012, board.y(place)
    board.figure.text(x, y, title, size=size, color=colour, va="center", linespacing=1.1)


def _column(fig: Figure, span: tuple[float, float], lines: int, row: float, height: float) -> Axes:
    tall = row * lines
    axes = fig.add_axes((span[0], FOOT / height, span[1] - span[0], tall / height))
    axes.set(ylim=(lines - 0.5, -0.5), yticks=[])
    axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="x", length=0, labelsize=8, labeltop=True)
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


def _head(fig: Figure, verdicts: Sequence[ClaimVerdict], untestable: int, height: float) -> None:
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
    if untestable:
        words = f"– {untestable} {NOT_TESTABLE}"
        fig.text(x, 1 - 41 / height, words, size=10.5, color=MUTED, va="top")
    heads = (
        (TITLES[0], "claim", "left"),
        (sum(COST) / 2, "cost", "center"),
        (sum(CHIPS) / 2, "verdict", "center"),
        (sum(ONE_SEED) / 2, "one seed would have\nshown it", "center"),
        (sum(EFFECT) / 2, "effect, in units of\nits margin", "center"),
    )
    for x, words, side in heads:
        fig.text(x, 1 - (HEAD - 20) / height, words, size=9, color=MUTED, ha=side, va="bottom")
    line = 1 - HEAD / height
    fig.add_artist(_rule(line))


def _rule(y: float) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([TITLES[0], EFFECT[1]], [y, y], color=FAINT, lw=1)


def _row(board: Board, verdict: ClaimVerdict, place: int) -> None:
    y, look, fig = board.y(place), LOOKS[verdict.verdict], board.figure
    spec = verdict.claim.spec
    _title(board, spec.title, place, INK)
    cost = COSTS.get(spec.cost, spec.cost)
    weight = "bold" if spec.cost == "G" else "normal"
    fig.text(sum(COST) / 2, y, cost, size=8, color=MUTED, ha="center", va="center", weight=weight)
    fig.text(
        sum(CHIPS) / 2,
        y,
        f"{look.mark}  {verdict.verdict}",
        size=8.5 if board.row == ROW else 8,
        weight="bold",
        color="white",
        ha="center",
        va="center",
        bbox={"boxstyle": "round,pad=0.32", "facecolor": look.colour, "edgecolor": "none"},
    )
    seeds, effect = board.seeds, board.effect
    for axes in (seeds, effect):
        axes.axhline(place, color="#f0f2f4", lw=0.8, zorder=0)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    centred: dict[str, Any] = {"ha": "center", "va": "center", "size": 8, "bbox": box}
    if verdict.claim.out_of_profile:
        effect.text(0, place, "needs profile full", color=MUTED, zorder=6, **centred)
        return
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
        effect.text(0, place, words, color=look.colour, zorder=6, **centred)


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
