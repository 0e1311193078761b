"""Residual networks with ghost batch normalisation, which have no cohort form."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from bench_lr.claims import conf_roots, load_profile
from bench_lr.claims.problems import Problem
from bench_lr.claims.settings import Resolver
from bench_lr.data import Dataset, load
from bench_lr.data.catalogue import DATASETS
from bench_lr.data.files import DataError, acquire, data_dir
from bench_lr.schema import (
    Conv2d,
    EvaluationConfig,
    GhostBatchNorm,
    GlobalMaxPool,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    ReLU,
    Residual,
    RunConfig,
    TaskConfig,
)
from tests.cohort.test_engine import SGD, compare, config, data, run_cohort, sweep

__all__ = ["data"]  # a fixture

BLOCK = (Conv2d(4, 3, padding=1, bias=False), GhostBatchNorm(3), ReLU())
SMALL = ModelConfig((*BLOCK, Residual((*BLOCK, *BLOCK)), GlobalMaxPool(), Linear(10)))


@pytest.mark.parametrize("optimizer", ["plain", "momentum", "all"])
def test_a_residual_network_with_ghost_batches_equals_alone(optimizer: str, data: Dataset) -> None:
    """Batches of 8 in ghost batches of 3, 3 and 2, a last batch of 3."""
    base = dataclasses.replace(config(), model=SMALL, optimizer=SGD[optimizer])
    compare(run_cohort(sweep(base, lrs=(0.01, 0.05)), data), data)


def narrow(layers: tuple[Any, ...], by: int) -> tuple[Any, ...]:
    """Return the same network with fewer channels and smaller ghost batches."""
    changed = []
    for layer in layers:
        if isinstance(layer, Conv2d):
            layer = dataclasses.replace(layer, out_channels=layer.out_channels // by)
        elif isinstance(layer, GhostBatchNorm):
            layer = dataclasses.replace(layer, size=8)
        elif isinstance(layer, Residual):
            layer = dataclasses.replace(layer, layers=narrow(layer.layers, by))
        changed.append(layer)
    return tuple(changed)


@pytest.mark.data
def test_resnet9_trains_on_cifar10_as_alone_and_learns() -> None:
    try:  # 139 MB are not fetched for a test
        acquire(dataclasses.replace(DATASETS["cifar10"], routes=()), data_dir())
    except DataError:
        pytest.skip("CIFAR-10 is not in the data folder")
    problems: list[Problem] = []
    resolver = Resolver(conf_roots(), load_profile("full"), problems)
    setting = {"task": "cifar10", "model": "resnet9", "lr": 0.1, "momentum": 0.9}
    setting |= {"batch_size": 20, "epochs": 8}
    whole = resolver.run(setting, 0, "-", problems)
    assert problems == []
    assert whole is not None
    run = RunConfig(
        task=TaskConfig("cifar10", train_size=45, validation_size=10),
        model=ModelConfig(narrow(whole.model.layers, 16)),
        optimizer=OptimizerConfig(0.1, momentum=0.9),
        batches=(Phase(12, 11),),
        evaluation=EvaluationConfig(per_epoch=1),
        dtype="float64",
    )
    whole_set = load("cifar10")
    few = {f"train_{n}": getattr(whole_set, f"train_{n}")[:60] for n in "xy"}
    cifar = dataclasses.replace(whole_set, **few)
    cohort = run_cohort(sweep(run, lrs=(0.1,), seeds=(0, 1)), cifar)
    compare(cohort, cifar, 1e-7)
    # Well below the loss of guessing.
    assert (cohort.records.values[-1]["loss", "train"] < 0.9 * math.log(10)).all()
