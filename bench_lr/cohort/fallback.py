"""Networks without a cohort form: `torch.func.vmap` over the runs, or the runs one by one.

Slower than a lifted network, with the same interface and the same random streams; also the general
autograd path that the explicit backward passes are checked against.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from bench_lr.cohort.layers import Masks
from bench_lr.cohort.losses import mean_loss
from bench_lr.cohort.network import CannotLift, CohortNetwork, LiftedNetwork
from bench_lr.cohort.pixels import Pixels
from bench_lr.cohort.slots import Grid, Slot, UpdateRule
from bench_lr.cohort.tape import Tape

log = logging.getLogger(__name__)

Form = Literal["lockstep", "vmap", "one by one"]


class _StreamDropout(nn.Module):
    """Dropout that takes its masks from the streams of the run at hand."""

    def __init__(self, position: int, p: float) -> None:
        super().__init__()
        self.position, self.p = position, p
        self.masks: Masks | None = None
        self.seed = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        assert self.masks is not None
        factors = self.masks.now(self.position, tuple(x.shape[1:]), self.p)
        return x * factors[self.seed, 0].movedim(-1, 0)


class AutogradNetwork(nn.Module):
    """Any module that maps a batch to outputs, its parameters stacked over the runs.

    Parameters
    ----------
    modules : sequence of nn.Module
        One initialised module a run, run (g, l) at index g * L + l.
    together : bool
        Compute all runs in one `vmap`; otherwise one by one.
    """

    def __init__(self, modules: Sequence[nn.Module], grid: Grid, loss: str, together: bool) -> None:
        super().__init__()
        self.grid, self.together, self._loss_name = grid, together, loss
        template = copy.deepcopy(modules[0])
        self._dropouts = _replace_dropout(template)
        # In a tuple, so that the template's own parameters are no part of this module.
        self._template = (template,)
        self._own = {name: f"p_{i}" for i, (name, _) in enumerate(_parameters(modules[0]))}
        self._buffers_of = {name: f"b_{i}" for i, (name, _) in enumerate(_buffers(modules[0]))}
        stacks = [dict(_parameters(m)) | dict(_buffers(m)) for m in modules]
        for name, own in (self._own | self._buffers_of).items():
            self.register_buffer(own, torch.stack([s[name].detach() for s in stacks]).contiguous())
        lead = (grid.seeds, grid.arms)
        self.slots = tuple(
            Slot(self, own, (*lead, *getattr(self, own).shape[1:]), 1) for own in self._own.values()
        )

    takes_features = False
    takes_positions = False
    live: Tensor | None = None
    input_scale = 1.0
    capturable = False

    def _stacked(self, names: dict[str, str]) -> dict[str, Tensor]:
        return {name: getattr(self, own) for name, own in names.items()}

    def _inputs(self, x: Tensor) -> Tensor:
        """[G, 1, ..., B] -> [G * L, B, ...]."""
        batches = x.movedim(-1, 2)
        wide = batches.expand(-1, self.grid.arms, *batches.shape[2:])
        return wide.reshape(self.grid.runs, *batches.shape[2:])

    def _call(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        output: Tensor = functional_call(self._template[0], state, (x,))
        return output

    def _loss(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> Tensor:
        return mean_loss(self._loss_name, self._call({**parameters, **buffers}, x), y)

    def encode(self, target: Tensor) -> Tensor:
        """Return the targets as they are."""
        return target

    def losses(self, kept: Tensor, target: Tensor) -> Tensor:
        """Losses before the update, (steps, G, L, 1): what was kept."""
        return kept

    def record_training(
        self, x: Tensor, y: Tensor, masks: Masks, rule: UpdateRule, tape: Tape
    ) -> Tensor:
        """Record a step; return the tensor that will hold its losses, (G, L, 1)."""
        losses = x.new_empty(self.grid.seeds, self.grid.arms, 1)
        scale = torch.empty_like(rule.rate) if rule.fused else None
        gradients = {name: torch.empty_like(t) for name, t in self._stacked(self._own).items()}
        tape.append(partial(self._differentiate, x, y, masks, losses, gradients))
        if scale is not None:
            tape.append(partial(torch.mul, rule.rate, x.shape[-1], out=scale))
        for gradient, slot in zip(gradients.values(), self.slots, strict=True):
            if scale is not None:
                tape.append(partial(gradient.view(slot.view).mul_, slot.spread(scale)))
            rule.add(slot, gradient, tape)
        return losses

    def _differentiate(
        self, x: Tensor, y: Tensor, masks: Masks, losses: Tensor, gradients: dict[str, Tensor]
    ) -> None:
        self._template[0].train()
        inputs = self._inputs(x)
        targets = y.repeat_interleave(self.grid.arms, 0)
        parameters, buffers = self._stacked(self._own), self._stacked(self._buffers_of)
        if self.together:
            compute: Any = vmap(grad_and_value(self._loss))
            found, loss = compute(parameters, buffers, inputs, targets)
            for name, gradient in found.items():
                gradients[name].copy_(gradient)
            losses.copy_(loss.view_as(losses))
            return
        for run in range(self.grid.runs):
            for dropout in self._dropouts:
                dropout.masks, dropout.seed = masks, run // self.grid.arms
            own = {n: t[run] for n, t in parameters.items()}
            statistics = {n: t[run] for n, t in buffers.items()}
            alone, value = self._one(own, statistics, inputs[run], targets[run])
            for name, gradient in alone.items():
                gradients[name][run].copy_(gradient)
            losses.view(-1)[run].copy_(value)

    def _one(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
            loss = self._loss(leaves, buffers, x, y)
            found = torch.autograd.grad(loss, list(leaves.values()))
        return dict(zip(leaves, found, strict=True)), loss.detach()

    def record_prediction(self, x: Tensor, tape: Tape) -> Tensor:
        """Record the outputs in evaluation mode, (G, L, outputs, B)."""
        kept = torch.empty_like(self._predict(x))
        tape.append(lambda: kept.copy_(self._predict(x)))
        return kept

    def _predict(self, x: Tensor) -> Tensor:
        self._template[0].eval()
        inputs = self._inputs(x)
        state = self._stacked(self._own) | self._stacked(self._buffers_of)
        if self.together:
            output: Tensor = vmap(self._call)(state, inputs)
        else:
            output = torch.stack(
                [
                    self._call({n: t[run] for n, t in state.items()}, inputs[run])
                    for run in range(self.grid.runs)
                ]
            )
        grid = (self.grid.seeds, self.grid.arms)
        return output.transpose(1, 2).view(*grid, *output.transpose(1, 2).shape[1:])

    def export(self, run: int) -> dict[str, Tensor]:
        """Return one run's state dict, with the keys of the ordinary module."""
        names = self._own | self._buffers_of
        return {name: tensor[run].clone() for name, tensor in self._stacked(names).items()}


