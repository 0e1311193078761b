"""The properties of the cohort engine, against an ordinary PyTorch loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench_lr import models
from bench_lr.cohort import streams
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.data import Dataset, load
from bench_lr.schedules import MultiStep, Step
from bench_lr.schema import (
    BatchNorm,
    Conv2d,
    Dropout,
    EvaluationConfig,
    Flatten,
    Linear,
    MaxPool2d,
    ModelConfig,
    OptimizerConfig,
    Phase,
    ReLU,
    RunConfig,
    Sigmoid,
    Tanh,
    TaskConfig,
)
from tests.cohort import oracle

MODELS = {
    "sigmoid_tanh": (Flatten(), Linear(12), Sigmoid(), Linear(7), Tanh(), Linear(10)),
    "batch_norm_dropout": (
        Flatten(),
        Linear(14, bias=False),
        BatchNorm(),
        ReLU(),
        Dropout(0.5),
        Linear(9, bias=False, init="he_normal"),
        BatchNorm(),
        ReLU(),
        Dropout(0.3),
        Linear(10),
    ),
    "convolution": (Conv2d(4, 3), ReLU(), MaxPool2d(2), Dropout(0.25), Flatten(), Linear(10)),
    "deep_convolution": (
        Conv2d(3, 3, padding=1, bias=False),
        BatchNorm(),
        ReLU(),
        MaxPool2d(2),
        Conv2d(5, 3, stride=2, init="he_uniform"),
        Tanh(),
        MaxPool2d(2),
        Flatten(),
        Linear(10),
    ),
    "input_dropout": (Dropout(0.2), Flatten(), BatchNorm(), Linear(8), ReLU(), Linear(10)),
    "linear": (Flatten(), Linear(10)),
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Random images of 2 channels, 11 x 11: nothing here is learnt, only computed."""
    rng = np.random.default_rng(7)
    x = torch.from_numpy(rng.integers(0, 256, (160, 2, 11, 11), dtype=np.uint8))
    y = torch.from_numpy(rng.integers(0, 10, 160))
    return Dataset("random", x[:120], y[:120], x[120:], y[120:], "none", 10)


def config(model: str = "sigmoid_tanh", **changes: object) -> RunConfig:
    base = RunConfig(
        task=TaskConfig("synthetic", train_size=75, validation_size=40),
        model=ModelConfig(MODELS[model]),
        optimizer=OptimizerConfig(0.3),
        batches=(Phase(2, 8),),
        evaluation=EvaluationConfig(per_epoch=2),
        dtype="float64",
    )
    return dataclasses.replace(base, **changes)


def sweep(base: RunConfig, lrs: tuple[float, ...] = (0.05, 0.4), seeds: tuple[int, ...] = (0, 3)):
    return [
        dataclasses.replace(base, optimizer=dataclasses.replace(base.optimizer, lr=lr), seed=seed)
        for lr in lrs
        for seed in seeds
    ]


def run_cohort(
    runs: list[RunConfig], data: Dataset, longest: int = 5, device: str = "cpu"
) -> Cohort:
    (ordered,) = arrange(runs)
    cohort = Cohort(ordered, data, device=device).to(device)
    cohort.start()
    for epoch in range(cohort.timetable.epochs):
        for span in cohort.timetable.spans(epoch, longest):
            cohort.train_block(span, cohort.indices(span).to(device))
            if span.evaluate:
                cohort.evaluate(span)
    return cohort


def compare(cohort: Cohort, data: Dataset, tolerance: float = 1e-9) -> None:
    """Every run of the cohort has the weights and metrics of the same run trained alone."""
    evaluated = set(cohort.records.step)
    for index, run in enumerate(cohort.runs):
        alone = oracle.train(run, data, evaluated)
        for name, value in cohort.network.export(index).items():
            torch.testing.assert_close(
                value, alone.state[name], rtol=tolerance, atol=tolerance, msg=f"{run} {name}"
            )
        for row, expected in enumerate(alone.evaluations):
            for metric, value in expected.items():
                got = cohort.records.values[row][metric, "validation"][index]
                assert got == pytest.approx(value, rel=tolerance, abs=tolerance)


SGD = {
    "plain": OptimizerConfig(0.3),
    "momentum": OptimizerConfig(0.3, momentum=0.9),
    "nesterov": OptimizerConfig(0.3, momentum=0.8, nesterov=True),
    "weight_decay": OptimizerConfig(0.3, weight_decay=0.01),
    "all": OptimizerConfig(0.3, momentum=0.9, nesterov=True, weight_decay=0.02),
}


@pytest.mark.parametrize("optimizer", SGD)
@pytest.mark.parametrize("model", MODELS)
def test_lockstep_equals_alone(model: str, optimizer: str, data: Dataset) -> None:
    base = config(model, optimizer=SGD[optimizer])
    compare(run_cohort(sweep(base, lrs=(0.01, 0.05, 0.1)), data), data)


