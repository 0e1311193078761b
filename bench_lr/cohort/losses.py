"""Losses of many runs at once, with their gradients and the metrics of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from bench_lr.cohort.slots import Tape

Loss = Callable[[Tensor, Tensor, Tensor | None, Tape], tuple[Tensor, Tensor]]
"""(output, target, rate of each run or None, tape) -> (minus the loss of every example, gradient).

The gradient is that of the mean over the batch or, where a rate is given, that of the sum times the
rate; the losses have the shape (G, L, B).
"""


def cross_entropy(
    logits: Tensor, target: Tensor, rate: Tensor | None, tape: Tape
) -> tuple[Tensor, Tensor]:
    """Record the softmax cross-entropy, in nats.

    Parameters
    ----------
    logits : Tensor, shape (G, L, B, classes)
    target : Tensor of int64, shape (G, B)

    Notes
    -----
    The classes are brought before the examples: a softmax over ten neighbouring numbers is many
    times slower than one over ten rows.
    """
    seeds, arms, batch, classes = logits.shape
    index = target[:, None, None, :].expand(seeds, arms, 1, batch)
    rows = logits.new_empty(seeds, arms, classes, batch)
    log_p, gradient = torch.empty_like(rows), torch.empty_like(rows)
    likelihood = logits.new_empty(seeds, arms, 1, batch)
    ones = logits.new_full((), -1.0).expand(index.shape)
    tape += [
        partial(rows.copy_, logits.transpose(2, 3)),
        partial(torch.ops.aten._log_softmax.out, rows, 2, False, out=log_p),
        partial(torch.gather, log_p, 2, index, out=likelihood),
        partial(torch.exp, log_p, out=gradient),
        partial(gradient.scatter_add_, 2, index, ones),
    ]
    _scale(gradient, rate, batch, tape)
    return likelihood.squeeze(2), gradient.transpose(2, 3)


def half_mse(
    output: Tensor, target: Tensor, rate: Tensor | None, tape: Tape
) -> tuple[Tensor, Tensor]:
    """Record half the squared error; `target` has shape (G, B, outputs)."""
    error = torch.empty(output.shape, dtype=output.dtype, device=output.device)
    square = torch.empty_like(error)
    loss = output.new_empty(output.shape[:3])
    tape += [
        partial(torch.sub, output, target[:, None], out=error),
        partial(torch.mul, error, error, out=square),
        partial(torch.sum, square, 3, out=loss),
        partial(loss.mul_, -0.5),
    ]
    _scale(error, rate, target.shape[1], tape)
    return loss, error


def _scale(gradient: Tensor, rate: Tensor | None, batch: int, tape: Tape) -> None:
    factor = 1 / batch if rate is None else rate[:, :, None, None]
    tape.append(partial(gradient.mul_, factor))


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "half_mse": half_mse}


def evaluate(loss: str, output: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Sums over the batch of every metric, each of shape (G, L), as float64."""
    if loss == "half_mse":
        squared = (output - target[:, None]).square().sum(3)
        return {"loss": squared.sum(2, dtype=torch.float64) / 2}
    index = target[:, None, None, :].expand(*output.shape[:2], 1, -1)
    log_p = functional.log_softmax(output.transpose(2, 3).contiguous(), 2)
    entropy = -log_p.gather(2, index)
    # The first of the largest, as argmax; a NaN makes the loss NaN, and with it the run's accuracy.
    right = log_p.argmax(2) == target[:, None]
    return {
        "loss": entropy.sum((2, 3), dtype=torch.float64),
        "accuracy": right.sum(2, dtype=torch.float64),
    }
