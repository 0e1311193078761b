"""What has to be trained, in which jobs, and what it will cost."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from bench_lr.budget import budget
from bench_lr.claims.problems import adapter
from bench_lr.cohort.grouping import arrange, divide
from bench_lr.identity import canonical_json, config_dict, run_id
from bench_lr.schema import Claim, RunConfig
from bench_lr.shapes import EXAMPLES, flops_per_example, walk
from bench_lr.store import Store, write_atomic

FLOPS_PER_SECOND = 1.6e11
"""Rate of one core on the engine's GEMMs, for estimates only."""
SECONDS_PER_STEP = 2e-4
"""Time of a step that no arithmetic explains, a cohort."""
SECONDS_PER_VALUE = 4e-10
"""Time a value that passes through the network takes, an example."""
CPU_RUNS_PER_COHORT = 16
"""Runs whose weights still fit a core's cache; more gain nothing on a CPU."""
GPU_RUNS_PER_COHORT = 512


@dataclass(frozen=True)
class Job:
    """One Hydra multirun job: the runs of one cohort, and its estimated time on one core."""

    runs: tuple[RunConfig, ...]
    seconds: float

    @cached_property
    def run_ids(self) -> tuple[str, ...]:
        """Identities of its runs, in their order; the driver asks for them twice a second."""
        return tuple(run_id(run) for run in self.runs)

    @property
    def run_epochs(self) -> int:
        """Epochs of all its runs together."""
        return sum(run.epochs for run in self.runs)


@dataclass(frozen=True)
class Plan:
    """What a set of claims wants and what of it is left to do.

    Attributes
    ----------
    wanted : int
        Runs that the claims ask for, each claim counted for itself.
    distinct : int
        The same with runs that claims share counted once.
    stored : int
        Distinct runs that the store already has.
    """

    jobs: tuple[Job, ...]
    wanted: int
    distinct: int
    stored: int
    folder: Path | None = None

    @cached_property
    def run_ids(self) -> frozenset[str]:
        """Identities of the runs to train."""
        return frozenset(identity for job in self.jobs for identity in job.run_ids)

    @property
    def runs(self) -> int:
        """Runs to train."""
        return sum(len(job.runs) for job in self.jobs)

    @property
    def run_epochs(self) -> int:
        """Epochs of all runs to train together."""
        return sum(job.run_epochs for job in self.jobs)

    @property
    def seconds(self) -> float:
        """Estimated time on one core."""
        return sum(job.seconds for job in self.jobs)

    def reporter(self, job: int) -> Callable[[float], None]:
        """Return a function that notes a job's progress where the driver can see it."""
        assert self.folder is not None
        path = self.folder / f"progress-{job}.json"
        last = 0.0

        def report(done: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= 0.5 or done >= 1:
                last = now
                # Training goes on where progress cannot be told.
                with contextlib.suppress(OSError):
                    temporary = path.with_suffix(".tmp")
                    temporary.write_text(json.dumps({"done": done, "pid": os.getpid()}))
                    temporary.replace(path)

        return report


def seconds_of(runs: Sequence[RunConfig]) -> float:
    """Estimated time of a cohort on one core."""
    first = runs[0]
    example, _ = EXAMPLES[first.task.data]
    values = sum(prod(shape) for shape in walk(first.model, example))
    cost = budget(first)
    evaluated = first.epochs * first.evaluation.per_epoch * first.task.validation_size
    training = cost.examples * flops_per_example(first.model, example) / FLOPS_PER_SECOND
    passing = (3 * cost.examples + evaluated) * values * SECONDS_PER_VALUE
    return len(runs) * (training + passing) + cost.updates * SECONDS_PER_STEP


def make_plan(claims: Sequence[Claim], store: Store, runs_per_cohort: int) -> Plan:
    """Plan the runs of `claims`: each distinct run once, minus the store, in cohorts.

    Cheap claims come first, so that their verdicts fall early; a run that several claims share
    trains with the first of them.
    """
    wanted: dict[str, RunConfig] = {}
    count = 0
    costs = []
    for claim in claims:
        runs = [run for arm in claim.arms for run in arm.runs]
        count += len(runs)
        costs.append((sum(seconds_of([run]) for run in runs), claim.id, runs))
    for _, _, runs in sorted(costs, key=lambda item: item[:2]):
        for run in runs:
            wanted.setdefault(run_id(run), run)
    lacking = set(store.lacking(wanted))
    todo = [run for identity, run in wanted.items() if identity in lacking]
    jobs = [
        Job(tuple(part), seconds_of(part))
        for group in arrange(todo)
        for part in divide(group, runs_per_cohort)
    ]
    return Plan(tuple(jobs), count, len(wanted), len(wanted) - len(lacking))


def save_plan(plan: Plan, folder: Path) -> Path:
    """Write a plan for the jobs to read; return its file."""
    path = folder / "plan.json"
    jobs = [
        {"runs": [config_dict(run) for run in job.runs], "seconds": job.seconds}
        for job in plan.jobs
    ]
    names = {item.name for item in fields(plan)} - {"jobs", "folder"}
    content = {name: getattr(plan, name) for name in names}
    write_atomic(path, canonical_json({**content, "jobs": jobs}).encode())
    return path


def load_plan(path: Path) -> Plan:
    """Read a plan that `save_plan` wrote."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    parse = adapter(RunConfig).validate_json
    jobs = tuple(
        Job(tuple(parse(json.dumps(run), strict=True) for run in job["runs"]), job["seconds"])
        for job in content.pop("jobs")
    )
    return Plan(jobs=jobs, folder=path.parent, **content)
