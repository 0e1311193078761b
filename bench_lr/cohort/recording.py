"""Recorded steps and predictions of a cohort, and the memory they read their batches from."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench_lr.cohort.network import CohortNetwork
from bench_lr.cohort.slots import UpdateRule
from bench_lr.cohort.streams import keep_mask, keep_probability
from bench_lr.cohort.tape import Strip, Tape, address, moved
from bench_lr.cohort.timetable import Span

_MOST_GRAPHS = 8
_LINE = 16
"""Values to which long rows are rounded up: a cache line of float32."""


def row_length(values: int) -> int:
    """Length in memory of an example of so many values, with room for a one."""
    needed = values + 1
    return needed if needed < 4 * _LINE else -(-needed // _LINE) * _LINE


class Inputs(Protocol):
    """What networks read their batches from, for some steps; the arms of a seed share it.

    Attributes
    ----------
    memory : Tensor
        Its first dimension is the steps.
    """

    memory: Tensor

    def load(self, split: str, positions: Tensor) -> None:
        """Have examples of a split, by their positions (steps, G, B), in the first steps."""

    def known_to(self, tape: Tape) -> Tensor:
        """Return the batch of the first step as the network sees it."""


class Positions:
    """Where the examples of a batch are, for a network that looks them up itself.

    Parameters
    ----------
    shape : tuple of int
        Steps, seeds, batch size.
    before : mapping
        How many examples lie before those of a split.
    """

    def __init__(self, shape: tuple[int, int, int], before: Mapping[str, int]) -> None:
        self.memory = torch.zeros(shape, dtype=torch.int64)
        self._before = before

    def load(self, split: str, positions: Tensor) -> None:
        """Put positions (steps, G, B) into the memory of the first steps."""
        torch.add(positions, self._before[split], out=self.memory[: len(positions)])

    def known_to(self, tape: Tape) -> Tensor:
        """Return the positions of the first step, (G, B)."""
        return self.memory[0]


class Values:
    """Batches as numbers.

    The memory is (steps, G, B, row): the examples as the data set has them, each with room for the
    one that the bias of a first linear layer multiplies. `first` is the batch of the first step as
    networks see it, [G, 1, ..., B].

    Parameters
    ----------
    shape : tuple of int
        Steps, seeds, batch size.
    data : mapping
        The examples of every split, (examples, ...).
    scale : float
        What examples are multiplied by here.
    one : float
        What stands for one behind an example.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        data: Mapping[str, Tensor],
        dtype: torch.dtype,
        scale: float,
        one: float,
    ) -> None:
        like = data["train"]
        example = tuple(like.shape[1:])
        self._data, self._values, self._scale = data, prod(example), scale
        self._raw = like.new_empty(prod(shape), *example)
        row = row_length(self._values)
        self.memory = torch.full((*shape, row), one, dtype=dtype, device=like.device)
        first = self.memory[0, :, None, :, : self._values]
        self.first = first.view(*first.shape[:3], *example).movedim(2, -1)

    def load(self, split: str, positions: Tensor) -> None:
        """Put examples of a split, by their positions (steps, G, B), into the first steps."""
        raw = self._raw[: positions.numel()]
        torch.index_select(self._data[split], 0, positions.reshape(-1), out=raw)
        target = self.memory[: len(positions), ..., : self._values]
        target.copy_(raw.view(target.shape))
        if self._scale != 1:
            target.mul_(self._scale)

    def known_to(self, tape: Tape) -> Tensor:
        """Return `first`, telling a tape of the ones behind it."""
        tape.has_room(self.memory, self._values)
        return self.first


