"""Arms with a chosen sample mean and standard deviation of their differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

NAN = float("nan")


def sample(mean: float, sd: float, n: int = 8, seed: int = 0) -> FloatArray:
    """n values whose mean and SD (n - 1) are the given ones, in a shuffled order."""
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    scores = (scores - scores.mean()) / scores.std(ddof=1)
    values: FloatArray = mean + sd * np.random.default_rng(seed).permutation(scores)
    return values


def base(n: int = 8, seed: int = 99) -> FloatArray:
    """Seed effects that two paired arms share, far larger than their difference."""
    return sample(10.0, 3.0, n, seed)


def pair(mean: float, sd: float, n: int = 8) -> dict[str, FloatArray]:
    """Treatment `t` and control `c` whose differences have the given mean and SD."""
    control = base(n)
    return {"t": control + sample(mean, sd, n), "c": control}


def half_width(sd: float, n: int) -> float:
    """Half of the 95 % t interval of a mean."""
    return float(stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n))


def with_nan(values: FloatArray, *seeds: int) -> FloatArray:
    """Copy of an arm in which the given seeds have diverged."""
    copy = values.copy()
    copy[list(seeds)] = NAN
    return copy


def curves(levels: list[float], sd: float, n: int = 8, seed: int = 0) -> FloatArray:
    """Values (n, times): at each time mean `level` and SD `sd`."""
    columns = [sample(level, sd, n, seed + t) for t, level in enumerate(levels)]
    return np.stack(columns, axis=1)
