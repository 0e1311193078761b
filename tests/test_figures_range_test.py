"""The figure of the LR range test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures
from bench_lr.figures.measured import samples
from bench_lr.figures.range_test import onset
from bench_lr.schema import FigureSpec, Measure
from bench_lr.verdict import ClaimVerdict
from tests.factories import COLUMNS, arm, claim_verdict

ROUNDS = [np.round(np.arange(0.1, 1.05, 0.1), 2), np.round(np.arange(0.5, 1.005, 0.05), 2)]


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def swept(rises: dict[int, float], rounds: list[Any] = ROUNDS, hold: int = 3) -> pd.DataFrame:
    """Losses that fall until a seed's learning rate, and rise by a half with each rate after it."""
    rows = []
    for seed, rise in rises.items():
        epoch = 0
        for rates in rounds:
            for lr in rates:
                loss = 1.0 - 0.05 * lr if lr < rise else 1.5 + lr
                for _ in range(hold):
                    epoch += 1
                    at = ("a", seed, 10 * epoch, float(epoch), 100 * epoch)
                    rows.append((*at, "loss", "train", loss))
                    rows.append((*at, "lr", "train", lr))
    return pd.DataFrame(rows, columns=COLUMNS)


def made(params: dict[str, Any], frame: pd.DataFrame) -> ClaimVerdict:
    return claim_verdict(FigureSpec("range_test", params), arms=[arm("a")], frame=frame)


def test_the_onset_is_that_of_the_measure() -> None:
    frame = swept({0: 0.4, 1: 0.7, 2: 5.0}, rounds=ROUNDS[:1])
    what = Measure("loss", "train", reduce="onset", otherwise=9.0)
    expected = samples(made({}, frame), ["a"], what)["a"].values
    np.testing.assert_allclose(expected, [0.4, 0.7, 9.0])
    said = words(figures.draw(made({}, frame)))
    assert "rise at 0.7 [0.4, none]; no rise in 1 of 3" in said


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        ([1.0, 0.9, 0.98, 1.0], 4.0),
        ([1.0, np.nan, 0.1, 0.1], 2.0),
        ([1.0, 1.0, 1.0, 1.0], np.nan),
        ([1.0, np.inf, 1.0, 1.0], 2.0),
    ],
)
def test_onset_by_hand(losses: list[float], found: float) -> None:
    result = onset(np.arange(1.0, 5.0), np.array(losses), 1.1)
    np.testing.assert_equal(result, found)


def test_a_round_ends_where_the_rate_falls() -> None:
    fig = figures.draw(made({"rounds": ["wide", "narrow"]}, swept({0: 0.7, 1: 0.8})))
    assert [axes.get_title(loc="left") for axes in fig.axes[:2]] == ["wide", "narrow"]
    low, high = fig.axes[1].get_xlim()
    assert low == pytest.approx(np.log10(0.5), abs=0.02)
    assert high == pytest.approx(0.0, abs=0.02)


def test_printed_rates_are_marked_where_the_round_has_them() -> None:
    fig = figures.draw(made({"printed": {0.3: "at 0.3"}}, swept({0: 0.7})))
    assert "at 0.3" in [t.get_text() for t in fig.axes[0].texts]
    assert "at 0.3" not in [t.get_text() for t in fig.axes[1].texts]


def test_losses_without_their_rates_are_incomplete() -> None:
    frame = swept({0: 0.7})
    fig = figures.draw(made({}, frame[frame["metric"] == "loss"]))
    assert "incomplete" in words(fig)
