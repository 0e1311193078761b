"""Every schedule that the claims state: learning rate against time, formula, source, verdict."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench_lr.calculations import PlateauRule, ScheduleValues
from bench_lr.figures.axis import plain
from bench_lr.figures.canvas import POINTS, clipped, text_width, wrapped
from bench_lr.figures.points import tell
from bench_lr.figures.schedules import curve, only_in_controls, plain_ticks
from bench_lr.figures.series import Floats
from bench_lr.figures.style import EXPECTED, INK, LOOKS, MUTED, theme
from bench_lr.schedules import (
    Constant,
    Cyclic,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    Planned,
    Polynomial,
    RangeTest,
    Registered,
    Step,
    Warmup,
)
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
WIDTH = 13.0
HEAD, WORDS, PANEL, GAP = 62.0, 60.0, 104.0, 44.0
"""Heights in points: of the title; of a card's words, its panel, and the space below it."""
MOST_CURVES = 3
ORDER = (
    Constant,
    Step,
    MultiStep,
    Exponential,
    Inverse,
    Polynomial,
    Linear,
    PlateauRule,
    Cyclic,
    Warmup,
    RangeTest,
    Registered,
)
"""Kinds in the order of their cards."""
PLATEAU = r"$\eta \leftarrow \alpha\,\eta$  if the loss fell less than $\theta$"


@dataclass(frozen=True)
class Curve:
    """One line of a card."""

    name: str
    time: Floats
    rates: Floats


@dataclass(frozen=True)
class Card:
    """What is shown of one claim about a schedule."""

    verdict: ClaimVerdict
    kind: type
    formula: str
    curves: tuple[Curve, ...]
    x_label: str
    log_y: bool


def cards(verdicts: Sequence[ClaimVerdict]) -> list[Card]:
    """Return a card for each claim whose figure is of schedules, alike ones side by side."""
    found = [card for verdict in verdicts if (card := _card(verdict)) is not None]
    return sorted(found, key=lambda card: ORDER.index(card.kind))


def formula(schedule: Planned) -> str:
    """Return the formula of a schedule in mathematical notation (``mathtext``), t being time."""
    match schedule:
        case Constant():
            return r"$\eta_0$"
        case Step():
            return r"$\eta_0\,\gamma^{\,\lfloor t/T \rfloor}$"
        case MultiStep():
            return r"$\eta_0\,\gamma^{\,\#\{m\,\leq\,t\}}$"
        case Exponential(rate=float()):
            return r"$\eta_0\,e^{-k\,t}$"
        case Exponential(every=1.0):
            return r"$\eta_0\,\gamma^{\,t}$"
        case Exponential():
            return r"$\eta_0\,\gamma^{\,t/T}$"
        case Inverse(power=1.0):
            return r"$\eta_0\,/\,(1+k\,t)$"
        case Inverse():
            return r"$\eta_0\,(1+\gamma\,t)^{-p}$"
        case Polynomial():
            return r"$\eta_0\,(1-t/T)^{\,p}$"
        case Linear():
            return r"$(1-\alpha)\,\eta_0+\alpha\,\eta_\tau,\ \ \alpha=\min(t/\tau,\,1)$"
        case Cyclic():
            low, high = r"\eta_{\mathrm{low}}", r"\eta_{\mathrm{high}}"
            return rf"${low}+({high}-{low})\,(1-|\,t/h\ \mathrm{{mod}}\ 2-1\,|)$"
        case Warmup():
            return r"$\eta_{\mathrm{start}}+(\eta_0-\eta_{\mathrm{start}})\,t/T$, then $\eta_0$"
        case RangeTest():
            return r"$\eta_1,\,\eta_2,\,\dots$ in turn"
        case Registered():
            return r"$\eta_0\,f(t)$"


def draw_gallery(verdicts: Sequence[ClaimVerdict]) -> Figure | None:
    """Draw the cards of all claims about schedules; None if there is none.

    Each shows the learning rate against time, in the claim's own numbers, with the schedule's
    formula, where the source has it, and what became of the claim.
    """
    import seaborn as sns
    from matplotlib.figure import Figure

    shown = cards(verdicts)
    if not shown:
        return None
    rows = math.ceil(len(shown) / COLUMNS)
    height = HEAD + rows * (WORDS + PANEL + GAP)
    with theme():
        fig = Figure(figsize=(WIDTH, height / POINTS))
        common: dict[str, Any] = {"va": "top", "ha": "left"}
        title = "How learning rates change over time: the schedules that the sources name"
        fig.text(0.012, 1 - 12 / height, title, size=15, weight="bold", color=INK, **common)
        said = (
            "Learning rate against time t (iterations or epochs), in each claim's own numbers. "
            "The mark is the verdict on what the source says of it."
        )
        fig.text(0.012, 1 - 36 / height, said, size=9.5, color=MUTED, **common)
        palette = sns.color_palette("colorblind")
        for place, card in enumerate(shown):
            row, column = divmod(place, COLUMNS)
            _draw(fig, card, row, column, height, palette)
    return fig


