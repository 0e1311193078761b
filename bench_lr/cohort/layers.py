"""Layers of many runs at once, with their own backward pass.

Shapes. The batch comes last: features are ``[G, L, F, B]`` and images ``[G, L, C, H, W, B]`` for G
seeds, L arms and a batch of B. A weight matrix then multiplies from the left, in the layout of
PyTorch's own modules, the rows of an activation are long whatever the width of a layer, and images
become features without moving. What all arms of a seed share, up to the first layer with weights,
has L = 1; that layer multiplies the shared input by the weights of all arms in one wide GEMM.

`forward` and `backward` record operations on fixed tensors and return the tensor that will hold the
result (see `Tape`). `backward` follows the training `forward` of the same tape, hands the
parameters' gradients to an `UpdateRule`, and returns the gradient of the layer's input, or None for
the first layer with weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.tape import Tape, dense

aten = torch.ops.aten


class Masks(Protocol):
    """What dropout multiplies by: 0 where a unit is dropped, 1 / (1 - p) where it is kept.

    Asked by the layer's position in its network, the shape of one example and p.
    """

    def __call__(self, position: int, shape: tuple[int, ...], p: float) -> Tensor:
        """Return the tensor that will hold the factors of a recorded step, [G, 1, *shape, B]."""

    def now(self, position: int, shape: tuple[int, ...], p: float) -> Tensor:
        """Return the factors of the step at hand, [G, 1, *shape, B]."""


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


class Linear(CohortLayer):
    """Fully connected layer, weights ``[G, L, O, I]``; a bias is one more column.

    Parameters
    ----------
    shared : bool
        Whether the input has L = 1: the weights of a seed's arms are then one matrix.
    scale : float
        What the input is multiplied by, which a GEMM does for nothing.
    live : Tensor of int64, optional
        Inputs there are; the others are zero in every example, so that their weights keep their
        first value and take no part.
    """

    weight: Tensor

    def __init__(
        self,
        grid: Grid,
        module: nn.Linear,
        shared: bool,
        scale: float = 1.0,
        live: Tensor | None = None,
    ) -> None:
        super().__init__(grid)
        self.shared, self.scale, self.live = shared, scale, live
        self.biased = module.bias is not None
        self.inputs = module.in_features if live is None else len(live)
        self.outputs = module.out_features
        shape = (grid.seeds, grid.arms, self.outputs, self.inputs + self.biased)
        self.register_buffer("weight", torch.zeros(shape, dtype=module.weight.dtype))
        self.slots = (Slot(self, "weight", shape, 1),)

    def load(self, modules: Sequence[nn.Module]) -> None:
        """Take each run's ``weight`` [O, I] and ``bias`` [O]."""
        whole = torch.stack([m.get_parameter("weight").detach() for m in modules])
        self._initial = whole if self.live is not None else None
        used = whole if self.live is None else whole[..., self.live]
        self.weight[..., : self.inputs].copy_(used.view(*self.weight.shape[:3], -1))
        if self.biased:
            biases = torch.stack([m.get_parameter("bias").detach() for m in modules])
            self.weight[..., -1].copy_(biases.view(self.weight.shape[:3]))

    def export(self, run: int) -> dict[str, Tensor]:
        """Return ``weight`` [O, I] and ``bias`` [O] of one run."""
        own = self.weight[divmod(run, self.grid.arms)]
        weight = own[:, : self.inputs].clone()
        if self._initial is not None and self.live is not None:
            whole = self._initial[run].to(weight.device)
            weight = whole.index_copy(1, self.live.to(weight.device), weight)
        return {"weight": weight, "bias": own[:, -1].clone()} if self.biased else {"weight": weight}

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        seeds, arms, batch = self.grid.seeds, self.grid.arms, x.shape[3]
        if self.biased:
            x = tape.with_ones(x, 1 / self.scale)
        lead = seeds if self.shared else seeds * arms
        right = dense(x, (lead, *x.shape[2:]), tape)
        weight = self.weight.view(lead, -1, self.weight.shape[3])
        out = x.new_zeros(lead, weight.shape[1], batch)
        if self.scale == 1:
            tape.append(partial(torch.bmm, weight, right, out=out))
        else:
            product = partial(torch.baddbmm, out, weight, right, beta=0, alpha=self.scale)
            tape.append(partial(product, out=out))
        self._input = right
        return out.view(seeds, arms, self.outputs, batch)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        seeds, arms, batch = self.grid.seeds, self.grid.arms, dy.shape[3]
        lead = self._input.shape[0]
        delta = dense(dy, (lead, -1, batch), tape)
        dx = None
        if not self.shared:
            back = dy.new_empty(lead, self.inputs, batch)
            weight = self.weight.view(lead, self.outputs, -1)[..., : self.inputs]
            # A product over one output is no GEMM.
            multiply = torch.bmm if self.outputs > 1 else torch.mul
            tape.append(partial(multiply, weight.transpose(1, 2), delta, out=back))
            dx = back.view(seeds, arms, self.inputs, batch)
        rule.outer(self.slots[0], delta, self._input.transpose(1, 2), tape, self.scale)
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
        """[G, L, F] -> broadcastable over [G, L, F, B] or [G, L, C, H, W, B]."""
        return value[..., None] if x.dim() == 4 else value[..., None, None, None]

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        x = x.expand(-1, self.grid.arms, *x.shape[2:])
        out = tape.room(x.shape, x)
        if masks is None:
            tape.append(partial(self._evaluate, x, out))
            return out
        axes = (3,) if x.dim() == 4 else (3, 4, 5)
        count = x.numel() // (x.shape[0] * x.shape[1] * self.weight.shape[2])
        if count < 2:
            raise ValueError("batch normalisation needs more than one value; use drop_last")
        normal, square = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for _ in range(2))
        mean, var, rstd = (self._spread(torch.empty_like(self.weight), x) for _ in range(3))
        share = self.momentum
        tape += [
            partial(torch.mean, x, axes, True, out=mean),
            partial(torch.sub, x, mean, out=normal),
            partial(torch.mul, normal, normal, out=square),
            partial(torch.mean, square, axes, True, out=var),
            partial(self.running_mean.lerp_, mean.view_as(self.weight), share),
            partial(self.running_var.mul_, 1 - share),
            partial(
                self.running_var.add_, var.view_as(self.weight), alpha=share * count / (count - 1)
            ),
            partial(torch.add, var, self.eps, out=rstd),
            rstd.rsqrt_,
            partial(normal.mul_, rstd),
            partial(
                torch.addcmul,
                self._spread(self.bias, x),
                normal,
                self._spread(self.weight, x),
                out=out,
            ),
        ]
        self._axes, self._count, self._normal, self._rstd = axes, count, normal, rstd
        return out

    def _evaluate(self, x: Tensor, out: Tensor) -> None:
        weight, bias = self._spread(self.weight, x), self._spread(self.bias, x)
        scale = weight * (self._spread(self.running_var, x) + self.eps).rsqrt()
        torch.addcmul(bias - self._spread(self.running_mean, x) * scale, x, scale, out=out)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        normal, rstd, axes, count = self._normal, self._rstd, self._axes, self._count
        dx = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
        dweight, dbias = torch.empty_like(rstd), torch.empty_like(rstd)
        weight = self._spread(self.weight, dy)

        # dx = w rstd (dy - mean(dy) - n mean(dy n)), with n the normalised input.
        scale = torch.empty_like(rstd)
        tape += [
            partial(torch.mul, rstd, weight, out=scale),
            partial(torch.sum, dy, axes, True, out=dbias),
            partial(torch.mul, dy, normal, out=dx),
            partial(torch.sum, dx, axes, True, out=dweight),
            partial(torch.addcmul, dbias, normal, dweight, out=dx),
            partial(torch.sub, dy, dx, alpha=1 / count, out=dx),
            partial(dx.mul_, scale),
        ]
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
        self._mask = masks(self.position, tuple(x.shape[2:-1]), self.p)
        out = tape.room(x.shape, x)
        tape.append(partial(torch.mul, x, self._mask, out=out))
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        dx = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
        tape.append(partial(torch.mul, dy, self._mask, out=dx))
        return dx


class Activation(CohortLayer):
    """Sigmoid, tanh or ReLU."""

    def __init__(self, grid: Grid, kind: type[nn.Module]) -> None:
        super().__init__(grid)
        self.kind = kind

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        out = tape.room(x.shape, x)
        if self.kind is nn.Sigmoid:
            tape.append(partial(torch.sigmoid, x, out=out))
        elif self.kind is nn.Tanh:
            tape.append(partial(torch.tanh, x, out=out))
        else:
            tape.append(partial(torch.clamp, x, min=0, out=out))
        self._output = out
        return out

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        out = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
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
    """[G, L, C, H, W, B] -> [G, L, C * H * W, B]."""

    def forward(self, x: Tensor, tape: Tape, masks: Masks | None) -> Tensor:
        self._shape = x.shape
        return dense(x, (x.shape[0], x.shape[1], -1, x.shape[-1]), tape)

    def backward(self, dy: Tensor, tape: Tape, rule: UpdateRule) -> Tensor | None:
        return dense(dy, self._shape, tape)
