"""Where the parameters of many runs lie in memory, and how an update reaches them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from bench_lr.cohort.tape import Tape


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
    parameter for its own backward pass, and has no more use for it: a rule may overwrite it.
    `rate` is set before every step.
    """

    rate: Tensor
    """What changes from step to step, shape (..., seeds, arms): see `rates`."""

    state: tuple[Tensor, ...]
    """What it remembers from step to step, in the order of the slots; to be changed in place."""

    fused: bool
    """Whether the gradient of the summed loss comes multiplied by `rate`: gradients are updates."""

    def rates(self, first: int, lr: Tensor, batch_size: int) -> Tensor:
        """Return what `rate` is at some steps, shape (steps, ..., seeds, arms).

        Parameters
        ----------
        first : int
            Steps taken before.
        lr : Tensor, shape (steps, seeds, arms)
            LR of each step and run; zero where a run is frozen.
        """

    def outer(
        self, slot: Slot, left: Tensor, right: Tensor, tape: Tape, alpha: float = 1.0
    ) -> None:
        """Record the update of `slot` by the gradient ``alpha * left @ right``.

        `left` [N, rows, K] and `right` [N, K, columns] are batched over runs, or over seeds whose
        arms lie one after the other in the rows: ``slot.data`` is seen as [N, rows, columns].
        """

    def add(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        """Record the update of `slot` by `gradient`, shaped like ``slot.data``."""


class PlainSGD:
    """w <- w - lr g for every run, with no gradient stored.

    The loss gradient is scaled by -lr / batch size of its run; backpropagation is linear, so what
    arrives here is the update itself and the GEMM that forms it adds it to the weights.
    """

    fused = True
    state: tuple[Tensor, ...] = ()

    def __init__(self, rate: Tensor) -> None:
        self.rate = rate

    def rates(self, first: int, lr: Tensor, batch_size: int) -> Tensor:
        """Return -lr / batch size."""
        return lr * (-1 / batch_size)

    def outer(
        self, slot: Slot, left: Tensor, right: Tensor, tape: Tape, alpha: float = 1.0
    ) -> None:
        """Add ``alpha * left @ right`` to the parameter in the GEMM itself."""
        weight = slot.data.view(left.shape[0], left.shape[1], right.shape[2])
        tape.append(partial(weight.baddbmm_, left, right, alpha=alpha))

    def add(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        """Add the update."""
        tape.append(partial(slot.data.add_, gradient))


class WholeGradient(ABC):
    """A rule that wants the gradient of the mean loss itself."""

    fused = False

    def outer(
        self, slot: Slot, left: Tensor, right: Tensor, tape: Tape, alpha: float = 1.0
    ) -> None:
        """Form the gradient and apply it."""
        gradient = left.new_zeros(left.shape[0], left.shape[1], right.shape[2])
        product = partial(torch.baddbmm, gradient, left, right, beta=0, alpha=alpha)
        tape.append(partial(product, out=gradient))
        self.add(slot, gradient, tape)

    @abstractmethod
    def add(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        """Apply one gradient."""


class MomentumSGD(WholeGradient):
    """SGD with momentum, Nesterov and L2 weight decay, as ``torch.optim.SGD`` (dampening 0).

    v <- mu v + (g + wd w); w <- w - lr v, or w - lr (g + wd w + mu v) with Nesterov
    (Sutskever et al. 2013 in the form of the PyTorch documentation).

    Parameters
    ----------
    rate, momentum, weight_decay : Tensor, shape (seeds, arms)
    """

    def __init__(
        self,
        slots: Iterable[Slot],
        rate: Tensor,
        momentum: Tensor,
        weight_decay: Tensor,
        nesterov: bool,
    ) -> None:
        self.rate, self._momentum, self._weight_decay = rate, momentum, weight_decay
        self._nesterov, self._decays = nesterov, bool((weight_decay > 0).any())
        self.velocity = {id(slot): torch.zeros_like(slot.by_run) for slot in slots}
        self.state = tuple(self.velocity.values())

    def rates(self, first: int, lr: Tensor, batch_size: int) -> Tensor:
        """Return the LR."""
        return lr

    def add(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        """Apply one gradient."""
        weight, change = slot.by_run, gradient.view(slot.view)
        mu, velocity = slot.spread(self._momentum), self.velocity[id(slot)]
        if self._decays:
            decay = slot.spread(self._weight_decay)
            total = torch.empty_like(change)
            tape.append(partial(torch.addcmul, change, decay, weight, out=total))
            change = total
        tape += [partial(velocity.mul_, mu), partial(velocity.add_, change)]
        step = velocity
        if self._nesterov:
            step = torch.empty_like(change)
            tape.append(partial(torch.addcmul, change, mu, velocity, out=step))
        tape.append(partial(weight.addcmul_, slot.spread(self.rate), step, value=-1))
