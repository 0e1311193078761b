"""A first convolution with ReLU and pooling, in one pass over the images.

Nothing wants the gradient of the images themselves, so what is left of the layer is short: sums of
shifted rows, the largest of each window and where it was, and on the way back products of the same
rows with the gradients that the windows let through. On a CPU loops that stay in the cache do this
several times as fast as a GEMM on unfolded images: the same sums in another order.
"""

from __future__ import annotations

from functools import partial
from math import prod

import torch
from torch import Tensor

from bench_lr.cohort.convolution import Conv2d
from bench_lr.cohort.layers import Masks
from bench_lr.cohort.slots import UpdateRule
from bench_lr.cohort.tape import Tape

KERNEL, POOL = 3, 2
"""Width of the kernels and of the windows that the loops are written for."""


class FirstConv2d(Conv2d):
    """A convolution whose input has no arms, with the ReLU and max pooling that follow it.

    All but kernels of 3 x 3 without padding and windows of 2 x 2, on a CPU, is left to `Conv2d`.
    """

    loops = False
    """Whether what was recorded last is done in the loops."""

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        self.loops = self._suits(x)
        if not self.loops:
            return super().forward(x, tape, masks)
        high, wide = ((extent - KERNEL + 1) // self.pool for extent in x.shape[3:5])
        if not x.is_contiguous():
            there = x.new_empty(x.shape)
            tape.append(partial(there.copy_, x))
            x = there
        batch = x.shape[-1]
        out = tape.room((self.grid.seeds, self.grid.arms, self.channels, high, wide, batch), x)
        # With the room behind them the outputs of all runs are one piece.
        length = (self.channels * high * wide + 1) * batch
        runs = (self.grid.seeds, self.grid.arms, length)
        whole = out.as_strided(runs, (self.grid.arms * length, length, 1), out.storage_offset())
        rows = x.new_empty(self.pool, wide * self.pool * batch)
        where = torch.empty(runs, dtype=torch.uint8)
        self._kept = images, where, rows, batch = x[:, 0].flatten(3), where, rows, batch
        tape.append(partial(self._convolve, images, rows, whole, where, batch))
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        if not self.loops:
            return super().backward(dy, tape, rule)
        images, where, rows, batch = self._kept
        runs = dy.shape[:2]
        given = dy.reshape(*runs, -1)
        if not given.is_contiguous() or given.data_ptr() != dy.data_ptr():
            given = dy.new_empty(*runs, prod(dy.shape[2:]))
            tape.append(partial(given.view(dy.shape).copy_, dy))
        weight = torch.zeros_like(self.weight)
        bias = weight.new_zeros(*runs, self.channels, 1)
        arrays = given, where, rows, weight, bias
        tape.append(partial(self._differentiate, images, *arrays, batch))
        rule.add(self.slots[0], weight, tape)
        if self.bias is not None:
            rule.add(self.slots[1], bias, tape)
        return None

    def _suits(self, x: Tensor) -> bool:
        plain = self.kernel == KERNEL and self.stride == 1 and not self.padding
        pools = self.relu and self.pool == POOL
        return plain and pools and x.device.type == "cpu"

    def _kernels(self, weight: Tensor) -> Tensor:
        return weight.view(*weight.shape[:3], self.inputs, KERNEL, KERNEL)

    def _convolve(
        self, images: Tensor, rows: Tensor, out: Tensor, where: Tensor, batch: int
    ) -> None:
        from bench_lr.cohort.convolving import convolve

        bias = out.new_zeros(self.weight.shape[:3]) if self.bias is None else self.bias[..., 0]
        kernels = self._kernels(self.weight)
        found = rows.numpy(), out.numpy(), where.numpy()
        convolve(images.numpy(), kernels.numpy(), bias.numpy(), batch, *found)

    def _differentiate(
        self,
        images: Tensor,
        given: Tensor,
        where: Tensor,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        batch: int,
    ) -> None:
        from bench_lr.cohort.convolving import differentiate

        found = self._kernels(weight).numpy(), bias[..., 0].numpy()
        differentiate(images.numpy(), given.numpy(), where.numpy(), batch, rows.numpy(), *found)
