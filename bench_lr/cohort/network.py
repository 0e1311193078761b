"""Lifting ordinary networks into one network of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from bench_lr.cohort import convolution, losses
from bench_lr.cohort import layers as cohort
from bench_lr.cohort.first_convolution import FirstConv2d
from bench_lr.cohort.layers import CohortLayer, Masks
from bench_lr.cohort.pixels import Pixels
from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.sparse import SparseLinear
from bench_lr.cohort.tape import Tape


class CannotLift(TypeError):
    """A module has no cohort form."""


class CohortNetwork(Protocol):
    """What the engine needs of a network of many runs."""

    slots: tuple[Slot, ...]

    takes_features: bool
    """Whether inputs are flat: [G, 1, F, B] for features or images alike."""

    takes_positions: bool
    """Whether it is told where examples are and looks them up itself, [G, B]."""

    live: Tensor | None
    """Inputs to give it, of flat ones, where it does without those that are always zero."""

    input_scale: float
    """What the network itself multiplies its input by; the engine does the rest."""

    capturable: bool
    """Whether a CUDA graph can capture its steps."""

    def encode(self, target: Tensor) -> Tensor:
        """Return the targets (steps, G, B, ...) of some steps in the form it wants them."""

    def record_training(
        self, x: Tensor, y: Tensor, masks: Masks, rule: UpdateRule, tape: Tape
    ) -> Tensor:
        """Record a step on the batch that `x` [G, 1, ..., B] and encoded targets will hold.

        Returns the tensor that will hold what `losses` wants to know.
        """

    def losses(self, kept: Tensor, target: Tensor) -> Tensor:
        """Losses before the update, (steps, G, L, examples), from what steps have kept.

        The mean over the last dimension is the loss of the step.
        """

    def record_prediction(self, x: Tensor, tape: Tape) -> Tensor:
        """Record the outputs in evaluation mode, (G, L, outputs, B)."""

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
    scale : float
        What the input is multiplied by before anything else.
    live : Tensor of int64, optional
        Places of a flat input that are not zero in every example.
    pixels : Pixels, optional
        All examples by what is not zero in them, for a first layer that is faster so; see
        `pixels_for`.

    Raises
    ------
    CannotLift
        If a module has no cohort form.
    """

    capturable = True

    def __init__(
        self,
        modules: Sequence[nn.Module],
        grid: Grid,
        loss: str,
        scale: float = 1.0,
        live: Tensor | None = None,
        pixels: Pixels | None = None,
    ) -> None:
        super().__init__()
        first = modules[0]
        if not isinstance(first, nn.Sequential):
            raise CannotLift(f"{type(first).__name__} is not an nn.Sequential")
        self.layers = nn.ModuleList()
        self._positions: list[int] = []
        self._first = 0
        children = list(first)
        shared, position = True, 0
        begin = next((m for m in children if not isinstance(m, nn.Flatten)), None)
        self.takes_features = isinstance(begin, nn.Linear)
        self.takes_positions = pixels is not None
        # A GEMM scales its input for nothing.
        self.input_scale = scale if self.takes_features else 1.0
        self.live = live if self.takes_features and not self.takes_positions else None
        if pixels is not None and begin is not None:
            position = children.index(begin)
        while position < len(children):
            layer, taken = lift_layer(
                children, grid, position, shared, self.input_scale, self.live, pixels
            )
            layer.load([m.get_submodule(str(position)) for m in modules])
            if shared and layer.slots:
                shared, self._first = False, len(self._positions)
            self.layers.append(layer)
            self._positions.append(position)
            position += taken
        self.slots = tuple(slot for layer in self._cohort_layers() for slot in layer.slots)
        self.loss = losses.LOSSES[loss]
        self._outputs = _outputs(children)

    def _cohort_layers(self) -> list[CohortLayer]:
        return [layer for layer in self.layers if isinstance(layer, CohortLayer)]

    def _forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        for layer in self._cohort_layers():
            x = layer(x, tape, masks)
        return x

    def encode(self, target: Tensor) -> Tensor:
        """Return the targets (steps, G, B, ...) of some steps in the form that the loss wants."""
        return self.loss.encode(target, self._outputs, self.slots[0].data.dtype)

    def losses(self, kept: Tensor, target: Tensor) -> Tensor:
        """Losses before the update, (steps, G, L, B)."""
        return self.loss.losses(kept, target)

    def record_prediction(self, x: Tensor, tape: Tape) -> Tensor:
        """Record the outputs in evaluation mode, (G, L, outputs, B)."""
        return self._forward(x, tape, None)

    def record_training(
        self, x: Tensor, y: Tensor, masks: Masks, rule: UpdateRule, tape: Tape
    ) -> Tensor:
        """Record a step; return the tensor that will hold what `losses` wants to know."""
        output = self._forward(x, tape, masks)
        kept, delta = self.loss.record(output, y, rule.rate if rule.fused else None, tape)
        gradient: Tensor | None = delta
        for layer in reversed(self._cohort_layers()[self._first :]):
            assert gradient is not None
            gradient = layer.backward(gradient, tape, rule)
        return kept

    def export(self, run: int) -> dict[str, Tensor]:
        """Return one run's state dict, with the keys of the ordinary network."""
        return {
            f"{position}.{name}": value
            for position, layer in zip(self._positions, self._cohort_layers(), strict=True)
            for name, value in layer.export(run).items()
        }


def lift_layer(
    children: Sequence[nn.Module],
    grid: Grid,
    position: int,
    shared: bool,
    scale: float = 1.0,
    live: Tensor | None = None,
    pixels: Pixels | None = None,
) -> tuple[CohortLayer, int]:
    """Return the cohort form of the layer at `position` and how many layers it stands for.

    `shared` if its input has no arms yet; `scale`, `live` and `pixels` are for a linear layer that
    is the first with weights. A convolution takes the ReLU and the max pooling behind it along.
    """
    module = children[position]
    match module:
        case nn.Linear() if shared and pixels is not None:
            return SparseLinear(grid, module, pixels, scale), 1
        case nn.Linear():
            if shared:
                return cohort.Linear(grid, module, True, scale, live), 1
            return cohort.Linear(grid, module, False), 1
        case nn.Conv2d() if _plain(module):
            behind = [*children[position + 1 : position + 3], None, None]
            relu = isinstance(behind[0], nn.ReLU)
            pool = _kernel(behind[1 if relu else 0])
            kind = FirstConv2d if shared else convolution.Conv2d
            layer = kind(grid, module, shared, pool or 1, relu)
            return layer, 1 + relu + (pool is not None)
        case nn.BatchNorm1d() | nn.BatchNorm2d() if _usual(module):
            return cohort.BatchNorm(grid, module), 1
        case nn.Dropout():
            return cohort.Dropout(grid, position, module.p), 1
        case nn.ReLU() | nn.Sigmoid() | nn.Tanh():
            return cohort.Activation(grid, type(module)), 1
        case nn.MaxPool2d() if (kernel := _kernel(module)) is not None:
            return convolution.MaxPool2d(grid, kernel), 1
        case nn.Flatten(start_dim=1, end_dim=-1):
            return cohort.Flatten(grid), 1
    raise CannotLift(f"layer {position}, {module}, has no cohort form")


def _outputs(children: Sequence[nn.Module]) -> int:
    """How many numbers the network gives an example, as far as its last linear layer tells."""
    widths = [m.out_features for m in children if isinstance(m, nn.Linear)]
    if not widths:
        raise CannotLift("no linear layer tells how many outputs there are")
    return widths[-1]


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
