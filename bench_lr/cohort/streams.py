"""Random numbers that depend on a run's seed and on nothing else.

Every stream is a PCG64DXSM generator (O'Neill, "PCG", 2014; NumPy's variant) seeded from the run's
seed and the stream's purpose. So runs of one seed share their split, data order and dropout masks
whatever their LR or cohort, and any position of a stream can be reached without drawing the ones
before it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench_lr.identity import stream_key
from bench_lr.schema import TaskConfig

Indices = npt.NDArray[np.int64]
_LEVELS = 1 << 16


def generator(*key: int | str) -> np.random.Generator:
    """Return a generator at the start of the stream that `key` names."""
    return np.random.Generator(np.random.PCG64DXSM(stream_key(*key)))


def split(task: TaskConfig, available: int, seed: int) -> tuple[Indices, Indices]:
    """Positions of the training and validation images of a seed.

    Validation images come first in the seed's shuffle, so a smaller `train_size` takes a subset of
    the larger one's training images and leaves the validation images alone.

    Returns
    -------
    train : array, shape (train_size,)
    validation : array, shape (validation_size,)
    """
    wanted = task.train_size + task.validation_size
    if wanted > available:
        raise ValueError(
            f"train_size {task.train_size} + validation_size {task.validation_size} "
            f"exceed the {available} training examples of {task.data}"
        )
    if task.split == "last":
        held_out = np.arange(available - task.validation_size, available)
        return np.arange(task.train_size), held_out
    order = generator(seed, "split").permutation(available)
    return order[task.validation_size : wanted], order[: task.validation_size]


def epoch_order(seed: int, epoch: int, examples: int) -> Indices:
    """Order in which a seed visits its training examples in `epoch`, shape (examples,)."""
    return generator(seed, "order", epoch).permutation(examples)


def stratified_order(seed: int, epoch: int, classes: Indices, batch_size: int) -> Indices:
    """Order in which every batch has as equal a share of each class as whole examples allow.

    Which examples of a class come when, and in which order the full batches follow each other, is
    drawn anew for every seed and epoch; how many of each class they hold is `class_counts`.

    Parameters
    ----------
    classes : array of int, shape (examples,)
        Class of every training example.

    Returns
    -------
    array, shape (examples,)
    """
    random = generator(seed, "stratified", epoch)
    drawn = random.permutation(len(classes))
    counts = class_counts(tuple(np.bincount(classes).tolist()), batch_size)
    full = len(classes) // batch_size
    counts = np.concatenate([counts[:full][random.permutation(full)], counts[full:]])
    wanted = np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.ravel())
    order = np.empty_like(drawn)
    order[np.argsort(wanted, kind="stable")] = drawn[np.argsort(classes[drawn], kind="stable")]
    return order


@lru_cache(maxsize=256)
def class_counts(population: tuple[int, ...], batch_size: int) -> Indices:
    """How many examples of each class every batch has, shape (batches, classes).

    A batch of b has the whole part of b times the share of each class, and the examples left over
    go to the classes that have had least of what is theirs since the first batch (largest
    remainders of the running total), where these have examples left. The last, partial batch has
    what is left.
    """
    have = np.array(population, np.int64)
    share = have / have.sum()
    left, given = have.copy(), np.zeros_like(have)
    counts = []
    while left.sum() >= batch_size:
        # A share of 0.3 of 10 is 3, however it is rounded.
        batch = np.minimum(np.floor(batch_size * share + 1e-9).astype(np.int64), left)
        while (over := batch_size - int(batch.sum())) > 0:
            owed = (given.sum() + batch_size) * share - given - batch
            owed[batch >= left] = -np.inf
            chosen = np.argsort(-owed, kind="stable")[: min(over, int((batch < left).sum()))]
            batch[chosen] += 1
        counts.append(batch)
        left, given = left - batch, given + batch
    if left.any():
        counts.append(left)
    return np.array(counts)


def keep_probability(p: float) -> float:
    """Probability that dropout keeps a unit: 1 - p on a grid of 2^-16."""
    return 1.0 - round(p * _LEVELS) / _LEVELS


def keep_mask(
    seed: int, layer: int, epoch: int, first_step: int, steps: int, units: int, p: float
) -> npt.NDArray[np.bool_]:
    """Dropout masks of consecutive steps of an epoch.

    Parameters
    ----------
    layer : int
        Position of the dropout layer in its network.
    first_step : int
        First step, counted within the epoch.
    units : int
        Masked values in a full batch, example by example; a partial batch uses the first of them.

    Returns
    -------
    array, shape (steps, units)
        True where the unit is kept.
    """
    words = -(-units // 4)  # 64-bit words a step, four 16-bit levels in each
    bits = np.random.PCG64DXSM(stream_key(seed, "dropout", layer, epoch))
    bits.advance(first_step * words)
    raw = bits.random_raw(steps * words).reshape(steps, words)
    keep: npt.NDArray[np.bool_] = raw.view(np.uint16)[:, :units] >= np.uint16(round(p * _LEVELS))
    return keep
