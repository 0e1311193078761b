"""The mix of classes beside enumeration and simulation."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest

from bench_lr.calculations import BatchForClasses, ClassMix, ClassMixDraws


def deviation(labels: tuple[int, ...], shares: list[Fraction], size: int, power: int) -> Fraction:
    away = [abs(Fraction(labels.count(c), size) - share) ** power for c, share in enumerate(shares)]
    return sum(away, Fraction(0)) / len(shares)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("power", [1, 2])
def test_a_part_is_what_all_parts_give_on_average(size: int, power: int) -> None:
    population = (0, 0, 0, 1, 1, 2)
    shares = [Fraction(3, 6), Fraction(2, 6), Fraction(1, 6)]
    every = [deviation(part, shares, size, power) for part in combinations(population, size)]
    mean = float(sum(every, Fraction(0)) / len(every))
    word = "mean_absolute" if power == 1 else "rms"
    found = ClassMix((3, 2, 1), (size,), "partition", word).values()[0]  # type: ignore[arg-type]
    assert found == pytest.approx(mean if power == 1 else mean**0.5)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_an_independent_sample_is_what_all_samples_give_on_average(size: int) -> None:
    population = (0, 0, 0, 1, 1, 2)
    shares = [Fraction(3, 6), Fraction(2, 6), Fraction(1, 6)]
    every = [deviation(draw, shares, size, 1) for draw in product(population, repeat=size)]
    mean = float(sum(every, Fraction(0)) / len(every))
    assert ClassMix((3, 2, 1), (size,), "independent").values()[0] == pytest.approx(mean)


def test_independent_samples_deviate_as_one_over_the_root_of_their_size() -> None:
    sizes = (5, 20, 320)
    rms = ClassMix((50, 50, 50), sizes, "independent", "rms").values()
    np.testing.assert_allclose(rms, np.sqrt(2 / 9 / np.array(sizes)))


def test_the_two_parts_of_a_whole_deviate_in_the_ratio_of_their_sizes() -> None:
    small, large = ClassMix((50, 50, 50), (50, 100), "partition").values()
    assert small / large == pytest.approx(2)


def test_drawn_samples_have_the_expected_deviation_on_average() -> None:
    drawn = ClassMixDraws((50, 50, 50), 40, seeds=20_000).values()
    assert drawn.shape == (20_000,)
    wanted = ClassMix((50, 50, 50), (40,), "independent").values()[0]
    assert drawn.mean() == pytest.approx(wanted, abs=4 * drawn.std() / 20_000**0.5)


@pytest.mark.parametrize(("classes", "chance"), [(2, 0.95), (5, 0.5), (10, 0.95), (30, 0.9)])
def test_every_class_is_there_by_inclusion_and_exclusion(classes: int, chance: float) -> None:
    size = int(BatchForClasses((classes,), "every_class", chance=chance).values()[0])

    def complete(n: int) -> Fraction:
        terms = (
            (-1) ** k * comb(classes, k) * Fraction(classes - k, classes) ** n
            for k in range(classes + 1)
        )
        return sum(terms, Fraction(0))

    assert complete(size) >= Fraction(chance)
    assert complete(size - 1) < Fraction(chance)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_batches_with_a_given_deviation(classes: int) -> None:
    p = 1 / classes
    for needs, limit in (("relative_deviation", 0.25 * p), ("absolute_deviation", 0.03)):
        given = 0.25 if needs == "relative_deviation" else limit
        made = BatchForClasses((classes,), needs, limit=given)  # type: ignore[arg-type]
        size = made.values()[0]
        assert np.sqrt(p * (1 - p) / size) <= limit * (1 + 1e-9)
        assert size == 1 or np.sqrt(p * (1 - p) / (size - 1)) > limit


def test_a_part_larger_than_the_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds the population of 6"):
        ClassMix((3, 3), (7,), "partition")
