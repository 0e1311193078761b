"""Who a run is: canonical JSON, run ids, and the random streams that hang on the seed alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from bench_lr.schema import RunConfig

ENGINE_VERSION = 3
"""Raised by hand when a change of the engine changes numbers: old results are then retrained."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal content gives equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `parts`."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def config_dict(config: Any) -> dict[str, Any]:
    """Return a configuration dataclass as plain JSON types, none of them shared with it."""
    values = vars(config)
    return {name: _plain(values[name]) for name in _field_names(config.__class__)}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return config_dict(value) if dataclasses.is_dataclass(value) else value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def run_id(config: RunConfig) -> str:
    """Identity of a run: the fully resolved training config and the engine version."""
    return digest(config_dict(config), ENGINE_VERSION)


def run_ids(configs: Iterable[RunConfig]) -> list[str]:
    """Identities of many runs, in order: `run_id` of each, at a tenth of the cost.

    Runs of an arm share most of their configuration (the same objects); it is spelled once.
    """
    configs = list(configs)
    names = sorted(_field_names(RunConfig))
    values = attrgetter(*names)
    fields = ",".join(f"{canonical_json(name)}:%s" for name in names)
    whole = f"[{{{fields}}},{canonical_json(ENGINE_VERSION)}]"
    # By identity, not equality: 1 and 1.0 are equal and spelled differently. The list above keeps
    # the objects alive, so that none is taken for another.
    texts: dict[int, str] = {}

    def spelled(value: Any) -> str:
        text = texts.get(id(value))
        if text is None:
            text = texts[id(value)] = canonical_json(_plain(value))
        return text

    return [
        hashlib.sha256((whole % tuple(map(spelled, values(config)))).encode()).hexdigest()
        for config in configs
    ]


def stream_key(*parts: Any) -> int:
    """A 128-bit key for a counter-based generator, from what the stream may depend on.

    Composition independence rests on this: a stream's key names the seed and the purpose
    (init, order, split, dropout), never the LR or the cohort.
    """
    return int(digest(*parts)[:32], 16)
