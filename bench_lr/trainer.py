"""A cohort under a Lightning `Trainer`: one Lightning batch is a block of many steps.

Lightning's cost a batch and an epoch is milliseconds, as long as hundreds of steps of a small
network; so its batch is a block of at least 256 steps, and where a training epoch has fewer, its
epoch is a stretch of several.
"""

from __future__ import annotations

import datetime
import itertools
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch.utils.data import DataLoader, IterableDataset

from bench_lr.checkpoint import Keeper
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.timetable import Span, Timetable
from bench_lr.data import Dataset
from bench_lr.devices import found
from bench_lr.identity import config_dict, run_id
from bench_lr.interruptions import Interruptions
from bench_lr.provenance import here, processor
from bench_lr.schema import RunConfig
from bench_lr.store import COLUMNS, Commit, Store

SPAN_STEPS = 64
"""Most steps between two looks at the losses, at which a run that diverged is frozen."""
BLOCK_STEPS = 256
"""Fewest steps of a block, unless the stretch ends."""
STRETCH_STEPS = 1024
"""Fewest steps of a stretch of epochs, unless training ends."""
SMALL = 32
"""How many times as many these are where a step takes microseconds."""
SPAN_EXAMPLES = 1 << 14
"""Examples of a seed in a span that is longer for that: their positions are held at once."""

Progress = Callable[[float], None]


class Block:
    """Spans of steps that one Lightning batch stands for.

    No dataclass: Lightning would take it apart to convert what it holds to the run's precision.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = tuple(spans)


class Blocks(IterableDataset[Block]):
    """The blocks of consecutive epochs, in order, without those of the first `taken` steps."""

    def __init__(
        self,
        timetable: Timetable,
        epochs: range,
        steps: int = BLOCK_STEPS,
        longest: int = SPAN_STEPS,
        joined: bool = False,
        taken: int = 0,
    ) -> None:
        self._timetable, self._epochs, self._taken = timetable, epochs, taken
        self._steps, self._longest, self._joined = steps, longest, joined

    def __iter__(self) -> Iterator[Block]:
        gathered: list[Span] = []
        steps = 0
        for span in self._spans():
            # Spans are those of training without a break, whatever has been taken before it.
            if span.step < self._taken:
                continue
            gathered.append(span)
            steps += span.steps
            if steps >= self._steps:
                yield Block(gathered)
                gathered, steps = [], 0
        if gathered:
            yield Block(gathered)

    def _spans(self) -> Iterator[Span]:
        if self._joined:
            return self._timetable.spans_of(self._epochs, self._longest)
        each = (self._timetable.spans(epoch, self._longest) for epoch in self._epochs)
        return itertools.chain.from_iterable(each)


def stretches(timetable: Timetable, least: int = STRETCH_STEPS) -> list[range]:
    """Divide the epochs into stretches: whole epochs, of `least` steps or more."""
    found: list[range] = []
    first = steps = 0
    for epoch, count in enumerate(timetable.steps_by_epoch):
        steps += count
        if steps >= least or epoch == timetable.epochs - 1:
            found.append(range(first, epoch + 1))
            first, steps = epoch + 1, 0
    return found


class BlockOptimizer(torch.optim.Optimizer):
    """Hands a whole block to the cohort as one optimizer step, so that Lightning counts blocks."""

    def __init__(self, cohort: Cohort) -> None:
        super().__init__([slot.data for slot in cohort.network.slots], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Train the block that `closure` holds."""
        return None if closure is None else closure()


