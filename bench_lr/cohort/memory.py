"""How many runs fit into memory together, and what to do when they did not."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from math import prod

import torch

from bench_lr.cohort.grouping import arrange
from bench_lr.schema import RunConfig
from bench_lr.shapes import example_of, walk, weights

COPIES = 6
"""Of a run's weights: themselves, their gradient, two of the optimizer, two in passing."""
SHARE = 0.8
"""Of the memory that is free; the rest is for what all runs have in common."""


def bytes_of(run: RunConfig) -> int:
    """Estimated memory that a run needs while it trains, beside the data.

    More than was measured on a CPU, by 1.2 to 2.5 times (networks of dense and of convolutional
    layers, batches of 8 to 8192).
    """
    example, _ = example_of(run.task.data)
    batch = min(max(phase.batch_size for phase in run.batches), run.task.train_size)
    passing = sum(prod(shape) for shape in walk(run.model, example))
    values = COPIES * weights(run.model, example) + batch * passing
    return values * (8 if run.dtype == "float64" else 4)


def runs_that_fit(run: RunConfig, free: int) -> int:
    """How many runs like this one may train together in so many bytes, at least one."""
    return max(1, int(SHARE * free) // bytes_of(run))


def parts(cohort: Sequence[RunConfig], most: int) -> list[list[RunConfig]]:
    """Cut a cohort by halves until none has more than `most` runs."""
    if len(cohort) <= most:
        return [list(cohort)]
    return [part for half in halves(cohort) for part in parts(half, most)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, on the device or on the CPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # PyTorch has no class of its own for memory of the CPU.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def give_back() -> None:
    """Give memory back that nobody uses any more."""
    # A trainer, its module and its cohort know each other, so they are not gone by themselves.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def halves(cohort: Sequence[RunConfig]) -> list[list[RunConfig]]:
    """Cut a cohort of two runs or more into cohorts of at most half as many, rounded up."""
    middle = (len(cohort) + 1) // 2
    return [part for half in (cohort[:middle], cohort[middle:]) for part in arrange(half)]
