"""Driving a multirun from outside: its command line, its progress, and its death."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from bench_lr import drive
from bench_lr.claims import conf_roots
from bench_lr.data import load
from bench_lr.drive import Driver, command
from bench_lr.identity import run_id
from bench_lr.plan import Job, Plan, make_plan
from bench_lr.progress import Status, reporter
from bench_lr.schema import RunConfig
from bench_lr.store import Store
from bench_lr.trainer import train_and_store
from tests import tiny
from tests.claims.samples import write
from tests.stored import begin, commit, run, simple

COHORTS = {"batch_size": [5, 6, 7, 8, 9, 10], "lr": [0.5, 0.1]}
"""Six cohorts of about half a second each."""

CLAIM = tiny.claim(
    "batch_size=5 lr=0.5",
    "batch_size=5 lr=0.1",
    grid=COHORTS,
    # In float64 a run is the same whatever else its cohort trains.
    train={**tiny.TRAIN, "epochs": 25, "dtype": "float64"},
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def plan_of(*jobs: list[RunConfig], seconds: float = 1.0) -> Plan:
    count = sum(map(len, jobs))
    return Plan(tuple(Job(tuple(runs), seconds) for runs in jobs), count, count, 0)


# --- the command line of the multirun -----------------------------------------------------------

NAMES = [
    "plain",
    "with a space",
    "it's",
    'said "so"',
    "back\\slash",
    "ends with \\",
    "both \\'",
    "a,b=c",
    "[list]",
    "{key: value}",
    "$HOME",
    "${oc.env:HOME}",
    "\\${a}",
    "naïve #1",
]


def composed(overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf_roots()[-1]), version_base="1.3", job_name="train"):
        return compose("config", overrides, return_hydra_config=True)


@pytest.mark.parametrize("name", NAMES)
def test_paths_reach_the_job_as_they_are(name: str, tmp_path: Path) -> None:
    plan_file, store = tmp_path / name / "plan.json", Store(tmp_path / name / "store")
    words = command([0], plan_file, store, "local", ["threads=1"])
    assert words[:4] == [sys.executable, "-m", "bench_lr.train", "-m"]
    # As Hydra's sweeper does: it takes the words apart and puts them together for each job.
    parsed = OverridesParser.create().parse_overrides(words[4:])
    ((job,),) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    for cfg in (composed(words[4:]), composed(list(job))):
        assert cfg.plan == str(plan_file)
        assert cfg.store == str(store.root)
        assert cfg.hydra.sweep.dir == str(tmp_path / name / "hydra")
        assert (cfg.job, cfg.threads) == (0, 1)


@pytest.mark.parametrize("numbers", [[0], [0, 1, 2], [4, 5], [3], [0, 2, 3, 7]])
def test_every_job_of_a_plan_is_asked_for_once(numbers: list[int], tmp_path: Path) -> None:
    words = command(numbers, tmp_path / "plan.json", Store(tmp_path), "joblib", [])
    parsed = OverridesParser.create().parse_overrides(words[4:])
    (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    asked = [word for job in jobs for word in job if word.startswith("job=")]
    assert asked == [f"job={number}" for number in numbers]
    assert "hydra/launcher=joblib" in words


def test_the_launchers_there_are_include_our_own_and_those_of_plugins() -> None:
    assert {"basic", "joblib", "local"} <= set(drive.launchers())


# --- a real multirun ----------------------------------------------------------------------------


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return write(tmp_path / "conf", {"me/cohorts": CLAIM})


def test_a_job_that_dies_ends_neither_the_driver_nor_the_other_jobs(
    store: Store, conf: Path, tmp_path: Path
) -> None:
    one, two, *_ = (list(job.runs) for job in make_plan_of(conf).jobs)
    # More examples than there are: the claim would have been refused, the job raises.
    bad = [dataclasses.replace(r, task=dataclasses.replace(r.task, train_size=9999)) for r in one]
    seen: list[Status] = []
    plan = plan_of(one, bad, two)
    log = Driver(plan, store, tmp_path / "job", "local", watch=seen.append).train()
    assert store.lacking(run_id(r) for r in (*one, *two)) == []
    failures = list(store.failures(run_id(r) for r in bad))
    assert len(failures) == len(bad)
    assert "JobFailed" in log.read_text()
    assert seen[-1].runs_done == seen[-1].runs
    assert [s.elapsed for s in seen] == sorted(s.elapsed for s in seen)


def test_jobs_are_started_again_as_long_as_they_get_any_further(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of([run(0), run(1)])
    driver = Driver(plan, store, tmp_path / "job", "local")
    steps = iter([5, 9, 9, 9, 9])
    followed: list[list[int | str]] = []

    def follow(numbers: list[int], *more: str) -> None:
        followed.append([*numbers, *more])
        reporter(driver.folder, 0)(0.1)
        begin(store, list(plan.jobs[0].runs), steps_taken=next(steps))

    monkeypatch.setattr(driver, "_follow", follow)
    driver.train()
    # Twice further, once not, then alone, then with one run at a time.
    assert followed == [[0]] * 4 + [[0, "runs_at_once=1"]]
    (error,) = {commit.error for commit in store.failures(plan.run_ids)}
    assert "ended without an error, as if killed" in error
    assert len(list(store.failures(plan.run_ids))) == 2


@pytest.mark.parametrize("fits", [8, 4, 2, 1])
@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_jobs_that_are_killed_each_time_go_on_with_fewer_runs_at_a_time(
    launcher: str,
    fits: int,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where the system kills who takes too much memory."""
    plan = plan_of([run(seed) for seed in range(8)], [run(8)])
    driver = Driver(plan, store, tmp_path / "job", launcher)

    def follow(numbers: list[int], *more: str) -> None:
        for number in numbers:
            reporter(driver.folder, number)(0.0)
            runs = plan.jobs[number].runs
            most = min([len(runs), *(int(it.removeprefix("runs_at_once=")) for it in more)])
            if most <= fits:
                for config in runs:
                    store.put(commit(config), simple(config))

    monkeypatch.setattr(driver, "_follow", follow)
    driver.train()
    assert store.lacking(plan.run_ids) == []
    assert not list(store.failures(plan.run_ids))
    assert (f"going on with {fits} runs at a time" in caplog.text) == (fits < 8)


