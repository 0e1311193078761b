"""A training step as a list of operations on fixed tensors.

A step is recorded once for a batch size and replayed for every step: these networks are so small
that making views and looking up layers would take as long as the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from torch import Tensor

Operation = Callable[[], object]
"""A `functools.partial`, or a tensor's method, whose tensors are in plain sight (see `moved`)."""


class Tape(list[Operation]):
    """Operations in order, and what is known of the memory they work on.

    Activations that a linear layer may read have room behind the features of each run for one more,
    which is always one: the bias is then a column of the weight matrix, and neither adding it nor
    updating it is an operation of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rooms: dict[int, tuple[Tensor, int]] = {}

    def room(self, shape: Sequence[int], like: Tensor, one: float = 1.0) -> Tensor:
        """Return an empty tensor [G, L, ..., B] with ones behind its features."""
        features = prod(shape[2:-1])
        memory = like.new_full((shape[0], shape[1], features + 1, shape[-1]), one)
        self.has_room(memory, features)
        return memory[:, :, :features].view(shape)

    def has_room(self, memory: Tensor, features: int) -> None:
        """Take note that ones lie behind `features` features in `memory`."""
        self._rooms[address(memory)] = memory, features

    def with_ones(self, x: Tensor, one: float = 1.0) -> Tensor:
        """Return features [G, L, F, B] with a row of `one` behind them, [G, L, F + 1, B].

        Copies where there is no room.
        """
        _, features = self._rooms.get(address(x), (None, -1))
        if features != x.shape[2]:
            copy = self.room(x.shape, x, one)
            self.append(partial(copy.copy_, x))
            x = copy
        shape = (*x.shape[:2], x.shape[2] + 1, x.shape[3])
        return x.as_strided(shape, x.stride(), x.storage_offset())


@dataclass(frozen=True)
class Strip:
    """Memory for the same tensor of several steps, one step after the other.

    Parameters
    ----------
    memory : Tensor
        Contiguous, its first dimension the steps.
    """

    memory: Tensor

    def at(self, tensor: Tensor, step: int) -> Tensor:
        """What `tensor`, which lies in the memory of one step, is at another."""
        offset = tensor.storage_offset() + step * self.memory.stride(0)
        return self.memory.as_strided(tensor.shape, tensor.stride(), offset)


def moved(tape: Sequence[Operation], strips: Mapping[int, Strip], step: int) -> list[Operation]:
    """Return a tape for another step: tensors of `strips` are that step's, the rest the same.

    Parameters
    ----------
    strips : mapping
        By the address of the storage that the tape was recorded with.

    Raises
    ------
    TypeError
        If an operation hides its tensors (a closure).
    """

    def move(value: object) -> object:
        if isinstance(value, Tensor):
            strip = strips.get(address(value))
            return value if strip is None else strip.at(value, step)
        return value

    def function(call: Callable[..., object]) -> Callable[..., object]:
        owner = getattr(call, "__self__", None)
        if isinstance(owner, Tensor):
            there = move(owner)
            return call if there is owner else getattr(there, call.__name__)
        return call

    operations: list[Operation] = []
    for operation in tape:
        if isinstance(operation, partial):
            args = [move(value) for value in operation.args]
            named = {name: move(value) for name, value in operation.keywords.items()}
            operations.append(partial(function(operation.func), *args, **named))
        elif isinstance(getattr(operation, "__self__", None), Tensor):
            operations.append(function(operation))
        else:
            raise TypeError(f"{operation} hides the tensors it works on")
    return operations


def address(tensor: Tensor) -> int:
    """Where the memory of a tensor, and of all its views, begins."""
    return tensor.untyped_storage().data_ptr()


def dense(x: Tensor, shape: Sequence[int], tape: Tape) -> Tensor:
    """Return `x` in another shape: a view where that is possible, else a recorded copy."""
    try:
        return x.view(tuple(shape))
    except RuntimeError:
        copy = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        tape.append(partial(copy.copy_, x))
        return copy.view(tuple(shape))
