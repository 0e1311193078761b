"""This package: the runs in lockstep, in cohorts of the size that ``bench-lr run`` would choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench_lr.benchmark.peers import given
from bench_lr.cohort.grouping import divide
from bench_lr.data import Dataset
from bench_lr.plan import runs_on_cpu
from bench_lr.schema import RunConfig
from bench_lr.trainer import train_cohort


def train(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    """Train the runs in cohorts, one cohort after the other."""
    return given.Curves.joined([_train(part, data) for part in divide(runs, runs_on_cpu(runs[0]))])


def train_together(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    """Train the runs in one cohort, however many they are."""
    return _train(runs, data)


def _train(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    records = train_cohort(runs, data, device="cpu").records
    nothing = np.full(len(runs), np.nan)
    return given.Curves(
        np.stack([values["loss", "validation"] for values in records.values]),
        np.stack([values.get(("accuracy", "validation"), nothing) for values in records.values]),
    )
