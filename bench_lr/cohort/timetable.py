"""What happens when: the blocks of steps of an epoch and the table of learning rates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench_lr.budget import steps_per_epoch
from bench_lr.schedules import Clock
from bench_lr.schema import EvaluationConfig, Phase, RunConfig


@dataclass(frozen=True)
class Span:
    """Consecutive steps of one epoch with one batch size.

    Attributes
    ----------
    epoch : int
        Completed epochs before it.
    first_step : int
        First step, counted within the epoch.
    step : int
        First step, counted from the start of the run.
    start : int
        Position in the epoch's data order of the first example.
    evaluate : bool
        Whether to evaluate after the last step.
    """

    epoch: int
    first_step: int
    step: int
    start: int
    steps: int
    batch_size: int
    full_batch_size: int
    evaluate: bool

    @property
    def stop(self) -> int:
        """Position in the epoch's data order after the last example."""
        return self.start + self.steps * self.batch_size


@dataclass(frozen=True)
class Timetable:
    """The calendar that all runs of a cohort share."""

    train_size: int
    batches: tuple[Phase, ...]
    drop_last: bool
    evaluation: EvaluationConfig

    @classmethod
    def of(cls, run: RunConfig) -> Timetable:
        """Return the calendar of a run."""
        return cls(run.task.train_size, run.batches, run.drop_last, run.evaluation)

    @cached_property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch size of every epoch."""
        return tuple(phase.batch_size for phase in self.batches for _ in range(phase.epochs))

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(self.batch_sizes)

    @cached_property
    def steps_by_epoch(self) -> tuple[int, ...]:
        """Number of steps of every epoch."""
        return tuple(
            steps_per_epoch(self.train_size, size, self.drop_last) for size in self.batch_sizes
        )

    @cached_property
    def first_steps(self) -> tuple[int, ...]:
        """Number of steps before every epoch, and before what would be the next."""
        return (0, *itertools.accumulate(self.steps_by_epoch))

    @property
    def steps(self) -> int:
        """Number of steps of a run."""
        return self.first_steps[-1]

    def spans(self, epoch: int, longest: int) -> Iterator[Span]:
        """Cut an epoch into spans of at most `longest` steps that end where an evaluation is due.

        A last partial batch is a span of its own.
        """
        size, steps = self.batch_sizes[epoch], self.steps_by_epoch[epoch]
        before = self.first_steps[epoch]
        full = min(self.train_size // size, steps)
        per_epoch = self.evaluation.per_epoch
        due = {max(1, round(i * steps / per_epoch)) for i in range(1, per_epoch + 1)}
        first = 0
        while first < steps:
            limit = full if first < full else steps
            last = min(first + longest, limit, *(stop for stop in due if stop > first))
            batch = size if first < full else self.train_size - full * size
            yield Span(
                epoch=epoch,
                first_step=first,
                step=before + first,
                start=first * size,
                steps=last - first,
                batch_size=batch,
                full_batch_size=size,
                evaluate=last in due,
            )
            first = last

    def clock(self) -> Clock:
        """Return the time of every step."""
        by_epoch = np.asarray(self.steps_by_epoch)
        return Clock(
            step=np.arange(self.steps, dtype=np.float64),
            epoch=np.repeat(np.arange(self.epochs, dtype=np.float64), by_epoch),
        )


def learning_rates(runs: Sequence[RunConfig]) -> npt.NDArray[np.float64]:
    """LR of every step of every run of a cohort, shape (steps, runs)."""
    clock = Timetable.of(runs[0]).clock()
    columns = [run.optimizer.lr * run.schedule.multiplier(clock) for run in runs]
    return np.stack(columns, axis=1)
