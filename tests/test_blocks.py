"""Layers that torch.nn lacks, against torch.nn applied piece by piece."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench_lr import models
from bench_lr.blocks import GhostBatchNorm
from bench_lr.schema import (
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalMaxPool,
    Linear,
    MaxPool2d,
    ModelConfig,
    ReLU,
    Residual,
    Scale,
)
from bench_lr.schema import GhostBatchNorm as GhostConfig
from bench_lr.shapes import ModelError, flops_per_example, walk, weights

CHUNKS = {  # examples: lengths of the ghost batches of 4
    4: [4],
    12: [4, 4, 4],
    11: [4, 4, 3],
    3: [3],
    9: [4, 5],  # one example alone has no variance: it joins the ghost batch before it
    5: [5],
    2: [2],
}


@pytest.mark.parametrize("shape", [(6,), (6, 3, 2)], ids=["features", "images"])
@pytest.mark.parametrize("examples", CHUNKS)
def test_ghost_batches_are_what_batch_norm_makes_of_chunks(
    examples: int, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(examples)
    ghost = GhostBatchNorm(6, 4, momentum=0.3).double()
    plain = (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(6, momentum=0.3).double()
    for module in (ghost, plain):
        with torch.no_grad():
            torch.manual_seed(1)
            module.weight.uniform_(0.5, 2)
            module.bias.uniform_(-1, 1)
    for _ in range(3):
        x = torch.randn(examples, *shape, dtype=torch.float64) * 3 + 1
        given, expected = x.clone().requires_grad_(), x.clone().requires_grad_()
        out = ghost(given)
        by_chunk = torch.cat([plain(part) for part in expected.split(CHUNKS[examples])])
        torch.testing.assert_close(out, by_chunk, rtol=1e-11, atol=1e-11)
        weighting = torch.randn_like(out)
        (out * weighting).sum().backward()
        (by_chunk * weighting).sum().backward()
        torch.testing.assert_close(given.grad, expected.grad, rtol=1e-10, atol=1e-10)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ghost, name), getattr(plain, name))
    for own, other in zip(ghost.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
    ghost.eval()
    plain.eval()
    x = torch.randn(1, *shape, dtype=torch.float64)
    torch.testing.assert_close(ghost(x), plain(x))


def test_ghost_batches_do_not_change_with_the_batch() -> None:
    """What a small batch is normalised to, it is normalised to inside a large one."""
    torch.manual_seed(0)
    x = torch.randn(32, 5)
    norm = GhostBatchNorm(5, 8)
    torch.testing.assert_close(norm(x)[8:16], norm(x[8:16]))
    assert not torch.allclose(nn.BatchNorm1d(5)(x)[8:16], nn.BatchNorm1d(5)(x[8:16]), atol=1e-3)


def test_one_example_of_features_is_refused_not_made_nan() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        GhostBatchNorm(5, 8)(torch.zeros(1, 5))


MODEL = ModelConfig(
    (
        Conv2d(4, 3, padding=1, bias=False),
        GhostConfig(4),
        ReLU(),
        MaxPool2d(2),
        Residual((Conv2d(4, 3, padding=1, init="he_normal"), BatchNorm(), ReLU())),
        GlobalMaxPool(),
        Linear(10),
        Scale(0.125),
    )
)


def test_a_residual_network_has_the_shapes_and_the_cost_of_its_parts() -> None:
    example = (3, 8, 8)
    assert walk(MODEL, example)[-4:] == [(4, 4, 4), (4,), (10,), (10,)]
    network = models.build(MODEL, example, 0)
    x = torch.randn(5, *example)
    for module, shape in zip(network, walk(MODEL, example)[1:], strict=True):
        before, x = x, module(x)
        assert tuple(x.shape[1:]) == shape
        if type(module).__name__ == "Residual":
            torch.testing.assert_close(x, before + module.inner(before))
        elif type(module).__name__ == "Scale":
            torch.testing.assert_close(x, before / 8)
    first, inner, last = 4 * 27, 4 * 36, 40
    assert weights(MODEL, example) == first + inner + 4 + last + 10
    by_hand = 2 * (2 * first * 64 + 3 * inner * 16 + 3 * last)
    assert flops_per_example(MODEL, example) == by_hand


def test_weights_inside_a_block_are_drawn_as_it_says() -> None:
    layers = (Residual((Linear(400, init="he_normal"), ReLU(), Linear(300))),)
    network = models.build(ModelConfig(layers), (300,), 3)
    first, last = network.get_submodule("0.inner.0"), network.get_submodule("0.inner.2")
    assert first.weight.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.02)
    assert last.weight.abs().max().item() == pytest.approx((6 / 700) ** 0.5, rel=0.01)
    assert (first.bias == 0).all()


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ((Residual((Conv2d(4, 3),)), Flatten(), Linear(10)), "layer 0 (residual): its layers turn"),
        ((Residual((ReLU(), Linear(3))),), "layer 0 (residual): layer 1 (linear)"),
        ((Flatten(), GlobalMaxPool()), "layer 1 (global_max_pool)"),
    ],
)
def test_a_block_that_does_not_fit_is_named(layers: tuple, text: str) -> None:
    with pytest.raises(ModelError) as caught:
        walk(ModelConfig(layers), (4, 8, 8))
    assert str(caught.value).startswith(text)
