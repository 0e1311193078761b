"""Stores filled with made-up results, so that judging can be tested without training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench_lr.budget import steps_per_epoch
from bench_lr.checkpoint import path_of
from bench_lr.identity import ENGINE_VERSION, config_dict, run_id
from bench_lr.schema import (
    Claim,
    Flatten,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    RunConfig,
    TaskConfig,
)
from bench_lr.store import COLUMNS, Commit, Store

Value = Callable[[str, float, int], float]
"""A metric's value from the arm's name, the epoch and the seed."""

RUN = RunConfig(
    task=TaskConfig("mnist", 100, 10),
    model=ModelConfig((Flatten(), Linear(10))),
    optimizer=OptimizerConfig(0.1),
    batches=(Phase(2, 8),),
)


def run(seed: int = 0, lr: float = 0.1, **fields: Any) -> RunConfig:
    """Return a small run."""
    return dataclasses.replace(RUN, seed=seed, optimizer=OptimizerConfig(lr), **fields)


def table(config: RunConfig, values: Mapping[str, Callable[[float], float]]) -> pd.DataFrame:
    """Return a run's tidy results; `values` gives each metric from the epoch."""
    size, per_epoch = config.task.train_size, config.evaluation.per_epoch
    rows: list[dict[str, object]] = []
    step = examples = 0
    for epoch, batch in enumerate(p.batch_size for p in config.batches for _ in range(p.epochs)):
        steps = steps_per_epoch(size, batch, config.drop_last)
        for i in range(1, per_epoch + 1):
            done = round(i * steps / per_epoch)
            rows += [
                {
                    "run_id": run_id(config),
                    "step": step + done,
                    "epoch": epoch + i / per_epoch,
                    "examples": examples + min(done * batch, size),
                    "metric": metric,
                    "split": split,
                    "value": value(epoch + i / per_epoch),
                }
                for split in config.evaluation.splits
                for metric, value in values.items()
            ]
        step += steps
        examples += min(steps * batch, size)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def commit(config: RunConfig, status: str = "complete", **fields: Any) -> Commit:
    """Return a commit as training writes it."""
    origin: dict[str, Any] = {
        "device_kind": "cpu",
        "device": "a processor",
        "seconds": 2.0,
        "versions": {"torch": "2"},
        "commit": "abc",
        "dirty": False,
        "data_sha256": "123",
    }
    given = {**origin, **fields.pop("provenance", {})}
    return Commit(run_id(config), status, config_dict(config), given, **fields)


def simple(config: RunConfig) -> pd.DataFrame:
    """Return results of a run that tell it from others."""
    rng = np.random.default_rng(int(run_id(config)[:8], 16))
    level = float(rng.random())
    return table(config, {"loss": lambda e: level / e, "accuracy": lambda e: level})


def fill(
    store: Store,
    claim: Claim,
    *,
    accuracy: Value = lambda arm, epoch, seed: 0.9,
    loss: Value = lambda arm, epoch, seed: 0.3,
    skip: Sequence[tuple[str, int]] = (),
    **fields: Any,
) -> None:
    """Store made-up results of all runs of a claim but those to `skip` (arm, seed)."""
    for arm in claim.arms:
        for config in arm.runs:
            if (arm.name, config.seed) in skip:
                continue

            def of(value: Value, name: str = arm.name, seed: int = config.seed) -> Any:
                return lambda epoch: value(name, epoch, seed)

            values = {"loss": of(loss), "accuracy": of(accuracy)}
            store.put(commit(config, **fields), table(config, values))


def begin(store: Store, runs: Sequence[RunConfig], **changes: object) -> tuple[str, ...]:
    """Leave a checkpoint of a cohort, as far as a plan looks into it."""
    identities = tuple(map(run_id, runs))
    fixed = {"engine": ENGINE_VERSION, "device_kind": "cpu", "torch": "", "data_sha256": ""}
    header = {"run_ids": identities, "seconds": 1.0, "steps_taken": 7, "sha256": "", **fixed}
    path = path_of(store, identities)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**header, **changes}) + "\n")
    return identities