def _draw(
    fig: Figure, card: Card, row: int, column: int, height: float, palette: Sequence[Any]
) -> None:
    left, width = 0.012 + column * 0.247, 0.235
    top = 1 - (HEAD + row * (WORDS + PANEL + GAP)) / height
    room = width * WIDTH * POINTS
    look = LOOKS[card.verdict.verdict]
    name = card.verdict.claim.id.partition("/")[2].replace("_", " ").removeprefix("policy ")
    chip = f"{look.mark} {card.verdict.verdict}"
    common: dict[str, Any] = {"va": "top", "ha": "left"}
    head = clipped(name, 10.5, room - text_width(chip, 8.5, bold=True) - 8, bold=True)
    fig.text(left, top, head, size=10.5, weight="bold", color=INK, **common)
    right = {**common, "ha": "right"}
    fig.text(left + width, top, chip, size=8.5, weight="bold", color=look.colour, **right)
    fig.text(left, top - 17 / height, card.formula, size=11, color=INK, parse_math=True, **common)
    lines = wrapped(card.verdict.claim.spec.place, 7, room)
    source = [*lines[:1], *([clipped(" ".join(lines[1:]), 7, room)] if lines[1:] else [])]
    fig.text(left, top - 36 / height, "\n".join(source), size=7, color=EXPECTED, **common)
    inset = 0.034
    axes = fig.add_axes(
        (left + inset, top - (WORDS + PANEL) / height, width - inset - 0.008, PANEL / height)
    )
    for line, colour in zip(card.curves, palette, strict=False):
        drawn = axes.plot(line.time, line.rates, color=colour, lw=1.6, label=line.name)
        tell(drawn, f"{card.verdict.claim.spec.title}: {line.name}")
    _axes(axes, card)


def _axes(axes: Axes, card: Card) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    axes.tick_params(labelsize=7, pad=2)
    axes.set_xlabel(card.x_label, size=7.5, labelpad=1)
    last = max(float(line.time[-1]) for line in card.curves)
    axes.set_xlim(-0.02 * last, 1.02 * last)
    round_numbers = [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=round_numbers))
    highest = max(float(line.rates.max()) for line in card.curves)
    plain_ticks(axes)
    if card.log_y:
        lowest = max(min(float(line.rates.min()) for line in card.curves), highest / 1e5)
        # Room at the top for the names of the lines.
        axes.set(yscale="log", ylim=(lowest / 1.5, highest * (highest / lowest) ** 0.45))
        powers = range(math.ceil(math.log10(lowest)), math.floor(math.log10(highest)) + 1)
        ticks = [10.0**power for power in powers]
        axes.set_yticks(ticks, [plain(tick) for tick in ticks])
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=round_numbers))
        axes.set_ylim(-0.04 * highest, 1.1 * highest)
    if len(card.curves) > 1:
        axes.legend(
            fontsize=7, handlelength=1.1, handletextpad=0.5, labelspacing=0.25, borderpad=0.1
        )


def _card(verdict: ClaimVerdict) -> Card | None:
    figure = verdict.claim.spec.figure
    rules = _rules(verdict)
    if rules:
        return Card(verdict, PlateauRule, PLATEAU, tuple(rules), "iteration", log_y=True)
    shown = _schedules(verdict)
    if not shown:
        return None
    last = max(max(calculation.at) for calculation in shown.values())
    asked = figure.params.get("until")
    until = last if asked is None else float(asked)
    formulas = {type(one.schedule): formula(one.schedule) for one in reversed(shown.values())}
    first = next(iter(shown.values())).schedule
    unit = "step" if isinstance(first, Constant) else getattr(first, "unit", "step")
    label = figure.params.get("x_label") or ("epoch" if unit == "epoch" else "iteration")
    return Card(
        verdict=verdict,
        kind=type(first),
        formula=",  ".join(reversed(formulas.values())),
        curves=tuple(
            Curve(name.removeprefix("rate, "), *curve(calculation, until))
            for name, calculation in shown.items()
        ),
        x_label=label.partition(" (")[0],
        log_y=figure.params.get("log") in ("y", "both"),
    )


def _schedules(verdict: ClaimVerdict) -> dict[str, ScheduleValues]:
    """Return the schedules that a claim is about, each once, without those of its controls."""
    spec = verdict.claim.spec
    patterns = spec.figure.params.get("show") if spec.figure.kind == "schedules" else None
    controls = only_in_controls(verdict)
    found: dict[str, ScheduleValues] = {}
    seen = set()
    for name, calculation in spec.calculations.items():
        if not isinstance(calculation, ScheduleValues) or name in controls:
            continue
        if patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        key = calculation.schedule, calculation.lr
        if key not in seen and len(found) < MOST_CURVES:
            seen.add(key)
            found[name] = calculation
    return found


def _rules(verdict: ClaimVerdict) -> list[Curve]:
    found = []
    for name, rule in verdict.claim.spec.calculations.items():
        if isinstance(rule, PlateauRule) and rule.report == "loss":
            rates = replace(rule, report="lr", every=1).values()
            found.append(Curve(name, np.arange(rates.size, dtype=np.float64), rates))
    return found[:MOST_CURVES]
