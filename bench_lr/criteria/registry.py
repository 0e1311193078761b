"""The kinds of criterion, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, get_type_hints

from bench_lr.criteria.comparison import MIN_SEEDS
from bench_lr.criteria.result import CriterionError, CriterionResult
from bench_lr.stats import FloatArray

Arms = Mapping[str, FloatArray]
Evaluation = Callable[..., CriterionResult]
Check = Callable[[Mapping[str, Any], Sequence[str] | None], Iterable[str]]
Shape = Literal["seeds", "times", "curves", "values"]


@dataclass(frozen=True)
class Kind:
    """A registered kind of criterion; see `criterion` for the attributes."""

    name: str
    function: Evaluation
    arm_params: tuple[str, ...]
    min_seeds: int
    shape: Shape
    every_arm: bool
    may_all_diverge: bool
    margin_param: str
    check: Check | None


KINDS: dict[str, Kind] = {}


def criterion(
    name: str,
    *,
    arm_params: Sequence[str] = (),
    min_seeds: int = MIN_SEEDS,
    shape: Shape = "seeds",
    every_arm: bool = False,
    may_all_diverge: bool = False,
    margin_param: str = "margin",
    check: Check | None = None,
) -> Callable[[Evaluation], Evaluation]:
    """Register a function ``(arms, *, parameters) -> CriterionResult`` as a kind of criterion.

    Parameters
    ----------
    name : str
        What a claim file calls it.
    arm_params : sequence of str
        Parameters that name arms: a name, a list of names, or a mapping whose keys are names.
    min_seeds : int
        With fewer seeds the verdict is "incomplete"; one is enough when the caller says
        ``exact=True`` and all seeds agree.
    shape : {"seeds", "times", "curves", "values"}
        What the function is given. ``seeds``: arrays (seeds,) only. ``times``: always (seeds,
        times), an array (seeds,) becoming one time. ``curves``: the same, and the caller must have
        given (seeds, times). ``values``: as the caller gave it, entries of one array not being
        seeds, so that arms need not have the same length.
    every_arm : bool
        All arms are looked at, not only those that the parameters name.
    may_all_diverge : bool
        Arms without a single finite value can be judged.
    margin_param : str
        Parameter that a result reports as its margin, if the kind has it.
    check : callable, optional
        Given all parameters, defaults included, and the names of all arms (None if not known),
        yields what is wrong with them.

    Raises
    ------
    ValueError
        The name is taken, or `arm_params` names no parameter of the function.
    """

    def register(function: Evaluation) -> Evaluation:
        if name in KINDS:
            raise ValueError(f"criterion kind {name!r} is registered twice")
        kind = Kind(
            name,
            function,
            tuple(arm_params),
            min_seeds,
            shape,
            every_arm,
            may_all_diverge,
            margin_param,
            check,
        )
        if strangers := set(arm_params) - set(_parameters(kind)):
            raise ValueError(f"{name}: no such parameters: {', '.join(sorted(strangers))}")
        KINDS[name] = kind
        return function

    return register


def nearest(word: object, allowed: Iterable[str], what: str) -> str:
    """Say what is allowed and, if there is one, which allowed word is nearest."""
    words = list(allowed)
    lower = {w.lower(): w for w in reversed(words)}
    close = get_close_matches(str(word).lower(), lower, n=1, cutoff=0.5)
    hint = f"nearest: {lower[close[0]]!r}; " if close else ""
    return f"({hint}{what}: {', '.join(words) or 'none'})"


def find(name: str) -> Kind:
    """Kind registered as `name`; a `CriterionError` says which is nearest to an unknown one."""
    if name not in KINDS:
        raise CriterionError(f"unknown criterion kind {name!r} {nearest(name, KINDS, 'kinds')}")
    return KINDS[name]


@cache
def _parameters(kind: Kind) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(kind.function)
    return {
        name: parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(kind.function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def parameters(kind: str) -> dict[str, inspect.Parameter]:
    """What a claim file may say for a criterion of this kind.

    Returns
    -------
    dict of name to inspect.Parameter
        Each with its type as annotation and its default; a parameter whose default is
        ``inspect.Parameter.empty`` is required. ``KINDS[kind].arm_params`` lists those that name
        arms.

    Raises
    ------
    CriterionError
        If no such kind is registered; says which is nearest.
    """
    return dict(_parameters(find(kind)))


def arm_names(value: object) -> list[str]:
    """Arms named by the value of an arm parameter: a name, names, or a mapping's keys."""
    if isinstance(value, str):
        return [value]
    return [str(name) for name in value] if isinstance(value, Iterable) else []
