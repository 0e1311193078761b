"""Ordinary ``torch.nn`` networks from layer-by-layer configuration.

The cohort engine lifts these modules; the tests train the same modules with an ordinary loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from bench_lr import schema
from bench_lr.blocks import GhostBatchNorm, GlobalMaxPool, Residual, Scale
from bench_lr.identity import stream_key
from bench_lr.imported import as_sequential, make_network
from bench_lr.shapes import Shape, walk


def build(model: schema.ModelConfig, example: Shape, seed: int) -> nn.Module:
    """Build and initialise a network for inputs of shape `example`.

    The initial weights depend on the architecture and the seed, not on the LR or the cohort; those
    of an imported network are its own, drawn from the seed's stream.

    Raises
    ------
    ModelError
        If a layer cannot take what the layer before it gives.
    """
    walk(model, example)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_key(seed, "init") % 2**63)
        network = _sequence(model.layers, example)
        _initialise_all(network, model.layers)
    if len(network) == 1 and isinstance(model.layers[0], schema.Imported):
        return as_sequential(network[0], example)
    return network


def _sequence(layers: Sequence[schema.Layer], example: Shape) -> nn.Sequential:
    shapes = walk(schema.ModelConfig(tuple(layers)), example)
    modules = [_module(layer, shape) for layer, shape in zip(layers, shapes, strict=False)]
    return nn.Sequential(*modules)


def _module(layer: schema.Layer, shape: Shape) -> nn.Module:
    match layer:
        case schema.Linear():
            return nn.Linear(shape[0], layer.out_features, bias=layer.bias)
        case schema.Conv2d():
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
        case schema.GhostBatchNorm():
            return GhostBatchNorm(shape[0], layer.size, layer.eps, layer.momentum)
        case schema.MaxPool2d():
            return nn.MaxPool2d(layer.kernel_size)
        case schema.GlobalMaxPool():
            return GlobalMaxPool()
        case schema.Scale():
            return Scale(layer.by)
        case schema.Residual():
            return Residual(_sequence(layer.layers, shape))
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
        case schema.Imported():
            return make_network(layer.target)


def _initialise_all(network: nn.Sequential, layers: Sequence[schema.Layer]) -> None:
    for module, layer in zip(network, layers, strict=True):
        if isinstance(layer, schema.Linear | schema.Conv2d):
            _initialise(module, layer)
        elif isinstance(layer, schema.Residual) and isinstance(module, Residual):
            _initialise_all(module.inner, layer.layers)


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
        case "torch_default":
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    if isinstance(bias, nn.Parameter):
        nn.init.zeros_(bias)
