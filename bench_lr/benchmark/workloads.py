"""What is trained: sets of runs with a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench_lr.budget import budget
from bench_lr.claims import ConfigError, Problem, conf_roots, load_profile
from bench_lr.claims.settings import Resolver
from bench_lr.cohort.grouping import arrange
from bench_lr.schema import RunConfig
from bench_lr.shapes import example_of, flops_per_example


@dataclass(frozen=True)
class Workload:
    """Every LR with every seed, under one setting as a claim file would write it.

    Attributes
    ----------
    seeds : int
        How many, from 0 on.
    setting : mapping
        Task, model, batch size, epochs; evaluation is every half epoch unless it says otherwise.
    """

    name: str
    description: str
    lrs: tuple[float, ...]
    seeds: int
    setting: Mapping[str, Any] = field(default_factory=dict)

    def runs(self) -> list[RunConfig]:
        """Return the runs, in the order of one cohort."""
        problems: list[Problem] = []
        resolver = Resolver(conf_roots(), load_profile("standard"), problems)
        setting = {"evaluations_per_epoch": 2, **self.setting}
        found = [
            resolver.run({**setting, "lr": lr}, seed, "benchmark", problems)
            for lr in self.lrs
            for seed in range(self.seeds)
        ]
        if problems:
            raise ConfigError(problems)
        (cohort,) = arrange([run for run in found if run is not None])
        return cohort

    def scaled(self, runs: int, train_size: int) -> Workload:
        """Return the same with another number of runs: its LRs by more seeds, or its first LR."""
        lrs = self.lrs if runs >= len(self.lrs) else self.lrs[:1]
        return dataclasses.replace(
            self,
            name=f"{self.name} x {runs}",
            lrs=lrs,
            seeds=runs // len(lrs),
            setting={**self.setting, "train_size": train_size},
        )


def flops_per_epoch(run: RunConfig) -> float:
    """Floating-point operations of training one epoch of a run, evaluation left out."""
    example, _ = example_of(run.task.data)
    return flops_per_example(run.model, example) * budget(run).examples / run.epochs


AE_RATES = (0.1, 0.3, 0.5, 0.7)
_LAST_6000 = {
    "data": "mnist",
    "train_size": 54_000,
    "validation_size": 6_000,
    "split": "last",
    "loss": "cross_entropy",
}

WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "ae16",
            "784-64-16-10 network, batch 16, 4 LRs x 8 seeds, one epoch of 55,000 images",
            AE_RATES,
            8,
            {"task": "mnist", "model": "ae", "batch_size": 16, "epochs": 1},
        ),
        Workload(
            "ae128",
            "the same network at batch 128, 4 LRs x 8 seeds, one epoch of 55,000 images",
            AE_RATES,
            8,
            {"task": "mnist", "model": "ae", "batch_size": 128, "epochs": 1},
        ),
        Workload(
            "cn8",
            "convolution, pooling and dropout, batch 8, 4 LRs x 4 seeds, 1,000 steps",
            (0.01, 0.03, 0.1, 0.3),
            4,
            {"task": "mnist", "model": "cn", "batch_size": 8, "epochs": 1, "train_size": 8_000},
        ),
        Workload(
            "ra64",
            "784-75-45-10 with batch normalisation and dropout, batch 64, 8 seeds, "
            "one epoch of 54,000 images",
            (0.1,),
            8,
            {"task": _LAST_6000, "model": "ra", "batch_size": 64, "epochs": 1, "drop_last": True},
        ),
        Workload(
            "r1",
            "1-4-1 regression, batch 10, 4 LRs x 30 seeds, 200 epochs of 900 points",
            AE_RATES,
            30,
            {"task": "curve", "model": "r1", "batch_size": 10, "epochs": 200},
        ),
    )
}
