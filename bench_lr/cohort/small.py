"""Training steps of a very small network, all of a strip in one compiled call (see `fused`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench_lr.cohort.layers import Activation, Flatten, Linear
from bench_lr.cohort.losses import HalfMSE
from bench_lr.cohort.network import CohortNetwork, LiftedNetwork
from bench_lr.cohort.slots import PlainSGD, UpdateRule
from bench_lr.cohort.timetable import Span

_MOST = 4096
"""Weights times batch size up to which a compiled loop beats one PyTorch call an operation."""

Stack = list[tuple[Linear, type[nn.Module] | None]]


def stack_of(network: CohortNetwork) -> Stack | None:
    """Linear layers with the activation behind each, if the network has nothing else."""
    if not isinstance(network, LiftedNetwork) or network.loss is not HalfMSE:
        return None
    found: Stack = []
    for layer in network.layers:
        if isinstance(layer, Linear) and layer.biased:
            found.append((layer, None))
        elif isinstance(layer, Activation) and found and found[-1][1] is None:
            found[-1] = found[-1][0], layer.kind
        elif not isinstance(layer, Flatten):
            return None
    return found


def suits(network: CohortNetwork, rule: UpdateRule, batch: int, device: torch.device) -> bool:
    """Whether `SmallTraining` can train the network and is the faster way."""
    if device.type != "cpu" or not isinstance(rule, PlainSGD):
        return False
    stack = stack_of(network)
    if not stack or stack[-1][1] is not None:
        return False
    weights = sum(layer.outputs * (layer.inputs + 1) for layer, _ in stack)
    return weights * batch <= _MOST


class SmallTraining:
    """One compiled call a span, for networks that `suits` allows.

    Parameters
    ----------
    data : Tensor, shape (examples, inputs)
    scale : float
        What inputs are multiplied by.
    targets : Tensor, shape (examples, outputs)
    """

    def __init__(
        self, network: CohortNetwork, data: Tensor, scale: float, targets: Tensor, batch: int
    ) -> None:
        from bench_lr.cohort import fused, vectors

        stack = stack_of(network)
        assert stack is not None
        self._layers = [layer for layer, _ in stack]
        seeds, self._arms = self._layers[0].weight.shape[:2]
        self._runs = seeds * self._arms
        codes: dict[type[nn.Module] | None, int] = {
            None: fused.IDENTITY,
            nn.Sigmoid: fused.SIGMOID,
            nn.Tanh: fused.TANH,
            nn.ReLU: fused.RELU,
        }
        self._train = fused.train
        dtype = self._layers[0].weight.numpy().dtype
        self._data, self._targets = data.numpy(), targets.numpy()
        self._scale, self._one = dtype.type(scale), dtype.type(1)
        self._kinds = np.array([codes[kind] for _, kind in stack])
        self._padded = vectors.padded(self._runs, dtype.itemsize)

        def memory(*shape: int) -> npt.NDArray[np.floating]:
            # PyTorch's memory begins at a cache line.
            return torch.zeros(*shape, self._padded, dtype=network.slots[0].data.dtype).numpy()

        # Runs last: [outputs, inputs + 1, R].
        self._weights = tuple(memory(layer.outputs, layer.inputs + 1) for layer in self._layers)
        widths = [self._layers[0].inputs, *(layer.outputs for layer in self._layers)]
        self._activations = tuple(memory(width + 1, batch) for width in widths)
        for activation in self._activations:
            activation[-1] = 1
        self._gradients = tuple(memory(width + 1, batch) for width in widths)
        self._wanted = memory(widths[-1], batch)

    def train(self, span: Span, indices: Tensor, rates: Tensor) -> Tensor:
        """Take the steps of a span."""
        held = [layer.weight.flatten(0, 1).numpy() for layer in self._layers]
        for mine, theirs in zip(self._weights, held, strict=True):
            mine[..., : self._runs] = theirs.transpose(1, 2, 0)
        losses = np.empty((span.steps, self._runs))
        self._train(
            *(indices.numpy(), self._data, self._scale, self._targets, self._one),
            *(rates.flatten(1).numpy(), self._arms, self._weights, self._kinds),
            *(self._activations, self._gradients, self._wanted, losses),
        )
        for mine, theirs in zip(self._weights, held, strict=True):
            theirs[...] = mine[..., : self._runs].transpose(2, 0, 1)
        return torch.from_numpy(losses).view(rates.shape)
