"""Every kind of mistake is told with file, key, what was found, what is allowed, nearest match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.claims import ConfigError
from tests.claims.samples import Edit, drop, edited, load, mistakes, put, write

LINEAR = {"kind": "linear", "out_features": 10}
FLAT = {"kind": "flatten"}
MODEL = ("train", "model")


def layers(*items: dict[str, Any]) -> Edit:
    return put("train", "model", value={"layers": list(items)})


# edit, key, a part of what was found, a word that is allowed, nearest match
WRONG: dict[str, tuple[Edit, str, str, str, str]] = {
    "unknown key": (put("titel", value="x"), "titel", "'titel'", "title", "title"),
    "unknown setting": (
        put("train", "batchsize", value=8),
        "train.batchsize",
        "'batchsize'",
        "batch_size",
        "batch_size",
    ),
    "unknown key of a criterion": (
        put("criteria", 0, "meazure", value={}),
        "criteria.0.meazure",
        "'meazure'",
        "measure",
        "measure",
    ),
    "unknown key of a measure": (
        put("criteria", 0, "measure", "metrics", value="loss"),
        "criteria.0.measure.metrics",
        "'metrics'",
        "metric",
        "metric",
    ),
    "unknown key of an arm": (
        put("arms", value={"a": {"lrate": 0.1}}),
        "arms.a.lrate",
        "'lrate'",
        "lr",
        "lr",
    ),
    "unknown key of a patch": (
        put("profiles", value={"quick": {"train": {"epocs": 3}}}),
        "profiles.quick.train.epocs",
        "'epocs'",
        "epochs",
        "epochs",
    ),
    "unknown key of a layer": (
        layers(FLAT, {**LINEAR, "biass": True}),
        "train.model.layers.1.biass",
        "'biass'",
        "bias",
        "bias",
    ),
    "unknown key of a schedule": (
        put(
            "train", "schedule", value={"kind": "step", "factor": 0.9, "every": 5, "units": "step"}
        ),
        "train.schedule.units",
        "'units'",
        "unit",
        "unit",
    ),
    "text for a number": (put("train", "lr", value="0.5"), "train.lr", "'0.5'", "number", ""),
    "truth for a number": (put("train", "lr", value=True), "train.lr", "True", "number", ""),
    "part of an epoch": (put("train", "epochs", value=1.5), "train.epochs", "1.5", "integer", ""),
    "number for a name": (put(*MODEL, value=3), "train.model", "3", "a mapping", ""),
    "number for a list": (put("grid", "lr", value=0.5), "grid.lr", "0.5", "a list", ""),
    "negative rate": (put("train", "lr", value=-1), "train.lr", "-1", "greater than 0", ""),
    "empty batch": (put("train", "batch_size", value=0), "train.batch_size", "0", "equal to 1", ""),
    "momentum 1": (put("train", "momentum", value=1.0), "train.momentum", "1.0", "than 1", ""),
    "no phases": (put("train", "batches", value=[]), "train.batches", "[]", "at least 1", ""),
    "half a phase": (
        put("train", "batches", value=[[4]]),
        "train.batches.0.1",
        "nothing",
        "required",
        "",
    ),
    "no seeds": (put("seeds", value=0), "seeds", "0", "equal to 1", ""),
    "not a number": (
        put("criteria", 0, "params", "margin", value=float("nan")),
        "criteria.0.params.margin",
        "nan",
        "a finite number",
        "",
    ),
    "endless": (put("train", "lr", value=float("inf")), "train.lr", "inf", "a finite number", ""),
    "word that is none": (put("cost", value="x"), "cost", "'x'", "s, m, G", ""),
    "unknown role": (
        put("criteria", 0, "role", value="claims"),
        "criteria.0.role",
        "'claims'",
        "control",
        "claim",
    ),
    "unknown kind of schedule": (
        put("train", "schedule", value={"kind": "stepp", "factor": 0.9, "every": 5}),
        "train.schedule.kind",
        "'stepp'",
        "multistep",
        "step",
    ),
    "unknown kind of layer": (
        layers(FLAT, {"kind": "liner", "out_features": 10}),
        "train.model.layers.1.kind",
        "'liner'",
        "conv2d",
        "linear",
    ),
    "layer without kind": (
        layers({"out_features": 10}),
        "train.model.layers.0",
        "out_features",
        "a mapping with a kind",
        "",
    ),
    "unknown profile": (
        put("profiles", value={"quik": {}}),
        "profiles",
        "'quik'",
        "standard",
        "quick",
    ),
    "unknown calculation": (
        put("calculations", value={"a": {"kind": "schedule_value"}}),
        "calculations.a.kind",
        "'schedule_value'",
        "recursive_step_decay",
        "schedule_values",
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


@pytest.mark.parametrize(
    "key", ["title", "statement", "place", "source_says", "cost", "criteria", "figure"]
)
def test_a_required_key_cannot_be_missing(key: str, tmp_path: Path) -> None:
    (problem,) = mistakes(tmp_path, drop(key))
    assert (problem.key, problem.found) == (key, "nothing")
    assert "required" in problem.allowed


def test_all_mistakes_of_all_claims_are_told_together(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "me/one": edited(
                put("titel", value="x"),
                put("cost", value="x"),
                put("criteria", 0, "kind", value="best"),
                put("figure", "kind", value="curve"),
            ),
            "me/two": edited(
                put("train", "model", value="aee"),
                put("train", "task", value="mnits"),
                put("profiles", value={"quik": {}}),
                put("criteria", 0, "params", "margn", value=1),
                put("figure", "params", "highlite", value=1),
            ),
            "me/three": "a: [1",
            "me/four": edited(put("criteria", 0, "params", "expected", value="lr=0.6")),
        },
    )
    with pytest.raises(ConfigError) as caught:
        load(root)
    told = {(Path(p.file).stem, p.key) for p in caught.value.problems}
    assert told == {
        ("one", "titel"),
        ("one", "cost"),
        ("one", "criteria.best.kind"),
        ("one", "figure.kind"),
        ("two", "train.model"),
        ("two", "train.task"),
        ("two", "profiles"),
        ("two", "criteria.best"),
        ("two", "figure.params.highlite"),
        ("three", ""),
        ("four", "criteria.best"),
    }
    assert str(caught.value).startswith(f"{len(caught.value.problems)} mistakes in")
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)


BROKEN: dict[str, str | bytes] = {
    "unclosed list": "a: [1",
    "key twice": "title: a\ntitle: b",
    "a list": "- a\n- b",
    "a number": "3",
    "a word": "hello",
    "empty": "",
    "null": "null",
    "not UTF-8": b"title: \xff\xfe",
    "latin-1": "title: Größe".encode("latin-1"),
    "a control character": b"title: a\x00b",
    "an object": "title: !!python/object:os.system {}",
    "a list as a key": "? [a]\n: b",
    "null as a key": "? ~\n: b",
    "not a number as a key": ".nan: b",
    "binary": "title: !!binary aGVsbG8=",
    "an unknown reference": "title: ${nowhere}",
    "an endless list": "title: &a [*a]",
    "too deep": "[" * 3000,
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_a_broken_file_is_a_mistake_never_a_traceback(
    name: str, profile: str, tmp_path: Path
) -> None:
    write(tmp_path, {"me/one": BROKEN[name]})
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, profile)
    assert all(p.file.endswith("claim/me/one.yaml") for p in caught.value.problems)


def test_a_folder_that_looks_like_a_claim_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "claim" / "me" / "one.yaml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="readable YAML"):
        load(tmp_path)


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_a_wrong_type_in_an_inline_task_is_a_mistake_under_every_profile(
    profile: str, tmp_path: Path
) -> None:
    task = {"data": "mnist", "train_size": 600, "validation_size": "5000"}
    edits = (put("train", "task", value=task), drop("train", "validation_size"))
    (problem,) = mistakes(tmp_path, *edits, profile=profile)
    assert problem.key == "train.task.validation_size"
