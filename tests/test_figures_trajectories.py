"""The figure of single runs over time."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures
from bench_lr.figures.classes import classify
from bench_lr.figures.trajectories import first_met
from bench_lr.schema import Difference, FigureSpec, Measure, Measured
from bench_lr.verdict import ClaimVerdict
from tests.factories import arm, claim_verdict, diverge, judged, rising

ENDS = {"slow": 0.95, "fast": 0.975}
ARMS = [arm(name) for name in ENDS]
LAST = Measure("accuracy")


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def made(params: dict[str, Any], **fields: Any) -> ClaimVerdict:
    given: dict[str, Any] = {"arms": ARMS, "frame": rising(ENDS, noise=0.0), **fields}
    verdict = claim_verdict(FigureSpec("trajectories", {"metric": "accuracy", **params}), **given)
    derived = {
        "end": Measured("slow", LAST),
        "twice": Measured("fast", LAST),
        "gain": Difference(("twice", "end")),
    }
    spec = dataclasses.replace(verdict.claim.spec, derived=derived)
    return dataclasses.replace(verdict, claim=dataclasses.replace(verdict.claim, spec=spec))


def drawn(params: dict[str, Any], **fields: Any) -> Figure:
    return figures.draw(made(params, **fields))


def test_a_line_a_run_and_a_panel_an_arm() -> None:
    fig = drawn({})
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["slow", "fast"]
    assert [len(axes.get_lines()) for axes in fig.axes] == [8, 8]


@pytest.mark.parametrize(("window", "shown"), [((3, 6), True), ((8, 90), True), ((30, 60), False)])
def test_a_window_is_drawn_where_the_axis_has_it(window: tuple[float, float], shown: bool) -> None:
    fig = drawn({"window": window, "window_label": "flat"})
    assert ("flat" in words(fig)) == shown
    for axes in fig.axes:
        ends = [
            float(box.get_x() + side * box.get_width()) for box in axes.patches for side in (0, 1)
        ]
        assert ends == ([window[0], min(window[1], axes.get_xlim()[1])] if shown else [])


def test_when_a_run_first_meets_its_target() -> None:
    values = np.array([[3.0, 1.0, 2.0, 0.5], [3.0, 3.0, 3.0, 3.0], [3.0, np.nan, np.nan, np.nan]])
    x = np.array([10.0, 20.0, 30.0, 40.0])
    np.testing.assert_array_equal(first_met(values, x, 1.0, -1), [20, np.nan, np.nan])
    np.testing.assert_array_equal(first_met(values, x, 2.5, 1), [10, 10, 10])
    assert np.isnan(first_met(values, x, None, 1)).all()


def test_runs_that_met_the_target_are_counted_with_the_median_time() -> None:
    said = words(drawn({"target": 0.97}))
    # 0.975 - 0.095 exp(-0.35 t) first exceeds 0.97 at t = 8.41: at the evaluation of epoch 8.5.
    assert "met the target: 8 of 8, median epoch 8.50" in said
    assert "met the target: 0 of 8" in said


def test_classes_hold_for_the_arms_they_are_worked_out_of() -> None:
    verdict = made({})
    values = {"end": np.arange(8.0), "gain": np.full(8, np.nan)}
    verdict = dataclasses.replace(verdict, derived=values)
    found = classify(verdict, {"low": {"end": (None, 2.0)}, "all": {"gain": (None, None)}}, None)
    assert found == {"low": {"slow": {0, 1, 2}}, "all": {"slow": set(), "fast": set()}}


def test_a_run_belongs_to_the_first_class_it_fits() -> None:
    classes = {"low": {"end": [None, 2.0]}, "any": {"end": [None, 5.0]}}
    verdict = dataclasses.replace(made({"classes": classes}), derived={"end": np.arange(8.0)})
    said = words(figures.draw(verdict))
    assert "low: 3 of 8" in said
    assert "any: 3 of 8" in said
    assert "other: 2 of 8" in said


def test_the_conditions_of_a_criterion_make_a_class() -> None:
    share = judged(
        id="rises_above", kind="share", params={"conditions": {"slow": [0.94, 0.96]}, "above": 0.5}
    )
    said = words(drawn({"criterion": "rises_above"}, criteria=[share]))
    # Accuracies are stored as fractions and shown in percent.
    assert "rises above: 8 of 8" in said


def test_a_diverged_run_ends_with_a_cross() -> None:
    frame = diverge(rising(ENDS), "fast", [0, 1], after=5)
    fig = drawn({}, frame=frame)
    marks = [line for line in fig.axes[1].get_lines() if line.get_marker() == "x"]
    assert len(marks) == 2
    assert "✕: a run diverged" in words(fig)


@pytest.mark.parametrize("count", [1, 5])
def test_panels_stand_in_rows(count: int) -> None:
    panels = {f"panel {i}": ["fast"] for i in range(count)}
    fig = drawn({"panels": panels})
    shown = [axes for axes in fig.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == list(panels)
