"""The benchmark measures the same training in both ways."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench_lr import benchmark
from bench_lr.benchmark import WORKLOADS, Measurement, OrdinaryModule, ordinary
from bench_lr.claims import ConfigError
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.streams import split
from bench_lr.data import Dataset, load
from bench_lr.schema import Phase, RunConfig, TaskConfig
from bench_lr.trainer import train_cohort


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("synthetic")


@pytest.fixture(scope="module")
def run() -> RunConfig:
    """A run of the first workload, on made-up images."""
    chosen = next(r for r in WORKLOADS["ae16"].runs() if r.optimizer.lr == 0.5)
    task = TaskConfig("synthetic", train_size=1500, validation_size=500)
    return dataclasses.replace(chosen, task=task, batches=(Phase(3, 16),))


@pytest.mark.parametrize(("name", "batch_size"), [("ae16", 16), ("ae128", 128)])
def test_a_workload_is_one_cohort_of_the_stated_runs(name: str, batch_size: int) -> None:
    runs = WORKLOADS[name].runs()
    assert len(runs) == 4 * 8
    assert arrange(runs) == [runs]
    assert {run.optimizer.lr for run in runs} == {0.1, 0.3, 0.5, 0.7}
    assert {run.seed for run in runs} == set(range(8))
    for run in runs:
        assert (run.task.data, run.task.train_size) == ("mnist", 55_000)
        assert run.batches == (Phase(1, batch_size),)
        assert run.evaluation.per_epoch == 2


def test_the_ordinary_loop_learns_what_a_cohort_learns(
    data: Dataset, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[OrdinaryModule] = []

    class Kept(OrdinaryModule):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(benchmark, "OrdinaryModule", Kept)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert ordinary(run, data) > 0
    cohort = train_cohort([run], data, device="cpu")
    (module,) = made
    _, held_out = split(run.task, len(data.train_x), run.seed)
    with torch.no_grad():
        output = module.network(data.train_x[held_out].float() / 255)
        loss = torch.nn.functional.cross_entropy(output, data.train_y[held_out]).item()
        accuracy = (output.argmax(1) == data.train_y[held_out]).double().mean().item()
    ours = cohort.records.values[-1]
    # The order of the data differs, the rest does not. The loss of guessing is 2.3.
    assert min(accuracy, ours["accuracy", "validation"][0]) > 0.95
    assert max(loss, ours["loss", "validation"][0]) < 0.25
    # The ordinary loop evaluates as often as the cohort does.
    assert len(cohort.records.step) == 6


def test_the_rate_counts_every_run(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ordinary", lambda run, data, **options: 2.0)
    monkeypatch.setattr(benchmark, "cohort", lambda runs, data: 4.0)
    one, *_, together = benchmark.measure(WORKLOADS["ae16"], data)
    assert (one.run_epochs, one.rate) == (1, 0.5)
    assert (together.run_epochs, together.rate) == (32, 8.0)


def test_the_table_and_the_file_have_the_same_numbers(
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "dataset", lambda: data)
    monkeypatch.setattr(
        benchmark,
        "measure",
        lambda workload, data, say: [
            Measurement(workload.name, "one", 1, 2.0),
            Measurement(workload.name, "together", 32, 4.0),
        ],
    )
    path = tmp_path / "numbers.json"
    assert benchmark.main(["ae16"], path) == 0
    rows = json.loads(path.read_text())["measurements"]
    assert [row["rate"] for row in rows] == [0.5, 8.0]
    table = capsys.readouterr().out
    assert "1.0x" in table
    assert "16.0x" in table


def test_an_unknown_workload_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'ae16'\?"):
        benchmark.main(["ae61"], None)
