"""The training job, an ordinary Hydra application.

::

    python -m bench_lr.train -m claim=ai_edu/best_lr_batch_16 batch_size=16,32 hydra/launcher=joblib

trains the runs of a claim, with the given settings in place of the claim's, and stores them.
``bench-lr run`` starts the same application with ``plan=... job=0,1,2,...``.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from bench_lr.claims import ConfigError, claim_files, conf_roots, load_claims
from bench_lr.claims.problems import Problem, parse, unknown
from bench_lr.estimate import seconds_of
from bench_lr.failures import note_failures
from bench_lr.identity import run_ids
from bench_lr.interruptions import Interruptions
from bench_lr.plan import load_job
from bench_lr.plugins import load_plugins
from bench_lr.processes import lives
from bench_lr.progress import reporter
from bench_lr.provenance import cores
from bench_lr.schema import RunConfig, Setting
from bench_lr.store import Store, StoreError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""Between asking a job to end whose driver is gone, and ending it."""


class JobFailed(RuntimeError):
    """Some cohorts of a job failed; the store has their tracebacks."""


def override_of(cfg: DictConfig) -> Setting | None:
    """Settings given on the command line, or None.

    Raises
    ------
    ConfigError
        If they are not settings.
    """
    given: dict[str, Any] = {}
    for item in dataclasses.fields(Setting):
        value = cfg.get(item.name)
        if value is not None:
            given[item.name] = (
                OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            )
    if not given:
        return None
    problems: list[Problem] = []
    setting = parse(Setting, given, "command line", "", problems)
    if problems:
        raise ConfigError(problems)
    assert isinstance(setting, Setting)
    return setting


def runs_of(cfg: DictConfig) -> list[RunConfig]:
    """Distinct runs of the claim that the configuration names."""
    from hydra.core.hydra_config import HydraConfig

    choice = HydraConfig.get().runtime.choices.get("claim")
    if not choice:
        raise ConfigError(
            [
                Problem(
                    "command line", "claim", "nothing", "claim=<source>/<slug>; see bench-lr list"
                )
            ]
        )
    profile = HydraConfig.get().runtime.choices["profile"]
    roots = [
        Path(source.path)
        for source in HydraConfig.get().runtime.config_sources
        if source.schema == "file" and source.path
    ]
    claims = load_claims(
        [choice], profile, roots=roots or conf_roots(), override=override_of(cfg), seeds=cfg.seeds
    )
    return list(dict.fromkeys(run for claim in claims for arm in claim.arms for run in arm.runs))


