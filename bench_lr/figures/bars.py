"""A number of each arm or derived quantity, one row each: seeds as dots, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench_lr.figures.axis import plain_log
from bench_lr.figures.canvas import canvas, clipped, nothing, wrapped
from bench_lr.figures.labels import arm_label
from bench_lr.figures.measured import (
    CENTRES,
    Centre,
    Sample,
    derived_names,
    derived_sample,
    measure_label,
    middle_of,
    samples,
    shown_measures,
)
from bench_lr.figures.numbers import number
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import select
from bench_lr.figures.style import (
    BLUE,
    CONTROL,
    EXPECTED,
    FAINT,
    INK,
    MUTED,
    Colour,
    colours,
    numeric_scale,
)
from bench_lr.schema import Measure
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.36
"""Height of a row in inches."""
DISTINCT = 6
"""Rows up to which each has a colour of its own, where they are no steps of one number."""
NAMES = 210.0
"""Room for the names of rows, in points."""


@dataclass(frozen=True)
class Row:
    """An arm or derived quantity, or the head of a group (no sample)."""

    name: str
    sample: Sample | None
    colour: Colour | str = BLUE
    control: bool = False


@figure("bars")
def bars(
    verdict: ClaimVerdict,
    *,
    measures: Sequence[Measure] | None = None,
    arms: Sequence[str] | None = None,
    derived: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    controls: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    centre: Centre = "mean",
    as_share: bool | None = None,
    ratio_to: str | None = None,
    printed: Mapping[str, float] | None = None,
    mark: Mapping[float, str] | None = None,
    margin: tuple[float | None, float | None] | None = None,
    log: bool = False,
    xlim: tuple[float, float] | None = None,
    x_label: str | None = None,
) -> Figure:
    """Draw a row an arm: every seed as a dot, and the mean with its 95 % interval.

    Parameters
    ----------
    measures : list of Measure, optional
        Which number of a run to show, a panel each. By default what the criteria look at, two at
        most.
    arms : list of str, optional
        Names or globs of arms, in the claim's order; all by default, none where `derived` is given.
    derived : list of str, optional
        Derived quantities, below the arms in the first panel.
    groups : mapping of title to list of str, optional
        Rows under headings: names or globs of arms, and names of derived quantities.
    controls : list of str, optional
        Rows in which the claim should fail; drawn lighter and called so.
    names : mapping of arm or derived quantity to str, optional
        What to call rows.
    centre : {"mean", "geometric", "median"}
        The mean, or geometric mean, with its 95 % t interval, or the median with the quartiles.
    as_share : bool, optional
        Show the share of seeds whose number is not 0, with its 95 % Wilson interval. By default
        where all numbers are 0 or 1.
    ratio_to : str, optional
        Row to which the others are compared: ratios of the centres are written beside them.
    printed : mapping of arm or derived quantity to float, optional
        The source's numbers, as open diamonds in the first panel.
    mark : mapping of value to text, optional
        Dashed lines with their text.
    margin : pair of float or null, optional
        Shaded band in which the claim holds; null is an open end.
    log : bool
        Logarithmic axis.
    xlim : pair of float, optional
        Limits of the axis in shown units.
    x_label : str, optional
        Axis label with unit.
    """
    panels = _panels(verdict, measures, arms, derived, groups, controls)
    shares = [as_share if as_share is not None else _binary(rows) for _, rows in panels]
    notes = [
        _note(rows, centre, share) for (_, rows), share in zip(panels[:1], shares, strict=False)
    ]
    if any(row.control for _, rows in panels for row in rows):
        notes.append("grey: controls, in which the claim should fail")
    if printed:
        notes.append("open diamonds: the source's numbers")
    if margin:
        notes.append("shaded: where the claim holds")
    if ratio_to:
        notes.append(f"×: ratio to {(names or {}).get(ratio_to) or arm_label(ratio_to)}")
    tall = max(len(rows) for _, rows in panels)
    frame = canvas(
        verdict,
        notes,
        widths=[1.0] * len(panels),
        width=10.5 if len(panels) > 1 else 8.5,
        body=0.9 + ROW * max(tall, 3) + (0.25 if mark else 0),
    )
    for place, (axes, (label, rows)) in enumerate(zip(frame.axes, panels, strict=True)):
        share = shares[place]
        axes.set_xlabel(x_label or ("share of seeds, %" if share else label))
        values = [row.sample.values for row in rows if row.sample is not None]
        if not any(np.isfinite(own).any() for own in values):
            lost = any(own.size for own in values)
            nothing(axes, "every run diverged" if lost else "incomplete: no runs to show yet")
            continue
        found = _found(rows, centre, share)
        known = printed or {} if place == 0 else {}
        _axis(axes, rows, found, log, share, xlim, [*known.values(), *(mark or {})])
        _names(axes, rows, names or {}, shown=place == 0)
        _margin(axes, margin)
        _rows(axes, rows, found, share, ratio_to)
        _printed(axes, rows, known, mark or {})
    return frame.figure


Found = tuple[float, float, float]


def share_of(sample: Sample) -> Found:
    """Share of the seeds with a number other than 0, in percent, with its 95 % Wilson interval.

    A run without a number counts as one with 0.
    """
    from bench_lr.stats import wilson

    count, size = int(np.count_nonzero(np.nan_to_num(sample.values))), sample.values.size
    if not size:
        return float("nan"), float("nan"), float("nan")
    low, high = wilson(count, size)
    return 100 * count / size, 100 * low, 100 * high


def _panels(
    verdict: ClaimVerdict,
    given: Sequence[Measure] | None,
    arms: Sequence[str] | None,
    derived: Sequence[str] | None,
    groups: Mapping[str, Sequence[str]] | None,
    controls: Sequence[str] | None,
) -> list[tuple[str, list[Row]]]:
    """Label and rows of each panel."""
    chosen = select(verdict.claim.arms, arms)
    if arms is None and derived is not None and groups is None:
        chosen = []
    palette: dict[str, Colour] = {}
    if numeric_scale(chosen) is not None or len(chosen) <= DISTINCT:
        palette = colours(chosen)
    aside = list(controls or ())
    held = {arm.name for arm in select(chosen, aside)}

    def row(name: str, sample: Sample) -> Row:
        control = name in held or name in aside
        colour: Colour | str = CONTROL if control else palette.get(name, BLUE)
        return Row(name, sample, colour, control)

    extra = derived_names(verdict, derived or ())
    panels = []
    for what in shown_measures(verdict, given) if chosen else []:
        found = samples(verdict, [arm.name for arm in chosen], what)
        rows = [row(name, sample) for name, sample in found.items()]
        panels.append((measure_label(verdict, what), rows))
    if not panels:
        panels = [("", [])]
    arm_names = {arm.name for arm in verdict.claim.arms}
    for names in (groups or {}).values():
        # Named in a group, a quantity need not be listed once more.
        rest = [n for n in names if not select(verdict.claim.arms, [n])]
        extra += [n for n in derived_names(verdict, rest) if n not in (*extra, *arm_names)]
    panels[0][1].extend(row(name, derived_sample(verdict, name)) for name in extra)
    if groups is None:
        return panels
    return [(label, _grouped(rows, groups, verdict)) for label, rows in panels]


def _grouped(
    rows: Sequence[Row], groups: Mapping[str, Sequence[str]], verdict: ClaimVerdict
) -> list[Row]:
    found: list[Row] = []
    for title, names in groups.items():
        wanted = {arm.name for arm in select(verdict.claim.arms, names)}
        wanted |= set(derived_names(verdict, names))
        members = [row for row in rows if row.name in wanted]
        found += [Row(title, None), *members]
    return found


def _binary(rows: Sequence[Row]) -> bool:
    values = [row.sample.finite for row in rows if row.sample is not None]
    every = np.concatenate([np.empty(0), *values])
    return bool(every.size) and bool(np.isin(every, (0.0, 1.0)).all())


def _found(rows: Sequence[Row], how: Centre, share: bool) -> list[Found | None]:
    return [
        None
        if row.sample is None
        else share_of(row.sample)
        if share
        else middle_of(row.sample, how)
        for row in rows
    ]


def _axis(
    axes: Axes,
    rows: Sequence[Row],
    found: Sequence[Found | None],
    log: bool,
    share: bool,
    xlim: tuple[float, float] | None,
    others: Sequence[float],
) -> None:
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    if share and xlim is None:
        axes.set_xlim(-3, 103)
        return
    shown = [row.sample.finite for row in rows if row.sample is not None and not share]
    ends = [np.array(triple) for triple in found if triple is not None]
    every = np.concatenate([*shown, *ends, np.array(others, dtype=float)])
    every = every[np.isfinite(every) & ((every > 0) | (not log))]
    low, high = xlim or (float(every.min()), float(every.max()))
    if log:
        axes.set_xscale("log")
        pad = 1.0 if xlim else (high / low) ** 0.06 if high > low else 1.5
        axes.set_xlim(low / pad, high * pad)
        plain_log(axes.xaxis, low / pad, high * pad)
        return
    pad = 0.0 if xlim else 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_xlim(low - pad, high + pad)
    axes.locator_params(axis="x", nbins=6)


def _names(axes: Axes, rows: Sequence[Row], names: Mapping[str, str], *, shown: bool) -> None:
    places = [place for place, row in enumerate(rows) if row.sample is not None]
    labels = []
    for place in places:
        row = rows[place]
        words = names.get(row.name) or arm_label(row.name)
        words = f"{words} (control)" if row.control else words
        first, *rest = wrapped(words, 9.5, NAMES)
        labels.append("\n".join([first, *([clipped(" ".join(rest), 9.5, NAMES)] if rest else [])]))
    axes.set_yticks(places, labels if shown else [""] * len(places), size=9.5, linespacing=1.1)
    axes.tick_params(axis="y", length=0)
    for place, row in enumerate(rows):
        if row.sample is None:
            axes.axhline(place - 0.45, color=FAINT, lw=0.8)
            if shown:
                axes.annotate(
                    row.name,
                    (0.01, place),
                    xycoords=axes.get_yaxis_transform(),
                    va="center",
                    size=9.5,
                    color=MUTED,
                    weight="bold",
                )


def _rows(
    axes: Axes,
    rows: Sequence[Row],
    found: Sequence[Found | None],
    share: bool,
    ratio_to: str | None,
) -> None:
    base = next((f for row, f in zip(rows, found, strict=True) if row.name == ratio_to), None)
    for place, (row, triple) in enumerate(zip(rows, found, strict=True)):
        if row.sample is None or triple is None:
            continue
        axes.axhline(place, color="#f0f2f4", lw=0.8, zorder=0)
        middle, low, high = triple
        colour = row.colour
        if not share:
            values = row.sample.finite
            faint = float(np.clip(4 / max(values.size, 1), 0.22, 0.6))
            axes.plot(
                values,
                np.full(values.size, place + 0.21),
                ls="",
                marker="o",
                ms=3.6,
                mew=0,
                color=colour,
                alpha=faint,
                zorder=2,
            )
        if np.isfinite(middle):
            axes.plot([low, high], [place - 0.06] * 2, color=colour, lw=2.2, zorder=3)
            face = "white" if row.control else colour
            look: dict[str, Any] = {"mfc": face, "mec": colour, "mew": 1.5}
            tell(
                axes.plot(middle, place - 0.06, marker="D", ms=6, zorder=4, **look),
                arm_label(row.name),
            )
        axes.annotate(
            _words(row.sample, triple, share, None if row.name == ratio_to else base),
            (1.015, place),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            size=9,
            color=INK if np.isfinite(middle) else MUTED,
        )


def _words(sample: Sample, found: Found, share: bool, base: Found | None) -> str:
    size = sample.values.size
    if not size:
        return "incomplete"
    if share:
        return f"{np.count_nonzero(np.nan_to_num(sample.values))} of {size}"
    middle = found[0]
    if not np.isfinite(middle):
        return "every run diverged" if size > 1 else "diverged"
    ratio = middle / base[0] if base is not None and base[0] else float("nan")
    parts = [value_words(*found) + (f" (×{ratio:.3g})" if np.isfinite(ratio) else "")]
    if sample.diverged:
        parts.append(f"{sample.diverged} diverged")
    if count := int(sample.capped.sum()):
        parts.append(f"{count} never")
    return ", ".join(parts)


def value_words(middle: float, low: float, high: float) -> str:
    """Write a centre with as many digits as half the width of its interval lets matter."""
    half = (high - low) / 2
    if not np.isfinite(half) or half <= 0:
        return number(middle)
    places = int(np.clip(1 - np.floor(np.log10(half)), 0, 2 if abs(middle) >= 10 else 6))
    if places == 0 and abs(middle) >= 1000:
        return number(middle)
    return f"{middle:,.{places}f}".replace("-", "−")


def _margin(axes: Axes, margin: tuple[float | None, float | None] | None) -> None:
    if margin is None:
        return
    left, right = axes.get_xlim()
    low = left if margin[0] is None else margin[0]
    high = right if margin[1] is None else margin[1]
    axes.axvspan(low, high, color="#e3f1ee", lw=0, zorder=-1)
    axes.set_xlim(left, right)


def _printed(
    axes: Axes, rows: Sequence[Row], printed: Mapping[str, float], mark: Mapping[float, str]
) -> None:
    style: dict[str, Any] = {"mfc": "none", "mec": EXPECTED, "mew": 1.6, "zorder": 5}
    for place, row in enumerate(rows):
        if row.sample is not None and row.name in printed:
            axes.plot(printed[row.name], place - 0.06, marker="D", ms=10, ls="", **style)
    left, right = axes.get_xlim()
    for at, words in mark.items():
        axes.axvline(float(at), color=EXPECTED, lw=1.2, ls=(0, (4, 2)), zorder=1.5)
        late = float(at) > left + 0.6 * (right - left)
        axes.annotate(
            words,
            (float(at), 1),
            (0, 3),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="right" if late else "left",
            va="bottom",
            size=8.5,
            color=EXPECTED,
        )
    axes.set_xlim(left, right)


def _note(rows: Sequence[Row], how: Centre, share: bool) -> str:
    seeds = sorted({row.sample.values.size for row in rows if row.sample is not None} - {0})
    if not seeds:
        return "no runs stored"
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    if share:
        return f"Diamonds: share of {count} seeds and its 95 % Wilson interval"
    if seeds[-1] == 1:
        return "One seed: no interval"
    lost = any(row.sample is not None and row.sample.diverged for row in rows)
    middle, interval = CENTRES[how]
    words = f"Dots: seeds; diamonds: {middle.format(count)} and {interval}"
    return words + (", without runs that diverged" if lost else "")
