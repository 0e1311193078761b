"""Update rules that give every weight a step size of its own: Adam and Adagrad.

Both end in w <- w - s u / (c sqrt(v) + eps) with v an average or a sum of squared gradients. What
hangs on the step, s and c, comes as `rate`, in the form of ``scale = -c / s`` and
``shift = -eps / s``: w <- w + u / (scale sqrt(v) + shift). A run with s = 0 is frozen: it has scale
0 and shift -inf.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from bench_lr.cohort.slots import Slot, WholeGradient
from bench_lr.cohort.tape import Tape


class _Adaptive(WholeGradient):
    """What both have in common: L2 weight decay, and the step for given u and v."""

    def __init__(self, lr: Tensor, eps: Tensor, weight_decay: Tensor) -> None:
        self.rate = torch.stack([lr, lr])
        self._eps = eps.double()
        self._weight_decay, self._decays = weight_decay, bool((weight_decay > 0).any())

    def _settings(self, size: Tensor, correction: Tensor | float, dtype: torch.dtype) -> Tensor:
        """Return scale and shift for step sizes s and corrections c, (steps, 2, seeds, arms)."""
        moves = size > 0
        scale = torch.where(moves, -correction / size, 0.0)
        shift = torch.where(moves, -self._eps / size, -torch.inf)
        return torch.stack([scale, shift], dim=1).to(dtype)

    def _decay(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        if self._decays:
            tape.append(partial(gradient.addcmul_, slot.by_run, slot.spread(self._weight_decay)))

    def _step(self, slot: Slot, u: Tensor, v: Tensor, scratch: Tensor, tape: Tape) -> None:
        scale, shift = (slot.spread(part) for part in self.rate)
        tape += [
            partial(torch.sqrt, v, out=scratch),
            partial(scratch.mul_, scale),
            partial(scratch.add_, shift),
            partial(slot.by_run.addcdiv_, u, scratch),
        ]


class Adam(_Adaptive):
    """Adam with L2 weight decay, as ``torch.optim.Adam`` (Kingma and Ba 2015, algorithm 1).

    m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2;
    w <- w - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps) at step t = 1, 2, ...

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : Tensor, shape (seeds, arms)
        `beta1`, `beta2` and `eps` in float64.
    """

    def __init__(
        self,
        slots: Iterable[Slot],
        lr: Tensor,
        beta1: Tensor,
        beta2: Tensor,
        eps: Tensor,
        weight_decay: Tensor,
    ) -> None:
        super().__init__(lr, eps, weight_decay)
        self._beta1, self._beta2 = beta1, beta2
        self._new1, self._new2 = (1 - beta1).to(lr.dtype), (1 - beta2).to(lr.dtype)
        self._kept2 = beta2.to(lr.dtype)
        self.moments = {
            id(slot): (torch.zeros_like(slot.by_run), torch.zeros_like(slot.by_run))
            for slot in slots
        }
        self.state = tuple(moment for pair in self.moments.values() for moment in pair)

    def rates(self, first: int, lr: Tensor, batch_size: int) -> Tensor:
        """Return scale and shift, with both bias corrections, (steps, 2, seeds, arms)."""
        step = torch.arange(first + 1, first + 1 + len(lr), device=lr.device).view(-1, 1, 1)
        size = lr.double() / (1 - self._beta1**step)
        correction = (1 - self._beta2**step).rsqrt()
        return self._settings(size, correction, lr.dtype)

    def add(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        """Apply one gradient."""
        g = gradient.view(slot.view)
        first, second = self.moments[id(slot)]
        self._decay(slot, g, tape)
        tape += [
            partial(first.lerp_, g, slot.spread(self._new1)),
            partial(second.mul_, slot.spread(self._kept2)),
            partial(g.mul_, g),
            partial(second.addcmul_, g, slot.spread(self._new2)),
        ]
        self._step(slot, first, second, g, tape)


class Adagrad(_Adaptive):
    """Adagrad with L2 weight decay, as ``torch.optim.Adagrad`` without `lr_decay`.

    v <- v + g^2; w <- w - lr g / (sqrt(v) + eps) (Duchi et al. 2011, figure 1).

    Parameters
    ----------
    lr, initial, eps, weight_decay : Tensor, shape (seeds, arms)
        `initial` is what v starts from; `eps` in float64.
    """

    def __init__(
        self, slots: Iterable[Slot], lr: Tensor, initial: Tensor, eps: Tensor, weight_decay: Tensor
    ) -> None:
        super().__init__(lr, eps, weight_decay)
        slots = tuple(slots)
        self.sums = {id(slot): slot.spread(initial).expand(slot.view).clone() for slot in slots}
        self.state = tuple(self.sums.values())
        self._scratch = {id(slot): torch.zeros_like(slot.by_run) for slot in slots}

    def rates(self, first: int, lr: Tensor, batch_size: int) -> Tensor:
        """Return scale and shift, (steps, 2, seeds, arms)."""
        return self._settings(lr.double(), torch.ones_like(lr, dtype=torch.float64), lr.dtype)

    def add(self, slot: Slot, gradient: Tensor, tape: Tape) -> None:
        """Apply one gradient."""
        g = gradient.view(slot.view)
        self._decay(slot, g, tape)
        total = self.sums[id(slot)]
        tape.append(partial(total.addcmul_, g, g))
        self._step(slot, g, total, self._scratch[id(slot)], tape)
