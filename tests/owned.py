"""Data as people have them, to be imported by name."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


def pair(count: int = 600) -> tuple[Tensor, Tensor]:
    """Return points of three classes that can be told apart."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (count,), generator=generator)
    x = torch.randn(count, 5, generator=generator)
    x[:, 0] += 3.0 * y
    return x, y


def four() -> tuple[Tensor, ...]:
    """Return pictures and their labels, with a test split."""
    x = (torch.arange(60 * 2 * 4 * 4) % 251).to(torch.uint8).view(60, 2, 4, 4)
    return x[:50], torch.arange(50) % 2, x[50:], torch.arange(10) % 2


def numbers() -> tuple[Tensor, Tensor]:
    """Return points with real targets."""
    x = torch.linspace(0, 1, 120)[:, None]
    return x, (2 * x).squeeze(1)


class Module(pl.LightningDataModule):
    """The points of `pair` as Lightning has them."""

    def setup(self, stage: str) -> None:
        x, y = pair()
        self.parts = {"train": (x[:400], y[:400]), "val": (x[400:500], y[400:500])}
        self.parts["test"] = (x[500:], y[500:])

    def _loader(self, part: str) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(*self.parts[part]), batch_size=64)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self._loader("test")


def words() -> list[str]:
    """Return no data."""
    return ["no", "data", "here"]


def unequal() -> tuple[Tensor, Tensor]:
    """Return more inputs than targets."""
    return torch.zeros(30, 3), torch.zeros(20, dtype=torch.long)


def unlabelled() -> tuple[Tensor, Tensor]:
    """Return one class alone."""
    return torch.zeros(30, 3), torch.zeros(30, dtype=torch.long)


def infinite() -> tuple[Tensor, Tensor]:
    """Return inputs that are not finite."""
    return torch.full((30, 3), torch.inf), torch.arange(30) % 2


class Small(torch.nn.Module):
    """A network for the points."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(5, 8)
        self.last = torch.nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.relu(self.first(x)))
        return out
