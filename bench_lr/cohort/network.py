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
        self._positions: list[int] = []
        self._first = 0
        children = list(first)
        shared, position = True, 0
        while position < len(children):
            layer, taken = lift_layer(children, grid, position, shared)
            layer.load([m.get_submodule(str(position)) for m in modules])
            if shared and layer.slots:
                shared, self._first = False, len(self._positions)
            self.layers.append(layer)
            self._positions.append(position)
            position += taken
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
            for position, layer in zip(self._positions, self._cohort_layers(), strict=True)
            for name, value in layer.export(run).items()
        }


def lift_layer(
    children: Sequence[nn.Module], grid: Grid, position: int, shared: bool
) -> tuple[CohortLayer, int]:
    """Return the cohort form of the layer at `position` and how many layers it stands for.

    `shared` if its input has no arms yet. A convolution takes the ReLU and the max pooling behind
    it along.
    """
    module = children[position]
    match module:
        case nn.Linear():
            return cohort.Linear(grid, module, shared), 1
        case nn.Conv2d() if _plain(module):
            behind = [*children[position + 1 : position + 3], None, None]
            relu = isinstance(behind[0], nn.ReLU)
            pool = _kernel(behind[1 if relu else 0])
            layer = cohort.Conv2d(grid, module, shared, pool or 1, relu)
            return layer, 1 + relu + (pool is not None)
        case nn.BatchNorm1d() | nn.BatchNorm2d() if _usual(module):
            return cohort.BatchNorm(grid, module), 1
        case nn.Dropout():
            return cohort.Dropout(grid, position, module.p), 1
        case nn.ReLU() | nn.Sigmoid() | nn.Tanh():
            return cohort.Activation(grid, type(module)), 1
        case nn.MaxPool2d() if (kernel := _kernel(module)) is not None:
            return cohort.MaxPool2d(grid, kernel), 1
        case nn.Flatten(start_dim=1, end_dim=-1):
            return cohort.Flatten(grid), 1
    raise CannotLift(f"layer {position}, {module}, has no cohort form")


def _kernel(module: nn.Module | None) -> int | None:
    """Kernel of a max pooling whose windows tile the image, None for anything else."""
    match module:
        case nn.MaxPool2d(kernel_size=int(kernel), stride=stride, padding=0, dilation=1):
            tiles = stride == kernel and not module.ceil_mode and not module.return_indices
            return kernel if tiles else None
    return None


def _plain(module: nn.Conv2d) -> bool:
    pairs = (module.kernel_size, module.stride, module.dilation)
    return (
        module.groups == 1
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and all(pair[0] == pair[1] for pair in (*pairs, module.padding))
    )


def _usual(module: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return module.affine and module.track_running_stats and module.momentum is not None


def images(raw: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 pixels [G, B, C, H, W] -> network input [G, 1, C, B, H, W] in [0, 1]."""
    x = raw.to(dtype).mul_(1 / 255)
    return x.transpose(1, 2).unsqueeze(1)
