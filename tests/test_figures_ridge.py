"""The summary figure of the best learning rate at each batch size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures, recorded
from bench_lr.figures.ridge import draw_ridge, fit_pieces, widest
from bench_lr.verdict import ClaimVerdict
from tests.factories import arm, claim_verdict, diverge, rising

LRS = (0.1, 0.2, 0.4, 0.8, 1.6)


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def made(sizes: tuple[int, ...] = (8, 32, 128), **fields: object) -> ClaimVerdict:
    arms, ends = [], {}
    for size, lr in itertools.product(sizes, LRS):
        name = f"{lr} at {size}"
        arms.append(arm(name, lr=lr, batch_size=size, seeds=2))
        # Four times the batch, twice the rate.
        ends[name] = 0.97 - 0.004 * abs(np.log2(lr / (0.2 * (size / 8) ** 0.5)))
    frame = rising(ends, seeds=2, evaluations=6, noise=0.0, speeds=dict.fromkeys(ends, 9.0))
    return claim_verdict(arms=arms, frame=frame, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second"), [(4, 9), (0, 12), (0, 0), (12, 12), (0, 6), (7, 12), (5, 5)]
)
def test_pieces_are_found_where_they_were_put(first: int, second: int) -> None:
    x = np.arange(13.0)
    y = -3.0 + np.minimum(x, first) + 0.5 * (np.clip(x, first, second) - first)
    found = fit_pieces(np.repeat(x, 3), np.repeat(y, 3))
    assert found.knots.tolist() == [0, first, second, 12]
    np.testing.assert_allclose(np.interp(x, found.knots, found.heights), y)


def test_pieces_are_the_best_by_brute_force() -> None:
    rng = np.random.default_rng(4)
    x = np.arange(8.0)
    y = rng.normal(size=8)

    def error(first: float, second: float) -> float:
        line = np.minimum(x, first) + 0.5 * (np.clip(x, first, second) - first)
        return float(np.var(y - line))

    found = fit_pieces(x, y)
    line = np.interp(x, found.knots, found.heights)
    least = min(error(a, b) for a in x for b in x if a <= b)
    assert float(np.mean((y - line) ** 2)) == pytest.approx(least)


def test_a_single_batch_size_has_no_slope() -> None:
    found = fit_pieces(np.array([3.0, 3.0]), np.array([1.0, 2.0]))
    assert found.heights.tolist() == [1.5] * 4


def test_the_widest_grid_is_chosen() -> None:
    small, large = made(), made((8, 16, 32, 64))
    assert widest([small, large]) is large
    assert widest([large, small]) is large
    twin = made()
    assert widest([small, twin]) is small


def test_what_is_no_grid_is_not_chosen() -> None:
    rates = claim_verdict(arms=[arm(f"{lr}", lr=lr) for lr in LRS])
    diagonal = claim_verdict(arms=[arm(f"{k}", lr=0.1 * k, batch_size=8 * k) for k in range(1, 9)])
    assert widest([rates, diagonal, made((8, 32)), made(verdict="incomplete")]) is None
    assert draw_ridge([rates, diagonal]) is None
    assert draw_ridge([]) is None


def test_the_ridge_is_drawn_with_its_slope(tmp_path: Path) -> None:
    fig = draw_ridge([made()])
    assert fig is not None
    said = words(fig)
    assert "best LR ∝ B^0.50" in said
    assert "∝ √B" in said
    assert "ai_edu/best_lr_batch_128" in said
    figures.save(fig, tmp_path / "ridge")


def test_a_grid_without_results_is_not_drawn() -> None:
    bare = made()
    assert draw_ridge([ClaimVerdict(bare.claim, "refuted", (), pd.DataFrame())]) is None


def test_recorded_means_stand_for_the_runs(tmp_path: Path) -> None:
    verdict = made()
    frame = diverge(verdict.frame, "0.4 at 32", [1], after=1)
    verdict = ClaimVerdict(verdict.claim, "refuted", (), frame)
    (tmp_path / verdict.claim.id).mkdir(parents=True)
    text = recorded.summary(verdict)
    (tmp_path / verdict.claim.id / "summary.csv").write_text(text)
    found = recorded.means(verdict.claim, tmp_path)
    assert found["seed"].unique().tolist() == [0]
    last = found[found["epoch"] == 3].set_index("arm")["value"]
    expected = frame[(frame["epoch"] == 3)].groupby("arm")["value"].mean()
    assert np.isnan(last["0.4 at 32"])
    others = last.drop("0.4 at 32")
    np.testing.assert_allclose(others, expected[others.index], rtol=1e-5)
    assert recorded.means(verdict.claim, tmp_path / "nowhere").empty
    (tmp_path / verdict.claim.id / "summary.csv").write_text("arm,epoch\n1,2\n")
    with pytest.raises(recorded.RecordError, match="is damaged"):
        recorded.means(verdict.claim, tmp_path)
