"""Points of figures: where they lie, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench_lr.figures import save
from bench_lr.figures.points import METADATA, MOST, points_of, tell, with_points


@pytest.fixture
def fig() -> Figure:
    fig = Figure(figsize=(10, 5))
    axes = fig.add_axes((0.1, 0.2, 0.8, 0.6))
    axes.set(xlim=(0, 10), ylim=(0, 1), xlabel="epoch", ylabel="loss")
    return fig


def test_points_lie_where_they_are_drawn(fig: Figure) -> None:
    (axes,) = fig.axes
    tell(axes.plot([0, 5, 10], [0, 0.5, 1], color="#ff0000"), "a line")
    axes.plot([1, 2], [0.1, 0.2])
    (panel,) = points_of(fig)
    assert (panel["x"], panel["y"], panel["box"]) == ("epoch", "loss", [1000, 2000, 9000, 8000])
    (series,) = panel["series"]
    assert (series["name"], series["colour"]) == ("a line", "#ff0000")
    # From the top left.
    assert series["points"] == [[1000, 8000, 0, 0], [5000, 5000, 5, 0.5], [9000, 2000, 10, 1]]


def test_what_is_not_seen_is_not_told(fig: Figure) -> None:
    (axes,) = fig.axes
    tell(axes.plot([1, 2, 3, 4], [0.5, np.nan, 7, 0.25]), "a line")
    hidden = axes.plot([1], [0.5])
    tell(hidden, "hidden")
    hidden[0].set_visible(False)
    (panel,) = points_of(fig)
    (series,) = panel["series"]
    assert [point[2:] for point in series["points"]] == [[1, 0.5], [4, 0.25]]


def test_long_lines_keep_their_ends_and_some_points_between(fig: Figure) -> None:
    x = np.linspace(0, 10, 10_001)
    tell(fig.axes[0].plot(x, x / 10), "long")
    points = points_of(fig)[0]["series"][0]["points"]
    assert len(points) == MOST
    assert (points[0][2], points[-1][2]) == (0, 10)


def test_bars_are_told_at_their_ends_and_dots_where_they_are(fig: Figure) -> None:
    (axes,) = fig.axes
    tell(axes.barh([0.5], [4.0], height=0.1), "a bar", only_x=True)
    tell(axes.scatter([2.0], [0.25], edgecolor="#00ff00"), "a dot")
    series = {it["name"]: it for it in points_of(fig)[0]["series"]}
    assert series["a bar"]["row"] is True
    assert series["a bar"]["points"] == [[4200, 5000, 4.0, 0.5]]
    assert series["a dot"]["points"] == [[2600, 6500, 2.0, 0.25]]
    assert series["a dot"]["colour"] == "#00ff00"


def test_what_is_told_of_a_place_may_be_what_it_is_a_function_of(fig: Figure) -> None:
    tell(fig.axes[0].plot([1, 2], [0.5, 0.5]), "by log", x=[10, 100])
    points = points_of(fig)[0]["series"][0]["points"]
    assert [point[2] for point in points] == [10, 100]


def test_the_svg_carries_them_whatever_the_words(fig: Figure, tmp_path: Path) -> None:
    tell(fig.axes[0].plot([1, 2], [0.5, 0.5]), "a < b & c > ]]> \"d\" 'é'")
    _, svg = save(fig, tmp_path / "figure")
    found = [it for it in ET.parse(svg).getroot().iter() if it.get("id") == METADATA]
    (panel,) = json.loads(str(found[0].text))
    assert panel["series"][0]["name"] == "a < b & c > ]]> \"d\" 'é'"


def test_without_points_an_svg_is_as_it_was() -> None:
    assert with_points(b"<svg></svg>\n", []) == b"<svg></svg>\n"
