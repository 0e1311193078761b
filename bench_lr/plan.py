"""What has to be trained, in which jobs, and what it will cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

from bench_lr.budget import budget
from bench_lr.claims.problems import adapter
from bench_lr.cohort.grouping import arrange, divide
from bench_lr.identity import run_ids
from bench_lr.probes import Curvature, DisplacementSketch, GradientNoise
from bench_lr.schema import Claim, RunConfig
from bench_lr.shapes import EXAMPLES, flops_per_example, walk, weights
from bench_lr.store import Store, StoreError, write_atomic

FLOPS_PER_SECOND = 1.6e11
"""Rate of one core on the engine's GEMMs, for estimates only."""
SECONDS_PER_STEP = 2e-4
"""Time of a step that no arithmetic explains, a cohort."""
SECONDS_PER_SMALL_STEP = 3e-6
"""The same where a step is part of one compiled call."""
SMALL_LAYERS = ("flatten", "linear", "sigmoid", "tanh", "relu")
SMALL_PRODUCTS = 1 << 17
"""Weights times batch size of a network whose steps are compiled; see `bench_lr.cohort.small`."""
SECONDS_PER_VALUE = 4e-10
"""Time a value that passes through the network takes, an example."""
SECONDS_PER_PROBED = {
    "gradient_noise": 5e-11,
    "curvature": 1.4e-8,
    "displacement_sketch": 1e-9,
}
"""Time of the arithmetic of probes, a product or value."""
CPU_RUNS_PER_COHORT = (16, 64)
"""Fewest and most runs of a cohort on a CPU: more gain nothing, or leave the other cores idle."""
CPU_COHORT_BYTES = 1 << 22
"""Weights and activations that a core still has near; small networks train more at a time."""
GPU_RUNS_PER_COHORT = 512
TEST_EXAMPLES = 10_000
"""Of most data sets, for estimates only."""


@dataclass(frozen=True)
class Job:
    """One Hydra multirun job: the runs of one cohort, and its estimated time on one core.

    Attributes
    ----------
    run_ids : tuple of str
        Identities of its runs, in their order; worked out where they are not given.
    """

    runs: tuple[RunConfig, ...]
    seconds: float
    run_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.run_ids) != len(self.runs):
            object.__setattr__(self, "run_ids", tuple(run_ids(self.runs)))

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


