"""How loops over numbers are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a function at its first call, and keep the result on disk where that is possible.

    Products and sums may be contracted (fused multiply-add); nothing is reordered.
    """
    return _compiled(function, {"contract"})


def reordered(function: Callable[..., None]) -> Callable[..., None]:
    """Do the same for a function whose sums may be taken in any order, as those of a GEMM are."""
    return _compiled(function, {"contract", "reassoc", "nsz"})


def _compiled(function: Callable[..., None], fastmath: set[str]) -> Callable[..., None]:
    options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True}
    try:
        made = numba.njit(function, cache=True, **options)
    except RuntimeError:  # there is nowhere to write
        made = numba.njit(function, **options)
    return cast("Callable[..., None]", made)
