"""Cohorts under the Lightning Trainer give what the engine and an ordinary loop give."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from bench_lr import trainer
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.timetable import Timetable
from bench_lr.data import Dataset, load
from bench_lr.identity import config_dict, run_id
from bench_lr.schema import (
    BatchNorm,
    Dropout,
    EvaluationConfig,
    Flatten,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    ReLU,
    RunConfig,
    Sigmoid,
    Target,
    TaskConfig,
)
from bench_lr.store import COLUMNS, Store
from bench_lr.trainer import SPAN_STEPS, store_cohort, tables, train_and_store, train_cohort
from tests.cohort import oracle

NETWORK = ModelConfig(
    (Flatten(), Linear(12, bias=False), BatchNorm(), ReLU(), Dropout(0.25), Linear(10))
)
BASE = RunConfig(
    task=TaskConfig("synthetic", train_size=75, validation_size=40),
    model=NETWORK,
    optimizer=OptimizerConfig(0.05, momentum=0.9, weight_decay=0.001),
    batches=(Phase(1, 7), Phase(2, 16)),
    evaluation=EvaluationConfig(per_epoch=2),
    dtype="float64",
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Random images: nothing here is learnt, only computed."""
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.integers(0, 256, (160, 1, 6, 6), dtype=np.uint8))
    y = torch.from_numpy(rng.integers(0, 10, 160))
    return Dataset("random", x[:120], y[:120], x[120:], y[120:], "the digest", 10)


@pytest.fixture(scope="module")
def targets(data: Dataset) -> Dataset:
    """The same images with one-hot targets, on which a linear map diverges at a large LR."""
    return dataclasses.replace(data, train_y=torch.nn.functional.one_hot(data.train_y, 10).float())


def cohort_of(base: RunConfig, *lrs: float, seeds: tuple[int, ...] = (0, 3)) -> list[RunConfig]:
    optimizers = [dataclasses.replace(base.optimizer, lr=lr) for lr in lrs or (0.01, 0.05)]
    (ordered,) = arrange(
        [dataclasses.replace(base, optimizer=o, seed=s) for o in optimizers for s in seeds]
    )
    return ordered


def diverging() -> list[RunConfig]:
    base = dataclasses.replace(
        BASE,
        task=dataclasses.replace(BASE.task, loss="half_mse"),
        model=ModelConfig((Flatten(), Linear(10))),
        optimizer=OptimizerConfig(0.01),
        batches=(Phase(8, 8),),
        dtype="float32",
    )
    return cohort_of(base, 0.01, 100.0, seeds=(0, 1))


def by_hand(runs: list[RunConfig], data: Dataset) -> Cohort:
    cohort = Cohort(runs, data)
    cohort.start()
    for epoch in range(cohort.timetable.epochs):
        for span in cohort.timetable.spans(epoch, SPAN_STEPS):
            cohort.train_block(span, cohort.indices(span))
            if span.evaluate:
                cohort.evaluate(span)
    return cohort


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[pl.Trainer]:
    """Every Lightning Trainer that is made."""
    made: list[pl.Trainer] = []
    make = trainer.make_trainer

    def kept(*arguments: Any) -> pl.Trainer:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(trainer, "make_trainer", kept)
    return made


# --- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_trainer_gives_exactly_what_the_engine_driven_by_hand_gives(
    dtype: str, data: Dataset
) -> None:
    runs = cohort_of(dataclasses.replace(BASE, dtype=dtype))
    trained, expected = train_cohort(runs, data, device="cpu"), by_hand(runs, data)
    for index in range(len(runs)):
        weights = trained.network.export(index)
        for name, value in expected.network.export(index).items():
            assert torch.equal(weights[name], value), name
    assert trained.records.step == expected.records.step
    assert trained.records.examples == expected.records.examples
    for got, wanted in zip(trained.records.values, expected.records.values, strict=True):
        assert got.keys() == wanted.keys()
        assert all(np.array_equal(got[key], value) for key, value in wanted.items())


