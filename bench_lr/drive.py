"""Training what a plan lacks with Hydra multiruns, watched from outside.

A multirun is a process of its own and is judged by what reaches the store, never by its exit: a
launcher may raise at the first dead job while others run on, wait without end for one that nobody
accounts for, or call a job that failed completed; and where one worker process of joblib dies, the
others are ended. So jobs that ended without a word are started again, and at last, as they may have
been killed for the memory they took, with fewer runs at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_lr import cluster
from bench_lr.checkpoint import steps_kept
from bench_lr.claims.files import conf_roots, group_names
from bench_lr.failures import note_failures
from bench_lr.plan import Plan, save_plan
from bench_lr.progress import Status, Watch, note_name
from bench_lr.store import Commit, Store

log = logging.getLogger(__name__)

DRIVER = "BENCH_LR_DRIVER"
"""Environment variable that tells a local job which process to end with."""
LOCAL_LAUNCHERS = ("local", "joblib")
POLL_SECONDS = 0.5
STOP_SECONDS = 3.0
"""Between asking jobs to end and ending them."""
CLUSTER_SECONDS = 5.0
"""Between two questions to a cluster."""
QUIET_LOOKS = 2
"""So often a cluster has to know of no job before they are taken to be over."""
PARTS = (2, 4, 8)
"""Into how many parts cohorts are divided whose job is killed each time it runs."""


def quoted(value: object) -> str:
    """Return a value as a quoted string of Hydra's override grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    # A path may hold "${", which is an interpolation if no backslash is before it.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(value))
    return QuotedString(text, Quote.single).with_quotes()


