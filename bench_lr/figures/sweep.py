"""A number of each run against a setting: which rate, batch size or training-set size does best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench_lr.figures.axis import panel_width, plain_log
from bench_lr.figures.canvas import canvas, nothing, text_width
from bench_lr.figures.labels import EndLabel, arm_label, label_ends
from bench_lr.figures.measured import (
    CENTRES,
    Centre,
    Sample,
    derived_sample,
    is_larger_better,
    measure_label,
    middle_of,
    samples,
    shown_measures,
)
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.series import Floats, band, select
from bench_lr.figures.strip import Lost, draw_lost
from bench_lr.figures.style import BLUE, EXPECTED, INK, Colour, sequence
from bench_lr.schema import Arm, ArmKey, Measure
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Given = Mapping[str, float] | Mapping[str, Mapping[str, float]]

SETTINGS = {
    "lr": "learning rate",
    "batch_size": "batch size",
    "train_size": "training examples",
    "weight_decay": "weight decay",
    "beta1": "β₁",
    "beta2": "β₂",
}
FEW = 4
"""Lines up to which every seed is joined by a thin line; with more, seeds are dots."""


@dataclass(frozen=True)
class Line:
    """Samples along the axis, in ascending order of `x`."""

    title: str
    colour: Colour | str
    x: Floats
    samples: tuple[Sample, ...]

    def centre(self, how: Centre) -> tuple[Floats, Floats, Floats]:
        """Centre and its interval at each x; each of shape (points,), NaN where there is none."""
        found = [middle_of(sample, how) for sample in self.samples]
        table = np.array(found).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def table(self) -> Floats:
        """Values as (seeds, points), NaN where a seed has none."""
        seeds = sorted({seed for sample in self.samples for seed in sample.seeds})
        rows = np.full((len(seeds), self.x.size), np.nan)
        for column, sample in enumerate(self.samples):
            rows[[seeds.index(seed) for seed in sample.seeds], column] = sample.values
        return rows


@figure("sweep")
def sweep(
    verdict: ClaimVerdict,
    *,
    x: ArmKey | Mapping[str, float] = "lr",
    measures: Sequence[Measure] | None = None,
    hue: ArmKey | None = None,
    lines: Mapping[str, Sequence[str]] | None = None,
    arms: Sequence[str] | None = None,
    derived: Given | None = None,
    panels: Mapping[str, Mapping[str, float]] | None = None,
    centre: Centre | None = None,
    best: Literal["largest", "smallest", "none"] | None = None,
    fit: Literal["power"] | None = None,
    guide_slope: float | None = None,
    mark_x: Mapping[float, str] | None = None,
    mark_y: Mapping[float, str] | None = None,
    log_x: bool = True,
    log_y: bool = False,
    ylim: tuple[float, float] | None = None,
    x_label: str | Sequence[str] | None = None,
    y_label: str | None = None,
) -> Figure:
    """Draw a number of each seed, and their mean with its 95 % interval, against a setting.

    Parameters
    ----------
    x : setting, or mapping of arm (name or glob) to float
        What stands on the horizontal axis.
    measures : list of Measure, optional
        Which number of a run to show, a panel each. By default what the criteria look at, two at
        most.
    hue : setting, optional
        A line for each of its values.
    lines : mapping of title to list of str, optional
        Lines by names or globs of arms, instead of `hue`.
    arms : list of str, optional
        Names or globs of the arms to draw; all by default.
    derived : mapping of derived quantity to x, or of line title to such a mapping, optional
        Draws derived quantities instead of arms.
    panels : mapping of y label to mapping of derived quantity to x, optional
        The same in a panel each, for quantities of different units.
    centre : {"mean", "geometric", "median"}, optional
        The mean, or the geometric mean, with its 95 % t interval, or the median with the quartiles:
        for times to a target that some runs never reach. By default the mean; the geometric one
        under a `fit`.
    best : {"largest", "smallest", "none"}, optional
        Which point of each line to mark; by default the better end of the metric. A point with a
        diverged run is never marked.
    fit : {"power"}, optional
        A least-squares line through logarithms of both; its slope is the mean over seeds with its
        95 % t interval.
    guide_slope : float, optional
        The slope that the source states, drawn dashed through the middle of each fitted line.
    mark_x, mark_y : mapping of value to text, optional
        The source's values, drawn as dashed lines with their text; those of y in the first panel.
    log_x, log_y : bool
        Logarithmic axes.
    ylim : pair of float, optional
        Limits of the y axis in shown units.
    x_label, y_label : str, optional
        Axis labels with units, where the names of settings and metrics will not do; x_label may be
        a list, one for each panel.
    """
    if panels is not None:
        columns = [
            (label, *_derived_lines(verdict, given, best)) for label, given in panels.items()
        ]
    elif derived is not None:
        columns = [("", *_derived_lines(verdict, derived, best))]
    else:
        columns = _columns(verdict, x, measures, hue, lines, arms, best)
    drawn = [line for _, group, _ in columns for line in group]
    how: Centre = centre or ("geometric" if fit else "mean")
    every = [sample for line in drawn for sample in line.samples]
    lost = ["✕ runs that diverged (left out)"] if any(s.diverged for s in every) else []
    lost += ["△ runs that never reached the target"] if any(s.capped.any() for s in every) else []
    notes = [_centre_note(drawn, how, "Dots and bars" if fit else "Line and band")]
    if any(best_point(line, how, way) is not None for _, group, way in columns for line in group):
        notes.append("ring: the best of its line, among points where no run diverged")
    if lost:
        notes.append(f"at the top: {', '.join(lost)}")
    if fit == "power":
        notes.append("slopes: mean over seeds of log-log lines, with 95 % t interval")
    several = len({line.title for line in drawn}) > 1
    frame = canvas(
        verdict,
        notes,
        widths=[1.0] * len(columns),
        width=(10.5 if several else 9.5) if len(columns) > 1 else (9.0 if several else 8.0),
        body=4.3,
    )
    x_labels = [x_label] * len(columns) if isinstance(x_label, str) else list(x_label or ())
    for place, (axes, (label, group, direction)) in enumerate(
        zip(frame.axes, columns, strict=True)
    ):
        first = axes is frame.axes[0]
        axes.set_ylabel(y_label if y_label and first else label)
        shown = x_labels[place] if place < len(x_labels) else ""
        axes.set_xlabel(shown or _x_label(x, derived or panels))
        if not any(sample.finite.size for line in group for sample in line.samples):
            some = any(sample.values.size for line in group for sample in line.samples)
            nothing(axes, "every run diverged" if some else "incomplete: no runs to show yet")
            continue
        axes.set_xscale("log" if log_x else "linear")
        axes.set_yscale("log" if log_y else "linear")
        _lines(axes, group, how, direction, joined=fit is None)
        _x_axis(axes, group, log_x)
        limits = ylim or _limits(group, how, direction, log_y, [*(mark_y or {})] if first else [])
        axes.set_ylim(*limits)
        if log_y:
            plain_log(axes.yaxis, *limits)
        slopes = _fits(axes, group, guide_slope) if fit == "power" else {}
        draw_lost(axes, [_lost(line) for line in group])
        _marks(axes, mark_x or {}, (mark_y or {}) if first else {}, limits, direction)
        if several:
            _label(axes, group, how, slopes, first=first)
        elif slopes:
            axes.set_title(next(iter(slopes.values())), loc="left", size=10, color=INK)
    return frame.figure


def best_point(line: Line, how: Centre, direction: int) -> int | None:
    """Position of the best point of a line, None if there is none.

    Parameters
    ----------
    direction : {1, -1, 0}
        Whether larger is better (1), smaller (-1), or neither.
    """
    middle, _, _ = line.centre(how)
    whole = np.array([sample.diverged == 0 for sample in line.samples], dtype=bool)
    scores = np.where(whole & np.isfinite(middle), direction * middle, -np.inf)
    if direction == 0 or line.x.size < 3 or not np.isfinite(scores).any():
        return None
    return int(scores.argmax())


def power(x: Floats, table: Floats) -> tuple[float, float, float, float]:
    """Fit ``log y = a + b log x`` to every seed.

    Parameters
    ----------
    x : array, shape (points,)
    table : array, shape (seeds, points)
        Values above 0; others are left out.

    Returns
    -------
    (slope, low, high, intercept)
        Means over seeds of b and a, and the 95 % t interval of b; NaN where there is none.
    """
    fits = []
    for row in table:
        kept = np.isfinite(row) & (row > 0)
        if kept.sum() > 1 and np.ptp(np.log(x[kept])) > 0:
            fits.append(np.polyfit(np.log(x[kept]), np.log(row[kept]), 1))
    if not fits:
        return (float("nan"),) * 4
    found = band(np.array(fits))
    return (
        float(found.mean[0]),
        float(found.low[0]),
        float(found.high[0]),
        float(found.mean[1]),
    )


Column = tuple[str, list[Line], int]
FORCED = {"largest": 1, "smallest": -1, "none": 0}


def _columns(
    verdict: ClaimVerdict,
    x: ArmKey | Mapping[str, float],
    given: Sequence[Measure] | None,
    hue: ArmKey | None,
    lines: Mapping[str, Sequence[str]] | None,
    arms: Sequence[str] | None,
    best: str | None,
) -> list[Column]:
    """Label, lines and direction of each panel."""
    chosen = select(verdict.claim.arms, arms)
    members = _arm_groups(chosen, hue, lines)
    colours = _colours(list(members), numeric=hue is not None)
    columns = []
    for what in shown_measures(verdict, given):
        found = samples(verdict, [arm.name for arm in chosen], what)
        drawn = [
            _line(title, colour, [(_at(arm, x), found[arm.name]) for arm in group])
            for (title, group), colour in zip(members.items(), colours, strict=True)
        ]
        direction = FORCED[best] if best else (1 if is_larger_better(what) else -1)
        columns.append((measure_label(verdict, what), drawn, direction))
    return columns


def _derived_lines(
    verdict: ClaimVerdict, derived: Given, best: str | None
) -> tuple[list[Line], int]:
    """Lines of derived quantities, and the direction of what is best."""
    groups = _derived_groups(derived)
    colours = _colours(list(groups), numeric=False)
    drawn = [
        _line(title, colour, [(at, derived_sample(verdict, name)) for name, at in group])
        for (title, group), colour in zip(groups.items(), colours, strict=True)
    ]
    return drawn, FORCED[best or "none"]


def _derived_groups(derived: Given) -> dict[str, list[tuple[str, float]]]:
    groups: dict[str, list[tuple[str, float]]] = {}
    for name, value in derived.items():
        if isinstance(value, Mapping):
            groups[name] = [(key, float(at)) for key, at in value.items()]
        else:
            groups.setdefault("", []).append((name, float(value)))
    return groups


def _arm_groups(
    arms: Sequence[Arm], hue: ArmKey | None, lines: Mapping[str, Sequence[str]] | None
) -> dict[str, list[Arm]]:
    if lines is not None:
        return {title: select(arms, names) for title, names in lines.items()}
    if hue is None:
        return {"": list(arms)}
    values = sorted({setting(arm, hue) for arm in arms if arm.runs})
    words = {"lr": "LR", "batch_size": "B", "train_size": "N"}.get(hue, hue.replace("_", " "))
    return {
        f"{words} {value:.6g}": [arm for arm in arms if arm.runs and setting(arm, hue) == value]
        for value in values
    }


def setting(arm: Arm, key: ArmKey) -> float:
    """Value of a setting in an arm."""
    # Claims ask figures for their parameters: at import this would go round.
    from bench_lr.claims.settings import arm_value

    return float(arm_value(arm, key))


def _at(arm: Arm, x: ArmKey | Mapping[str, float]) -> float:
    if not isinstance(x, Mapping):
        return setting(arm, x) if arm.runs else float("nan")
    if arm.name in x:
        return float(x[arm.name])
    return next((float(at) for name, at in x.items() if select([arm], [name])), float("nan"))


def _line(title: str, colour: Colour | str, points: Sequence[tuple[float, Sample]]) -> Line:
    kept = sorted((p for p in points if p[1].values.size and np.isfinite(p[0])), key=_first)
    return Line(title, colour, np.array([at for at, _ in kept]), tuple(s for _, s in kept))


def _first(point: tuple[float, Sample]) -> float:
    return point[0]


def _colours(titles: Sequence[str], *, numeric: bool) -> Sequence[Colour | str]:
    import seaborn as sns

    if len(titles) < 2:
        return [BLUE] * len(titles)
    if numeric and len(titles) > 2:
        return sequence(len(titles))
    return [(r, g, b) for r, g, b in sns.color_palette("colorblind", len(titles))]


def _x_label(x: ArmKey | Mapping[str, float], derived: object) -> str:
    if derived is not None or isinstance(x, Mapping):
        return ""
    return SETTINGS.get(x, x.replace("_", " "))


def _lines(axes: Axes, lines: Sequence[Line], how: Centre, direction: int, *, joined: bool) -> None:
    present = [line for line in lines if line.x.size]
    for line in present:
        table, (middle, low, high) = line.table(), line.centre(how)
        faint = float(np.clip(1.6 / max(len(table), 1), 0.06, 0.35))
        if joined and len(present) <= FEW and len(table) > 1:
            for row in table:
                axes.plot(line.x, row, color=line.colour, lw=0.7, alpha=faint, zorder=2)
        if len(table) > 1:
            axes.plot(
                np.tile(line.x, len(table)),
                table.ravel(),
                ls="",
                marker="o",
                ms=2.4,
                mew=0,
                color=line.colour,
                alpha=max(faint, 0.15),
                zorder=2,
            )
        if joined:
            axes.fill_between(line.x, low, high, color=line.colour, alpha=0.16, lw=0, zorder=1)
            tell(axes.plot(line.x, middle, color=line.colour, lw=1.7, zorder=3), line.title)
        else:
            axes.vlines(line.x, low, high, color=line.colour, lw=1.7, zorder=3)
        for at, value, sample in zip(line.x, middle, line.samples, strict=True):
            face = "white" if sample.diverged or sample.capped.any() else line.colour
            look: dict[str, Any] = {"mec": line.colour, "mfc": face, "mew": 1.3}
            tell(axes.plot(at, value, marker="o", ms=5, ls="", zorder=4, **look), line.title)
    _rings(axes, present, how, direction)


def _rings(axes: Axes, lines: Sequence[Line], how: Centre, direction: int) -> None:
    """Ring the best point of each line and name its x, once for lines that agree."""
    outermost: dict[float, float] = {}
    for line in lines:
        place = best_point(line, how, direction)
        if place is None:
            continue
        at, value = float(line.x[place]), float(line.centre(how)[0][place])
        ring: dict[str, Any] = {"mfc": "none", "mec": INK, "mew": 1.4}
        axes.plot(at, value, marker="o", ms=10.5, ls="", zorder=5, **ring)
        outermost[at] = max(outermost.get(at, value), value, key=lambda v: direction * v)
    for at, value in outermost.items():
        axes.annotate(
            f"{at:.4g}",
            (at, value),
            (0, 8 * direction),
            textcoords="offset points",
            ha="center",
            va="bottom" if direction > 0 else "top",
            size=8.5 if len(outermost) < 4 else 7.5,
            color=INK,
            zorder=6,
        )


def _x_axis(axes: Axes, lines: Sequence[Line], log: bool) -> None:
    places = np.unique(np.concatenate([line.x for line in lines]))
    low, high = float(places[0]), float(places[-1])
    pad = (high / low) ** 0.04 if log and low > 0 else 0.04 * (high - low)
    if log and low > 0:
        pad = pad if high > low else 1.5
        axes.set_xlim(low / pad, high * pad)
    else:
        pad = pad or 0.5
        axes.set_xlim(low - pad, high + pad)
    room = panel_width(axes)
    if places.size > 24:
        return
    labels = [f"{place:.3g}" if place < 1000 else f"{place:g}" for place in places]
    steep = sum(7.0 * len(label) + 6 for label in labels) > room
    axes.set_xticks(
        places,
        labels,
        rotation=40 if steep else 0,
        ha="right" if steep else "center",
        rotation_mode="anchor" if steep else "default",
        size=8.5,
    )
    axes.minorticks_off()


def _limits(
    lines: Sequence[Line], how: Centre, direction: int, log: bool, marks: Sequence[float]
) -> tuple[float, float]:
    """Limits that show at least three quarters of the points, the best ones, and their seeds."""
    middles = np.concatenate([line.centre(how)[0] for line in lines if line.x.size])
    seeds = np.concatenate([s.finite for line in lines for s in line.samples])
    if log:
        middles, seeds = (np.log(v[v > 0]) for v in (middles[np.isfinite(middles)], seeds))
    middles = middles[np.isfinite(middles)]
    low, high = float(seeds.min()), float(seeds.max())
    if direction and middles.size > 3 and not log:
        best, most = (direction * v for v in np.quantile(direction * middles, [1.0, 0.25]))
        worst = direction * float((direction * middles).min())
        if abs(worst - best) > 2.5 * abs(most - best):
            far = most - direction * 0.15 * abs(most - best)
            low, high = (far, high) if direction > 0 else (low, far)
    shown = [float(np.log(v)) if log else float(v) for v in marks if v > 0 or not log]
    low, high = min([low, *shown]), max([high, *shown])
    pad = 0.07 * (high - low) or 0.02 * abs(high) or 1.0
    low, high = low - pad, high + pad * (1.6 if direction > 0 else 1.0)
    if direction < 0:
        low -= 0.6 * pad
    return (float(np.exp(low)), float(np.exp(high))) if log else (low, high)


def _fits(axes: Axes, lines: Sequence[Line], guide: float | None) -> dict[str, str]:
    said = {}
    for line in lines:
        if line.x.size < 2:
            continue
        slope, low, high, offset = power(line.x, line.table())
        if not np.isfinite(slope):
            continue
        ends = np.array([line.x[0], line.x[-1]])
        middle = np.exp(np.log(ends).mean())
        height = np.exp(offset + slope * np.log(middle))
        axes.plot(ends, np.exp(offset) * ends**slope, color=line.colour, lw=1.7)
        interval = f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
        said[line.title] = f"slope {slope:.2f}{interval}".replace("-", "−")
        if guide is not None:
            axes.plot(
                ends, height * (ends / middle) ** guide, color=EXPECTED, lw=1.3, ls=(0, (4, 2))
            )
    if guide is not None and said:
        axes.annotate(
            f"dashed: the source's slope {guide:g}".replace("-", "−"),
            (0.985, 0.02),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            size=8.5,
            color=EXPECTED,
        )
    return said


def _lost(line: Line) -> Lost:
    return Lost(
        colour=line.colour,
        x=line.x,
        diverged=[sample.diverged for sample in line.samples],
        capped=[int(sample.capped.sum()) for sample in line.samples],
    )


def _marks(
    axes: Axes,
    xs: Mapping[float, str],
    ys: Mapping[float, str],
    limits: tuple[float, float],
    direction: int,
) -> None:
    style: dict[str, Any] = {"color": EXPECTED, "lw": 1.2, "ls": (0, (4, 2)), "zorder": 1.5}
    text: dict[str, Any] = {"size": 8.5, "color": EXPECTED, "textcoords": "offset points"}
    left, right = axes.get_xlim()
    # Text outside of the panel would be given room.
    inside = {float(at): words for at, words in xs.items() if left <= float(at) <= right}
    for place, (at, words) in enumerate(inside.items()):
        axes.axvline(at, **style)
        # Away from the best points, below a peak and above a valley, one under the other.
        up = direction < 0
        late = (
            float(axes.transAxes.inverted().transform(axes.transData.transform((at, 0)))[0]) > 0.6
        )
        axes.annotate(
            words,
            (at, limits[1 if up else 0]),
            (-4 if late else 4, (-4 - 12 * place) if up else (5 + 12 * place)),
            ha="right" if late else "left",
            va="top" if up else "bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            **text,
        )
    for at, words in ys.items():
        if not limits[0] <= float(at) <= limits[1]:
            continue
        axes.axhline(float(at), **style)
        axes.annotate(words, (0.012, float(at)), (0, 3), xycoords=_across(axes), **text)


def _across(axes: Axes) -> Any:
    return axes.get_yaxis_transform()


def _label(
    axes: Axes, lines: Sequence[Line], how: Centre, slopes: Mapping[str, str], *, first: bool
) -> None:
    """Name the lines at their ends, or above the panel where they end at different places."""
    from matplotlib.lines import Line2D

    words = [
        arm_label(line.title) + ("" if line.x.size else " (incomplete: no runs)") for line in lines
    ]
    words = [
        f"{word}, {slopes[line.title]}" if line.title in slopes else word
        for word, line in zip(words, lines, strict=True)
    ]
    ends = {float(line.x[-1]) for line in lines if line.x.size}
    lost = any(np.isnan(line.centre(how)[0][-1]) for line in lines if line.x.size)
    if len(ends) == 1 and not lost:
        last = [float(line.centre(how)[0][-1]) if line.x.size else np.nan for line in lines]
        label_ends(
            axes,
            ends.pop(),
            [
                EndLabel(word, end, line.colour)
                for word, end, line in zip(words, last, lines, strict=True)
            ],
        )
    elif first:
        handles = [Line2D([], [], color=line.colour, lw=2.4, marker="o", ms=4.5) for line in lines]
        room = panel_width(axes)
        widest = max(text_width(word, 9.0) for word in words) + 34
        axes.legend(
            handles,
            words,
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=int(np.clip(room // widest, 1, len(words))),
            fontsize=9,
            handlelength=1.3,
            columnspacing=1.2,
            borderaxespad=0.2,
        )


def _centre_note(lines: Sequence[Line], how: Centre, marks: str) -> str:
    seeds = sorted({s.values.size for line in lines for s in line.samples if s.values.size})
    if not seeds:
        return "no runs stored"
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    if seeds[-1] == 1:
        return "One seed: no interval"
    middle, interval = CENTRES[how]
    return f"{marks}: {middle.format(count)} and {interval}; faint: single seeds"
