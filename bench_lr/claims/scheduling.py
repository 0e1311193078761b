"""What a run's schedule asks of the run, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from bench_lr.budget import budget
from bench_lr.claims.problems import Problem
from bench_lr.schedules import Plateau, RangeTest
from bench_lr.schema import RunConfig


def schedule_problems(run: RunConfig, file: str, is_capped: bool) -> Iterator[Problem]:
    """Yield what is wrong with a schedule in its run.

    Parameters
    ----------
    is_capped : bool
        Whether the run is shorter than it says, so that a range test may not end.
    """
    schedule, rate = run.schedule, run.optimizer.lr
    if isinstance(schedule, RangeTest):
        if rate != 1.0:
            found = f"{rate} with schedule range_test"
            yield Problem(
                file, "lr", found, "1.0, or leave it out: the schedule's LRs are absolute"
            )
        needed, unit = int(schedule.ends[-1]), schedule.unit
        length = run.epochs if unit == "epoch" else budget(run).updates
        if length < needed and not is_capped:
            found = f"{length} {unit}s for {schedule.rates.size} LRs of schedule range_test"
            yield Problem(file, "epochs", found, f"{needed} {unit}s or more")
    if isinstance(schedule, Plateau):
        watched = f"{schedule.metric} of {schedule.split}"
        if schedule.split == "train":
            if schedule.metric != "loss":
                yield Problem(file, "schedule.metric", watched, "loss of train")
        elif schedule.split not in run.evaluation.splits:
            splits = ", ".join(run.evaluation.splits)
            yield Problem(file, "schedule.split", watched, f"train, or evaluated on: {splits}")
        if schedule.metric == "accuracy" and run.task.loss == "half_mse":
            yield Problem(file, "schedule.metric", "accuracy of half_mse", "loss")
