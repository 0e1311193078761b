"""Verdicts made by hand, for tests of whatever reads verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench_lr.criteria import CriterionResult
from bench_lr.schema import (
    Arm,
    Claim,
    ClaimFile,
    CriterionSpec,
    FigureSpec,
    Linear,
    Measure,
    ModelConfig,
    OptimizerConfig,
    Phase,
    Profile,
    RunConfig,
    TaskConfig,
)
from bench_lr.verdict import ClaimVerdict, Judged, Provenance

COLUMNS = ["arm", "seed", "step", "epoch", "examples", "metric", "split", "value"]
QUICK = Profile(name="quick", seeds=8, may_judge=True, gpu_claims=False, description="minutes")
TASK = TaskConfig(data="mnist", train_size=55_000, validation_size=5_000)
MODEL = ModelConfig(layers=(Linear(64), Linear(10)))


def arm(
    name: str, *, lr: float = 0.5, batch_size: int = 128, seeds: int = 8, epochs: int = 15
) -> Arm:
    """Return an arm of `seeds` runs."""
    return Arm(
        name,
        tuple(
            RunConfig(
                task=TASK,
                model=MODEL,
                optimizer=OptimizerConfig(lr=lr),
                batches=(Phase(epochs, batch_size),),
                seed=seed,
            )
            for seed in range(seeds)
        ),
    )


def rising(
    ends: Mapping[str, float],
    *,
    seeds: int = 8,
    evaluations: int = 30,
    per_epoch: int = 2,
    start: float = 0.88,
    speeds: Mapping[str, float] | None = None,
    noise: float = 0.001,
    metric: str = "accuracy",
) -> pd.DataFrame:
    """Return tidy curves that go exponentially from `start` to each arm's end, with seed noise."""
    rng = np.random.default_rng(0)
    epoch = (1 + np.arange(evaluations)) / per_epoch
    parts = []
    for name, end in ends.items():
        rate = (speeds or {}).get(name, 0.35)
        for seed in range(seeds):
            curve = end + (start - end) * np.exp(-rate * epoch)
            value = curve + noise * (rng.normal() * 0.6 + rng.normal(size=evaluations) * 0.6)
            parts.append(
                pd.DataFrame(
                    {
                        "arm": name,
                        "seed": seed,
                        "step": (epoch * 430).astype(int),
                        "epoch": epoch,
                        "examples": (epoch * 55_000).astype(int),
                        "metric": metric,
                        "split": "validation",
                        "value": value,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else empty()


def empty() -> pd.DataFrame:
    """Return a frame without rows."""
    return pd.DataFrame(columns=COLUMNS)


def diverge(frame: pd.DataFrame, name: str, seeds: Sequence[int], after: float) -> pd.DataFrame:
    """Return `frame` with NaN from epoch `after` on in the given runs."""
    hit = (frame["arm"] == name) & frame["seed"].isin(seeds) & (frame["epoch"] > after)
    return frame.assign(value=frame["value"].mask(hit))


def judged(
    verdict: str = "reproduced",
    *,
    id: str = "best",
    kind: str = "best_arm",
    role: str = "claim",
    params: Mapping[str, Any] | None = None,
    metric: str = "accuracy",
    **result: Any,
) -> Judged:
    """Return a judged criterion; `result` replaces fields of its result."""
    fields: dict[str, Any] = {
        "verdict": verdict,
        "estimate": 0.0012,
        "ci": (0.0007, 0.0017),
        "margin": 0.001,
        "seeds": 8,
        "p_value": 0.003,
        "single_run_rate": 0.875,
        "single_run_ci": (0.529, 0.978),
        "note": "",
        **result,
    }
    spec = CriterionSpec(
        id=id,
        kind=kind,
        params=dict(params or {}),
        measure=Measure(metric=metric, reduce="mean_last", epochs=5),
        role=role,  # type: ignore[arg-type]
    )
    return Judged(spec, CriterionResult(**fields), metric)


def claim_verdict(
    figure: FigureSpec | None = None,
    *,
    id: str = "ai_edu/best_lr_batch_128",
    title: str = "At batch size 128 the best learning rate is 0.5",
    statement: str = "Of the learning rates 0.2, 0.3, 0.5 and 0.8, 0.5 trains best at batch 128.",
    source_says: str = "0.5 works best; 0.8 rises faster at first but ends up lower.",
    arms: Sequence[Arm] = (),
    verdict: str = "reproduced",
    criteria: Sequence[Judged] | None = None,
    frame: pd.DataFrame | None = None,
    shortened: str = "",
    cost: str = "m",
    profile: Profile = QUICK,
    remarks: str = "",
    **fields: Any,
) -> ClaimVerdict:
    """Return a judged claim."""
    found = tuple(criteria) if criteria is not None else (judged(verdict),)
    spec = ClaimFile(
        title=title,
        statement=statement,
        place="12.3, figure 12-9",
        source_says=source_says,
        cost=cost,  # type: ignore[arg-type]
        criteria=tuple(item.spec for item in found),
        figure=figure or FigureSpec("curves"),
        remarks=remarks,
    )
    claim = Claim(
        id=id,
        file=f"conf/claim/{id}.yaml",
        profile=profile,
        spec=spec,
        arms=tuple(arms),
        shortened=shortened,
    )
    settings: dict[str, Any] = {
        "runs": sum(len(item.runs) for item in arms),
        "train_seconds": 12.3,
        "provenance": Provenance(
            device="cpu (2 cores)",
            versions={"bench-lr": "0.1.0", "torch": "2.13.0"},
            commit="0123456789abcdef",
        ),
        **fields,
    }
    return ClaimVerdict(
        claim=claim,
        verdict=verdict,  # type: ignore[arg-type]
        criteria=found,
        frame=empty() if frame is None else frame,
        **settings,
    )


def many(count: int = 90, figure: FigureSpec | None = None) -> list[ClaimVerdict]:
    """Return as many judged claims of five sources, of every verdict and cost, with odd ones."""
    rng = np.random.default_rng(0)
    sources = ("ai_edu", "ai_edu", "ai_edu", "raschka", "baeldung", "lr_blog", "ai_edu_search")
    words = ("reproduced", "reproduced", "refuted", "inconclusive", "incomplete")
    ends = ("falls with the batch size", "is 0.5", "beats any fixed one, at every epoch, on both")
    found = []
    for place in range(count):
        source, verdict = sources[place % len(sources)], words[int(rng.integers(len(words)))]
        cost = "smmmG"[place % 5]
        centre, spread = rng.normal() * 10 ** rng.uniform(-4, -1), 10 ** rng.uniform(-4, -2)
        shares = (float(rng.random()), 0.0, 1.0)
        numbers: dict[str, Any] = {
            "estimate": centre,
            "ci": (centre - spread, centre + spread),
            "single_run_rate": shares[0],
            "single_run_ci": (max(0.0, shares[0] - 0.2), min(1.0, shares[0] + 0.2)),
        }
        if verdict == "incomplete" or cost == "G":
            verdict = "incomplete"
            numbers = {"estimate": None, "ci": None, "single_run_rate": None}
        title = f"Claim {place + 1}: the best learning rate {ends[place % len(ends)]}"
        found.append(
            claim_verdict(
                figure,
                id=f"{source}/claim_{place + 1:02d}",
                title=title + (", and this goes on for longer" if place % 4 == 0 else ""),
                verdict=verdict,
                cost=cost,
                criteria=[
                    judged(verdict, kind="slope" if place % 6 == 5 else "best_arm", **numbers)
                ],
            )
        )
    return sorted(found, key=lambda verdict: verdict.claim.id)