@pytest.mark.parametrize(
    "schedule",
    [
        Step(0.7, every=4),
        Step(0.5, every=1, unit="epoch"),
        MultiStep(0.2, milestones=(1, 2)),
        MultiStep(0.3, milestones=(3, 11, 12), unit="step"),
    ],
    ids=str,
)
def test_lockstep_equals_alone_under_a_schedule(schedule: object, data: Dataset) -> None:
    compare(run_cohort(sweep(config(schedule=schedule, batches=(Phase(3, 10),))), data), data)


def test_runs_of_one_cohort_may_follow_different_schedules_momenta_and_decays(
    data: Dataset,
) -> None:
    runs = [
        config(
            schedule=MultiStep(factor, milestones=(1,)),
            optimizer=OptimizerConfig(0.1, momentum=momentum, weight_decay=0.1 * momentum),
            seed=seed,
        )
        for seed in (0, 1)
        for factor, momentum in ((0.1, 0.5), (0.9, 0.0), (3.0, 0.9))
    ]
    # A run without momentum trains with the plain ones, not with these.
    assert len(arrange(runs)) == 2
    for group in arrange(runs):
        compare(run_cohort(group, data), data)


def test_half_mse_equals_alone(data: Dataset) -> None:
    labels = torch.nn.functional.one_hot(data.train_y, 10).double()
    targets = dataclasses.replace(data, train_y=labels)
    run = config(task=TaskConfig("synthetic", 75, 40, loss="half_mse"))
    (ordered,) = arrange(sweep(run))
    cohort = Cohort(ordered, targets)
    cohort.start()
    for epoch in range(2):
        for span in cohort.timetable.spans(epoch, 4):
            cohort.train_block(span, cohort.indices(span))
    for index, one in enumerate(cohort.runs):
        alone = oracle.train(one, targets)
        for name, value in cohort.network.export(index).items():
            torch.testing.assert_close(value, alone.state[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("optimizer", SGD)
def test_inputs_that_are_always_zero_change_nothing(optimizer: str, data: Dataset) -> None:
    """They are left out of the first layer, unless weight decay moves even their weights."""
    black = torch.zeros(2, 11, 11, dtype=torch.bool)
    black[:, :3] = black[0, 5, 5] = True
    test_x = data.test_x.masked_fill(black, 0)
    test_x[0, 0, 5, 5] = 9  # not black in a test image: needed there
    partly = dataclasses.replace(data, train_x=data.train_x.masked_fill(black, 0), test_x=test_x)
    cohort = run_cohort(sweep(config(optimizer=SGD[optimizer])), partly)
    decays = SGD[optimizer].weight_decay > 0
    assert cohort.train_x.shape[1] == (242 if decays else 242 - 66)
    compare(cohort, partly)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_regression_on_points_equals_alone(dtype: str) -> None:
    points = load("curve")
    base = dataclasses.replace(
        config(),
        task=TaskConfig("curve", 90, 20, loss="half_mse"),
        model=ModelConfig((Linear(4), Sigmoid(), Linear(1))),
        batches=(Phase(2, 10),),
        dtype=dtype,
    )
    compare(run_cohort(sweep(base), points), points, 1e-9 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("drop_last", [False, True])
def test_batch_size_plan_with_a_last_partial_batch(drop_last: bool, data: Dataset) -> None:
    run = config("batch_norm_dropout", batches=(Phase(1, 7), Phase(2, 16)), drop_last=drop_last)
    cohort = run_cohort(sweep(run, lrs=(0.05, 0.2)), data)
    compare(cohort, data)
    # 75 = 10 * 7 + 5 = 4 * 16 + 11
    assert cohort.timetable.steps == (10 + 2 * 4 if drop_last else 11 + 2 * 5)


def test_a_batch_larger_than_the_training_set_is_one_full_batch_step(data: Dataset) -> None:
    cohort = run_cohort(sweep(config(batches=(Phase(3, 1000),))), data)
    assert cohort.timetable.steps == 3
    compare(cohort, data)


def test_validation_on_the_last_examples_and_training_on_the_first(data: Dataset) -> None:
    run = config(task=TaskConfig("synthetic", 75, 40, split="last"))
    compare(run_cohort(sweep(run), data), data)
    train, validation = streams.split(run.task, 120, seed=5)
    assert train.tolist() == list(range(75))
    assert validation.tolist() == list(range(80, 120))


def test_float32_stays_close_to_float64_for_the_first_steps(data: Dataset) -> None:
    run = config("convolution", batches=(Phase(1, 8),))
    single = run_cohort(sweep(dataclasses.replace(run, dtype="float32")), data)
    double = run_cohort(sweep(run), data)
    for index in range(len(single.runs)):
        for name, value in double.network.export(index).items():
            assert single.network.export(index)[name].dtype == torch.float32
            torch.testing.assert_close(
                single.network.export(index)[name].double(), value, rtol=0, atol=2e-6
            )


def test_init_order_and_masks_of_a_run_do_not_depend_on_its_cohort(data: Dataset) -> None:
    base = config("batch_norm_dropout")
    together = run_cohort(sweep(base, lrs=(0.05, 0.1, 0.2), seeds=(0, 1, 2)), data)
    alone = run_cohort(sweep(base, lrs=(0.1,), seeds=(1,)), data)
    index = together.runs.index(alone.runs[0])
    for name, value in alone.network.export(0).items():
        torch.testing.assert_close(
            together.network.export(index)[name], value, rtol=1e-11, atol=1e-11
        )


def test_results_do_not_depend_on_the_length_of_a_block(data: Dataset) -> None:
    runs = sweep(config("convolution"))
    short, long = run_cohort(runs, data, longest=1), run_cohort(runs, data, longest=1000)
    for index in range(len(runs)):
        for name, value in short.network.export(index).items():
            assert torch.equal(long.network.export(index)[name], value)


def test_arms_of_a_seed_share_init_and_order_and_seeds_do_not() -> None:
    orders = [streams.epoch_order(seed, epoch, 50) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)
    small = streams.split(TaskConfig("synthetic", 30, 20), 100, seed=0)
    large = streams.split(TaskConfig("synthetic", 60, 20), 100, seed=0)
    assert set(small[0]) < set(large[0])
    assert set(small[1]) == set(large[1])
    assert not set(large[0]) & set(large[1])


def test_a_diverged_run_is_marked_at_its_step_and_touches_no_other_run(data: Dataset) -> None:
    # Half mean squared error of a linear map diverges at a large LR, after a few steps.
    labels = torch.nn.functional.one_hot(data.train_y, 10).float()
    targets = dataclasses.replace(data, train_y=labels)
    run = config(
        "linear",
        dtype="float32",
        batches=(Phase(8, 8),),
        task=TaskConfig("synthetic", 75, 40, loss="half_mse"),
    )
    calm = run_cohort(sweep(run, lrs=(0.01, 0.02, 0.03)), targets)
    wild = run_cohort(sweep(run, lrs=(0.01, 0.02, 30.0)), targets)
    assert (calm.diverged_at < 0).all()
    diverged = wild.diverged_at.flatten().tolist()
    for index, one in enumerate(wild.runs):
        if one.optimizer.lr < 1:
            assert diverged[index] == -1
            for name, value in calm.network.export(index).items():
                assert torch.equal(wild.network.export(index)[name], value)
        else:
            losses = oracle.train(one, targets).losses
            assert diverged[index] == int(np.argmax(~np.isfinite(losses))) > 0
            assert np.isnan(wild.records.values[-1]["loss", "validation"][index])


def test_evaluation_does_not_depend_on_the_training_batch_size(data: Dataset) -> None:
    # An LR too small to move a float64 weight: both must report the initial network's metrics.
    tiny = OptimizerConfig(1e-300)
    small = run_cohort([config(batches=(Phase(1, 3),), optimizer=tiny)], data)
    large = run_cohort([config(batches=(Phase(1, 75),), optimizer=tiny)], data)
    key = ("loss", "validation")
    assert small.records.values[-1][key] == pytest.approx(large.records.values[-1][key], abs=1e-15)


def test_evaluation_twice_an_epoch_falls_on_its_middle_and_end(data: Dataset) -> None:
    cohort = run_cohort([config()], data)  # ten steps an epoch
    assert cohort.records.step == [5, 10, 15, 20]
    assert cohort.records.epoch == [0.5, 1.0, 1.5, 2.0]
    assert cohort.records.examples == [40, 75, 115, 150]


def test_mean_training_loss_weighs_every_example_alike(data: Dataset) -> None:
    run = config(evaluation=EvaluationConfig(1), batches=(Phase(1, 8),))
    cohort = run_cohort([run], data)
    losses = oracle.train(run, data).losses
    sizes = [8] * 9 + [3]
    expected = np.average(losses, weights=sizes)
    assert cohort.records.values[0]["loss", "train"][0] == pytest.approx(expected, rel=1e-12)


def test_dropout_keeps_the_stated_share_and_masks_differ_by_everything_but_the_lr() -> None:
    mask = streams.keep_mask(0, 2, 0, 0, 100, 500, 0.3)
    assert mask.mean() == pytest.approx(streams.keep_probability(0.3), abs=0.006)
    for other in [(1, 2, 0), (0, 3, 0), (0, 2, 1)]:
        assert (streams.keep_mask(*other, 0, 100, 500, 0.3) != mask).mean() > 0.3
    assert (mask[0] != mask[1]).any()
    later = streams.keep_mask(0, 2, 0, 40, 3, 500, 0.3)
    assert (later == mask[40:43]).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", MODELS)
def test_on_a_gpu_graphs_of_steps_equal_the_ordinary_loop(model: str, data: Dataset) -> None:
    run = config(model, batches=(Phase(6, 8),))
    cohort = run_cohort(sweep(run), data, longest=4, device="cuda")
    captured = [g for t in cohort._trainings.values() for g in t._graphs.values()]
    assert any(graph is not None for graph in captured)
    compare(cohort.to("cpu"), data, 1e-8)


def test_seed_zero_is_a_seed(data: Dataset) -> None:
    zero, one = run_cohort([config(seed=0)], data), run_cohort([config(seed=1)], data)
    again = run_cohort([config(seed=0)], data)
    name = "1.weight"
    assert torch.equal(zero.network.export(0)[name], again.network.export(0)[name])
    assert not torch.equal(zero.network.export(0)[name], one.network.export(0)[name])


def test_arrange_makes_full_grids_and_loses_no_run() -> None:
    runs = sweep(config(), lrs=(0.1, 0.2, 0.3), seeds=(0, 1, 2))
    missing = [run for run in runs if not (run.seed == 2 and run.optimizer.lr == 0.2)]
    other = sweep(config(batches=(Phase(2, 16),)))
    groups = arrange([*missing, *other])
    assert sorted(map(len, groups)) == [2, 4, 6]
    assert {run for group in groups for run in group} == {*missing, *other}


class Residual(torch.nn.Module):
    """A network that no cohort layer describes."""

    def __init__(self, inner: torch.nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.inner[:2](x)
        return self.inner[2:](torch.sin(first) + first)


class Wrapped(torch.nn.Module):
    """A network with a cohort form, hidden from the lift."""

    def __init__(self, inner: torch.nn.Sequential) -> None:
        super().__init__()
        for name, child in inner.named_children():
            self.add_module(name, child)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for child in self.children():
            x = child(x)
        return x


@pytest.mark.parametrize("optimizer", ["plain", "all"])
@pytest.mark.parametrize(
    ("model", "together"),
    [("sigmoid_tanh", True), ("batch_norm_dropout", False), ("convolution", False)],
)
def test_networks_without_a_cohort_form_train_alike_under_autograd(
    model: str, together: bool, optimizer: str, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """The explicit backward passes and the general autograd path agree."""
    runs = sweep(config(model, optimizer=SGD[optimizer]), lrs=(0.02, 0.1))
    (ordered,) = arrange(runs)

    def build(seed: int) -> torch.nn.Module:
        return Wrapped(models.build(ordered[0].model, (2, 11, 11), seed))

    general = Cohort(ordered, data, build)
    assert general.network.together is together
    assert ("vmap;" if together else "one by one") in caplog.text.replace("vmap\n", "vmap;")
    general.start()
    for epoch in range(2):
        for span in general.timetable.spans(epoch, 4):
            general.train_block(span, general.indices(span))
            if span.evaluate:
                general.evaluate(span)
    lifted = run_cohort(runs, data)
    for index in range(len(runs)):
        for name, value in lifted.network.export(index).items():
            torch.testing.assert_close(
                general.network.export(index)[name], value, rtol=1e-9, atol=1e-9
            )
    for got, expected in zip(general.records.values, lifted.records.values, strict=True):
        for key, value in expected.items():
            np.testing.assert_allclose(got[key], value, rtol=1e-9, atol=1e-12)


def test_a_module_of_its_own_kind_equals_the_same_module_trained_alone(data: Dataset) -> None:
    runs = sweep(config())

    def build(seed: int) -> torch.nn.Module:
        return Residual(models.build(config().model, (2, 11, 11), seed))

    (ordered,) = arrange(runs)
    cohort = Cohort(ordered, data, build)
    cohort.start()
    for epoch in range(2):
        for span in cohort.timetable.spans(epoch, 7):
            cohort.train_block(span, cohort.indices(span))
    for index, run in enumerate(cohort.runs):
        network = build(run.seed).double()
        optimizer = torch.optim.SGD(network.parameters(), lr=run.optimizer.lr)
        train_at, _ = streams.split(run.task, 120, run.seed)
        for epoch in range(2):
            order = train_at[streams.epoch_order(run.seed, epoch, 75)]
            for start in range(0, 75, 8):
                batch = torch.from_numpy(order[start : start + 8])
                optimizer.zero_grad()
                output = network(data.train_x[batch].double() / 255)
                torch.nn.functional.cross_entropy(output, data.train_y[batch]).backward()
                optimizer.step()
        for name, value in network.state_dict().items():
            torch.testing.assert_close(
                cohort.network.export(index)[name], value, rtol=1e-9, atol=1e-9
            )
