"""Probes in claim files: resolved, checked, and named by measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.claims.check import check_claim
from bench_lr.claims.load import without_arms
from bench_lr.overrides import Overrides
from bench_lr.probes import Curvature, DisplacementSketch, GradientNoise
from bench_lr.schema import EvaluationConfig
from tests.claims.samples import Edit, loaded, mistakes, put

NOISE: dict[str, Any] = {"kind": "gradient_noise", "batch_sizes": [8, 128], "at": [0, 2]}
SKETCH: dict[str, Any] = {"kind": "displacement_sketch"}
CURVATURE: dict[str, Any] = {"kind": "curvature"}


def probes(*content: dict[str, Any]) -> Edit:
    return put("train", "probes", value=list(content))


def measuring(**changes: Any) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        measure = {"metric": "gradient_variance_8", "split": "train", **changes}
        content["criteria"][0]["measure"] = measure
        content["criteria"][0]["params"]["larger_is_better"] = False

    return edit


def points(content: dict[str, Any]) -> None:
    content["train"] |= {"task": "curve", "model": "r1", "train_size": 900, "validation_size": 100}


def test_probes_become_part_of_the_run(tmp_path: Path) -> None:
    claim = loaded(tmp_path, points, probes(NOISE, CURVATURE, SKETCH), measuring())
    expected = (GradientNoise((8, 128), at=(0, 2)), Curvature(), DisplacementSketch(256))
    assert {arm.runs[0].evaluation.probes for arm in claim.arms} == {expected}


def test_a_claim_without_probes_has_none(tmp_path: Path) -> None:
    claim = loaded(tmp_path)
    assert claim.arms[0].runs[0].evaluation == EvaluationConfig(probes=())


def test_a_profile_can_leave_probes_out(tmp_path: Path) -> None:
    without = put("profiles", value={"quick": {"why": "-", "train": {"probes": []}}})
    claim = loaded(tmp_path, probes(NOISE), without)
    assert claim.arms[0].runs[0].evaluation.probes == ()


def test_probes_can_be_given_on_the_command_line(tmp_path: Path) -> None:
    given = Overrides.parse(["probes=[{kind: displacement_sketch, size: 16, at: [0]}]"])
    claim = loaded(tmp_path, override=given.setting)
    assert claim.arms[0].runs[0].evaluation.probes == (DisplacementSketch(16, at=(0,)),)


WRONG: dict[str, tuple[list[Edit], str, str, str]] = {
    "unknown kind": (
        [probes({"kind": "curvatur"})],
        "train.probes.0.kind",
        "curvatur",
        "curvature",
    ),
    "unknown key": (
        [probes({**SKETCH, "sizes": 3})],
        "train.probes.0.sizes",
        "unknown key 'sizes'",
        "size",
    ),
    "batch of nothing": (
        [probes({**NOISE, "batch_sizes": [0]})],
        "train.probes.0.batch_sizes.0",
        "0",
        "greater than or equal to 1",
    ),
    "a kind twice": ([probes(SKETCH, SKETCH)], "train.probes.1.kind", "twice", "each kind once"),
    "a batch size twice": (
        [probes({**NOISE, "batch_sizes": [8, 8]})],
        "train.probes.0.batch_sizes",
        "twice",
        "each once",
    ),
    "an epoch without evaluation": (
        [probes({**SKETCH, "at": [0, 1.5]})],
        "train.probes.0.at",
        "1.5",
        "an evaluation (the nearest is 1)",
    ),
    "an epoch behind the end": (
        [probes({**SKETCH, "at": [9]})],
        "train.probes.0.at",
        "9",
        "the nearest is 4",
    ),
    "an epoch that evaluate_every leaves out": (
        [probes({**SKETCH, "at": [3]}), put("train", "evaluate_every", value=2)],
        "train.probes.0.at",
        "3",
        "the nearest is 2",
    ),
    "noise of a convolution": (
        [probes(NOISE), put("train", "model", value="cn")],
        "train.probes.0",
        "gradient_noise with conv2d, dropout, max_pool2d",
        "flatten, linear, relu, sigmoid, tanh",
    ),
    "curvature with batch normalisation": (
        [probes(CURVATURE), put("train", "model", value="ra")],
        "train.probes.0",
        "curvature with batch_norm, dropout",
        "without batch_norm",
    ),
    "curvature of a large network": (
        [probes(CURVATURE)],
        "train.probes.0",
        "curvature of 51450 weights",
        "at most 2000",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_probes_is_told_with_file_and_key(name: str, tmp_path: Path) -> None:
    edits, key, found, allowed = WRONG[name]
    problems = mistakes(tmp_path, *edits)
    told = [p for p in problems if p.key == key]
    assert told, problems
    assert found in told[0].found
    assert allowed in told[0].allowed
    assert told[0].file.endswith("one.yaml")


def test_shortened_runs_may_lack_epochs_of_probes(tmp_path: Path) -> None:
    claim = loaded(tmp_path, probes({**SKETCH, "at": [0, 4]}), profile="smoke")
    assert claim.arms[0].runs[0].epochs < 4


MEASURES: dict[str, tuple[Edit, str, str, str]] = {
    "a batch size that is not measured": (
        measuring(metric="gradient_variance_9"),
        "metric",
        "gradient_variance_9",
        "gradient_variance_8",
    ),
    "a misspelt metric": (
        measuring(metric="displacment_norm"),
        "metric",
        "displacment_norm",
        "displacement_000, displacement_255, displacement_norm",
    ),
    "another split": (measuring(split="validation"), "split", "validation", "train"),
    "another epoch": (measuring(reduce="at", epochs=[1]), "epochs", "1", "0, 2, the probe's"),
}


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_of_what_no_probe_measures_is_told(name: str, tmp_path: Path) -> None:
    edit, key, found, allowed = MEASURES[name]
    (problem,) = mistakes(tmp_path, probes(NOISE, SKETCH), edit)
    assert problem.key == f"criteria.best.measure.{key}"
    assert found in problem.found
    assert allowed in problem.allowed
    assert len(problem.allowed) < 500
    if key == "metric":
        nearest = {"gradient_variance_9": "gradient_variance_8"}
        assert problem.nearest == nearest.get(found, "displacement_norm")


def test_what_every_probe_measures_can_be_named(tmp_path: Path) -> None:
    for metric in (*GradientNoise((8, 128)).metrics, *DisplacementSketch().metrics):
        edit = measuring(metric=metric, reduce="mean_at", epochs=[2])
        assert check_claim(loaded(tmp_path, probes(NOISE, SKETCH), edit)) == []
    edit = measuring(reduce="at", epochs=[0])
    assert check_claim(loaded(tmp_path, probes(NOISE), edit)) == []
    edit = measuring(metric="hessian_min", reduce="final")
    assert check_claim(loaded(tmp_path, points, probes(CURVATURE), edit)) == []


def test_an_arm_without_the_probe_is_no_arm_to_measure(tmp_path: Path) -> None:
    def bare_arm(content: dict[str, Any]) -> None:
        content["arms"] = {"bare": {"lr": 0.3, "probes": []}}

    (problem,) = mistakes(tmp_path, probes(NOISE), measuring(), bare_arm)
    assert problem.key == "criteria.best.measure.metric"


def test_only_probes_measure_before_training(tmp_path: Path) -> None:
    edit = measuring(metric="loss", split="validation", reduce="mean_at", epochs=[0, 1])
    (problem,) = mistakes(tmp_path, probes(NOISE), edit)
    assert problem.key == "criteria.best.measure.epochs"


def test_metrics_of_probes_are_not_doubted_where_arms_are_not_known(tmp_path: Path) -> None:
    claim = loaded(tmp_path, probes(NOISE), measuring(reduce="at", epochs=[0]))
    assert check_claim(without_arms(claim)) == []
