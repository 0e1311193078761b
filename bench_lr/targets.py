"""Whether values meet a limit: what a run may stop at, and what is waited for in judging."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def meets(
    values: npt.NDArray[np.float64], at_most: float | None, at_least: float | None
) -> npt.NDArray[np.bool_]:
    """Whether each value keeps the limits that are given; one that is not a number keeps none."""
    kept = ~np.isnan(values)
    if at_most is not None:
        kept &= values <= at_most
    if at_least is not None:
        kept &= values >= at_least
    return kept
