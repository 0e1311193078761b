"""One run trained by an ordinary PyTorch loop: the oracle of the cohort engine.

It shares with the engine only the initial network and the run's random streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from bench_lr import models
from bench_lr.budget import steps_per_epoch
from bench_lr.cohort import streams
from bench_lr.data import Dataset
from bench_lr.schedules import (
    Constant,
    Cyclic,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    Plateau,
    Polynomial,
    RangeTest,
    Step,
    Warmup,
)
from bench_lr.schema import AdagradConfig, AdamConfig, Dropout, Optimizer, RunConfig

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class GivenDropout(nn.Module):
    """Dropout with masks handed in from outside."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.keep = streams.keep_probability(p)
        self.mask: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        assert self.mask is not None
        return x * self.mask.view_as(x) / self.keep


@dataclass
class Trained:
    """What the ordinary loop gives."""

    state: dict[str, torch.Tensor]
    losses: list[float]
    evaluations: list[dict[str, float]]
    rates: list[float]
    """LR of every step."""


def torch_optimizer(config: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """Return PyTorch's own optimizer."""
    weights, lr, decay = network.parameters(), config.lr, config.weight_decay
    match config:
        case AdamConfig():
            betas = config.beta1, config.beta2
            return torch.optim.Adam(weights, lr, betas, config.eps, decay)
        case AdagradConfig():
            start = config.initial_accumulator
            return torch.optim.Adagrad(weights, lr, 0, decay, start, config.eps)
    momentum, nesterov = config.momentum, config.nesterov
    return torch.optim.SGD(weights, lr, momentum, 0, decay, nesterov)


def scheduler(run: RunConfig, optimizer: torch.optim.Optimizer, steps_per_epoch: int):
    """Return PyTorch's own scheduler and what it counts: steps, epochs or evaluations."""
    rates = torch.optim.lr_scheduler
    match run.schedule:
        case Constant():
            return rates.LambdaLR(optimizer, lambda _: 1.0), "step"
        case Step(factor=factor, every=every, unit=unit):
            return rates.StepLR(optimizer, every, factor), unit
        case MultiStep(factor=factor, milestones=milestones, unit=unit):
            return rates.MultiStepLR(optimizer, list(milestones), factor), unit
        case Exponential(factor=float(factor), every=1.0, unit=unit):
            return rates.ExponentialLR(optimizer, factor), unit
        case Exponential(rate=float(rate), unit=unit):
            return rates.LambdaLR(optimizer, lambda t: np.exp(-rate * t)), unit
        case Inverse(gamma=gamma, power=power, unit=unit):
            return rates.LambdaLR(optimizer, lambda t: (1 + gamma * t) ** -power), unit
        case Polynomial(total=total, power=power, final=0.0, unit="fractional_epoch"):
            steps = int(total * steps_per_epoch)
            return rates.PolynomialLR(optimizer, steps, power), "step"
        case Polynomial(total=total, power=power, final=0.0, unit=unit):
            return rates.PolynomialLR(optimizer, int(total), power), unit
        case Linear(until=until, final=final, unit=unit):
            return rates.LinearLR(optimizer, 1.0, final, int(until)), unit
        case Cyclic(low=low, half_period=half, unit=unit):
            top = run.optimizer.lr
            made = rates.CyclicLR(optimizer, low * top, top, int(half), cycle_momentum=False)
            return made, unit
        case Warmup(start=start, epochs=float(epochs), then=Constant(), mode="gradual"):
            return rates.LinearLR(optimizer, start, 1.0, int(epochs * steps_per_epoch)), "step"
        case Warmup(start=start, steps=int(steps), then=Constant(), mode="constant"):
            return rates.ConstantLR(optimizer, start, steps), "step"
        case RangeTest(segments=segments):
            values = [rate for part in segments for rate in part.rates for _ in range(part.held)]
            last = len(values) - 1
            made = rates.LambdaLR(optimizer, lambda t: values[min(t, last)])
            return made, "epoch" if segments[0].steps is None else "step"
        case Plateau() as plateau:
            given = {name: getattr(plateau, name) for name in PLATEAU}
            return rates.ReduceLROnPlateau(optimizer, **given), "evaluation"
    raise AssertionError(run.schedule)


PLATEAU = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr")


def train(run: RunConfig, data: Dataset, evaluate_after: set[int] | None = None) -> Trained:
    """Train one run with torch.optim and a DataLoader; evaluate after the given steps."""
    dtype = DTYPES[run.dtype]
    network = models.build(run.model, tuple(data.train_x.shape[1:]), run.seed).to(dtype)
    masked: dict[int, GivenDropout] = {}
    for position, layer in enumerate(run.model.layers):
        if isinstance(layer, Dropout):
            masked[position] = network[position] = GivenDropout(layer.p)
    optimizer = torch_optimizer(run.optimizer, network)
    per_epoch = steps_per_epoch(run.task.train_size, run.batches[0].batch_size, run.drop_last)
    schedule, unit = scheduler(run, optimizer, per_epoch)
    train_at, validation_at = streams.split(run.task, len(data.train_x), run.seed)
    everything = TensorDataset(_inputs(data, dtype), _targets(data, dtype))
    losses: list[float] = []
    evaluations: list[dict[str, float]] = []
    sizes = [phase.batch_size for phase in run.batches for _ in range(phase.epochs)]
    rates: list[float] = []
    sizes_seen: list[int] = []
    step = seen = 0
    for epoch, batch_size in enumerate(sizes):
        order = train_at[streams.epoch_order(run.seed, epoch, len(train_at))]
        loader = DataLoader(
            Subset(everything, order.tolist()), batch_size=batch_size, drop_last=run.drop_last
        )
        for step_in_epoch, (x, y) in enumerate(loader):
            network.train()
            for position, dropout in masked.items():
                units = int(np.prod(_inputs_of(network, position, x)))
                mask = streams.keep_mask(
                    run.seed,
                    position,
                    epoch,
                    step_in_epoch,
                    1,
                    batch_size * units,
                    dropout_p(run, position),
                )
                used = mask[0, : len(x) * units]
                dropout.mask = torch.from_numpy(used.copy()).to(dtype)
            rates.append(optimizer.param_groups[0]["lr"])
            sizes_seen.append(len(x))
            optimizer.zero_grad()
            output = network(x)
            loss = _loss(run, output, y)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
            step += 1
            if unit == "step":
                schedule.step()
            if evaluate_after and step in evaluate_after:
                evaluations.append(_evaluate(run, network, data, validation_at, dtype))
                if isinstance(run.schedule, Plateau):
                    watched = evaluations[-1].get(run.schedule.metric)
                    if run.schedule.split == "train":
                        watched = float(np.average(losses[seen:], weights=sizes_seen[seen:]))
                    schedule.step(watched)
                seen = step
        if unit == "epoch":
            schedule.step()
    return Trained(dict(network.state_dict()), losses, evaluations, rates)


def dropout_p(run: RunConfig, position: int) -> float:
    """Drop probability of the layer at `position`."""
    layer = run.model.layers[position]
    assert isinstance(layer, Dropout)
    return layer.p


def _inputs_of(network: nn.Sequential, position: int, x: torch.Tensor) -> tuple[int, ...]:
    shapes: list[tuple[int, ...]] = []
    probe = nn.Sequential(*list(network)[:position])
    was = network.training
    probe.eval()
    with torch.no_grad():
        shapes.append(tuple(probe(x).shape[1:]))
    probe.train(was)
    return shapes[0]


def _loss(run: RunConfig, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if run.task.loss == "half_mse":
        return 0.5 * nn.functional.mse_loss(output, y, reduction="sum") / len(y)
    return nn.functional.cross_entropy(output, y)


def _evaluate(run, network, data, validation_at, dtype) -> dict[str, float]:
    network.eval()
    with torch.no_grad():
        x = _inputs(data, dtype)[validation_at]
        y = _targets(data, dtype)[validation_at]
        output = network(x)
        found = {"loss": _loss(run, output, y).item()}
        if run.task.loss == "cross_entropy":
            found["accuracy"] = (output.argmax(1) == y).double().mean().item()
        return found


def _inputs(data: Dataset, dtype: torch.dtype) -> torch.Tensor:
    x = data.train_x.to(dtype)
    return x if data.train_x.is_floating_point() else x / 255


def _targets(data: Dataset, dtype: torch.dtype) -> torch.Tensor:
    return data.train_y.to(dtype) if data.train_y.is_floating_point() else data.train_y