def launchers() -> list[str]:
    """Names of the launchers there are: the configuration's own and those of Hydra's plugins."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()
    plugins = ConfigStore.instance().list("hydra/launcher")
    own = group_names(conf_roots()[-1:], "hydra/launcher")
    return sorted({*own, *(name.removesuffix(".yaml") for name in plugins)})


def command(
    numbers: Sequence[int],
    plan_file: Path,
    store: Store,
    launcher: str,
    overrides: Sequence[str],
    name: str = "hydra",
) -> list[str]:
    """Return the command line of a multirun.

    Parameters
    ----------
    numbers : sequence of int
        The jobs of the plan.
    name : str
        Of its folder, beside the plan.
    """
    return [
        sys.executable,
        "-m",
        "bench_lr.train",
        "-m",
        f"plan={quoted(plan_file)}",
        f"job={_sweep(numbers)}",
        f"store={quoted(store.root.resolve())}",
        f"hydra/launcher={launcher}",
        f"hydra.sweep.dir={quoted(plan_file.parent / name)}",
        *overrides,
    ]


def _sweep(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1] + 1
    if len(numbers) > 1 and list(numbers) == list(range(first, last)):
        return f"range({first},{last})"
    return ",".join(map(str, numbers))


@dataclass
class Driver:
    """Multiruns for one plan, until all its runs are stored or no more can be done.

    Parameters
    ----------
    folder : Path
        Of this plan, its progress and its logs.
    overrides : sequence of str
        For Hydra, such as ``hydra.launcher.n_jobs=4`` or ``device=cpu``.
    watch : callable
        Called about twice a second.
    """

    plan: Plan
    store: Store
    folder: Path
    launcher: str
    overrides: Sequence[str] = ()
    watch: Callable[[Status], None] = lambda status: None
    multiruns: int = 0

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.plan_file = save_plan(self.plan, self.folder, launcher=self.launcher, store=self.store)
        self.log = self.folder / "multirun.log"
        self._look = Watch(self.plan, self.store, self.folder)
        self._start = time.monotonic()
        self._failed_before = self._failures(range(len(self.plan.jobs)))

    def train(self) -> Path:
        """Train the jobs; return the log of the multiruns.

        Raises
        ------
        KeyboardInterrupt
            After the jobs have been stopped.
        """
        left, last = list(range(len(self.plan.jobs))), False
        while left:
            before = self._got_to()
            self._follow(left)
            left = self._without_a_word(left)
            if not left or last:
                break
            last = self._got_to() == before
            # Where no job began at all, none may begin the next time either: it is tried once.
            if last and self.launcher not in cluster.LAUNCHERS and self._has_begun():
                # One of those that ran together ends the others with it, each time.
                for number in left:
                    self._follow([number])
                left = self._without_a_word(left)
                break
        self._note_the_dead(self._by_parts(left))
        return self.log

    def _by_parts(self, numbers: Sequence[int]) -> Sequence[int]:
        """Train jobs that are killed each time with fewer runs at a time; return those still left.

        The system says nothing to who is killed for want of memory.
        """
        for parts in PARTS:
            sizes = {n: max(self.plan.jobs[n].cohorts) for n in numbers if self._noted(n)}
            going = [number for number, size in sizes.items() if size >= parts]
            if not going:
                break
            most = -(-max(sizes[number] for number in going) // parts)
            log.warning(
                "%d jobs end each time as if killed (memory?): going on with %d runs at a time",
                len(going),
                most,
            )
            together = self.launcher in cluster.LAUNCHERS
            for group in [going] if together else [[number] for number in going]:
                self._follow(group, f"runs_at_once={most}")
            numbers = self._without_a_word(numbers)
        return numbers

    def _got_to(self) -> tuple[int, int]:
        """Runs that are stored, and steps that cohorts have behind them that are not."""
        return self._look.runs_done, steps_kept(self.store, self.plan.run_ids)

    def _has_begun(self) -> bool:
        """Whether any job has begun, or has been handed over."""
        begun = any(map(self._noted, range(len(self.plan.jobs))))
        return begun or bool(cluster.submitted(self.folder))

    def _noted(self, number: int) -> bool:
        """Whether a job has said that it has begun."""
        return (self.folder / note_name(number)).exists()

    def submit(self) -> list[str]:
        """Hand the jobs over to a cluster; return their ids, none if that failed."""
        process = self._begin(range(len(self.plan.jobs)))
        try:
            while process.poll() is None:
                ids = cluster.submitted(self.folder)
                if len(ids) == len(self.plan.jobs):
                    return ids
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
        finally:
            stop(process)
        return cluster.submitted(self.folder)

    def _begin(self, numbers: Sequence[int], *more: str) -> subprocess.Popen[bytes]:
        # Rather than train what cannot be stored, again and again.
        self.store.check_writable()
        self.multiruns += 1
        name = "hydra" if self.multiruns == 1 else f"hydra-{self.multiruns}"
        environment = dict(os.environ)
        if self.launcher in LOCAL_LAUNCHERS:
            environment[DRIVER] = str(os.getpid())
        given = [*self.overrides, *more]
        words = command(numbers, self.plan_file, self.store, self.launcher, given, name)
        with self.log.open("ab") as sink:
            return subprocess.Popen(
                words,
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    def _follow(self, numbers: Sequence[int], *more: str) -> None:
        """Train some jobs in a multirun, with `more` overrides, until none of them goes on."""
        jobs = _OnCluster(self.folder) if self.launcher in cluster.LAUNCHERS else _Here()
        process = self._begin(numbers, *more)
        try:
            while True:
                ended = process.poll() is not None
                status = self._look.status(time.monotonic() - self._start)
                self.watch(dataclasses.replace(status, queue=jobs.queue))
                if jobs.over(ended, status):
                    return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                if ended:
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            jobs.cancel()
            raise
        finally:
            stop(process)

    def _failures(self, numbers: Iterable[int]) -> dict[str, Commit]:
        """Commits of the failed runs of some jobs, by run id."""
        ids = [identity for number in numbers for identity in self.plan.jobs[number].run_ids]
        known = self.store.known(ids)
        return {it.run_id: it for it in self.store.failures(i for i in ids if i in known)}

    def _without_a_word(self, numbers: Sequence[int]) -> list[int]:
        """Jobs of which runs are lacking that have not failed either."""
        failed = self._failures(numbers)
        found = []
        for number in numbers:
            lacking = self.store.lacking(self.plan.jobs[number].run_ids)
            if any(failed.get(it) == self._failed_before.get(it) for it in lacking):
                found.append(number)
        return found

    def _note_the_dead(self, numbers: Sequence[int]) -> None:
        """Note of jobs that were begun that their runs failed, where nothing says so."""
        for number in numbers:
            job = self.plan.jobs[number]
            if not self._noted(number):
                continue
            runs = dict(zip(job.run_ids, job.runs, strict=True))
            lacking = {it: runs[it] for it in self.store.lacking(runs)}
            text = f"job {number} ended without an error, as if killed (memory?); see {self.log}"
            note_failures(self.store, lacking, text)


class _Here:
    """Jobs that are over when their multirun is."""

    queue: cluster.Queue | None = None

    def over(self, ended: bool, status: Status) -> bool:
        return ended

    def cancel(self) -> None:
        pass


class _OnCluster:
    """Jobs that SLURM runs, with their multirun or without it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = set(cluster.submitted(folder))
        self._last = 0.0
        self._quiet = 0
        self.queue: cluster.Queue | None = None

    @property
    def ids(self) -> list[str]:
        """Jobs of this multirun."""
        return [it for it in cluster.submitted(self._folder) if it not in self._before]

    def over(self, ended: bool, status: Status) -> bool:
        if status.runs_done == status.runs:
            return True
        if time.monotonic() - self._last < CLUSTER_SECONDS:
            return False
        self._last = time.monotonic()
        ids = self.ids
        if not ids:
            # Nothing has been handed over: it is about to be, or never will.
            return ended
        try:
            self.queue = cluster.queue_of(ids)
        except cluster.ClusterError as error:
            log.warning("%s; asking again", error)
            return False
        self._quiet = 0 if self.queue.alive else self._quiet + 1
        return self._quiet >= QUIET_LOOKS

    def cancel(self) -> None:
        with contextlib.suppress(cluster.ClusterError):
            cluster.cancel(self.ids)


def train(
    plan: Plan,
    store: Store,
    folder: Path,
    *,
    launcher: str,
    overrides: Sequence[str] = (),
    watch: Callable[[Status], None] = lambda status: None,
) -> Path:
    """Train the jobs of a plan as `Driver.train` does."""
    return Driver(plan, store, folder, launcher, overrides, watch).train()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a multirun and its jobs, which are one process group, whoever of them is left."""
    patience = time.monotonic() + STOP_SECONDS
    try:
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < patience:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # None is left (on macOS: none but those that have ended).
        pass
    process.wait()
