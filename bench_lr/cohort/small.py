"""Training steps of a very small network, all of a strip in one compiled call (see `fused`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench_lr.cohort.layers import Activation, Flatten, Linear
from bench_lr.cohort.losses import HalfMSE
from bench_lr.cohort.network import CohortNetwork, LiftedNetwork
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


def suits(network: CohortNetwork, plain: bool, batch: int, device: torch.device) -> bool:
    """Whether `SmallTraining` can train the network and is the faster way.

    `plain` if the optimizer is SGD with neither momentum nor weight decay.
    """
    if device.type != "cpu" or not plain:
        return False
    stack = stack_of(network)
    if not stack or stack[-1][1] is not None:
        return False
    weights = sum(layer.outputs * (layer.inputs + 1) for layer, _ in stack)
    return weights * batch <= _MOST


class _Lanes:
    """Weights and activations with the runs last, side by side in vectors, for one batch size."""

    def __init__(self, network: CohortNetwork, batch: int) -> None:
        from bench_lr.cohort import fused, vectors

        stack = stack_of(network)
        assert stack is not None
        self._layers = [layer for layer, _ in stack]
        seeds, self.arms = self._layers[0].weight.shape[:2]
        self.runs = seeds * self.arms
        codes: dict[type[nn.Module] | None, int] = {
            None: fused.IDENTITY,
            nn.Sigmoid: fused.SIGMOID,
            nn.Tanh: fused.TANH,
            nn.ReLU: fused.RELU,
        }
        self.kinds = np.array([codes[kind] for _, kind in stack])
        self._dtype = self._layers[0].weight.dtype
        self.padded = vectors.padded(self.runs, self._dtype.itemsize)
        # [outputs, inputs + 1, R].
        self.weights = tuple(self.memory(it.outputs, it.inputs + 1) for it in self._layers)
        self.widths = [self._layers[0].inputs, *(layer.outputs for layer in self._layers)]
        self.activations = tuple(self.memory(width + 1, batch) for width in self.widths)
        for activation in self.activations:
            activation[-1] = 1
        self.wanted = self.memory(self.widths[-1], batch)

    def memory(self, *shape: int) -> npt.NDArray[np.floating]:
        """Return zeros, (*shape, R); PyTorch's memory begins at a cache line, NumPy's does not."""
        return torch.zeros(*shape, self.padded, dtype=self._dtype).numpy()

    def number(self, value: float) -> np.floating:
        """Return a number as precise as the weights."""
        precise: np.floating = self.weights[0].dtype.type(value)
        return precise

    def take(self) -> None:
        """Copy the weights of the network here."""
        for mine, layer in zip(self.weights, self._layers, strict=True):
            mine[..., : self.runs] = layer.weight.flatten(0, 1).numpy().transpose(1, 2, 0)

    def give_back(self) -> None:
        """Copy the weights to the network."""
        for mine, layer in zip(self.weights, self._layers, strict=True):
            theirs = layer.weight.flatten(0, 1).numpy()
            theirs[...] = mine[..., : self.runs].transpose(2, 0, 1)


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
        from bench_lr.cohort import fused

        self._compiled = fused.train
        self._lanes = lanes = _Lanes(network, batch)
        self._gradients = tuple(lanes.memory(width + 1, batch) for width in lanes.widths)
        self._data, self._targets = data.numpy(), targets.numpy()
        self._scale, self._one = lanes.number(scale), lanes.number(1)

    def train(self, span: Span, indices: Tensor, rates: Tensor) -> Tensor:
        """Take the steps of a span."""
        lanes = self._lanes
        lanes.take()
        losses = np.empty((span.steps, lanes.runs))
        self._compiled(
            *(indices.numpy(), self._data, self._scale, self._targets, self._one),
            *(rates.flatten(1).numpy(), lanes.arms, lanes.weights, lanes.kinds),
            *(lanes.activations, self._gradients, lanes.wanted, losses),
        )
        lanes.give_back()
        return torch.from_numpy(losses).view(rates.shape)


class SmallMeasurement:
    """Losses of a few examples in one compiled call, for networks that `suits` allows.

    Parameters
    ----------
    positions : Tensor of int64, shape (G, examples)
    data, scale, targets
        As for `SmallTraining`.
    """

    def __init__(
        self,
        network: CohortNetwork,
        data: Tensor,
        scale: float,
        targets: Tensor,
        positions: Tensor,
    ) -> None:
        from bench_lr.cohort import fused

        self._measure = fused.measure
        self._lanes = lanes = _Lanes(network, positions.shape[1])
        positions, one = positions.contiguous(), lanes.number(1)
        fused.spread(
            positions.numpy(), data.numpy(), lanes.number(scale), lanes.arms, lanes.activations[0]
        )
        fused.spread(positions.numpy(), targets.numpy(), one, lanes.arms, lanes.wanted)

    def __call__(self) -> npt.NDArray[np.float64]:
        """Return the sums over the examples of the losses, shape (runs,)."""
        lanes = self._lanes
        lanes.take()
        losses = np.zeros(lanes.runs)
        self._measure(lanes.weights, lanes.kinds, lanes.activations, lanes.wanted, losses)
        return losses
