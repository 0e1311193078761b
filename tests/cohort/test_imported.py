"""Networks of the user's own: found, lifted where they are chains, and trained as alone."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
import torch
from torch import nn

from bench_lr import models
from bench_lr.claims.problems import parse
from bench_lr.cohort.fallback import AutogradNetwork, form_of
from bench_lr.cohort.network import LiftedNetwork
from bench_lr.data import Dataset
from bench_lr.imported import ImportedError, as_sequential, find, make_network
from bench_lr.schema import Imported, Linear, ModelConfig, RunConfig
from bench_lr.shapes import flops_per_example, walk, weights
from tests.cohort.test_engine import SGD, compare, config, data, run_cohort, sweep

__all__ = ["data"]  # a fixture

EXAMPLE = (2, 11, 11)
FORMS = {
    "Chain": LiftedNetwork,
    "Dense": LiftedNetwork,
    "sequence": LiftedNetwork,
    "Branching": AutogradNetwork,
    "Twice": AutogradNetwork,
    "Fickle": AutogradNetwork,
    "Looping": AutogradNetwork,
}


def own(name: str) -> ModelConfig:
    return ModelConfig((Imported(f"tests.networks.{name}"),))


def based_on(name: str, optimizer: str = "plain") -> RunConfig:
    return dataclasses.replace(config(), model=own(name), optimizer=SGD[optimizer])


@pytest.mark.parametrize("name", FORMS)
def test_a_network_trains_as_alone_in_the_fastest_form_it_has(name: str, data: Dataset) -> None:
    cohort = run_cohort(sweep(based_on(name), lrs=(0.01, 0.05)), data)
    assert isinstance(cohort.network, FORMS[name])
    compare(cohort, data)


@pytest.mark.parametrize("optimizer", ["momentum", "all"])
def test_optimizers_update_it_as_alone(optimizer: str, data: Dataset) -> None:
    compare(run_cohort(sweep(based_on("Chain", optimizer), lrs=(0.01, 0.05)), data), data)


def test_what_is_slower_is_said(data: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run_cohort(sweep(based_on("Branching"), lrs=(0.01,)), data)
        assert "under torch.func.vmap" in caplog.text
        run_cohort(sweep(based_on("Looping"), lrs=(0.01,)), data)
    assert "one by one, which is slow" in caplog.text


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Chain", "lockstep"),
        ("sequence", "lockstep"),
        ("Branching", "vmap"),
        ("Fickle", "vmap"),
        ("Looping", "one by one"),
    ],
)
def test_the_form_is_known_before_anything_is_trained(name: str, form: str) -> None:
    assert form_of(models.build(own(name), EXAMPLE, 0), "cross_entropy", EXAMPLE) == form


def test_a_chain_has_the_networks_own_weights() -> None:
    network = make_network("tests.networks.Chain")
    chain = as_sequential(network, EXAMPLE)
    assert [type(layer).__name__ for layer in chain.children()] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "MaxPool2d",
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert {id(it) for it in chain.parameters()} == {id(it) for it in network.parameters()}
    # Looking has taught its statistics nothing.
    (norm,) = [it for it in chain.modules() if isinstance(it, nn.BatchNorm2d)]
    assert norm.num_batches_tracked == 0


def test_initial_weights_hang_on_the_seed_alone() -> None:
    first, again, other = (models.build(own("Dense"), EXAMPLE, seed) for seed in (1, 1, 2))
    pairs = list(zip(first.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    models.build(own("Dense"), EXAMPLE, 3)
    assert torch.equal(torch.rand(3), before)


def test_its_size_is_that_of_the_same_network_layer_by_layer() -> None:
    mine = own("Dense")
    layers = parse(
        ModelConfig,
        {
            "layers": [
                {"kind": "flatten"},
                *({"kind": "linear", "out_features": n} for n in (12, 10)),
            ]
        },
        "",
        "",
        [],
    )
    assert walk(mine, EXAMPLE)[-1] == (10,)
    assert weights(mine, EXAMPLE) == weights(layers, EXAMPLE) == 242 * 12 + 12 + 12 * 10 + 10
    # Of the first layer's input no gradient is worked out; that is not known of a whole network.
    assert flops_per_example(mine, EXAMPLE) == pytest.approx(
        flops_per_example(layers, EXAMPLE), rel=0.5
    )


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("tests.networks.Nothing", "has no attribute 'Nothing'"),
        ("tests.nowhere.Net", "PYTHONPATH"),
        ("Net", "no name such as package.module.Name"),
        ("tests.networks.a b", "no name such as"),
    ],
)
def test_a_name_that_stands_for_nothing_is_told(target: str, told: str) -> None:
    with pytest.raises(ImportedError) as caught:
        find(target)
    assert told in str(caught.value)
    problems: list[Any] = []
    assert parse(Imported, {"kind": "imported", "target": target}, "a", "b", problems) is None
    assert told in str(problems[0])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "is a int, not a torch.nn.Module"),
        ("needs", "missing 1 required positional argument"),
        ("empty", "has no parameters"),
    ],
)
def test_what_is_no_network_is_told(name: str, told: str) -> None:
    with pytest.raises(ImportedError) as caught:
        make_network(f"tests.networks.{name}")
    assert told in str(caught.value)


def test_a_network_that_does_not_take_the_data_is_told_before_training() -> None:
    from bench_lr.shapes import ModelError

    with pytest.raises(ModelError, match=r"on a batch of shape \(2, 2, 11, 11\)"):
        walk(own("narrow"), EXAMPLE)
    with pytest.raises(ModelError):
        walk(ModelConfig((Linear(3), Imported("tests.networks.Dense"))), EXAMPLE)


def test_another_source_makes_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_lr.identity import run_id

    run = based_on("Dense")
    before = run_id(run)
    assert run_id(based_on("Dense")) == before
    monkeypatch.setattr("bench_lr.imported.source_digest", lambda target: "0" * 16)
    assert run_id(based_on("Dense")) != before
    with pytest.raises(ValueError, match="it has changed"):
        Imported("tests.networks.Dense", "1" * 16)
