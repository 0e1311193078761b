"""Adam and Adagrad in a cohort, against `torch.optim` and an ordinary loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bench_lr import models
from bench_lr.cohort import sparse
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.recording import RecordedTraining
from bench_lr.cohort.rules import update_rule
from bench_lr.cohort.slots import Grid, Slot
from bench_lr.cohort.sparse import SparseLinear
from bench_lr.cohort.tape import Tape
from bench_lr.data import Dataset, load
from bench_lr.schedules import MultiStep, Step
from bench_lr.schema import (
    AdagradConfig,
    AdamConfig,
    EvaluationConfig,
    Linear,
    ModelConfig,
    Optimizer,
    Phase,
    RunConfig,
    Sigmoid,
    TaskConfig,
)
from tests.cohort import oracle
from tests.cohort.test_engine import MODELS, Wrapped, compare, config, data, run_cohort
from tests.cohort.test_sparse import images

__all__ = ["data"]  # a fixture

ADAPTIVE: dict[str, tuple[Optimizer, ...]] = {
    "adam": (
        AdamConfig(0.001),
        AdamConfig(0.01, beta1=0.5, beta2=0.9, eps=1e-4),
        AdamConfig(0.003, beta1=0.0, beta2=0.99, eps=1e-6),
        AdamConfig(0.002, beta2=0.0, eps=1e-2),
    ),
    "adam_decay": (
        AdamConfig(0.001, weight_decay=0.01),
        # With ten times the decay two ordinary loops whose first weights differ by 1e-15 of
        # themselves are 1e-8 apart after 220 steps: nothing to compare with at 1e-9.
        AdamConfig(0.01, beta1=0.5, beta2=0.9, eps=1e-4, weight_decay=0.03),
    ),
    "adagrad": (
        AdagradConfig(0.01),
        AdagradConfig(0.05, eps=1e-4),
        AdagradConfig(0.1, eps=1e-6, initial_accumulator=0.1),
    ),
    "adagrad_decay": (
        AdagradConfig(0.01, weight_decay=0.01),
        AdagradConfig(0.05, eps=1e-4, weight_decay=0.2, initial_accumulator=0.01),
    ),
}


def cohort_of(base: RunConfig, kind: str, seeds: tuple[int, ...] = (0, 3)) -> list[RunConfig]:
    return [
        dataclasses.replace(base, optimizer=optimizer, seed=seed)
        for optimizer in ADAPTIVE[kind]
        for seed in seeds
    ]


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize("model", MODELS)
def test_lockstep_equals_alone_over_hundreds_of_steps(model: str, kind: str, data: Dataset) -> None:
    base = config(model, batches=(Phase(20, 7),), evaluation=EvaluationConfig(1))
    cohort = run_cohort(cohort_of(base, kind), data)
    assert cohort.timetable.steps == 220
    compare(cohort, data)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_lockstep_equals_alone_under_schedules_and_a_batch_size_plan(
    kind: str, data: Dataset
) -> None:
    base = config("batch_norm_dropout", batches=(Phase(2, 7), Phase(3, 16), Phase(1, 1000)))
    schedules = (Step(0.7, every=4), MultiStep(0.3, milestones=(3, 11, 12), unit="step"))
    runs = [
        dataclasses.replace(run, schedule=schedule)
        for schedule in schedules
        for run in cohort_of(base, kind)
    ]
    cohort = run_cohort(runs, data)
    assert cohort.timetable.steps == 2 * 11 + 3 * 5 + 1
    compare(cohort, data)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_regression_of_a_small_network_equals_alone(kind: str) -> None:
    """The compiled steps of small networks know plain SGD only, and are not taken."""
    points = load("curve")
    base = dataclasses.replace(
        config(),
        task=TaskConfig("curve", 90, 20, loss="half_mse"),
        model=ModelConfig((Linear(4), Sigmoid(), Linear(1))),
        batches=(Phase(30, 10),),
        evaluation=EvaluationConfig(1),
    )
    cohort = run_cohort(cohort_of(base, kind), points)
    assert not cohort.is_small
    assert all(isinstance(t, RecordedTraining) for t in cohort._trainings.values())
    compare(cohort, points)


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize("shown", [0.02, 0.2])
def test_a_sparse_first_layer_moves_the_weights_of_pixels_that_a_batch_does_not_show(
    kind: str, shown: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "MOST_DENSE", 1.0)
    monkeypatch.setattr(sparse, "NARROWEST", 1)
    few = images(shown)
    cohort = run_cohort(cohort_of(config(batches=(Phase(6, 4),)), kind), few)
    assert any(isinstance(layer, SparseLinear) for layer in cohort.network.layers)
    compare(cohort, few)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_inputs_that_are_always_zero_are_left_out_unless_weights_decay(
    kind: str, data: Dataset
) -> None:
    black = torch.zeros(2, 11, 11, dtype=torch.bool)
    black[:, :3] = True
    x = (data.train_x.masked_fill(black, 0), data.test_x.masked_fill(black, 0))
    partly = dataclasses.replace(data, train_x=x[0], test_x=x[1])
    cohort = run_cohort(cohort_of(config(), kind), partly)
    assert cohort.train_x.shape[1] == (242 if kind.endswith("decay") else 242 - 66)
    compare(cohort, partly)


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize("model", ["sigmoid_tanh", "convolution"])
def test_in_float32_it_is_as_close_to_float64_as_the_ordinary_loop(
    model: str, kind: str, data: Dataset
) -> None:
    """A run's largest error of a weight: 5e-6, or ten times that of the ordinary float32 loop.

    Where gradients are no larger than their rounding errors, these rules enlarge the errors.
    """
    base = config(model, batches=(Phase(6, 8),))
    runs = cohort_of(dataclasses.replace(base, dtype="float32"), kind)
    single, double = run_cohort(runs, data), run_cohort(cohort_of(base, kind), data)
    for index, run in enumerate(single.runs):
        exact, found = double.network.export(index), single.network.export(index)
        alone = oracle.train(run, data).state
        assert all(value.dtype == torch.float32 for value in found.values())

        def error(state: dict[str, torch.Tensor], exact: dict[str, torch.Tensor] = exact) -> float:
            return max((state[name] - value).abs().max().item() for name, value in exact.items())

        assert error(found) <= max(5e-6, 10 * error(alone))


@pytest.mark.parametrize("wild", [AdamConfig(1e36), AdagradConfig(1e36)], ids=lambda o: o.kind)
def test_a_run_that_diverges_is_marked_and_changes_no_other(wild: Optimizer, data: Dataset) -> None:
    """Bit for bit, in a cohort of the same shape; the diverged run reports no metrics."""
    base = config("sigmoid_tanh", dtype="float32", batches=(Phase(6, 8),))
    labels = torch.nn.functional.one_hot(data.train_y, 10).float()
    targets = dataclasses.replace(data, train_y=labels)
    base = dataclasses.replace(base, task=TaskConfig("synthetic", 75, 40, loss="half_mse"))

    def trained(last: Optimizer) -> Cohort:
        kept = [dataclasses.replace(wild, lr=lr) for lr in (0.001, 0.01)]
        runs = [
            dataclasses.replace(base, optimizer=o, seed=s) for o in (*kept, last) for s in (0, 1)
        ]
        return run_cohort(runs, targets)

    calm, mixed = trained(dataclasses.replace(wild, lr=0.02)), trained(wild)
    assert (calm.diverged_at < 0).all()
    assert (mixed.diverged_at[:, :2] < 0).all()
    for seed in range(2):
        alone = oracle.train(mixed.runs[seed * 3 + 2], targets).losses
        assert mixed.diverged_at[seed, 2] == int(np.argmax(~np.isfinite(alone))) > 0
        assert np.isnan(mixed.records.values[-1]["loss", "validation"][seed * 3 + 2])
        for arm in range(2):
            own = calm.network.export(seed * 3 + arm)
            for name, value in mixed.network.export(seed * 3 + arm).items():
                assert torch.equal(value, own[name])


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_a_run_does_not_depend_on_its_cohort(kind: str, data: Dataset) -> None:
    base = config("batch_norm_dropout", batches=(Phase(4, 8),))
    together = run_cohort(cohort_of(base, kind, seeds=(0, 1, 2)), data)
    one = dataclasses.replace(base, optimizer=ADAPTIVE[kind][1], seed=1)
    alone = run_cohort([one], data)
    for name, value in alone.network.export(0).items():
        found = together.network.export(together.runs.index(one))[name]
        torch.testing.assert_close(found, value, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_results_do_not_depend_on_the_length_of_a_block(kind: str, data: Dataset) -> None:
    runs = cohort_of(config("convolution"), kind)
    short, long = run_cohort(runs, data, longest=1), run_cohort(runs, data, longest=1000)
    for index in range(len(runs)):
        for name, value in short.network.export(index).items():
            assert torch.equal(long.network.export(index)[name], value)


@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize(
    ("model", "together"), [("sigmoid_tanh", True), ("batch_norm_dropout", False)]
)
def test_networks_without_a_cohort_form_equal_alone(
    model: str, together: bool, kind: str, data: Dataset
) -> None:
    (ordered,) = arrange(cohort_of(config(model), kind))

    def build(seed: int) -> torch.nn.Module:
        return Wrapped(models.build(ordered[0].model, (2, 11, 11), seed))

    cohort = Cohort(ordered, data, build)
    assert cohort.network.together is together
    cohort.start()
    for epoch in range(2):
        for span in cohort.timetable.spans(epoch, 4):
            cohort.train_block(span, cohort.indices(span))
            if span.evaluate:
                cohort.evaluate(span)
    compare(cohort, data)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ADAPTIVE)
@pytest.mark.parametrize("model", MODELS)
def test_on_a_gpu_graphs_of_steps_equal_the_ordinary_loop(
    model: str, kind: str, data: Dataset
) -> None:
    """Bias corrections hang on the step, and a graph is captured once."""
    base = config(model, batches=(Phase(6, 8),))
    cohort = run_cohort(cohort_of(base, kind), data, longest=4, device="cuda")
    captured = [g for t in cohort._trainings.values() for g in t._graphs.values()]
    assert any(graph is not None for graph in captured)
    compare(cohort.to("cpu"), data, 1e-8)


class Holder(torch.nn.Module):
    """One weight of shape (1, runs, 5), all runs alike."""

    def __init__(self, start: torch.Tensor, runs: int) -> None:
        super().__init__()
        self.register_buffer("weight", start.repeat(1, runs, 1))


def updated(
    optimizers: list[Optimizer], start: torch.Tensor, gradients: list[torch.Tensor], lrs: list[Any]
) -> torch.Tensor:
    """Weights of every run after steps with given gradients and LRs."""
    count = len(optimizers)
    holder = Holder(start, count)
    slot = Slot(holder, "weight", (1, count, len(start)), 1)
    cpu = torch.device("cpu")
    rule = update_rule([slot], Grid(1, count), optimizers, start.dtype, cpu)
    gradient = torch.zeros_like(holder.weight)
    tape = Tape()
    rule.add(slot, gradient, tape)
    lr = torch.tensor(lrs, dtype=start.dtype).view(-1, 1, count)
    for rate, g in zip(rule.rates(0, lr, 4), gradients, strict=True):
        rule.rate.copy_(rate)
        gradient.copy_(g)
        for operation in tape:
            operation()
    return holder.weight[0]


odd = st.sampled_from([0.0, -0.0, 1e-200, -1e-150, 1e-30, 1e-12, -1e-8, 1.0, -3e5, 1e90, 1e150])
optimizers = st.one_of(
    st.builds(
        AdamConfig,
        lr=st.floats(1e-12, 1e6),
        beta1=st.sampled_from([0.0, 1e-12, 0.5, 0.9, 1 - 1e-12]),
        beta2=st.sampled_from([0.0, 1e-12, 0.9, 0.999, 1 - 1e-12]),
        eps=st.sampled_from([1e-30, 1e-16, 1e-8, 1.0, 1e30]),
        weight_decay=st.sampled_from([0.0, 1e-12, 0.1, 10.0]),
    ),
    st.builds(
        AdagradConfig,
        lr=st.floats(1e-12, 1e6),
        eps=st.sampled_from([1e-30, 1e-10, 1.0, 1e30]),
        initial_accumulator=st.sampled_from([0.0, 1e-300, 1.0, 1e30]),
        weight_decay=st.sampled_from([0.0, 1e-12, 0.1, 10.0]),
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    optimizer=optimizers,
    start=st.lists(odd, min_size=5, max_size=5),
    gradients=st.lists(st.lists(odd, min_size=5, max_size=5), min_size=1, max_size=8),
)
def test_odd_numbers_are_updated_as_torch_does(
    optimizer: Optimizer, start: list[float], gradients: list[list[float]]
) -> None:
    """Zeros, denormal squares, huge gradients; betas near 0 and 1, an eps that is everything."""
    # A weight that is off by rounding has a gradient of decay that is, and of that the step is up
    # to lr / eps times as far off: where this is more than it was, rounding grows step by step.
    assume(optimizer.lr * optimizer.weight_decay <= optimizer.eps)
    first = torch.tensor(start, dtype=torch.float64)
    given_ = [torch.tensor(g, dtype=torch.float64) for g in gradients]
    found = updated([optimizer, optimizer], first, given_, [[optimizer.lr] * 2] * len(given_))
    weight = torch.nn.Parameter(first.clone())
    module = torch.nn.Module()
    module.register_parameter("weight", weight)
    alone = oracle.torch_optimizer(optimizer, module)
    for g in given_:
        weight.grad = g.clone()
        alone.step()
    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(
        found[0], weight.detach(), rtol=1e-9, atol=1e-9 * optimizer.lr, equal_nan=True
    )


@pytest.mark.parametrize("kind", ["adam", "adagrad"])
def test_a_rate_of_zero_freezes_a_run_even_where_the_gradient_was_always_zero(kind: str) -> None:
    start = torch.tensor([1.0, -2.0, 0.0, 3.0, 0.5], dtype=torch.float64)
    gradient = torch.tensor([0.0, 1.0, -1.0, 0.0, 5.0], dtype=torch.float64)
    moving, frozen = updated(list(ADAPTIVE[kind][:2]), start, [gradient] * 4, [[0.1, 0.0]] * 4)
    assert torch.equal(frozen, start)
    assert (moving != start).tolist() == [False, True, True, False, True]


def test_a_run_whose_gradient_is_nan_changes_no_other() -> None:
    start = torch.ones(5, dtype=torch.float64)
    bad = torch.full((1, 2, 5), 0.5, dtype=torch.float64)
    bad[0, 1] = torch.nan
    calm = updated(list(ADAPTIVE["adam"][:2]), start, [torch.full((5,), 0.5)] * 3, [[0.1, 0.1]] * 3)
    mixed = updated(list(ADAPTIVE["adam"][:2]), start, [bad] * 3, [[0.1, 0.1]] * 3)
    assert torch.equal(calm[0], mixed[0])
    assert mixed[1].isnan().all()
