"""Budgets: what a run spends."""

from __future__ import annotations

from dataclasses import replace

from bench_lr.budget import Budget, budget, steps_per_epoch
from bench_lr.schema import Phase
from tests.factories import arm


def test_budget_sums_the_phases_of_a_plan() -> None:
    plan = tuple(
        Phase(epochs, size) for epochs, size in ((10, 128), (5, 640), (3, 3200), (2, 16000))
    )
    run = replace(arm("x").runs[0], batches=plan)
    # ceil(55000 / size): 430, 86, 18, 4
    assert budget(run) == Budget(20, 10 * 430 + 5 * 86 + 3 * 18 + 2 * 4, 20 * 55_000)
    spent = budget(replace(run, drop_last=True))
    assert spent.updates == 10 * 429 + 5 * 85 + 3 * 17 + 2 * 3
    assert spent.examples == 4290 * 128 + 425 * 640 + 51 * 3200 + 6 * 16000


def test_steps_per_epoch_counts_the_partial_batch_unless_dropped() -> None:
    assert steps_per_epoch(55_000, 16, False) == 3438
    assert steps_per_epoch(54_000, 64, True) == 843
    assert steps_per_epoch(10, 16, True) == 0
