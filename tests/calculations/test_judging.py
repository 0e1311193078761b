"""Calculations are judged by any criterion, as one exact seed or seed by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr import criteria
from bench_lr.calculations import ClassMixDraws
from bench_lr.claims import load_claims
from bench_lr.claims.problems import ConfigError
from bench_lr.judge import judge
from bench_lr.store import Store
from bench_lr.verdict import Judged
from tests.claims.samples import drop, loaded, put

DRAWS = {"kind": "class_mix_draws", "classes": [10, 10], "seeds": 40}
CALCULATIONS: dict[str, Any] = {
    "drawn 5": {**DRAWS, "sample": 5},
    "drawn 80": {**DRAWS, "sample": 80},
    "levels": {"kind": "plateau_level", "curvature": 1, "lrs": [0.5, 1.0], "noise": 1},
    "at 10": {"kind": "powers_of_ten", "at": [1]},
    "at 100": {"kind": "powers_of_ten", "at": [2]},
    "noisy": {
        "kind": "noisy_quadratic",
        "curvature": 1,
        "lrs": [0.5, 1.0],
        "noise": 1,
        "steps": 3000,
        "window": 2900,
        "report": "relative_plateau",
    },
}


def judged(tmp_path: Path, criterion: dict[str, Any]) -> Judged:
    edits = (
        put("calculations", value=CALCULATIONS),
        put("criteria", value=[{"id": "one", **criterion}]),
        put("figure", value={"kind": "values"}),
        drop("grid"),
        drop("train"),
    )
    (found,) = judge(loaded(tmp_path, *edits), Store(tmp_path / "store")).criteria
    return found


def test_simulations_are_judged_seed_by_seed(tmp_path: Path) -> None:
    params = {"treatment": "drawn 80", "control": "drawn 5", "larger_is_better": False}
    found = judged(
        tmp_path, {"kind": "superior", "arms": ["drawn 80", "drawn 5"], "params": params}
    )
    arms = {f"drawn {n}": ClassMixDraws((10, 10), n, seeds=40).values() for n in (80, 5)}
    assert found.result == criteria.evaluate("superior", arms, **params)
    assert (found.result.verdict, found.result.seeds) == ("reproduced", 40)
    assert [variant.label for variant in found.variants] == ["without one seed"]


def test_simulations_of_several_numbers_are_judged_at_each(tmp_path: Path) -> None:
    params = {"arm": "noisy", "low": 0.8, "high": 1.2, "times": ["LR 0.5", "LR 1"]}
    found = judged(tmp_path, {"kind": "stays_within", "arms": ["noisy"], "params": params}).result
    assert (found.verdict, found.seeds, len(found.details)) == ("reproduced", 20, 2)


def test_exact_numbers_are_one_seed(tmp_path: Path) -> None:
    # 0.5 / 2 (2 - 0.5) and 1 / 2 (2 - 1)
    params = {"arm": "levels", "low": 1 / 6 - 1e-9, "high": 0.5, "exact": True}
    found = judged(tmp_path, {"kind": "stays_within", "arms": ["levels"], "params": params}).result
    assert (found.verdict, found.seeds, len(found.details)) == ("reproduced", 1, 2)
    params = {"order": ["at 10", "at 100"], "margin": 89, "exact": True}
    found = judged(tmp_path, {"kind": "ordered", "arms": params["order"], "params": params}).result
    assert (found.verdict, found.estimate) == ("reproduced", 90)


def test_several_exact_numbers_are_not_taken_for_seeds(tmp_path: Path) -> None:
    params = {"numerator": "levels", "denominator": "at 10", "low": 0, "exact": True}
    found = judged(tmp_path, {"kind": "ratio", "arms": ["levels", "at 10"], "params": params})
    assert found.result.verdict == "incomplete"
    assert "one number per seed" in found.result.note


def test_the_items_of_statements_are_checked_before_anything_is_judged(tmp_path: Path) -> None:
    table = {
        "kind": "statements",
        "places": ["here", "there"],
        "items": [{"item": "red", "says": ["high", "low"]}],
    }
    spec = {"id": "one", "kind": "contradicts", "params": {"contradicted": ["rad"]}}
    edits = (
        put("calculations", value={"captions": table}),
        put("criteria", value=[spec]),
        put("figure", value={"kind": "quotes", "params": {"calculation": "caption"}}),
        drop("grid"),
        drop("train"),
    )
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *edits)
    assert "unknown item 'rad' (nearest: 'red'" in str(caught.value)
    assert "figure.params.calculation: found 'caption'" in str(caught.value)


def test_what_a_calculation_refuses_is_told_with_file_and_key(tmp_path: Path) -> None:
    bad = {"kind": "plateau_level", "curvature": 4, "lrs": [0.6], "noise": 1}
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, put("calculations", value={"level": bad, "other": {"kind": "updatez"}}))
    assert "calculations.level" in str(caught.value)
    assert "an LR of 2 / curvature = 0.5 or more diverges" in str(caught.value)
    assert "did you mean 'updates'" in str(caught.value)


@pytest.mark.parametrize(
    "claim_id",
    ["ai_edu/log10_axis_table", "raschka/noise_escapes", "ai_edu_search/caption_colours"],
)
def test_the_verdict_of_a_calculation_is_the_same_every_time(claim_id: str, tmp_path: Path) -> None:
    (claim,) = load_claims([claim_id], "quick")
    first, second = (judge(claim, Store(tmp_path / "store")) for _ in range(2))
    assert [j.result for j in first.criteria] == [j.result for j in second.criteria]
    assert first.runs == 0