def make_plan_of(conf: Path) -> Plan:
    from bench_lr.claims import load_claims

    claims = load_claims(["me/cohorts"], roots=[conf, *conf_roots()])
    return make_plan(claims, Store(conf / "nothing"), 16)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What the claim's runs give when nothing happens to them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    plan = make_plan_of(write(folder / "conf", {"me/cohorts": CLAIM}))
    return trained(plan, folder / "store")


def trained(plan: Plan, folder: Path) -> Store:
    """Train a plan here and now."""
    store = Store(folder)
    for cohort in (part for job in plan.jobs for part in job.parts):
        train_and_store(cohort, load("synthetic"), store, device="cpu")
    return store


class Bench:
    """A real ``bench-lr run`` of the claim, in a process of its own."""

    def __init__(self, folder: Path, conf: Path) -> None:
        self.folder, self.store = folder, Store(folder / "store")
        self._environment = tiny.environment(conf)

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench_lr", "run", "me/cohorts"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Whoever started the tests may have had interrupts ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=10)

    def commits(self) -> dict[str, int]:
        """Time of every commit."""
        files = (self.store.root / "commits").rglob("*.json")
        return {file.stem: file.stat().st_mtime_ns for file in files if file.name[0] != "."}

    def multirun(self) -> int:
        """Process id of the newest multirun that has begun to train, which is its session's."""
        files = sorted((self.folder / "out" / "jobs").glob("*/progress-*.json"), key=age)
        return os.getsid(json.loads(files[-1].read_text())["pid"])


def age(path: Path) -> float:
    return path.stat().st_mtime


def members(session: int) -> list[int]:
    """Processes of a session that are still alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, sid = path.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(sid) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks for processes under /proc"
)


def same_values(found: Store, expected: Store) -> None:
    assert found.known() == expected.known()
    for identity in expected.known():
        mine, other = found.read(identity), expected.read(identity)
        assert mine is not None
        assert other is not None
        assert mine[0].status == other[0].status
        pd.testing.assert_frame_equal(mine[1], other[1], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@needs_proc
def test_a_run_that_is_stopped_or_killed_keeps_what_it_has_and_goes_on_from_there(
    conf: Path, tmp_path: Path, undisturbed: Store
) -> None:
    bench = Bench(tmp_path, conf)
    total = len(undisturbed.known())
    with bench.started() as process:
        assert until(lambda: len(bench.commits()) > 0, 60)
        session = bench.multirun()
        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
        assert process.returncode == 130, output
        assert time.monotonic() - at < 5
    assert "run again to go on" in output
    assert "Traceback" not in output
    assert until(lambda: not members(session), 1), members(session)
    stopped = bench.commits()
    assert 0 < len(stopped) < total

    with bench.started() as process:
        assert until(lambda: len(bench.commits()) > len(stopped), 60)
        session = bench.multirun()
        process.send_signal(signal.SIGKILL)
        killed = bench.commits()
        process.communicate(timeout=10)
    # The jobs notice by themselves.
    assert until(lambda: not members(session), 5), members(session)
    left = bench.commits()
    assert killed.items() <= left.items()
    assert len(killed) < total

    with bench.started() as process:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    assert f"{len(left)} of {total} stored" in output
    final = bench.commits()
    for earlier in (stopped, killed, left):
        assert earlier.items() <= final.items()
    same_values(bench.store, undisturbed)


STUBBORN = """
import pathlib, signal, subprocess, sys, time
if len(sys.argv) == 2:
    subprocess.Popen([sys.executable, __file__, sys.argv[1], "child"])
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


@needs_proc
def test_stopping_ends_every_process_of_the_multirun_even_one_that_would_rather_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "STOP_SECONDS", 0.3)
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    words = [sys.executable, str(tmp_path / "stubborn.py"), str(tmp_path / "ready")]
    process = subprocess.Popen(words, start_new_session=True)
    try:
        assert until((tmp_path / "ready").exists, 10)
        assert len(members(process.pid)) == 2
        drive.stop(process)
        assert process.returncode is not None
        assert until(lambda: not members(process.pid), 1)
        # Nothing is left to stop.
        drive.stop(process)
    finally:
        for pid in members(process.pid):
            os.kill(pid, signal.SIGKILL)
