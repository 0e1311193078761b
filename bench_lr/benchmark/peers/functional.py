"""PyTorch's own way to train an ensemble: `torch.func.vmap` over stacked parameters, all at once.

One forward pass under `vmap` gives the losses of all runs, and one backward pass of their sum every
run's gradient (on a CPU that is mostly faster than `vmap` of `torch.func.grad`). Every run has its
own dropout masks. Batch normalisation uses the statistics of the run's batch and keeps its running
statistics in stacked buffers, which `vmap` updates in place; evaluation uses those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bench_lr import models
from bench_lr.benchmark.peers import given
from bench_lr.cohort.streams import Indices
from bench_lr.cohort.timetable import Timetable
from bench_lr.data import Dataset
from bench_lr.schema import RunConfig

State = dict[str, Tensor]
EVALUATION_EXAMPLES = 8000
"""Examples of all runs together that are evaluated at a time."""


@dataclass(frozen=True)
class Ensemble:
    """The parameters and buffers of all runs, stacked, and one network to compute them with."""

    runs: Sequence[RunConfig]
    network: nn.Module
    parameters: State
    buffers: State

    @classmethod
    def of(cls, runs: Sequence[RunConfig], example: tuple[int, ...]) -> Ensemble:
        networks = [models.build(run.model, example, run.seed) for run in runs]
        parameters, buffers = stack_module_state(networks)
        return cls(runs, networks[0], parameters, buffers)

    def train(self, x: Tensor, y: Tensor, positions: Tensor, rates: Tensor) -> None:
        """Take a step; `positions` are the examples of every run, shape (runs, batch)."""

        def loss_of(parameters: State, buffers: State, inputs: Tensor, target: Tensor) -> Tensor:
            output = functional_call(self.network, (parameters, buffers), (inputs,))
            return given.loss_of(self.runs[0].task, output, target)

        losses = vmap(loss_of, randomness="different")(
            self.parameters, self.buffers, _taken(x, positions), _taken(y, positions)
        )
        values = list(self.parameters.values())
        gradients = torch.autograd.grad(losses.sum(), values)
        with torch.no_grad():
            for value, gradient in zip(values, gradients, strict=True):
                value.addcmul_(gradient, rates.view(-1, *[1] * (value.dim() - 1)), value=-1)

    @torch.no_grad()
    def evaluate(self, x: Tensor, y: Tensor, positions: Tensor) -> Tensor:
        """Loss and accuracy on the examples of every run, (runs, n); shape (runs, 2)."""

        def measures(parameters: State, buffers: State, inputs: Tensor, target: Tensor) -> Tensor:
            output = functional_call(self.network, (parameters, buffers), (inputs,))
            task = self.runs[0].task
            found = (
                given.loss_of(task, output, target),
                given.accuracy_of(task, output, target),
            )
            return torch.stack(found)

        self.network.eval()
        totals = torch.zeros(len(self.runs), 2, dtype=torch.float64)
        for part in positions.split(max(1, EVALUATION_EXAMPLES // len(self.runs)), dim=1):
            means = vmap(measures)(self.parameters, self.buffers, _taken(x, part), _taken(y, part))
            totals += means.double() * part.shape[1]
        self.network.train()
        return totals / positions.shape[1]


def train(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    """Train the runs together."""
    given.check_plain(runs)
    x, y = given.inputs(data), data.train_y
    ensemble = Ensemble.of(runs, tuple(x.shape[1:]))
    rates = torch.tensor([run.optimizer.lr for run in runs])
    visits = {run.seed: given.Visits(run, len(x)) for run in runs}
    held_out = _by_run(runs, {seed: own.held_out for seed, own in visits.items()})
    calendar = Timetable.of(runs[0])
    found = []
    for epoch, steps in enumerate(calendar.steps_by_epoch):
        order = _by_run(runs, {seed: own.epoch(epoch) for seed, own in visits.items()})
        for span in calendar.spans(epoch, steps):
            for batch in order[:, span.start : span.stop].split(span.batch_size, dim=1):
                ensemble.train(x, y, batch, rates)
            if span.evaluate:
                found.append(ensemble.evaluate(x, y, held_out).numpy())
    return given.Curves.of(np.stack(found))


def _by_run(runs: Sequence[RunConfig], by_seed: dict[int, Indices]) -> Tensor:
    """Spread rows of positions over the runs, shape (runs, n)."""
    return torch.from_numpy(np.stack([by_seed[run.seed] for run in runs]))


def _taken(values: Tensor, positions: Tensor) -> Tensor:
    """Values at `positions`, shape (runs, n, ...)."""
    return values.index_select(0, positions.reshape(-1)).view(*positions.shape, *values.shape[1:])
