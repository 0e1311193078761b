"""Ordinary ``torch.nn`` networks from layer-by-layer configuration.

The cohort engine lifts these modules; the tests train the same modules with an ordinary loop.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bench_lr import schema
from bench_lr.identity import stream_key

Shape = tuple[int, ...]
"""Shape of one example: (features,) or (channels, height, width)."""


class ModelError(ValueError):
    """A network whose layers do not fit together."""


def build(model: schema.ModelConfig, example: Shape, seed: int) -> nn.Sequential:
    """Build and initialise a network for inputs of shape `example`.

    The initial weights depend on the architecture and the seed, not on the LR or the cohort.

    Raises
    ------
    ModelError
        If a layer cannot take what the layer before it gives.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_key(seed, "init") % 2**63)
        layers = list(_modules(model, example))
        for layer, module in zip(model.layers, layers, strict=True):
            if isinstance(layer, schema.Linear | schema.Conv2d):
                _initialise(module, layer)
    return nn.Sequential(*layers)


def output_shape(model: schema.ModelConfig, example: Shape) -> Shape:
    """Shape of the network's output for one example, without allocating weights of its size."""
    with torch.device("meta"):
        shape = example
        for module in _modules(model, example):
            shape = _after(module, shape)
    return shape


def flops_per_example(model: schema.ModelConfig, example: Shape) -> float:
    """Multiply-add FLOPs (2 each) of a training step per example.

    Forward, weight gradient, and input gradient for every layer with weights; the first such layer
    needs no input gradient.
    """
    total = 0.0
    shape, first = example, True
    with torch.device("meta"):
        for module in _modules(model, example):
            after = _after(module, shape)
            if isinstance(module, nn.Linear | nn.Conv2d):
                positions = after[1] * after[2] if len(after) == 3 else 1
                total += 2.0 * module.weight.numel() * positions * (2 if first else 3)
                first = False
            shape = after
    return total


def _modules(model: schema.ModelConfig, example: Shape) -> Iterator[nn.Module]:
    shape = example
    for position, layer in enumerate(model.layers):
        try:
            module = _module(layer, shape)
            shape = _after(module, shape)
        except ModelError as error:
            raise ModelError(f"layer {position} ({layer.kind}): {error}") from None
        yield module


def _module(layer: schema.Layer, shape: Shape) -> nn.Module:
    match layer:
        case schema.Linear():
            if len(shape) != 1:
                raise ModelError(f"needs features, got {shape}; put a flatten layer before it")
            return nn.Linear(shape[0], layer.out_features, bias=layer.bias)
        case schema.Conv2d():
            _need_image(shape)
            return nn.Conv2d(
                shape[0],
                layer.out_channels,
                layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding,
                bias=layer.bias,
            )
        case schema.BatchNorm():
            kind = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
            return kind(shape[0], eps=layer.eps, momentum=layer.momentum)
        case schema.MaxPool2d():
            _need_image(shape)
            return nn.MaxPool2d(layer.kernel_size)
        case schema.Dropout():
            return nn.Dropout(layer.p)
        case schema.Flatten():
            return nn.Flatten()
        case schema.ReLU():
            return nn.ReLU()
        case schema.Sigmoid():
            return nn.Sigmoid()
        case schema.Tanh():
            return nn.Tanh()


def _need_image(shape: Shape) -> None:
    if len(shape) != 3:
        raise ModelError(f"needs (channels, height, width), got {shape}")


def _after(module: nn.Module, shape: Shape) -> Shape:
    match module:
        case nn.Linear():
            return (module.out_features,)
        case nn.Flatten():
            size = 1
            for extent in shape:
                size *= extent
            return (size,)
        case nn.Conv2d():
            kernel, stride, padding = module.kernel_size[0], module.stride[0], module.padding[0]
            height, width = (
                (extent + 2 * int(padding) - kernel) // stride + 1 for extent in shape[1:]
            )
            if min(height, width) < 1:
                raise ModelError(f"kernel {kernel} is larger than the input {shape}")
            return (module.out_channels, height, width)
        case nn.MaxPool2d():
            kernel = int(module.kernel_size)
            if min(shape[1:]) < kernel:
                raise ModelError(f"kernel {kernel} is larger than the input {shape}")
            return (shape[0], shape[1] // kernel, shape[2] // kernel)
    return shape


def _initialise(module: nn.Module, layer: schema.Linear | schema.Conv2d) -> None:
    weight, bias = module.weight, module.bias
    assert isinstance(weight, nn.Parameter)
    match layer.init:
        case "xavier_uniform":
            nn.init.xavier_uniform_(weight)
        case "he_normal":
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        case "he_uniform":
            nn.init.kaiming_uniform_(weight, nonlinearity="relu")
    if isinstance(bias, nn.Parameter):
        nn.init.zeros_(bias)
