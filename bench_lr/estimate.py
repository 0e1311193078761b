"""How long training takes on one core, from configurations alone: for plans and their order only.

Measured on one core of a two-core machine, for networks of 13 to 160,000 weights, batch sizes from
1 to the whole training set, 1 to 60 runs together: within a factor of two. Another machine is
faster or slower in all of it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bench_lr import schema
from bench_lr.budget import budget
from bench_lr.probes import Curvature, DisplacementSketch, GradientNoise
from bench_lr.schema import RunConfig
from bench_lr.shapes import example_of, flops_per_example, walk, weights

FLOPS_PER_SECOND = 1.3e11
"""Rate of matrix products, of training and of evaluation."""
SECONDS_PER_VALUE = 3.7e-10
"""Time an activation takes, three times an example in training, once in evaluation."""
SECONDS_PER_WEIGHT = 1.8e-10
"""Time a weight takes, a step: it is read and written, whatever the batch size."""
DENSE_UPDATE = {"sgd": 5, "adagrad": 7, "adam": 9}
"""The same with state beside it (momentum, sums of squares), relative: every weight has a turn,
where plain SGD leaves those of black pixels alone."""
SECONDS_PER_STEP = 3e-5
"""Time of a step that nothing of this explains, a cohort."""
SHOWING = {"mnist": 0.25}
"""Share of a wide first layer's products that is worked out: the pixels that are not black."""
SMALL_WEIGHTS = 1 << 17
"""Weights times batch size up to which a network trains in one compiled loop (`cohort.small`)."""
SMALL_SECONDS_PER_WEIGHT = 7e-10
"""Time a weight of such a network takes, an example and run; the runs lie in vectors."""
SMALL_SECONDS_PER_STEP = 4e-6
"""Time of a step of such a network that does not grow with its runs."""
LANES = 16
"""Runs in a vector: fewer take as long."""
SECONDS_PER_EVALUATION = 5e-5
"""Time of an evaluation that does not grow with examples, a cohort."""
SECONDS_PER_ROW = 2e-6
"""Time to keep an evaluation, a run."""
SECONDS_PER_COHORT = 0.1
"""Time to set a cohort up."""
SECONDS_PER_RUN = 4e-3
"""Time to store a run."""
SECONDS_PER_JOB = 0.7
"""Time to compose a job's configuration in a worker that has started."""
TEST_EXAMPLES = 10_000
"""Of most data sets."""
SECONDS_PER_PROBED = {
    "gradient_noise": 5e-11,
    "curvature": 1.4e-8,
    "displacement_sketch": 1e-9,
}
"""Time of the arithmetic of probes, a product or value."""


