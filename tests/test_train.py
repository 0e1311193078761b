"""The training job as an ordinary Hydra application."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from bench_lr import trainer
from bench_lr.claims import ConfigError, conf_roots
from bench_lr.identity import run_id
from bench_lr.plan import Job, Plan, save_plan
from bench_lr.schema import Phase, RunConfig
from bench_lr.store import Store
from bench_lr.train import JobFailed, follow_driver, run_job, runs_of, threads_of
from tests import tiny
from tests.claims.samples import edited, put, write

CHECKOUT = conf_roots()[-1].parent
Compose = Callable[..., DictConfig]


@pytest.fixture
def configured() -> Iterator[Compose]:
    """What Hydra would give the job for some overrides."""
    threads = torch.get_num_threads()
    with initialize_config_dir(str(conf_roots()[-1]), version_base="1.3", job_name="train"):

        def make(*overrides: str) -> DictConfig:
            cfg = compose("config", list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            return cfg

        yield make
    HydraConfig.instance().cfg = None
    GlobalHydra.instance().clear()
    torch.set_num_threads(threads)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tiny.folder(tmp_path / "my conf")


def job(
    *arguments: str, cwd: Path, conf: Path = Path("/nowhere")
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench_lr.train", *arguments],
        cwd=cwd,
        env=tiny.environment(conf),
        capture_output=True,
        text=True,
        timeout=120,
    )


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


# --- as a command -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_is_an_ordinary_multirun_and_writes_only_where_it_is_told(tmp_path: Path) -> None:
    before = visible(CHECKOUT)
    claim = "claim=ai_edu/best_lr_batch_16"
    words = ("profile=smoke", "batch_size=16,32", "hydra/launcher=joblib", "store=results")
    done = job("-m", claim, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "launching 2 jobs" in done.stdout
    store = Store(tmp_path / "results")
    commits = [store.commit_of(identity) for identity in store.known()]
    sizes = sorted(commit.config["batches"][0]["batch_size"] for commit in commits if commit)
    # Five LRs, two seeds.
    assert sizes == [16] * 10 + [32] * 10
    assert all(commit and commit.status == "complete" for commit in commits)
    assert visible(tmp_path) == {"out", "results"}
    assert visible(CHECKOUT) == before
    (sweep,) = (tmp_path / "out" / "jobs").iterdir()
    assert {"0", "1", "multirun.yaml"} <= visible(sweep)


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["claim=ai_edu/best_lr_batch_61"], "did you mean 'ai_edu/best_lr_batch_16'?", 2),
        (["-m", "claim=ai_edu/half", "lr=0.1,0.2"], "found 'ai_edu/half'; allowed: ai_edu/", 2),
        (["profile=quik"], "Available options in 'profile':\n\tfull\n\tquick\n\tsmoke", 1),
        (["batchsize=3"], "Key 'batchsize' is not in struct", 1),
        ([], "claim: found nothing", 2),
        (["claim=ai_edu/best_lr_batch_16", "lr=-1"], "lr: found -1; allowed: greater than 0", 2),
    ],
)
def test_what_is_not_allowed_is_told_with_what_is_and_no_traceback(
    arguments: list[str], told: str, code: int, tmp_path: Path
) -> None:
    done = job(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()


# --- what it trains -----------------------------------------------------------------------------


def test_settings_replace_those_of_the_claim_in_every_arm(configured: Compose) -> None:
    runs = runs_of(
        configured(
            "claim=ai_edu/best_lr_batch_16",
            "profile=smoke",
            "seeds=3",
            "epochs=1",
            "batches=[[1,32]]",
            "model=m1",
            "momentum=0.5",
        )
    )
    # The smoke profile trains two seeds at most.
    assert len(runs) == 5 * 2
    assert {run.batches for run in runs} == {(Phase(1, 32),)}
    assert {run.optimizer.momentum for run in runs} == {0.5}
    assert len({run.optimizer.lr for run in runs}) == 5
    assert {len(run.model.layers) for run in runs} == {4}


def test_arms_that_an_override_makes_equal_are_one_run(configured: Compose) -> None:
    runs = runs_of(configured("claim=ai_edu/best_lr_batch_16", "profile=smoke", "lr=0.1"))
    assert [run.seed for run in runs] == [0, 1]


def test_mistakes_on_the_command_line_are_told_by_key(configured: Compose) -> None:
    cfg = configured("claim=ai_edu/best_lr_batch_16", "batch_size=0", "dtype=float16", "seeds=1")
    with pytest.raises(ConfigError) as caught:
        runs_of(cfg)
    told = {(problem.file, problem.key) for problem in caught.value.problems}
    assert told == {("command line", "batch_size"), ("command line", "dtype")}


def test_claims_of_the_users_are_found_through_hydras_search_path(
    configured: Compose, conf: Path
) -> None:
    runs = runs_of(configured(f"hydra.searchpath=['file://{conf}']", "claim=me/true"))
    assert runs == tiny.runs(conf)
    assert len(runs) == 2 * tiny.SEEDS


def test_a_mistake_in_a_users_claim_is_told_with_its_file(
    configured: Compose, tmp_path: Path
) -> None:
    root = write(tmp_path / "conf", {"me/wrong": edited(put("train", "epocs", value=3))})
    with pytest.raises(ConfigError) as caught:
        runs_of(configured(f"hydra.searchpath=['file://{root}']", "claim=me/wrong"))
    (problem,) = caught.value.problems
    assert problem.file.endswith("me/wrong.yaml")
    assert problem.nearest == "epochs"


def test_a_job_trains_what_the_store_lacks_and_nothing_else(
    configured: Compose, conf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store(tmp_path / "store")
    words = (f"hydra.searchpath=['file://{conf}']", f"store='{store.root}'", "device=cpu")
    run_job(configured(*words, "claim=me/true"))
    ids = {run_id(run) for run in tiny.runs(conf)}
    assert store.known() == ids
    commits = {path: path.stat().st_mtime_ns for path in (store.root / "commits").rglob("*.json")}
    run_job(configured(*words, "claim=me/true"))
    assert f"0 of {len(ids)} runs to train" in caplog.text
    # The runs at batch size 20 are stored; those at 10 are not.
    run_job(configured(*words, "claim=me/counted"))
    assert f"{tiny.SEEDS} of {2 * tiny.SEEDS} runs to train" in caplog.text
    assert store.known() == ids | {run_id(run) for run in tiny.runs(conf, "me/counted")}
    assert all(path.stat().st_mtime_ns == when for path, when in commits.items())


# --- faults -------------------------------------------------------------------------------------


def three_cohorts(conf: Path) -> list[tuple[RunConfig, ...]]:
    runs = tiny.runs(conf)
    return [
        tuple(dataclasses.replace(run, batches=(Phase(1, size),)) for run in runs)
        for size in (20, 25, 40)
    ]


def test_a_cohort_that_fails_leaves_its_traceback_and_the_others_their_results(
    configured: Compose, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, also_good = three_cohorts(conf)
    plan = Plan((Job((*good, *bad, *also_good), 1.0),), 36, 36, 0)
    plan_file = save_plan(plan, tmp_path)
    whole = trainer.train_cohort

    def train_cohort(runs: list[RunConfig], *arguments: object, **options: object) -> object:
        if runs[0].batches[0].batch_size == 25:
            raise ValueError("the disk was on fire")
        return whole(runs, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "train_cohort", train_cohort)
    store = Store(tmp_path / "store")
    words = (f"plan='{plan_file}'", "job=0", f"store='{store.root}'", "device=cpu")
    with pytest.raises(JobFailed, match="12 of 36 runs failed"):
        run_job(configured(*words))
    for run in (*good, *also_good):
        assert store.read(run_id(run)) is not None
    failures = list(store.failures(run_id(run) for run in bad))
    assert len(failures) == len(bad)
    for failure in failures:
        assert failure.error.startswith("Traceback")
        assert "ValueError: the disk was on fire" in failure.error
    # A failed run is trained the next time.
    monkeypatch.undo()
    run_job(configured(*words))
    assert store.lacking(run_id(run) for run in (*good, *bad, *also_good)) == []


def test_cohorts_of_one_job_train_apart_and_its_progress_never_goes_back(
    configured: Compose, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = sorted(tiny.runs(conf), key=lambda run: run.seed)
    # Whole seeds, of one shape: only the plan keeps them apart.
    plan = Plan((Job(tuple(runs), 1.0, cohorts=(8, 4)),), 12, 12, 0)
    plan_file = save_plan(plan, tmp_path)
    noted: list[float] = []
    monkeypatch.setattr("bench_lr.train.reporter", lambda folder, number: noted.append)
    store = Store(tmp_path / "store")
    run_job(configured(f"plan='{plan_file}'", "job=0", f"store='{store.root}'", "device=cpu"))
    assert noted == sorted(noted)
    assert noted[-1] == pytest.approx(1)
    assert any(share < 0.9 for share in noted)
    found = [store.read(run_id(run)) for run in runs]
    sizes = [commit.provenance["cohort_runs"] for commit, _ in filter(None, found)]
    assert sizes == [8] * 8 + [4] * 4


def test_a_job_whose_data_cannot_be_had_fails_with_the_reason(
    configured: Compose, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_lr import data

    def load(name: str) -> data.Dataset:
        raise data.DataError("the file is gone")

    monkeypatch.setattr(data, "load", load)
    store = Store(tmp_path / "store")
    words = (f"hydra.searchpath=['file://{conf}']", f"store='{store.root}'", "claim=me/true")
    with pytest.raises(JobFailed):
        run_job(configured(*words))
    errors = {failure.error for failure in store.failures(store.known())}
    assert len(errors) == 1
    assert "the file is gone" in errors.pop()


FOLLOW = "import time; from bench_lr.train import follow_driver; follow_driver(); time.sleep(60)"


@pytest.mark.parametrize("looked_after", [True, False], ids=["reaped", "zombie"])
def test_a_job_ends_when_its_driver_is_gone(looked_after: bool) -> None:
    if not looked_after and not Path("/proc/self/stat").exists():
        pytest.skip("this system does not tell zombies")
    driver = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    environment = {**os.environ, "BENCH_LR_DRIVER": str(driver.pid)}
    follower = subprocess.Popen([sys.executable, "-c", FOLLOW], env=environment)
    try:
        time.sleep(1.5)
        assert follower.poll() is None
        os.kill(driver.pid, signal.SIGKILL)
        if looked_after:
            driver.wait(5)
        assert follower.wait(5) == -signal.SIGTERM
    finally:
        for process in (driver, follower):
            process.kill()
            process.wait(5)


def test_a_job_that_nobody_drives_follows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_LR_DRIVER", raising=False)
    before = threading.active_count()
    follow_driver()
    assert threading.active_count() == before


def test_a_process_watches_its_driver_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_LR_DRIVER", str(os.getpid()))
    before = threading.active_count()
    for _ in range(3):
        follow_driver()
    assert threading.active_count() == before + 1


@pytest.mark.parametrize(
    ("words", "variable", "threads"),
    [
        (["threads=3"], "1", 3),
        ([], "1", 1),
        ([], "100", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None),
    ],
)
def test_threads_are_as_asked_or_as_many_as_there_are_cores_within_the_limit_of_openmp(
    words: list[str],
    variable: str,
    threads: int | None,
    configured: Compose,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert threads_of(configured(*words)) == (threads or os.cpu_count())
