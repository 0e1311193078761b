"""Intervals, tests and corrections used to judge claims.

Every function takes and returns plain numbers or numpy arrays and refuses non-finite samples:
what a diverged run means is decided by the criteria, not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]


def _sample(x: ArrayLike) -> FloatArray:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"a sample needs one axis and 2 values or more, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a sample must be finite: drop or judge diverged seeds first")
    return values


def _level(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    return level


def _counts(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n >= 1, not {successes} of {n}")


@dataclass(frozen=True)
class Student:
    """What Student's intervals and tests need of a finite sample.

    Attributes
    ----------
    mean, sd : float
        Mean and standard deviation (n - 1 in the denominator). A constant sample has exactly its
        value as mean and exactly 0 as standard deviation, without the rounding error of summing it.
    n : int
        Size of the sample, 2 or more.

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6, 1-25.
    """

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, x: ArrayLike) -> Student:
        """Summarise a sample, shape (n,); ValueError if it has less than two or odd values."""
        values = _sample(x)
        if values[0] == values[1] and (values == values[0]).all():
            return cls(float(values[0]), 0.0, values.size)
        mean = float(np.add.reduce(values)) / values.size
        deviations = values - mean
        return cls(mean, math.sqrt(deviations @ deviations / (values.size - 1)), values.size)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval of the mean, see `t_interval`."""
        quantile = float(special.stdtrit(self.n - 1, (1.0 + _level(level)) / 2.0))
        half = quantile * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    def p(self, bound: float, alternative: Literal["greater", "less"]) -> float:
        """One-sided p-value of the mean against `bound`, see `t_test_p`."""
        if alternative not in ("greater", "less"):
            raise ValueError(f"alternative must be 'greater' or 'less', not {alternative!r}")
        excess = self.mean - bound if alternative == "greater" else bound - self.mean
        if self.sd == 0.0:
            return 0.0 if excess > 0.0 else 1.0
        return float(special.stdtr(self.n - 1, -excess / (self.sd / math.sqrt(self.n))))


def mean_sd(x: ArrayLike) -> tuple[float, float]:
    """Mean and standard deviation (n - 1 in the denominator) of a sample, as in `Student`."""
    sample = Student.of(x)
    return sample.mean, sample.sd


