"""Which runs share a cohort, and how cohorts are cut."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_lr.cohort.grouping import arrange, divide, shape_key
from bench_lr.schedules import Step
from bench_lr.schema import (
    AdagradConfig,
    AdamConfig,
    EvaluationConfig,
    Flatten,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    RunConfig,
    TaskConfig,
)

RUN = RunConfig(
    task=TaskConfig("mnist", 100, 10),
    model=ModelConfig((Flatten(), Linear(10))),
    optimizer=OptimizerConfig(0.1),
    batches=(Phase(2, 8),),
)
MOMENTUM = dataclasses.replace(RUN, optimizer=OptimizerConfig(0.1, momentum=0.9))
ADAM = dataclasses.replace(RUN, optimizer=AdamConfig(0.1))
ADAGRAD = dataclasses.replace(RUN, optimizer=AdagradConfig(0.1))


def run(seed: int = 0, lr: float = 0.1, **fields: Any) -> RunConfig:
    return dataclasses.replace(RUN, seed=seed, optimizer=OptimizerConfig(lr), **fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RUN, run(seed=3)),
        (RUN, run(lr=2.0)),
        (RUN, run(schedule=Step(0.9, 5))),
        (
            MOMENTUM,
            dataclasses.replace(RUN, optimizer=OptimizerConfig(0.3, 0.5, weight_decay=0.1)),
        ),
        (ADAM, dataclasses.replace(RUN, optimizer=AdamConfig(0.2, 0.5, 0.9, 1e-4))),
        (ADAGRAD, dataclasses.replace(RUN, optimizer=AdagradConfig(0.2, 1e-4, 0.5))),
    ],
)
def test_rate_schedule_seed_and_the_numbers_of_an_optimizer_may_differ(
    one: RunConfig, other: RunConfig
) -> None:
    assert shape_key(one) == shape_key(other)


@pytest.mark.parametrize(
    "other",
    [
        MOMENTUM,
        dataclasses.replace(RUN, optimizer=OptimizerConfig(0.1, weight_decay=0.1)),
        run(batches=(Phase(2, 16),)),
        run(batches=(Phase(1, 8), Phase(1, 8))),
        run(drop_last=True),
        run(dtype="float64"),
        run(task=TaskConfig("mnist", 101, 10)),
        run(task=TaskConfig("mnist", 100, 10, loss="half_mse")),
        run(model=ModelConfig((Flatten(), Linear(10, bias=False)))),
        run(evaluation=EvaluationConfig(2)),
    ],
)
def test_whatever_changes_the_computation_keeps_runs_apart(other: RunConfig) -> None:
    assert shape_key(other) != shape_key(RUN)


def test_optimizers_and_the_use_of_weight_decay_keep_runs_apart() -> None:
    decaying = [
        dataclasses.replace(RUN, optimizer=AdamConfig(0.1, weight_decay=0.1)),
        dataclasses.replace(RUN, optimizer=AdagradConfig(0.1, weight_decay=0.1)),
    ]
    assert len({shape_key(run) for run in (RUN, MOMENTUM, ADAM, ADAGRAD, *decaying)}) == 6


def test_a_cohort_is_in_order_of_seed_then_rate() -> None:
    runs = [run(seed, lr) for lr in (0.5, 0.1, 2.0) for seed in (2, 0, 1)]
    random.Random(0).shuffle(runs)
    (cohort,) = arrange(runs)
    assert [(r.seed, r.optimizer.lr) for r in cohort] == [
        (seed, lr) for seed in (0, 1, 2) for lr in (0.1, 0.5, 2.0)
    ]


grids = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([0.1, 0.2, 0.5, 1.0]), st.sampled_from([8, 16])),
    unique=True,
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(grid=grids, limit=st.integers(1, 40))
def test_dividing_loses_nothing_and_keeps_seeds_whole(
    grid: list[tuple[int, float, int]], limit: int
) -> None:
    runs = [run(seed, lr, batches=(Phase(2, size),)) for seed, lr, size in grid]
    cohorts = arrange(runs)
    assert sorted(map(repr, (r for c in cohorts for r in c))) == sorted(map(repr, runs))
    for cohort in cohorts:
        assert len({shape_key(r) for r in cohort}) == 1
        arms = [sum(r.seed == s for r in cohort) for s in {r.seed for r in cohort}]
        assert len(set(arms)) == 1
        parts = divide(cohort, limit)
        assert [r for part in parts for r in part] == cohort
        seeds = [{r.seed for r in part} for part in parts]
        assert all(seeds)
        assert sum(map(len, seeds)) == len(set().union(*seeds))
        sizes = [len(s) for s in seeds]
        assert max(sizes) - min(sizes) <= 1
        # Whole seeds, and no more than half a seed above the limit where one seed fits.
        assert max(map(len, parts)) <= max(arms[0], limit + arms[0] / 2)


def test_seeds_with_unlike_numbers_of_arms_are_cohorts_of_their_own() -> None:
    cohorts = arrange([run(0, 0.1), run(0, 0.5), run(1, 0.1)])
    assert [[(r.seed, r.optimizer.lr) for r in c] for c in cohorts] == [
        [(0, 0.1), (0, 0.5)],
        [(1, 0.1)],
    ]
