"""Jobs on a real SLURM of two nodes on this machine, and what happens to them there.

`scripts/slurm_lab.sh` starts and stops it; where its programs are not installed these tests are
skipped.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench_lr import cluster
from bench_lr.claims import conf_roots, load_claims
from bench_lr.drive import Driver
from bench_lr.multiruns import multiruns, standing
from bench_lr.plan import Job, Plan, make_plan
from bench_lr.store import Store
from tests import tiny
from tests.claims.samples import write
from tests.test_drive import same_values, trained, until

SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm_lab.sh"
PROGRAMS = ("slurmctld", "slurmd", "munged", *cluster.PROGRAMS)
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(program, path=PATH) is None for program in PROGRAMS),
        reason="SLURM is not installed; scripts/slurm_lab.sh install does that on Debian",
    ),
]

COHORTS = {"batch_size": [5, 6, 7, 8], "lr": [0.5, 0.1]}
TRAIN = {**tiny.TRAIN, "epochs": 20, "dtype": "float64"}
SHORT = tiny.claim("batch_size=5 lr=0.5", "batch_size=5 lr=0.1", grid=COHORTS, train=TRAIN)
LONG = {**SHORT, "grid": {"batch_size": [4], "lr": [0.5, 0.1]}}
LONG["train"] = {**TRAIN, "epochs": 2500}
LONG["criteria"] = json.loads(json.dumps(SHORT["criteria"]).replace("batch_size=5", "batch_size=4"))
SETTINGS = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1", "device=cpu")


def free_ports() -> int:
    """First of three ports that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return min(int(one.getsockname()[1]), 65_000)


@pytest.fixture(scope="module")
def lab() -> Iterator[Path]:
    """Start a cluster; this process and those it starts use it."""
    # A socket's path may not be long, and munge wants it to be reachable for all.
    folder = Path(tempfile.mkdtemp(prefix="lab"))
    folder.chmod(0o755)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    environment = {
        **os.environ,
        "SLURM_LAB": str(folder / "s"),
        "SLURM_LAB_PORT": str(free_ports()),
    }

    def lab_script(verb: str) -> None:
        words = ["bash", str(SCRIPT), verb]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        lab_script("start")
        os.environ["SLURM_CONF"] = str(folder / "s" / "slurm.conf")
        os.environ["PATH"] = PATH
        yield folder
    finally:
        lab_script("stop")
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def quiet(lab: Path) -> Iterator[None]:
    """Leave no job behind."""
    yield
    subprocess.run(["scancel", "-u", os.environ.get("USER", "root")], check=False, timeout=60)
    said("scontrol", "update", "NodeName=node[1-2]", "State=RESUME")
    assert until(lambda: not said("squeue", "-h").strip(), 40)


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout


def plan_of(folder: Path, content: dict[str, Any]) -> Plan:
    """Plan a claim, a cohort a job."""
    conf = write(folder / "conf", {"me/claim": content})
    claims = load_claims(["me/claim"], roots=[conf, *conf_roots()])
    plan = make_plan(claims, Store(folder / "nothing"), 12)
    jobs = [Job(tuple(part), 1.0) for job in plan.jobs for part in job.parts]
    return dataclasses.replace(plan, jobs=tuple(jobs))


Case = tuple[Plan, Store]
"""A plan, and what it comes to when nobody disturbs it."""


def case(folder: Path, content: dict[str, Any], jobs: int) -> Case:
    plan = plan_of(folder, content)
    assert len(plan.jobs) == jobs
    return plan, trained(plan, folder / "store")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Four jobs of seconds."""
    return case(tmp_path_factory.mktemp("short"), SHORT, 4)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One job of about a quarter of a minute."""
    return case(tmp_path_factory.mktemp("long"), LONG, 1)


