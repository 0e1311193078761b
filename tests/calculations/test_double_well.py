"""The double well: its shape, plain loops, and how often runs leave it."""

from __future__ import annotations

import numpy as np
import pytest

from bench_lr.calculations import DoubleWell
from bench_lr.calculations.streams import generators


def test_minima_and_barrier_are_where_the_slope_vanishes() -> None:
    well = DoubleWell(0.1, 1.0, 10, tilt=0.2)
    deep, top, shallow = well.stationary()
    for x in (deep, top, shallow):
        slope = (well.potential(np.array(x + 1e-6)) - well.potential(np.array(x - 1e-6))) / 2e-6
        assert slope == pytest.approx(0, abs=1e-8)
    depth = [float(well.potential(np.array(x))) for x in (deep, shallow, top)]
    assert depth == sorted(depth)


def test_a_path_is_what_a_plain_loop_gives() -> None:
    well = DoubleWell(0.1, 2.0, 50, batch_size=4, tilt=0.1, seeds=3)
    paths = well.paths()
    for seed, stream in enumerate(generators("double well", 3)):
        x = 1.5
        for step, xi in enumerate(stream.standard_normal(50)):
            assert paths[seed, step] == pytest.approx(x)
            x -= 0.1 * (x**3 - x + 0.1 + 2.0 * xi / 2)
        assert paths[seed, -1] == pytest.approx(x)
    np.testing.assert_array_equal(well.paths(2), paths[:2])


def test_without_noise_a_small_step_ends_in_the_shallow_minimum_and_a_giant_one_does_not() -> None:
    trapped = DoubleWell(0.1, 0.0, 1000, seeds=2)
    np.testing.assert_array_equal(trapped.values(), [0, 0])
    assert trapped.paths()[0, -1] == pytest.approx(trapped.stationary()[2])
    np.testing.assert_array_equal(DoubleWell(1.0, 0.0, 1000, seeds=2).values(), [1, 1])


def test_the_share_that_escapes_is_that_of_other_random_numbers_and_near_kramers() -> None:
    well = DoubleWell(0.05, 2.0, 2000, batch_size=3, seeds=300)
    share = well.values().mean()
    rng = np.random.default_rng(3)
    x, escaped = np.full(2000, 1.5), np.zeros(2000, bool)
    deep, top, shallow = well.stationary()
    for _ in range(2000):
        x -= 0.05 * (x**3 - x + 0.1 + 2.0 / 3**0.5 * rng.standard_normal(2000))
        escaped |= x <= deep
    other = escaped.mean()
    assert abs(share - other) < 4 * np.sqrt(other * (1 - other) * (1 / 300 + 1 / 2000))
    # Kramers' rate for the continuous walk, in units of LR times steps.
    height = float(well.potential(np.array(top)) - well.potential(np.array(shallow)))
    rate = np.sqrt((3 * shallow**2 - 1) * (1 - 3 * top**2)) / (2 * np.pi)
    expected = 1 - np.exp(-rate * np.exp(-height / (well.level / 2)) * 0.05 * 2000)
    assert 0.5 < other / expected < 2


def test_the_level_is_lr_times_variance_over_batch() -> None:
    assert DoubleWell(0.2, 3.0, 10, batch_size=6).level == pytest.approx(0.2 * 9 / 6)
