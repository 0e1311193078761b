"""Very small networks in one compiled loop, against the recorded operations it stands in for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench_lr.cohort import engine
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.recording import RecordedTraining
from bench_lr.cohort.small import SmallTraining
from bench_lr.data import Dataset, load
from bench_lr.schedules import Step
from bench_lr.schema import (
    Layer,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    ReLU,
    RunConfig,
    Sigmoid,
    Tanh,
    TaskConfig,
)
from tests.cohort.test_engine import compare, run_cohort, sweep

MODELS: dict[str, tuple[Layer, ...]] = {
    "linear": (Linear(1),),
    "sigmoid": (Linear(4), Sigmoid(), Linear(1)),
    "deep": (Linear(5), Tanh(), Linear(3, init="he_normal"), ReLU(), Linear(1)),
    "no_activation": (Linear(3), Linear(1)),
}


@pytest.fixture(scope="module")
def points() -> Dataset:
    return load("curve")


def config(model: str = "sigmoid", **changes: object) -> RunConfig:
    base = RunConfig(
        task=TaskConfig("curve", train_size=95, validation_size=20, loss="half_mse"),
        model=ModelConfig(MODELS[model]),
        optimizer=OptimizerConfig(0.3),
        batches=(Phase(3, 10),),
        schedule=Step(0.8, every=7),
        dtype="float64",
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture
def recorded_only(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(engine, "suits", lambda *arguments: False)
    return monkeypatch


def kinds(cohort: Cohort) -> set[type]:
    return {type(training) for training in cohort._trainings.values()}


@pytest.mark.parametrize("model", MODELS)
def test_it_equals_the_ordinary_loop(model: str, points: Dataset) -> None:
    cohort = run_cohort(sweep(config(model), lrs=(0.05, 0.2, 0.5)), points)
    assert kinds(cohort) == {SmallTraining}
    compare(cohort, points)


@pytest.mark.parametrize("model", MODELS)
def test_in_float32_it_stays_as_close_as_the_recorded_operations(
    model: str, points: Dataset, recorded_only: pytest.MonkeyPatch
) -> None:
    runs = sweep(config(model, dtype="float32"), lrs=(0.05, 0.2))
    recorded = run_cohort(runs, points)
    recorded_only.undo()
    small = run_cohort(runs, points)
    assert kinds(recorded) == {RecordedTraining}
    assert kinds(small) == {SmallTraining}
    for index in range(len(runs)):
        for name, value in recorded.network.export(index).items():
            got = small.network.export(index)[name]
            assert got.dtype == torch.float32
            torch.testing.assert_close(got, value, rtol=1e-5, atol=2e-6)
    for got, wanted in zip(small.records.values, recorded.records.values, strict=True):
        for key, value in wanted.items():
            np.testing.assert_allclose(got[key], value, rtol=2e-5, atol=1e-7)


def test_the_exponential_of_a_sigmoid_is_right_to_two_units_over_the_whole_range(
    points: Dataset,
) -> None:
    """Outputs of a network whose hidden unit is sigmoid(w x), for weights that saturate it."""
    from bench_lr.cohort import fused

    values = np.linspace(-120, 120, 100_001, dtype=np.float32)
    got = values.copy()
    fused.activate(fused.SIGMOID, got)
    exact = 1 / (1 + np.exp(-values.astype(np.float64)))
    ordinary = np.abs(values) < 80  # below, results are denormal
    np.testing.assert_allclose(got[ordinary], exact[ordinary], rtol=3e-7)
    assert (got[values > 100] == 1).all()
    assert (got[values < -100] < 1e-37).all()
    strange = np.array([np.nan, np.inf, -np.inf, 0], dtype=np.float32)
    fused.activate(fused.SIGMOID, strange)
    assert np.isnan(strange[0])
    assert strange[1:].tolist() == pytest.approx([1, 0, 0.5], abs=1e-37)
    bent = values.copy()
    fused.activate(fused.TANH, bent)
    np.testing.assert_allclose(bent, np.tanh(values.astype(np.float64)), atol=2e-7)


def test_a_run_that_diverges_touches_no_other(points: Dataset) -> None:
    run = config("linear", dtype="float32", batches=(Phase(20, 10),), schedule=Step(1.0, every=1))
    calm = run_cohort(sweep(run, lrs=(0.1, 0.2, 0.3)), points)
    wild = run_cohort(sweep(run, lrs=(0.1, 0.2, 30.0)), points)
    assert kinds(wild) == {SmallTraining}
    for index, one in enumerate(wild.runs):
        if one.optimizer.lr > 1:
            assert wild.diverged_at.flatten()[index] > 0
        else:
            assert wild.diverged_at.flatten()[index] == -1
            for name, value in calm.network.export(index).items():
                assert torch.equal(wild.network.export(index)[name], value)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": OptimizerConfig(0.1, momentum=0.9)},
        {"optimizer": OptimizerConfig(0.1, weight_decay=0.1)},
        {"model": ModelConfig((Linear(9000), Sigmoid(), Linear(1)))},
        {"model": ModelConfig((Linear(4, bias=False), Sigmoid(), Linear(1)))},
        {"model": ModelConfig((Linear(4), Sigmoid(), Linear(1), Sigmoid()))},
    ],
    ids=["momentum", "decay", "large", "no_bias", "bounded_output"],
)
def test_what_it_does_not_know_is_left_to_recorded_operations(
    change: dict[str, object], points: Dataset
) -> None:
    cohort = run_cohort(sweep(dataclasses.replace(config(), **change)), points)
    assert kinds(cohort) == {RecordedTraining}
    compare(cohort, points)