def test_in_float64_it_is_the_ordinary_loop_momentum_plan_and_half_epochs_included(
    data: Dataset,
) -> None:
    runs = cohort_of(BASE, 0.01, 0.05, 0.1)
    cohort = train_cohort(runs, data, device="cpu")
    # 75 examples are 11 steps of 7 or 5 steps of 16; the halves are 6 (5.5) and 2 (2.5) of them.
    assert cohort.records.step == [6, 11, 13, 16, 18, 21]
    assert cohort.records.epoch == pytest.approx([6 / 11, 1, 1.4, 2, 2.4, 3])
    for index, run in enumerate(runs):
        alone = oracle.train(run, data, set(cohort.records.step))
        for name, value in cohort.network.export(index).items():
            torch.testing.assert_close(value, alone.state[name], rtol=1e-9, atol=1e-9)
        for row, expected in zip(cohort.records.values, alone.evaluations, strict=True):
            for metric, value in expected.items():
                assert row[metric, "validation"][index] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("dtype", "precision"), [("float64", "64-true"), ("float32", "32-true")])
def test_precision_is_that_of_the_run(
    dtype: str, precision: str, data: Dataset, trainers: list[pl.Trainer]
) -> None:
    cohort = train_cohort(cohort_of(dataclasses.replace(BASE, dtype=dtype)), data, device="cpu")
    assert [made.precision for made in trainers] == [precision]
    found = {v.dtype for v in cohort.network.export(0).values() if v.is_floating_point()}
    assert found == {getattr(torch, dtype)}
    assert torch.get_default_dtype() == torch.float32


# --- Lightning ----------------------------------------------------------------------------------


def test_one_global_step_of_lightning_is_one_block(
    data: Dataset, trainers: list[pl.Trainer]
) -> None:
    run = dataclasses.replace(
        BASE,
        model=ModelConfig((Flatten(), Linear(10))),
        batches=(Phase(6, 1),),
        evaluation=EvaluationConfig(per_epoch=1),
    )
    shares: list[float] = []
    cohort = train_cohort(cohort_of(run), data, device="cpu", progress=shares.append)
    # 75 steps an epoch: a span of 64 and one of 11; four epochs make the first block.
    assert trainers[0].global_step == 2
    assert cohort.timetable.steps == 450
    assert shares[:4] == pytest.approx([64 / 450, 75 / 450, 139 / 450, 150 / 450])
    assert shares[-1] == 1


def test_short_epochs_share_a_stretch_and_long_ones_do_not(data: Dataset) -> None:
    def of(*batches: Phase) -> list[range]:
        return trainer.stretches(Timetable.of(dataclasses.replace(BASE, batches=batches)))

    # 75 steps an epoch: fourteen epochs are 1050 steps.
    assert of(Phase(30, 1)) == [range(14), range(14, 28), range(28, 30)]
    assert of(Phase(2, 75)) == [range(2)]
    long = dataclasses.replace(BASE, task=dataclasses.replace(BASE.task, train_size=2000))
    long = dataclasses.replace(long, batches=(Phase(3, 1),))
    assert trainer.stretches(Timetable.of(long)) == [range(1), range(1, 2), range(2, 3)]


