"""How far the jobs of a plan are, as the driver sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_lr import progress
from bench_lr.identity import run_id
from bench_lr.plan import Job, Plan
from bench_lr.progress import Arrivals, Status, Watch, reporter
from bench_lr.store import Store, committed
from tests.stored import commit, run, simple
from tests.test_drive import plan_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_status_counts_jobs_runs_and_seconds(store: Store, tmp_path: Path) -> None:
    jobs = (Job((run(0), run(1)), 6.0), Job((run(2), run(3)), 3.0), Job((run(4),), 1.0))
    watch = Watch(Plan(jobs, 5, 5, 0), store, tmp_path)
    assert watch.status(0.0) == Status(3, 0, 5, 0, 0.0, 0.0, None)
    for done in (run(0), run(1), run(2)):
        store.put(commit(done), simple(done))
    (tmp_path / "progress-1.json").write_text(json.dumps({"done": 0.5}))
    (tmp_path / "progress-2.json").write_text("half a fi")
    (tmp_path / "progress-x.json").write_text("not ours")
    found = watch.status(15.0)
    assert (found.jobs, found.jobs_done, found.runs, found.runs_done) == (3, 1, 5, 3)
    # Job 0 is done, half of job 1, nothing of job 2.
    assert found.share == pytest.approx((6 + 0.5 * 3) / 10)
    assert found.seconds_left == pytest.approx(15 * (1 - found.share) / found.share)
    assert found.arrived == {run_id(run(i)) for i in (0, 1, 2)}
    later = watch.status(16.0)
    assert (later.runs_done, later.arrived) == (3, frozenset())


def test_nothing_is_left_of_a_plan_that_is_done(store: Store, tmp_path: Path) -> None:
    watch = Watch(plan_of([run()]), store, tmp_path)
    store.put(commit(run()), simple(run()))
    found = watch.status(3.0)
    assert (found.share, found.seconds_left, found.jobs_done) == (1.0, 0.0, 1)


def test_runs_that_had_failed_before_are_not_counted_as_done(store: Store, tmp_path: Path) -> None:
    store.put_failure(commit(run(0), "failed", error="it broke"))
    found = Watch(plan_of([run(0), run(1)]), store, tmp_path).status(1.0)
    assert (found.runs_done, found.share, found.arrived) == (0, 0.0, frozenset())


def test_runs_of_others_that_arrive_meanwhile_are_not_ours(store: Store, tmp_path: Path) -> None:
    watch = Watch(plan_of([run(0)]), store, tmp_path)
    store.put(commit(run(7)), simple(run(7)))
    assert watch.status(1.0).runs_done == 0


def test_what_a_job_reports_is_what_the_driver_reads(store: Store, tmp_path: Path) -> None:
    watch = Watch(plan_of([run(0)], [run(1)]), store, tmp_path)
    reporter(tmp_path, 1)(0.25)
    assert watch.status(1.0).share == pytest.approx(0.125)
    reporter(tmp_path, 1)(0.75)
    assert watch.status(2.0).share == pytest.approx(0.375)


def test_a_folder_at_rest_is_not_listed_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REST_SECONDS", 0.0)
    store.put(commit(run(0)), simple(run(0)))
    arrivals = Arrivals(store)
    assert arrivals.new() == {run_id(run(0))}
    listed: list[str] = []

    def listing(shard: os.DirEntry[str]) -> Iterator[str]:
        listed.append(shard.name)
        return committed(shard)

    monkeypatch.setattr(progress, "committed", listing)
    assert arrivals.new() == set()
    assert listed == []
    os.utime(store.root / "commits" / run_id(run(0))[:2], ns=(1, 1))
    assert arrivals.new() == set()
    assert listed == [run_id(run(0))[:2]]
    store.put(commit(run(1)), simple(run(1)))
    assert arrivals.new() == {run_id(run(1))}


def test_only_jobs_that_are_not_done_are_read_and_only_when_they_noted_something(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(plan_of([run(0)], [run(1)]), store, tmp_path)
    read: list[str] = []
    share = progress._share

    def reading(path: Path) -> float:
        read.append(path.name)
        return share(path)

    monkeypatch.setattr(progress, "_share", reading)
    for job in (0, 1):
        reporter(tmp_path, job)(0.5)
    watch.status(1.0)
    assert sorted(read) == ["progress-0.json", "progress-1.json"]
    watch.status(2.0)
    assert len(read) == 2
    store.put(commit(run(0)), simple(run(0)))
    for job in (0, 1):
        reporter(tmp_path, job)(1.0)
    found = watch.status(3.0)
    assert read[2:] == ["progress-1.json"]
    assert (found.jobs_done, found.share) == (1, 1.0)


def test_a_run_that_arrives_within_the_tick_of_a_clock_is_not_missed(store: Store) -> None:
    """The folder's time of change may not move: it is listed again while it is fresh."""
    store.put(commit(run(0)), simple(run(0)))
    arrivals = Arrivals(store)
    assert arrivals.new() == {run_id(run(0))}
    shard = store.root / "commits" / run_id(run(0))[:2]
    before = shard.stat()
    other = run_id(run(0))[:2] + "f" * 62
    (shard / f"{other}.json").write_text("{}")
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert arrivals.new() == {other}
    assert arrivals.new() == set()
