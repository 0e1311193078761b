"""What an arm may spend: epochs, parameter updates and training examples."""

from __future__ import annotations

from dataclasses import dataclass

from bench_lr.schema import RunConfig


@dataclass(frozen=True)
class Budget:
    """Cost of one run.

    Attributes
    ----------
    epochs : int
        Passes over the training set.
    updates : int
        Parameter updates (steps).
    examples : int
        Training examples whose gradients were used, repeats included.
    """

    epochs: int
    updates: int
    examples: int


def steps_per_epoch(train_size: int, batch_size: int, drop_last: bool) -> int:
    """Parameter updates in one epoch.

    Parameters
    ----------
    train_size : int
        Training examples.
    batch_size : int
        Examples per update.
    drop_last : bool
        Whether the last, partial batch is left out. Then a batch larger than the training set
        gives no step at all.

    Returns
    -------
    int
        ``floor(train_size / batch_size)`` with `drop_last`, else ``ceil``.
    """
    if drop_last:
        return train_size // batch_size
    return -(-train_size // batch_size)


def budget(run: RunConfig) -> Budget:
    """Sum what `run` spends over the phases of its batch-size plan."""
    size = run.task.train_size
    updates = examples = 0
    for phase in run.batches:
        steps = steps_per_epoch(size, phase.batch_size, run.drop_last)
        updates += phase.epochs * steps
        examples += phase.epochs * min(steps * phase.batch_size, size)
    return Budget(epochs=run.epochs, updates=updates, examples=examples)
