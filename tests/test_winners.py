"""The figure of single-seed winners: counts from made-up runs whose winners are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.figures.style import save
from bench_lr.figures.winners import draw_winners, winners
from bench_lr.judge import judge
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict
from tests.claims.samples import Edit, loaded, put
from tests.stored import fill

NAN = float("nan")


def judged(tmp_path: Path, accuracy: Any, *edits: Edit, seeds: int = 8) -> ClaimVerdict:
    claim = loaded(tmp_path, *edits, put("seeds", value=seeds))
    store = Store(tmp_path / "store")
    fill(store, claim, accuracy=accuracy)
    return judge(claim, store)


def test_each_seed_has_one_winner(tmp_path: Path) -> None:
    """Seed 0 wins at 0.2, seeds 1 and 2 at 0.8, the others at 0.5."""
    best = {0: "lr=0.2", 1: "lr=0.8", 2: "lr=0.8"}
    verdict = judged(
        tmp_path, lambda arm, epoch, seed: 0.8 + 0.1 * (arm == best.get(seed, "lr=0.5"))
    )
    (column,) = winners([verdict])
    assert column.counts == {0.2: 1, 0.5: 5, 0.8: 2}
    assert (column.batch_size, column.seeds, column.expected) == (128, 8, 0.5)


def test_only_the_epochs_that_the_criterion_looks_at_count(tmp_path: Path) -> None:
    """Ahead in the first two epochs of four, behind in the mean of the last two."""
    verdict = judged(
        tmp_path,
        lambda arm, epoch, seed: 0.8 + (0.1 if epoch <= 2 else -0.1) * (arm == "lr=0.8"),
    )
    (column,) = winners([verdict])
    assert column.counts[0.8] == 0
    assert column.counts[0.2] == 8, "of equals the smaller rate"


def test_a_run_that_diverged_wins_nothing(tmp_path: Path) -> None:
    verdict = judged(
        tmp_path,
        lambda arm, epoch, seed: (
            (NAN if epoch > 3 else 1.0) if arm == "lr=0.8" else 0.5 + 0.1 * (arm == "lr=0.2")
        ),
    )
    (column,) = winners([verdict])
    assert column.counts == {0.2: 8, 0.5: 0, 0.8: 0}


def test_a_grid_of_batch_sizes_has_a_column_each(tmp_path: Path) -> None:
    grid = {"batch_size": [64, 16], "lr": [0.1, 0.2, 0.4]}
    slope = {
        "id": "slope",
        "kind": "slope",
        "measure": {"metric": "loss"},
        "by_arm": {"x": "batch_size", "choice": "lr"},
        "params": {"margin": 0.0, "larger_is_better": False},
    }
    claim = loaded(
        tmp_path,
        put("grid", value=grid),
        put("criteria", value=[slope]),
        put("figure", "params", value={}),
        put("seeds", value=6),
    )
    store = Store(tmp_path / "store")
    best = {"16": "lr=0.1", "64": "lr=0.4"}
    fill(
        store,
        claim,
        loss=lambda arm, epoch, seed: (
            0.5 - 0.1 * arm.endswith(best[arm.split()[0].partition("=")[2]])
        ),
    )
    first, second = winners([judge(claim, store)])
    assert (first.batch_size, first.counts) == (16, {0.1: 6, 0.2: 0, 0.4: 0})
    assert (second.batch_size, second.counts) == (64, {0.1: 0, 0.2: 0, 0.4: 6})
    assert first.expected is None


def test_claims_about_other_things_have_none(tmp_path: Path) -> None:
    pair = {"treatment": "lr=0.5", "control": "lr=0.2", "margin": 0.0}
    other = {"id": "b", "kind": "superior", "measure": {"metric": "accuracy"}, "params": pair}
    verdict = judged(tmp_path, lambda *_: 0.5, put("criteria", value=[other]))
    assert winners([verdict]) == []
    assert draw_winners([verdict]) is None


def test_the_figure_shows_every_count_and_rings_the_expected_rate(tmp_path: Path) -> None:
    best = {0: "lr=0.2", 1: "lr=0.8", 2: "lr=0.8"}
    verdict = judged(
        tmp_path, lambda arm, epoch, seed: 0.8 + 0.1 * (arm == best.get(seed, "lr=0.5"))
    )
    figure = draw_winners([verdict])
    assert figure is not None
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts][:3] == ["1", "5", "2"]
    rings = [c for c in axes.collections if not len(c.get_facecolor())]
    assert [tuple(ring.get_offsets()[0]) for ring in rings] == [(0, 1)]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0.2", "0.5", "0.8"]
    png, svg = save(figure, tmp_path / "winners")
    assert png.stat().st_size > 1000
    assert svg.stat().st_size > 1000


@pytest.mark.parametrize("missing", [True, False])
def test_what_is_not_judged_is_not_drawn(tmp_path: Path, missing: bool) -> None:
    claim = loaded(tmp_path, put("seeds", value=6))
    store = Store(tmp_path / "store")
    fill(store, claim, skip=[("lr=0.5", 0)] if missing else [])
    assert bool(winners([judge(claim, store)])) is not missing
