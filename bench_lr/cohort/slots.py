"""Where the parameters of many runs lie in memory, and how an update reaches them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Grid:
    """The runs of a cohort: `seeds` x `arms`, run (g, l) having seed g and arm l."""

    seeds: int
    arms: int

    @property
    def runs(self) -> int:
        """Number of runs."""
        return self.seeds * self.arms


@dataclass(frozen=True)
class Slot:
    """One parameter of every run, stored as one tensor (a buffer of `owner`).

    Parameters
    ----------
    view : tuple of int
        Shape that shows the runs: it has `seeds` at dimension 0 and `arms` at `arm_dim`.
    """

    owner: nn.Module
    name: str
    view: tuple[int, ...]
    arm_dim: int

    @property
    def data(self) -> Tensor:
        """The stored tensor, in the shape the layer computes with."""
        tensor = getattr(self.owner, self.name)
        assert isinstance(tensor, Tensor)
        return tensor

    @property
    def by_run(self) -> Tensor:
        """The same memory with the runs in sight."""
        return self.data.view(self.view)

    def spread(self, per_run: Tensor) -> Tensor:
        """Give a (seeds, arms) tensor the shape that broadcasts over `by_run`."""
        shape = [1] * len(self.view)
        shape[0], shape[self.arm_dim] = self.view[0], self.view[self.arm_dim]
        return per_run.view(shape)


class UpdateRule(Protocol):
    """How the gradient of a step changes the parameters.

    A layer hands every gradient over as soon as it can be formed, after it has used the old
    parameter for its own backward pass.
    """

    def loss_scale(self) -> Tensor | None:
        """Factor (seeds, arms) put on the gradient of the loss, None for 1."""

    def outer(self, slot: Slot, left: Tensor, right: Tensor) -> None:
        """Take the gradient ``left @ right`` (batched) of `slot`."""

    def add(self, slot: Slot, gradient: Tensor) -> None:
        """Take the gradient `gradient`, shaped like ``slot.data``."""


class PlainSGD:
    """w <- w - lr g for every run, with no gradient stored.

    The loss gradient is scaled by -lr of its run; backpropagation is linear, so what arrives here
    is the update itself and the GEMM that forms it adds it to the weights.
    """

    def __init__(self) -> None:
        self._scale: Tensor | None = None

    def begin_step(self, lr: Tensor) -> None:
        """Set the LR of each run, shape (seeds, arms), for the coming step."""
        self._scale = -lr

    def loss_scale(self) -> Tensor | None:
        """-lr of each run."""
        return self._scale

    def outer(self, slot: Slot, left: Tensor, right: Tensor) -> None:
        """Add ``left @ right`` to the parameter in the GEMM itself."""
        slot.data.baddbmm_(left, right)

    def add(self, slot: Slot, gradient: Tensor) -> None:
        """Add the update."""
        slot.data.add_(gradient)


class MomentumSGD:
    """SGD with momentum, Nesterov and L2 weight decay, as ``torch.optim.SGD`` (dampening 0).

    v <- mu v + (g + wd w); w <- w - lr v, or w - lr (g + wd w + mu v) with Nesterov
    (Sutskever et al. 2013 in the form of the PyTorch documentation).

    Parameters
    ----------
    momentum, weight_decay : Tensor, shape (seeds, arms)
    """

    def __init__(
        self, slots: Iterable[Slot], momentum: Tensor, weight_decay: Tensor, nesterov: bool
    ) -> None:
        self._momentum, self._weight_decay, self._nesterov = momentum, weight_decay, nesterov
        self._decays = bool((weight_decay > 0).any())
        self._lr = torch.zeros_like(momentum)
        self.velocity = {id(slot): torch.zeros_like(slot.by_run) for slot in slots}

    def begin_step(self, lr: Tensor) -> None:
        """Set the LR of each run, shape (seeds, arms), for the coming step."""
        self._lr = lr

    def loss_scale(self) -> Tensor | None:
        """Gradients arrive as they are."""
        return None

    def outer(self, slot: Slot, left: Tensor, right: Tensor) -> None:
        """Form the gradient and apply it."""
        self.add(slot, torch.bmm(left, right))

    def add(self, slot: Slot, gradient: Tensor) -> None:
        """Apply one gradient."""
        weight, change = slot.by_run, gradient.reshape(slot.view)
        if self._decays:
            change = torch.addcmul(change, slot.spread(self._weight_decay), weight)
        mu, velocity = slot.spread(self._momentum), self.velocity[id(slot)]
        velocity.mul_(mu).add_(change)
        step = torch.addcmul(change, mu, velocity) if self._nesterov else velocity
        weight.addcmul_(slot.spread(self._lr), step, value=-1)
