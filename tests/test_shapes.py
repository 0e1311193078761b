"""Shapes and costs of networks against torch and against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from bench_lr.claims import load_claims
from bench_lr.data import DATASETS, load
from bench_lr.models import build
from bench_lr.schema import (
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ModelConfig,
    ReLU,
    Sigmoid,
    Tanh,
)
from bench_lr.shapes import (
    EXAMPLES,
    REAL_TARGETS,
    TRAIN_EXAMPLES,
    ModelError,
    flops_per_example,
    walk,
)

AE = ModelConfig((Flatten(), Linear(64), Sigmoid(), Linear(16), Tanh(), Linear(10)))
IMAGE = (1, 28, 28)

small = st.integers(1, 5)
anywhere: st.SearchStrategy[Layer] = st.sampled_from(
    [ReLU(), Sigmoid(), Tanh(), BatchNorm(), Dropout(0.3)]
)
on_images: st.SearchStrategy[Layer] = st.one_of(
    st.builds(
        Conv2d,
        out_channels=small,
        kernel_size=st.integers(1, 9),
        stride=st.integers(1, 3),
        padding=st.integers(0, 2),
        bias=st.booleans(),
    ),
    st.builds(MaxPool2d, kernel_size=st.integers(1, 4)),
    anywhere,
)
on_features: st.SearchStrategy[Layer] = st.one_of(
    st.builds(Linear, out_features=small, bias=st.booleans()), anywhere
)
examples = st.tuples(st.integers(1, 3), st.integers(1, 28), st.integers(1, 28))


@st.composite
def stacks(draw: st.DrawFn) -> ModelConfig:
    """Draw layers for images, a flatten, then layers for features; they need not fit."""
    layers: list[Layer] = [
        *draw(st.lists(on_images, max_size=4)),
        Flatten(),
        *draw(st.lists(on_features, max_size=4)),
    ]
    return ModelConfig(tuple(layers))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(model=stacks(), example=examples)
def test_shapes_are_those_of_torch_or_torch_too_refuses(
    model: ModelConfig, example: tuple[int, int, int]
) -> None:
    with torch.device("meta"):
        x = torch.empty(4, *example)
    try:
        shapes = walk(model, example)
    except ModelError as error:
        place = int(str(error).split()[1])
        good = ModelConfig(model.layers[:place]) if place else None
        if good is not None:
            x = build(good, example, 0).to("meta")(x)
        layer = model.layers[place]
        assert isinstance(layer, Conv2d | MaxPool2d)
        module: torch.nn.Module
        if isinstance(layer, Conv2d):
            module = torch.nn.Conv2d(
                x.shape[1], 1, layer.kernel_size, layer.stride, layer.padding, device="meta"
            )
        else:
            module = torch.nn.MaxPool2d(layer.kernel_size)
        with pytest.raises(RuntimeError):
            module(x)
        return
    assert len(shapes) == len(model.layers) + 1
    for module, shape in zip(build(model, example, 0).to("meta"), shapes[1:], strict=True):
        x = module(x)
        assert tuple(x.shape[1:]) == shape


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ((Linear(10),), "layer 0 (linear)"),
        ((Flatten(), Conv2d(2, 3)), "layer 1 (conv2d)"),
        ((Flatten(), ReLU(), MaxPool2d(2)), "layer 2 (max_pool2d)"),
        ((Conv2d(2, 29), Flatten()), "layer 0 (conv2d)"),
        ((MaxPool2d(29), Flatten()), "layer 0 (max_pool2d)"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(layers: tuple[Layer, ...], place: str) -> None:
    with pytest.raises(ModelError) as caught:
        walk(ModelConfig(layers), IMAGE)
    assert str(caught.value).startswith(place)


def test_the_ai_edu_network_costs_11_gflop_an_epoch() -> None:
    # Forward and weight gradient for all three matrices, input gradient for all but the first.
    by_hand = 2 * (2 * 784 * 64 + 3 * 64 * 16 + 3 * 16 * 10)
    assert flops_per_example(AE, IMAGE) == by_hand
    assert flops_per_example(AE, IMAGE) * 55_000 == pytest.approx(11.4e9, rel=0.01)


def test_flops_are_those_that_torch_counts() -> None:
    model = ModelConfig(
        (
            Conv2d(4, 3, padding=1),
            ReLU(),
            MaxPool2d(2),
            Conv2d(6, 3, stride=2),
            Flatten(),
            Linear(10),
        )
    )
    network = build(model, IMAGE, 0)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, *IMAGE)).sum().backward()
    assert 2 * flops_per_example(model, IMAGE) == counter.get_total_flops()


@pytest.mark.parametrize("name", ["synthetic", "curve", "curve_unit"])
def test_what_is_said_of_the_data_sets_is_so(name: str) -> None:
    data = load(name)
    shape, outputs = EXAMPLES[name]
    assert tuple(data.train_x.shape) == (TRAIN_EXAMPLES[name], *shape)
    if data.classes:
        assert set(np.unique(data.train_y)) == set(range(outputs))
    else:
        assert tuple(data.train_y.shape) == (TRAIN_EXAMPLES[name], outputs)
    assert (data.classes == 0) == (name in REAL_TARGETS)


def test_every_data_set_has_a_shape_and_a_size() -> None:
    assert EXAMPLES.keys() == DATASETS.keys()
    assert TRAIN_EXAMPLES["mnist"] == 60_000
    assert EXAMPLES.keys() == TRAIN_EXAMPLES.keys()


def test_every_network_of_the_suite_ends_in_its_classes() -> None:
    for claim in load_claims(profile="standard"):
        for arm in claim.arms:
            example, classes = EXAMPLES[arm.runs[0].task.data]
            assert walk(arm.runs[0].model, example)[-1] == (classes,)
