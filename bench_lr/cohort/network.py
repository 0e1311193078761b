"""Lifting ordinary networks into one network of many runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from bench_lr.cohort import layers as cohort
from bench_lr.cohort import losses
from bench_lr.cohort.layers import CohortLayer, Masks
from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.streams import keep_probability


class CannotLift(TypeError):
    """A module has no cohort form."""


class CohortNetwork(Protocol):
    """What the engine needs of a network of many runs."""

    slots: tuple[Slot, ...]

    def train_step(self, x: Tensor, y: Tensor, masks: Masks, rule: UpdateRule) -> Tensor:
        """Train on one batch of every seed; return the loss before the update, (G, L)."""

    def predict(self, x: Tensor) -> Tensor:
        """Return the outputs in evaluation mode, (G, L, B, outputs)."""

    def export(self, run: int) -> dict[str, Tensor]:
        """Return one run's ordinary state dict."""


class LiftedNetwork(nn.Module):
    """A feed-forward network of many runs with explicit forward and backward passes.

    Parameters
    ----------
    modules : sequence of nn.Sequential
        One initialised network a run, run (g, l) at index g * L + l.
    grid : Grid
        Seeds and arms.
    loss : {"cross_entropy", "half_mse"}

    Raises
    ------
    CannotLift
        If a module has no cohort form.
    """

    def __init__(self, modules: Sequence[nn.Module], grid: Grid, loss: str) -> None:
        super().__init__()
        first = modules[0]
        if not isinstance(first, nn.Sequential):
            raise CannotLift(f"{type(first).__name__} is not an nn.Sequential")
        self.layers = nn.ModuleList()
        shared = True
        self._first = 0
        for position, module in enumerate(first):
            layer = lift_layer(module, grid, position, shared)
            layer.load([m.get_submodule(str(position)) for m in modules])
            if shared and layer.slots:
                shared, self._first = False, position
            self.layers.append(layer)
        self.slots = tuple(slot for layer in self._cohort_layers() for slot in layer.slots)
        self._loss: Callable[..., tuple[Tensor, Tensor]] = losses.LOSSES[loss]

    def _cohort_layers(self) -> list[CohortLayer]:
        return [layer for layer in self.layers if isinstance(layer, CohortLayer)]

    def forward(self, x: Tensor, masks: Masks | None = None) -> Tensor:
        """Map inputs [G, 1, ...] to outputs [G, L, B, outputs]."""
        for layer in self.layers:
            x = layer(x, masks)
        return x

    def predict(self, x: Tensor) -> Tensor:
        """Return the outputs in evaluation mode, (G, L, B, outputs)."""
        output: Tensor = self(x, None)
        return output

    def train_step(self, x: Tensor, y: Tensor, masks: Masks, rule: UpdateRule) -> Tensor:
        """Train on one batch of every seed; return the loss before the update, (G, L)."""
        loss, delta = self._loss(self(x, masks), y, rule.loss_scale())
        gradient: Tensor | None = delta
        for layer in reversed(self._cohort_layers()[self._first :]):
            assert gradient is not None
            gradient = layer.backward(gradient, rule)
        return loss

    def export(self, run: int) -> dict[str, Tensor]:
        """Return one run's state dict, with the keys of the ordinary network."""
        return {
            f"{position}.{name}": value
            for position, layer in enumerate(self._cohort_layers())
            for name, value in layer.export(run).items()
        }


def lift_layer(module: nn.Module, grid: Grid, position: int, shared: bool) -> CohortLayer:
    """Return the cohort form of one layer; `shared` if its input has no arms yet."""
    match module:
        case nn.Linear():
            return cohort.Linear(grid, module, shared)
        case nn.Conv2d() if _plain(module):
            return cohort.Conv2d(grid, module, shared)
        case nn.BatchNorm1d() | nn.BatchNorm2d() if module.affine and module.track_running_stats:
            return cohort.BatchNorm(grid, module)
        case nn.Dropout():
            return cohort.Dropout(grid, position, keep_probability(module.p))
        case nn.ReLU() | nn.Sigmoid() | nn.Tanh():
            return cohort.Activation(grid, type(module))
        case nn.MaxPool2d(stride=stride, kernel_size=int(kernel), padding=0) if stride == kernel:
            return cohort.MaxPool2d(grid, kernel)
        case nn.Flatten(start_dim=1, end_dim=-1):
            return cohort.Flatten(grid)
    raise CannotLift(f"layer {position}, {module}, has no cohort form")


def _plain(module: nn.Conv2d) -> bool:
    pairs = (module.kernel_size, module.stride, module.dilation)
    return (
        module.groups == 1
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and all(pair[0] == pair[1] for pair in (*pairs, module.padding))
    )


def images(raw: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 pixels [G, B, C, H, W] -> network input [G, 1, C, B, H, W] in [0, 1]."""
    x = raw.to(dtype).mul_(1 / 255)
    return x.transpose(1, 2).unsqueeze(1)
