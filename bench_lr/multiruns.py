"""What became of the multiruns of an output folder, read from what they left behind."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import from_json

from bench_lr import cluster
from bench_lr.claims.problems import adapter
from bench_lr.processes import lives
from bench_lr.progress import note_name
from bench_lr.store import Store


@dataclass(frozen=True)
class Multirun:
    """A plan and who trains it, as its folder says.

    Attributes
    ----------
    folder : Path
        Its name is when it began.
    pid, host
        The process that watches it, or did.
    """

    folder: Path
    launcher: str
    store: Path
    jobs: int
    pid: int
    host: str

    @property
    def on_cluster(self) -> bool:
        """Whether SLURM runs its jobs."""
        return self.launcher in cluster.LAUNCHERS


@dataclass(frozen=True)
class Standing:
    """How far a multirun is; every job is counted once.

    Attributes
    ----------
    done, failed : int
        Jobs whose runs are all stored, and those of which a run failed.
    running, queued : int
        The others, as far as somebody trains them still.
    missing : int
        The others, if nobody does.
    known : bool
        Whether the cluster, if there is one, could be asked.
    """

    multirun: Multirun
    runs: int
    runs_done: int
    done: int
    failed: int
    running: int
    queued: int
    missing: int
    reasons: tuple[str, ...] = ()
    known: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it for other programs."""
        names = ("runs", "runs_done", "done", "failed", "running", "queued", "missing", "known")
        run = self.multirun
        return {
            "folder": str(run.folder),
            "launcher": run.launcher,
            "store": str(run.store),
            "jobs": run.jobs,
            **{name: getattr(self, name) for name in names},
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class _Said:
    """What the file of a plan says of who trains it."""

    launcher: str
    store: str
    jobs: int
    pid: Annotated[int, Field(gt=0, lt=1 << 31)]
    host: str


def multiruns(out: Path) -> Iterator[Multirun]:
    """Yield the multiruns of an output folder, the newest first; what is no such folder is not."""
    for path in sorted((out / "jobs").glob("*/plan.json"), reverse=True):
        with contextlib.suppress(OSError, ValueError):
            said: _Said = adapter(_Said).validate_json(path.read_bytes(), strict=True)
            jobs = sum(1 for _ in (path.parent / "jobs").glob("*.json"))
            if jobs == said.jobs:
                store = Path(said.store)
                yield Multirun(path.parent, said.launcher, store, jobs, said.pid, said.host)


def standing(multirun: Multirun) -> Standing:
    """Look how far a multirun is."""
    store = Store(multirun.store)
    done = failed = runs = runs_done = begun = 0
    for number in range(multirun.jobs):
        ids = _run_ids(multirun.folder / "jobs" / f"{number}.json")
        known = store.known(ids).intersection(ids)
        lost = sum(1 for _ in store.failures(known))
        runs += len(ids)
        runs_done += len(known) - lost
        if lost:
            failed += 1
        elif len(known) == len(ids):
            done += 1
        else:
            begun += (multirun.folder / note_name(number)).exists()
    undone = multirun.jobs - done - failed
    queue, asked = _queue(multirun, begun, undone)
    running = min(queue.running, undone)
    queued = min(queue.queued, undone - running)
    missing = undone - running - queued if asked else 0
    return Standing(
        multirun, runs, runs_done, done, failed, running, queued, missing, queue.reasons, asked
    )


def _queue(multirun: Multirun, begun: int, undone: int) -> tuple[cluster.Queue, bool]:
    """Jobs that somebody trains, and whether that is known."""
    if multirun.on_cluster:
        try:
            return cluster.queue_of(cluster.submitted(multirun.folder)), True
        except cluster.ClusterError:
            return cluster.Queue(), False
    if multirun.host != platform.node():
        return cluster.Queue(), False
    return (cluster.Queue(undone - begun, begun) if lives(multirun.pid) else cluster.Queue()), True


def _run_ids(path: Path) -> list[str]:
    try:
        return [str(it) for it in from_json(path.read_bytes())["run_ids"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
