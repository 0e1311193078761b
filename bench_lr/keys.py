"""Equal content, equal key: canonical JSON, its digest, and keys of random streams."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal content gives equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `parts`."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def stream_key(*parts: Any) -> int:
    """A 128-bit key for a counter-based generator, from what the stream may depend on.

    Composition independence rests on this: a stream's key names the seed and the purpose
    (init, order, split, dropout), never the LR or the cohort.
    """
    return int(digest(*parts)[:32], 16)
