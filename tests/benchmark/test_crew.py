"""Processes that train when told to, and end whatever happens."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from bench_lr.benchmark import crew as crews
from bench_lr.benchmark.crew import Crew, CrewError, environment, shares
from bench_lr.benchmark.ways import WAYS
from bench_lr.benchmark.workloads import WORKLOADS
from bench_lr.schema import Phase, RunConfig


def short(seeds: int = 4) -> list[RunConfig]:
    runs = [run for run in WORKLOADS["r1"].runs() if run.seed < seeds]
    return [dataclasses.replace(run, batches=(Phase(2, 10),)) for run in runs]


def test_seeds_are_divided_whole_and_evenly_among_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crews, "cores", lambda: 3)
    runs = short(4)
    parts = shares(WAYS["cohort"], runs)
    assert [len({run.seed for run in part}) for part in parts] == [2, 1, 1]
    assert [run for part in parts for run in part] == runs
    assert shares(WAYS["together"], runs) == [runs]
    assert shares(WAYS["loop"], runs) == [runs[:1]]
    monkeypatch.setattr(crews, "cores", lambda: 64)
    assert len(shares(WAYS["cohort"], runs)) == 4


def test_a_crew_trains_again_and_again_from_the_same_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "cores", lambda: 2)
    runs = short()
    with Crew("cohort", runs, patience=120) as crew:
        assert (crew.runs, crew.run_epochs) == (16, 32)
        assert crew.startup > 0
        again = crew.fit()
        processes = list(crew._processes)
        assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)
    np.testing.assert_array_equal(again.loss, crew.curves.loss)
    here = WAYS["together"].trainer()(runs, crews_dataset())
    np.testing.assert_allclose(again.loss, here.loss, rtol=1e-4)


def crews_dataset():
    from bench_lr.benchmark.peers.given import dataset

    return dataset("curve")


def test_an_error_in_a_process_comes_back_with_its_traceback() -> None:
    run = short()[0]
    wrong = dataclasses.replace(run, task=dataclasses.replace(run.task, train_size=10**6))
    with pytest.raises(CrewError, match="train_size 1000000"):
        Crew("loop", [wrong], patience=120)


def test_a_process_that_says_nothing_is_given_up() -> None:
    with pytest.raises(CrewError, match="no answer within 0 s"):
        Crew("loop", short(), patience=0.01)


def test_a_process_that_was_killed_is_told_with_its_exit_code() -> None:
    with Crew("loop", short(), patience=120) as crew:
        crew._processes[0].kill()
        crew._processes[0].join()
        with pytest.raises(CrewError, match="exit code -9"):
            crew.fit()


def test_one_failing_process_ends_the_waiting_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crews, "cores", lambda: 2)
    good, bad = (run for run in short(2) if run.optimizer.lr == 0.1)
    long = dataclasses.replace(good, batches=(Phase(10**4, 10),))
    wrong = dataclasses.replace(bad, task=dataclasses.replace(bad.task, train_size=10**6))
    with pytest.raises(CrewError, match="train_size 1000000"):
        Crew("cohort", [long, wrong], patience=120)


def test_the_environment_of_children_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NPROC", raising=False)
    with environment({"OMP_NUM_THREADS": "1", "NPROC": "1"}):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["NPROC"]) == ("1", "1")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NPROC" not in os.environ
