"""Layers of many runs at once, with their own backward pass.

Shapes. Features are ``[G, L, B, F]`` and images ``[G, L, C, B, H, W]`` (channel before batch, so
that a convolution is one GEMM a run) for G seeds, L arms and a batch of B. What all arms of a seed
share, up to the first layer with weights, has L = 1; that layer then multiplies the shared input by
the weights of all arms in one wide GEMM.

`forward` and `backward` record operations on fixed tensors and return the tensor that will hold the
result (see `Tape`). `backward` follows the training `forward` of the same tape, hands the
parameters' gradients to an `UpdateRule`, and returns the gradient of the layer's input, or None for
the first layer with weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bench_lr.cohort.slots import Grid, Slot, Tape, UpdateRule
from bench_lr.cohort.streams import keep_probability

Masks = Callable[[int, tuple[int, ...], float], Tensor]
"""(layer position, shape of one example, p) -> keep mask [G, 1, B, *shape] of the current step."""

aten = torch.ops.aten


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

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        """Record the layer's output; `masks` is None in evaluation."""
        raise NotImplementedError

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        """Record the parameters' updates and the gradient of the input."""
        raise NotImplementedError

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take the parameters of one ordinary module a run, run (g, l) at index g * L + l."""

    def export(self, run: int) -> dict[str, Tensor]:
        """Return the ordinary state dict of one run."""
        return {}


def _dense(x: Tensor, shape: Sequence[int], tape: Tape) -> Tensor:
    """Return `x` in another shape: a view where that is possible, else a recorded copy."""
    try:
        return x.view(tuple(shape))
    except RuntimeError:
        dense = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        tape.append(partial(dense.copy_, x))
        return dense.view(tuple(shape))


class Linear(CohortLayer):
    """Fully connected layer.

    `shared`: the input has L = 1 and the weights of all arms lie side by side, ``[G, I, L * O]``;
    otherwise ``[G * L, I, O]``. The input is multiplied by `scale`, which a GEMM does for nothing.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, grid: Grid, module: nn.Linear, shared: bool, scale: float = 1.0) -> None:
        super().__init__(grid)
        self.shared, self.scale = shared, scale
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

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        seeds, arms, batch = self.grid.seeds, self.grid.arms, x.shape[2]
        left = _dense(x, (-1, batch, x.shape[3]), tape)
        out = x.new_zeros(left.shape[0], batch, self.weight.shape[2])
        bias, beta = (out, 0) if self.bias is None else (self.bias, 1)
        product = partial(torch.baddbmm, bias, left, self.weight, beta=beta, alpha=self.scale)
        tape.append(partial(product, out=out))
        self._input = left
        if self.shared:
            return out.view(seeds, batch, arms, self.outputs).transpose(1, 2)
        return out.view(seeds, arms, batch, self.outputs)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        seeds, arms, batch = self.grid.seeds, self.grid.arms, dy.shape[2]
        dx = None
        if self.shared:
            delta = _dense(dy.transpose(1, 2), (seeds, batch, arms * self.outputs), tape)
        else:
            delta = _dense(dy, (seeds * arms, batch, self.outputs), tape)
            back = dy.new_empty(*delta.shape[:2], self.weight.shape[1])
            tape.append(partial(torch.bmm, delta, self.weight.transpose(1, 2), out=back))
            dx = back.view(seeds, arms, batch, -1)
        rule.outer(self.slots[0], self._input.transpose(1, 2), delta, tape, self.scale)
        if self.bias is not None:
            # The sum over the batch, as a product with ones.
            rule.outer(self.slots[1], dy.new_ones(delta.shape[0], 1, batch), delta, tape)
        return dx


