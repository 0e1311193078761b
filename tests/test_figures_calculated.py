"""Figures of claims that train nothing: they show what the calculations gave."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench_lr import figures
from bench_lr.calculations import DoubleWell, QuadraticDescent
from bench_lr.claims import load_claims
from bench_lr.judge import judge
from bench_lr.schema import FigureSpec
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict
from tests.factories import claim_verdict
from tests.test_figures import words


@cache
def verdict_of(claim_id: str) -> ClaimVerdict:
    (claim,) = load_claims([claim_id], "quick")
    return judge(claim, Store(Path("no such store")))


def drawn(claim_id: str, **params: Any) -> Figure:
    """The figure of a claim, with some of its parameters replaced."""
    verdict = verdict_of(claim_id)
    given = verdict.claim.spec.figure
    spec = dataclasses.replace(given, params={**given.params, **params})
    file = dataclasses.replace(verdict.claim.spec, figure=spec)
    claim = dataclasses.replace(verdict.claim, spec=file)
    return figures.draw(dataclasses.replace(verdict, claim=claim))


def test_quotes_mark_what_contradicts_and_nothing_else() -> None:
    said = words(drawn("ai_edu_search/caption_colours")).split("\n")
    marks = [line for line in said if line[:1] in ("≠", "=")]
    assert marks == ["= agreement", "≠ contradiction", "≠ contradiction", "= agreement"]
    assert [line for line in said if line in ("yellow", "red", "green", "blue")] == [
        "yellow",
        "red",
        "green",
        "blue",
    ]


def test_quotes_say_where_a_place_says_nothing() -> None:
    fig = drawn("ai_edu_search/iterations_consistent")
    assert words(fig).count("—") == 1
    assert words(fig).count("≠ contradiction") == 2


def test_quotes_stay_inside_the_figure() -> None:
    fig = drawn("ai_edu_search/iterations_consistent")
    fig.draw_without_rendering()
    whole = fig.bbox
    for text in fig.axes[0].texts:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1


def test_paths_are_those_of_the_descent_one_panel_a_rate() -> None:
    fig = drawn("raschka/oscillation_2d", lrs=[0.01, 0.19], steps=5)
    assert [axes.get_title(loc="left") for axes in fig.axes[:2]] == ["LR 0.01", "LR 0.19"]
    walk = QuadraticDescent((1, 10), (1, 1), (0.19,), 5).path()[0]
    lines = [np.column_stack(line.get_data()) for line in fig.axes[1].get_lines()]
    assert any(line.shape == walk.shape and np.allclose(line, walk) for line in lines)
    losses = fig.axes[2].get_lines()[0].get_ydata()
    np.testing.assert_allclose(losses[0], 1.0)
    assert len(np.asarray(losses)) == 6


def test_the_share_that_escapes_is_drawn_at_its_noise_level() -> None:
    verdict = verdict_of("raschka/noise_escapes")
    name = "B 6, LR 0.1"
    well = verdict.claim.spec.calculations[name]
    assert isinstance(well, DoubleWell)
    fig = drawn("raschka/noise_escapes", series={"one": [name]}, paths=[name])
    assert fig.axes[1].get_title(loc="left") == name
    (point,) = fig.axes[-1].get_lines()[0].get_xydata()
    assert point == pytest.approx([well.level, verdict.calculations[name].mean()])


def test_line_fits_give_the_needed_rates_of_the_source_and_of_the_gradient() -> None:
    fig = drawn("ai_edu/numerical_comprehension")
    said = [axes.texts[-1].get_text() for axes in fig.axes[:2]]
    assert said[0] == "loss 0.333\nneeded LR\n  by loss 1.5\n  by gradient 0.375"
    assert said[1] == "loss 0.25\nneeded LR\n  by loss 2\n  by gradient 0.5"
    assert words(fig).count("×2") == 3


def values(**fields: Any) -> Figure:
    calculations = fields.pop("calculations")
    return figures.draw(claim_verdict(FigureSpec("values", fields), calculations=calculations))


def test_values_of_simulations_are_means_with_bands() -> None:
    sample = np.random.default_rng(0).normal(5, 1, (30, 4))
    fig = values(calculations={"a": sample}, line="line")
    np.testing.assert_allclose(fig.axes[0].get_lines()[0].get_ydata(), sample.mean(axis=0))
    band = fig.axes[0].collections[0].get_paths()[0].vertices
    # Half width of a t interval of 30: 2.045 s / sqrt(30).
    half = 2.0452 * sample[:, 0].std(ddof=1) / 30**0.5
    at = band[band[:, 0] == 0][:, 1]
    assert [at.min(), at.max()] == pytest.approx(
        [sample[:, 0].mean() - half, sample[:, 0].mean() + half], rel=1e-3
    )
    assert "bands" in words(fig)


def test_values_in_panels_share_one_height_and_have_their_names() -> None:
    given = {"a low": np.array([1.0, 2.0]), "b high": np.array([50.0, 100.0])}
    panels = {"one": ["a*"], "two": ["b high"]}
    fig = values(calculations=given, panels=panels, names={"a low": "small"}, log="y")
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["one", "two"]
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim()
    assert fig.axes[0].get_yscale() == "log"
    legends = [axes.get_legend() for axes in fig.axes]
    assert [legend.get_texts()[0].get_text() for legend in legends if legend] == ["small", "b high"]


def test_values_show_what_is_asked_for_within_limits() -> None:
    given = {"a": np.array([1.0, 2.0]), "b": np.array([5.0, 6.0])}
    fig = values(calculations=given, show=["b"], ylim=(0, 9), x={"b": [3, 4]})
    (line,) = fig.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [3, 4])
    assert fig.axes[0].get_ylim() == (0, 9)
