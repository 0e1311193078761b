"""What can be said against the parameters of a criterion before any training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from bench_lr.criteria.registry import arm_names, find, nearest, parameters
from bench_lr.criteria.result import CriterionError


def problems(
    kind: str, params: Mapping[str, Any], arms: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Everything that is wrong with a criterion, as far as can be known before any training.

    Parameters
    ----------
    kind : str
        Kind of criterion.
    params : mapping
        Its parameters.
    arms : iterable of str, optional
        Names of the arms there will be; not checked when left out.

    Returns
    -------
    tuple of str
        One sentence per problem; empty if there is none.
    """
    try:
        known = find(kind)
    except CriterionError as error:
        return (str(error),)
    allowed = parameters(kind)
    found = [
        f"{kind}: unknown parameter {name!r} {nearest(name, allowed, 'parameters')}"
        for name in params
        if name not in allowed
    ]
    for name, parameter in allowed.items():
        if name not in params:
            if parameter.default is inspect.Parameter.empty:
                found.append(f"{kind}: missing parameter {name!r}")
        elif not _fits(params[name], parameter.annotation):
            wanted = inspect.formatannotation(parameter.annotation).replace("collections.abc.", "")
            found.append(f"{kind}: {name} must be {wanted}, not {params[name]!r}")
    sound = not found
    full = {n: params.get(n, p.default) for n, p in allowed.items()}
    given = None if arms is None else list(arms)
    for name in known.arm_params:
        if not _fits(full[name], allowed[name].annotation):
            continue
        named = arm_names(full[name])
        if len(set(named)) < len(named):
            found.append(f"{kind}: {name} names an arm twice")
        found += [
            f"{kind}: {name} names an unknown arm {arm!r} {nearest(arm, given, 'arms')}"
            for arm in named
            if given is not None and arm not in given
        ]
    if known.check is not None and sound:
        found += [f"{kind}: {problem}" for problem in known.check(full, given)]
    return tuple(found)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type; numbers must be finite, and no bool is a number."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, arg) for arg in args)
    if hint is Any:
        return True
    if origin is Literal:
        return value in args
    if hint in (None, NoneType):
        return value is None
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, Integral if hint is int else Real):
            return False
        return math.isfinite(value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items()
        )
    if origin is not None and issubclass(origin, Sequence):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            return False
        return all(_fits(item, args[0]) for item in value)
    return isinstance(value, hint)


def margin_problems(params: Mapping[str, Any], _: Sequence[str] | None = None) -> Iterator[str]:
    """A margin that widens what is claimed cannot be negative."""
    if params["margin"] < 0:
        yield f"margin must be 0 or more, not {params['margin']}"


def range_problems(params: Mapping[str, Any], _: Sequence[str] | None = None) -> Iterator[str]:
    """A range needs an end, and its ends in order."""
    low, high = params["low"], params["high"]
    if low is None and high is None:
        yield "give low, high or both"
    elif low is not None and high is not None and low > high:
        yield f"low {low} exceeds high {high}"


def different_arms(params: Mapping[str, Any], first: str, second: str) -> Iterator[str]:
    """An arm cannot be compared with itself."""
    if params[first] == params[second]:
        yield f"{first} and {second} are the same arm {params[first]!r}"