class Conv2d(CohortLayer):
    """2-D convolution, with the ReLU and max pooling that may follow it.

    One GEMM a run over unfolded patches (im2col). The patches are ordered by their place in the
    pooling window, so that pooling is an elementwise maximum of `pool` ** 2 contiguous pieces. Bias
    and ReLU come after the maximum, which commutes with both. Ties go to the first value of a
    window, as in PyTorch.
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

    def _patches(self, x: Tensor, tape: Tape) -> tuple[Tensor, tuple[int, int, int]]:
        """Unfold [N, C, B, H, W] into [N, C k k, pool pool B H' W'], and give (B, H', W')."""
        n, c, b, h, w = x.shape
        p = self.padding
        h, w = h + 2 * p, w + 2 * p
        if p:
            padded = x.new_zeros(n, c, b, h, w)
            tape.append(partial(padded[..., p:-p, p:-p].copy_, x))
            x = padded
        x = _dense(x, x.shape, tape)
        k, s, q = self.kernel, self.stride, self.pool
        high, wide = (((extent - k) // s + 1) // q for extent in (h, w))
        windows = x.as_strided(
            (n, c, k, k, q, q, b, high, wide),
            (c * b * h * w, b * h * w, w, 1, s * w, s, h * w, s * q * w, s * q),
        )
        out = x.new_empty(windows.shape)
        tape.append(partial(out.copy_, windows))
        return out.view(n, c * k * k, q * q * b * high * wide), (b, high, wide)

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        self._input_shape = x.shape
        patches, (batch, high, wide) = self._patches(x.flatten(0, 1), tape)
        n, channels = patches.shape[0], self.weight.shape[1]
        product = x.new_empty(n, channels, patches.shape[2])
        tape.append(partial(torch.bmm, self.weight, patches, out=product))
        self._raw = product.view(n, channels, self.pool**2, -1)
        first, *others = self._raw.unbind(2)
        self._best = y = first
        if others:
            self._best = y = torch.empty_like(first)
            tape.append(partial(torch.maximum, first, others[0], out=y))
            tape += [partial(torch.maximum, y, other, out=y) for other in others[1:]]
        if self.bias is not None:
            y = torch.empty_like(y)
            tape.append(partial(torch.add, self._best, self.bias, out=y))
        if self.relu:
            source, y = y, y if y is not self._best else torch.empty_like(y)
            tape.append(partial(torch.clamp, source, min=0, out=y))
        self._windows, self._output = patches, y
        return y.view(self.grid.seeds, self.grid.arms, self.channels, batch, high, wide)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        shape = self._output.shape
        delta = torch.empty(shape, dtype=dy.dtype, device=dy.device)
        if self.relu:
            given = _dense(dy, shape, tape)
            relu = aten.threshold_backward.grad_input
            tape.append(partial(relu, given, self._output, 0, grad_input=delta))
        else:
            tape.append(partial(delta.view(dy.shape).copy_, dy))
        per_output = delta
        if self.pool > 1:
            left = torch.empty_like(delta)
            tape.append(partial(left.copy_, delta))
            delta = self._unpool(left, tape)
        delta = delta.flatten(2)
        dx = None if self.shared else self._fold(delta, dy.shape, tape)
        rule.outer(self.slots[0], delta, self._windows.transpose(1, 2), tape)
        if self.bias is not None:
            ones = dy.new_ones(shape[0], shape[2], 1)
            rule.outer(self.slots[1], per_output, ones, tape)
        return dx

    def _unpool(self, left: Tensor, tape: Tape) -> Tensor:
        """Give the gradient of each window's maximum to the first piece that attains it.

        Overwrites the outputs before pooling, which nothing needs any more, by their gradient, and
        uses up `left`.
        """
        for piece in self._raw.unbind(2):
            tape += [
                partial(piece.eq_, self._best),
                partial(piece.mul_, left),
                partial(left.sub_, piece),
            ]
        return self._raw

    def _fold(self, delta: Tensor, shape: torch.Size, tape: Tape) -> Tensor:
        """Gradient of the layer's input: add every patch's gradient where the patch came from."""
        seeds, arms, c, b, h, w = self._input_shape
        k, s, p, q = self.kernel, self.stride, self.padding, self.pool
        high, wide = shape[4:]
        product = delta.new_empty(delta.shape[0], c * k * k, delta.shape[2])
        tape.append(partial(torch.bmm, self.weight.transpose(1, 2), delta, out=product))
        from_patch = product.view(-1, c, k, k, q, q, b, high, wide)
        dx = delta.new_empty(seeds * arms, c, b, h + 2 * p, w + 2 * p)
        tape.append(dx.zero_)
        step = s * q
        for i, j, u, v in itertools.product(range(k), range(k), range(q), range(q)):
            top, side = i + s * u, j + s * v
            target = dx[..., top : top + step * high : step, side : side + step * wide : step]
            tape.append(partial(target.add_, from_patch[:, :, i, j, u, v]))
        inner: Tensor = dx[..., p : p + h, p : p + w].unflatten(0, (seeds, arms))
        return inner


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

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        x = x.expand(-1, self.grid.arms, *x.shape[2:])
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        if masks is None:
            tape.append(partial(self._evaluate, x, out))
            return out
        self._axes = (2,) if x.dim() == 4 else (3, 4, 5)
        self._count = x.numel() // (x.shape[0] * x.shape[1] * self.weight.shape[2])
        if self._count < 2:
            raise ValueError("batch normalisation needs more than one value; use drop_last")
        normal = torch.empty_like(out)
        rstd = self._spread(torch.empty_like(self.weight), x)
        tape.append(partial(self._normalise, x, self._axes, self._count, normal, rstd))
        tape.append(
            partial(
                torch.addcmul,
                self._spread(self.bias, x),
                normal,
                self._spread(self.weight, x),
                out=out,
            )
        )
        self._normal, self._rstd = normal, rstd
        return out

    def _evaluate(self, x: Tensor, out: Tensor) -> None:
        weight, bias = self._spread(self.weight, x), self._spread(self.bias, x)
        scale = weight * (self._spread(self.running_var, x) + self.eps).rsqrt()
        torch.addcmul(bias - self._spread(self.running_mean, x) * scale, x, scale, out=out)

    def _normalise(
        self, x: Tensor, axes: tuple[int, ...], count: int, normal: Tensor, rstd: Tensor
    ) -> None:
        var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        torch.rsqrt(var + self.eps, out=rstd)
        torch.sub(x, mean, out=normal)
        normal.mul_(rstd)
        unbiased = var * (count / (count - 1))
        self.running_mean.lerp_(mean.view_as(self.weight), self.momentum)
        self.running_var.lerp_(unbiased.view_as(self.weight), self.momentum)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        normal, rstd, axes, count = self._normal, self._rstd, self._axes, self._count
        dx = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
        dweight, dbias = torch.empty_like(rstd), torch.empty_like(rstd)
        weight = self._spread(self.weight, dy)

        def differentiate() -> None:
            torch.sum(dy, axes, keepdim=True, out=dbias)
            torch.sum(dy * normal, axes, keepdim=True, out=dweight)
            torch.sub(dy, (dbias + normal * dweight) / count, out=dx)
            dx.mul_(rstd * weight)

        tape.append(differentiate)
        rule.add(self.slots[0], dweight.view_as(self.weight), tape)
        rule.add(self.slots[1], dbias.view_as(self.bias), tape)
        return dx


class Dropout(CohortLayer):
    """Inverted dropout; the arms of a seed share their masks.

    `position` is the layer's place in the network, which names its random stream.
    """

    def __init__(self, grid: Grid, position: int, p: float) -> None:
        super().__init__(grid)
        self.position, self.p = position, p

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        if masks is None:
            return x
        image = x.dim() == 6
        shape = (x.shape[2], *x.shape[4:]) if image else tuple(x.shape[3:])
        batch = x.shape[3] if image else x.shape[2]
        drawn = x.new_empty(x.shape[0], 1, batch, *shape)
        self._mask = drawn.transpose(2, 3) if image else drawn

        def draw() -> None:
            drawn.copy_(masks(self.position, shape, self.p)).mul_(1 / keep_probability(self.p))

        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        tape += [draw, partial(torch.mul, x, self._mask, out=out)]
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        dx = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
        tape.append(partial(torch.mul, dy, self._mask, out=dx))
        return dx


class Activation(CohortLayer):
    """Sigmoid, tanh or ReLU. The output is contiguous whatever the layout of the input."""

    def __init__(self, grid: Grid, kind: type[nn.Module]) -> None:
        super().__init__(grid)
        self.kind = kind

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        if self.kind is nn.Sigmoid:
            tape.append(partial(torch.sigmoid, x, out=out))
        elif self.kind is nn.Tanh:
            tape.append(partial(torch.tanh, x, out=out))
        else:
            tape.append(partial(torch.clamp, x, min=0, out=out))
        self._input, self._output = x, out
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        # In the layout of the input, so that a wide layer before this one needs no copy.
        out = torch.empty_strided(
            self._input.shape, self._input.stride(), dtype=dy.dtype, device=dy.device
        )
        if self.kind is nn.Sigmoid:
            slope = partial(aten.sigmoid_backward.grad_input, dy, self._output, grad_input=out)
        elif self.kind is nn.Tanh:
            slope = partial(aten.tanh_backward.grad_input, dy, self._output, grad_input=out)
        else:
            relu = aten.threshold_backward.grad_input
            slope = partial(relu, dy, self._output, 0, grad_input=out)
        tape.append(slope)
        return out


class MaxPool2d(CohortLayer):
    """Max pooling over windows that tile the image; ties go to the first value, as in PyTorch."""

    def __init__(self, grid: Grid, kernel: int) -> None:
        super().__init__(grid)
        self.kernel = kernel

    def _windows(self, x: Tensor) -> list[Tensor]:
        k = self.kernel
        high, wide = x.shape[4] // k * k, x.shape[5] // k * k
        return [x[..., i:high:k, j:wide:k] for i in range(k) for j in range(k)]

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        first, *others = self._windows(x)
        best = torch.empty(first.shape, dtype=x.dtype, device=x.device)
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


class Flatten(CohortLayer):
    """[G, L, C, B, H, W] -> [G, L, B, C * H * W]."""

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        self._shape = x.shape
        if x.dim() == 4:
            return x
        moved = x.transpose(2, 3)
        return _dense(moved, (*moved.shape[:3], moved.shape[3:].numel()), tape)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        if len(self._shape) == 4:
            return dy
        seeds, arms, channels, batch, high, wide = self._shape
        whole = _dense(dy, dy.shape, tape)
        return whole.view(seeds, arms, batch, channels, high, wide).transpose(2, 3)
