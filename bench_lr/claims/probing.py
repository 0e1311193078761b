"""What a run's probes ask for, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from bench_lr.claims.problems import Problem
from bench_lr.cohort.timetable import Timetable
from bench_lr.probes import SAME_EPOCH, Curvature, GradientNoise
from bench_lr.schema import RunConfig
from bench_lr.shapes import every_layer, example_of, weights

MOST_WEIGHTS = 2000
"""Of a network whose Hessian is formed whole."""
WITHOUT_STATE = frozenset({"linear", "flatten", "relu", "sigmoid", "tanh"})
"""Layers of which the gradient of every single example is known."""
RANDOM_OR_BATCHED = frozenset({"batch_norm", "ghost_batch_norm", "dropout"})
"""Layers with which the training loss is no function of weights and examples alone."""


def probe_problems(run: RunConfig, file: str, is_capped: bool) -> Iterator[Problem]:
    """Yield what is wrong with the probes of a run whose network is sound.

    Parameters
    ----------
    is_capped : bool
        Whether the run is shorter than it says, so that epochs may lie behind its end.
    """
    kinds = [probe.kind for probe in run.evaluation.probes]
    present = {layer.kind for layer in every_layer(run.model.layers)}
    for place, probe in enumerate(run.evaluation.probes):
        key = f"probes.{place}"
        if probe.kind in kinds[:place]:
            yield Problem(file, f"{key}.kind", f"{probe.kind} twice", "each kind once")
        if isinstance(probe, GradientNoise):
            if len(set(probe.batch_sizes)) < len(probe.batch_sizes):
                yield Problem(file, f"{key}.batch_sizes", "a batch size twice", "each once")
            if others := sorted(present - WITHOUT_STATE):
                allowed = f"a network of {', '.join(sorted(WITHOUT_STATE))}"
                yield Problem(file, key, f"gradient_noise with {', '.join(others)}", allowed)
        if isinstance(probe, Curvature):
            if others := sorted(present & RANDOM_OR_BATCHED):
                allowed = f"a network without {', '.join(sorted(RANDOM_OR_BATCHED))}"
                yield Problem(file, key, f"curvature with {', '.join(others)}", allowed)
            count = weights(run.model, example_of(run.task.data)[0])
            if count > MOST_WEIGHTS:
                allowed = f"at most {MOST_WEIGHTS} (the Hessian is formed whole)"
                yield Problem(file, key, f"curvature of {count} weights", allowed)
        if probe.at and not is_capped:
            moments = [0.0, *evaluated(run)]
            for epoch in probe.at:
                if not any(abs(epoch - moment) < SAME_EPOCH for moment in moments):
                    nearest = min(moments, key=lambda moment: abs(moment - epoch))
                    allowed = f"0, or the epoch of an evaluation (the nearest is {nearest:g})"
                    yield Problem(file, f"{key}.at", f"{epoch:g}", allowed)


def evaluated(run: RunConfig) -> list[float]:
    """Epochs at whose end a run is evaluated."""
    timetable = Timetable.of(run)
    return [
        span.epoch + (span.first_step + span.steps) / timetable.steps_by_epoch[span.epoch]
        for epoch in range(timetable.epochs)
        for span in timetable.spans(epoch, timetable.steps)
        if span.evaluate
    ]


def probed_metrics(run: RunConfig) -> dict[str, tuple[float, ...]]:
    """Return the metrics of a run's probes and the epochs they are measured at (all when empty)."""
    return {name: probe.at for probe in run.evaluation.probes for name in probe.metrics}
