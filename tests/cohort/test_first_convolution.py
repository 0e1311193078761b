"""A first convolution in compiled loops, against ordinary PyTorch loops."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from bench_lr.cohort.convolution import Conv2d as Unfolded
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.first_convolution import FirstConv2d
from bench_lr.cohort.network import LiftedNetwork
from bench_lr.cohort.slots import Grid
from bench_lr.cohort.tape import Tape
from bench_lr.schema import Conv2d, Flatten, Linear, MaxPool2d, ModelConfig, Phase, ReLU, RunConfig
from tests.cohort.test_engine import SGD, compare, config, run_cohort, sweep
from tests.cohort.test_sparse import images


def in_loops(cohort: Cohort) -> bool:
    (layer,) = (it for it in cohort.network.layers if isinstance(it, Unfolded))
    return isinstance(layer, FirstConv2d) and layer.loops


def run_of(model: ModelConfig, **changes: object) -> RunConfig:
    return dataclasses.replace(config(**changes), model=model)


def model(channels: int = 4, *, bias: bool = True, kernel: int = 3, pool: int = 2) -> ModelConfig:
    first = Conv2d(channels, kernel, bias=bias)
    return ModelConfig((first, ReLU(), MaxPool2d(pool), Flatten(), Linear(10)))


@pytest.mark.parametrize("optimizer", SGD)
@pytest.mark.parametrize("bias", [True, False])
def test_it_equals_the_ordinary_loop_on_images_full_of_ties(bias: bool, optimizer: str) -> None:
    data = images(0.2)
    base = run_of(model(bias=bias), optimizer=SGD[optimizer])
    cohort = run_cohort(sweep(base, lrs=(0.01, 0.05, 0.1)), data)
    assert in_loops(cohort)
    compare(cohort, data)


@pytest.mark.parametrize("batch", [1, 2, 7, 16, 40])
def test_any_batch_size_equals_the_ordinary_loop(batch: int) -> None:
    data = images(0.9)
    base = run_of(model(3), batches=(Phase(2, batch),))
    cohort = run_cohort(sweep(base), data)
    assert in_loops(cohort)
    compare(cohort, data)


@pytest.mark.parametrize(("kernel", "pool"), [(2, 2), (5, 2), (3, 3), (3, 1)])
def test_what_the_loops_are_not_written_for_is_unfolded(kernel: int, pool: int) -> None:
    data = images(0.5)
    base = run_of(model(kernel=kernel, pool=pool))
    cohort = run_cohort(sweep(base), data)
    assert not in_loops(cohort)
    compare(cohort, data)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(value: float) -> None:
    modules = [
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    ]
    with torch.no_grad():
        modules[0][0].weight[0, 0, 1, 1] = value
    network = LiftedNetwork(modules, Grid(1, 1), "cross_entropy")
    tape = Tape()
    x = torch.ones(1, 1, 1, 6, 6, 5)
    output = network.record_prediction(x, tape)
    for operation in tape:
        operation()
    assert not output.isfinite().any()
