"""How fast does this machine train, beside an ordinary Lightning loop?

The unit is run-epochs per second over the whole ``trainer.fit``, evaluation included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bench_lr import models
from bench_lr.claims import ConfigError, Problem, conf_roots, load_profile
from bench_lr.claims.problems import nearest
from bench_lr.claims.settings import Resolver
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.streams import split
from bench_lr.data import DataError, Dataset, load
from bench_lr.provenance import processor, versions
from bench_lr.schema import RunConfig
from bench_lr.trainer import quiet_lightning, train_cohort


@dataclass(frozen=True)
class Workload:
    """A set of runs with a name; the set-up is that of a claim file."""

    name: str
    description: str
    model: str
    batch_size: int
    lrs: tuple[float, ...]
    seeds: int
    epochs: int = 1

    def runs(self) -> list[RunConfig]:
        """Return the runs, in the order of one cohort."""
        problems: list[Problem] = []
        resolver = Resolver(conf_roots(), load_profile("standard"), problems)
        found = [
            resolver.run(
                {
                    "task": "mnist",
                    "model": self.model,
                    "lr": lr,
                    "batch_size": self.batch_size,
                    "epochs": self.epochs,
                    "evaluations_per_epoch": 2,
                },
                seed,
                "benchmark",
                problems,
            )
            for lr in self.lrs
            for seed in range(self.seeds)
        ]
        if problems:
            raise ConfigError(problems)
        (cohort,) = arrange([run for run in found if run is not None])
        return cohort


WORKLOADS = {
    w.name: w
    for w in (
        Workload("ae16", "AE net, batch 16, 4 LRs x 8 seeds", "ae", 16, (0.1, 0.3, 0.5, 0.7), 8),
        Workload("ae128", "AE net, batch 128, 4 LRs x 8 seeds", "ae", 128, (0.1, 0.3, 0.5, 0.7), 8),
    )
}


@dataclass(frozen=True)
class Measurement:
    """One way of training one workload."""

    workload: str
    way: str
    run_epochs: int
    seconds: float

    @property
    def rate(self) -> float:
        """Run-epochs per second."""
        return self.run_epochs / self.seconds


def dataset() -> Dataset:
    """Return MNIST, or images made on the spot (the time is the same) where it cannot be had."""
    try:
        return load("mnist")
    except DataError:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (70000, 1, 28, 28), dtype=torch.uint8, generator=generator)
        y = torch.randint(0, 10, (70000,), generator=generator)
        return Dataset("noise", x[:60000], y[:60000], x[60000:], y[60000:], "", 10)


class OrdinaryModule(pl.LightningModule):
    """What one would write without this package: one network, one optimizer, one run.

    It measures what a cohort measures: mean training loss, validation loss and accuracy; without
    `log_loss` it leaves out the first, whose logging takes Lightning a third of the time.
    """

    def __init__(self, network: nn.Module, lr: float, log_loss: bool) -> None:
        super().__init__()
        self.network, self.lr, self.log_loss = network, lr, log_loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(self.network(x), y)
        if self.log_loss:
            self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        output = self.network(x)
        self.log("loss", nn.functional.cross_entropy(output, y))
        self.log("accuracy", (output.argmax(1) == y).float().mean())


def ordinary(run: RunConfig, data: Dataset, log_loss: bool = True) -> float:
    """Train one run with an ordinary Lightning loop and `DataLoader`; return the seconds."""
    train_at, validation_at = split(run.task, len(data.train_x), run.seed)
    x = data.train_x.float() / 255
    train = TensorDataset(x[train_at], data.train_y[train_at])
    validation = TensorDataset(x[validation_at], data.train_y[validation_at])
    batch_size = run.batches[0].batch_size
    module = OrdinaryModule(
        models.build(run.model, tuple(x.shape[1:]), run.seed), run.optimizer.lr, log_loss
    )
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=run.epochs,
            val_check_interval=1 / run.evaluation.per_epoch,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        start = time.perf_counter()
        trainer.fit(
            module,
            DataLoader(train, batch_size=batch_size, shuffle=True),
            DataLoader(validation, batch_size=1000),
        )
        return time.perf_counter() - start


def cohort(runs: Sequence[RunConfig], data: Dataset) -> float:
    """Train the runs in lockstep; return the seconds of the whole ``trainer.fit``."""
    start = time.perf_counter()
    train_cohort(runs, data)
    return time.perf_counter() - start


def measure(
    workload: Workload, data: Dataset, say: Callable[[str], None] = lambda text: None
) -> list[Measurement]:
    """Measure a workload in every way: one ordinary run, and all runs in one cohort."""
    runs = workload.runs()
    epochs = sum(run.epochs for run in runs)
    say(f"{workload.name}: {workload.description}")
    one = ordinary(runs[0], data)
    bare = ordinary(runs[0], data, log_loss=False)
    together = cohort(runs, data)
    return [
        Measurement(workload.name, "ordinary Lightning, one run", runs[0].epochs, one),
        Measurement(workload.name, "the same, training loss not logged", runs[0].epochs, bare),
        Measurement(workload.name, f"bench-lr, {len(runs)} runs in lockstep", epochs, together),
    ]


def main(names: Sequence[str] | None, json_file: Path | None) -> int:
    """Measure, print a table, and write JSON if asked to."""
    unknown = [name for name in names or () if name not in WORKLOADS]
    if unknown:
        raise ConfigError(
            [
                Problem("command line", "workload", n, ", ".join(WORKLOADS), nearest(n, WORKLOADS))
                for n in unknown
            ]
        )
    console = Console(highlight=False)
    data = dataset()
    found = [
        m for name in names or WORKLOADS for m in measure(WORKLOADS[name], data, say=console.print)
    ]
    table = Table(box=None, pad_edge=False)
    for head in ("workload", "way", "run-epochs", "seconds", "run-epochs/s", "ratio"):
        table.add_column(head, justify="left" if head in ("workload", "way") else "right")
    base = {m.workload: m.rate for m in reversed(found)}
    for m in found:
        ratio = f"{m.rate / base[m.workload]:.1f}x"
        table.add_row(
            m.workload, m.way, str(m.run_epochs), f"{m.seconds:.1f}", f"{m.rate:.2f}", ratio
        )
    console.print(table)
    if json_file is not None:
        content = {
            "processor": processor(),
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "measurements": [{**asdict(m), "rate": m.rate} for m in found],
        }
        json_file.write_text(json.dumps(content, indent=1) + "\n")
    return 0
