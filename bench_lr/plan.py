"""What has to be trained, in which jobs, and what it will cost."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import platform
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path

from bench_lr.checkpoint import unfinished
from bench_lr.claims.problems import adapter
from bench_lr.cohort.grouping import arrange, divide
from bench_lr.estimate import SECONDS_PER_JOB, seconds_of
from bench_lr.identity import run_ids
from bench_lr.schema import Claim, RunConfig
from bench_lr.shapes import example_of, walk, weights
from bench_lr.store import Store, StoreError, write_atomic

CPU_RUNS_PER_COHORT = (16, 64)
"""Fewest and most runs of a cohort on a CPU: more gain nothing, or leave the other cores idle."""
CPU_COHORT_BYTES = 1 << 22
"""Weights and activations that a core still has near; small networks train more at a time."""
GPU_RUNS_PER_COHORT = 512
COSTS = ("s", "m", "G")
"""What claims may cost, cheapest first."""
SOON_SECONDS = 10.0
"""A claim that takes no longer shares its runs with others, but not its cohorts."""
JOB_SECONDS = (1.0, 15.0)
"""Least and most that small cohorts are gathered up to in one job, which has a cost of its own."""
CLUSTER_JOB_SECONDS = (60.0, float("inf"))
"""The same on a cluster, where a job waits and starts for longer."""
CLUSTER_JOBS = 60
"""Jobs at a time that a plan for a cluster expects: with `JOBS_A_WORKER` that is an array of less
than the 1000 that SLURM takes unless it is told otherwise."""
JOBS_A_WORKER = 8
"""So many jobs are left to each worker, where there is enough to train, to even them out."""


@dataclass(frozen=True)
class Job:
    """One Hydra multirun job: the runs of one cohort or more, and its estimated time on one core.

    Attributes
    ----------
    run_ids : tuple of str
        Identities of its runs, in their order; worked out where they are not given.
    cohorts : tuple of int
        Runs of each cohort, in their order; all are one where nothing is given.
    claims : tuple of str
        The claims that want any of its runs, those that are served first in front.
    """

    runs: tuple[RunConfig, ...]
    seconds: float
    run_ids: tuple[str, ...] = ()
    cohorts: tuple[int, ...] = ()
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.run_ids) != len(self.runs):
            object.__setattr__(self, "run_ids", tuple(run_ids(self.runs)))
        if sum(self.cohorts) != len(self.runs):
            object.__setattr__(self, "cohorts", (len(self.runs),) if self.runs else ())

    @property
    def run_epochs(self) -> int:
        """Epochs of all its runs together."""
        return sum(run.epochs for run in self.runs)

    @property
    def parts(self) -> list[tuple[RunConfig, ...]]:
        """Its cohorts."""
        stops = list(itertools.accumulate(self.cohorts, initial=0))
        return [self.runs[start:stop] for start, stop in itertools.pairwise(stops)]


@dataclass(frozen=True)
class Share:
    """What is left to train for the claims of one cost; a shared run is the cheapest claim's."""

    claims: int
    runs: int
    run_epochs: int
    seconds: float


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
    claims : int
        Claims that ask for runs.
    sharing : mapping of two claims to int
        How many runs each two claims share, most first; of those that share any.
    by_cost : mapping of str to Share
        What is left to train, by the claims' cost ("s", "m", "G").
    workers : int
        Jobs at a time that it is made for.
    """

    jobs: tuple[Job, ...]
    wanted: int
    distinct: int
    stored: int
    claims: int = 0
    sharing: Mapping[tuple[str, str], int] = field(default_factory=dict)
    by_cost: Mapping[str, Share] = field(default_factory=dict)
    workers: int = 1

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

    def makespan(self, workers: int) -> float:
        """Estimated time until the last job ends, with so many taking one job after the other."""
        free = [0.0] * max(1, workers)
        for job in self.jobs:
            heapq.heapreplace(free, free[0] + job.seconds)
        return max(free)


def runs_on_cpu(run: RunConfig) -> int:
    """How many runs like this one a CPU core best trains together."""
    example, _ = example_of(run.task.data)
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


def _alone(claim: Claim) -> float:
    """Estimated time of a claim's runs on one core, its arms one after the other."""
    return sum(seconds_of(arm.runs) for arm in claim.arms)


