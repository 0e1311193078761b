"""Random numbers of simulations: fixed by the name of what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench_lr.keys import stream_key


def generator(*purpose: Any) -> np.random.Generator:
    """Return a counter-based generator whose stream hangs on `purpose` alone."""
    return np.random.Generator(np.random.Philox(key=stream_key("calculation", *purpose)))


def is_simulated(calculation: object) -> bool:
    """Whether a calculation has seeds, so that its first axis is seeds and not numbers."""
    return hasattr(calculation, "seeds")
