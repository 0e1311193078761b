"""A cohort under a Lightning `Trainer`: one Lightning batch is a block of many steps."""

from __future__ import annotations

import datetime
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.timetable import Span
from bench_lr.data import Dataset
from bench_lr.identity import config_dict, run_id
from bench_lr.provenance import here, processor
from bench_lr.schema import RunConfig
from bench_lr.store import COLUMNS, Commit, Store

BLOCK_STEPS = 64
"""Steps a block: long enough for Lightning's cost a batch to vanish, short enough to stop soon."""

Progress = Callable[[float], None]


class Block:
    """A span of steps and the positions of its examples, shape (steps, seeds, batch).

    No dataclass: Lightning would take it apart to convert what it holds to the run's precision.
    """

    def __init__(self, span: Span, indices: Tensor) -> None:
        self.span, self.indices = span, indices


class EpochBlocks(IterableDataset[Block]):
    """The blocks of one epoch, in order."""

    def __init__(self, cohort: Cohort, epoch: int) -> None:
        self._cohort, self._epoch = cohort, epoch

    def __iter__(self) -> Iterator[Block]:
        for span in self._cohort.timetable.spans(self._epoch, BLOCK_STEPS):
            yield Block(span, self._cohort.indices(span))


class BlockOptimizer(torch.optim.Optimizer):
    """Hands a whole block to the cohort as one optimizer step, so that Lightning counts blocks."""

    def __init__(self, cohort: Cohort) -> None:
        super().__init__([slot.data for slot in cohort.network.slots], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Train the block that `closure` holds."""
        return None if closure is None else closure()


class CohortModule(pl.LightningModule):
    """A cohort as Lightning sees it: manual optimisation, block by block."""

    def __init__(self, cohort: Cohort, progress: Progress | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.cohort = cohort
        self._progress = progress

    def configure_optimizers(self) -> BlockOptimizer:
        return BlockOptimizer(self.cohort)

    def on_fit_start(self) -> None:
        self.cohort.start()

    def train_dataloader(self) -> DataLoader[Block]:
        return DataLoader(EpochBlocks(self.cohort, self.current_epoch), batch_size=None)

    def transfer_batch_to_device(
        self, batch: Block, device: torch.device, dataloader_idx: int
    ) -> Block:
        return Block(batch.span, batch.indices.to(device, non_blocking=True))

    def training_step(self, batch: Block, batch_idx: int) -> None:
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step(closure=lambda: self.cohort.train_block(batch.span, batch.indices))
        if batch.span.evaluate:
            self.cohort.evaluate(batch.span)
        if self._progress is not None:
            steps = batch.span.step + batch.span.steps
            self._progress(steps / self.cohort.timetable.steps)


def make_trainer(epochs: int, device: str, dtype: str) -> pl.Trainer:
    """Lightning `Trainer` for one cohort on one device ("auto", "cpu" or "cuda")."""
    if device == "auto":
        # Lightning's own "auto" takes Apple's GPUs too, which have no float64.
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return pl.Trainer(
        accelerator=device,
        devices=1,
        precision="64-true" if dtype == "float64" else "32-true",
        max_epochs=epochs,
        reload_dataloaders_every_n_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=False,
    )


def train_cohort(
    runs: Sequence[RunConfig],
    dataset: Dataset,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> Cohort:
    """Train the runs of a cohort to the end and return it.

    Parameters
    ----------
    runs : sequence of RunConfig
        As `bench_lr.cohort.engine.arrange` returns them.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called after every block with the share of steps done.
    """
    cohort = Cohort(runs, dataset)
    with quiet_lightning():
        trainer = make_trainer(cohort.timetable.epochs, device, cohort.config.dtype)
        trainer.fit(CohortModule(cohort, progress))
    # Lightning moves what it trained back to the CPU; where it trained is part of the result.
    return cohort.to(trainer.strategy.root_device)


class quiet_lightning:  # noqa: N801 - a context manager, used like a function
    """Silence Lightning's advice that does not fit a block-wise trainer."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        for text in ("does not have many workers", r"isinstance\(treespec, LeafSpec\)"):
            warnings.filterwarnings("ignore", message=f".*{text}")
        warnings.filterwarnings("ignore", category=UserWarning, module="pytorch_lightning")
        self._logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
        self._level = self._logger.level
        self._logger.setLevel(logging.WARNING)

    def __exit__(self, *error: object) -> None:
        self._warnings.__exit__(None, None, None)
        self._logger.setLevel(self._level)


def tables(cohort: Cohort) -> list[pd.DataFrame]:
    """Tidy results of every run of a cohort, in its order of runs (columns of the store)."""
    records = cohort.records
    count = len(records.step)
    keys = list(dict.fromkeys(key for values in records.values for key in values))
    frames = []
    for index, run in enumerate(cohort.runs):
        rows = {
            "run_id": run_id(run),
            "step": np.repeat(records.step, len(keys)),
            "epoch": np.repeat(records.epoch, len(keys)),
            "examples": np.repeat(records.examples, len(keys)),
            "metric": [metric for metric, _ in keys] * count,
            "split": [split for _, split in keys] * count,
            "value": [
                float(values[key][index]) if key in values else np.nan
                for values in records.values
                for key in keys
            ],
        }
        frames.append(pd.DataFrame(rows, columns=list(COLUMNS)))
    return frames


def store_cohort(store: Store, cohort: Cohort, dataset: Dataset, seconds: float) -> None:
    """Commit every run of a trained cohort; `seconds` is the cohort's wall time."""
    device = cohort.device
    is_cuda = device.type == "cuda"
    common = {
        **here(),
        "device_kind": device.type,
        "device": torch.cuda.get_device_name(device) if is_cuda else processor(),
        "threads": torch.get_num_threads(),
        "data": dataset.name,
        "data_sha256": dataset.sha256,
        "cohort_runs": len(cohort.runs),
        "cohort_seconds": seconds,
        "seconds": seconds / len(cohort.runs),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    diverged = cohort.diverged_at.flatten().tolist()
    for run, table, step in zip(cohort.runs, tables(cohort), diverged, strict=True):
        lost = step >= 0 or bool(table.loc[table.metric == "loss", "value"].isna().any())
        at = step if step >= 0 else int(table.step.max()) if lost else None
        commit = Commit(
            run_id=run_id(run),
            status="diverged" if lost else "complete",
            config=config_dict(run),
            provenance=common,
            diverged_at=at,
        )
        store.put(commit, table)


def train_and_store(
    runs: Sequence[RunConfig],
    dataset: Dataset,
    store: Store,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> float:
    """Train one cohort and commit its runs; return the wall time in seconds."""
    start = time.perf_counter()
    cohort = train_cohort(runs, dataset, device=device, progress=progress)
    seconds = time.perf_counter() - start
    store_cohort(store, cohort, dataset, seconds)
    return seconds
