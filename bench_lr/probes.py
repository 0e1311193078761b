"""What can be measured of a run besides its loss and accuracy: the vocabulary.

A probe looks at the weights of a run at some of its evaluations and stores what it finds as
metrics of split ``train``. To add one: write a frozen dataclass with a literal ``kind``, `at` and
`metrics`, name it in ``Probe`` below, and add what measures it to `bench_lr.cohort.probing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Epochs = tuple[Annotated[float, Field(ge=0)], ...]
"""Epochs at which to measure: of evaluations, or 0 for before any training; all when empty."""
SAME_EPOCH = 1e-6
PREFIXES = ("gradient_", "hessian_", "displacement_")
"""What the names of their metrics begin with."""


@dataclass(frozen=True)
class GradientNoise:
    r"""Gradient of the training loss, and variance of its estimates from random batches.

    ``gradient_norm_squared`` is :math:`|g|^2`, g being the mean over the run's training set of the
    gradients :math:`g_i` of its N examples, at the weights as they are;
    ``gradient_sample_variance`` is the trace of their covariance, :math:`S = \sum_i |g_i - g|^2 /
    N`. For each batch size B, ``gradient_variance_<B>`` is :math:`E |g_B - g|^2`, the trace of the
    covariance of the mean gradient of a batch, estimated without bias from `batches` random batches
    of B different examples, or from more, so that together they have `examples`: |g_B - g|^2 varies
    the more, the smaller B is. For such batches it is known to be S/B (N - B)/(N - 1) (Cochran
    1977, "Sampling Techniques", theorem 2.2). ``gradient_bias_<B>`` is the norm of the difference
    between g and the mean gradient of all consecutive batches of an epoch, each weighted by its
    size, relative to the norm of g; ``bias: false`` leaves it out, which takes most of the time. A
    batch size above N is the whole training set.
    """

    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    batches: Annotated[int, Field(ge=2)] = 500
    examples: Annotated[int, Field(ge=0)] = 0
    bias: bool = True
    at: Epochs = ()
    kind: Literal["gradient_noise"] = "gradient_noise"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what it measures."""
        sizes = self.batch_sizes
        return (
            "gradient_norm_squared",
            "gradient_sample_variance",
            *(f"gradient_variance_{size}" for size in sizes),
            *(f"gradient_bias_{size}" for size in sizes if self.bias),
        )

    def drawn(self, size: int) -> int:
        """How many batches of `size` are drawn."""
        return max(self.batches, -(-self.examples // size))


@dataclass(frozen=True)
class Curvature:
    """Smallest and largest eigenvalue of the Hessian of the training loss, and the gradient's norm.

    The loss is the mean over the run's whole training set, in float64. For small networks.
    """

    at: Epochs = ()
    kind: Literal["curvature"] = "curvature"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what it measures."""
        return ("hessian_min", "hessian_max", "gradient_norm")


@dataclass(frozen=True)
class DisplacementSketch:
    """Random projections of (weights - initial weights), the same for all runs of a network.

    ``displacement_000`` to ``displacement_<size - 1>`` are its products with vectors of random
    signs times ``size ** -0.5``, and ``displacement_norm`` is its norm. The squared distance of two
    runs' sketches, whose initial weights are the same, is that of their weights with a relative
    standard deviation of at most ``(2 / size) ** 0.5``, and the distance half of that (Achlioptas
    2003, "Database-friendly random projections").
    """

    size: Annotated[int, Field(ge=1, le=1000)] = 256
    at: Epochs = ()
    kind: Literal["displacement_sketch"] = "displacement_sketch"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what it measures."""
        return (*(f"displacement_{k:03d}" for k in range(self.size)), "displacement_norm")


Probe = Annotated[GradientNoise | Curvature | DisplacementSketch, Field(discriminator="kind")]


def is_due(probe: Probe, epoch: float) -> bool:
    """Whether to measure at an evaluation at the end of `epoch`, or before training at 0."""
    if not probe.at:
        return epoch > 0
    return any(abs(epoch - at) < SAME_EPOCH for at in probe.at)
