"""A small convolutional network, and data for it, as anyone would write them.

From this folder: ``bench-lr run linear_scaling --model my_model.SmallCNN --data
my_model.fashion``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench_lr.data import load


class SmallCNN(nn.Module):
    """Two convolutions and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 12, 5)
        self.dense = nn.Linear(12 * 4 * 4, 32)
        self.out = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for each of ten classes."""
        x = functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        scores: Tensor = self.out(torch.relu(self.dense(torch.flatten(x, 1))))
        return scores


def fashion() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 6,000 pictures of Fashion-MNIST, and its test split."""
    found = load("fashion_mnist")
    return found.train_x[:6000], found.train_y[:6000], found.test_x, found.test_y