def test_training_writes_no_file(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train_cohort(cohort_of(BASE), data, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_what_is_interrupted_is_not_stored(data: Dataset, tmp_path: Path) -> None:
    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    store = Store(tmp_path / "store")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train_and_store(cohort_of(BASE), data, store, device="cpu", progress=interrupt)
    assert store.known() == set()


def test_an_error_inside_training_is_passed_on(data: Dataset) -> None:
    def fail(share: float) -> None:
        raise ValueError("broken inside")

    with pytest.raises(ValueError, match="broken inside"):
        train_cohort(cohort_of(BASE), data, device="cpu", progress=fail)


# --- results ------------------------------------------------------------------------------------


def test_tables_hold_what_was_recorded(data: Dataset) -> None:
    runs = cohort_of(BASE)
    cohort = train_cohort(runs, data, device="cpu")
    records = cohort.records
    for index, (run, table) in enumerate(zip(runs, tables(cohort), strict=True)):
        assert tuple(table.columns) == COLUMNS
        assert set(table["run_id"]) == {run_id(run)}
        assert not table["value"].isna().any()
        wanted = [
            (step, epoch, examples, metric, split, float(values[metric, split][index]))
            for step, epoch, examples, values in zip(
                records.step, records.epoch, records.examples, records.values, strict=True
            )
            for metric, split in values
        ]
        found = table[list(COLUMNS[1:])].itertuples(index=False, name=None)
        assert sorted(found) == sorted(wanted)
    metrics = set(zip(table["metric"], table["split"], strict=True))
    assert {("loss", "train"), ("loss", "validation"), ("accuracy", "validation")} <= metrics
    rates = table[table["metric"] == "lr"]["value"]
    assert set(rates) == {runs[-1].optimizer.lr}
    sizes = table[table["metric"] == "batch_size"]["value"]
    assert sizes.tolist() == [7, 7, 16, 16, 16, 16]


def test_after_its_divergence_a_run_has_no_metrics_and_the_others_keep_theirs(
    targets: Dataset,
) -> None:
    cohort = train_cohort(diverging(), targets, device="cpu")
    for run, table, at in zip(
        cohort.runs, tables(cohort), cohort.diverged_at.flatten().tolist(), strict=True
    ):
        values = table[(table["metric"] == "loss") & (table["split"] == "validation")]
        lost = values["value"].isna()
        if run.optimizer.lr < 1:
            assert at == -1
            assert not lost.any()
        else:
            assert 0 <= at < cohort.timetable.steps
            assert (lost | (values["step"] <= at)).all()
            assert lost.any()


def test_a_diverged_run_is_an_outcome_with_its_step_and_the_others_are_complete(
    targets: Dataset, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    runs = diverging()
    assert train_and_store(runs, targets, store, device="cpu") > 0
    assert store.lacking(run_id(run) for run in runs) == []
    for run in runs:
        found = store.read(run_id(run))
        assert found is not None
        commit, table = found
        assert commit.config == config_dict(run)
        if run.optimizer.lr < 1:
            assert (commit.status, commit.diverged_at) == ("complete", None)
        else:
            assert commit.status == "diverged"
            assert 0 <= commit.diverged_at < 80
            assert table["value"].isna().any()


def test_a_commit_says_what_produced_the_run(data: Dataset, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    cohort = train_cohort(cohort_of(BASE), data, device="cpu")
    store_cohort(store, cohort, data, seconds=10.0)
    origins = [store.read(run_id(run))[0].provenance for run in cohort.runs]  # type: ignore[index]
    for origin in origins:
        assert origin["device_kind"] == "cpu"
        assert origin["device"]
        assert origin["threads"] == torch.get_num_threads()
        assert origin["versions"]["torch"] == torch.__version__
        assert set(origin["versions"]) >= {"python", "bench-lr", "pytorch-lightning", "numpy"}
        assert isinstance(origin["commit"], str)
        assert isinstance(origin["dirty"], bool)
        assert (origin["data"], origin["data_sha256"]) == ("random", "the digest")
        assert origin["cohort_seconds"] == 10.0
        assert origin["finished"].endswith("+00:00")
    # What claims cost is the sum over their runs.
    assert sum(origin["seconds"] for origin in origins) == pytest.approx(10.0)


# --- runs that end ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def points() -> Dataset:
    return load("curve")


def regression(**changes: Any) -> RunConfig:
    base = RunConfig(
        task=TaskConfig("curve", 90, 30, loss="half_mse"),
        model=ModelConfig((Linear(4), Sigmoid(), Linear(1))),
        optimizer=OptimizerConfig(0.3),
        batches=(Phase(3000, 10),),
        evaluation=EvaluationConfig(every=10),
    )
    return dataclasses.replace(base, **changes)


def test_training_stops_when_the_last_run_has_ended(
    points: Dataset, trainers: list[pl.Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SMALL", 1)
    runs = cohort_of(regression(stop_at=Target(at_most=0.02)), 0.3, 0.9)
    shares: list[float] = []
    cohort = train_cohort(runs, points, device="cpu", progress=shares.append)
    assert cohort.records.reached.all()
    last = cohort.records.ended.max()
    assert len(cohort.records.step) == last + 1
    assert cohort.records.step[-1] == 90 * (last + 1) < cohort.timetable.steps / 2
    assert trainers[0].current_epoch < trainers[0].max_epochs / 2
    assert shares[-1] == 1


def test_a_table_ends_where_its_run_does_and_the_commit_says_whether_at_the_target(
    points: Dataset, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    target = Target(at_most=0.02)
    runs = cohort_of(regression(stop_at=target, batches=(Phase(300, 10),)), 1e-6, 0.3, 0.9)
    train_and_store(runs, points, store, device="cpu", origin={"jobs_at_once": 2})
    for run in runs:
        found = store.read(run_id(run))
        assert found is not None
        commit, table = found
        assert (commit.status, commit.diverged_at) == ("complete", None)
        assert commit.provenance["jobs_at_once"] == 2
        losses = table[(table["metric"] == "loss") & (table["split"] == "validation")]
        reached = run.optimizer.lr > 1e-6
        assert commit.provenance["reached_target"] is reached
        assert (losses["value"].iloc[:-1] > 0.02).all()
        assert (losses["value"].iloc[-1] <= 0.02) == reached
        assert (losses["epoch"].iloc[-1] < 300) == reached
        assert table["epoch"].max() == losses["epoch"].iloc[-1]
        assert (table.groupby("epoch")["metric"].count() == len(set(table["metric"])) + 1).all()


def test_joined_epochs_and_long_spans_give_the_weights_of_epochs_by_themselves(
    points: Dataset,
) -> None:
    run = regression(batches=(Phase(25, 30), Phase(10, 90)), evaluation=EvaluationConfig(every=7))
    runs = cohort_of(run, 0.1, 0.9)
    joined, expected = train_cohort(runs, points, device="cpu"), by_hand(runs, points)
    assert joined.records.step == expected.records.step
    assert joined.records.epoch == expected.records.epoch == [7, 14, 21, 28, 35]
    assert joined.records.examples == [90 * epoch for epoch in joined.records.epoch]
    for index in range(len(runs)):
        weights = joined.network.export(index)
        for name, value in expected.network.export(index).items():
            assert torch.equal(weights[name], value), name
    for got, wanted in zip(joined.records.values, expected.records.values, strict=True):
        for key, value in wanted.items():
            np.testing.assert_allclose(got[key], value, rtol=1e-12)


def test_the_time_of_a_timed_run_grows_and_is_less_than_all_the_time(
    data: Dataset, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    (run,) = cohort_of(dataclasses.replace(BASE, timed=True), 0.05, seeds=(0,))
    whole = train_and_store([run], data, store, device="cpu")
    found = store.read(run_id(run))
    assert found is not None
    seconds = found[1][found[1]["metric"] == "seconds"]
    assert set(seconds["split"]) == {"train"}
    assert (np.diff(seconds["value"], prepend=0) > 0).all()
    assert seconds["value"].iloc[-1] < whole


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_commit_names_the_gpu_that_trained_the_run(data: Dataset, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    runs = cohort_of(BASE)
    train_and_store(runs, data, store, device="auto")
    commit = store.commit_of(run_id(runs[0]))
    assert commit is not None
    assert commit.device_kind == "cuda"
    assert commit.provenance["device"] == torch.cuda.get_device_name()
