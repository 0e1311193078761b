"""What seed-paired differences look like: the noise that simulated arms are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize

from bench_lr.stats import FloatArray

SKEWNESS = 0.5
"""Skewness of the skewed noise: what real seed-paired differences of accuracy have at most.

Measured by ``python -m bench_lr.calibration.skewness`` on the runs of the claims at profile quick:
mean accuracy of the last five epochs (validation set; test set where a claim looks at no other),
687 pairs of 67 arms of 8 claims, 8 to 10 seeds. The 95 % quantile of the absolute sample skewness
of their differences is 1.33, less than that of Gaussian samples of eight (1.50); the upper end of
its bootstrap interval (arms resampled) is 1.61, the quantile of lognormal samples of skewness 0.51.
Sample skewness cannot be taken as it is: see `bench_lr.calibration.skewness`. Two arms in which
some runs learnt and others did not are left out: no skewness describes them.
"""

Draw = Callable[[np.random.Generator, tuple[int, ...], float], FloatArray]


@dataclass(frozen=True)
class Noise:
    """A distribution with mean 0 and standard deviation 1.

    Attributes
    ----------
    name, label : str
        In records, and for readers.
    family : str
        Noises of one family share a column of the table, the worse of them shown.
    limit : float or None
        How often a verdict may be wrong under it; None for noise beyond what was measured, which
        is simulated on the boundary only, to show what it would do.
    draw : callable
        ``(generator, shape, skewness) -> array``; only skewed noise looks at the last.
    skewness : float
        Negative if the long tail is below.
    """

    name: str
    label: str
    family: str
    limit: float | None
    draw: Draw
    skewness: float = 0.0

    def median(self) -> float:
        """Median of the noise as it is drawn for one comparison."""
        if not self.skewness:
            return 0.0
        sigma = lognormal_sigma(abs(self.skewness))
        middle = (1.0 - np.exp(sigma**2 / 2.0)) / _lognormal_sd(sigma)
        return float(np.sign(self.skewness) * middle)


@cache
def lognormal_sigma(skewness: float) -> float:
    """Sigma of the lognormal distribution with the given skewness, above 0.

    Solves ``(exp(sigma^2) + 2) sqrt(exp(sigma^2) - 1) = skewness``: Johnson, Kotz and Balakrishnan
    (1994), Continuous Univariate Distributions 1, chapter 14.
    """

    def excess(sigma: float) -> float:
        w = np.exp(sigma**2)
        return float((w + 2.0) * np.sqrt(w - 1.0) - skewness)

    return float(optimize.brentq(excess, 1e-9, 3.0))


def _lognormal_sd(sigma: float) -> float:
    return float(np.exp(sigma**2 / 2.0) * np.sqrt(np.expm1(sigma**2)))


def lognormal(rng: np.random.Generator, shape: tuple[int, ...], skewness: float) -> FloatArray:
    """Lognormal values of a skewness other than 0, mirrored if negative; mean 0 and SD 1."""
    sigma = lognormal_sigma(abs(skewness))
    values = np.exp(sigma * rng.standard_normal(shape))
    scaled: FloatArray = (values - np.exp(sigma**2 / 2.0)) / _lognormal_sd(sigma)
    return scaled if skewness > 0.0 else -scaled


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...], _: float) -> FloatArray:
    return rng.standard_normal(shape)


def _student(rng: np.random.Generator, shape: tuple[int, ...], _: float) -> FloatArray:
    values: FloatArray = rng.standard_t(3, shape) / np.sqrt(3.0)
    return values


_DOUBLE = f"noise of skewness {2.0 * SKEWNESS:g}"

NOISES = {
    noise.name: noise
    for noise in (
        Noise("gaussian", "Gaussian noise", "gaussian", 0.05, _gaussian),
        Noise("t3", "heavy-tailed noise (t, 3 df)", "t3", 0.05, _student),
        Noise("skewed up", "skewed noise", "skewed", 0.07, lognormal, SKEWNESS),
        Noise("skewed down", "skewed noise", "skewed", 0.07, lognormal, -SKEWNESS),
        Noise("double up", _DOUBLE, "double", None, lognormal, 2.0 * SKEWNESS),
        Noise("double down", _DOUBLE, "double", None, lognormal, -2.0 * SKEWNESS),
    )
}


def differences(
    noise: Noise,
    rng: np.random.Generator,
    trials: int,
    seeds: int,
    comparisons: int,
    correlation: float = 0.0,
) -> FloatArray:
    """Noise of several comparisons of the same seeds, shape (trials, seeds, comparisons).

    Each has mean 0 and SD 1, and every two have the given correlation because they share a part,
    as comparisons with one and the same arm do. The parts of skewed noise are the more skewed, so
    that their sum is as skewed as it should be.
    """
    parts = correlation**1.5 + (1.0 - correlation) ** 1.5
    own = noise.draw(rng, (trials, seeds, comparisons), noise.skewness / parts)
    if not correlation:
        return own
    common = noise.draw(rng, (trials, seeds, 1), noise.skewness / parts)
    mixed: FloatArray = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own
    return mixed
