"""How far the mix of classes in a sample is from that of the population, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.calculations.streams import generators
from bench_lr.calculations.words import Count, Counts, Positive, Share
from bench_lr.schedules import Floats

Classes = Annotated[tuple[Count, ...], Field(min_length=2)]


@dataclass(frozen=True)
class ClassMix:
    """Expected deviation of the classes' shares in a sample from those in the population.

    Parameters
    ----------
    classes : tuple of int
        Examples of each class in the population.
    samples : tuple of int
        Sizes of the sample.
    draw : {"partition", "independent"}
        Without replacement, as one part of the population split in two, or with replacement.
    deviation : {"mean_absolute", "rms"}
        Of a class's share, averaged over classes: ``E|K/n - p|``, or the root of the mean of
        ``E(K/n - p)^2``; K is hypergeometric or binomial.
    """

    classes: Classes
    samples: Counts
    draw: Literal["partition", "independent"]
    deviation: Literal["mean_absolute", "rms"] = "mean_absolute"
    kind: Literal["class_mix"] = "class_mix"

    def __post_init__(self) -> None:
        """Raise ValueError for a part that is larger than the whole."""
        if self.draw == "partition" and max(self.samples) > sum(self.classes):
            raise ValueError(f"a sample exceeds the population of {sum(self.classes)}")

    def values(self) -> Floats:
        """Return the deviation at each of `samples`, shape (len(samples),)."""
        return np.array([self._of(size) for size in self.samples])

    def _of(self, size: int) -> float:
        from scipy import stats

        total, found = sum(self.classes), []
        count = np.arange(size + 1)
        for members in self.classes:
            share = members / total
            chance = (
                stats.hypergeom.pmf(count, total, members, size)
                if self.draw == "partition"
                else stats.binom.pmf(count, size, share)
            )
            away = np.abs(count / size - share)
            found.append(chance @ (away if self.deviation == "mean_absolute" else away**2))
        mean = float(np.mean(found))
        return mean if self.deviation == "mean_absolute" else mean**0.5


@dataclass(frozen=True)
class ClassMixDraws:
    """The same deviation in samples that are drawn: mean over classes of ``|K/n - p|``, by seed.

    Each seed draws its sample anew, with replacement; samples of other sizes are independent.
    """

    classes: Classes
    sample: Count
    seeds: Count = 1000
    kind: Literal["class_mix_draws"] = "class_mix_draws"

    def values(self) -> Floats:
        """Return the deviation in each seed's sample, shape (seeds,)."""
        shares = np.array(self.classes) / sum(self.classes)
        (g,) = generators(f"class mix {self.sample}", 1)
        counts = g.multinomial(self.sample, shares, size=self.seeds)
        result: Floats = np.abs(counts / self.sample - shares).mean(axis=1)
        return result


@dataclass(frozen=True)
class BatchForClasses:
    r"""The smallest batch that is fair to so many classes of equal size, drawn independently.

    `needs`: ``every_class`` (all classes are in the batch with probability `chance`; the coupon
    collector's problem, Feller 1968, An Introduction to Probability Theory, volume 1, IV.2);
    ``relative_deviation`` (the standard deviation of a class's share is at most `limit` of the
    share, :math:`\sqrt{(C - 1) / B}`); ``absolute_deviation`` (it is at most `limit` itself,
    :math:`\sqrt{(C - 1) / C^2 B}`).
    """

    classes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)]
    needs: Literal["every_class", "relative_deviation", "absolute_deviation"]
    limit: Positive = 0.25
    chance: Share = 0.95
    kind: Literal["batch_for_classes"] = "batch_for_classes"

    def values(self) -> Floats:
        """Return the batch size for each of `classes`, shape (len(classes),)."""
        return np.array([self._batch(count) for count in self.classes], dtype=np.float64)

    def _batch(self, classes: int) -> float:
        if self.needs == "every_class":
            return self._collected(classes)
        variance = (classes - 1) / (1 if self.needs == "relative_deviation" else classes**2)
        # Without the last digits, which rounding may have raised above a whole number.
        return max(1.0, float(np.ceil(round(variance / self.limit**2, 9))))

    def _collected(self, classes: int) -> int:
        known = np.arange(classes + 1) / classes
        chance = np.zeros(classes + 1)  # of so many classes seen
        chance[0], size = 1.0, 0
        while chance[-1] < self.chance:
            new = chance * known
            new[1:] += chance[:-1] * (1 - known[:-1])
            chance, size = new, size + 1
        return size
