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


def dense(x: Tensor, shape: Sequence[int], tape: Tape) -> Tensor:
    """Return `x` in another shape: a view where that is possible, else a recorded copy."""
    try:
        return x.view(tuple(shape))
    except RuntimeError:
        copy = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        tape.append(partial(copy.copy_, x))
        return copy.view(tuple(shape))


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
        left = dense(x, (-1, batch, x.shape[3]), tape)
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
            delta = dense(dy.transpose(1, 2), (seeds, batch, arms * self.outputs), tape)
        else:
            delta = dense(dy, (seeds * arms, batch, self.outputs), tape)
            back = dy.new_empty(*delta.shape[:2], self.weight.shape[1])
            tape.append(partial(torch.bmm, delta, self.weight.transpose(1, 2), out=back))
            dx = back.view(seeds, arms, batch, -1)
        rule.outer(self.slots[0], self._input.transpose(1, 2), delta, tape, self.scale)
        if self.bias is not None:
            # The sum over the batch, as a product with ones.
            rule.outer(self.slots[1], dy.new_ones(delta.shape[0], 1, batch), delta, tape)
        return dx


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


class Flatten(CohortLayer):
    """[G, L, C, B, H, W] -> [G, L, B, C * H * W]."""

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        self._shape = x.shape
        if x.dim() == 4:
            return x
        moved = x.transpose(2, 3)
        return dense(moved, (*moved.shape[:3], moved.shape[3:].numel()), tape)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        if len(self._shape) == 4:
            return dy
        seeds, arms, channels, batch, high, wide = self._shape
        whole = dense(dy, dy.shape, tape)
        return whole.view(seeds, arms, batch, channels, high, wide).transpose(2, 3)
