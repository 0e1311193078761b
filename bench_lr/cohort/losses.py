"""Losses of many runs at once, with their gradients and the metrics of an evaluation."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from bench_lr.cohort.tape import Tape


class Loss(Protocol):
    """What the engine needs of a loss; outputs have the shape (G, L, O, B)."""

    @staticmethod
    def encode(target: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Return targets (..., G, B, ...) in the form that `record` wants, (..., G, 1, O, B)."""

    @staticmethod
    def record(
        output: Tensor, target: Tensor, rate: Tensor | None, tape: Tape
    ) -> tuple[Tensor, Tensor]:
        """Record what `losses` wants to know, (G, L, O, B), and the gradient of the output.

        The gradient is that of the mean over the batch or, where a rate (G, L) is given, that of
        the sum times the rate.
        """

    @staticmethod
    def losses(kept: Tensor, target: Tensor) -> Tensor:
        """Return the losses (..., G, L, B) from what was kept and the targets (..., G, B, ...)."""

    @staticmethod
    def metrics(output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return sums over the batch of every metric, each of shape (G, L), as float64."""


class CrossEntropy:
    """Softmax cross-entropy, in nats; targets are classes (G, B)."""

    @staticmethod
    def encode(target: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """One-hot."""
        index = target.unsqueeze(-2).unsqueeze(-2)
        shape = (*index.shape[:-2], outputs, index.shape[-1])
        return torch.zeros(shape, dtype=dtype, device=target.device).scatter_(-2, index, 1.0)

    @staticmethod
    def record(
        output: Tensor, target: Tensor, rate: Tensor | None, tape: Tape
    ) -> tuple[Tensor, Tensor]:
        """Keep the log-probabilities."""
        log_p, gradient = torch.empty_like(output), torch.empty_like(output)
        tape += [
            partial(torch.ops.aten._log_softmax.out, output, 2, False, out=log_p),
            partial(torch.exp, log_p, out=gradient),
            partial(gradient.sub_, target),
        ]
        _scale(gradient, rate, tape)
        return log_p, gradient

    @staticmethod
    def losses(kept: Tensor, target: Tensor) -> Tensor:
        """Minus the log-probability of the class."""
        index = target.unsqueeze(-2).unsqueeze(-2).expand(*kept.shape[:-2], 1, -1)
        return -kept.gather(-2, index).squeeze(-2)

    @staticmethod
    def metrics(output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss and accuracy."""
        log_p = functional.log_softmax(output, 2)
        losses = CrossEntropy.losses(log_p, target)
        # The first of the largest: argmax says the same and takes six times as long. A NaN makes
        # the loss NaN, and with it the accuracy.
        right = log_p.max(2).indices == target[:, None]
        return {
            "loss": losses.sum(2, dtype=torch.float64),
            "accuracy": right.sum(2, dtype=torch.float64),
        }


class HalfMSE:
    """Half the squared error; targets are numbers (G, B, O)."""

    @staticmethod
    def encode(target: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Outputs before examples."""
        return target.transpose(-1, -2).unsqueeze(-3).to(dtype)

    @staticmethod
    def record(
        output: Tensor, target: Tensor, rate: Tensor | None, tape: Tape
    ) -> tuple[Tensor, Tensor]:
        """Keep the outputs."""
        gradient = torch.empty_like(output)
        tape.append(partial(torch.sub, output, target, out=gradient))
        _scale(gradient, rate, tape)
        return output, gradient

    @staticmethod
    def losses(kept: Tensor, target: Tensor) -> Tensor:
        """Half the sum over the outputs of the squared errors."""
        error = kept - target.transpose(-1, -2).unsqueeze(-3)
        return error.square_().sum(-2) / 2

    @staticmethod
    def metrics(output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Loss."""
        error = output - target.transpose(-1, -2).unsqueeze(-3)
        return {"loss": error.square_().sum((2, 3), dtype=torch.float64) / 2}


def _scale(gradient: Tensor, rate: Tensor | None, tape: Tape) -> None:
    factor = 1 / gradient.shape[-1] if rate is None else rate[:, :, None, None]
    tape.append(partial(gradient.mul_, factor))


LOSSES: dict[str, type[Loss]] = {"cross_entropy": CrossEntropy, "half_mse": HalfMSE}


def mean_loss(name: str, output: Tensor, target: Tensor) -> Tensor:
    """Mean loss of an ordinary batch of outputs [B, O], a scalar for autograd."""
    if name == "half_mse":
        return (output - target).square().sum(1).mean() / 2
    return functional.cross_entropy(output, target)
