"""Claim files made by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench_lr.claims import ConfigError, Problem, conf_roots, load_claims
from bench_lr.claims.check import check_claim
from bench_lr.schema import Claim

CLAIM: dict[str, Any] = {
    "title": "0.5 is best",
    "statement": "0.5 is better than 0.2 and 0.8.",
    "place": "figure 1",
    "source_says": "0.5 works best",
    "cost": "s",
    "train": {
        "task": "mnist",
        "model": "ae",
        "batch_size": 128,
        "epochs": 4,
        "train_size": 1000,
        "validation_size": 200,
    },
    "grid": {"lr": [0.2, 0.5, 0.8]},
    "criteria": [
        {
            "id": "best",
            "kind": "best_arm",
            "measure": {"metric": "accuracy", "reduce": "mean_last", "epochs": 2},
            "params": {"expected": "lr=0.5", "margin": 0.001},
            "order_by": "lr",
        }
    ],
    "figure": {"kind": "curves", "params": {"highlight": "lr=0.5"}},
}

Edit = Callable[[dict[str, Any]], object]


def put(*path: str | int, value: Any) -> Edit:
    """Return an edit that sets the value at `path`."""

    def edit(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    """Return an edit that deletes the key at `path`."""

    def edit(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        del content[path[-1]]

    return edit


def edited(*edits: Edit) -> dict[str, Any]:
    """Return the claim's content with edits."""
    content = copy.deepcopy(CLAIM)
    for edit in edits:
        edit(content)
    return content


def write(root: Path, claims: Mapping[str, Any]) -> Path:
    """Write claim files (content, text or bytes, by id) under `root`; return it."""
    for name, content in claims.items():
        path = root / "claim" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str | bytes) else yaml.safe_dump(content)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def load(root: Path, profile: str = "quick", **options: Any) -> list[Claim]:
    """Load and check the claims under `root`, whose groups are the project's own."""
    ids = [f"{p.parent.name}/{p.stem}" for p in (root / "claim").glob("*/*.yaml")]
    return load_claims(
        ids, profile, roots=[root, *conf_roots()], **{"check": check_claim, **options}
    )


def loaded(root: Path, *edits: Edit, **options: Any) -> Claim:
    """Load one edited claim."""
    (claim,) = load(write(root, {"me/one": edited(*edits)}), **options)
    return claim


def mistakes(root: Path, *edits: Edit, **options: Any) -> tuple[Problem, ...]:
    """Return what is said against an edited claim."""
    with pytest.raises(ConfigError) as caught:
        loaded(root, *edits, **options)
    return caught.value.problems


def keys(problems: Iterable[Problem]) -> list[str]:
    """Return the keys of problems, in order."""
    return [problem.key for problem in problems]
