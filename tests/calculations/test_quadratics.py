"""Descent on quadratics, beside torch.optim, closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench_lr.calculations import (
    NoisyQuadratic,
    PlateauLevel,
    QuadraticDescent,
    QuadraticThreshold,
)
from bench_lr.calculations.streams import generators


def test_the_path_is_that_of_torch_sgd() -> None:
    curvatures, start = torch.tensor([1.0, 10.0]).double(), [1.0, -2.0]
    lrs = (0.03, 0.19, 0.25)
    path = QuadraticDescent((1, 10), (1, -2), lrs, 30).path()
    for lr, walk in zip(lrs, path, strict=True):
        w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=lr)
        for step in range(31):
            np.testing.assert_allclose(walk[step], w.detach().numpy(), rtol=1e-12)
            optimizer.zero_grad()
            (0.5 * (curvatures * w**2).sum()).backward()
            optimizer.step()


def test_the_loss_is_a_closed_form() -> None:
    lrs = np.array([0.02, 0.1, 0.19])
    given = QuadraticDescent((1, 10), (3, 2), tuple(lrs), 12).values()
    wanted = (9 * (1 - lrs) ** 24 + 40 * (1 - 10 * lrs) ** 24) / (9 + 40)
    np.testing.assert_allclose(given, wanted, rtol=1e-10)


def test_steps_to_a_target_are_the_first_that_reach_it() -> None:
    lrs = (0.01, 0.05, 0.1, 0.15, 0.3)
    found = QuadraticDescent((1, 10), (1, 1), lrs, 400, "steps_to", 1e-3).values()
    for lr, steps in zip(lrs, found, strict=True):
        losses = [(1 - lr) ** (2 * n) + 10 * (1 - 10 * lr) ** (2 * n) for n in range(401)]
        reached = [n for n, loss in enumerate(losses) if loss <= 1e-3 * 11]
        assert steps == (reached[0] if reached else 400)


def test_signs_change_at_every_step_above_one_over_the_curvature_only() -> None:
    lrs = (0.1, 0.24, 0.25, 0.26, 0.49, 0.6)
    flips = QuadraticDescent((4, 1), (1, 1), lrs, 15, "flips").values()
    np.testing.assert_array_equal(flips, [0, 0, 0, 1, 1, 1])


def test_a_descent_that_overflows_is_reported_as_not_finite() -> None:
    loss = QuadraticDescent((1.0,), (1.0,), (50.0,), 400).values()
    assert not np.isfinite(loss).any()


@pytest.mark.parametrize("curvatures", [(1.0,), (0.01,), (1.0, 10.0), (300.0, 0.5, 7.0)])
def test_thresholds_are_found_where_theory_puts_them(curvatures: tuple[float, ...]) -> None:
    largest = max(curvatures)
    onset = QuadraticThreshold(curvatures, "overshoot").values()
    np.testing.assert_allclose(onset, [1 / largest], rtol=1e-9)
    onset = QuadraticThreshold(curvatures, "divergence").values()
    np.testing.assert_allclose(onset, [2 / largest], rtol=1e-9)


def test_noisy_descent_is_what_a_plain_loop_gives() -> None:
    found = NoisyQuadratic(2.0, (0.1, 0.4), 0.5, 40, 10, start=3.0, batch_size=4, seeds=3).values()
    assert found.shape == (3, 2)
    for seed, stream in enumerate(generators("noisy quadratic", 3)):
        noise = stream.standard_normal(40)
        for column, lr in enumerate((0.1, 0.4)):
            w, losses = 3.0, []
            for xi in noise:
                w -= lr * (2.0 * w + 0.5 * xi / 4**0.5)
                losses.append(w * w)
            assert found[seed, column] == pytest.approx(np.mean(losses[-10:]))


def test_the_plateau_is_where_the_formula_says() -> None:
    """Against brute force with other random numbers, and against the simulation itself."""
    lrs = (0.1, 0.5, 1.0, 1.6)
    level = PlateauLevel(1.0, lrs, 2.0, 8).values()
    rng = np.random.default_rng(5)
    w = np.zeros((20_000, len(lrs)))
    for _ in range(150):
        w -= np.array(lrs) * (w + 2.0 / 8**0.5 * rng.standard_normal((20_000, 1)))
    np.testing.assert_allclose((0.5 * w**2).mean(axis=0), level, rtol=0.05)
    long = NoisyQuadratic(1.0, lrs, 2.0, 6000, 5500, batch_size=8, report="relative_plateau")
    np.testing.assert_allclose(long.values().mean(axis=0), 1, rtol=0.05)


def test_without_noise_there_is_no_floor() -> None:
    still = NoisyQuadratic(1.0, (0.5,), 0.0, 200, 10).values()
    assert still.max() < 1e-50


def test_a_curve_has_a_loss_for_every_step_of_one_rate() -> None:
    curve = NoisyQuadratic(1.0, (0.3,), 0.1, 50, 5, report="curve", seeds=4).values()
    plateau = NoisyQuadratic(1.0, (0.3,), 0.1, 50, 5, seeds=4).values()
    assert curve.shape == (4, 50)
    np.testing.assert_allclose(curve[:, -5:].mean(axis=1), plateau[:, 0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: QuadraticDescent((1, 2), (1,), (0.1,), 3), "1 coordinates, curvatures has 2"),
        (lambda: NoisyQuadratic(1, (0.1,), 1, 5, 6), "window"),
        (lambda: NoisyQuadratic(1, (0.1, 0.2), 1, 5, 5, report="curve"), "single LR"),
        (lambda: PlateauLevel(4, (0.1, 0.5), 1), "diverges"),
    ],
)
def test_what_cannot_be_is_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]
