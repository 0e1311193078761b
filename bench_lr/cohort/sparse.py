"""A first linear layer on images that are mostly black.

Four of five pixels of MNIST are zero. A product with one adds nothing, so on a CPU, where a loop
may do as it likes, the layer reads only what an image shows (`Pixels`): the same sums in another
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench_lr.cohort.layers import CohortLayer, Masks
from bench_lr.cohort.pixels import Pixels, pixels_of
from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.tape import Tape
from bench_lr.data import Dataset

MOST_DENSE = 0.35
"""Share of values that are not zero, up to which leaving the others out pays."""
NARROWEST = 32
"""Outputs from which on a row of weights is long enough to be worth looking up."""


def pixels_for(network: nn.Module, dataset: Dataset, device: torch.device) -> Pixels | None:
    """What the images show, if a first layer is the faster for reading only that."""
    children = network.children() if isinstance(network, nn.Sequential) else ()
    first = next((m for m in children if not isinstance(m, nn.Flatten)), None)
    if device.type != "cpu" or not isinstance(first, nn.Linear):
        return None
    pixels = pixels_of(dataset) if first.out_features >= NARROWEST else None
    return pixels if pixels is not None and pixels.density <= MOST_DENSE else None


class SparseLinear(CohortLayer):
    """Fully connected first layer; its input is where in `pixels` the images of a batch are.

    Weights are ``[G, L, I, P]``, a row an input and as a last one the biases; P is the number of
    outputs, rounded up to whole vectors.
    """

    weight: Tensor

    def __init__(self, grid: Grid, module: nn.Linear, pixels: Pixels, scale: float) -> None:
        from bench_lr.cohort import gather, vectors

        super().__init__(grid)
        self._gather, self._pixels = gather, pixels
        self.biased = module.bias is not None
        self.inputs, self.outputs = module.in_features, module.out_features
        dtype = module.weight.dtype
        self._width = vectors.padded(self.outputs, dtype.itemsize)
        shape = (grid.seeds, grid.arms, self.inputs + self.biased, self._width)
        self.register_buffer("weight", torch.zeros(shape, dtype=dtype))
        self.slots = (Slot(self, "weight", shape, 1),)
        levels = torch.arange(256, dtype=dtype) * scale
        self._table: npt.NDArray[np.floating] = levels.numpy()

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take each run's ``weight`` [O, I] and ``bias`` [O]."""
        for run, module in enumerate(modules):
            own = self.weight[divmod(run, self.grid.arms)]
            own[: self.inputs, : self.outputs].copy_(module.get_parameter("weight").detach().T)
            if self.biased:
                own[-1, : self.outputs].copy_(module.get_parameter("bias").detach())

    def export(self, run: int) -> dict[str, Tensor]:
        """Return ``weight`` [O, I] and ``bias`` [O] of one run."""
        own = self.weight[divmod(run, self.grid.arms)][:, : self.outputs]
        weight = own[: self.inputs].T.contiguous()
        return {"weight": weight, "bias": own[-1].clone()} if self.biased else {"weight": weight}

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        batch = x.shape[-1]
        out = self.weight.new_zeros(self.grid.seeds, self.grid.arms, self.outputs, batch)
        scratch = self.weight.new_zeros(batch, self._width)
        tape.append(partial(self._multiply, x, scratch, out))
        self._input = x
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        batch = self._input.shape[-1]
        most = self.inputs * min(batch, self._gather.BLOCK)
        scratch = (
            self.weight.new_zeros(self.grid.arms, batch, self._width).numpy(),
            np.zeros(self.inputs, np.int32),
            np.zeros(most, np.uint8),
            np.zeros(most, np.uint8),
        )
        if rule.fused:
            tape.append(partial(self._add_outer, self._input, dy, self.weight, scratch))
        else:
            gradient = torch.zeros_like(self.weight)
            tape.append(gradient.zero_)
            tape.append(partial(self._add_outer, self._input, dy, gradient, scratch))
            rule.add(self.slots[0], gradient, tape)
        return None

    def _multiply(self, positions: Tensor, scratch: Tensor, out: Tensor) -> None:
        held = self._pixels
        self._gather.multiply(
            *(positions.numpy(), held.starts, held.pixel, held.level, self._table),
            *(self.weight.numpy(), self.biased, scratch.numpy(), out.numpy()),
        )

    def _add_outer(
        self,
        positions: Tensor,
        delta: Tensor,
        target: Tensor,
        scratch: tuple[npt.NDArray[np.generic], ...],
    ) -> None:
        held = self._pixels
        self._gather.add_outer(
            *(positions.numpy(), held.starts, held.pixel, held.level, self._table),
            *(delta.contiguous().numpy(), target.numpy(), self.biased, *scratch),
        )
