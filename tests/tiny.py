"""Claims that train in a second, on made-up images, and are clearly true or clearly false."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from bench_lr.claims import conf_roots, load_claims
from bench_lr.schema import RunConfig
from tests.claims.samples import write

SEEDS = 6
"""As few as may judge."""

TRAIN: dict[str, Any] = {
    "task": "synthetic",
    "model": {"layers": [{"kind": "flatten"}, {"kind": "linear", "out_features": 10}]},
    "batch_size": 20,
    "epochs": 1,
    "train_size": 200,
    "validation_size": 100,
}


def claim(treatment: str, control: str, **fields: Any) -> dict[str, Any]:
    """Return a claim that the accuracy of one arm is higher than the other's."""
    content: dict[str, Any] = {
        "title": f"{treatment} beats {control}",
        "statement": "One learning rate trains, the other does not.",
        "place": "page 1",
        "source_says": f"{treatment} works better",
        "cost": "s",
        "seeds": SEEDS,
        "train": copy.deepcopy(TRAIN),
        "grid": {"lr": [0.5, 0.000001]},
        "criteria": [
            {
                "id": "better",
                "kind": "superior",
                "measure": {"metric": "accuracy"},
                "params": {"treatment": treatment, "control": control, "margin": 0.1},
            }
        ],
        "figure": {"kind": "curves"},
    }
    return {**content, **fields}


def counted() -> dict[str, Any]:
    """Return a claim about an exact number, whose runs are those of the others and more."""
    return claim(
        "batch_size=10 lr=0.5",
        "batch_size=20 lr=0.5",
        grid={"batch_size": [10, 20], "lr": [0.5]},
        criteria=[
            {
                "id": "twice_the_updates",
                "kind": "ratio",
                "measure": {"metric": "steps"},
                "params": {
                    "numerator": "batch_size=10 lr=0.5",
                    "denominator": "batch_size=20 lr=0.5",
                    "low": 2.0,
                    "high": 2.0,
                    "exact": True,
                },
            }
        ],
        figure={"kind": "counts"},
    )


def folder(root: Path) -> Path:
    """Write three claims: one reproduced, one refuted, one exact."""
    return write(
        root,
        {
            "me/counted": counted(),
            "me/false": claim("lr=1e-06", "lr=0.5"),
            "me/true": claim("lr=0.5", "lr=1e-06"),
        },
    )


def runs(root: Path, claim_id: str = "me/true", profile: str = "quick") -> list[RunConfig]:
    """Return the runs of a claim under `root`."""
    (found,) = load_claims([claim_id], profile, roots=[root, *conf_roots()])
    return [run for arm in found.arms for run in arm.runs]


def environment(conf: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that knows the claims under `conf`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_LR_")}
    kept = {k: v for k, v in os.environ.items() if k.startswith("BENCH_LR_DATA")}
    return {**clean, **kept, "BENCH_LR_CONF": str(conf), **more}
