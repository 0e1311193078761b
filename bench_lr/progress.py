"""How far the jobs of a plan are: what a job notes, and what the driver sees of it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_lr.cluster import Queue
from bench_lr.plan import Plan
from bench_lr.store import Store, committed

NOTE_SECONDS = 0.5
REST_SECONDS = 3.0
"""A folder may change again within the coarsest tick of a file system without a new time."""


@dataclass(frozen=True)
class Status:
    """Where a multirun stands.

    Attributes
    ----------
    seconds_left : float or None
        Estimate, None until something is done.
    arrived : frozenset of str
        Runs of the plan stored since the status before this one.
    queue : Queue or None
        What a cluster knows of the jobs.
    """

    jobs: int
    jobs_done: int
    runs: int
    runs_done: int
    share: float
    elapsed: float
    seconds_left: float | None
    arrived: frozenset[str] = frozenset()
    queue: Queue | None = None


def note_name(job: int) -> str:
    """Name of the file in which a job notes its progress."""
    return f"progress-{job}.json"


def reporter(folder: Path, job: int) -> Callable[[float], None]:
    """Return a function that notes a job's progress in its multirun's folder."""
    path = folder / note_name(job)
    last = -NOTE_SECONDS

    def report(done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= NOTE_SECONDS or done >= 1:
            last = now
            # Training goes on where progress cannot be told.
            with contextlib.suppress(OSError):
                temporary = path.with_suffix(".tmp")
                temporary.write_text(json.dumps({"done": done, "pid": os.getpid()}))
                temporary.replace(path)

    return report


class Arrivals:
    """The runs committed to a store, asked for again and again while they become more.

    Listing a store of 100,000 runs takes a tenth of a second; only folders that have changed are
    listed again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: set[str] = set()
        # Of each folder: its time of change, and since when we have known it, None once at rest.
        self._shards: dict[str, tuple[int, float | None]] = {}

    def new(self) -> set[str]:
        """Return the runs that have arrived since the last call, at first all there are."""
        now = time.monotonic()
        found: set[str] = set()
        for shard in self._store.shards():
            changed = shard.stat().st_mtime_ns
            before, since = self._shards.get(shard.name, (None, None))
            if changed != before:
                since = now
            elif since is None:
                continue
            found.update(committed(shard))
            self._shards[shard.name] = changed, since if now - since < REST_SECONDS else None
        found -= self._seen
        self._seen |= found
        return found


class Watch:
    """The jobs of a plan, looked at again and again.

    Runs that the store has when the watch begins are those that had failed: what their job notes
    tells how far it is.

    Parameters
    ----------
    folder : Path
        Where the jobs note their progress.
    """

    def __init__(self, plan: Plan, store: Store, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        self._runs = plan.runs
        self._seconds = plan.seconds
        self._arrivals = Arrivals(store)
        before = self._arrivals.new()
        self._waiting = {
            identity: number
            for number, job in enumerate(plan.jobs)
            for identity in job.run_ids
            if identity not in before
        }
        # Runs to be stored and the share that its job notes, of each job that is not done.
        self._left = {number: len(job.runs) for number, job in enumerate(plan.jobs)}
        self._noted: dict[int, tuple[int, float]] = {}
        self.runs_done = 0

    def status(self, elapsed: float) -> Status:
        """Look at the store and the notes; `elapsed` is in seconds."""
        arrived = frozenset(self._arrivals.new() & self._waiting.keys())
        for identity in arrived:
            number = self._waiting.pop(identity)
            self._left[number] -= 1
            if not self._left[number]:
                del self._left[number]
        self.runs_done += len(arrived)
        self._read_notes()
        jobs = self._plan.jobs
        undone = sum(
            jobs[number].seconds * (1 - self._noted[number][1] if number in self._noted else 1)
            for number in self._left
        )
        share = 1 - undone / self._seconds if self._seconds else 1.0
        return Status(
            jobs=len(jobs),
            jobs_done=len(jobs) - len(self._left),
            runs=self._runs,
            runs_done=self.runs_done,
            share=share,
            elapsed=elapsed,
            seconds_left=elapsed * (1 - share) / share if share > 0.01 else None,
            arrived=arrived,
        )

    def _read_notes(self) -> None:
        """Read what jobs that are not done have noted since the last look."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                number = _job_of(entry.name)
                if number not in self._left:
                    continue
                # A note may be replaced, or gone, between any two of these lines.
                with contextlib.suppress(OSError):
                    written = entry.stat().st_mtime_ns
                    if self._noted.get(number, (0, 0.0))[0] != written:
                        self._noted[number] = written, _share(Path(entry.path))


def _job_of(name: str) -> int:
    """Job whose note has this file name; -1 for another file."""
    word, _, number = name.removesuffix(".json").partition("-")
    return int(number) if word == "progress" and number.isdecimal() else -1


def _share(path: Path) -> float:
    """Share that a job has done, 0 where its note does not say."""
    try:
        done = json.loads(path.read_bytes())["done"]
        return float(done) if 0 <= done <= 1 else 0.0
    except (ValueError, LookupError, TypeError):
        return 0.0
