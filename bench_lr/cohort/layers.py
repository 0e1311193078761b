"""Layers of many runs at once, with their own backward pass.

Shapes. Features are ``[G, L, B, F]`` and images ``[G, L, C, B, H, W]`` (channel before batch, so
that a convolution is one GEMM a run) for G seeds, L arms and a batch of B. What all arms of a seed
share, up to the first layer with weights, has L = 1; that layer then multiplies the shared input by
the weights of all arms in one wide GEMM.

Each layer keeps what its backward pass needs from the last training forward pass, and
hands its gradients to an `UpdateRule` at once. `backward` returns the gradient of the layer's
input, or None when the layer is the first with weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.streams import keep_probability

Masks = Callable[[int, tuple[int, ...], float], Tensor]
"""(layer position, shape of one example, p) -> keep mask [G, 1, B, *shape] of the current step."""


class CohortLayer(nn.Module):
    """A layer of a cohort.

    Parameters
    ----------
    grid : Grid
        The cohort's seeds and arms.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.slots: tuple[Slot, ...] = ()
        self._scratch: dict[object, Tensor] = {}

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        """Return the layer's output; `masks` is None in evaluation."""
        raise NotImplementedError

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        """Apply the parameters' gradients and return the input's."""
        raise NotImplementedError

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take the parameters of one ordinary module a run, run (g, l) at index g * L + l."""

    def export(self, run: int) -> dict[str, Tensor]:
        """Return the ordinary state dict of one run."""
        return {}

    def _buffer(self, key: str, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._like(key, torch.empty(tuple(shape), device="meta"), like)

    def _like(self, key: str, layout: Tensor, like: Tensor) -> Tensor:
        """Scratch memory with the shape and strides of `layout` and the type of `like`."""
        name = (key, layout.shape, layout.stride(), like.dtype, like.device)
        if name not in self._scratch:
            self._scratch[name] = torch.empty_strided(
                layout.shape, layout.stride(), dtype=like.dtype, device=like.device
            )
        return self._scratch[name]


class Linear(CohortLayer):
    """Fully connected layer.

    `shared`: the input has L = 1 and the weights of all arms lie side by side, ``[G, I, L * O]``;
    otherwise ``[G * L, I, O]``.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, grid: Grid, module: nn.Linear, shared: bool) -> None:
        super().__init__(grid)
        self.shared = shared
        seeds, arms = grid.seeds, grid.arms
        inputs, outputs = module.in_features, module.out_features
        self.outputs = outputs
        dtype = module.weight.dtype
        if shared:
            self.register_buffer("weight", torch.zeros(seeds, inputs, arms * outputs, dtype=dtype))
            slots = [Slot(self, "weight", (seeds, inputs, arms, outputs), 2)]
        else:
            self.register_buffer("weight", torch.zeros(seeds * arms, inputs, outputs, dtype=dtype))
            slots = [Slot(self, "weight", (seeds, arms, inputs, outputs), 1)]
        self.register_buffer("bias", None)
        if module.bias is not None:
            lead = (seeds, 1, arms * outputs) if shared else (seeds * arms, 1, outputs)
            self.register_buffer("bias", torch.zeros(lead, dtype=dtype))
            slots.append(Slot(self, "bias", (seeds, arms, outputs), 1))
        self.slots = tuple(slots)

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take each run's ``weight`` [O, I] and ``bias`` [O]."""
        grid = (self.grid.seeds, self.grid.arms)
        weights = torch.stack([m.get_parameter("weight").detach().T for m in modules])
        weights = weights.unflatten(0, grid)
        self.slots[0].by_run.copy_(weights.transpose(1, 2) if self.shared else weights)
        if self.bias is not None:
            biases = torch.stack([m.get_parameter("bias").detach() for m in modules])
            self.slots[1].by_run.copy_(biases.unflatten(0, grid))

    def export(self, run: int) -> dict[str, Tensor]:
        """Return ``weight`` [O, I] and ``bias`` [O] of one run."""
        seed, arm = divmod(run, self.grid.arms)
        by_run = self.slots[0].by_run
        weight = by_run[seed, :, arm] if self.shared else by_run[seed, arm]
        state = {"weight": weight.T.clone()}
        if self.bias is not None:
            state["bias"] = self.slots[1].by_run[seed, arm].clone()
        return state

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        seeds, arms, batch = self.grid.seeds, self.grid.arms, x.shape[2]
        left = x.reshape(-1, batch, x.shape[3])
        out = self._buffer("y", (left.shape[0], batch, self.weight.shape[2]), x)
        if self.bias is None:
            torch.bmm(left, self.weight, out=out)
        else:
            torch.baddbmm(self.bias, left, self.weight, out=out)
        if masks is not None:
            self._input = left
        if self.shared:
            return out.view(seeds, batch, arms, self.outputs).transpose(1, 2)
        return out.view(seeds, arms, batch, self.outputs)

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        seeds, arms, batch = self.grid.seeds, self.grid.arms, dy.shape[2]
        dx = None
        if self.shared:
            delta = dy.transpose(1, 2).reshape(seeds, batch, arms * self.outputs)
        else:
            delta = dy.reshape(seeds * arms, batch, self.outputs)
            dx = self._buffer("dx", (*delta.shape[:2], self.weight.shape[1]), dy)
            torch.bmm(delta, self.weight.transpose(1, 2), out=dx)
            dx = dx.view(seeds, arms, batch, -1)
        rule.outer(self.slots[0], self._input.transpose(1, 2), delta)
        if self.bias is not None:
            rule.add(self.slots[1], delta.sum(1, keepdim=True))
        return dx


