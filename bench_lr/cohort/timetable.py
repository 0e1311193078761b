"""What happens when: the blocks of steps of an epoch and the table of learning rates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench_lr.budget import steps_per_epoch
from bench_lr.schedules import Clock, Plateau, Watch
from bench_lr.schema import EvaluationConfig, Phase, RunConfig


@dataclass(frozen=True)
class Span:
    """Consecutive steps with one batch size: of one epoch, or all those of several.

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
    epochs : int
        How many it is of; it is all of them where these are several.
    """

    epoch: int
    first_step: int
    step: int
    start: int
    steps: int
    batch_size: int
    full_batch_size: int
    evaluate: bool
    epochs: int = 1

    @property
    def stop(self) -> int:
        """Position in the epoch's data order after the last example; of several, in each."""
        return self.start + self.steps // self.epochs * self.batch_size

    @property
    def last_epoch(self) -> int:
        """Completed epochs before the last one that it is of."""
        return self.epoch + self.epochs - 1


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
        if not self._is_evaluated(epoch):
            due = set()
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

    def spans_of(self, epochs: range, longest: int) -> Iterator[Span]:
        """Cut epochs into spans as `spans` does, whole short epochs joined up to `longest` steps.

        Epochs are joined that are one span each, with no evaluation between them.
        """
        joined: Span | None = None
        for epoch in epochs:
            for span in self.spans(epoch, longest):
                if joined is not None and self._goes_on(joined, span, longest):
                    steps, count = joined.steps + span.steps, joined.epochs + 1
                    joined = replace(joined, steps=steps, epochs=count, evaluate=span.evaluate)
                    continue
                if joined is not None:
                    yield joined
                joined = span
        if joined is not None:
            yield joined

    def _goes_on(self, span: Span, following: Span, longest: int) -> bool:
        """Whether two spans are whole epochs that can be one span."""
        whole = self.steps_by_epoch[following.epoch]
        return (
            not span.evaluate
            and span.batch_size == following.batch_size == following.full_batch_size
            and span.epoch + span.epochs == following.epoch
            and span.steps == span.epochs * whole
            and following.steps == whole
            and span.steps + whole <= longest
        )

    def _is_evaluated(self, epoch: int) -> bool:
        return (epoch + 1) % self.evaluation.every == 0 or epoch + 1 == self.epochs

    def clock(self, first: int = 0, last: int | None = None) -> Clock:
        """Return the time of every step from `first` to before `last`, or the end."""
        step = np.arange(first, self.steps if last is None else last)
        epoch = np.searchsorted(self.first_steps, step, side="right") - 1
        part = (step - np.array(self.first_steps)[epoch]) / np.array(self.steps_by_epoch)[epoch]
        return Clock(step.astype(np.float64), epoch.astype(np.float64), part)


class LearningRates:
    """LR of every step of every run of a cohort, worked out a stretch of steps at a time.

    Parameters
    ----------
    runs : sequence of RunConfig
        Of one shape.
    stretch : int
        Steps worked out together: training of millions of steps has no table of them all.
    """

    def __init__(self, runs: Sequence[RunConfig], stretch: int = 8192) -> None:
        self._timetable, self._stretch = Timetable.of(runs[0]), stretch
        self._base = np.array([run.optimizer.lr for run in runs])
        schedules = list(dict.fromkeys(run.schedule for run in runs))
        self._schedules = schedules
        self._follows = np.array([schedules.index(run.schedule) for run in runs])
        self._first, self._table = 0, np.empty((0, len(runs)))
        self._watches = [
            (schedule, at := self._follows == index, Watch(schedule, self._base[at]))
            for index, schedule in enumerate(schedules)
            if isinstance(schedule, Plateau)
        ]

    def observe(self, measured: Mapping[tuple[str, str], npt.NDArray[np.float64]]) -> None:
        """Let the schedules that watch a metric see an evaluation.

        Parameters
        ----------
        measured : mapping of (metric, split) to array, shape (runs,)
            Rates that `of` returns from now on depend on it, run by run.
        """
        for schedule, at, watch in self._watches:
            key = schedule.metric, schedule.split
            # No step since the last evaluation leaves no training loss to look at.
            if key in measured:
                watch.observe(measured[key][at])

    @property
    def state(self) -> list[tuple[npt.NDArray[np.generic], ...]]:
        """What the schedules that watch a metric remember."""
        return [watch.state for _, _, watch in self._watches]

    def restore(self, state: Sequence[Sequence[npt.NDArray[np.generic]]]) -> None:
        """Go on from what `state` was."""
        for (_, _, watch), kept in zip(self._watches, state, strict=True):
            watch.restore(kept)

    def of(self, first: int, steps: int) -> npt.NDArray[np.float64]:
        """Return the rates of `steps` steps from `first` on, shape (steps, runs)."""
        at = first - self._first
        if at < 0 or at + steps > len(self._table):
            last = min(first + max(steps, self._stretch), self._timetable.steps)
            clock = self._timetable.clock(first, last)
            multipliers = np.stack([s.multiplier(clock) for s in self._schedules], axis=1)
            self._first, self._table = first, self._base * multipliers[:, self._follows]
            at = 0
        rates = self._table[at : at + steps]
        if self._watches:
            rates = rates.copy()
            for _, follows, watch in self._watches:
                rates[:, follows] = watch.rate
        return rates
