"""Losses of many runs at once, with their gradients and the metrics of an evaluation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, target: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean softmax cross-entropy in nats, and its gradient.

    Parameters
    ----------
    logits : Tensor, shape (G, L, B, classes)
    target : Tensor of int64, shape (G, B)
    scale : Tensor, shape (G, L), optional
        Factor on the gradient.

    Returns
    -------
    loss : Tensor, shape (G, L)
    gradient : Tensor, shape (G, L, B, classes)
    """
    log_p, index = _log_softmax(logits, target)
    loss = -log_p.gather(2, index).mean((2, 3))
    gradient = log_p.exp_()
    gradient.scatter_add_(2, index, gradient.new_full((), -1.0).expand(index.shape))
    return loss, gradient.mul_(_factor(scale, target.shape[1])).transpose(2, 3)


def _log_softmax(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities [G, L, classes, B] and the index [G, L, 1, B] of the right class.

    Classes before examples: a softmax over ten neighbouring numbers is many times slower than one
    over ten rows.
    """
    index = target[:, None, None, :].expand(*logits.shape[:2], 1, -1)
    return functional.log_softmax(logits.transpose(2, 3).contiguous(), 2), index


def half_mse(output: Tensor, target: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Half the mean squared error, and its gradient; `target` has shape (G, B, outputs)."""
    error = output - target[:, None]
    loss = error.square().sum(3).mean(2) / 2
    return loss, error.mul_(_factor(scale, target.shape[1]))


def _factor(scale: Tensor | None, batch: int) -> Tensor | float:
    return 1 / batch if scale is None else (scale / batch)[:, :, None, None]


LOSSES = {"cross_entropy": cross_entropy, "half_mse": half_mse}


def evaluate(loss: str, output: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Sums over the batch of every metric, each of shape (G, L), as float64."""
    if loss == "half_mse":
        squared = (output - target[:, None]).square().sum(3)
        return {"loss": squared.sum(2, dtype=torch.float64) / 2}
    log_p, index = _log_softmax(output, target)
    entropy = -log_p.gather(2, index)
    # The first of the largest, as argmax; a NaN makes the loss NaN, and with it the run's accuracy.
    right = log_p.argmax(2) == target[:, None]
    return {
        "loss": entropy.sum((2, 3), dtype=torch.float64),
        "accuracy": right.sum(2, dtype=torch.float64),
    }
