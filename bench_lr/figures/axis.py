"""Logarithmic axes whose ticks read as plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench_lr.figures.series import CLOCKS, Clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

MANY = 9
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
UNEVEN = ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Leading digits of ticks, even steps first, from close together to far apart."""


def plain_log(axis: Axis, low: float, high: float) -> None:
    """Put ticks at round numbers between `low` and `high` and write them out."""
    from matplotlib.ticker import NullLocator

    ticks = log_ticks(low, high)
    axis.set_ticks(ticks, [plain(tick) for tick in ticks])
    axis.set_minor_locator(NullLocator())


def time_axis(axes: Axes, clock: Clock, *, log: bool = False) -> None:
    """Label the x axis with a clock and write its ticks out, millions as M; limits are final."""
    axes.set_xlabel(CLOCKS[clock])
    if log:
        plain_log(axes.xaxis, *axes.get_xlim())
    elif clock in ("step", "examples"):
        axes.xaxis.set_major_formatter(
            lambda at, _: f"{at / 1e6:g} M" if abs(at) >= 1e6 else f"{at:,.0f}"
        )


def panel_width(axes: Axes) -> float:
    """Width of a panel in points, as far as it is known before the layout is solved."""
    return axes.bbox.width * 72 / axes.figure.dpi


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, as close together as leaves them few."""
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    even = [[k * step for k in range(round(1 / step), round(10 / step))] for step in STEPS]
    ticks: list[float] = []
    for digits in [*even, *map(list, UNEVEN)]:
        ticks = [float(f"{d * 10.0**e:.12g}") for e in range(first, last + 1) for d in digits]
        # Rates that were stored in single precision are a little off.
        ticks = [t for t in ticks if low * (1 - 1e-6) <= t <= high * (1 + 1e-6)]
        if len(ticks) <= MANY:
            return ticks
    return ticks[:: -(-len(ticks) // MANY)]


def plain(value: float) -> str:
    """Write a tick: plain digits, or a power of ten far from 1."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.10g}".replace("-", "−")
    mantissa, exponent = f"{value:.2e}".split("e")
    digits = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    shown = f"{float(mantissa):g}"
    return f"10{digits}" if shown == "1" else f"{shown}·10{digits}"
