"""Would the verdict of a criterion have been another one on slightly other evidence?

Shown beside a verdict, never used for one: without any one of the seeds; with the other metric,
cross-entropy beside accuracy; with another window of the training's end. A margin in units of one
metric means nothing in another, so the other metric is asked only where the criterion has none
(a margin of 0); where a claim has a reading on it with a margin of its own, that is shown instead.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from bench_lr.criteria import CriterionError, CriterionResult
from bench_lr.criteria.comparison import MIN_SEEDS
from bench_lr.measure import MeasureError
from bench_lr.schema import COUNTS, CriterionSpec, Measure
from bench_lr.verdict import Judged, Variant

MOST_SEEDS = 64
"""Above, one seed more or less makes no difference worth the time."""
LAST_EPOCHS = 5
OTHER_METRIC = {"accuracy": "loss", "loss": "accuracy"}
NAMES = {"accuracy": "accuracy", "loss": "cross-entropy"}

Evaluate = Callable[[CriterionSpec, int | None], CriterionResult]
"""Judge a criterion as it is given, without the seed at a position (None: with all)."""


def variants(judged: Judged, evaluate: Evaluate) -> tuple[Variant, ...]:
    """Verdicts of a criterion on other evidence; none for one that is exact.

    A criterion without a measure of its own looks at derived quantities or simulations: it is
    judged without any one of the seeds only.
    """
    spec, result = judged.spec, judged.result
    if spec.params.get("exact") or (spec.measure is not None and spec.measure.metric in COUNTS):
        return ()
    if result.verdict == "incomplete":
        return ()
    found = list(_without_a_seed(spec, result, evaluate))
    for label, other in _others(spec, spec.measure) if spec.measure is not None else ():
        try:
            found.append(Variant(label, evaluate(other, None).verdict))
        except (CriterionError, MeasureError):
            # The runs do not have it: no accuracy of a regression, no epochs before the last.
            continue
    return tuple(found)


def line(judged: Judged, others: Sequence[Judged] = ()) -> str:
    """Say in one line whether the verdict survives; `others` are the claim's other criteria."""
    spec = judged.spec
    told = [f"{variant.label}: {variant.verdict}" for variant in judged.variants]
    for other in others:
        if other.spec.role == "reading" and other.spec.kind == spec.kind and told:
            metric = other.spec.measure.metric if other.spec.measure else ""
            if spec.measure is not None and metric == OTHER_METRIC.get(spec.measure.metric):
                told.append(f"{NAMES[metric]} ({other.spec.id}): {other.result.verdict}")
    return "; ".join(told)


def _without_a_seed(
    spec: CriterionSpec, result: CriterionResult, evaluate: Evaluate
) -> Iterator[Variant]:
    if not MIN_SEEDS < result.seeds <= MOST_SEEDS:
        return
    words = Counter(evaluate(spec, seed).verdict for seed in range(result.seeds))
    told = ", ".join(f"{word} in {n} of {result.seeds}" for word, n in words.most_common())
    yield Variant("without one seed", told if len(words) > 1 else next(iter(words)))


def _others(spec: CriterionSpec, what: Measure) -> Iterator[tuple[str, CriterionSpec]]:
    windows = {
        "final": Measure(what.metric, what.split),
        f"last {LAST_EPOCHS} epochs": Measure(what.metric, what.split, "mean_last", LAST_EPOCHS),
        "best evaluation": Measure(what.metric, what.split, _best(spec)),
    }
    if what.reduce in ("final", "mean_last"):
        for label, window in windows.items():
            if window != what:
                yield label, dataclasses.replace(spec, measure=window)
    if what.reduce in ("first", "onset"):
        # A limit is in units of its metric.
        return
    metric = OTHER_METRIC.get(what.metric)
    if metric is not None and not spec.params.get("margin") and _has_direction(spec):
        better = not spec.params.get("larger_is_better", True)
        other = dataclasses.replace(
            spec,
            measure=dataclasses.replace(what, metric=metric),
            params={**spec.params, "larger_is_better": better},
        )
        yield NAMES[metric], other


def _has_direction(spec: CriterionSpec) -> bool:
    return spec.kind in ("superior", "ordered", "overtakes") or (
        spec.kind == "slope" and "choice" in {**spec.params, **spec.by_arm}
    )


def _best(spec: CriterionSpec) -> Literal["largest", "smallest"]:
    return "largest" if spec.params.get("larger_is_better", True) else "smallest"
