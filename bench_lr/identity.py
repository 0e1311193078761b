"""Who a run is: canonical JSON, run ids, and the random streams that hang on the seed alone."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from bench_lr.keys import canonical_json, digest, stream_key
from bench_lr.schema import RunConfig

__all__ = [
    "ENGINE_VERSION",
    "canonical_json",
    "config_dict",
    "digest",
    "run_id",
    "run_ids",
    "stream_key",
]

ENGINE_VERSION = 4
"""Raised by hand when a change of the engine changes numbers: old results are then retrained."""


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
