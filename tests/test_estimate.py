"""Estimates of training time: they grow with what is trained, and are no number to test."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml

from bench_lr.claims import conf_roots
from bench_lr.claims.problems import parse
from bench_lr.cohort import small
from bench_lr.cohort.engine import Cohort
from bench_lr.data import load
from bench_lr.estimate import SMALL_WEIGHTS, is_small, seconds_of
from bench_lr.probes import DisplacementSketch, GradientNoise, Probe
from bench_lr.schema import (
    EvaluationConfig,
    Flatten,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    RunConfig,
    Sigmoid,
    Split,
    TaskConfig,
)

MNIST = TaskConfig("mnist", 11_000, 5_000)
CURVE = TaskConfig("curve", 900, 100, loss="half_mse")


def model(name: str) -> ModelConfig:
    path: Path = conf_roots()[-1] / "model" / f"{name}.yaml"
    found = parse(ModelConfig, yaml.safe_load(path.read_text()), name, "", [])
    assert isinstance(found, ModelConfig)
    return found


def run(name: str, task: TaskConfig = MNIST, batch: int = 64, **fields: object) -> RunConfig:
    made = RunConfig(task, model(name), OptimizerConfig(0.1), (Phase(5, batch),))
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


RUNS = [run("ae"), run("m1"), run("cn"), run("ra"), run("r1", CURVE), run("r1", CURVE, 1)]


def seconds(found: RunConfig, runs: int = 16) -> float:
    return seconds_of([found] * runs)


@pytest.mark.parametrize("found", RUNS)
def test_more_of_anything_takes_longer(found: RunConfig) -> None:
    base = seconds(found)
    assert base > 0
    task = dataclasses.replace(found.task, train_size=2 * found.task.train_size)
    momentum = dataclasses.replace(found.optimizer, momentum=0.9)
    for more in (
        dataclasses.replace(found, batches=found.batches * 2),
        dataclasses.replace(found, task=task),
        dataclasses.replace(found, evaluation=EvaluationConfig(per_epoch=4)),
        dataclasses.replace(found, evaluation=EvaluationConfig(splits=("validation", "test"))),
        dataclasses.replace(found, evaluation=EvaluationConfig(splits=("training_set",))),
        dataclasses.replace(found, optimizer=momentum),
    ):
        assert seconds(more) > base
    assert seconds(dataclasses.replace(found, evaluation=EvaluationConfig(every=5))) < base


@pytest.mark.parametrize("found", RUNS)
def test_runs_together_take_less_than_one_by_one_and_more_than_one(found: RunConfig) -> None:
    assert seconds(found, 1) < seconds(found, 32) < 32 * seconds(found, 1)


@pytest.mark.parametrize("name", ["ae", "m1", "cn", "ra"])
def test_smaller_batches_take_longer(name: str) -> None:
    times = [seconds(run(name, batch=size)) for size in (1, 8, 64, 512)]
    assert times == sorted(times, reverse=True)


def test_lanes_of_a_small_network_cost_next_to_nothing() -> None:
    found = run("r1", CURVE, 1)
    long = dataclasses.replace(found, batches=(Phase(1000, 1),))
    assert seconds(long, 60) < 3 * seconds(long, 1)


@pytest.mark.parametrize(
    "found",
    [
        *RUNS[:2],
        *RUNS[4:],
        run("r1", CURVE, 900),
        run("r1", CURVE, optimizer=OptimizerConfig(0.1, momentum=0.9)),
    ],
)
def test_what_trains_in_a_compiled_loop_is_known(found: RunConfig) -> None:
    task = dataclasses.replace(found.task, train_size=900, validation_size=100)
    if task.data == "mnist":
        task = dataclasses.replace(task, data="synthetic")
    found = dataclasses.replace(found, task=task)
    cohort = Cohort([found], load(task.data), device=torch.device("cpu"))
    assert is_small(found) == cohort.is_small
    assert SMALL_WEIGHTS == small._MOST


def test_estimates_know_on_what_runs_are_evaluated() -> None:
    def cost(*splits: Split) -> float:
        task = dataclasses.replace(MNIST, train_size=1000, validation_size=200)
        return seconds(run("ae", task, evaluation=EvaluationConfig(1, splits)))

    # An evaluation takes as long as it has examples: 1000 for training and 200 for validation.
    validation = cost("training_set", "validation") - cost("training_set")
    assert validation > 0
    assert cost("training_set") - cost("validation") == pytest.approx(4 * validation)
    assert cost("test") > cost("training_set")


def test_steps_that_are_compiled_are_estimated_to_be_short() -> None:
    base = run("r1", CURVE, 1, batches=(Phase(100, 1),))
    momentum = dataclasses.replace(base, optimizer=OptimizerConfig(0.1, momentum=0.9))
    assert seconds(base, 1) < seconds(momentum, 1) / 3


def test_probes_add_to_the_estimate_by_how_often_and_how_much_they_measure() -> None:
    base = RunConfig(
        TaskConfig("mnist", 55_000, 5_000),
        ModelConfig((Flatten(), Linear(64), Sigmoid(), Linear(10))),
        OptimizerConfig(0.1),
        (Phase(4, 128),),
    )

    def seconds(*probes: Probe) -> float:
        run = dataclasses.replace(base, evaluation=EvaluationConfig(probes=probes))
        return seconds_of([run]) - seconds_of([base])

    once = seconds(GradientNoise((64,), at=(2,)))
    assert once > 0
    assert seconds(GradientNoise((64,), at=(0, 2))) == pytest.approx(2 * once)
    assert seconds(GradientNoise((64,))) == pytest.approx(4 * once)
    assert seconds(GradientNoise((64, 640), at=(2,))) > 2 * once
    sketched = seconds(DisplacementSketch(256))
    assert seconds(DisplacementSketch(64)) == pytest.approx(sketched / 4)
