"""Layers of images of many runs at once; shapes and conventions are those of `layers`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bench_lr.cohort.layers import CohortLayer, Masks, aten
from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.tape import Tape, dense


class Conv2d(CohortLayer):
    """2-D convolution, with the ReLU and max pooling that may follow it.

    One GEMM a run over unfolded patches (im2col), or one a seed where the arms share their input.
    The patches are ordered by their place in the pooling window, so that pooling is an elementwise
    maximum of `pool` ** 2 contiguous pieces. Bias and ReLU come after the maximum, which commutes
    with both. Ties go to the first value of a window, as in PyTorch.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, grid: Grid, module: nn.Conv2d, shared: bool, pool: int = 1, relu: bool = False
    ) -> None:
        super().__init__(grid)
        self.shared, self.pool, self.relu = shared, pool, relu
        seeds, arms, self.channels = grid.seeds, grid.arms, module.out_channels
        self.inputs, self.kernel = module.in_channels, module.kernel_size[0]
        self.stride, self.padding = module.stride[0], int(module.padding[0])
        patch = self.inputs * self.kernel**2
        dtype = module.weight.dtype
        self.register_buffer("weight", torch.zeros(seeds, arms, self.channels, patch, dtype=dtype))
        slots = [Slot(self, "weight", self.weight.shape, 1)]
        self.register_buffer("bias", None)
        if module.bias is not None:
            bias = torch.zeros(seeds, arms, self.channels, 1, dtype=dtype)
            self.register_buffer("bias", bias)
            slots.append(Slot(self, "bias", bias.shape, 1))
        self.slots = tuple(slots)

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take each run's ``weight`` [O, C, k, k] and ``bias`` [O]."""
        names = ["weight"] if self.bias is None else ["weight", "bias"]
        for name, slot in zip(names, self.slots, strict=True):
            stacked = torch.stack([m.get_parameter(name).detach() for m in modules])
            slot.by_run.copy_(stacked.reshape(slot.view))

    def export(self, run: int) -> dict[str, Tensor]:
        """Return ``weight`` [O, C, k, k] and ``bias`` [O] of one run."""
        where = divmod(run, self.grid.arms)
        shape = (self.channels, self.inputs, self.kernel, self.kernel)
        state = {"weight": self.slots[0].by_run[where].reshape(shape).clone()}
        if self.bias is not None:
            state["bias"] = self.slots[1].by_run[where].flatten().clone()
        return state

    def _patches(self, x: Tensor, tape: Tape) -> tuple[Tensor, tuple[int, int]]:
        """Unfold [N, C, H, W, B] into [N, C k k, pool pool H' W' B], and give (H', W')."""
        n, c, h, w, b = x.shape
        p = self.padding
        if p or not x[0].is_contiguous():
            whole = x.new_zeros(n, c, h + 2 * p, w + 2 * p, b)
            tape.append(partial(whole[:, :, p : p + h, p : p + w].copy_, x))
            x = whole
        h, w = x.shape[2:4]
        k, s, q = self.kernel, self.stride, self.pool
        high, wide = (((extent - k) // s + 1) // q for extent in (h, w))
        row = w * b
        windows = x.as_strided(
            (n, c, k, k, q, q, high, wide, b),
            (x.stride(0), h * row, row, b, s * row, s * b, s * q * row, s * q * b, 1),
            x.storage_offset(),
        )
        out = x.new_empty(windows.shape)
        tape.append(partial(out.copy_, windows))
        return out.view(n, c * k * k, q * q * high * wide * b), (high, wide)

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        self._input_shape = x.shape
        patches, (high, wide) = self._patches(x.flatten(0, 1), tape)
        seeds, arms, channels, batch = self.grid.seeds, self.grid.arms, self.channels, x.shape[-1]
        weight = self.weight.view(patches.shape[0], -1, patches.shape[1])
        product = x.new_empty(patches.shape[0], weight.shape[1], patches.shape[2])
        tape.append(partial(torch.bmm, weight, patches, out=product))
        self._raw = product.view(seeds, arms, channels, self.pool**2, -1)
        out = tape.room((seeds, arms, channels, high, wide, batch), x)
        self._output = out.view(seeds, arms, channels, -1)
        first, *others = self._raw.unbind(3)
        self._best = y = first
        if others:
            self._best = y = torch.empty(first.shape, dtype=x.dtype, device=x.device)
            tape.append(partial(torch.maximum, first, others[0], out=y))
            tape += [partial(torch.maximum, y, other, out=y) for other in others[1:]]
        if self.bias is not None:
            tape.append(partial(torch.add, y, self.bias, out=self._output))
            y = self._output
        if self.relu:
            tape.append(partial(torch.clamp, y, min=0, out=self._output))
        elif y is not self._output:
            tape.append(partial(self._output.copy_, y))
        self._windows = patches
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        shape = self._output.shape
        given = dense(dy, shape, tape)
        delta = torch.empty(shape, dtype=dy.dtype, device=dy.device)
        if self.relu:
            relu = aten.threshold_backward.grad_input
            tape.append(partial(relu, given, self._output, 0, grad_input=delta))
        else:
            tape.append(partial(delta.copy_, given))
        per_output = delta
        if self.pool > 1:
            left = torch.empty_like(delta)
            tape.append(partial(left.copy_, delta))
            delta = self._unpool(left, tape)
        delta = delta.view(self._windows.shape[0], -1, self._windows.shape[2])
        dx = None if self.shared else self._fold(delta, dy.shape, tape)
        rule.outer(self.slots[0], delta, self._windows.transpose(1, 2), tape)
        if self.bias is not None:
            total = torch.empty_like(self.bias)
            tape.append(partial(torch.sum, per_output, 3, True, out=total))
            rule.add(self.slots[1], total, tape)
        return dx

    def _unpool(self, left: Tensor, tape: Tape) -> Tensor:
        """Give the gradient of each window's maximum to the first piece that attains it.

        Overwrites the outputs before pooling, which nothing needs any more, by their gradient, and
        uses up `left`.
        """
        for piece in self._raw.unbind(3):
            tape += [
                partial(piece.eq_, self._best),
                partial(piece.mul_, left),
                partial(left.sub_, piece),
            ]
        return self._raw

    def _fold(self, delta: Tensor, shape: torch.Size, tape: Tape) -> Tensor:
        """Gradient of the layer's input: add every patch's gradient where the patch came from."""
        seeds, arms, c, h, w, b = self._input_shape
        k, s, p, q = self.kernel, self.stride, self.padding, self.pool
        high, wide = shape[3:5]
        product = delta.new_empty(delta.shape[0], c * k * k, delta.shape[2])
        weight = self.weight.flatten(0, 1)
        tape.append(partial(torch.bmm, weight.transpose(1, 2), delta, out=product))
        from_patch = product.view(-1, c, k, k, q, q, high, wide, b)
        dx = delta.new_empty(seeds * arms, c, h + 2 * p, w + 2 * p, b)
        tape.append(dx.zero_)
        step = s * q
        for i, j, u, v in itertools.product(range(k), range(k), range(q), range(q)):
            top, side = i + s * u, j + s * v
            target = dx[:, :, top : top + step * high : step, side : side + step * wide : step]
            tape.append(partial(target.add_, from_patch[:, :, i, j, u, v]))
        inner: Tensor = dx[:, :, p : p + h, p : p + w].unflatten(0, (seeds, arms))
        return inner


class MaxPool2d(CohortLayer):
    """Max pooling over windows that tile the image; ties go to the first value, as in PyTorch."""

    def __init__(self, grid: Grid, kernel: int) -> None:
        super().__init__(grid)
        self.kernel = kernel

    def _windows(self, x: Tensor) -> list[Tensor]:
        k = self.kernel
        high, wide = x.shape[3] // k * k, x.shape[4] // k * k
        return [x[..., i:high:k, j:wide:k, :] for i in range(k) for j in range(k)]

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        first, *others = self._windows(x)
        best = tape.room(first.shape, x)
        tape.append(partial(best.copy_, first))
        tape += [partial(torch.maximum, best, other, out=best) for other in others]
        self._input, self._best = x, best
        return best

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        # Values that no window covers keep the gradient zero.
        dx = torch.zeros(self._input.shape, dtype=dy.dtype, device=dy.device)
        left = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
        tape.append(partial(left.copy_, dy))
        for value, slope in zip(self._windows(self._input), self._windows(dx), strict=True):
            tape += [
                partial(slope.copy_, value),
                partial(slope.eq_, self._best),
                partial(slope.mul_, left),
                partial(left.sub_, slope),
            ]
        return dx
