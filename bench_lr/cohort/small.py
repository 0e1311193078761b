"""Training steps of a very small network, all of a strip in one compiled call (see `fused`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench_lr.cohort.layers import Activation, Flatten, Linear
from bench_lr.cohort.losses import HalfMSE
from bench_lr.cohort.network import CohortNetwork, LiftedNetwork
from bench_lr.cohort.recording import StepMasks, Training, Values
from bench_lr.cohort.slots import PlainSGD, UpdateRule

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


class SmallTraining(Training):
    """One compiled call, for networks that `suits` allows."""

    def __init__(
        self,
        network: CohortNetwork,
        rule: UpdateRule,
        inputs: Values,
        targets: Tensor,
        masks: StepMasks,
    ) -> None:
        from bench_lr.cohort import fused

        super().__init__(rule, inputs, targets, masks)
        stack = stack_of(network)
        assert stack is not None
        seeds, arms = rule.rate.shape
        outputs, batch = targets.shape[-2:]
        self.kept = self.rates.new_empty(*self.rates.shape, outputs, batch)
        codes: dict[type[nn.Module] | None, int] = {
            None: fused.IDENTITY,
            nn.Sigmoid: fused.SIGMOID,
            nn.Tanh: fused.TANH,
            nn.ReLU: fused.RELU,
        }
        self._train = fused.train
        self._runs, self._arms = seeds * arms, arms
        lanes = -(-self._runs // fused.LANES) * fused.LANES
        dtype = self.kept.numpy().dtype
        self._scale = dtype.type(network.input_scale)
        self._layers = [layer for layer, _ in stack]
        self._kinds = np.array([codes[kind] for _, kind in stack])
        # Runs last: [outputs, inputs + 1, R].
        self._weights = tuple(
            np.zeros((layer.outputs, layer.inputs + 1, lanes), dtype) for layer in self._layers
        )
        widths = [stack[0][0].inputs, *(layer.outputs for layer in self._layers)]
        self._activations = tuple(np.zeros((width, batch, lanes), dtype) for width in widths)
        self._gradients = tuple(np.zeros((width, batch, lanes), dtype) for width in widths)
        self._bits = np.zeros(lanes, np.int32)

    def replay(self, count: int) -> None:
        """Take the first `count` steps; `kept` holds their outputs."""
        held = [layer.weight.flatten(0, 1).numpy() for layer in self._layers]
        for mine, theirs in zip(self._weights, held, strict=True):
            mine[..., : self._runs] = theirs.transpose(1, 2, 0)
        self._train(
            self.inputs.memory[:count].numpy(),
            self._scale,
            self.targets[:count].numpy(),
            self.rates[:count].numpy(),
            self._weights,
            self._kinds,
            self._activations,
            self._gradients,
            self._bits,
            self.kept[:count].numpy(),
            self._arms,
        )
        for mine, theirs in zip(self._weights, held, strict=True):
            theirs[...] = mine[..., : self._runs].transpose(2, 0, 1)
