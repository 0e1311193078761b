"""At which level criteria are judged: 2.5 % a side, or what one of several looks may spend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ALPHA = 0.025
"""Chance of a wrong verdict on either side."""

_alpha: ContextVar[float] = ContextVar("alpha", default=ALPHA)


def alpha() -> float:
    """Return the one-sided level of the judgement at hand."""
    return _alpha.get()


def coverage() -> float:
    """Return the coverage of its two-sided intervals, 95 % unless looks share it."""
    return 1.0 - 2.0 * alpha()


@contextmanager
def judged_at(level: float) -> Iterator[None]:
    """Judge at another one-sided level inside the context.

    Raises
    ------
    ValueError
        If it does not lie between 0 and a half.
    """
    if not 0.0 < level < 0.5:
        raise ValueError(f"a one-sided level lies between 0 and 0.5, not {level}")
    token = _alpha.set(level)
    try:
        yield
    finally:
        _alpha.reset(token)
