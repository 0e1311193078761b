"""Sparse logistic regression beside torch.optim on the same examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench_lr.calculations import RareFeatures
from bench_lr.calculations.streams import generators

SMALL: dict[str, Any] = {"features": 3, "batch_size": 4, "steps": 60, "seeds": 2}
LRS = (0.1, 1.0, 4.0)


def trained(optimizer: str, lr: float, seed: int) -> np.ndarray:
    """Distance from the true weights after training in torch."""
    stream = list(generators("sparse features", 2))[seed]
    truth = stream.standard_normal(6)
    x = stream.random((240, 6)) < np.repeat((0.2, 0.5), 3)
    y = stream.random(240) < 1 / (1 + np.exp(-(x @ truth)))
    w = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    sgd = torch.optim.SGD([w], lr=lr)
    made = torch.optim.Adagrad([w], lr=lr) if optimizer == "adagrad" else sgd
    for step in range(60):
        if optimizer == "sgd_decayed":
            made.param_groups[0]["lr"] = lr / (step + 1) ** 0.5
        batch = slice(4 * step, 4 * step + 4)
        z = torch.tensor(x[batch], dtype=torch.float64) @ w
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            z, torch.tensor(y[batch], dtype=torch.float64)
        )
        made.zero_grad()
        loss.backward()
        made.step()
    return w.detach().numpy() - truth


@pytest.mark.parametrize("optimizer", ["sgd", "sgd_decayed", "adagrad"])
def test_errors_are_those_of_torch(optimizer: Any) -> None:
    away = np.array([[trained(optimizer, lr, seed) for lr in LRS] for seed in range(2)])
    for group, part in (("rare", slice(0, 3)), ("frequent", slice(3, 6)), ("all", slice(None))):
        made = RareFeatures(optimizer, LRS, 0.2, 0.5, **SMALL, group=group, report="by_lr")  # type: ignore[arg-type]
        wanted = np.sqrt((away[..., part] ** 2).mean(axis=-1))
        np.testing.assert_allclose(made.values(), wanted, rtol=1e-8)


def test_tuning_takes_the_rate_with_the_smallest_mean_error() -> None:
    common = ("sgd", LRS, 0.2, 0.5)
    by_lr = RareFeatures(*common, **SMALL, report="by_lr").values()  # type: ignore[arg-type]
    tuned = RareFeatures(*common, **SMALL).values()  # type: ignore[arg-type]
    np.testing.assert_array_equal(tuned, by_lr[:, by_lr.mean(axis=0).argmin()])
    best = RareFeatures(*common, **SMALL, report="best_lr").values()  # type: ignore[arg-type]
    np.testing.assert_array_equal(best, [LRS[i] for i in by_lr.argmin(axis=1)])


def test_tuning_by_another_group_is_by_its_error() -> None:
    common = ("sgd", LRS, 0.02, 0.5)
    frequent = RareFeatures(*common, **SMALL, group="frequent", report="by_lr").values()  # type: ignore[arg-type]
    rare = RareFeatures(*common, **SMALL, report="by_lr").values()  # type: ignore[arg-type]
    tuned = RareFeatures(*common, **SMALL, tuned_by="frequent").values()  # type: ignore[arg-type]
    np.testing.assert_array_equal(tuned, rare[:, frequent.mean(axis=0).argmin()])


def test_the_optima_of_the_claim_lie_inside_its_grids() -> None:
    """An edge would tune one optimizer worse than another."""
    from bench_lr.claims import load_claims

    (claim,) = load_claims(["ai_edu/rare_features"], "quick")
    for name, item in claim.spec.calculations.items():
        if isinstance(item, RareFeatures) and item.report == "by_lr":
            best = int(item.values().mean(axis=0).argmin())
            assert 0 < best < len(item.lrs) - 1, name
