"""What to do when the runs of a cohort do not fit into memory together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench_lr.cohort.grouping import arrange
from bench_lr.schema import RunConfig


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, on the device or on the CPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # PyTorch has no class of its own for memory of the CPU.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def halves(cohort: Sequence[RunConfig]) -> list[list[RunConfig]]:
    """Cut a cohort of two runs or more into cohorts of at most half as many, rounded up.

    Memory that the error held is given back to the device.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = (len(cohort) + 1) // 2
    return [part for half in (cohort[:middle], cohort[middle:]) for part in arrange(half)]