def seconds_of(runs: Sequence[RunConfig]) -> float:
    """Estimated time of a cohort on one core."""
    first = runs[0]
    example, _ = EXAMPLES[first.task.data]
    values = sum(prod(shape) for shape in walk(first.model, example))
    cost = budget(first)
    times = -(-first.epochs // first.evaluation.every) * first.evaluation.per_epoch
    evaluated = times * evaluated_examples(first)
    training = cost.examples * flops_per_example(first.model, example) / FLOPS_PER_SECOND
    passing = (3 * cost.examples + evaluated) * values * SECONDS_PER_VALUE
    step = SECONDS_PER_SMALL_STEP if _is_small(first) else SECONDS_PER_STEP
    probing = probing_seconds(first, times)
    return len(runs) * (training + passing + probing) + cost.updates * step


def probing_seconds(run: RunConfig, evaluations: int) -> float:
    """Estimated time on one core of what a run's probes measure."""
    example, _ = EXAMPLES[run.task.data]
    examples, count = run.task.train_size, weights(run.model, example)
    passing = sum(prod(shape) for shape in walk(run.model, example))
    seconds = 0.0
    for probe in run.evaluation.probes:
        match probe:
            case GradientNoise(batch_sizes=sizes):
                drawn = sum(probe.batches * (min(size, examples) + 2) for size in sizes)
                # Those of all consecutive batches are formed in double precision.
                formed = sum(2 * examples + 4 * examples / min(size, examples) for size in sizes)
                once = (drawn + formed + 4 * examples) * count
            case Curvature():
                once = examples * passing * (count + 1)
            case DisplacementSketch():
                once = probe.size * count
        seconds += once * SECONDS_PER_PROBED[probe.kind] * (len(probe.at) or evaluations)
    return seconds


def _is_small(run: RunConfig) -> bool:
    """Whether the steps of a run are compiled, on a CPU."""
    example, _ = EXAMPLES[run.task.data]
    batch = max(phase.batch_size for phase in run.batches)
    return (
        run.task.loss == "half_mse"
        and run.optimizer.is_plain
        and all(layer.kind in SMALL_LAYERS for layer in run.model.layers)
        and weights(run.model, example) * batch <= SMALL_PRODUCTS
    )


def evaluated_examples(run: RunConfig) -> int:
    """Examples that an evaluation of a run looks at."""
    sizes = {
        "training_set": run.task.train_size,
        "validation": run.task.validation_size,
        "test": TEST_EXAMPLES,
    }
    return sum(sizes[split] for split in run.evaluation.splits)


def runs_on_cpu(run: RunConfig) -> int:
    """How many runs like this one a CPU core best trains together."""
    example, _ = EXAMPLES[run.task.data]
    batch = max(phase.batch_size for phase in run.batches)
    passing = sum(prod(shape) for shape in walk(run.model, example)[1:])
    values = weights(run.model, example) + min(batch, run.task.train_size) * passing
    least, most = CPU_RUNS_PER_COHORT
    return min(most, max(least, CPU_COHORT_BYTES // (4 * values)))


def seconds_of_claim(claim: Claim) -> float:
    """Estimated time of a claim's runs on one core, trained for this claim alone."""
    runs = dict.fromkeys(run for arm in claim.arms for run in arm.runs)
    return sum(
        seconds_of(part)
        for group in arrange(list(runs))
        for part in divide(group, runs_on_cpu(group[0]))
    )


def make_plan(
    claims: Sequence[Claim], store: Store, runs_per_cohort: int | Callable[[RunConfig], int]
) -> Plan:
    """Plan the runs of `claims`: each distinct run once, minus the store, in cohorts.

    Cheap claims come first, so that their verdicts fall early; a run that several claims share
    trains with the first of them.
    """
    wanted: dict[str, RunConfig] = {}
    count = 0
    # The runs of an arm cost the same.
    costs = {
        claim.id: sum(len(arm.runs) * seconds_of(arm.runs[:1]) for arm in claim.arms)
        for claim in claims
    }
    for claim in sorted(claims, key=lambda claim: (costs[claim.id], claim.id)):
        runs = [run for arm in claim.arms for run in arm.runs]
        count += len(runs)
        for identity, run in zip(run_ids(runs), runs, strict=True):
            wanted.setdefault(identity, run)
    lacking = store.lacking(wanted)
    limit = runs_per_cohort if callable(runs_per_cohort) else lambda run: runs_per_cohort
    # `arrange` and `divide` hand on the objects they are given.
    names = {id(run): identity for identity, run in wanted.items()}
    jobs = [
        Job(tuple(part), seconds_of(part), tuple(names[id(run)] for run in part))
        for group in arrange([wanted[identity] for identity in lacking])
        for part in divide(group, limit(group[0]))
    ]
    return Plan(tuple(jobs), count, len(wanted), len(wanted) - len(lacking))


def save_plan(plan: Plan, folder: Path) -> Path:
    """Write a plan, each job into a file of its own; return the plan's file.

    A job reads its own file and no other: ten thousand jobs would read ten thousand plans.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    path = folder / "plan.json"
    dump = adapter(Job).dump_json
    try:
        _job_file(path, 0).parent.mkdir(parents=True, exist_ok=True)
        for number, job in enumerate(plan.jobs):
            # Nobody looks for it before the plan's file is there.
            _job_file(path, number).write_bytes(dump(job))
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
    content = {
        "jobs": len(plan.jobs),
        "runs": plan.runs,
        "wanted": plan.wanted,
        "distinct": plan.distinct,
        "stored": plan.stored,
        "seconds": plan.seconds,
    }
    write_atomic(path, json.dumps(content, indent=1).encode())
    return path


def load_job(path: Path, number: int) -> Job:
    """Read one job of the plan that `save_plan` wrote to `path`."""
    job: Job = adapter(Job).validate_json(_job_file(path, number).read_bytes(), strict=True)
    return job


def _job_file(path: Path, number: int) -> Path:
    return path.parent / "jobs" / f"{number}.json"
