"""Who a run is: canonical JSON, run ids, and the random streams that hang on the seed alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from bench_lr.schema import RunConfig

ENGINE_VERSION = 2
"""Raised by hand when a change of the engine changes numbers: old results are then retrained."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal content gives equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `parts`."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def config_dict(config: Any) -> dict[str, Any]:
    """Return a configuration dataclass as plain JSON types."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def run_id(config: RunConfig) -> str:
    """Identity of a run: the fully resolved training config and the engine version."""
    return digest(config_dict(config), ENGINE_VERSION)


def stream_key(*parts: Any) -> int:
    """A 128-bit key for a counter-based generator, from what the stream may depend on.

    Composition independence rests on this: a stream's key names the seed and the purpose
    (init, order, split, dropout), never the LR or the cohort.
    """
    return int(digest(*parts)[:32], 16)
