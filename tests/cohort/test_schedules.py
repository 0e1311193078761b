"""Training under every schedule, against an ordinary loop with torch's own schedulers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench_lr.data import Dataset
from bench_lr.schedules import (
    Constant,
    Cyclic,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    Plateau,
    Polynomial,
    RangeTest,
    Schedule,
    Segment,
    Step,
    Warmup,
)
from bench_lr.schema import EvaluationConfig, OptimizerConfig, Phase
from tests.cohort import oracle
from tests.cohort.test_engine import compare, config, run_cohort

EVERY: tuple[Schedule, ...] = (
    Constant(),
    Step(0.7, every=4),
    Step(0.5, every=1, unit="epoch"),
    MultiStep(0.2, milestones=(1, 2)),
    MultiStep(0.3, milestones=(3, 11, 12), unit="step"),
    Exponential(factor=0.9),
    Exponential(rate=0.5, unit="epoch"),
    Inverse(0.3),
    Inverse(0.5, 1.0, unit="epoch"),
    Polynomial(20, 2.0),
    Polynomial(3, 0.5, unit="fractional_epoch"),
    Linear(15, 0.1),
    Cyclic(0.1, 5),
    Warmup(0.1, epochs=2.0),
    Warmup(0.1, steps=13, mode="constant"),
)
TESTS: tuple[Schedule, ...] = (
    RangeTest((Segment(0.05, 0.5, step=0.05, steps=2), Segment(0.2, 0.6, growth=2.0, steps=1))),
    RangeTest((Segment(0.1, 0.3, step=0.1, epochs=1),)),
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Random images of 2 channels, 11 x 11, with a class that some pixels give away."""
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (140, 2, 11, 11), dtype=np.uint8)
    labels = rng.integers(0, 10, 140)
    images[np.arange(140), 0, 0, labels] = 255
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    return Dataset("synthetic", x[:115], y[:115], x[115:], y[115:], "none", 10)


def assert_rates(cohort, data: Dataset) -> None:
    """The stored LR is that of the last step before each evaluation."""
    at = cohort.records.step
    for index, run in enumerate(cohort.runs):
        alone = oracle.train(run, data, set(at))
        stored = [values["lr", "train"][index] for values in cohort.records.values]
        np.testing.assert_allclose(stored, [alone.rates[step - 1] for step in at], rtol=1e-11)


def test_every_schedule_in_one_cohort_equals_its_run_alone(data: Dataset) -> None:
    runs = [
        config(schedule=schedule, seed=seed, batches=(Phase(3, 10),))
        for schedule in EVERY
        for seed in (0, 3)
    ]
    cohort = run_cohort(runs, data)
    assert len(cohort.runs) == 2 * len(EVERY)
    compare(cohort, data)
    assert_rates(cohort, data)


def test_range_tests_in_one_cohort_equal_their_runs_alone(data: Dataset) -> None:
    runs = [
        config(schedule=schedule, optimizer=OptimizerConfig(1.0), batches=(Phase(3, 10),))
        for schedule in TESTS
    ]
    cohort = run_cohort(runs, data)
    compare(cohort, data)
    assert_rates(cohort, data)


@pytest.mark.parametrize(
    ("metric", "split", "mode"),
    [("accuracy", "validation", "max"), ("loss", "validation", "min"), ("loss", "train", "min")],
)
@pytest.mark.parametrize("optimizer", ["plain", "momentum"])
def test_runs_of_one_cohort_cut_their_rates_when_their_own_metric_stalls(
    metric: str, split: str, mode: str, optimizer: str, data: Dataset
) -> None:
    schedules = [
        Plateau(metric, split, mode, factor=0.3, patience=1, threshold=0.01),
        Plateau(metric, split, mode, factor=0.5, patience=2, cooldown=2, min_lr=0.05),
        Plateau(metric, split, mode, patience=0, threshold=0.02, threshold_mode="abs"),
        Constant(),
    ]
    momentum = 0.5 if optimizer == "momentum" else 0.0
    runs = [
        config(
            schedule=schedule,
            seed=seed,
            optimizer=OptimizerConfig(lr, momentum=momentum),
            batches=(Phase(6, 10),),
        )
        for schedule in schedules
        for seed in (0, 3)
        for lr in (0.2, 0.9)
    ]
    cohort = run_cohort(runs, data)
    compare(cohort, data)
    assert_rates(cohort, data)
    stored = np.array([values["lr", "train"] for values in cohort.records.values])
    cuts = {tuple(column) for column in (np.diff(stored, axis=0) < 0).T}
    # Never, and at different times.
    assert len(cuts) >= 4
    assert (False,) * 11 in cuts


def test_a_run_that_cuts_does_not_depend_on_its_companions(data: Dataset) -> None:
    plateau = Plateau("loss", "validation", "min", factor=0.3, patience=0, threshold=0.02)
    run = config(schedule=plateau, batches=(Phase(4, 10),))
    others = [
        dataclasses.replace(run, optimizer=OptimizerConfig(0.9)),
        dataclasses.replace(run, schedule=Constant()),
    ]
    alone, together = run_cohort([run], data), run_cohort([run, *others], data)
    place = together.runs.index(run)
    for values, shared in zip(alone.records.values, together.records.values, strict=True):
        for key in values:
            assert shared[key][place] == pytest.approx(values[key][0], rel=1e-12)


def test_plateau_counts_evaluations(data: Dataset) -> None:
    # Nothing is an improvement by more than the loss itself, so every evaluation but the first
    # cuts: the cut shows in the rate of the steps after it.
    plateau = Plateau("loss", "train", "min", 0.5, 0, threshold=100, threshold_mode="abs")
    run = config(
        schedule=plateau, batches=(Phase(2, 10),), evaluation=EvaluationConfig(per_epoch=4)
    )
    cohort = run_cohort([run], data)
    rates = [values["lr", "train"][0] for values in cohort.records.values]
    assert rates == [0.3, 0.3, *(0.3 / 2**k for k in range(1, 7))]
