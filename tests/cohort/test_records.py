"""What a run records and when it ends, against plain loops over one run."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch

from bench_lr.cohort import engine, streams
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.stopwatch import Stopwatch
from bench_lr.data import Dataset, load
from bench_lr.schema import (
    EvaluationConfig,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    RunConfig,
    Sigmoid,
    Target,
    TaskConfig,
)
from tests.cohort import oracle
from tests.cohort.test_engine import config, data, run_cohort, sweep

__all__ = ["data"]
CURVE = RunConfig(
    task=TaskConfig("curve", train_size=90, validation_size=30, loss="half_mse"),
    model=ModelConfig((Linear(4), Sigmoid(), Linear(1))),
    optimizer=OptimizerConfig(0.3),
    batches=(Phase(6, 10),),
    dtype="float64",
)


@pytest.fixture(scope="module")
def points() -> Dataset:
    return load("curve")


def column(cohort: Cohort, metric: str, split: str, run: int) -> list[float]:
    return [float(values[metric, split][run]) for values in cohort.records.values]


# --- spread of the minibatch losses -------------------------------------------------------------


def spreads(losses: list[float], stops: list[int]) -> list[float]:
    """Sample standard deviation of the losses up to each stop, from the one before."""
    found = []
    for first, last in zip([0, *stops], stops, strict=False):
        part = losses[first:last]
        mean = sum(part) / len(part)
        squares = sum((loss - mean) ** 2 for loss in part)
        found.append((squares / (len(part) - 1)) ** 0.5 if len(part) > 1 else 0.0)
    return found


@pytest.mark.parametrize(
    ("evaluation", "batches"),
    [
        (EvaluationConfig(2), (Phase(2, 8),)),
        (EvaluationConfig(every=2), (Phase(1, 8), Phase(2, 30))),
        (EvaluationConfig(3), (Phase(1, 25),)),
    ],
    ids=["halves", "every_second_epoch", "one_step_each"],
)
@pytest.mark.parametrize("longest", [1, 4, 1000])
def test_spread_of_the_losses_of_the_steps_since_the_last_evaluation(
    evaluation: EvaluationConfig, batches: tuple[Phase, ...], longest: int, data: Dataset
) -> None:
    runs = sweep(config(evaluation=evaluation, batches=batches))
    cohort = run_cohort(runs, data, longest)
    for index, run in enumerate(cohort.runs):
        wanted = spreads(oracle.train(run, data).losses, cohort.records.step)
        assert column(cohort, "loss_sd", "train", index) == pytest.approx(wanted, rel=1e-9)


def test_the_spread_of_losses_far_from_zero_is_not_lost_to_rounding(points: Dataset) -> None:
    # Half the squared distance to 1e6: losses of 5e11 that differ by what the data differ.
    far = dataclasses.replace(points, train_y=points.train_y.double() + 1e6)
    run = dataclasses.replace(
        CURVE, optimizer=OptimizerConfig(1e-300), batches=(Phase(1, 1),), dtype="float64"
    )
    cohort = run_cohort([run], far, longest=7)
    losses = oracle.train(run, far).losses
    assert column(cohort, "loss_sd", "train", 0)[0] == pytest.approx(np.std(losses, ddof=1))
    assert np.std(losses) < 1e-5 * np.mean(losses)


def test_one_step_has_no_spread_and_a_diverged_run_none_that_is_a_number(data: Dataset) -> None:
    labels = torch.nn.functional.one_hot(data.train_y, 10).float()
    targets = dataclasses.replace(data, train_y=labels)
    run = config(
        "linear",
        dtype="float32",
        batches=(Phase(40, 75),),
        evaluation=EvaluationConfig(),
        task=TaskConfig("synthetic", 75, 40, loss="half_mse"),
    )
    cohort = run_cohort(sweep(run, lrs=(0.01, 1e6)), targets)
    for index, one in enumerate(cohort.runs):
        found = column(cohort, "loss_sd", "train", index)
        if one.optimizer.lr < 1:
            assert found == [0.0] * 40
        else:
            assert found[0] == 0
            assert np.isnan(found[-1])


# --- the training set ---------------------------------------------------------------------------


def measured(run: RunConfig, data: Dataset) -> dict[str, float]:
    """Metrics of a run's training examples at its end, by the ordinary loop's network."""
    state = oracle.train(run, data).state
    network = oracle.models.build(run.model, tuple(data.train_x.shape[1:]), run.seed).double()
    network.load_state_dict(state)
    train, _ = streams.split(run.task, len(data.train_x), run.seed)
    return oracle._evaluate(run, network, data, train, torch.float64)


@pytest.mark.parametrize("model", ["batch_norm_dropout", "convolution", "linear"])
@pytest.mark.parametrize("together", [1 << 21, 1])
def test_the_training_set_is_the_runs_own_in_evaluation_mode(
    model: str, together: int, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_EVALUATION_VALUES", together)
    splits = ("training_set", "validation")
    run = config(model, evaluation=EvaluationConfig(1, splits), batches=(Phase(2, 16),))
    cohort = run_cohort(sweep(run), data)
    for index, one in enumerate(cohort.runs):
        for metric, value in measured(one, data).items():
            found = column(cohort, metric, "training_set", index)
            assert len(found) == 2
            assert found[-1] == pytest.approx(value, rel=1e-9)


def test_compiled_steps_are_measured_on_their_training_set_too(points: Dataset) -> None:
    evaluation = EvaluationConfig(1, ("training_set", "validation"))
    cohort = run_cohort(sweep(dataclasses.replace(CURVE, evaluation=evaluation)), points)
    assert set(cohort._measured) == {"training_set", "validation"}
    for index, one in enumerate(cohort.runs):
        (value,) = measured(one, points).values()
        found = column(cohort, "loss", "training_set", index)
        assert found[-1] == pytest.approx(value, rel=1e-9)


# --- ending at a target ---------------------------------------------------------------------------


def ending(lrs: tuple[float, ...], at_most: float, points: Dataset, **changes: object) -> Cohort:
    run = dataclasses.replace(CURVE, stop_at=Target(at_most=at_most), **changes)
    return run_cohort(sweep(run, lrs=lrs, seeds=(0, 1)), points)


def test_a_run_ends_at_its_first_evaluation_that_meets_the_target(points: Dataset) -> None:
    plain = run_cohort(sweep(CURVE, lrs=(0.05, 0.3, 0.9), seeds=(0, 1)), points)
    curves = [column(plain, "loss", "validation", i) for i in range(6)]
    level = float(np.median([min(curve) for curve in curves]))
    cohort = ending((0.05, 0.3, 0.9), level, points)
    wanted = [next((i for i, v in enumerate(c) if v <= level), -1) for c in curves]
    assert -1 in wanted
    assert len(set(wanted)) > 2
    assert cohort.records.ended.tolist() == wanted
    assert cohort.records.reached.tolist() == [place >= 0 for place in wanted]
    for index, place in enumerate(wanted):
        own = cohort.records.evaluations(index)
        assert own == (6 if place < 0 else place + 1)
        # Up to its end it is the run that has no target.
        assert column(cohort, "loss", "validation", index)[:own] == curves[index][:own]
    assert not cohort.has_ended


def test_at_least_is_for_metrics_that_rise(data: Dataset) -> None:
    run = config(batches=(Phase(4, 8),), evaluation=EvaluationConfig(1, ("test",)))
    plain = run_cohort(sweep(run), data)
    curves = [column(plain, "accuracy", "test", i) for i in range(4)]
    level = float(np.median([max(curve) for curve in curves]))
    target = Target("accuracy", "test", at_least=level)
    cohort = run_cohort(sweep(dataclasses.replace(run, stop_at=target)), data)
    wanted = [next((i for i, v in enumerate(c) if v >= level), -1) for c in curves]
    assert cohort.records.ended.tolist() == wanted


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_a_run_records_does_not_depend_on_whether_its_companions_go_on(
    dtype: str, points: Dataset
) -> None:
    plain = run_cohort(sweep(dataclasses.replace(CURVE, dtype=dtype), (0.05, 0.9)), points)
    curves = [column(plain, "loss", "validation", i) for i in range(4)]
    level = max(min(curve) for curve in curves)

    def cohort(lrs: tuple[float, ...]) -> Cohort:
        run = dataclasses.replace(CURVE, dtype=dtype, stop_at=Target(at_most=level))
        return run_cohort(sweep(run, lrs), points)

    # The others reach the target at once, or never, or diverge.
    among = [cohort((0.05, 0.9, 0.9000001)), cohort((0.05, 1e-9, 0.9)), cohort((0.05, 0.9, 1e12))]
    for lr in (0.05, 0.9):
        for seed in (0, 3):
            rows = []
            for each in among:
                (index,) = [
                    i
                    for i, run in enumerate(each.runs)
                    if (run.optimizer.lr, run.seed) == (lr, seed)
                ]
                own = each.records.evaluations(index)
                rows.append(
                    [
                        (step, key, float(values[key][index]))
                        for step, values in zip(
                            each.records.step[:own], each.records.values[:own], strict=True
                        )
                        for key in values
                    ]
                )
            assert rows[0] == rows[1] == rows[2]


def test_a_run_that_diverged_ends_there_and_one_that_ended_cannot_diverge(
    points: Dataset,
) -> None:
    run = dataclasses.replace(CURVE, model=ModelConfig((Linear(1),)), dtype="float32")
    plain = run_cohort(sweep(run, lrs=(0.1, 30.0)), points)
    lost = [bool(at >= 0) for at in plain.diverged_at.flatten()]
    assert lost == [False, True, False, True]
    # No run reaches it: those that diverge end at the first evaluation that shows it.
    stop = Target(at_most=-1.0)
    cohort = run_cohort(sweep(dataclasses.replace(run, stop_at=stop), lrs=(0.1, 30.0)), points)
    for index, diverged in enumerate(lost):
        curve = column(plain, "loss", "validation", index)
        first = next((i for i, v in enumerate(curve) if np.isnan(v)), -1)
        assert (first >= 0) == diverged
        assert cohort.records.ended[index] == first
    assert not cohort.records.reached.any()
    # All reach it at once, before any diverges: they are kept as they are.
    stop = Target(at_most=1e30)
    short = dataclasses.replace(run, stop_at=stop, evaluation=EvaluationConfig(9))
    cohort = run_cohort(sweep(short, lrs=(0.1, 30.0)), points)
    assert cohort.has_ended
    assert cohort.records.reached.all()
    assert (cohort.diverged_at < 0).all()


# --- time -----------------------------------------------------------------------------------------


def test_a_timed_run_trains_alone_and_others_share(data: Dataset) -> None:
    runs = sweep(config(timed=True))
    plain = sweep(config())
    groups = arrange([*runs, *plain])
    assert [len(group) for group in groups] == [4, 1, 1, 1, 1]
    assert {group[0] for group in groups[1:]} == set(runs)
    with pytest.raises(ValueError, match="alone"):
        Cohort(arrange(plain)[0][:0] + sorted(runs, key=lambda run: run.seed)[:2], data)


def test_time_is_that_of_training_without_evaluation_and_set_up(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class Slow(Cohort):
        """Takes 1 s for an order, 10 s for the steps, 100 s an evaluation, 1000 s to set up."""

        def _order(self, epoch: int) -> np.ndarray:
            now[0] += 1
            return super()._order(epoch)

        def _add_squares(self, trace: torch.Tensor) -> None:
            now[0] += 10
            super()._add_squares(trace)

        def _sums(self, name: str) -> dict[str, np.ndarray]:
            now[0] += 100
            return super()._sums(name)

        def _inputs(self, steps: int, batch: int) -> engine.Inputs:
            now[0] += 1000
            return super()._inputs(steps, batch)

    monkeypatch.setattr("tests.cohort.test_engine.Cohort", Slow)
    cohort = run_cohort([config(timed=True)], data, longest=5)
    # Ten steps an epoch, the last one partial: spans of 5, 4 and 1; evaluated after 5 and 10.
    assert column(cohort, "seconds", "train", 0) == [11, 33, 44, 66]
    assert now[0] > 2000


def test_a_run_that_is_not_timed_records_no_time(data: Dataset) -> None:
    cohort = run_cohort([config()], data)
    assert ("seconds", "train") not in cohort.records.values[0]


def test_a_stopwatch_adds_up_what_is_between_going_and_pausing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [5.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch()
    watch.pause()
    assert watch.seconds == 0
    for passed, wanted in [(1.0, 1.0), (2.0, 3.0)]:
        watch.go_on()
        now[0] += passed / 2
        watch.go_on()
        now[0] += passed / 2
        assert watch.seconds == wanted
        watch.pause()
        now[0] += 100
        watch.pause()
        assert watch.seconds == wanted
