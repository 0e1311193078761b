"""Training that is broken off and goes on: bit for bit what it would have been."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from bench_lr.checkpoint import Keeper, header_of, path_of, sweep, unfinished
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.data import Dataset, load
from bench_lr.identity import run_ids
from bench_lr.probes import DisplacementSketch
from bench_lr.schedules import MultiStep, Plateau, Warmup
from bench_lr.schema import (
    AdagradConfig,
    AdamConfig,
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
    Target,
    TaskConfig,
)
from bench_lr.store import Store
from bench_lr.trainer import tables, train_and_store, train_cohort
from tests.stored import begin, commit, run, simple

PLATEAU = Plateau("loss", "validation", "min", factor=0.5, patience=0)
BASE = RunConfig(
    task=TaskConfig("synthetic", train_size=75, validation_size=40),
    model=ModelConfig(
        (Flatten(), Linear(12, bias=False), BatchNorm(), ReLU(), Dropout(0.25), Linear(10))
    ),
    optimizer=OptimizerConfig(0.05, momentum=0.9, weight_decay=0.001),
    batches=(Phase(2, 7), Phase(2, 16)),
    evaluation=EvaluationConfig(per_epoch=2),
)
SMALL = RunConfig(
    task=TaskConfig("curve", 90, 30, loss="half_mse"),
    model=ModelConfig((Linear(4), Sigmoid(), Linear(1))),
    optimizer=OptimizerConfig(0.3),
    batches=(Phase(40, 10), Phase(300, 45)),
    evaluation=EvaluationConfig(every=10),
)


def changed(base: RunConfig = BASE, **changes: Any) -> RunConfig:
    return dataclasses.replace(base, **changes)


CONFIGS = {
    "momentum, dropout, batch norm": BASE,
    "nesterov": changed(optimizer=OptimizerConfig(0.05, momentum=0.9, nesterov=True)),
    "plain": changed(optimizer=OptimizerConfig(0.05)),
    "adam": changed(optimizer=AdamConfig(0.01)),
    "adagrad": changed(optimizer=AdagradConfig(0.05)),
    "float64": changed(dtype="float64"),
    "plateau": changed(schedule=PLATEAU),
    "table": changed(schedule=MultiStep(milestones=(1, 3), factor=0.1)),
    "convolution": changed(
        model=ModelConfig((Conv2d(4, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(10)))
    ),
    "probe": changed(
        model=ModelConfig((Flatten(), Linear(10))),
        evaluation=EvaluationConfig(per_epoch=2, probes=(DisplacementSketch(size=4),)),
    ),
    "diverging": changed(optimizer=OptimizerConfig(1e30)),
    "compiled loop": SMALL,
    "compiled loop, plateau": changed(SMALL, schedule=PLATEAU),
    "until a target": changed(SMALL, stop_at=Target(at_most=0.0105)),
}


class Broken(Exception):
    """What stands for the end of a process."""


def cohort_of(base: RunConfig) -> list[RunConfig]:
    lrs = (base.optimizer.lr, base.optimizer.lr / 4)
    optimizers = [dataclasses.replace(base.optimizer, lr=lr) for lr in lrs]
    runs = [dataclasses.replace(base, optimizer=o, seed=s) for o in optimizers for s in (0, 3)]
    (ordered,) = arrange(runs)
    return ordered


def data_of(base: RunConfig) -> Dataset:
    return load(base.task.data)


def breaking_at(span: int) -> Callable[[], bool]:
    """Ask for a break after so many spans."""
    looks = iter(range(1_000_000))
    return lambda: next(looks) == span


def stop() -> None:
    raise Broken


def train(
    runs: list[RunConfig], data: Dataset, store: Store, span: int | None, **options: Any
) -> Cohort | None:
    """Train to the end, or to a break after so many spans."""
    asked = breaking_at(-1 if span is None else span)
    keeper = Keeper(store, runs, data.sha256, asked=asked, stop=stop, **options)
    try:
        return train_cohort(runs, data, device="cpu", keeper=keeper)
    except Broken:
        return None


def assert_same(cohort: Cohort, expected: Cohort) -> None:
    for mine, theirs in zip(tables(cohort), tables(expected), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    assert torch.equal(cohort.diverged_at, expected.diverged_at)
    assert cohort.records.reached.tolist() == expected.records.reached.tolist()
    for index in range(len(cohort.runs)):
        weights = cohort.network.export(index)
        for name, value in expected.network.export(index).items():
            torch.testing.assert_close(weights[name], value, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_cohort_goes_on_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    base = CONFIGS[name]
    runs, data = cohort_of(base), data_of(base)
    expected = train_cohort(runs, data, device="cpu")
    store = Store(tmp_path)
    breaks = 0
    # At every few spans anew, each time going on from the last break.
    while (cohort := train(runs, data, store, span=4)) is None:
        breaks += 1
        assert breaks < 200
    assert breaks >= 2
    assert_same(cohort, expected)


def test_a_break_after_the_last_step_loses_nothing(tmp_path: Path) -> None:
    runs, data = cohort_of(BASE), data_of(BASE)
    expected = train_cohort(runs, data, device="cpu")
    store = Store(tmp_path)
    steps = 0
    while train(runs, data, store, span=0) is None:
        header = header_of(path_of(store, run_ids(runs)))
        assert header is not None
        # One span at a time, up to the very last.
        assert header.steps_taken > steps
        steps = header.steps_taken
    assert steps == expected.timetable.steps
    cohort = train(runs, data, store, span=None)
    assert cohort is not None
    assert_same(cohort, expected)


def test_a_checkpoint_is_written_every_so_often_and_removed_when_results_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, data, store = cohort_of(BASE), data_of(BASE), Store(tmp_path)
    path = path_of(store, run_ids(runs))
    written: list[int] = []
    write = Keeper._write

    def counting(self: Keeper, cohort: Cohort) -> None:
        write(self, cohort)
        assert unfinished(store) == [tuple(run_ids(runs))]
        written.append(cohort.steps_taken)

    monkeypatch.setattr(Keeper, "_write", counting)
    train_and_store(runs, data, store, device="cpu", minutes=None)
    assert not written
    train_and_store(runs, data, store, device="cpu", minutes=0.0)
    assert len(written) > 5
    assert written == sorted(set(written))
    assert not path.exists()
    assert unfinished(store) == []
    written.clear()
    train_and_store(runs, data, store, device="cpu", minutes=60.0)
    assert not written


def test_time_before_a_break_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("bench_lr.checkpoint.time.monotonic", lambda: now[0])
    runs, data, store = cohort_of(BASE), data_of(BASE), Store(tmp_path)

    def asked() -> bool:
        now[0] += 7.0
        return now[0] == 121.0

    keeper = Keeper(store, runs, data.sha256, asked=asked, stop=stop)
    with pytest.raises(Broken):
        train_cohort(runs, data, device="cpu", keeper=keeper)
    now[0] = 1000.0
    keeper = Keeper(store, runs, data.sha256)
    train_cohort(runs, data, device="cpu", keeper=keeper)
    assert keeper.seconds == pytest.approx(21.0)


def test_a_run_that_is_timed_leaves_no_checkpoint(tmp_path: Path) -> None:
    store, data = Store(tmp_path), data_of(BASE)
    runs = [changed(timed=True)]
    assert train(runs, data, store, span=3) is None
    assert unfinished(store) == []


@pytest.mark.parametrize("change", ["engine", "torch", "device_kind", "data_sha256", "run_ids"])
def test_a_checkpoint_of_something_else_is_left_alone(change: str, tmp_path: Path) -> None:
    runs, data, store = cohort_of(BASE), data_of(BASE), Store(tmp_path)
    assert train(runs, data, store, span=4) is None
    path = path_of(store, run_ids(runs))
    line, _, content = path.read_bytes().partition(b"\n")
    header = json.loads(line)
    before = header[change]
    header[change] = {int: 99, str: "another", list: ["another"]}[type(before)]
    path.write_bytes(json.dumps(header).encode() + b"\n" + content)
    cohort = train(runs, data, store, span=None)
    assert cohort is not None
    # It began anew, and came to the same.
    assert_same(cohort, train_cohort(runs, data, device="cpu"))


def damaged(whole: bytes) -> list[bytes]:
    """Truncated at every sixteenth, and with a bit turned over in every sixteenth."""
    cuts = [len(whole) * i // 16 for i in range(16)]
    flipped = []
    for cut in cuts:
        content = bytearray(whole)
        content[cut + len(whole) // 32] ^= 0x10
        flipped.append(bytes(content))
    return [whole[:cut] for cut in cuts] + flipped


def test_a_damaged_checkpoint_is_told_by_name_and_never_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs, data, store = cohort_of(BASE), data_of(BASE), Store(tmp_path)
    assert train(runs, data, store, span=4) is None
    path = path_of(store, run_ids(runs))
    expected = train_cohort(runs, data, device="cpu")
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        caplog.clear()
        with caplog.at_level(logging.INFO, "bench_lr.checkpoint"):
            cohort = train(runs, data, store, span=None)
        assert cohort is not None
        assert path.name in caplog.text
        assert "going on at step" not in caplog.text
        assert_same(cohort, expected)


class Thief:
    """Runs code where a pickle is loaded that may hold anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_checkpoint_cannot_hold_code(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import hashlib
    import io

    runs, data, store = cohort_of(BASE), data_of(BASE), Store(tmp_path)
    assert train(runs, data, store, span=4) is None
    path = path_of(store, run_ids(runs))
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    stream = io.BytesIO()
    torch.save({"steps_taken": Thief(tmp_path / "stolen")}, stream)
    header["sha256"] = hashlib.sha256(stream.getvalue()).hexdigest()
    path.write_bytes(json.dumps(header).encode() + b"\n" + stream.getvalue())
    assert train(runs, data, store, span=None) is not None
    assert "is damaged" in caplog.text
    assert not (tmp_path / "stolen").exists()


def test_a_store_that_cannot_be_written_does_not_stop_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    runs, data = cohort_of(BASE), data_of(BASE)
    assert train(runs, data, Store(tmp_path / "store"), span=None, minutes=0.0) is not None
    assert "no checkpoint: cannot write" in caplog.text


def test_checkpoints_of_cohorts_that_trained_in_other_company_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = [run(seed) for seed in range(6)]
    kept, partly, wholly, failed = runs[:2], runs[2:4], runs[4:5], runs[5:6]
    for cohort in (kept, partly, wholly, failed):
        begin(store, cohort)
    for config in (partly[1], wholly[0]):
        store.put(commit(config), simple(config))
    store.put_failure(commit(failed[0], "failed"))
    (store.root / "unfinished" / "damaged.checkpoint").write_bytes(b"{}")
    assert sweep(store) == 2
    left = {path_of(store, run_ids(cohort)).name for cohort in (kept, failed)}
    found = {path.name for path in (store.root / "unfinished").iterdir()}
    assert found == {*left, "damaged.checkpoint"}
    assert sweep(store) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cohort_goes_on_on_a_gpu(tmp_path: Path) -> None:
    runs, data = cohort_of(BASE), data_of(BASE)
    store = Store(tmp_path)
    expected = train_cohort(runs, data, device="cuda")
    keeper = Keeper(store, runs, data.sha256, asked=breaking_at(3), stop=stop)
    with pytest.raises(Broken):
        train_cohort(runs, data, device="cuda", keeper=keeper)
    keeper = Keeper(store, runs, data.sha256)
    assert_same(train_cohort(runs, data, device="cuda", keeper=keeper), expected)


def test_schedules_of_a_warm_up_are_functions_of_the_step_and_need_no_state() -> None:
    cohort = Cohort(cohort_of(changed(schedule=Warmup(0.1, epochs=1.0))), data_of(BASE))
    cohort.start()
    assert cohort.state["rates"] == []
