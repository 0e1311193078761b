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

_MOST = 1 << 17
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


class LaneWeights:
    """Weights with the runs last, side by side in vectors: [outputs, inputs + 1, R] a layer.

    They are ahead of the network's own only inside a call of `SmallTraining.train`; what else
    changes the network's must say so by setting `stale`.
    """

    def __init__(self, network: CohortNetwork) -> None:
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
        self.weights = tuple(self.memory(it.outputs, it.inputs + 1) for it in self._layers)
        self._here = [mine[..., : self.runs].transpose(2, 0, 1) for mine in self.weights]
        self._there = [layer.weight.flatten(0, 1).numpy() for layer in self._layers]
        self.widths = [self._layers[0].inputs, *(layer.outputs for layer in self._layers)]
        self.stale = True

    def memory(self, *shape: int) -> npt.NDArray[np.floating]:
        """Return zeros, (*shape, R); PyTorch's memory begins at a cache line, NumPy's does not."""
        return torch.zeros(*shape, self.padded, dtype=self._dtype).numpy()

    def activations(self, batch: int) -> tuple[npt.NDArray[np.floating], ...]:
        """Return memory for the inputs and the outputs of every layer, ones behind them."""
        found = tuple(self.memory(width + 1, batch) for width in self.widths)
        for activation in found:
            activation[-1] = 1
        return found

    def number(self, value: float) -> np.floating:
        """Return a number as precise as the weights."""
        precise: np.floating = self.weights[0].dtype.type(value)
        return precise

    def take(self) -> None:
        """Copy the weights of the network here, unless they are the same."""
        if self.stale:
            for mine, theirs in zip(self._here, self._there, strict=True):
                mine[...] = theirs
            self.stale = False

    def give_back(self) -> None:
        """Copy the weights to the network."""
        for mine, theirs in zip(self._here, self._there, strict=True):
            theirs[...] = mine


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
        self, lanes: LaneWeights, data: Tensor, scale: float, targets: Tensor, batch: int
    ) -> None:
        from bench_lr.cohort import fused

        self._compiled = fused.train
        self._lanes = lanes
        self._activations = lanes.activations(batch)
        self._gradients = lanes.activations(batch)
        self._wanted = lanes.memory(lanes.widths[-1], batch)
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
            *(self._activations, self._gradients, self._wanted, losses),
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
        self, lanes: LaneWeights, data: Tensor, scale: float, targets: Tensor, positions: Tensor
    ) -> None:
        from bench_lr.cohort import fused

        self._measure = fused.measure
        self._lanes = lanes
        examples = positions.shape[1]
        self._activations = lanes.activations(examples)
        self._wanted = lanes.memory(lanes.widths[-1], examples)
        where, arms = positions.contiguous().numpy(), lanes.arms
        fused.spread(where, data.numpy(), lanes.number(scale), arms, self._activations[0])
        fused.spread(where, targets.numpy(), lanes.number(1), arms, self._wanted)

    def __call__(self) -> npt.NDArray[np.float64]:
        """Return the sums over the examples of the losses, shape (runs,)."""
        lanes = self._lanes
        lanes.take()
        losses = np.zeros(lanes.runs)
        self._measure(lanes.weights, lanes.kinds, self._activations, self._wanted, losses)
        return losses
