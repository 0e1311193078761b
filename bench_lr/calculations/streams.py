"""Random numbers of simulations: fixed by the name of what they are for and the seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench_lr.keys import stream_key


def generators(purpose: str, seeds: int) -> Iterator[np.random.Generator]:
    """Yield a counter-based generator for each seed.

    Its stream hangs on the purpose and the seed alone: simulations that differ in a setting draw
    the same numbers, and are seed-paired as trained runs are.
    """
    for seed in range(seeds):
        yield np.random.Generator(np.random.Philox(key=stream_key("calculation", purpose, seed)))


def is_simulated(calculation: object) -> bool:
    """Whether a calculation has seeds, so that its first axis is seeds and not numbers."""
    return hasattr(calculation, "seeds")
