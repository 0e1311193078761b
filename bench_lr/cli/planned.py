"""A plan in words: what is wanted, shared, stored and left to train, and job by job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench_lr.cli.live import duration
from bench_lr.cli.options import COSTS
from bench_lr.plan import Job, Plan
from bench_lr.schema import Claim

NAMED = 3
"""Claims of a job that are named; the others are counted."""


def summary(plan: Plan, claims: Sequence[Claim], profile: str, launcher: str) -> Iterator[str]:
    """Yield what a plan comes to, line by line.

    Parameters
    ----------
    claims : sequence of Claim
        All that are asked for, those included whose runs are not in the plan.
    """
    out = sum(claim.out_of_profile for claim in claims)
    without = sum(not claim.arms for claim in claims if not claim.out_of_profile)
    notes = [
        *([f"{out} for profile full (GPU)"] if out else []),
        *([f"{without} without training"] if without else []),
    ]
    also = f" ({', '.join(notes)})" if notes else ""
    yield (
        f"{_many(len(claims), 'claim')}{also}, profile {profile}: {_many(plan.wanted, 'run')} "
        f"wanted by {_many(plan.claims, 'claim')}, {plan.distinct:,} distinct{_shared(plan)}; "
        f"{plan.stored:,} of {plan.distinct:,} stored"
    )
    if not plan.jobs:
        yield "nothing to train"
        return
    yield (
        f"to train: {_many(plan.runs, 'run')}, {plan.run_epochs:,} run-epochs, in "
        f"{_many(len(plan.jobs), 'job')} ({launcher}, {plan.workers} at a time); about "
        f"{duration(plan.makespan(plan.workers))}"
    )
    if len(plan.by_cost) > 1:
        for cost, share in plan.by_cost.items():
            yield (
                f"  cost {COSTS.get(cost, cost)}: {_many(share.claims, 'claim')}, "
                f"{_many(share.runs, 'run')}, {share.run_epochs:,} run-epochs, about "
                f"{duration(share.seconds / plan.workers)}"
            )


def _shared(plan: Plan) -> str:
    shared = plan.wanted - plan.distinct
    if not shared:
        return ", none shared"
    if not plan.sharing:
        return f": {shared:,} shared"
    (one, two), runs = next(iter(plan.sharing.items()))
    return f": {shared:,} shared, e.g. {one} and {two} share {runs:,}"


def jobs(plan: Plan) -> Iterator[str]:
    """Yield the jobs of a plan in order, as a table: size, estimate, and the claims they serve."""
    if not plan.jobs:
        return
    heads = ("job", "cohorts", "runs", "run-epochs", "one core", "batch size", "for")
    rows = [heads, *(_row(number, job) for number, job in enumerate(plan.jobs))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place >= 5 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _row(number: int, job: Job) -> tuple[str, ...]:
    sizes = sorted({phase.batch_size for run in job.runs for phase in run.batches})
    batch = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}..{sizes[-1]}"
    named = ", ".join(job.claims[:NAMED])
    more = len(job.claims) - NAMED
    return (
        str(number),
        str(len(job.cohorts)),
        f"{len(job.runs):,}",
        f"{job.run_epochs:,}",
        duration(job.seconds),
        batch,
        f"{named} and {more} more" if more > 0 else named,
    )


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"
