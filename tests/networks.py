"""Networks as people write them, to be imported by name; for images of two channels of 11 x 11."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Chain(nn.Module):
    """A chain of layers, written as a forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.body = nn.Sequential(nn.Linear(4 * 4 * 4, 16), nn.ReLU())
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        out: Tensor = self.head(self.body(torch.flatten(x, 1)))
        return out


class Dense(nn.Module):
    """The same without convolutions; flattened as in older code."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(242, 12)
        self.second = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(torch.sigmoid(self.first(x.view(x.size(0), -1))))
        return out


class Branching(nn.Module):
    """No chain: a sum of two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(242, 10)
        self.two = nn.Linear(242, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        out: Tensor = self.one(x) + torch.tanh(self.two(x))
        return out


class Twice(nn.Module):
    """A layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(242, 10)
        self.over = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.over(torch.relu(self.over(self.into(x.flatten(1)))))
        return out


class Fickle(nn.Module):
    """It does something else while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(242, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.only(x.flatten(1))
        return out * 2 if self.training else out


class Looping(nn.Module):
    """Control flow that hangs on values: nothing that can be traced, nor does it vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(242, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.only(x.flatten(1))
        while out.abs().max() > 1e6:
            out = out / 2
        return out


def sequence() -> nn.Module:
    """Return nested sequences."""
    return nn.Sequential(
        nn.Flatten(), nn.Sequential(nn.Linear(242, 8), nn.ReLU()), nn.Linear(8, 10)
    )


def nothing() -> int:
    """Return no network."""
    return 3


def needs(size: int) -> nn.Module:
    """Want an argument."""
    return nn.Linear(size, 10)


def empty() -> nn.Module:
    """Return a network without parameters."""
    return nn.Flatten()


def narrow() -> nn.Module:
    """Return a network for other inputs."""
    return nn.Sequential(nn.Flatten(), nn.Linear(5, 10))
