"""``verdicts.json``: the report for other programs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench_lr.claims.sources import Source
from bench_lr.report.sections import figure_name, merged
from bench_lr.verdict import ClaimVerdict


def as_json(
    verdicts: Sequence[ClaimVerdict], profile: str, sources: Mapping[str, Source] | None = None
) -> str:
    """Return the report as JSON; NaN and infinities become null.

    Keys may be added, never renamed or removed: other people's tools read them. Estimates,
    intervals and margins are in stored units (accuracies as fractions).
    """
    origin = merged(verdicts)
    content = {
        "profile": profile,
        "device": origin.device,
        "versions": origin.versions,
        "commit": origin.commit,
        "dirty": origin.dirty,
        "claims": [_claim(verdict) for verdict in verdicts],
        "not_testable": [
            {"source": name, **dataclasses.asdict(item)}
            for name, source in (sources or {}).items()
            for item in source.not_testable
        ],
    }
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _claim(verdict: ClaimVerdict) -> dict[str, Any]:
    claim, spec = verdict.claim, verdict.claim.spec
    return {
        "id": claim.id,
        "source": claim.source,
        "title": spec.title,
        "statement": spec.statement,
        "place": spec.place,
        "cost": spec.cost,
        "source_says": spec.source_says,
        "verdict": verdict.verdict,
        "recorded": verdict.recorded,
        "note": verdict.note,
        "shortened": claim.shortened,
        "criteria": [judged.as_dict() for judged in verdict.criteria],
        "figure": f"figures/{figure_name(verdict)}.png",
        "runs": verdict.runs,
        "missing": verdict.missing,
        "failed": verdict.failed,
        "diverged": verdict.diverged,
        "train_seconds": verdict.train_seconds,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
