"""Layers that ``torch.nn`` does not have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """x + f(x) (He et al. 2016)."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ...] to the same shape."""
        y: Tensor = x + self.inner(x)
        return y


class Scale(nn.Module):
    """The input times a constant."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return x * self.by


class GlobalMaxPool(nn.Module):
    """The largest value of each channel, [B, C, H, W] to [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        """Reduce height and width."""
        return x.amax((2, 3))


class GhostBatchNorm(nn.Module):
    """Batch normalisation of each ghost batch by its own mean and variance.

    Hoffer, Hubara, Soudry 2017, "Train longer, generalize better", algorithm 1. A batch is cut into
    ghost batches of `size` consecutive examples. The examples left over form one more; where only
    one is left over it joins the ghost batch before it, for a single example has no variance.

    The running statistics, which evaluation uses, take in the ghost batches one after the other as
    ``nn.BatchNorm`` would: ``running = (1 - momentum) * running + momentum * own``, with the
    unbiased variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, size: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.size, self.eps, self.momentum = size, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C] or [B, C, H, W] over all dimensions but the channels.

        Raises
        ------
        ValueError
            In training, of one example of features.
        """
        if not self.training:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(
                x, mean, variance, self.weight, self.bias, False, eps=self.eps
            )
        whole, rest = divmod(len(x), self.size)
        lengths = [self.size] * whole + [rest] * (rest > 0)
        if rest == 1 and whole:
            lengths[-2:] = [self.size + 1]
        equal = sum(length == self.size for length in lengths)
        parts = [(equal, self.size)] * (equal > 0) + [(1, n) for n in lengths[equal:]]
        outputs, start = [], 0
        for ghosts, length in parts:
            stop = start + ghosts * length
            outputs.append(self._normalise(x[start:stop], ghosts))
            start = stop
        return torch.cat(outputs)

    def _normalise(self, x: Tensor, ghosts: int) -> Tensor:
        """Normalise equally large ghost batches at once: ghosts become channels."""
        length, channels = len(x) // ghosts, x.shape[1]
        apart = x.unflatten(0, (ghosts, length)).transpose(0, 1).flatten(1, 2)
        # With momentum 1 what comes back as running statistics is those of this batch.
        mean, variance = x.new_zeros(2, ghosts * channels)
        weight, bias = self.weight.repeat(ghosts), self.bias.repeat(ghosts)
        y = functional.batch_norm(apart, mean, variance, weight, bias, True, 1.0, self.eps)
        kept = 1 - self.momentum
        age = torch.arange(ghosts - 1, -1, -1, device=x.device, dtype=x.dtype)
        share = self.momentum * kept**age
        with torch.no_grad():
            for running, own in ((self.running_mean, mean), (self.running_var, variance)):
                running.mul_(kept**ghosts).add_(share @ own.view(ghosts, channels))
        together: Tensor = y.unflatten(1, (ghosts, channels)).transpose(0, 1).flatten(0, 1)
        return together
