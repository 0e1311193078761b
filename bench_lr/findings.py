"""What is kept of a judged claim, and the part of it that can be compared with another one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from bench_lr.claims.problems import adapter
from bench_lr.identity import ENGINE_VERSION
from bench_lr.schema import COUNTS, CriterionSpec
from bench_lr.stats import prediction_interval
from bench_lr.verdict import ClaimVerdict, Judged, VerdictWord


@dataclass(frozen=True)
class CriterionFinding:
    """One criterion's verdict and number.

    Attributes
    ----------
    sd : float or None
        Between-seed standard deviation of what `estimate` is the mean of; None for shares of seeds.
    seeds : int
        Seeds given, diverged ones included.
    exact : bool
        The number has no chance in it: counts, calculations, what the claim calls exact.
    centre : float or None
        Where the estimate is the one farthest from here among several, to either side: which side
        is chance, so distances are compared. None: the estimate itself is.
    """

    id: str
    kind: str
    role: str
    verdict: VerdictWord
    estimate: float | None
    ci: tuple[float, float] | None
    sd: float | None
    margin: float | None
    seeds: int
    exact: bool = False
    centre: float | None = None


@dataclass(frozen=True)
class ArmFinding:
    """How many of an arm's seeds diverged."""

    seeds: int
    diverged: int


@dataclass(frozen=True)
class Finding:
    """A judged claim, as far as it can be compared.

    Attributes
    ----------
    diverged : int
        Runs that diverged, of all arms.
    arms : mapping
        By name; empty in records that do not say.
    seeds_differ : bool or None
        Whether runs of an arm that differ in seed gave different results; None where that is not
        known.
    device, versions, commit, data_sha256, engine
        Where the runs came from; what is empty is not known.
    """

    verdict: VerdictWord
    criteria: list[CriterionFinding]
    note: str = ""
    diverged: int = 0
    arms: dict[str, ArmFinding] = field(default_factory=dict)
    seeds_differ: bool | None = None
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    data_sha256: str = ""
    engine: int | None = None


_ALIKE = 1e-4
"""Relative difference of losses below which it is rounding: seeds are a hundred times as far."""


def entry_of(verdict: ClaimVerdict) -> dict[str, Any]:
    """Return what is kept of a judged claim."""
    origin = verdict.provenance
    lost = diverged_seeds(verdict.frame)
    return {
        "verdict": verdict.verdict,
        "note": verdict.note,
        "runs": verdict.runs,
        "diverged": verdict.diverged,
        "train_seconds": round(verdict.train_seconds, 1),
        "criteria": [_criterion(judged) for judged in verdict.criteria],
        "arms": {
            arm.name: {"seeds": len(arm.runs), "diverged": lost.get(arm.name, 0)}
            for arm in verdict.claim.arms
        },
        "seeds_differ": _seeds_differ(verdict.frame),
        "recorded_on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": origin.device,
        "versions": origin.versions,
        "commit": origin.commit,
        "data_sha256": origin.data_sha256,
        "engine": ENGINE_VERSION if verdict.claim.arms else None,
    }


def finding(entry: Mapping[str, Any]) -> Finding:
    """Return what can be compared of an entry, which must be sound; see `check_entries`."""
    return cast("Finding", adapter(Finding).validate_json(json.dumps(entry), strict=True))


def finding_of(verdict: ClaimVerdict) -> Finding:
    """Return what can be compared of a judged claim: the same as if it were recorded and read."""
    return finding(entry_of(verdict))


def check_entries(entries: object) -> None:
    """Raise ValueError unless these are entries by profile."""
    adapter(dict[str, Finding]).validate_json(json.dumps(entries), strict=True)


def diverged_seeds(frame: pd.DataFrame) -> dict[str, int]:
    """Count the seeds of arms in which a value is not finite; arms without any are left out."""
    if not len(frame):
        return {}
    broken = frame[~np.isfinite(frame["value"].astype(float))]
    counts = broken.groupby("arm", observed=True)["seed"].nunique()
    return {str(arm): int(count) for arm, count in counts.items()}


def _seeds_differ(frame: pd.DataFrame) -> bool | None:
    losses = frame[frame["metric"] == "loss"]
    if not len(losses):
        return None
    # Later, rounding may have grown, as seeds need not stand at the same place in a matrix.
    first = losses[losses["step"] == losses.groupby("arm", observed=True)["step"].transform("min")]
    values = first.groupby(["arm", "split"], observed=True)["value"]
    spans = values.agg(["min", "max", "count"])
    several = spans[spans["count"] > 1]
    apart = several["max"] - several["min"] > _ALIKE * several["max"].abs()
    return bool(apart.any()) if len(several) else None


def _criterion(judged: Judged) -> dict[str, Any]:
    entry = judged.as_dict()
    # Estimates are compared, tests of them are not.
    del entry["p_value"]
    return {
        **entry,
        "prediction": _prediction(judged),
        "exact": _exact(judged.spec),
        "centre": _centre(judged),
    }


def _prediction(judged: Judged) -> tuple[float, float] | None:
    """Interval in which the estimate of an equal experiment on other seeds should fall."""
    result = judged.result
    if result.estimate is None or result.sd is None or result.seeds < 2:
        return None
    return prediction_interval(result.estimate, result.sd, result.seeds, result.seeds)


def _exact(spec: CriterionSpec) -> bool:
    counted = spec.measure is not None and spec.measure.metric in COUNTS
    return spec.kind in ("table", "contradicts") or counted or bool(spec.params.get("exact"))


def _centre(judged: Judged) -> float | None:
    spec, rows = judged.spec, len(judged.result.details)
    if spec.kind == "curves_match" or (spec.kind == "equivalent" and rows > 1):
        return 0.0
    low, high = spec.params.get("low"), spec.params.get("high")
    if spec.kind == "stays_within" and rows > 1 and low is not None and high is not None:
        return (float(low) + float(high)) / 2
    return None
