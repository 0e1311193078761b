"""The figure of ``docs/verdicts.md``, from a calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench_lr.calibration.record import POWER_SEEDS, Calibration, families
from bench_lr.calibration.simulate import EFFECTS
from bench_lr.figures.style import EXPECTED, INK, MUTED, readable, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOAL = 90
"""Power, in per cent, that the suite aims at."""


MORE_COLOURS = ("#6b8e23", "#4b3f72", "#00808a", "#a0522d", "#36454f")
"""Beyond those of seaborn's palette; a kind has its marker too."""
MARKS = "oXsPD^v<>phdH8*."
"""Markers of the kinds, in their order."""


def wrong_rates(found: Calibration) -> pd.DataFrame:
    """Worst wrong rate over truths, in per cent, by kind, noise and number of seeds."""
    import pandas as pd

    rows = [
        (kind, family, n, 100 * worst.wrong / worst.trials)
        for kind in found.kinds()
        for family in families()
        for n in sorted({t.seeds for t in found.tallies})
        for worst in [found.worst(kind, family, n)]
    ]
    return pd.DataFrame(rows, columns=["kind", "noise", "seeds", "rate"])


def powers(found: Calibration) -> pd.DataFrame:
    """Power with Gaussian noise, in per cent, by kind, side and effect."""
    import pandas as pd

    rows = [
        (kind, side, effect, 100 * found.power(kind, side, effect, seeds=POWER_SEEDS).value)
        for kind in found.kinds()
        for side in ("claim", "against")
        for effect in EFFECTS
    ]
    return pd.DataFrame(rows, columns=["kind", "side", "effect", "power"])


def draw(found: Calibration) -> Figure:
    """Draw wrong rates against seeds, a panel a noise, and power against effect."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    kinds = found.kinds()
    colours = [*sns.color_palette("colorblind", 10), INK, *MORE_COLOURS]
    colours[6] = "#8b1a1a"  # its pink, darkened, would be the purple of another kind
    palette = {kind: readable(c) for kind, c in zip(kinds, colours, strict=False)}
    marks = dict(zip(kinds, MARKS, strict=False))
    looks = {
        "hue": "kind",
        "hue_order": kinds,
        "palette": palette,
        "style": "kind",
        "style_order": kinds,
        "markers": marks,
        "dashes": False,
        "linewidth": 1.3,
        "markersize": 6,
        "legend": False,
        "errorbar": None,
    }
    rates, reached = wrong_rates(found), powers(found)
    limited = {name: (label, limit) for name, (label, limit) in families().items() if limit}
    rates = rates[rates.noise.isin(limited)]
    top = max(8.0, float(rates.rate.max()) + 1.0)
    with theme():
        figure = plt.figure(figsize=(11.5, 8.2))
        grid = figure.add_gridspec(
            2, 3, left=0.055, right=0.945, top=0.83, bottom=0.075, hspace=0.45, wspace=0.2
        )
        for column, (family, (label, limit)) in enumerate(limited.items()):
            axis = figure.add_subplot(grid[0, column])
            sns.lineplot(rates[rates.noise == family], x="seeds", y="rate", ax=axis, **looks)
            _rate_axis(axis, label, 100 * limit, top, sorted(set(rates.seeds)), column == 0)
        for column, (side, title) in enumerate(
            (("claim", "Claim true: reproduced"), ("against", "Claim false: refuted"))
        ):
            axis = figure.add_subplot(grid[1, column])
            sns.lineplot(reached[reached.side == side], x="effect", y="power", ax=axis, **looks)
            _power_axis(axis, title, column == 0)
        _legend(figure, kinds, palette, marks)
        figure.text(
            0.02,
            0.972,
            "How often verdicts are wrong, and how often they are reached",
            size=14,
            weight="bold",
            va="top",
        )
        figure.text(
            0.02, 0.93,
            "Top: wrong verdicts in simulated experiments, at the worst true difference (on the "
            "margin, where either verdict counts as wrong).\n"
            f"Bottom: verdicts reached with {POWER_SEEDS} seeds and Gaussian noise, by how far "
            "beyond the margin the truth lies.",
            size=9.5, color=MUTED, va="top", linespacing=1.5,
        )  # fmt: skip
    plt.close(figure)
    return figure


def _rate_axis(
    axis: Axes, label: str, limit: float, top: float, seeds: list[int], first: bool
) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_title(f"{label[0].upper()}{label[1:]}", loc="left", fontsize=10.5, weight="bold")
    axis.set(
        ylim=(0, top), xlabel="seeds (logarithmic)", ylabel="wrong verdicts (%)" if first else ""
    )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(seeds))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([str(n) for n in seeds])
    _aim(axis, limit, f"limit\n{limit:.0f} %")


def _power_axis(axis: Axes, title: str, first: bool) -> None:
    axis.set_title(title, loc="left", fontsize=10.5, weight="bold")
    axis.set(ylim=(0, 104), xticks=EFFECTS, xlabel="distance of the truth from the margin (SD)")
    axis.set_ylabel("verdict reached (%)" if first else "")
    _aim(axis, GOAL, f"aim\n{GOAL} %")


def _aim(axis: Axes, height: float, text: str) -> None:
    """Mark a height; its name stands beside the axes, where no line crosses it."""
    axis.axhline(height, color=EXPECTED, lw=1.3, ls=(0, (4, 3)), zorder=1)
    place = (1.012, height)
    frame = axis.get_yaxis_transform()
    axis.text(*place, text, color=EXPECTED, va="center", fontsize=9, transform=frame)


def _legend(
    figure: Figure, kinds: list[str], palette: dict[str, Any], marks: dict[str, str]
) -> None:
    from matplotlib.artist import Artist
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=palette[kind], marker=marks[kind], lw=1.3, ms=6, mec="w", label=kind)
        for kind in kinds
    ]
    legend = figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.68, 0.425))
    legend.set_title("kind of criterion", prop=FontProperties(weight="bold", size=10))
    legend.set_alignment("left")
