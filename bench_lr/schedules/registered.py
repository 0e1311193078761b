"""Schedules of the user's own: a function of the clock, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from bench_lr.imported import digest_of
from bench_lr.registry import registering
from bench_lr.schedules.clock import Clock, Floats

Function = Callable[..., Floats]

SCHEDULES: dict[str, Function] = {}


def schedule(name: str) -> Callable[[Function], Function]:
    """Register ``function(clock, *, numbers...) -> multipliers`` under a name.

    A claim uses it as ``schedule: {kind: registered, name: <name>, params: {<number>: ...}}``. It
    has to be a pure function of the clock and its parameters: the engine evaluates it once for all
    steps of a run, shape (steps,), and multiplies the base LR by the result, which is to be finite
    and not negative.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    return registering(SCHEDULES, name, "schedule")


def _pairs(given: Any) -> Any:
    """Take a mapping, as in a claim's file, or a list of pairs, as in a plan's."""
    if isinstance(given, Mapping):
        return tuple(sorted(given.items()))
    if isinstance(given, list):
        return tuple(tuple(it) if isinstance(it, list) else it for it in given)
    return given


@dataclass(frozen=True)
class Registered:
    """A schedule that a plugin has registered (`schedule`).

    Attributes
    ----------
    params : tuple of (name, number)
        A mapping in a claim's file.
    source : str
        What stands for the function's source; filled in.
    """

    name: str
    params: Annotated[tuple[tuple[str, float], ...], BeforeValidator(_pairs)] = ()
    source: str = ""
    kind: Literal["registered"] = "registered"

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            known = ", ".join(sorted(SCHEDULES)) or "none; BENCH_LR_PLUGINS names the modules"
            raise ValueError(f"a schedule that is registered ({known})")
        function = SCHEDULES[self.name]
        digest = digest_of(function)
        if self.source and self.source != digest:
            raise ValueError(f"the schedule {self.name!r} whose source is {self.source}")
        object.__setattr__(self, "source", digest)
        try:
            inspect.signature(function).bind(None, **dict(self.params))
        except TypeError as error:
            raise ValueError(f"the parameters of {self.name!r} ({error})") from None

    def multiplier(self, clock: Clock) -> Floats:
        """Multiplier of the base LR, shape (steps,).

        Raises
        ------
        ValueError
            If the function returns another shape, or numbers that are no multipliers.
        """
        found = np.asarray(SCHEDULES[self.name](clock, **dict(self.params)), np.float64)
        if found.shape != np.shape(clock.step):
            steps = np.shape(clock.step)
            raise ValueError(f"schedule {self.name!r} gives {found.shape} for {steps} steps")
        if not (np.isfinite(found).all() and (found >= 0).all()):
            raise ValueError(f"schedule {self.name!r} gives numbers that are no multipliers")
        return found
