"""What a measure says of the runs it looks at, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bench_lr.claims.probing import evaluated, probed_metrics
from bench_lr.claims.problems import Problem, nearest, unknown
from bench_lr.probes import PREFIXES, SAME_EPOCH
from bench_lr.schema import (
    COUNTS,
    METRICS,
    ONLY_TRAINING,
    TRAINING_METRICS,
    Claim,
    Measure,
    RunConfig,
)


def measure_problems(
    claim: Claim, names: Collection[str], what: Measure, key: str
) -> Iterator[Problem]:
    """What the results of the arms of these names will not have, as far as the claim says."""
    if what.reduce == "mean_last" and not isinstance(what.epochs, int):
        yield Problem(claim.file, f"{key}.epochs", repr(what.epochs), "a number of epochs")
    if what.reduce in ("at", "mean_at") and not (isinstance(what.epochs, tuple) and what.epochs):
        yield Problem(claim.file, f"{key}.epochs", repr(what.epochs), "a list of epochs")
    runs = [arm.runs[0] for arm in claim.arms if arm.name in names]
    if what.metric not in METRICS:
        yield from _probe_problems(claim, what, runs, key)
    elif isinstance(what.epochs, tuple) and 0 in what.epochs:
        yield Problem(claim.file, f"{key}.epochs", "0", "epochs above 0; only probes measure at 0")
    if what.metric in METRICS and what.metric not in COUNTS and runs:
        splits = sorted(set.intersection(*(set[str](run.evaluation.splits) for run in runs)))
        if what.metric in TRAINING_METRICS:
            splits = ["train"] if what.metric in ONLY_TRAINING else [*splits, "train"]
        if what.split not in splits:
            yield unknown(claim.file, f"{key}.split", what.split, splits)
    if what.metric == "accuracy" and any(run.task.loss == "half_mse" for run in runs):
        yield Problem(claim.file, f"{key}.metric", "accuracy of real numbers", "loss")
    yield from _reduction_problems(claim, what, runs, key)
    if claim.profile.max_epochs is None and runs:
        last = min(run.epochs for run in runs)
        listed = what.epochs if isinstance(what.epochs, tuple) else (what.epochs or 0,)
        if max((*listed, what.from_epoch)) > last:
            found = f"{max((*listed, what.from_epoch)):g}"
            yield Problem(claim.file, f"{key}.epochs", found, f"at most {last}, the runs' length")
        elif what.reduce in ("at", "mean_at") and what.metric in METRICS:
            yield from _moment_problems(claim, listed, runs, key)


def _moment_problems(
    claim: Claim, epochs: Sequence[float], runs: Sequence[RunConfig], key: str
) -> Iterator[Problem]:
    """Epochs at whose end some runs are not evaluated."""
    calendars = {(run.batches, run.task.train_size, run.evaluation): run for run in runs}
    moments = [evaluated(run) for run in calendars.values()]
    for epoch in epochs:
        for ends in moments:
            nearest_end = min(ends, key=lambda end: abs(end - epoch))
            if epoch > 0 and abs(nearest_end - epoch) >= SAME_EPOCH:
                allowed = f"the epoch of an evaluation (the nearest is {nearest_end:g})"
                yield Problem(claim.file, f"{key}.epochs", f"{epoch:g}", allowed)
                break


def _probe_problems(
    claim: Claim, what: Measure, runs: Sequence[RunConfig], key: str
) -> Iterator[Problem]:
    """What the probes of all runs will not have measured."""
    if not runs and what.metric.startswith(PREFIXES):
        return  # which probes there are is not known
    probed = [probed_metrics(run) for run in runs]
    common = [m for m in probed[0] if all(m in other for other in probed)] if probed else []
    if what.metric not in common:
        words = [*METRICS, *common]
        sketched = [word for word in common if word.startswith("displacement_")][1:-2]
        shown = ", ".join(word for word in sorted(words) if word not in sketched)
        near = nearest(what.metric, words)
        yield Problem(claim.file, f"{key}.metric", repr(what.metric), shown, near)
        return
    if what.split != "train":
        yield unknown(claim.file, f"{key}.split", what.split, ["train"])
    for epoch in what.epochs if isinstance(what.epochs, tuple) else ():
        for at in {metrics[what.metric] for metrics in probed}:
            if epoch not in at and (at or epoch == 0):
                allowed = ", ".join(f"{e:g}" for e in at) or "epochs above 0"
                yield Problem(claim.file, f"{key}.epochs", f"{epoch:g}", f"{allowed}, the probe's")


RUN_BY_RUN = ("final", "largest", "smallest", "first", "onset")
"""Reductions for which runs need not have ended at the same time."""
USERS = {
    "at_most": "first",
    "at_least": "first",
    "of": "first",
    "rise": "onset",
    "otherwise": "first or onset",
}
"""Which reduction has use for a key of a measure."""


def _reduction_problems(
    claim: Claim, what: Measure, runs: Sequence[RunConfig], key: str
) -> Iterator[Problem]:
    """What a measure that waits for something lacks, and what only such a measure may say."""
    limits = [name for name in ("at_most", "at_least") if getattr(what, name) is not None]
    counted = what.metric in COUNTS
    if what.reduce in ("first", "onset"):
        if what.otherwise is None:
            allowed = "a number, for runs that never get there"
            yield Problem(claim.file, f"{key}.otherwise", "nothing", allowed)
        if counted:
            found = f"{what.metric} with reduce {what.reduce}"
            yield Problem(claim.file, f"{key}.metric", found, "loss, accuracy")
    if what.reduce not in RUN_BY_RUN and any(run.stop_at is not None for run in runs):
        found = f"{what.reduce} of runs that end when they reach a target"
        yield Problem(claim.file, f"{key}.reduce", found, ", ".join(RUN_BY_RUN))
    if what.reduce == "first" and len(limits) != 1:
        yield Problem(claim.file, key, "not one limit", "at_most or at_least")
    if what.reduce == "onset" and what.metric != "loss" and not counted:
        yield Problem(claim.file, f"{key}.metric", what.metric, "loss")
    plain = Measure(what.metric)
    for name, user in USERS.items():
        if what.reduce not in user.split(" or ") and getattr(what, name) != getattr(plain, name):
            found = f"with reduce {what.reduce}"
            yield Problem(claim.file, f"{key}.{name}", found, f"reduce: {user}, or no {name}")
    wants_time = what.metric == "seconds" or (what.reduce == "first" and what.of == "seconds")
    if wants_time and not all(run.timed for run in runs):
        yield Problem(claim.file, key, "seconds of runs that are not timed", "timed: true")
