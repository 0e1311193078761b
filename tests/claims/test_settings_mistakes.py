"""Settings that are sound one by one and make no run together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.claims import ConfigError
from tests.claims.samples import Edit, drop, edited, keys, load, mistakes, put, write

LINEAR = {"kind": "linear", "out_features": 10}
FLAT = {"kind": "flatten"}
STEP = {"kind": "step", "factor": 1, "every": 5}
RANGE_TEST = {
    "kind": "range_test",
    "segments": [{"start": 0.1, "stop": 1, "step": 0.1, "epochs": 1}],
}
SHORT_TEST = {
    "kind": "range_test",
    "segments": [{"start": 0.1, "stop": 0.4, "step": 0.1, "epochs": 1}],
}
PLATEAU = {"kind": "plateau", "metric": "accuracy", "mode": "max"}


def layers(*items: dict[str, Any]) -> Edit:
    return put("train", "model", value={"layers": list(items)})


# edit, key, a part of what was found, a word that is allowed, nearest match
WRONG: dict[str, tuple[Edit, str, str, str, str]] = {
    "unknown task": (
        put("train", "task", value="mnits"),
        "train.task",
        "'mnits'",
        "mnist",
        "mnist",
    ),
    "unknown model": (put("train", "model", value="aee"), "train.model", "'aee'", "cn", "ae"),
    "no file name": (put("train", "model", value="a" * 400), "train.model", "aaa", "cn", ""),
    "unknown optimizer": (
        put("train", "optimizer", value="sdg"),
        "train.optimizer",
        "'sdg'",
        "momentum",
        "sgd",
    ),
    "unknown schedule": (
        put("train", "schedule", value="constnt"),
        "train.schedule",
        "'constnt'",
        "constant",
        "constant",
    ),
    "range test with a base LR": (
        put("arms", value={"test": {"lr": 0.5, "schedule": SHORT_TEST}}),
        "arm 'test'.lr",
        "0.5 with schedule range_test",
        "1.0",
        "",
    ),
    "range test that does not end": (
        put("arms", value={"test": {"lr": 1.0, "schedule": RANGE_TEST}}),
        "arm 'test'.epochs",
        "4 epochs for 10 LRs",
        "10 epochs",
        "",
    ),
    "plateau of a split that is not evaluated": (
        put("train", "schedule", value={**PLATEAU, "split": "test"}),
        "train.schedule.split",
        "accuracy of test",
        "validation",
        "",
    ),
    "plateau of an accuracy in training": (
        put("train", "schedule", value={**PLATEAU, "split": "train"}),
        "train.schedule.metric",
        "accuracy of train",
        "loss of train",
        "",
    ),
    "epochs that do not add up": (
        put("train", "batches", value=[[1, 64], [2, 128]]),
        "train.batches",
        "3 epochs",
        "4 epochs",
        "",
    ),
    "value twice": (put("grid", "lr", value=[0.5, 0.2, 0.5]), "grid", "lr=0.5 twice", "once", ""),
    "value twice, spelt twice": (put("grid", "lr", value=[1, 1.0]), "grid", "lr=1.0", "once", ""),
    "empty axis": (put("grid", "lr", value=[]), "grid.lr", "an empty list", "at least one", ""),
    "unknown axis": (put("grid", "lrs", value=[1]), "grid.lrs", "'lrs'", "momentum", "lr"),
    "bad value on an axis": (
        put("grid", "lr", value=[0.5, -1]),
        "grid lr=-1.lr",
        "-1",
        "greater than 0",
        "",
    ),
    "arm named as the grid names one": (
        put("arms", value={"lr=0.5": {"lr": 0.7}}),
        "arms.lr=0.5",
        "a name of the grid",
        "another name",
        "",
    ),
    "layers that do not fit": (
        layers({"kind": "linear", "out_features": 10}),
        "train.model",
        "layer 0 (linear): needs features, got (1, 28, 28)",
        "layers that fit",
        "",
    ),
    "kernel larger than image": (
        layers({"kind": "conv2d", "out_channels": 2, "kernel_size": 29}, FLAT, LINEAR),
        "train.model",
        "kernel 29 is larger",
        "layers that fit",
        "",
    ),
    "wrong number of classes": (
        layers(FLAT, {"kind": "linear", "out_features": 9}),
        "train.model",
        "output (9,)",
        "(10,)",
        "",
    ),
    "drop_last of everything": (
        lambda c: c["train"].update(batch_size=1001, drop_last=True),
        "train.batch_size",
        "1001 with drop_last",
        "at most 1000",
        "",
    ),
    "batch norm of one example": (
        lambda c: c["train"].update(model="ra", batch_size=333),
        "train.batch_size",
        "one example with batch normalisation",
        "drop_last",
        "",
    ),
    "batch norm at batch size 1": (
        lambda c: c["train"].update(model="ra", batch_size=1, drop_last=True),
        "train.batch_size",
        "one example with batch normalisation",
        "another size",
        "",
    ),
    "nesterov without momentum": (
        put("train", "nesterov", value=True),
        "train.nesterov",
        "momentum 0",
        "above 0",
        "",
    ),
    "momentum with Adam": (
        lambda c: c["train"].update(optimizer="adam", momentum=0.9),
        "train.momentum",
        "momentum, a setting of sgd, with adam",
        "lr, beta1, beta2, weight_decay",
        "",
    ),
    "beta1 with Adagrad": (
        lambda c: c["train"].update(optimizer="adagrad", beta1=0.9),
        "train.beta1",
        "beta1, a setting of adam, with adagrad",
        "lr, weight_decay",
        "",
    ),
    "beta2 without Adam": (
        put("train", "beta2", value=0.9),
        "train.beta2",
        "beta2, a setting of adam, with sgd",
        "momentum, nesterov",
        "",
    ),
    "beta2 of 1": (
        lambda c: c["train"].update(optimizer="adam", beta2=1.0),
        "train.beta2",
        "1.0",
        "less than 1",
        "",
    ),
    "an optimizer of no known kind": (
        put("train", "optimizer", value={"kind": "adamw"}),
        "train.optimizer.kind",
        "adamw",
        "sgd, adam, adagrad",
        "adam",
    ),
    "an eps that is none": (
        put("train", "optimizer", value={"kind": "adam", "eps": 0.0}),
        "train.optimizer.eps",
        "0.0",
        "greater than or equal",
        "",
    ),
    "more examples than there are": (
        put("train", "train_size", value=59_801),
        "train.train_size",
        "59801 + validation_size 200",
        "60000",
        "",
    ),
    "validation on nothing": (
        put("train", "validation_size", value=0),
        "every arm.evaluate_on",
        "validation_size 0",
        "test",
        "",
    ),
    "two ways of saying how long": (
        put("train", "updates", value=100),
        "train.updates",
        "epochs too",
        "one of the two",
        "",
    ),
    "evaluated more and less often than every epoch": (
        lambda c: c["train"].update(evaluate_every=2, evaluations_per_epoch=2),
        "train.evaluate_every",
        "2, and evaluations_per_epoch",
        "one of the two",
        "",
    ),
    "a target without a limit": (
        put("train", "stop_at", value={"metric": "loss"}),
        "train.stop_at",
        "not one limit",
        "at_most or at_least",
        "",
    ),
    "a target with two limits": (
        put("train", "stop_at", value={"at_most": 1, "at_least": 0}),
        "train.stop_at",
        "not one limit",
        "at_most or at_least",
        "",
    ),
    "a target that is not looked at": (
        put("train", "stop_at", value={"at_most": 1.0, "split": "test"}),
        "train.stop_at.split",
        "test",
        "validation",
        "",
    ),
    "a target of an unknown metric": (
        put("train", "stop_at", value={"at_most": 1.0, "metric": "acuracy"}),
        "train.stop_at.metric",
        "'acuracy'",
        "accuracy",
        "accuracy",
    ),
    "an unknown order": (
        put("train", "order", value="fixd"),
        "train.order",
        "'fixd'",
        "stratified",
        "fixed",
    ),
    "classes of a curve": (
        lambda c: c["train"].update(
            task="curve", model="r1", order="stratified", train_size=900, validation_size=100
        ),
        "train.order",
        "curve has no classes",
        "shuffled",
        "",
    ),
    "accuracy of a curve as a target": (
        lambda c: c["train"].update(
            task="curve",
            model="r1",
            stop_at={"metric": "accuracy", "at_least": 0.5},
            train_size=900,
            validation_size=100,
        ),
        "train.stop_at.metric",
        "accuracy of real numbers",
        "loss",
        "",
    ),
    "a split twice": (
        put("train", "evaluate_on", value=["test", "test"]),
        "train.evaluate_on",
        "a split twice",
        "once",
        "",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_with_its_key_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    edit, key, found, allowed, nearest = WRONG[name]
    (problem,) = mistakes(tmp_path, edit)
    assert problem.file.endswith("claim/me/one.yaml")
    assert problem.key == key
    assert found in problem.found
    assert allowed in problem.allowed
    assert problem.nearest == nearest
    for part in (problem.file, key, found, allowed, nearest):
        assert part in str(problem)


@pytest.mark.parametrize("name", ["task", "model", "batch_size", "epochs"])
def test_a_run_cannot_be_without_a_needed_setting(name: str, tmp_path: Path) -> None:
    (problem,) = mistakes(tmp_path, drop("train", name))
    assert problem.key == "every arm"
    assert problem.found == f"no {name}"


def test_a_claim_without_anything_to_run_is_refused(tmp_path: Path) -> None:
    (problem,) = mistakes(tmp_path, drop("grid"))
    assert problem.found == "no grid, arms or calculations"


def test_a_mistake_in_one_arm_names_that_arm(tmp_path: Path) -> None:
    problems = mistakes(
        tmp_path, put("arms", value={"good": {"lr": 0.1}, "bad": {"lr": 0.1, "model": "aee"}})
    )
    assert keys(problems) == ["arm 'bad'.model"]


def test_a_mistake_in_a_group_file_names_that_file_once(tmp_path: Path) -> None:
    model = tmp_path / "model" / "mine.yaml"
    model.parent.mkdir()
    model.write_text("layers: [{kind: flatten}, {kind: linear, out_featurs: 10}]")
    optimizer = tmp_path / "optimizer" / "listed.yaml"
    optimizer.parent.mkdir()
    optimizer.write_text("- kind: sgd")
    content = edited(put("train", "model", value="mine"), put("train", "optimizer", value="listed"))
    write(tmp_path, {"me/one": content, "me/two": content})
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    told = [(Path(p.file).name, p.key, p.nearest) for p in caught.value.problems]
    assert told == [
        ("mine.yaml", "layers.1.out_features", ""),
        ("mine.yaml", "layers.1.out_featurs", "out_features"),
        ("listed.yaml", "", ""),
    ]


def test_mappings_of_a_grid_are_told_apart_by_what_they_say(tmp_path: Path) -> None:
    values = [STEP, {**STEP, "factor": 1.0}, {**STEP, "every": 6}]
    told = [str(p) for p in mistakes(tmp_path, put("grid", "schedule", value=values))]
    # Once for each of the three rates.
    assert sum("twice" in text for text in told) == 3
    assert all("1.0" in text for text in told if "twice" in text)
