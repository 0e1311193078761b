"""JAX: half an epoch is one compiled ``vmap`` over the LRs of a `lax.scan` over the steps.

The runs of a seed share their batches (``in_axes=None``), which XLA reads once. Seeds whose weights
do not fit a core's cache together are trained in turn. Parameters are donated, so that they are
updated where they lie. Of the forms tried, this one is the fastest on a CPU, with one
single-threaded process a core. Evaluation uses the running statistics of batch normalisation;
the runs of a seed share their dropout masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bench_lr import models, schema
from bench_lr.benchmark.peers import given
from bench_lr.cohort.streams import Indices
from bench_lr.cohort.timetable import Timetable
from bench_lr.data import Dataset
from bench_lr.schema import ModelConfig, RunConfig

Layers = list[dict[str, Array]]
"""Parameters or statistics of every layer, by the names that PyTorch gives them."""
TOGETHER_BYTES = 1 << 19
"""Weights of the seeds that are trained at a time: what a core's cache holds."""


def train(runs: Sequence[RunConfig], data: Dataset) -> given.Curves:
    """Train the runs together; every seed must have the same LRs."""
    given.check_plain(runs)
    first = runs[0]
    by_seed = {run.seed: run for run in runs}
    shape = (len(by_seed), len(runs) // len(by_seed))
    x, y = _arrays(data)
    parameters, statistics = _initial(list(by_seed.values()), shape[1], x.shape[1:])
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(parameters)) // shape[0]
    program = (first.model, first.task.loss, max(1, TOGETHER_BYTES // weights))
    rates = np.array([run.optimizer.lr for run in runs], np.float32).reshape(shape)
    visits = [given.Visits(run, len(x)) for run in by_seed.values()]
    held_out = _in_batches(np.stack([v.held_out for v in visits]))
    seeds = np.array(list(by_seed), np.uint32)
    calendar = Timetable.of(first)
    found = []
    for epoch, steps in enumerate(calendar.steps_by_epoch):
        order = np.stack([v.epoch(epoch) for v in visits]).astype(np.int32)
        for span in calendar.spans(epoch, steps):
            at = order[:, span.start : span.stop].reshape(-1, span.steps, span.batch_size)
            parameters, statistics = _advance(
                *program, parameters, statistics, rates, at, seeds, span.step, x, y
            )
            if span.evaluate:
                found.append(_evaluate(*program, parameters, statistics, held_out, x, y))
    return given.Curves.of(np.stack([np.asarray(values).reshape(-1, 2) for values in found]))


@lru_cache(maxsize=1)
def _arrays(data: Dataset) -> tuple[Array, Array]:
    """Inputs and targets on the device; copied there once."""
    y = data.train_y.numpy()
    return jnp.asarray(given.inputs(data).numpy()), jnp.asarray(
        y if y.dtype == np.float32 else y.astype(np.int32)
    )


def _initial(
    runs: Sequence[RunConfig], arms: int, example: tuple[int, ...]
) -> tuple[Layers, Layers]:
    """Stack the weights of every seed `arms` times, and statistics: leaves (seeds, arms, ...)."""
    networks = [models.build(run.model, example, run.seed) for run in runs]

    def stacked(modules: Sequence[Any], kind: str) -> dict[str, Array]:
        found = [dict(getattr(module, kind)()) for module in modules]
        names = [name for name in found[0] if name != "num_batches_tracked"]
        leaves = {n: np.stack([own[n].detach().numpy() for own in found]) for n in names}
        return {n: jnp.asarray(np.repeat(leaf[:, None], arms, 1)) for n, leaf in leaves.items()}

    layers = list(zip(*networks, strict=True))
    return (
        [stacked(modules, "named_parameters") for modules in layers],
        [stacked(modules, "named_buffers") for modules in layers],
    )


def _in_batches(positions: Indices) -> Array:
    """(seeds, n) -> (seeds, batches, examples), at most `EVALUATION_BATCH` examples in each."""
    seeds, n = positions.shape
    batches = -(-n // given.EVALUATION_BATCH)
    while n % batches:
        batches += 1
    return jnp.asarray(positions.reshape(seeds, batches, -1).astype(np.int32))


def _over_seeds(train: Callable[..., Any], together: int, *arguments: Any) -> Any:
    """Apply `train` to every seed, `together` at a time."""
    if together >= len(jax.tree.leaves(arguments)[0]):
        return jax.vmap(train)(*arguments)
    # A `vmap` over one seed costs more than none.
    size = together if together > 1 else None
    return lax.map(lambda own: train(*own), arguments, batch_size=size)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _advance(
    model: ModelConfig,
    loss: str,
    together: int,
    parameters: Layers,
    statistics: Layers,
    rates: Array,
    positions: Array,
    seeds: Array,
    first: Array,
    x: Array,
    y: Array,
) -> tuple[Layers, Layers]:
    """Take the steps whose examples are at `positions`, (seeds, steps, batch)."""

    def loss_of(
        parameters: Layers, statistics: Layers, x: Array, y: Array, key: Array
    ) -> tuple[Array, Layers]:
        output, statistics = forward(model, parameters, statistics, x, key)
        return mean_loss(loss, output, y), statistics

    def run(
        parameters: Layers, statistics: Layers, rate: Array, positions: Array, seed: Array
    ) -> tuple[Layers, Layers]:
        # Much faster on a CPU than JAX's default generator.
        key = jax.random.fold_in(jax.random.key(seed, impl="unsafe_rbg"), first)

        def step(state: tuple[Layers, Layers], now: tuple[Array, Array]) -> Any:
            at, number = now
            gradient, statistics = jax.grad(loss_of, has_aux=True)(
                *state, x[at], y[at], jax.random.fold_in(key, number)
            )
            return (jax.tree.map(lambda p, g: p - rate * g, state[0], gradient), statistics), None

        steps = (positions, jnp.arange(len(positions)))
        last: tuple[Layers, Layers] = lax.scan(step, (parameters, statistics), steps)[0]
        return last

    arms = jax.vmap(run, in_axes=(0, 0, 0, None, None))
    state: tuple[Layers, Layers] = _over_seeds(
        arms, together, parameters, statistics, rates, positions, seeds
    )
    return state


@partial(jax.jit, static_argnums=(0, 1, 2))
def _evaluate(
    model: ModelConfig,
    loss: str,
    together: int,
    parameters: Layers,
    statistics: Layers,
    positions: Array,
    x: Array,
    y: Array,
) -> Array:
    """Loss and accuracy at `positions`, (seeds, batches, examples); shape (seeds, arms, 2)."""

    def run(parameters: Layers, statistics: Layers, positions: Array) -> Array:
        def batch(at: Array) -> Array:
            output, _ = forward(model, parameters, statistics, x[at])
            right = jnp.nan if loss == "half_mse" else (output.argmax(1) == y[at]).mean()
            return jnp.stack([mean_loss(loss, output, y[at]), right])

        by_batch: Array = lax.map(batch, positions)
        return by_batch.mean(0)

    arms = jax.vmap(run, in_axes=(0, 0, None))
    found: Array = _over_seeds(arms, together, parameters, statistics, positions)
    return found


def mean_loss(loss: str, output: Array, target: Array) -> Array:
    """Mean loss of a batch."""
    if loss == "half_mse":
        return jnp.square(output - target).sum(1).mean() / 2
    return -jnp.take_along_axis(jax.nn.log_softmax(output), target[:, None], 1).mean()


def forward(
    model: ModelConfig, parameters: Layers, statistics: Layers, x: Array, key: Array | None = None
) -> tuple[Array, Layers]:
    """Output of one network and its new statistics; it is training if there is a `key`."""
    after = []
    layers = zip(model.layers, parameters, statistics, strict=True)
    for position, (layer, own, known) in enumerate(layers):
        match layer:
            case schema.Linear():
                x = x @ own["weight"].T
                x = x + own["bias"] if layer.bias else x
            case schema.Conv2d():
                x = lax.conv_general_dilated(
                    x, own["weight"], (layer.stride,) * 2, [(layer.padding,) * 2] * 2
                )
                x = x + own["bias"][:, None, None] if layer.bias else x
            case schema.BatchNorm():
                x, known = _normalised(layer, own, known, x, training=key is not None)
            case schema.Dropout():
                if key is not None and layer.p:
                    own_key = jax.random.fold_in(key, position)
                    keep = jax.random.bernoulli(own_key, 1 - layer.p, x.shape)
                    x = jnp.where(keep, x / (1 - layer.p), 0)
            case schema.MaxPool2d():
                x = _pooled(x, layer.kernel_size)
            case schema.Flatten():
                x = x.reshape(len(x), -1)
            case schema.ReLU():
                x = jax.nn.relu(x)
            case schema.Sigmoid():
                x = jax.nn.sigmoid(x)
            case schema.Tanh():
                x = jnp.tanh(x)
        after.append(known)
    return x, after


def _normalised(
    layer: schema.BatchNorm,
    own: dict[str, Array],
    known: dict[str, Array],
    x: Array,
    training: bool,
) -> tuple[Array, dict[str, Array]]:
    mean, variance = known["running_mean"], known["running_var"]
    if training:
        axes = (0, *range(2, x.ndim))
        values = x.size // x.shape[1]
        now = {"running_mean": x.mean(axes), "running_var": x.var(axes)}
        mean, variance = now["running_mean"], now["running_var"]
        now["running_var"] = variance * values / (values - 1)
        known = {n: (1 - layer.momentum) * known[n] + layer.momentum * now[n] for n in now}
    scale = own["weight"] * lax.rsqrt(variance + layer.eps)
    wide = (-1, *[1] * (x.ndim - 2))
    return x * scale.reshape(wide) + (own["bias"] - mean * scale).reshape(wide), known


def _pooled(x: Array, size: int) -> Array:
    """Maxima of squares; of strided slices, whose gradient XLA computes fastest on a CPU."""
    x = x[:, :, : x.shape[2] // size * size, : x.shape[3] // size * size]
    slices = [x[:, :, i::size, j::size] for i in range(size) for j in range(size)]
    largest = slices[0]
    for other in slices[1:]:
        largest = jnp.maximum(largest, other)
    return largest
