"""Figures of claims: pure drawing from a verdict and its tidy frame.

A claim file asks for a figure by kind (``figure: {kind: curves, params: {...}}``). To add a kind,
write a function that takes the verdict and keyword-only parameters and returns a matplotlib
``Figure``, decorate it with `figure`, and import its module below.
"""

from bench_lr.figures import (
    bars,
    counts,
    curves,
    difference,
    distances,
    double_well,
    line_fits,
    paths,
    phase_diagram,
    quotes,
    range_test,
    regimes,
    schedules,
    sweep,
    trajectories,
    values,
)
from bench_lr.figures.registry import FIGURES, draw, figure, parameters, placeholder
from bench_lr.figures.style import save

__all__ = [
    "FIGURES",
    "bars",
    "counts",
    "curves",
    "difference",
    "distances",
    "double_well",
    "draw",
    "figure",
    "line_fits",
    "parameters",
    "paths",
    "phase_diagram",
    "placeholder",
    "quotes",
    "range_test",
    "regimes",
    "save",
    "schedules",
    "sweep",
    "trajectories",
    "values",
]
