"""An ordinary Lightning module, its training data from a `DataLoader`, one run at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from bench_lr import models
from bench_lr.benchmark.peers import given
from bench_lr.data import Dataset
from bench_lr.schema import RunConfig
from bench_lr.trainer import quiet_lightning


class OrdinaryModule(pl.LightningModule):
    """What one would write without this package: one network, one optimizer, one run.

    It logs what a cohort records: mean training loss, validation loss and accuracy.
    """

    def __init__(self, run: RunConfig, network: nn.Module) -> None:
        super().__init__()
        self.run, self.network = run, network
        self.found: list[tuple[float, float]] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.run.optimizer.lr)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = given.loss_of(self.run.task, self.network(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        output = self.network(x)
        self.log("loss", given.loss_of(self.run.task, output, y))
        if self.run.task.loss == "cross_entropy":
            self.log("accuracy", given.accuracy_of(self.run.task, output, y))

    def on_validation_epoch_end(self) -> None:
        logged = self.trainer.callback_metrics
        self.found.append((float(logged["loss"]), float(logged.get("accuracy", np.nan))))


class RunOrder(Sampler[int]):
    """The order of a run's examples, a new one every epoch, as `RandomSampler` would give."""

    def __init__(self, visits: given.Visits) -> None:
        self._visits, self._epoch = visits, 0

    def __len__(self) -> int:
        return len(self._visits.train_at)

    def __iter__(self) -> Iterator[int]:
        order = self._visits.epoch(self._epoch)
        self._epoch += 1
        yield from order.tolist()


def train(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    """Train the runs one after the other.

    Where an epoch has an odd number of steps, Lightning evaluates a step early.
    """
    given.check_plain(runs)
    return given.Curves.of(np.stack([_train(run, data) for run in runs], axis=1))


def _train(run: RunConfig, data: Dataset) -> list[tuple[float, float]]:
    (phase,) = run.batches
    x, y = given.inputs(data), data.train_y
    visits = given.Visits(run, len(x))
    module = OrdinaryModule(run, models.build(run.model, tuple(x.shape[1:]), run.seed))
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=phase.epochs,
            val_check_interval=1 / run.evaluation.per_epoch,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            module,
            DataLoader(
                TensorDataset(x, y),
                batch_size=phase.batch_size,
                sampler=RunOrder(visits),
                drop_last=run.drop_last,
            ),
            DataLoader(
                TensorDataset(x[visits.held_out], y[visits.held_out]),
                batch_size=given.EVALUATION_BATCH,
            ),
        )
    return module.found
