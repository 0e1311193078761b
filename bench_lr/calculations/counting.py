"""Numbers that a source prints and that follow from its own: counts of updates, an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.calculations.words import Count, Numbers, Positives
from bench_lr.schedules import Floats


@dataclass(frozen=True)
class Updates:
    """Parameter updates of a training: one a batch, the last partial batch included or not.

    ``batches``, a list of ``[epochs, batch size]``, counts a training whose batch size changes; it
    replaces ``batch_size`` and ``epochs``.
    """

    train_size: Count
    batch_size: Count | None = None
    epochs: Count | None = None
    drop_last: bool = False
    batches: Annotated[tuple[tuple[Count, Count], ...], Field(min_length=1)] | None = None
    kind: Literal["updates"] = "updates"

    def __post_init__(self) -> None:
        """Raise ValueError for a plan that is missing, double, or drops every batch."""
        plain = (self.batch_size, self.epochs)
        if None in plain if self.batches is None else plain != (None, None):
            raise ValueError("give batch_size and epochs, or batches in place of both")
        if self.drop_last and max(size for _, size in self._plan()) > self.train_size:
            raise ValueError("no batch is full: drop_last leaves nothing to train on")

    def values(self) -> Floats:
        """Return their number, shape (1,)."""
        return np.array([sum(n * self._in_epoch(size) for n, size in self._plan())], np.float64)

    def _plan(self) -> tuple[tuple[int, int], ...]:
        """Epochs and batch size of each stretch."""
        if self.batches is None:
            assert self.epochs is not None
            assert self.batch_size is not None
            return ((self.epochs, self.batch_size),)
        return self.batches

    def _in_epoch(self, batch_size: int) -> int:
        whole, rest = divmod(self.train_size, batch_size)
        return whole + (rest > 0 and not self.drop_last)


@dataclass(frozen=True)
class PowersOfTen:
    """What a logarithmic axis stands for: 10 to the power of each coordinate."""

    at: Numbers
    kind: Literal["powers_of_ten"] = "powers_of_ten"

    def values(self) -> Floats:
        """Return 10 to the power of each of `at`, shape (len(at),)."""
        result: Floats = np.power(10.0, np.asarray(self.at, dtype=np.float64))
        return result


@dataclass(frozen=True)
class Logarithms:
    """Where numbers stand on a logarithmic axis: their logarithms to base 10."""

    of: Positives
    kind: Literal["logarithms"] = "logarithms"

    def values(self) -> Floats:
        """Return the logarithm of each of `of`, shape (len(of),)."""
        result: Floats = np.log10(np.asarray(self.of, dtype=np.float64))
        return result
