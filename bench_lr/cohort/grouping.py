"""Which runs can train in lockstep, and how they are divided into cohorts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Sequence

from bench_lr.identity import canonical_json, config_dict
from bench_lr.schema import OptimizerConfig, RunConfig

_FREE = ("seed", "schedule", "optimizer")
_SHARED = tuple(item.name for item in dataclasses.fields(RunConfig) if item.name not in _FREE)


def shape_key(run: RunConfig) -> tuple[Hashable, ...]:
    """What two runs have in common if and only if they can train in one cohort.

    Runs of a cohort may differ in LR, schedule, seed and every number of their optimizer: not in
    the optimizer, nor in whether they have momentum or weight decay at all.
    """
    shared = tuple(getattr(run, name) for name in _SHARED)
    match run.optimizer:
        case OptimizerConfig() as sgd:
            return (*shared, sgd.kind, sgd.nesterov, sgd.is_plain)
        case adaptive:
            return (*shared, adaptive.kind, adaptive.weight_decay > 0)


def arrange(runs: Sequence[RunConfig]) -> list[list[RunConfig]]:
    """Group runs into cohorts: one shape each, and every seed with the same number of arms.

    Within a cohort the runs are in order of seed, then LR, so that run (g, l) of a grid is at
    index g * L + l. A run that is timed is a cohort of its own; these come last.
    """
    shapes: dict[tuple[Hashable, ...], dict[int, list[RunConfig]]] = {}
    alone = [[run] for run in runs if run.timed]
    for run in runs:
        if run.timed:
            continue
        shapes.setdefault(shape_key(run), {}).setdefault(run.seed, []).append(run)
    cohorts: list[list[RunConfig]] = []
    for by_seed in shapes.values():
        by_arms: dict[int, list[int]] = {}
        for seed in sorted(by_seed):
            by_arms.setdefault(len(by_seed[seed]), []).append(seed)
        for seeds in by_arms.values():
            cohorts.append([run for s in seeds for run in sorted(by_seed[s], key=_arm_order)])
    return cohorts + alone


def _arm_order(run: RunConfig) -> tuple[float, str]:
    # The rest is the same for all arms of a seed.
    return run.optimizer.lr, canonical_json([config_dict(run.optimizer), config_dict(run.schedule)])


def divide(cohort: Sequence[RunConfig], limit: int) -> list[list[RunConfig]]:
    """Cut a cohort into parts of whole seeds, as even as possible and of about `limit` runs."""
    by_seed: dict[int, list[RunConfig]] = {}
    for run in cohort:
        by_seed.setdefault(run.seed, []).append(run)
    arms = len(cohort) // len(by_seed)
    seeds_a_part = max(1, round(limit / arms))
    parts = -(-len(by_seed) // seeds_a_part)
    seeds = list(by_seed)
    cuts = [round(i * len(seeds) / parts) for i in range(parts + 1)]
    return [
        [run for seed in seeds[start:stop] for run in by_seed[seed]]
        for start, stop in itertools.pairwise(cuts)
    ]
