"""The figure of a number against a setting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures
from bench_lr.figures.measured import Sample
from bench_lr.figures.sweep import Line, best_point, power
from bench_lr.schema import FigureSpec
from tests.factories import arm, claim_verdict, diverge, rising

ENDS = {"lr=0.1": 0.96, "lr=0.2": 0.975, "lr=0.4": 0.97, "lr=0.8": 0.9}
ARMS = [arm(name, lr=float(name[3:])) for name in ENDS]
SIZES = {f"{size}": arm(f"{size}", batch_size=size) for size in (8, 32, 128)}


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def line(values: np.ndarray, x: Any = (1.0, 2.0, 4.0)) -> Line:
    columns = [
        Sample(column, np.zeros(column.size, dtype=bool), tuple(range(column.size)))
        for column in values.T
    ]
    return Line("", "red", np.array(x), tuple(columns))


def drawn(params: dict[str, Any], **fields: Any) -> Figure:
    given: dict[str, Any] = {"arms": ARMS, "frame": rising(ENDS), **fields}
    return figures.draw(claim_verdict(FigureSpec("sweep", params), **given))


def test_the_best_point_is_ringed_and_named() -> None:
    axes = drawn({}).axes[0]
    assert "0.2" in [t.get_text() for t in axes.texts]
    assert "0.8" in [t.get_text() for t in drawn({"best": "smallest"}).axes[0].texts]
    assert axes.get_xlabel() == "learning rate"


def test_a_point_with_a_diverged_run_is_never_best() -> None:
    values = np.array([[1.0, 3.0, 2.0], [1.0, np.nan, 2.0]])
    assert best_point(line(values), "mean", 1) == 2
    assert best_point(line(values), "mean", -1) == 0
    assert best_point(line(values), "mean", 0) is None
    assert best_point(line(np.full((2, 3), np.nan)), "mean", 1) is None


def test_lost_runs_are_counted_at_the_top() -> None:
    frame = diverge(rising(ENDS), "lr=0.8", [0, 3, 4], after=2)
    fig = drawn({}, frame=frame)
    assert "✕3" in words(fig)
    assert "left out" in words(fig)
    assert "✕" not in words(drawn({}))


def test_of_many_lines_lost_runs_are_counted_together() -> None:
    grid = [
        arm(f"{lr} at {size}", lr=lr, batch_size=size)
        for size in (8, 16, 32, 64)
        for lr in (0.1, 0.5, 2.5)
    ]
    frame = rising({a.name: 0.9 for a in grid})
    for size in (8, 16, 32, 64):
        frame = diverge(frame, f"2.5 at {size}", range(6), after=2)
    said = words(drawn({"hue": "batch_size"}, arms=grid, frame=frame))
    assert "✕24" in said
    assert "✕6" not in said


def test_marks_outside_of_the_axes_are_left_out() -> None:
    params = {"mark_x": {0.2: "here", 50.0: "nowhere"}, "measures": [{"metric": "accuracy"}] * 2}
    fig = drawn({**params, "mark_y": {99.0: "printed"}})
    assert "here" in words(fig)
    assert "nowhere" not in words(fig)
    assert ["printed" in [t.get_text() for t in axes.texts] for axes in fig.axes] == [True, False]
    assert fig.axes[0].get_ylim()[1] > 99


def test_seeds_are_paired_by_their_number() -> None:
    first = Sample(np.array([1.0, 2.0]), np.zeros(2, dtype=bool), (0, 1))
    second = Sample(np.array([5.0, 6.0]), np.zeros(2, dtype=bool), (1, 2))
    table = Line("", "red", np.array([1.0, 2.0]), (first, second)).table()
    np.testing.assert_array_equal(table, [[1, np.nan], [2, 5], [np.nan, 6]])


def test_power_is_the_mean_of_the_seeds_slopes() -> None:
    x = np.array([1.0, 4.0, 16.0])
    table = np.array([3 * x**0.4, 2 * x**0.6])
    slope, low, high, offset = power(x, table)
    assert slope == pytest.approx(0.5)
    assert offset == pytest.approx(np.log(6) / 2)
    # t(0.975; 1) = 12.7062; the slopes' standard error is 0.1.
    assert (low, high) == (pytest.approx(0.5 - 1.27062), pytest.approx(0.5 + 1.27062))
    assert np.isnan(power(x, np.full((2, 3), np.nan))).all()
    assert power(x, np.array([[1.0, 0.0, 4.0]]))[0] == pytest.approx(0.5)


def test_derived_quantities_stand_where_they_are_said_to() -> None:
    params = {"derived": {"best_8": 8, "best_128": 128}, "fit": "power", "guide_slope": 1.0}
    values = {"best_8": np.array([0.1, 0.2]), "best_128": np.array([0.4, 0.8])}
    fig = drawn({**params, "log_y": True}, arms=(), frame=None, calculations=values)
    assert "slope 0.50 [0.50, 0.50]" in words(fig)
    assert "the source's slope 1" in words(fig)


def test_derived_quantities_of_different_units_have_a_panel_each() -> None:
    params = {"panels": {"accuracy, %": {"a": 8, "b": 32}, "time, s": {"c": 2, "d": 5, "e": 10}}}
    values = {name: np.array([i, i + 1.0]) for i, name in enumerate("abcde")}
    fields: dict[str, Any] = {"arms": (), "frame": None, "calculations": values}
    fig = drawn({**params, "x_label": ["batch size", "classes"]}, **fields)
    assert [axes.get_ylabel() for axes in fig.axes] == ["accuracy, %", "time, s"]
    assert [axes.get_xlabel() for axes in fig.axes] == ["batch size", "classes"]
    shown = [line.get_xydata() for line in fig.axes[1].lines if len(line.get_xdata()) == 3]
    assert any(np.allclose(xy, [[2, 2.5], [5, 3.5], [10, 4.5]]) for xy in shown)
    both = drawn({**params, "x_label": "setting"}, **fields)
    assert [axes.get_xlabel() for axes in both.axes] == ["setting", "setting"]


def test_lines_by_a_setting_and_by_names() -> None:
    ends = {name: 0.9 + 0.01 * i for i, name in enumerate(SIZES)}
    params = {"x": "batch_size", "hue": "lr"}
    fields = {"arms": list(SIZES.values()), "frame": rising(ends)}
    assert drawn(params, **fields).axes[0].get_xlabel() == "batch size"
    grid = [arm(f"{lr} at {size}", lr=lr, batch_size=size) for lr in (0.1, 0.5) for size in (8, 32)]
    fields = {"arms": grid, "frame": rising({a.name: 0.9 for a in grid})}
    assert "B 8" in words(drawn({"hue": "batch_size"}, **fields))
    named = {"x": {"* at 8": 1.0, "* at 32": 2.0}, "lines": {"low": ["0.1*"], "high": ["0.5*"]}}
    said = words(drawn({**named, "log_x": False}, **fields))
    assert "low" in said
    assert "high" in said


def test_two_measures_are_two_panels() -> None:
    measures = [{"metric": "accuracy"}, {"metric": "loss"}]
    fig = drawn({"measures": measures})
    assert [axes.get_ylabel() for axes in fig.axes] == [
        "validation accuracy, %",
        "validation cross-entropy, nats",
    ]
    assert "incomplete: no runs to show yet" in words(fig)
