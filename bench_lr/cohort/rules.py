"""The update rule of a cohort, from the optimizers of its runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench_lr.cohort.adaptive import Adagrad, Adam
from bench_lr.cohort.slots import Grid, MomentumSGD, PlainSGD, Slot, UpdateRule
from bench_lr.schema import AdamConfig, Optimizer, OptimizerConfig


def update_rule(
    slots: Sequence[Slot],
    grid: Grid,
    optimizers: Sequence[Optimizer],
    dtype: torch.dtype,
    device: torch.device,
) -> UpdateRule:
    """Return the rule for the runs of a cohort, its state at the start.

    Parameters
    ----------
    optimizers : sequence
        One a run, as `shape_key` lets them into a cohort.
    """

    def per_run(name: str, precision: torch.dtype = dtype) -> Tensor:
        values = [getattr(optimizer, name) for optimizer in optimizers]
        return torch.tensor(values, dtype=precision, device=device).view(grid.seeds, grid.arms)

    def exact(name: str) -> Tensor:
        return per_run(name, torch.float64)

    rate, decay = per_run("lr"), per_run("weight_decay")
    match optimizers[0]:
        case OptimizerConfig(nesterov=nesterov):
            if all(optimizer.is_plain for optimizer in optimizers):
                return PlainSGD(rate)
            return MomentumSGD(slots, rate, per_run("momentum"), decay, nesterov)
        case AdamConfig():
            return Adam(slots, rate, exact("beta1"), exact("beta2"), exact("eps"), decay)
        case _:
            return Adagrad(slots, rate, per_run("initial_accumulator"), exact("eps"), decay)