def threads_of(cfg: DictConfig) -> int:
    """CPU threads for this job: as asked, or the cores divided among the jobs at a time.

    Not more than ``OMP_NUM_THREADS``, or than a cluster has given it, where that is set.
    """
    if cfg.threads:
        return int(cfg.threads)
    limits = [os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")]
    return min([_share_of_cores(), *(int(it) for it in limits if it.isdecimal() and int(it))])


def _share_of_cores() -> int:
    return max(1, cores() // min(cores(), jobs_at_once() or 1))


def jobs_at_once() -> int | None:
    """Jobs that the launcher runs on this machine at a time, as far as it says."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return None
    mode = HydraConfig.get().mode
    if mode is None or mode.name != "MULTIRUN":
        return 1
    launcher = HydraConfig.get().launcher
    jobs = launcher.get("n_jobs") if launcher is not None else None
    if jobs is None:
        return None
    return cores() if jobs < 1 else int(jobs)


def follow_driver() -> None:
    """End this process when the driver that started it is gone, however it went.

    It is asked to first, so that it keeps what it has trained.
    """
    driver = int(os.environ.get("BENCH_LR_DRIVER", "0"))
    # A worker process takes one job after the other.
    if not driver or any(thread.name == "follow-driver" for thread in threading.enumerate()):
        return

    def watch() -> None:
        while True:
            time.sleep(1.0)
            if not lives(driver):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(PATIENCE_SECONDS)
                os._exit(1)

    threading.Thread(target=watch, daemon=True, name="follow-driver").start()


def run_job(cfg: DictConfig) -> None:
    """Train what one job is given, minus what the store already has."""
    follow_driver()
    load_plugins()
    store = Store(cfg.store)
    report = None
    if cfg.plan is not None:
        plan, number = Path(cfg.plan), int(cfg.job)
        job = load_job(plan, number)
        runs, parts = list(job.runs), job.parts
        report = reporter(plan.parent, number)
    else:
        runs = runs_of(cfg)
        parts = [tuple(runs)]
    if report is not None:
        # Who asks knows that the job has begun.
        report(0.0)
    # Only now: mistakes are told at once, not after seconds of imports.
    import torch

    from bench_lr.cohort import memory
    from bench_lr.cohort.grouping import arrange
    from bench_lr.data import load
    from bench_lr.devices import found, take_gpu
    from bench_lr.trainer import train_and_store

    store.recover()
    if found(cfg.device) == "cuda":
        take_gpu()
    torch.set_num_threads(threads_of(cfg))
    torch.set_float32_matmul_precision("highest")
    wanted = dict(zip(run_ids(runs), runs, strict=True))
    lacking = set(store.lacking(wanted))
    names = {id(run): identity for identity, run in wanted.items()}
    todo = [[run for run in part if names.get(id(run)) in lacking] for part in parts]
    groups = [
        group
        for part in todo
        for cohort in arrange(part)
        for group in memory.parts(cohort, most_at_once(cohort[0], cfg))
    ]
    log.info("%d of %d runs to train", len(lacking), len(runs))
    with Interruptions() as interruptions:
        datasets: dict[str, Any] = {}

        def train(group: Sequence[RunConfig], progress: Callable[[float], None] | None) -> None:
            # Nothing is begun that is to be put down at once.
            interruptions.pass_on()
            name = group[0].task.data
            if name not in datasets:
                datasets[name] = load(name)
            seconds = train_and_store(
                group,
                datasets[name],
                store,
                device=cfg.device,
                progress=progress,
                origin=_origin(),
                minutes=cfg.checkpoint_minutes,
                interruptions=interruptions,
                log_runs=_log_runs(cfg),
            )
            log.info("%d runs in %.1f s", len(group), seconds)

        shares = _shares(groups, report)
        failed = sum(map(partial(_train_cohort, store, train), groups, shares))
    if failed:
        raise JobFailed(f"{failed} of {len(runs)} runs failed; see the log")


def most_at_once(run: RunConfig, cfg: DictConfig) -> int:
    """Most runs like this one to train together: as asked, and as far as they fit into a GPU."""
    import torch

    from bench_lr.cohort.memory import runs_that_fit
    from bench_lr.devices import found

    limits = [int(cfg.runs_at_once)] if cfg.runs_at_once else []
    if found(cfg.device) == "cuda":
        free, _ = torch.cuda.mem_get_info()
        limits.append(runs_that_fit(run, free))
    return min(limits, default=sys.maxsize)


def _train_cohort(
    store: Store,
    train: Callable[[Sequence[RunConfig], Callable[[float], None] | None], None],
    cohort: Sequence[RunConfig],
    progress: Callable[[float], None] | None,
    again: bool = True,
) -> int:
    """Train a cohort, by halves where there is no memory for it; return how many runs failed.

    A single run is tried `again`, in case it was what is over that held the memory.
    """
    from bench_lr.cohort.memory import give_back, halves, is_out_of_memory

    try:
        train(cohort, progress)
        return 0
    except Exception as error:
        no_memory = is_out_of_memory(error)
        text = traceback.format_exc()
    if no_memory:
        # Only now is free what the error held.
        give_back()
    if no_memory and len(cohort) > 1:
        log.warning("no memory for %d runs at a time: going on by halves", len(cohort))
        return sum(_train_cohort(store, train, half, None) for half in halves(cohort))
    if no_memory and again:
        return _train_cohort(store, train, cohort, progress, again=False)
    log.error("%d runs failed:\n%s", len(cohort), text)
    try:
        note_failures(store, dict(zip(run_ids(cohort), cohort, strict=True)), text)
    except StoreError as problem:
        log.error("this cannot be noted: %s", problem)
    return len(cohort)


def _log_runs(cfg: DictConfig) -> Callable[[Sequence[RunConfig], Sequence[Any]], None] | None:
    """What logs runs that are stored, as far as that works."""
    if not cfg.logger:
        return None
    from bench_lr.run_logs import LoggerMissing, log_runs

    def log_them(runs: Sequence[RunConfig], tables: Sequence[Any]) -> None:
        try:
            log_runs(runs, tables, cfg.logger, Path(cfg.log_dir))
        except (LoggerMissing, OSError) as error:
            # They are stored, and that is what counts.
            log.warning("%d runs are not logged: %s", len(runs), error)

    return log_them


def _origin() -> dict[str, Any]:
    """What the provenance of a run says beside device and versions."""
    node = os.environ.get("SLURMD_NODENAME")
    return {"jobs_at_once": jobs_at_once(), **({"node": node} if node else {})}


def _shares(
    groups: Sequence[Sequence[RunConfig]], report: Callable[[float], None] | None
) -> list[Callable[[float], None] | None]:
    """For each cohort of a job, what notes the job's progress from the cohort's."""
    times = [seconds_of(group) for group in groups]
    total = sum(times)

    def noting(before: float, own: float) -> Callable[[float], None] | None:
        return None if report is None else lambda done: report((before + own * done) / total)

    before = itertools.accumulate(times, initial=0.0)
    return [noting(start, own) for start, own in zip(before, times, strict=False)]


@hydra.main(version_base="1.3", config_path=str(conf_roots()[-1]), config_name="config")
def main(cfg: DictConfig) -> None:
    """Hydra entry point."""
    try:
        run_job(cfg)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def unknown_claims(arguments: Sequence[str]) -> list[Problem]:
    """Claims on the command line that there are not; Hydra names none that there are."""
    known = claim_files(conf_roots()[-1:])
    if any(word.startswith(("hydra.searchpath=", "--config", "-c")) for word in arguments):
        return []
    named = [word.partition("=")[2] for word in arguments if word.startswith("claim=")]
    asked = [name for words in named for name in words.split(",")]
    return [unknown("command line", "claim", name, known) for name in asked if name not in known]


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code == 1 and (problems := unknown_claims(sys.argv[1:])):
            print(ConfigError(problems), file=sys.stderr)
            sys.exit(2)
        raise