class Conv2d(CohortLayer):
    """2-D convolution, with the ReLU and max pooling that may follow it.

    One GEMM a run over unfolded patches (im2col). The patches are ordered by their place in the
    pooling window, so that pooling is an elementwise maximum of `pool` ** 2 contiguous pieces. Bias and
    ReLU come after the maximum, which commutes with both. Ties go to the first value of a window,
    as in PyTorch.
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
        lead = (seeds, arms * self.channels) if shared else (seeds * arms, self.channels)
        dtype = module.weight.dtype
        self.register_buffer("weight", torch.zeros(*lead, patch, dtype=dtype))
        slots = [Slot(self, "weight", (seeds, arms, self.channels, patch), 1)]
        self.register_buffer("bias", None)
        if module.bias is not None:
            self.register_buffer("bias", torch.zeros(*lead, 1, dtype=dtype))
            slots.append(Slot(self, "bias", (seeds, arms, self.channels), 1))
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
            state["bias"] = self.slots[1].by_run[where].clone()
        return state

    def _patches(self, x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Unfold [N, C, B, H, W] into [N, C k k, pool pool B H' W'], and give (B, H', W')."""
        if self.padding:
            x = nn.functional.pad(x, (self.padding,) * 4)
        x = x.contiguous()
        n, c, b, h, w = x.shape
        k, s, q = self.kernel, self.stride, self.pool
        high, wide = (((extent - k) // s + 1) // q for extent in (h, w))
        windows = x.as_strided(
            (n, c, k, k, q, q, b, high, wide),
            (c * b * h * w, b * h * w, w, 1, s * w, s, h * w, s * q * w, s * q),
        )
        out = self._buffer("patches", windows.shape, x)
        out.copy_(windows)
        return out.view(n, c * k * k, q * q * b * high * wide), (b, high, wide)

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        self._input_shape = x.shape
        patches, (batch, high, wide) = self._patches(x.flatten(0, 1))
        n, channels, pieces = patches.shape[0], self.weight.shape[1], self.pool**2
        raw = self._buffer("raw", (n, channels, patches.shape[2]), x)
        torch.bmm(self.weight, patches, out=raw)
        self._raw = raw.view(n, channels, pieces, -1)
        self._best = self._raw[:, :, 0]
        if pieces > 1:
            best = self._buffer("best", self._best.shape, x)
            torch.maximum(self._raw[:, :, 0], self._raw[:, :, 1], out=best)
            for piece in range(2, pieces):
                torch.maximum(best, self._raw[:, :, piece], out=best)
            self._best = best
        y = self._best
        if self.bias is not None:
            y = torch.add(y, self.bias, out=self._buffer("y", y.shape, x))
        if self.relu:
            y = torch.clamp(y, min=0, out=self._buffer("y", y.shape, x))
        self._windows, self._output = patches, y
        return y.view(self.grid.seeds, self.grid.arms, self.channels, batch, high, wide)

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        delta = dy.reshape(*self._output.shape)
        if self.relu:
            out = self._buffer("d", delta.shape, dy)
            torch.ops.aten.threshold_backward.grad_input(delta, self._output, 0, grad_input=out)
            delta = out
        bias = None if self.bias is None else delta.sum(2, keepdim=True)
        if self.pool > 1:
            delta = self._unpool(delta)
        delta = delta.flatten(2)
        dx = None if self.shared else self._fold(delta, dy.shape)
        rule.outer(self.slots[0], delta, self._windows.transpose(1, 2))
        if bias is not None:
            rule.add(self.slots[1], bias)
        return dx

    def _unpool(self, delta: Tensor) -> Tensor:
        """Give the gradient of each window's maximum to the first piece that attains it.

        Overwrites the outputs before pooling, which nothing needs any more, by their gradient.
        """
        left = delta.clone()
        for piece in self._raw.unbind(2):
            piece.eq_(self._best).mul_(left)
            left.sub_(piece)
        return self._raw

    def _fold(self, delta: Tensor, shape: torch.Size) -> Tensor:
        """Gradient of the layer's input: add every patch's gradient where the patch came from."""
        seeds, arms, c, b, h, w = self._input_shape
        k, s, p, q = self.kernel, self.stride, self.padding, self.pool
        high, wide = shape[4:]
        from_patch = torch.bmm(self.weight.transpose(1, 2), delta)
        from_patch = from_patch.view(-1, c, k, k, q, q, b, high, wide)
        dx = delta.new_zeros(seeds * arms, c, b, h + 2 * p, w + 2 * p)
        step = s * q
        for i, j, u, v in itertools.product(range(k), range(k), range(q), range(q)):
            top, side = i + s * u, j + s * v
            target = dx[..., top : top + step * high : step, side : side + step * wide : step]
            target += from_patch[:, :, i, j, u, v]
        return dx[..., p : p + h, p : p + w].view(seeds, arms, c, b, h, w)


class BatchNorm(CohortLayer):
    """Batch normalisation with affine weights and running statistics (Ioffe and Szegedy 2015).

    As ``torch.nn.BatchNorm1d`` / ``2d``: the batch is normalised by its biased variance, the
    running variance takes the unbiased one.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, grid: Grid, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__(grid)
        self.eps, self.momentum = module.eps, float(module.momentum or 0.0)
        shape = (grid.seeds, grid.arms, module.num_features)
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.zeros(shape, dtype=module.weight.dtype))
        self.slots = tuple(Slot(self, name, shape, 1) for name in ("weight", "bias"))

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take each run's affine weights and running statistics."""
        for name in ("weight", "bias", "running_mean", "running_var"):
            stacked = torch.stack([m.state_dict()[name] for m in modules])
            getattr(self, name).copy_(stacked.view_as(self.weight))

    def export(self, run: int) -> dict[str, Tensor]:
        """Return the affine weights and running statistics of one run."""
        where = divmod(run, self.grid.arms)
        names = ("weight", "bias", "running_mean", "running_var")
        return {name: getattr(self, name)[where].clone() for name in names}

    @staticmethod
    def _spread(value: Tensor, x: Tensor) -> Tensor:
        """[G, L, F] -> broadcastable over [G, L, B, F] or [G, L, C, B, H, W]."""
        return value.unsqueeze(2) if x.dim() == 4 else value[..., None, None, None]

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        x = x.expand(-1, self.grid.arms, *x.shape[2:])
        weight, bias = self._spread(self.weight, x), self._spread(self.bias, x)
        if masks is None:
            scale = weight * (self._spread(self.running_var, x) + self.eps).rsqrt()
            return torch.addcmul(bias - self._spread(self.running_mean, x) * scale, x, scale)
        self._axes = (2,) if x.dim() == 4 else (3, 4, 5)
        self._count = x.numel() // (x.shape[0] * x.shape[1] * self.weight.shape[2])
        if self._count < 2:
            raise ValueError("batch normalisation needs more than one value; use drop_last")
        var, mean = torch.var_mean(x, self._axes, correction=0, keepdim=True)
        self._rstd = (var + self.eps).rsqrt()
        self._normal = (x - mean) * self._rstd
        unbiased = var * (self._count / (self._count - 1))
        self.running_mean.lerp_(mean.view_as(self.weight), self.momentum)
        self.running_var.lerp_(unbiased.view_as(self.weight), self.momentum)
        return torch.addcmul(bias, self._normal, weight)

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        dbias = dy.sum(self._axes, keepdim=True)
        dweight = (dy * self._normal).sum(self._axes, keepdim=True)
        dx = dy - (dbias + self._normal * dweight) / self._count
        dx = dx * (self._rstd * self._spread(self.weight, dy))
        rule.add(self.slots[0], dweight.view_as(self.weight))
        rule.add(self.slots[1], dbias.view_as(self.bias))
        return dx


class Dropout(CohortLayer):
    """Inverted dropout; the arms of a seed share their masks.

    `position` is the layer's place in the network, which names its random stream.
    """

    def __init__(self, grid: Grid, position: int, p: float) -> None:
        super().__init__(grid)
        self.position, self.p = position, p

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        if masks is None:
            return x
        if x.dim() == 4:
            mask = masks(self.position, tuple(x.shape[3:]), self.p)
        else:
            mask = masks(self.position, (x.shape[2], *x.shape[4:]), self.p).transpose(2, 3)
        self._mask = mask.to(x.dtype).mul_(1 / keep_probability(self.p))
        return x * self._mask

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        return dy * self._mask


class Activation(CohortLayer):
    """Sigmoid, tanh or ReLU. The output is contiguous whatever the layout of the input."""

    def __init__(self, grid: Grid, kind: type[nn.Module]) -> None:
        super().__init__(grid)
        self.kind = kind

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        out = self._buffer("y", x.shape, x)
        if self.kind is nn.Sigmoid:
            torch.sigmoid(x, out=out)
        elif self.kind is nn.Tanh:
            torch.tanh(x, out=out)
        else:
            torch.clamp(x, min=0, out=out)
        self._input, self._output = x, out
        return out

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        aten = torch.ops.aten
        out = self._like("dx", self._input, dy)
        if self.kind is nn.Sigmoid:
            aten.sigmoid_backward.grad_input(dy, self._output, grad_input=out)
        elif self.kind is nn.Tanh:
            aten.tanh_backward.grad_input(dy, self._output, grad_input=out)
        else:
            aten.threshold_backward.grad_input(dy, self._output, 0, grad_input=out)
        return out


class MaxPool2d(CohortLayer):
    """Max pooling over windows that do not overlap; ties go to the first value, as in PyTorch."""

    def __init__(self, grid: Grid, kernel: int) -> None:
        super().__init__(grid)
        self.kernel = kernel

    def _windows(self, x: Tensor) -> list[Tensor]:
        k = self.kernel
        high, wide = x.shape[4] // k * k, x.shape[5] // k * k
        return [x[..., i:high:k, j:wide:k] for i in range(k) for j in range(k)]

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        first, *others = self._windows(x)
        best = self._buffer("y", first.shape, x)
        best.copy_(first)
        for other in others:
            torch.maximum(best, other, out=best)
        self._input, self._best = x, best
        return best

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        dx = self._buffer("dx", self._input.shape, dy)
        if any(extent % self.kernel for extent in dx.shape[4:]):
            dx.zero_()
        left = dy.clone()
        for value, slope in zip(self._windows(self._input), self._windows(dx), strict=True):
            slope.copy_(value).eq_(self._best).mul_(left)
            left.sub_(slope)
        return dx


class Flatten(CohortLayer):
    """[G, L, C, B, H, W] -> [G, L, B, C * H * W]."""

    def forward(self, x: Tensor, masks: Masks | None) -> Tensor:
        self._shape = x.shape
        return x if x.dim() == 4 else x.transpose(2, 3).flatten(3)

    def backward(self, dy: Tensor, rule: UpdateRule) -> Tensor | None:
        if len(self._shape) == 4:
            return dy
        seeds, arms, channels, batch, high, wide = self._shape
        return dy.reshape(seeds, arms, batch, channels, high, wide).transpose(2, 3)
