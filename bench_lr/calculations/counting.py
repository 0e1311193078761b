"""Numbers that a source prints and that follow from its own: counts of updates, an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench_lr.calculations.words import Count, Numbers, Positives
from bench_lr.schedules import Floats


@dataclass(frozen=True)
class Updates:
    """Parameter updates of a training: one a batch, the last partial batch included or not."""

    train_size: Count
    batch_size: Count
    epochs: Count
    drop_last: bool = False
    kind: Literal["updates"] = "updates"

    def __post_init__(self) -> None:
        """Raise ValueError if every batch would be dropped."""
        if self.drop_last and self.batch_size > self.train_size:
            raise ValueError("no batch is full: drop_last leaves nothing to train on")

    def values(self) -> Floats:
        """Return their number, shape (1,)."""
        whole, rest = divmod(self.train_size, self.batch_size)
        return np.array([self.epochs * (whole + (rest > 0 and not self.drop_last))], np.float64)


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
