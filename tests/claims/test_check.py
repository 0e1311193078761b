"""Criteria and figures are checked before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.claims.check import check_claim, criterion_params, selected_arms
from bench_lr.claims.load import without_arms
from tests.claims.samples import Edit, drop, edited, load, loaded, mistakes, put, write

CRITERION = ("criteria", 0)

# edit, key, a part of what was found, a part of what is allowed
WRONG: dict[str, tuple[Edit, str, str, str]] = {
    "unknown kind": (
        put(*CRITERION, "kind", value="best_ram"),
        "criteria.best.kind",
        "best_ram",
        "best_arm",
    ),
    "unknown parameter": (
        put(*CRITERION, "params", "margn", value=1),
        "criteria.best",
        "'margn' (nearest: 'margin'",
        "parameters",
    ),
    "parameter of the wrong type": (
        put(*CRITERION, "params", "margin", value="wide"),
        "criteria.best",
        "margin must be float",
        "parameters",
    ),
    "negative margin": (
        put(*CRITERION, "params", "margin", value=-0.1),
        "criteria.best",
        "margin must be 0 or more",
        "parameters",
    ),
    "missing parameter": (
        drop(*CRITERION, "params", "expected"),
        "criteria.best",
        "missing parameter 'expected'",
        "parameters",
    ),
    "arms that match nothing": (
        put(*CRITERION, "arms", value=["lr=*", "batch*"]),
        "criteria.best.arms",
        "'batch*'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "no measure": (drop(*CRITERION, "measure"), "criteria.best.measure", "nothing", "a measure"),
    "accuracy of the minibatches": (
        put(*CRITERION, "measure", "split", value="train"),
        "criteria.best.measure.split",
        "'train'",
        "validation",
    ),
    "unknown metric": (
        put(*CRITERION, "measure", "metric", value="acuracy"),
        "criteria.best.measure.metric",
        "'acuracy'",
        "accuracy",
    ),
    "split that is not evaluated": (
        put(*CRITERION, "measure", "split", value="test"),
        "criteria.best.measure.split",
        "'test'",
        "validation",
    ),
    "a curve where one number is wanted": (
        put(*CRITERION, "measure", value={"metric": "accuracy", "reduce": "curve"}),
        "criteria.best.measure.reduce",
        "curve, for best_arm",
        "one number a seed",
    ),
    "one number where a curve is wanted": (
        put(
            *CRITERION,
            value={
                "id": "best",
                "kind": "overtakes",
                "measure": {"metric": "accuracy"},
                "params": {"leader": "lr=0.2", "chaser": "lr=0.5", "by": 2},
            },
        ),
        "criteria.best.measure.reduce",
        "final, for overtakes",
        "curve",
    ),
    "mean of the last of nothing": (
        drop(*CRITERION, "measure", "epochs"),
        "criteria.best.measure.epochs",
        "None",
        "a number",
    ),
    "at a number instead of a list": (
        put(*CRITERION, "measure", "reduce", value="at"),
        "criteria.best.measure.epochs",
        "2",
        "a list",
    ),
    "after the end": (
        put(*CRITERION, "measure", value={"metric": "loss", "reduce": "mean_at", "epochs": [1, 5]}),
        "criteria.best.measure.epochs",
        "5",
        "at most 4",
    ),
    "between two evaluations": (
        put(*CRITERION, "measure", value={"metric": "loss", "reduce": "at", "epochs": [2.5]}),
        "criteria.best.measure.epochs",
        "2.5",
        "the epoch of an evaluation (the nearest is 2)",
    ),
    "an epoch that is left out": (
        lambda c: (
            c["train"].update(evaluate_every=3),
            c["criteria"][0].update(
                measure={"metric": "loss", "reduce": "mean_at", "epochs": [3, 2, 4]}
            ),
        ),
        "criteria.best.measure.epochs",
        "2",
        "the epoch of an evaluation (the nearest is 3)",
    ),
    "a mean over times that runs do not share": (
        put("train", "stop_at", value={"at_most": 0.1}),
        "criteria.best.measure.reduce",
        "mean_last of runs that end",
        "final, largest, smallest, first, onset",
    ),
    "first of no limit": (
        put(*CRITERION, "measure", value={"metric": "loss", "reduce": "first", "otherwise": 9}),
        "criteria.best.measure",
        "not one limit",
        "at_most or at_least",
    ),
    "first of two limits": (
        put(
            *CRITERION,
            "measure",
            value={
                "metric": "loss",
                "reduce": "first",
                "otherwise": 9,
                "at_most": 1,
                "at_least": 1,
            },
        ),
        "criteria.best.measure",
        "not one limit",
        "at_most or at_least",
    ),
    "nothing for runs that never get there": (
        put(*CRITERION, "measure", value={"metric": "loss", "reduce": "first", "at_most": 1}),
        "criteria.best.measure.otherwise",
        "nothing",
        "a number",
    ),
    "no rate where nothing rises": (
        put(*CRITERION, "measure", value={"metric": "loss", "reduce": "onset"}),
        "criteria.best.measure.otherwise",
        "nothing",
        "a number",
    ),
    "onset of an accuracy": (
        put(*CRITERION, "measure", value={"metric": "accuracy", "reduce": "onset", "otherwise": 1}),
        "criteria.best.measure.metric",
        "accuracy",
        "loss",
    ),
    "first of a count": (
        put(
            *CRITERION,
            "measure",
            value={"metric": "steps", "reduce": "first", "at_least": 9, "otherwise": 1},
        ),
        "criteria.best.measure.metric",
        "steps with reduce first",
        "loss",
    ),
    "a limit that nothing waits for": (
        put(*CRITERION, "measure", value={"metric": "loss", "at_most": 1}),
        "criteria.best.measure.at_most",
        "with reduce final",
        "reduce: first",
    ),
    "a rise that nothing waits for": (
        put(
            *CRITERION,
            "measure",
            value={"metric": "loss", "reduce": "first", "at_most": 1, "otherwise": 1, "rise": 2},
        ),
        "criteria.best.measure.rise",
        "with reduce first",
        "reduce: onset",
    ),
    "time of runs without a clock": (
        put(*CRITERION, "measure", value={"metric": "seconds", "split": "train"}),
        "criteria.best.measure",
        "not timed",
        "timed: true",
    ),
    "time to a target without a clock": (
        put(
            *CRITERION,
            "measure",
            value={
                "metric": "loss",
                "reduce": "first",
                "at_most": 1,
                "otherwise": 9,
                "of": "seconds",
            },
        ),
        "criteria.best.measure",
        "not timed",
        "timed: true",
    ),
    "spread of losses where there are no minibatches": (
        put(*CRITERION, "measure", value={"metric": "loss_sd"}),
        "criteria.best.measure.split",
        "'validation'",
        "train",
    ),
    "nothing that decides": (
        put(*CRITERION, "role", value="reading"),
        "criteria",
        "no role claim",
        "at least one",
    ),
    "unknown figure": (put("figure", "kind", value="curve"), "figure.kind", "'curve'", "curves"),
    "unknown parameter of a figure": (
        put("figure", "params", "highlite", value="x"),
        "figure.params.highlite",
        "'highlite'",
        "highlight",
    ),
    "highlighted arm that there is not": (
        put("figure", "params", "highlight", value="lr=0.55"),
        "figure.params.highlight",
        "'lr=0.55'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "panel whose pattern matches no arm": (
        put("figure", "params", value={"panels": {"small": ["lr=0.2", "lr=0.3*"], "all": ["*"]}}),
        "figure.params.panels",
        "'lr=0.3*'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "pattern where a figure takes one arm": (
        put(
            "figure",
            value={"kind": "difference", "params": {"treatment": "lr=0.[58]", "control": "lr=0.2"}},
        ),
        "figure.params.treatment",
        "'lr=0.[58]'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "arms of a figure that there are not": (
        put("figure", value={"kind": "counts", "params": {"arms": ["batch_size=*"]}}),
        "figure.params.arms",
        "'batch_size=*'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "arm whose place on an axis is given, but there is none": (
        put("figure", value={"kind": "sweep", "params": {"x": {"lr=0.2": 1, "lr=0.3": 2}}}),
        "figure.params.x",
        "'lr=0.3'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "quantity of a figure that is not derived": (
        put("figure", value={"kind": "sweep", "params": {"derived": {"a line": {"lr=0.2": 1}}}}),
        "figure.params.derived",
        "'lr=0.2'",
        "nothing",
    ),
    "row that a figure compares with, but there is none": (
        put("figure", value={"kind": "bars", "params": {"ratio_to": "lr=0.*"}}),
        "figure.params.ratio_to",
        "'lr=0.*'",
        "lr=0.2, lr=0.5, lr=0.8",
    ),
    "condition of a figure on what is not derived": (
        put(
            "figure",
            value={"kind": "trajectories", "params": {"classes": {"low": {"drop": [None, 1]}}}},
        ),
        "figure.params.classes",
        "'drop'",
        "nothing",
    ),
    "criterion that a figure looks at, but there is none": (
        put("figure", value={"kind": "regimes", "params": {"criterion": "bset"}}),
        "figure.params.criterion",
        "'bset'",
        "best",
    ),
    "measure of a figure that runs do not have": (
        put("figure", value={"kind": "bars", "params": {"measures": [{"metric": "accurcy"}]}}),
        "figure.params.measures.0.metric",
        "'accurcy'",
        "accuracy",
    ),
    "parameter of a figure of the wrong type": (
        put("figure", "params", "highlight", value=3),
        "figure.params.highlight",
        "3",
        "string",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_before_training(name: str, tmp_path: Path) -> None:
    edit, key, found, allowed = WRONG[name]
    (problem,) = mistakes(tmp_path, edit)
    assert problem.key == key
    assert found in problem.found
    assert allowed in problem.allowed


def test_an_arm_that_no_run_produces_is_named_with_the_nearest(tmp_path: Path) -> None:
    problems = mistakes(tmp_path, put(*CRITERION, "params", "expected", value="lr=0.55"))
    assert problems[0].key == "criteria.best"
    assert "unknown arm 'lr=0.55' (nearest: 'lr=0.5'" in problems[0].found


def test_a_figure_without_a_required_parameter_is_refused(tmp_path: Path) -> None:
    problems = mistakes(tmp_path, put("figure", value={"kind": "difference"}))
    assert [(p.key, p.found) for p in problems] == [
        ("figure.params.treatment", "nothing"),
        ("figure.params.control", "nothing"),
    ]


def test_ids_of_criteria_are_unique(tmp_path: Path) -> None:
    content = edited()
    content["criteria"].append(content["criteria"][0])
    write(tmp_path, {"me/one": content})
    (problem,) = mistakes(tmp_path, lambda c: c.update(content))
    assert (problem.key, problem.found) == ("criteria.best", "the id twice")


def test_a_profile_that_judges_nothing_does_not_ask_for_what_its_short_runs_lack(
    tmp_path: Path,
) -> None:
    assert loaded(tmp_path, profile="smoke").arms[0].runs[0].epochs == 1


def test_arms_are_selected_by_name_and_pattern_in_the_claims_order(tmp_path: Path) -> None:
    def chosen(*arms: str) -> list[str]:
        edits = [put(*CRITERION, "arms", value=list(arms)), drop(*CRITERION, "order_by")]
        edits.append(put(*CRITERION, "params", "expected", value="lr=0.5"))
        claim = loaded(tmp_path, *edits)
        return selected_arms(claim, claim.spec.criteria[0])

    assert chosen() == ["lr=0.2", "lr=0.5", "lr=0.8"]
    assert chosen("lr=0.8", "lr=0.5") == ["lr=0.5", "lr=0.8"]
    assert chosen("lr=0.[58]") == ["lr=0.5", "lr=0.8"]


def test_parameters_that_hang_on_the_arms_are_filled_in(tmp_path: Path) -> None:
    rates = (0.5, 0.1, 0.02)
    grid = {"batch_size": [64, 8], "lr": list(rates)}
    claim = loaded(
        tmp_path,
        put("grid", value=grid),
        put(
            *CRITERION,
            value={
                "id": "slope",
                "kind": "slope",
                "measure": {"metric": "accuracy"},
                "by_arm": {"x": "batch_size", "choice": "lr"},
                "params": {"margin": 0.0},
            },
        ),
        drop("figure", "params", "highlight"),
        profile="smoke",
    )
    assert criterion_params(claim, claim.spec.criteria[0]) == {
        "margin": 0.0,
        "x": {f"batch_size={b} lr={r}": b for b in (64, 8) for r in rates},
        "choice": {f"batch_size={b} lr={r}": r for b in (64, 8) for r in rates},
    }


def test_order_by_sorts_the_arms_by_number_not_by_name(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        put("grid", "lr", value=[10, 0.5, 2, 0.1]),
        put("figure", "params", value={}),
    )
    params = criterion_params(claim, claim.spec.criteria[0])
    assert params["order"] == ["lr=0.1", "lr=0.5", "lr=2", "lr=10"]


def test_what_hangs_on_unknown_arms_is_not_checked(tmp_path: Path) -> None:
    ordered: dict[str, Any] = {
        "id": "ordered",
        "kind": "ordered",
        "measure": {"metric": "accuracy"},
        "order_by": "lr",
    }
    content = edited()
    content["criteria"].append(ordered)
    (claim,) = load(write(tmp_path, {"me/one": content}))
    assert check_claim(without_arms(claim)) == []


def test_the_loss_of_the_minibatches_can_be_measured(tmp_path: Path) -> None:
    def of_training(content: dict[str, Any]) -> None:
        content["criteria"][0]["measure"] |= {"metric": "loss", "split": "train"}
        content["criteria"][0]["params"]["larger_is_better"] = False

    assert check_claim(loaded(tmp_path, of_training)) == []


@pytest.mark.parametrize(
    ("measure", "train"),
    [
        ({"metric": "loss", "reduce": "first", "at_most": 0.5, "otherwise": 99}, {}),
        (
            {
                "metric": "accuracy",
                "reduce": "first",
                "at_least": 0.9,
                "otherwise": 1e9,
                "of": "examples",
            },
            {"stop_at": {"metric": "accuracy", "at_least": 0.9}},
        ),
        (
            {
                "metric": "loss",
                "split": "training_set",
                "reduce": "onset",
                "rise": 1.2,
                "from_epoch": 1,
                "otherwise": 2,
            },
            {"evaluate_on": ["training_set"]},
        ),
        ({"metric": "loss_sd", "split": "train", "reduce": "mean_last", "epochs": 2}, {}),
        ({"metric": "seconds", "split": "train"}, {"timed": True}),
    ],
    ids=str,
)
def test_what_runs_will_have_can_be_measured(
    measure: dict[str, object], train: dict[str, object], tmp_path: Path
) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["train"].update(train)
        content["criteria"][0]["measure"] = measure

    assert loaded(tmp_path, edit).spec.criteria[0].measure is not None


@pytest.mark.parametrize("place", ["order_by", "by_arm.x"])
def test_a_criterion_cannot_ask_an_arm_for_a_setting_of_another_optimizer(
    place: str, tmp_path: Path
) -> None:
    word, _, parameter = place.partition(".")
    (problem,) = mistakes(
        tmp_path,
        put("train", "optimizer", value="adam"),
        drop(*CRITERION, "order_by"),
        put(*CRITERION, word, value={parameter: "momentum"} if parameter else "momentum"),
    )
    assert problem.key.endswith(f".{place}")
    assert problem.found == "momentum, which adam of arm 'lr=0.2' lacks"
