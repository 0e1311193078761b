"""Every way of training trains the same thing."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest

from bench_lr.benchmark.peers import given
from bench_lr.benchmark.peers.cohort import train_together
from bench_lr.benchmark.ways import WAYS
from bench_lr.benchmark.workloads import WORKLOADS
from bench_lr.schema import ModelConfig, OptimizerConfig, Phase, RunConfig


def tiny(name: str, dropout: bool) -> list[RunConfig]:
    """Return a workload's runs of two seeds and two LRs, short, on made-up images or points."""
    found = []
    for run in WORKLOADS[name].runs():
        if run.seed > 1 or run.optimizer.lr not in WORKLOADS[name].lrs[-2:]:
            continue
        layers = tuple(
            dataclasses.replace(layer, p=0.0) if layer.kind == "dropout" and not dropout else layer
            for layer in run.model.layers
        )
        task = run.task
        if task.data == "mnist":
            # An even number of steps, where Lightning evaluates when the others do, and a partial
            # batch, which is trained or left out.
            size = 304 if run.drop_last else 252
            task = dataclasses.replace(
                task, data="synthetic", train_size=size, validation_size=200, split="random"
            )
        batches = (Phase(2, run.batches[0].batch_size),)
        found.append(
            dataclasses.replace(run, task=task, model=ModelConfig(layers), batches=batches)
        )
    return found


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("way", ["lightning", "loop", "functional", "jax", "cohort"])
def test_without_dropout_all_ways_reach_the_same_losses(way: str, name: str) -> None:
    if why := WAYS[way].missing():
        pytest.skip(why)
    runs = tiny(name, dropout=False)
    data = given.dataset(runs[0].task.data)
    found = WAYS[way].trainer()(runs, data)
    expected = train_together(runs, data)
    assert found.loss.shape == (4, len(runs))
    np.testing.assert_allclose(found.loss, expected.loss, rtol=2e-3, atol=2e-5)
    if data.classes:
        np.testing.assert_allclose(found.accuracy, expected.accuracy, atol=0.011)
    else:
        assert np.isnan(found.accuracy).all()
    assert (found.loss[-1] < found.loss[0]).all()


@pytest.mark.parametrize("way", ["lightning", "loop", "functional", "jax"])
def test_with_dropout_all_ways_learn(way: str) -> None:
    if why := WAYS[way].missing():
        pytest.skip(why)
    runs, without = tiny("cn8", dropout=True), tiny("cn8", dropout=False)
    data = given.dataset(runs[0].task.data)
    found, expected = WAYS[way].trainer()(runs, data), train_together(runs, data)
    # Masks differ from way to way, and with them the losses; that of guessing is 2.3.
    assert max(found.loss[-1].max(), expected.loss[-1].max()) < 0.8
    assert not np.allclose(found.loss, train_together(without, data).loss, rtol=1e-2)


def test_peers_refuse_what_they_do_not_train() -> None:
    run = WORKLOADS["ae16"].runs()[0]
    heavy = dataclasses.replace(run, optimizer=OptimizerConfig(0.1, momentum=0.9))
    data = given.dataset("synthetic")
    for way in ("lightning", "loop", "functional"):
        with pytest.raises(ValueError, match="plain SGD"):
            WAYS[way].trainer()([heavy], data)


def test_every_way_names_a_function_there_is() -> None:
    for way in WAYS.values():
        if not way.missing():
            module = importlib.import_module(f"bench_lr.benchmark.peers.{way.module}")
            assert callable(getattr(module, way.function))