def make_plan(
    claims: Sequence[Claim],
    store: Store,
    runs_per_cohort: int | Callable[[RunConfig], int],
    workers: int | Callable[[], int] = 1,
    job_seconds: tuple[float, float] = JOB_SECONDS,
) -> Plan:
    """Plan the runs of `claims`: each distinct run once, minus the store, in cohorts, in jobs.

    Jobs come in the order in which the claims are soonest served one after the other, the one with
    the least left to do first; but in time for `workers` to end together (see `_in_order`). Small
    cohorts that follow each other are one job.

    Parameters
    ----------
    workers : int or callable
        Jobs that are done at a time; asked for only where there is something to train.
    job_seconds : tuple of float
        Least and most that small cohorts are gathered up to in one job.
    """
    wanted: dict[str, RunConfig] = {}
    users: dict[str, list[str]] = {}
    count = 0
    for claim in claims:
        runs = [run for arm in claim.arms for run in arm.runs]
        count += len(runs)
        for identity, run in dict(zip(run_ids(runs), runs, strict=True)).items():
            wanted.setdefault(identity, run)
            users.setdefault(identity, []).append(claim.id)
    lacking = store.lacking(wanted)
    at_once = workers if isinstance(workers, int) else workers() if lacking else 1
    limit = runs_per_cohort if callable(runs_per_cohort) else lambda run: runs_per_cohort
    soon = {claim.id for claim in claims if _alone(claim) <= SOON_SECONDS}
    # Runs of a claim that is done in no time do not wait for a cohort that is not.
    early = {it for it, names in users.items() if any(name in soon for name in names)}
    cohorts = []
    for part in _cohorts(wanted, lacking, unfinished(store), early, limit):
        identities = tuple(part)
        serving = tuple(dict.fromkeys(c for name in identities for c in users[name]))
        runs_of = tuple(part.values())
        cohorts.append(Job(runs_of, seconds_of(runs_of), identities, (), serving))
    jobs = list(_gathered(_in_order(cohorts, at_once), at_once, job_seconds))
    return Plan(
        tuple(jobs),
        count,
        len(wanted),
        len(wanted) - len(lacking),
        sum(bool(claim.arms) for claim in claims),
        _sharing(users.values()),
        _by_cost(claims, jobs, users),
        at_once,
    )


def _cohorts(
    wanted: Mapping[str, RunConfig],
    lacking: Sequence[str],
    begun: Iterable[Sequence[str]],
    early: Set[str],
    limit: Callable[[RunConfig], int],
) -> Iterator[dict[str, RunConfig]]:
    """Yield the cohorts of runs that are lacking, by run id.

    Which runs train together changes the last digits of their numbers. So that training which was
    broken off comes to what it would have come to, cohorts are those into which all that is wanted
    falls, as long as nothing of them is stored; and those that have a checkpoint, as they were.
    """
    left = dict.fromkeys(lacking)
    for identities in begun:
        if identities and all(identity in left for identity in identities):
            yield {identity: wanted[identity] for identity in identities}
            for identity in identities:
                left.pop(identity, None)
    begun_before = 0 < len(left) < len(wanted)
    whole = _divided(wanted, wanted, early, limit) if begun_before else ()
    for part in whole:
        if all(identity in left for identity in part):
            yield part
            for identity in part:
                del left[identity]
    yield from _divided(wanted, left, early, limit)


def _divided(
    wanted: Mapping[str, RunConfig],
    chosen: Iterable[str],
    early: Set[str],
    limit: Callable[[RunConfig], int],
) -> Iterator[dict[str, RunConfig]]:
    """Divide some of the runs into cohorts, those that are `early` apart from the others."""
    apart: tuple[list[RunConfig], list[RunConfig]] = [], []
    names: dict[int, str] = {}
    for identity in chosen:
        run = wanted[identity]
        # `arrange` and `divide` hand on the objects they are given.
        names[id(run)] = identity
        apart[identity not in early].append(run)
    for runs in apart:
        for group in arrange(runs):
            for part in divide(group, limit(group[0])):
                yield {names[id(run)]: run for run in part}


def _in_order(cohorts: Sequence[Job], workers: int) -> list[Job]:
    """Order cohorts so that claims are served one after the other and the workers end together.

    The next claim is the one whose remaining cohorts take least (shortest processing time first,
    which makes the mean time until a claim is served least where no two share cohorts: Smith
    1956); its cohorts come longest first. A cohort is brought forward when, begun any later, it
    would take longer than what is left by then, divided among the workers: it would run on alone.
    Runs that are timed come last, where least runs beside them; those of a claim seed by seed, so
    that the arms of a pair are timed one after the other, whatever the machine does meanwhile.
    """
    timed = [cohort for cohort in cohorts if cohort.runs[0].timed]
    timed.sort(key=lambda cohort: (cohort.claims, cohort.runs[0].seed))
    served = _by_claim([cohort for cohort in cohorts if not cohort.runs[0].timed])
    longest = deque(sorted(served, key=lambda cohort: -cohort.seconds))
    waiting = deque(served)
    left = sum(cohort.seconds for cohort in served)
    free = [0.0] * max(1, workers)
    found: list[Job] = []
    placed: set[int] = set()
    while len(found) < len(served):
        while id(longest[0]) in placed:
            longest.popleft()
        while id(waiting[0]) in placed:
            waiting.popleft()
        chosen = waiting[0]
        if longest[0].seconds * len(free) > _left_after(chosen, left, free):
            chosen = longest[0]
        placed.add(id(chosen))
        found.append(chosen)
        left -= chosen.seconds
        heapq.heapreplace(free, free[0] + chosen.seconds)
    return [*found, *timed]


