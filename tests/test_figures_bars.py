"""The figure of a row an arm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures
from bench_lr.figures.bars import share_of, value_words
from bench_lr.figures.measured import Sample
from bench_lr.schema import FigureSpec
from tests.factories import arm, claim_verdict, diverge, rising

ENDS = {"one": 0.96, "two": 0.975, "three": 0.97}
ARMS = [arm(name) for name in ENDS]


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def drawn(params: dict[str, Any], **fields: Any) -> Figure:
    given: dict[str, Any] = {"arms": ARMS, "frame": rising(ENDS, noise=0.0), **fields}
    return figures.draw(claim_verdict(FigureSpec("bars", params), **given))


def rows(fig: Figure) -> list[str]:
    return [label.get_text() for label in fig.axes[0].get_yticklabels()]


def test_rows_are_in_the_claims_order() -> None:
    assert rows(drawn({})) == ["one", "two", "three"]
    low, high = sorted(drawn({}).axes[0].get_ylim())
    assert drawn({}).axes[0].get_ylim() == (high, low)


def test_controls_are_called_so() -> None:
    assert rows(drawn({"controls": ["t*"]})) == ["one", "two (control)", "three (control)"]


def test_printed_numbers_stand_in_the_panel_of_their_metric() -> None:
    measures = [{"metric": "accuracy"}, {"metric": "steps"}]
    fig = drawn({"measures": measures, "printed": {"one": 97.18}})
    found = [
        [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 10]
        for axes in fig.axes[:2]
    ]
    assert found == [[97.18], []]


def test_groups_have_headings_and_may_name_quantities() -> None:
    params = {"groups": {"arms": ["t*"], "worked out": ["gain"]}}
    fig = drawn(params, calculations={"gain": np.array([1.0, 2.0])})
    assert rows(fig) == ["two", "three", "gain"]
    assert "worked out" in words(fig)


def test_shares_come_with_the_wilson_interval() -> None:
    sample = Sample(np.array([1.0] * 8 + [0.0, np.nan]), np.zeros(10, dtype=bool), tuple(range(10)))
    # Wilson (1927), as tabulated for 8 of 10.
    assert share_of(sample) == (80, pytest.approx(49.02, abs=0.01), pytest.approx(94.33, abs=0.01))
    fig = drawn({"derived": ["met"]}, calculations={"met": np.array([0.0, 1.0, 1.0])})
    assert "2 of 3" in words(fig)
    assert fig.axes[0].get_xlabel() == "share of seeds, %"


def test_numbers_that_are_not_all_0_or_1_are_no_share() -> None:
    fig = drawn({"derived": ["met"]}, calculations={"met": np.array([0.0, 1.0, 2.0])})
    assert "of 3" not in words(fig)


def test_ratios_are_to_the_row_that_is_named() -> None:
    fig = drawn({"ratio_to": "one", "measures": [{"metric": "accuracy"}]})
    said = [t.get_text() for t in fig.axes[0].texts]
    value = {name: float(text.split()[0]) for name, text in zip(ENDS, said, strict=True)}
    assert f"(×{value['two'] / value['one']:.2f}" in said[1]
    assert "×" not in said[0]


def test_diverged_runs_are_counted_beside_the_row() -> None:
    frame = diverge(rising(ENDS), "two", [0, 1], after=1)
    frame = diverge(frame, "three", range(8), after=1)
    said = words(drawn({}, frame=frame))
    assert "2 diverged" in said
    assert "every run diverged" in said


def test_a_logarithmic_axis_reads_as_plain_numbers() -> None:
    fig = drawn({"derived": ["ratio"], "log": True}, calculations={"ratio": np.array([0.5, 20.0])})
    labels = [label.get_text() for label in fig.axes[0].get_xticklabels()]
    assert "1" in labels
    assert "10" in labels


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((97.3456, 97.3, 97.4), "97.35"),
        ((0.12344, 0.1224, 0.1245), "0.1234"),
        ((84300.0, 84300.0, 84300.0), "84,300"),
        ((-1.234, -1.5, -1.0), "−1.23"),
    ],
)
def test_values_have_the_digits_that_matter(found: tuple[float, float, float], text: str) -> None:
    assert value_words(*found) == text