class StepMasks:
    """Dropout masks of some steps, made together."""

    def __init__(
        self,
        seeds: tuple[int, ...],
        steps: int,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._seeds, self._steps, self._batch = seeds, steps, batch
        self._dtype, self._device = dtype, device
        self.strips: dict[tuple[int, tuple[int, ...], float], Tensor] = {}
        self.step = 0

    def __call__(self, position: int, shape: tuple[int, ...], p: float) -> Tensor:
        """Return what the first step will multiply by, [G, 1, *shape, B]."""
        whole = (self._steps, len(self._seeds), 1, *shape, self._batch)
        strip = torch.zeros(whole, dtype=self._dtype, device=self._device)
        self.strips[position, shape, p] = strip
        return strip[0]

    def now(self, position: int, shape: tuple[int, ...], p: float) -> Tensor:
        """Return what step `step` multiplies by, [G, 1, *shape, B]."""
        if (position, shape, p) not in self.strips:
            self(position, shape, p)
            self._fill(position, shape, p)
        return self.strips[position, shape, p][self.step]

    def begin(self, span: Span, first: int, count: int) -> None:
        """Make the masks of `count` steps from step `first` of a span on."""
        self._span, self._first, self._count = span, first, count
        for key in self.strips:
            self._fill(*key)

    def _fill(self, position: int, shape: tuple[int, ...], p: float) -> None:
        span, count = self._span, self._count
        units = prod(shape)
        made = np.empty((count, len(self._seeds), self._batch * units), dtype=np.uint8)
        for g, seed in enumerate(self._seeds):
            first, full = span.first_step + self._first, span.full_batch_size
            mask = keep_mask(seed, position, span.epoch, first, count, units * full, p)
            made[:, g] = mask[:, : made.shape[2]]
        strip = self.strips[position, shape, p][:count].view(count, len(self._seeds), units, -1)
        # Bytes, not booleans: only those convert to floating point at full speed.
        by_example = torch.from_numpy(made).view(count, len(self._seeds), -1, units)
        strip.copy_(by_example.transpose(2, 3)).mul_(1 / keep_probability(p))


class Training(Protocol):
    """Training steps of one batch size."""

    def train(self, span: Span, indices: Tensor, rates: Tensor) -> Tensor:
        """Take the steps of a span.

        Parameters
        ----------
        indices : Tensor of int64, shape (steps, G, B)
            Positions in the training data.
        rates : Tensor, shape (steps, ..., G, L)
            What the update rule's `rate` is at each step.

        Returns
        -------
        Tensor of float64, shape (steps, G, L)
            Mean loss of every step, before its update.
        """


class RecordedTraining:
    """Recorded operations on memory of their own for what changes from step to step.

    As many steps as `inputs` and `masks` have room for are loaded together and taken with nothing
    between them.

    Parameters
    ----------
    targets : Tensor
        Of all training examples.
    """

    def __init__(
        self,
        network: CohortNetwork,
        rule: UpdateRule,
        inputs: Inputs,
        targets: Tensor,
        masks: StepMasks,
    ) -> None:
        self._network, self._all_targets = network, targets
        self.inputs, self.masks = inputs, masks
        self.steps, seeds, batch = inputs.memory.shape[:3]
        self.rates = rule.rate.new_empty(self.steps, *rule.rate.shape)
        unknown = targets.new_zeros(self.steps, seeds, batch, *targets.shape[1:])
        self.targets = network.encode(unknown).contiguous()
        tape = Tape()
        kept = network.record_training(inputs.known_to(tape), self.targets[0], masks, rule, tape)
        results = kept.new_empty(self.steps, kept.untyped_storage().nbytes() // kept.element_size())
        strips = {
            address(inputs.memory): Strip(inputs.memory),
            address(self.targets): Strip(self.targets),
            address(rule.rate): Strip(self.rates),
            address(kept): Strip(results),
            **{address(strip): Strip(strip) for strip in masks.strips.values()},
        }
        self._tapes = [moved(tape, strips, step) for step in range(self.steps)]
        strides = (results.stride(0), *kept.stride())
        shape = (self.steps, *kept.shape)
        self.kept = results.as_strided(shape, strides, kept.storage_offset())
        self._captures = kept.is_cuda and network.capturable
        self._graphs: dict[int, torch.cuda.CUDAGraph | None] = {}

    def train(self, span: Span, indices: Tensor, rates: Tensor) -> Tensor:
        """Take the steps of a span, as many at a time as there is room for."""
        shape = (*indices.shape, *self._all_targets.shape[1:])
        y = self._all_targets.index_select(0, indices.view(-1)).view(shape)
        targets = self._network.encode(y)
        traces = []
        for first in range(0, span.steps, self.steps):
            count = min(self.steps, span.steps - first)
            part = slice(first, first + count)
            self.inputs.load("train", indices[part])
            self.targets[:count].copy_(targets[part])
            self.rates[:count].copy_(rates[part])
            self.masks.begin(span, first, count)
            self.replay(count)
            losses = self._network.losses(self.kept[:count], y[part])
            traces.append(losses.mean(-1, dtype=torch.float64))
        return torch.cat(traces)

    def replay(self, count: int) -> None:
        """Take the first `count` steps.

        On a GPU these are one launch of a CUDA graph. It is captured the second time a count is
        asked for: libraries set themselves up the first time, which a capture must not see, and
        what happens once is not worth one.
        """
        if not self._captures or (count not in self._graphs and len(self._graphs) == _MOST_GRAPHS):
            self._take(count)
            return
        if count not in self._graphs:
            self._graphs[count] = None
            self._take(count)
            return
        graph = self._graphs[count]
        if graph is None:
            graph = self._graphs[count] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._take(count)
        graph.replay()

    def _take(self, count: int) -> None:
        for step, tape in enumerate(self._tapes[:count]):
            self.masks.step = step
            for operation in tape:
                operation()


class Prediction:
    """Recorded outputs, in evaluation mode, of one number of examples."""

    def __init__(self, network: CohortNetwork, inputs: Inputs) -> None:
        self._inputs = inputs
        self._tape = Tape()
        self._result = network.record_prediction(inputs.known_to(self._tape), self._tape)

    def load(self, split: str, positions: Tensor) -> None:
        """Have examples of a split, by their positions (G, B), where the network reads them."""
        self._inputs.load(split, positions[None])

    def __call__(self) -> Tensor:
        """Return the outputs (G, L, O, B) of what is loaded; they last until the next call."""
        for operation in self._tape:
            operation()
        return self._result