def _left_after(cohort: Job, left: float, free: Sequence[float]) -> float:
    """Work that is left when the next worker is free, if `cohort` is what one begins with now.

    Parameters
    ----------
    left : float
        Seconds of all cohorts that have not begun, this one included.
    free : sequence of float, a heap
        When each worker is free.
    """
    ends = sorted([*free[1:], free[0] + cohort.seconds])
    return left - cohort.seconds + sum(ends) - len(ends) * ends[0]


def _by_claim(cohorts: Sequence[Job]) -> list[Job]:
    """Cohorts claim by claim, the claim with the least left to do next."""
    left: dict[str, float] = {}
    of_claim: dict[str, list[int]] = {}
    for place, cohort in enumerate(cohorts):
        for claim in cohort.claims:
            left[claim] = left.get(claim, 0.0) + cohort.seconds
            of_claim.setdefault(claim, []).append(place)
    found: list[Job] = []
    placed: set[int] = set()
    while left:
        claim = min(left, key=lambda name: (left[name], name))
        del left[claim]
        mine = [place for place in of_claim[claim] if place not in placed]
        for place in sorted(mine, key=lambda place: -cohorts[place].seconds):
            placed.add(place)
            found.append(cohorts[place])
            for other in cohorts[place].claims:
                if other in left:
                    left[other] -= cohorts[place].seconds
    return found


def _gathered(
    cohorts: Sequence[Job], workers: int, job_seconds: tuple[float, float]
) -> Iterator[Job]:
    """Yield jobs: cohorts that follow each other, together where they are short."""
    least, most = job_seconds
    total = sum(cohort.seconds for cohort in cohorts)
    enough = min(most, max(least, total / (JOBS_A_WORKER * max(1, workers))))
    together: list[Job] = []
    for cohort in cohorts:
        full = sum(it.seconds for it in together) + cohort.seconds > enough
        if together and (full or cohort.runs[0].timed != together[0].runs[0].timed):
            yield _joined(together)
            together = []
        together.append(cohort)
    if together:
        yield _joined(together)


def _joined(cohorts: Sequence[Job]) -> Job:
    return Job(
        tuple(run for cohort in cohorts for run in cohort.runs),
        sum(cohort.seconds for cohort in cohorts) + SECONDS_PER_JOB,
        tuple(identity for cohort in cohorts for identity in cohort.run_ids),
        tuple(len(cohort.runs) for cohort in cohorts),
        tuple(dict.fromkeys(claim for cohort in cohorts for claim in cohort.claims)),
    )


def _sharing(users: Iterable[Sequence[str]]) -> dict[tuple[str, str], int]:
    """How many runs each two claims share, most first."""
    pairs = Counter(
        pair for each in users if len(each) > 1 for pair in itertools.combinations(sorted(each), 2)
    )
    return dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0])))


def _by_cost(
    claims: Sequence[Claim], jobs: Sequence[Job], users: Mapping[str, Sequence[str]]
) -> dict[str, Share]:
    """What is left to train, by the cost of the claims, cheapest first."""
    costs: dict[str, str] = {claim.id: claim.spec.cost for claim in claims}
    found = {cost: Share(0, 0, 0, 0.0) for cost in COSTS}
    for job in jobs:
        epochs = job.run_epochs
        for identity, run in zip(job.run_ids, job.runs, strict=True):
            cost = min((costs[claim] for claim in users[identity]), key=COSTS.index)
            so_far, seconds = found[cost], job.seconds * run.epochs / epochs
            found[cost] = Share(
                0, so_far.runs + 1, so_far.run_epochs + run.epochs, so_far.seconds + seconds
            )
    asking = {claim for job in jobs for claim in job.claims}
    return {
        cost: replace(share, claims=sum(costs[claim] == cost for claim in asking))
        for cost, share in found.items()
        if share.runs
    }


def save_plan(plan: Plan, folder: Path, *, launcher: str = "", store: Store | None = None) -> Path:
    """Write a plan, each job into a file of its own; return the plan's file.

    Beside it stands who trains it, and where its runs go, for whoever asks later. A job reads its
    own file and no other: ten thousand jobs would read ten thousand plans.

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
        "launcher": launcher,
        "store": str(store.root.resolve()) if store is not None else "",
        "pid": os.getpid(),
        "host": platform.node(),
    }
    write_atomic(path, json.dumps(content, indent=1).encode())
    return path


def load_job(path: Path, number: int) -> Job:
    """Read one job of the plan that `save_plan` wrote to `path`.

    Raises
    ------
    StoreError
        If its file is missing or damaged.
    """
    file = _job_file(path, number)
    try:
        job: Job = adapter(Job).validate_json(file.read_bytes(), strict=True)
    except (OSError, ValueError) as error:
        words = str(error).splitlines()[0]
        raise StoreError(f"{file} cannot be read ({words}); run again for a new plan") from error
    return job


def _job_file(path: Path, number: int) -> Path:
    return path.parent / "jobs" / f"{number}.json"
