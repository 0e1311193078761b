"""Derived quantities of a claim file are checked before anything is trained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from bench_lr.claims.check import selected_arms
from tests.claims.samples import Edit, drop, loaded, mistakes, put

LAST = {"metric": "accuracy", "reduce": "mean_last", "epochs": 2}
DERIVED: dict[str, Any] = {
    "early": {
        "kind": "measured",
        "arm": "lr=0.5",
        "measure": {"metric": "accuracy", "reduce": "mean_at", "epochs": [1]},
    },
    "late": {"kind": "measured", "arm": "lr=0.5", "measure": LAST},
    "gain": {"kind": "difference", "of": ["late", "early"]},
    "optimum": {"kind": "best_setting", "arms": ["lr=*"], "measure": LAST, "by": "lr"},
    "rates": {
        "kind": "entry",
        "of": "schedule",
        "at": 1,
    },
}
SCHEDULE = {"kind": "schedule_values", "lr": 0.1, "at": [0, 1], "schedule": {"kind": "constant"}}
GAINED: dict[str, Any] = {
    "id": "gained",
    "kind": "superior",
    "params": {"treatment": "late", "control": "early", "margin": 0.01},
}


def whole(content: dict[str, Any]) -> None:
    """Give a claim quantities, a calculation, and a criterion about them."""
    content["derived"] = copy.deepcopy(DERIVED)
    content["calculations"] = {"schedule": copy.deepcopy(SCHEDULE)}
    content["criteria"].append(copy.deepcopy(GAINED))


WHOLE: tuple[Edit, ...] = (whole,)


def test_criteria_are_given_what_their_parameters_name(tmp_path: Path) -> None:
    claim = loaded(tmp_path, *WHOLE)
    best, gained = claim.spec.criteria
    assert selected_arms(claim, best) == ["lr=0.2", "lr=0.5", "lr=0.8"]
    # In the order of the claim file; no measure is asked for, as no arm is looked at.
    assert selected_arms(claim, gained) == ["early", "late"]


def test_mappings_written_out_and_patterns_name_quantities_too(tmp_path: Path) -> None:
    slope = {"id": "s", "kind": "slope", "params": {"x": {"early": 8, "late": 16}, "margin": 0}}
    claim = loaded(tmp_path, *WHOLE, put("criteria", 1, value=slope))
    assert selected_arms(claim, claim.spec.criteria[1]) == ["early", "late"]
    best = {
        "id": "b",
        "kind": "best_arm",
        "arms": ["late", "ear*"],
        "params": {"expected": "late", "margin": 0.0},
    }
    claim = loaded(tmp_path, *WHOLE, put("criteria", 1, value=best))
    assert selected_arms(claim, claim.spec.criteria[1]) == ["early", "late"]


def test_an_arm_beside_a_quantity_needs_a_measure(tmp_path: Path) -> None:
    mixed = {**GAINED, "params": {"treatment": "lr=0.5", "control": "early"}}
    (problem,) = mistakes(tmp_path, *WHOLE, put("criteria", 1, value=mixed))
    assert (problem.key, problem.found) == ("criteria.gained.measure", "nothing")
    claim = loaded(tmp_path, *WHOLE, put("criteria", 1, value={**mixed, "measure": LAST}))
    assert selected_arms(claim, claim.spec.criteria[1]) == ["lr=0.5", "early"]


def test_figures_may_name_quantities(tmp_path: Path) -> None:
    edits = (*WHOLE, put("figure", value={"kind": "counts", "params": {"arms": ["late", "ear*"]}}))
    assert loaded(tmp_path, *edits).spec.figure.params["arms"] == ["late", "ear*"]


WRONG: dict[str, tuple[Edit, str, str, str]] = {
    "kind": (
        put("derived", "gain", "kind", value="diference"),
        "derived.gain.kind",
        "'diference'",
        "difference",
    ),
    "key": (put("derived", "gain", "off", value=1), "derived.gain.off", "'off'", "of"),
    "operands": (
        put("derived", "gain", "of", value=["late"]),
        "derived.gain.of.1",
        "nothing",
        "required",
    ),
    "operand": (
        put("derived", "gain", "of", value=["late", "erly"]),
        "derived.gain.of",
        "'erly'",
        "early",
    ),
    "operand that is an arm": (
        put("derived", "gain", "of", value=["late", "lr=0.2"]),
        "derived.gain.of",
        "the arm 'lr=0.2'",
        "kind measured",
    ),
    "term": (
        put("derived", "gain", value={"kind": "linear", "terms": {"late": 1, "erly": 2}}),
        "derived.gain.terms",
        "'erly'",
        "early",
    ),
    "arm": (put("derived", "late", "arm", value="lr=0.55"), "derived.late.arm", "0.55", "lr=0.5"),
    "pattern for one arm": (
        put("derived", "late", "arm", value="lr=*"),
        "derived.late.arm",
        "lr=*",
        "lr=0.5",
    ),
    "pattern": (
        put("derived", "optimum", "arms", value=["lr=*", "b=*"]),
        "derived.optimum.arms",
        "'b=*'",
        "lr=0.2",
    ),
    "best of one": (
        put("derived", "optimum", "arms", value=["lr=0.2"]),
        "derived.optimum.arms",
        "one arm, lr=0.2",
        "arms to choose",
    ),
    "near": (
        put(
            "derived",
            "gain",
            value={**DERIVED["optimum"], "kind": "value_near", "of": "erly"},
        ),
        "derived.gain.of",
        "'erly'",
        "early",
    ),
    "near one": (
        put(
            "derived",
            "gain",
            value={**DERIVED["optimum"], "kind": "value_near", "of": "late", "arms": ["lr=0.2"]},
        ),
        "derived.gain.arms",
        "one arm, lr=0.2",
        "arms to choose",
    ),
    "setting": (
        put("derived", "optimum", "by", value="learning_rate"),
        "derived.optimum.by",
        "learning_rate",
        "lr",
    ),
    "metric": (
        put("derived", "late", "measure", "metric", value="acuracy"),
        "derived.late.measure.metric",
        "'acuracy'",
        "accuracy",
    ),
    "epoch after the end": (
        put("derived", "early", "measure", "epochs", value=[9]),
        "derived.early.measure.epochs",
        "9",
        "at most 4",
    ),
    "curve": (
        put("derived", "late", "measure", value={"metric": "loss", "reduce": "curve"}),
        "derived.late.measure.reduce",
        "curve",
        "one number a seed",
    ),
    "name of an arm": (
        put("derived", "lr=0.5", value=DERIVED["late"]),
        "derived.lr=0.5",
        "the name of an arm",
        "its own",
    ),
    "name of a calculation": (
        put("derived", "schedule", value=DERIVED["late"]),
        "derived.schedule",
        "the name of a calculation",
        "its own",
    ),
    "itself": (
        put("derived", "gain", "of", value=["late", "gain"]),
        "derived.gain",
        "worked out of itself: gain <- gain",
        "without a circle",
    ),
    "sketch of an arm that is not there": (
        put("derived", "gain", value={"kind": "sketch_distance", "of": ["lr=0.5", "lr=5"]}),
        "derived.gain.of",
        "'lr=5'",
        "lr=0.5",
    ),
    "criterion": (
        put("criteria", 1, "params", "treatment", value="lat"),
        "criteria.gained",
        "unknown arm 'lat' (nearest: 'late'",
        "parameters",
    ),
    "all names of a criterion": (
        put("criteria", 1, "params", value={"treatment": "lat", "control": "erly"}),
        "criteria.gained",
        "unknown arm 'lat' (nearest: 'late'",
        "parameters",
    ),
    "arms of a criterion": (
        put("criteria", 1, "arms", value=["latte"]),
        "criteria.gained.arms",
        "'latte'",
        "late",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_told_by_key(case: str, tmp_path: Path) -> None:
    edit, key, found, allowed = WRONG[case]
    problems = mistakes(tmp_path, *WHOLE, edit)
    (problem, *_) = [p for p in problems if p.key == key] or problems
    assert problem.key == key
    assert found in problem.found
    assert allowed in problem.allowed


APART = {"kind": "sketch_distance", "of": ["lr=0.5", "lr=0.2"], "at": 2}


def probed(*probes: dict[str, Any]) -> tuple[Edit, ...]:
    return (
        put("derived", value={"apart": dict(APART)}),
        put("train", "probes", value=list(probes)),
    )


def test_a_distance_needs_sketches_of_both_arms_at_that_epoch(tmp_path: Path) -> None:
    sketch = {"kind": "displacement_sketch", "size": 8}
    assert loaded(tmp_path, *probed(sketch)).spec.derived["apart"]
    assert loaded(tmp_path, *probed({**sketch, "at": [2, 4]})).spec.derived["apart"]
    problems = mistakes(tmp_path, *probed())
    assert [(p.key, p.found) for p in problems] == [
        ("derived.apart.of", "lr=0.2, which has no sketch"),
        ("derived.apart.of", "lr=0.5, which has no sketch"),
    ]
    problems = mistakes(tmp_path, *probed({**sketch, "at": [3, 4]}))
    assert {(p.key, p.found) for p in problems} == {("derived.apart.at", "2")}
    assert all("3, 4" in p.allowed for p in problems)
    arms = {
        "lr=0.5": {"lr": 0.5, "probes": [sketch]},
        "lr=0.2": {"lr": 0.2, "probes": [{**sketch, "size": 9}]},
        "lr=0.8": {"lr": 0.8},
    }
    different = (*probed(), put("arms", value=arms), drop("grid"))
    (problem,) = mistakes(tmp_path, *different)
    assert problem.found == "sketches of size 9 in lr=0.2 and 8 in lr=0.5"


def test_a_circle_is_told_once_with_all_its_names(tmp_path: Path) -> None:
    other = {"kind": "scaled", "of": "gain", "by": 2}
    gain = {**DERIVED["gain"], "of": ["other", "early"]}
    edits = (put("derived", value={**DERIVED, "other": other, "gain": gain}),)
    (problem,) = mistakes(tmp_path, *WHOLE, *edits)
    assert problem.found.startswith("worked out of itself: ")
    assert {"gain", "other"} <= set(problem.found.replace(" <- ", " ").split())


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    problems = mistakes(
        tmp_path,
        *WHOLE,
        put("derived", "late", "arm", value="lr=5"),
        put("derived", "gain", "of", value=["late", "erly"]),
        put("criteria", 0, "params", "expected", value="lr=7"),
    )
    found = {problem.key: problem for problem in problems}
    assert set(found) == {"derived.late.arm", "derived.gain.of", "criteria.best"}
    assert found["derived.gain.of"].nearest == "early"


def test_with_unknown_arms_nothing_is_said_of_quantities(tmp_path: Path) -> None:
    problems = mistakes(tmp_path, *WHOLE, put("train", "model", value="no_such"))
    assert all("derived" not in problem.key for problem in problems)


def test_a_profile_without_judging_reads_them_too(tmp_path: Path) -> None:
    assert "gain" in loaded(tmp_path, *WHOLE, profile="smoke").spec.derived


def test_a_claim_without_any_is_as_before(tmp_path: Path) -> None:
    assert loaded(tmp_path, drop("figure", "params")).spec.derived == {}
