"""From arrays and parameters to a result: the checks that every criterion passes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench_lr.criteria.registry import Kind, arm_names, find, parameters
from bench_lr.criteria.result import CriterionError, CriterionResult
from bench_lr.criteria.validation import problems
from bench_lr.stats import FloatArray


def _arrays(arms: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    if not isinstance(arms, Mapping) or not arms:
        raise CriterionError("arms must be a mapping of names to arrays with at least one arm")
    arrays = {}
    for name, given in arms.items():
        try:
            values = np.array(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise CriterionError(f"arm {name!r} is not an array of numbers: {error}") from error
        if values.ndim not in (1, 2):
            raise CriterionError(
                f"arm {name!r} must have shape (seeds,) or (seeds, times), not {values.shape}"
            )
        if values.size == 0:
            raise CriterionError(f"arm {name!r} is empty: shape {values.shape}")
        values[~np.isfinite(values)] = np.nan
        arrays[name] = values
    return arrays


def _shaped(kind: Kind, arms: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Bring the arms to the shape that the kind works on."""
    if kind.shape == "values":
        return arms
    for name, values in arms.items():
        if kind.shape == "curves" and values.ndim == 1:
            raise CriterionError(f"{kind.name} needs arms (seeds, times); {name!r} is (seeds,)")
        if kind.shape == "seeds" and values.ndim == 2 and values.shape[1] > 1:
            raise CriterionError(
                f"{kind.name} needs arms (seeds,), one number per seed; {name!r} has shape "
                f"{values.shape}"
            )
    if kind.shape == "seeds":
        return {name: values.reshape(len(values)) for name, values in arms.items()}
    shaped = {name: values.reshape(len(values), -1) for name, values in arms.items()}
    if len({values.shape[1] for values in shaped.values()}) > 1:
        lengths = ", ".join(f"{name!r}: {values.shape[1]}" for name, values in shaped.items())
        raise CriterionError(f"{kind.name}: the arms have different numbers of times ({lengths})")
    return shaped


def evaluate(kind: str, arms: Mapping[str, ArrayLike], **params: Any) -> CriterionResult:
    """Judge one criterion.

    Parameters
    ----------
    kind : str
        One of `KINDS`; its docstring states the hypothesis, the test and the parameters.
    arms : mapping of name to array, shape (seeds,) or (seeds, times)
        Metric of the runs of each arm, seed-paired by position. A value that is not finite means
        that the run had diverged.
    **params
        Parameters of the kind; see `parameters`.

    Returns
    -------
    CriterionResult
        "incomplete", without numbers, if there are several seeds but fewer than the kind needs.

    Raises
    ------
    CriterionError
        Unknown kind, unknown, missing or wrong parameters, unknown arms (each with the nearest
        match), arms that are empty, not paired or of the wrong shape, a single seed, or nothing but
        diverged runs.
    """
    known = find(kind)
    arrays = _arrays(arms)
    if found := problems(kind, params, arrays):
        raise CriterionError("; ".join(found))
    if known.shape != "values" and len({len(values) for values in arrays.values()}) > 1:
        lengths = ", ".join(f"{name!r}: {len(values)}" for name, values in arrays.items())
        raise CriterionError(f"{kind}: the arms are not seed-paired, numbers of seeds: {lengths}")
    names = [arm for name in known.arm_params for arm in arm_names(params.get(name))]
    if known.every_arm or not names:
        names = list(arrays)
    used = _shaped(known, {name: arrays[name] for name in dict.fromkeys(names)})
    if not known.may_all_diverge and all(np.isnan(values).all() for values in used.values()):
        raise CriterionError(f"{kind}: all runs diverged in all arms ({', '.join(used)})")
    seeds = len(next(iter(used.values())))
    agree = all(bool((values == values[:1]).all()) for values in used.values())
    needed = 1 if params.get("exact") and agree else known.min_seeds
    if known.shape != "values" and seeds == 1 < needed:
        exact = ", or exact=True for a number without chance" if "exact" in parameters(kind) else ""
        raise CriterionError(f"{kind}: one seed shows no spread to judge by: {needed} seeds{exact}")
    if known.shape != "values" and seeds < needed:
        default = parameters(kind).get(known.margin_param)
        margin = params.get(known.margin_param, default.default if default else None)
        note = f"{seeds} of the {needed} seeds needed"
        return CriterionResult("incomplete", None, None, margin, seeds, None, None, None, note)
    return known.function(used, **params)
