"""How far multiruns are, from what they left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench_lr import cli, cluster
from bench_lr.identity import run_id
from bench_lr.multiruns import Standing, multiruns, standing
from bench_lr.plan import Job, Plan, save_plan
from bench_lr.progress import reporter
from bench_lr.store import Store
from tests.stored import commit, run, simple

RUNS = [run(seed) for seed in range(8)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def planned(out: Path, store: Store, name: str = "2030-01-01_00-00-00", **options: str) -> Path:
    """Write a plan of four jobs, two runs each."""
    jobs = tuple(Job(tuple(RUNS[i : i + 2]), 1.0) for i in range(0, 8, 2))
    folder = out / "jobs" / name
    save_plan(Plan(jobs, 8, 8, 0), folder, launcher=options.get("launcher", "joblib"), store=store)
    return folder


def look(out: Path) -> Standing:
    (multirun,) = multiruns(out)
    return standing(multirun)


def counts(found: Standing) -> tuple[int, ...]:
    return found.done, found.failed, found.running, found.queued, found.missing


def dead() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def watched_by(folder: Path, pid: int, host: str | None = None) -> None:
    path = folder / "plan.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "pid": pid, "host": host or said["host"]}))


def test_jobs_are_done_failed_running_queued_or_missing(tmp_path: Path, store: Store) -> None:
    folder = planned(tmp_path, store)
    assert counts(look(tmp_path)) == (0, 0, 0, 4, 0)
    for each in RUNS[:3]:
        store.put(commit(each), simple(each))
    reporter(folder, 1)(0.5)
    store.put_failure(commit(RUNS[5], "failed", error="it broke"))
    found = look(tmp_path)
    assert counts(found) == (1, 1, 1, 1, 0)
    assert (found.runs, found.runs_done) == (8, 3)
    watched_by(folder, dead())
    assert counts(look(tmp_path)) == (1, 1, 0, 0, 2)
    watched_by(folder, os.getpid(), "elsewhere")
    assert not look(tmp_path).known
    assert counts(look(tmp_path)) == (1, 1, 0, 0, 0)


def test_a_cluster_says_what_runs_and_waits(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planned(tmp_path, store, launcher="slurm")
    watched_by(folder, dead())
    for number in range(4):
        job = folder / "hydra" / ".submitit" / f"17_{number}"
        job.mkdir(parents=True)
        (job / f"17_{number}_submitted.pkl").touch()
    asked: list[list[str]] = []

    def queue_of(ids: list[str]) -> cluster.Queue:
        asked.append(ids)
        return cluster.Queue(2, 1, ("Resources",))

    monkeypatch.setattr(cluster, "queue_of", queue_of)
    found = look(tmp_path)
    assert asked == [["17_0", "17_1", "17_2", "17_3"]]
    assert counts(found) == (0, 0, 1, 2, 1)
    assert found.reasons == ("Resources",)
    # A job that has stored its runs may still be about to end.
    for each in RUNS[:4]:
        store.put(commit(each), simple(each))
    assert counts(look(tmp_path)) == (2, 0, 1, 1, 0)

    def silent(ids: list[str]) -> cluster.Queue:
        raise cluster.ClusterError("no controller")

    monkeypatch.setattr(cluster, "queue_of", silent)
    assert counts(look(tmp_path)) == (2, 0, 0, 0, 0)
    assert not look(tmp_path).known


def test_the_newest_come_first_and_what_is_damaged_is_left_out(
    tmp_path: Path, store: Store
) -> None:
    for day in (3, 1, 2):
        planned(tmp_path, store, f"2030-01-0{day}_00-00-00")
    damaged = tmp_path / "jobs" / "2030-01-02_00-00-00" / "plan.json"
    names = [it.folder.name for it in multiruns(tmp_path)]
    assert names == [f"2030-01-0{day}_00-00-00" for day in (3, 2, 1)]
    whole = damaged.read_bytes()
    for cut in range(0, len(whole) - 1, max(1, len(whole) // 16)):
        damaged.write_bytes(whole[:cut])
        assert [it.folder.name[9] for it in multiruns(tmp_path)] == ["3", "1"]
    damaged.write_text("[]")
    assert [it.folder.name[9] for it in multiruns(tmp_path)] == ["3", "1"]


def test_the_verb_prints_a_table_or_json(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--out", str(tmp_path)]) == 0
    assert "no multiruns in" in capsys.readouterr().out
    for day in range(1, 9):
        planned(tmp_path, store, f"2030-01-0{day}_00-00-00")
    assert cli.main(["status", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == [
        *("begun", "launcher", "jobs", "queued", "running", "done", "failed", "missing", "runs")
    ]
    assert printed.count("joblib") == 5
    assert "2030-01-08_00-00-00" in printed
    assert cli.main(["status", "--out", str(tmp_path), "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 8
    assert found[0]["runs"] == 8
    assert found[0]["queued"] == 4
    ids = {run_id(each) for each in RUNS}
    assert len(ids) == 8