def t_interval(x: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of a sample and its two-sided Student-t interval.

    Parameters
    ----------
    x : array_like, shape (n,)
        Finite sample, n >= 2.
    level : float
        Coverage of the interval.

    Returns
    -------
    mean, lo, hi : float
        ``mean -+ t(n-1, (1+level)/2) s / sqrt(n)``; all three equal when the sample is constant.

    Raises
    ------
    ValueError
        Fewer than two values, non-finite values, or a level outside (0, 1).

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6, 1-25.
    """
    sample = Student.of(x)
    return sample.mean, *sample.interval(level)


def t_test_p(x: ArrayLike, bound: float, alternative: Literal["greater", "less"]) -> float:
    """One-sided p-value of Student's t test of the mean of a sample against `bound`.

    Parameters
    ----------
    x : array_like, shape (n,)
        Finite sample, n >= 2.
    bound : float
        The mean under the null hypothesis.
    alternative : {"greater", "less"}
        Where the mean lies under the alternative.

    Returns
    -------
    float
        For a constant sample: 0 if its value satisfies the alternative strictly, else 1
        (so a value equal to `bound` gives 1).

    Raises
    ------
    ValueError
        Fewer than two values, non-finite values, or an unknown alternative.

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6, 1-25.
    """
    return Student.of(x).p(bound, alternative)


def paired_differences(treatment: ArrayLike, control: ArrayLike) -> FloatArray:
    """Seed-paired differences ``treatment - control``; NaN where either run diverged.

    Parameters
    ----------
    treatment, control : array_like, shape (seeds,) or (seeds, times)
        Arms paired by position along the first axis.

    Raises
    ------
    ValueError
        The shapes differ: the arms are not paired.
    """
    first = np.asarray(treatment, dtype=np.float64)
    second = np.asarray(control, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"arms are not paired: shapes {first.shape} and {second.shape}")
    difference: FloatArray = first - second
    return difference


def holm(pvalues: ArrayLike) -> FloatArray:
    """Step-down adjusted p-values controlling the family-wise error under any dependence.

    With ``p(1) <= ... <= p(m)``, the adjusted ``p(i)`` is the largest of
    ``min(1, (m - j + 1) p(j))`` over ``j <= i``.

    Parameters
    ----------
    pvalues : array_like, shape (m,)
        Raw p-values, in any order.

    Returns
    -------
    ndarray, shape (m,)
        Adjusted p-values, in the order given.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6, 65-70.
    """
    p = np.asarray(pvalues, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("p-values must be one list of numbers between 0 and 1")
    ascending = np.argsort(p, kind="stable")
    scaled = p[ascending] * np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[ascending] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion: the one to show beside a share of seeds.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22, 209-212.
    """
    _counts(successes, n)
    z = float(special.ndtri((1.0 + _level(level)) / 2.0))
    share, spread = successes / n, z * z / n
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = math.sqrt(spread * (share * (1.0 - share) + spread / 4.0)) / (1.0 + spread)
    # Without the rounding error that would keep the ends off 0 and 1.
    return middle - half if successes else 0.0, middle + half if successes < n else 1.0


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion: never covers less than `level`, so fit to judge by.

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case
    of the binomial, Biometrika 26, 404-413.
    """
    _counts(successes, n)
    tail = (1.0 - _level(level)) / 2.0
    lo = special.betaincinv(successes, n - successes + 1, tail) if successes else 0.0
    hi = special.betaincinv(successes + 1, n - successes, 1.0 - tail) if successes < n else 1.0
    return float(lo), float(hi)


def share_p(successes: int, n: int, share: float, alternative: Literal["greater", "less"]) -> float:
    """One-sided p-value of the exact binomial test of a proportion against `share`.

    Below ``(1 - level) / 2`` exactly when the `clopper_pearson` interval lies wholly on the side of
    the alternative. With ``share = 0.5`` this is the sign test.

    References
    ----------
    Clopper and Pearson (1934), as above; Dixon and Mood (1946), The statistical sign test,
    Journal of the American Statistical Association 41, 557-566.
    """
    _counts(successes, n)
    if alternative == "greater":
        return float(special.bdtrc(successes - 1, n, share)) if successes else 1.0
    if alternative == "less":
        return float(special.bdtr(successes, n, share))
    raise ValueError(f"alternative must be 'greater' or 'less', not {alternative!r}")


def prediction_interval(
    mean: float, sd: float, n: int, n_new: int, level: float = 0.95
) -> tuple[float, float]:
    """Interval for the mean of a fresh sample, given the mean and SD of a recorded one.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation (n - 1 in the denominator) of the recorded sample.
    n, n_new : int
        Sizes of the recorded (n >= 2) and the fresh sample (n_new >= 1).
    level : float
        Probability that the fresh mean falls inside, both samples being normal and alike.

    Returns
    -------
    lo, hi : float
        ``mean -+ t(n-1, (1+level)/2) sd sqrt(1/n + 1/n_new)``.

    References
    ----------
    Hahn and Meeker (1991), Statistical Intervals, chapter 4.
    """
    if n < 2 or n_new < 1 or not sd >= 0.0:
        raise ValueError(f"need n >= 2, n_new >= 1, sd >= 0, not n={n}, n_new={n_new}, sd={sd}")
    quantile = float(special.stdtrit(n - 1, (1.0 + _level(level)) / 2.0))
    half = quantile * sd * float(np.sqrt(1.0 / n + 1.0 / n_new))
    return mean - half, mean + half