def seconds_of(runs: Sequence[RunConfig]) -> float:
    """Estimated time of a cohort on one core, without that of its job.

    Runs that stop at a target count as if none met it: at most so long.
    """
    first = runs[0]
    evaluations = -(-first.epochs // first.evaluation.every) * first.evaluation.per_epoch
    evaluated = evaluations * evaluated_examples(first)
    keeping = evaluations * (SECONDS_PER_EVALUATION + len(runs) * SECONDS_PER_ROW)
    fixed = SECONDS_PER_COHORT + len(runs) * SECONDS_PER_RUN
    training = _small(runs, evaluated) if is_small(first) else _wide(runs, evaluated)
    return fixed + keeping + training + len(runs) * probing_seconds(first, evaluations)


def evaluated_examples(run: RunConfig) -> int:
    """Examples that an evaluation of a run looks at."""
    sizes = {
        "training_set": run.task.train_size,
        "validation": run.task.validation_size,
        "test": TEST_EXAMPLES,
    }
    return sum(sizes[split] for split in run.evaluation.splits)


def is_small(run: RunConfig) -> bool:
    """Whether a CPU trains it in one compiled loop, as `bench_lr.cohort.small.suits` says."""
    example, _ = example_of(run.task.data)
    known = schema.Linear | schema.ReLU | schema.Sigmoid | schema.Tanh | schema.Flatten
    return (
        run.task.loss == "half_mse"
        and run.optimizer.is_plain
        and all(isinstance(layer, known) for layer in run.model.layers)
        and weights(run.model, example) * _batch(run) <= SMALL_WEIGHTS
    )


def _small(runs: Sequence[RunConfig], evaluated: int) -> float:
    first, cost = runs[0], budget(runs[0])
    example, _ = example_of(first.task.data)
    lanes = LANES * -(-len(runs) // LANES)
    passing = lanes * weights(first.model, example) * SMALL_SECONDS_PER_WEIGHT
    return (cost.examples + evaluated / 3) * passing + cost.updates * SMALL_SECONDS_PER_STEP


def _wide(runs: Sequence[RunConfig], evaluated: int) -> float:
    first, cost = runs[0], budget(runs[0])
    example, _ = example_of(first.task.data)
    products = cost.examples * _training_flops(first) + evaluated * _forward_flops(first)
    values = sum(prod(shape) for shape in walk(first.model, example)[1:])
    passing = (3 * cost.examples + evaluated) * values * SECONDS_PER_VALUE
    size = weights(first.model, example)
    updating = cost.updates * size * _state(first) * SECONDS_PER_WEIGHT
    each = products / FLOPS_PER_SECOND + passing + updating
    return len(runs) * each + cost.updates * SECONDS_PER_STEP


def _state(run: RunConfig) -> int:
    """How many times as long as in plain SGD the update of a weight takes."""
    optimizer = run.optimizer
    if optimizer.is_plain:
        return 1
    return DENSE_UPDATE.get(optimizer.kind, max(DENSE_UPDATE.values()))


def _forward_flops(run: RunConfig) -> float:
    """Of an evaluation, an example: a third of a training step that wants every gradient."""
    example, _ = example_of(run.task.data)
    # Of the first layer two of three products are counted.
    return (flops_per_example(run.model, example) + _first_flops(run)) / 3


def _training_flops(run: RunConfig) -> float:
    """Of a step, an example, without the products of black pixels."""
    example, _ = example_of(run.task.data)
    left_out = 0.0
    if _starts_linear(run):
        left_out = 2 * _first_flops(run) * (1 - SHOWING.get(run.task.data, 1.0))
    return flops_per_example(run.model, example) - left_out


def _first_flops(run: RunConfig) -> float:
    """Forward, of the first layer with weights, an example."""
    example, _ = example_of(run.task.data)
    for position in range(len(run.model.layers)):
        head = schema.ModelConfig(run.model.layers[: position + 1])
        if weights(head, example):
            return flops_per_example(head, example) / 2
    return 0.0


def _starts_linear(run: RunConfig) -> bool:
    rest = [it for it in run.model.layers if not isinstance(it, schema.Flatten)]
    return bool(rest) and isinstance(rest[0], schema.Linear)


def probing_seconds(run: RunConfig, evaluations: int) -> float:
    """Estimated time on one core of what a run's probes measure."""
    example, _ = example_of(run.task.data)
    examples, count = run.task.train_size, weights(run.model, example)
    passing = sum(prod(shape) for shape in walk(run.model, example))
    seconds = 0.0
    for probe in run.evaluation.probes:
        match probe:
            case GradientNoise(batch_sizes=sizes):
                drawn = sum(probe.drawn(size) * (min(size, examples) + 2) for size in sizes)
                # Those of all consecutive batches are formed in double precision.
                formed = sum(2 * examples + 4 * examples / min(size, examples) for size in sizes)
                formed *= probe.bias
                once = (drawn + formed + 4 * examples) * count
            case Curvature():
                once = examples * passing * (count + 1)
            case DisplacementSketch():
                once = probe.size * count
        seconds += once * SECONDS_PER_PROBED[probe.kind] * (len(probe.at) or evaluations)
    return seconds


def _batch(run: RunConfig) -> int:
    return max(phase.batch_size for phase in run.batches)