@contextmanager
def driven(plan: Plan, folder: Path, *settings: str) -> Iterator[Driver]:
    """Drive a plan on the cluster in a thread; wait for it at the end."""
    driver = Driver(plan, Store(folder / "store"), folder / "jobs", "slurm", (*SETTINGS, *settings))
    failed: list[BaseException] = []

    def drive() -> None:
        try:
            driver.train()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield driver
    finally:
        thread.join(240)
    assert not thread.is_alive()
    assert not failed, failed


def running() -> list[tuple[str, str]]:
    """Jobs that run, and the node of each."""
    lines = said("squeue", "-h", "--array", "-t", "RUNNING", "-o", "%i %N").splitlines()
    return [(job, node) for job, _, node in (line.partition(" ") for line in lines)]


def trainers() -> list[int]:
    """Processes that train for the cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"submitit.core._submit" in words and b"srun" not in words[0]:
            found.append(int(path.parent.name))
    return found


def begun(folder: Path) -> list[Path]:
    """Notes of jobs that have trained something."""
    notes = (folder / "jobs").glob("progress-*.json")
    return [note for note in notes if json.loads(note.read_text() or '{"done": 0}')["done"] > 0]


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / "store" / "unfinished").glob("*.checkpoint"))


def assert_as_undisturbed(folder: Path, expected: Store) -> None:
    same_values(Store(folder / "store"), expected)
    assert not checkpoints(folder)
    assert not list((folder / "store" / "pending").glob("*"))


@pytest.mark.usefixtures("quiet")
def test_an_array_over_both_nodes_stores_what_a_local_run_stores(
    short: Case, tmp_path: Path
) -> None:
    plan, expected = short
    with driven(plan, tmp_path):
        pass
    assert_as_undisturbed(tmp_path, expected)
    store = Store(tmp_path / "store")
    commits = [store.commit_of(identity) for identity in plan.run_ids]
    assert {it.provenance["node"] for it in commits if it is not None} == {"node1", "node2"}


@pytest.mark.usefixtures("quiet")
def test_a_job_that_raises_fails_alone(short: Case, tmp_path: Path) -> None:
    plan, _ = short
    task = dataclasses.replace(plan.jobs[1].runs[0].task, train_size=9999)
    bad = Job(tuple(dataclasses.replace(run, task=task) for run in plan.jobs[1].runs), 1.0)
    good = plan.jobs[0]
    broken = dataclasses.replace(plan, jobs=(bad, good))
    with driven(broken, tmp_path):
        pass
    store = Store(tmp_path / "store")
    assert store.lacking(good.run_ids) == []
    failures = list(store.failures(bad.run_ids))
    assert len(failures) == len(bad.runs)
    assert all("Traceback" in failure.error for failure in failures)


def scancel_one(folder: Path) -> None:
    job, _ = running()[0]
    said("scancel", job)


def kill_one(folder: Path) -> None:
    os.kill(trainers()[0], signal.SIGKILL)


def drain_one(folder: Path) -> None:
    said("scontrol", "update", "NodeName=node2", "State=DRAIN", "Reason=test")


def fail_one(folder: Path) -> None:
    """Do what SLURM does when a node does not answer any more."""
    said("scontrol", "update", "NodeName=node2", "State=DOWN", "Reason=test")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("disturb", [kill_one, scancel_one, drain_one, fail_one])
def test_jobs_are_killed_cancelled_or_lose_a_node_and_nothing_is_lost(
    disturb: Callable[[Path], None], short: Case, tmp_path: Path
) -> None:
    plan, expected = short
    with driven(plan, tmp_path):
        assert until(lambda: running() and trainers(), 60)
        disturb(tmp_path)
    assert_as_undisturbed(tmp_path, expected)


@pytest.mark.usefixtures("quiet")
def test_a_job_that_others_push_aside_goes_on_from_where_it_was(long: Case, tmp_path: Path) -> None:
    plan, expected = long
    with driven(plan, tmp_path, "checkpoint_minutes=null"):
        assert until(lambda: begun(tmp_path), 90)
        (tmp_path / "urgent.sh").write_text("#!/bin/sh\nsleep 1\n")
        words = ["sbatch", "-p", "urgent", "-N", "2", "--exclusive", "-o", "/dev/null"]
        said(*words, str(tmp_path / "urgent.sh"))
        assert until(lambda: checkpoints(tmp_path), 30)
        assert until(lambda: not running() or len(running()) == 1, 60)
    assert_as_undisturbed(tmp_path, expected)
    assert "going on at step" in logs(tmp_path)


def logs(folder: Path) -> str:
    files = (folder / "jobs").glob("hydra*/**/*.log")
    outputs = (folder / "jobs").glob("hydra*/.submitit/*/*_log.*")
    return "".join(file.read_text(errors="replace") for file in (*files, *outputs))


@pytest.mark.usefixtures("quiet")
def test_a_job_whose_time_runs_out_goes_on_from_where_it_was(long: Case, tmp_path: Path) -> None:
    plan, expected = long
    # Of less than ten minutes submitit takes any warning for that of the end.
    with driven(plan, tmp_path, "hydra.launcher.timeout_min=5", "checkpoint_minutes=null"):
        assert until(lambda: begun(tmp_path), 90)
        # What SLURM sends before the end; when that is, it takes to within a minute.
        said("scancel", "--signal=USR2", *(job for job, _ in running()))
    assert_as_undisturbed(tmp_path, expected)
    assert "this job is timed-out" in logs(tmp_path)
    assert "Requeued job" in logs(tmp_path)
    assert "going on at step" in logs(tmp_path)


def bench(folder: Path, *words: str) -> list[str]:
    store, out = str(folder / "store"), str(folder / "out")
    verb = [sys.executable, "-m", "bench_lr", *words]
    return [*verb, "--out", out, *(["--store", store] if words[0] != "status" else [])]


@pytest.mark.usefixtures("quiet")
def test_a_driver_that_is_killed_finds_its_jobs_again(short: Case, tmp_path: Path) -> None:
    _, expected = short
    conf = write(tmp_path / "conf", {"me/claim": SHORT})
    environment = tiny.environment(conf)
    run = [*bench(tmp_path, "run", "me/claim", "--launcher", "slurm"), "--", *SETTINGS[:2]]
    driver = subprocess.Popen(run, env=environment, stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        assert until(running, 90)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait(10)
    (multirun,) = multiruns(tmp_path / "out")
    assert standing(multirun).running + standing(multirun).queued > 0
    again = subprocess.run(
        run, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "waiting for" in again.stdout
    assert "nothing to train" in again.stdout
    assert_as_undisturbed(tmp_path, expected)


@pytest.mark.usefixtures("quiet")
def test_jobs_are_handed_over_and_asked_about(short: Case, tmp_path: Path) -> None:
    _, expected = short
    conf = write(tmp_path / "conf", {"me/claim": SHORT})
    environment = tiny.environment(conf)

    def call(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    run = bench(tmp_path, "run", "me/claim", "--launcher", "slurm")
    done = call([*run, "--detach", "--", *SETTINGS[:2]])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "handed over" in done.stdout

    def asked() -> dict[str, Any]:
        answer = call(bench(tmp_path, "status", "--json"))
        assert answer.returncode == 0, answer.stderr
        (found,) = json.loads(answer.stdout)
        assert found["jobs"] == sum(
            found[name] for name in ("queued", "running", "done", "failed", "missing")
        )
        return dict(found)

    first = asked()
    assert first["missing"] == first["failed"] == 0
    assert until(lambda: asked()["done"] == first["jobs"], 120)
    assert asked()["runs_done"] == asked()["runs"] == len(expected.known())
    assert "0/" not in call(bench(tmp_path, "status")).stdout
    report = call(bench(tmp_path, "report", "me/claim"))
    assert report.returncode == 0, report.stdout + report.stderr
    assert_as_undisturbed(tmp_path, expected)
