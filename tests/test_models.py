"""Initial weights of the networks that are trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench_lr import models
from bench_lr.schema import Conv2d, Flatten, Linear, ModelConfig


@pytest.mark.parametrize(
    ("layers", "example", "own"),
    [
        ((Flatten(), Linear(200, init="torch_default")), (300,), nn.Linear(300, 200)),
        (
            (Conv2d(40, 5, init="torch_default"), Flatten(), Linear(3)),
            (30, 9, 9),
            nn.Conv2d(30, 40, 5),
        ),
    ],
)
def test_torch_default_is_drawn_as_pytorch_draws_unasked(
    layers: tuple[Linear | Conv2d | Flatten, ...], example: tuple[int, ...], own: nn.Module
) -> None:
    network = models.build(ModelConfig(layers), example, 3)
    (drawn, bias) = next(
        (module.weight, module.bias)
        for module in network
        if isinstance(module, nn.Linear | nn.Conv2d)
    )
    assert isinstance(own.weight, torch.Tensor)
    assert drawn.shape == own.weight.shape
    bound = float(own.weight[0].numel()) ** -0.5
    for weight in (drawn.detach(), own.weight.detach()):
        assert bool((weight.abs() <= bound).all())
        assert float(weight.abs().max()) == pytest.approx(bound, rel=1e-3)
        assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.02)
    assert bias is not None
    assert bool((bias == 0).all())