def _parameters(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.named_parameters())


def _buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.named_buffers())


def _replace_dropout(module: nn.Module) -> list[_StreamDropout]:
    found = []
    for position, (path, child) in enumerate(list(module.named_modules())):
        if isinstance(child, nn.Dropout):
            if not path:
                raise CannotLift("a bare dropout layer is no network")
            parent, _, name = path.rpartition(".")
            # Inside an nn.Sequential the position is the one a lifted network would use.
            where = int(name) if name.isdigit() and not parent else position
            made = _StreamDropout(where, child.p)
            setattr(module.get_submodule(parent), name, made)
            found.append(made)
    return found


def build_network(
    modules: Sequence[nn.Module],
    grid: Grid,
    loss: str,
    example: tuple[int, ...],
    scale: float = 1.0,
    live: Tensor | None = None,
    pixels: Pixels | None = None,
) -> CohortNetwork:
    """Return the fastest form that the modules allow, saying so when it is not the lifted one.

    Parameters
    ----------
    modules : sequence of nn.Module
        One initialised module a run, run (g, l) at index g * L + l.
    example : tuple of int
        Shape of one input.
    scale, live, pixels
        See `LiftedNetwork`; what a network does not do itself is left to the engine.

    Raises
    ------
    Exception
        Whatever the module raises when it is run alone.
    """
    try:
        return LiftedNetwork(modules, grid, loss, scale, live, pixels)
    except CannotLift as reason:
        if _trains_together(modules[0], example):
            log.warning("%s; its runs train together under torch.func.vmap", reason)
            return AutogradNetwork(modules, grid, loss, together=True)
        log.warning("%s, nor does it vmap; its runs train one by one, which is slow", reason)
        return AutogradNetwork(modules, grid, loss, together=False)


def form_of(module: nn.Module, loss: str, example: tuple[int, ...]) -> Form:
    """Return the form in which the runs of a module train."""
    try:
        LiftedNetwork([module], Grid(1, 1), loss)
    except CannotLift:
        return "vmap" if _trains_together(module, example) else "one by one"
    return "lockstep"


def _trains_together(module: nn.Module, example: tuple[int, ...]) -> bool:
    """Whether runs of a module that cannot be lifted can train under one `vmap`."""
    stateless = not _buffers(module) and not any(
        isinstance(child, nn.Dropout) for child in module.modules()
    )
    return stateless and _vmaps(module, example)


def _vmaps(module: nn.Module, example: tuple[int, ...]) -> bool:
    """Whether every operation of the module has a batching rule, tried on two copies."""
    state = {name: torch.stack([p, p]).detach() for name, p in module.named_parameters()}
    x = torch.zeros(2, 1, *example, dtype=next(module.parameters()).dtype)
    try:
        vmap(lambda s, v: functional_call(module, s, (v,)))(state, x)
    except RuntimeError:
        return False
    return True
