"""A plain PyTorch loop on tensors in memory, one run at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench_lr import models
from bench_lr.benchmark.peers import given
from bench_lr.cohort.timetable import Timetable
from bench_lr.data import Dataset
from bench_lr.schema import RunConfig


def train(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    """Train the runs one after the other."""
    given.check_plain(runs)
    return given.Curves.of(np.stack([_train(run, data) for run in runs], axis=1))


def _train(run: RunConfig, data: Dataset) -> list[tuple[float, float]]:
    x, y = given.inputs(data), data.train_y
    visits = given.Visits(run, len(x))
    held_out = torch.from_numpy(visits.held_out)
    network = models.build(run.model, tuple(x.shape[1:]), run.seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=run.optimizer.lr)
    calendar = Timetable.of(run)
    found = []
    for epoch, steps in enumerate(calendar.steps_by_epoch):
        order = torch.from_numpy(visits.epoch(epoch))
        for span in calendar.spans(epoch, steps):
            network.train()
            for batch in order[span.start : span.stop].split(span.batch_size):
                optimizer.zero_grad()
                output = network(x.index_select(0, batch))
                loss = given.loss_of(run.task, output, y.index_select(0, batch))
                loss.backward()
                optimizer.step()
            if span.evaluate:
                found.append(_evaluate(run, network, x, y, held_out))
    return found


@torch.no_grad()
def _evaluate(
    run: RunConfig, network: nn.Module, x: Tensor, y: Tensor, held_out: Tensor
) -> tuple[float, float]:
    network.eval()
    totals = torch.zeros(2, dtype=torch.float64)
    for batch in held_out.split(given.EVALUATION_BATCH):
        output, target = network(x.index_select(0, batch)), y.index_select(0, batch)
        mean = (
            given.loss_of(run.task, output, target),
            given.accuracy_of(run.task, output, target),
        )
        totals += torch.stack(mean).double() * len(batch)
    loss, accuracy = (totals / len(held_out)).tolist()
    return loss, accuracy