class CohortModule(pl.LightningModule):
    """A cohort as Lightning sees it: manual optimisation, block by block."""

    def __init__(
        self, cohort: Cohort, progress: Progress | None = None, keeper: Keeper | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.cohort = cohort
        self._longer = SMALL if cohort.is_small else 1
        self.stretches = stretches(cohort.timetable, STRETCH_STEPS * self._longer)
        self._progress, self._keeper = progress, keeper

    def configure_optimizers(self) -> BlockOptimizer:
        return BlockOptimizer(self.cohort)

    def on_fit_start(self) -> None:
        self.cohort.start()
        if self._keeper is not None:
            self._keeper.take_up(self.cohort)

    def train_dataloader(self) -> DataLoader[Block]:
        epochs = self.stretches[self.current_epoch]
        steps = BLOCK_STEPS * self._longer
        longest, joined = SPAN_STEPS, self.cohort.is_small
        if joined:
            most = SPAN_EXAMPLES // max(self.cohort.timetable.batch_sizes)
            longest = max(SPAN_STEPS, min(SPAN_STEPS * SMALL, most))
        taken = self.cohort.steps_taken
        blocks = Blocks(self.cohort.timetable, epochs, steps, longest, joined, taken)
        return DataLoader(blocks, batch_size=None)

    def training_step(self, batch: Block, batch_idx: int) -> None:
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step(closure=lambda: self._train(batch))

    def _train(self, block: Block) -> None:
        for span in block.spans:
            if self.cohort.has_ended:
                self.trainer.should_stop = True
                return
            indices = self.cohort.indices(span).to(self.device, non_blocking=True)
            self.cohort.train_block(span, indices)
            if span.evaluate:
                self.cohort.evaluate(span)
            if self._keeper is not None:
                self._keeper.look(self.cohort)
            if self._progress is not None:
                self._progress((span.step + span.steps) / self.cohort.timetable.steps)


def make_trainer(stretches: int, device: str, dtype: str) -> pl.Trainer:
    """Lightning `Trainer` for one cohort on one device ("auto", "cpu" or "cuda")."""
    where = found(device)
    return pl.Trainer(
        accelerator=where,
        devices=[torch.cuda.current_device()] if where == "cuda" else 1,
        precision="64-true" if dtype == "float64" else "32-true",
        max_epochs=stretches,
        reload_dataloaders_every_n_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=False,
        # One process a job, whatever a cluster's variables suggest; Lightning would requeue it too.
        plugins=[LightningEnvironment()],
    )


def train_cohort(
    runs: Sequence[RunConfig],
    dataset: Dataset,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Cohort:
    """Train the runs of a cohort to the end and return it.

    Parameters
    ----------
    runs : sequence of RunConfig
        As `bench_lr.cohort.engine.arrange` returns them.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called after every span with the share of steps done.
    keeper : Keeper, optional
        Goes on from the cohort's checkpoint, if there is one, and keeps new ones.
    """
    cohort = Cohort(runs, dataset, device=found(device))
    if cohort.config.timed:
        warm_up(runs, dataset, found(device))
    with quiet_lightning():
        module = CohortModule(cohort, progress, keeper)
        trainer = make_trainer(len(module.stretches), device, cohort.config.dtype)
        trainer.fit(module)
    if progress is not None and cohort.has_ended:
        progress(1.0)
    # Lightning moves what it trained back to the CPU; where it trained is part of the result.
    return cohort.to(trainer.strategy.root_device)


def warm_up(runs: Sequence[RunConfig], dataset: Dataset, device: str) -> None:
    """Train an epoch's first and last steps for nothing, so that libraries have set themselves up.

    Code is compiled, memory is held, and the processor is at speed, before time is taken.
    """
    cohort = Cohort(runs, dataset, device=device).to(device)
    cohort.start()
    spans = list(cohort.timetable.spans(0, SPAN_STEPS))
    for span in (*spans[:4], *spans[-1:]):
        cohort.train_block(span, cohort.indices(span).to(device))
    cohort.evaluate(spans[-1])


class quiet_lightning:  # noqa: N801 - a context manager, used like a function
    """Silence Lightning's advice that does not fit a block-wise trainer."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        for text in (
            "does not have many workers",
            r"isinstance\(treespec, LeafSpec\)",
            "The `srun`",
        ):
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
    counts = [len(values) for values in records.values]
    rows = {
        "step": np.repeat(records.step, counts),
        "epoch": np.repeat(records.epoch, counts),
        "examples": np.repeat(records.examples, counts),
        "metric": np.array([metric for values in records.values for metric, _ in values], object),
        "split": np.array([split for values in records.values for _, split in values], object),
    }
    # All runs of a row side by side.
    value = np.array([row for values in records.values for row in values.values()])
    frames = []
    for index, run in enumerate(cohort.runs):
        own = sum(counts[: records.evaluations(index)])
        frame = pd.DataFrame({name: column[:own] for name, column in rows.items()})
        frame["run_id"], frame["value"] = run_id(run), value[:own, index]
        frames.append(frame[list(COLUMNS)])
    return frames


def store_cohort(
    store: Store,
    cohort: Cohort,
    dataset: Dataset,
    seconds: float,
    origin: Mapping[str, Any] | None = None,
) -> list[pd.DataFrame]:
    """Commit every run of a trained cohort, all of them or none; return their tables.

    `seconds` is the cohort's wall time; `origin` is what else its provenance is to say.
    """
    device = cohort.device
    is_cuda = device.type == "cuda"
    common = {
        **here(),
        **(origin or {}),
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
    stops = cohort.config.stop_at is not None
    reached = [{"reached_target": bool(it)} if stops else {} for it in cohort.records.reached]
    found = tables(cohort)
    commits = []
    for run, table, step, own in zip(cohort.runs, found, diverged, reached, strict=True):
        lost = step >= 0 or bool(table.loc[table.metric == "loss", "value"].isna().any())
        at = step if step >= 0 else int(table.step.max()) if lost else None
        commits.append(
            Commit(
                run_id=run_id(run),
                status="diverged" if lost else "complete",
                config=config_dict(run),
                provenance={**common, **own},
                diverged_at=at,
            )
        )
    store.put_together(commits, found)
    return found


def train_and_store(
    runs: Sequence[RunConfig],
    dataset: Dataset,
    store: Store,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    origin: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    interruptions: Interruptions | None = None,
    log_runs: Callable[[Sequence[RunConfig], Sequence[pd.DataFrame]], None] | None = None,
) -> float:
    """Train one cohort and commit its runs; return the wall time in seconds, breaks left out.

    Parameters
    ----------
    minutes : float, optional
        How often its state is kept, to go on from after a break; None: only at `interruptions`.
    log_runs : callable, optional
        Given the runs and their tables when these are stored.
    """
    held = interruptions or Interruptions()
    keeper = Keeper(
        store,
        runs,
        dataset.sha256,
        minutes=minutes,
        asked=lambda: held.pending,
        stop=held.pass_on,
    )
    cohort = train_cohort(runs, dataset, device=device, progress=progress, keeper=keeper)
    seconds = keeper.seconds
    found = store_cohort(store, cohort, dataset, seconds, origin)
    keeper.forget()
    if log_runs is not None:
        log_runs(cohort.runs, found)
    return seconds
