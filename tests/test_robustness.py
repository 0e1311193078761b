"""Whether a verdict would survive slightly other evidence: made-up runs whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.judge import judge
from bench_lr.robustness import line
from bench_lr.store import Store
from bench_lr.verdict import Judged
from tests.claims.samples import Edit, loaded, put
from tests.stored import fill

ARMS = {"treatment": "lr=0.5", "control": "lr=0.2"}


def superior(margin: float = 0.0, **fields: Any) -> Edit:
    spec = {
        "id": "better",
        "kind": "superior",
        "measure": {"metric": "accuracy", "reduce": "final"},
        "params": {**ARMS, "margin": margin},
        **fields,
    }
    return put("criteria", value=[spec])


def judged(tmp_path: Path, *edits: Edit, seeds: int = 8, **values: Any) -> list[Judged]:
    claim = loaded(tmp_path, *edits, put("seeds", value=seeds))
    store = Store(tmp_path / "store")
    fill(store, claim, **values)
    return list(judge(claim, store).criteria)


def noise(seed: int) -> float:
    return 1e-3 * ((7 * seed) % 5)


def found(item: Judged) -> dict[str, str]:
    return {variant.label: variant.verdict for variant in item.variants}


def test_a_clear_verdict_survives_everything(tmp_path: Path) -> None:
    (item,) = judged(
        tmp_path,
        superior(),
        accuracy=lambda arm, epoch, seed: 0.8 + 0.1 * (arm == "lr=0.5") + noise(seed + epoch),
        loss=lambda arm, epoch, seed: 0.5 - 0.1 * (arm == "lr=0.5") + noise(seed + epoch),
    )
    assert item.result.verdict == "reproduced"
    assert found(item) == {
        "without one seed": "reproduced",
        "last 5 epochs": "reproduced",
        "best evaluation": "reproduced",
        "cross-entropy": "reproduced",
    }


def test_a_verdict_that_hangs_on_one_seed_says_so(tmp_path: Path) -> None:
    """One seed far behind keeps the interval wide: without it the claim would be reproduced."""
    (item,) = judged(
        tmp_path,
        superior(),
        accuracy=lambda arm, epoch, seed: (
            0.8 + (arm == "lr=0.5") * (0.01 if seed else -0.06) + noise(seed) * (arm == "lr=0.2")
        ),
    )
    assert item.result.verdict == "inconclusive"
    told = found(item)["without one seed"]
    assert told == "inconclusive in 7 of 8, reproduced in 1 of 8"


def test_another_window_and_metric_may_say_otherwise(tmp_path: Path) -> None:
    """Ahead until the last epoch; better by accuracy, worse by cross-entropy."""
    (item,) = judged(
        tmp_path,
        superior(),
        accuracy=lambda arm, epoch, seed: (
            0.8
            + 0.1 * (arm == "lr=0.5") * (1 if epoch < 4 else -0.2)
            + noise(seed + (arm < "lr=0.4"))
        ),
        loss=lambda arm, epoch, seed: 0.5 - 0.1 * (arm == "lr=0.5") + noise(seed),
    )
    assert item.result.verdict == "refuted"
    told = found(item)
    assert told["last 5 epochs"] == "reproduced"
    assert told["best evaluation"] == "reproduced"
    assert told["cross-entropy"] == "reproduced"


def test_a_margin_is_not_carried_to_another_metric(tmp_path: Path) -> None:
    (item,) = judged(
        tmp_path,
        superior(margin=0.05),
        accuracy=lambda arm, epoch, seed: 0.8 + 0.1 * (arm == "lr=0.5") + noise(seed),
    )
    assert "cross-entropy" not in found(item)


def test_a_reading_on_the_other_metric_is_named_in_the_line(tmp_path: Path) -> None:
    best = {
        "id": "best",
        "kind": "best_arm",
        "measure": {"metric": "accuracy"},
        "params": {"expected": "lr=0.5", "margin": 0.001},
    }
    reading = {
        **best,
        "id": "best_by_ce",
        "role": "reading",
        "measure": {"metric": "loss"},
        "params": {"expected": "lr=0.5", "margin": 0.002, "larger_is_better": False},
    }
    items = judged(
        tmp_path,
        put("criteria", value=[best, reading]),
        accuracy=lambda arm, epoch, seed: 0.8 + 0.1 * (arm == "lr=0.5") + noise(seed),
        loss=lambda arm, epoch, seed: 0.5 + 0.1 * (arm == "lr=0.5") + noise(seed),
    )
    assert line(items[0], items).endswith("cross-entropy (best_by_ce): refuted")
    assert line(items[1], items) == ""


@pytest.mark.parametrize("seeds", [6, 70])
def test_leaving_out_is_for_numbers_of_seeds_where_it_tells_something(
    seeds: int, tmp_path: Path
) -> None:
    """With one less than six nothing could be judged; of many, one makes no difference."""
    (item,) = judged(
        tmp_path,
        superior(),
        seeds=seeds,
        accuracy=lambda arm, epoch, seed: 0.8 + 0.1 * (arm == "lr=0.5") + noise(seed),
    )
    assert "without one seed" not in found(item)


def test_counts_controls_and_incomplete_criteria_have_none(tmp_path: Path) -> None:
    steps = superior(measure={"metric": "steps"})
    assert found(judged(tmp_path / "a", steps)[0]) == {}
    (few,) = judged(tmp_path / "b", superior(), seeds=3)
    assert few.result.verdict == "incomplete"
    assert found(few) == {}


def test_the_best_evaluation_of_a_run_that_diverged_is_none(tmp_path: Path) -> None:
    (item,) = judged(
        tmp_path,
        superior(),
        accuracy=lambda arm, epoch, seed: (
            float("nan") if arm == "lr=0.5" and epoch > 2 else 0.8 + noise(seed)
        ),
    )
    assert item.result.verdict == "refuted"
    assert found(item)["best evaluation"] == "refuted"
