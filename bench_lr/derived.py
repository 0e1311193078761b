"""Quantities that a claim works out of its arms and calculations, seed by seed.

Criteria are given them like arms: a ratio of two metrics, the LR that is best in each seed, the
interaction of two changes. Which a claim may ask for is in `schema` (``Derived``).

To add a kind: a frozen dataclass with a literal ``kind`` in `schema`, named in ``Derived``; its
operands in `operands`, or its arms in `arm_patterns`; and its values in `_value`.

A number of one seed is worked out of numbers of that seed alone, so seeds can be left out or added.
NaN means a diverged run, and what is worked out of NaN is NaN. What has no value for another
reason, such as a division by zero, is an error: it must not pass for a diverged run.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np
import numpy.typing as npt

from bench_lr.calculations import is_simulated
from bench_lr.measure import MeasureError, measure
from bench_lr.results import Results
from bench_lr.schema import (
    BestSetting,
    BestValue,
    ClaimFile,
    Derived,
    Difference,
    Entry,
    LinearCombination,
    Log2Ratio,
    Measure,
    Measured,
    Ratio,
    Scaled,
    SketchDistance,
    ValueNear,
)
from bench_lr.tables import Floats

SKETCH = re.compile(r"displacement_(\d+)")
"""Metrics (on split train) that are the entries of a sketch of the displacement."""


_SLACK = 1e-9
"""Logarithms that differ by less are equal."""


class DerivedError(MeasureError):
    """A derived quantity has no value."""


@dataclass(frozen=True)
class ArmRuns:
    """What is needed of an arm: its results, in order of seed, and its settings."""

    results: Results
    setting: Callable[[str], float]


@dataclass(frozen=True)
class Derivation:
    """Derived quantities of a claim, by name.

    Attributes
    ----------
    values : mapping of name to array, shape (seeds,), (seeds, n) or, if exact, (n,)
    failures : mapping of name to str
        Why the others have no value; nothing is said of those that need runs which are not there.
    """

    values: dict[str, Floats]
    failures: dict[str, str]

    def value(self, name: str) -> Floats:
        """Values of a quantity.

        Raises
        ------
        DerivedError
            It has none; says why.
        """
        if name not in self.values:
            raise DerivedError(self.failures.get(name, f"{name}: runs are missing"))
        return self.values[name]


def operands(quantity: Derived) -> tuple[str, ...]:
    """Derived quantities and calculations that a quantity is worked out of."""
    match quantity:
        case Difference(of=of) | Ratio(of=of) | Log2Ratio(of=of):
            return of
        case LinearCombination(terms=terms):
            return tuple(terms)
        case Scaled(of=one) | Entry(of=one) | ValueNear(of=one):
            return (one,)
    return ()


def arm_patterns(quantity: Derived) -> tuple[str, ...]:
    """Arms that a quantity looks at: names, or patterns where several may match."""
    match quantity:
        case Measured(arm=arm):
            return (arm,)
        case SketchDistance(of=of):
            return of
        case BestSetting(arms=arms) | BestValue(arms=arms) | ValueNear(arms=arms):
            return arms
    return ()


def chosen(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Names that are, or match, one of the patterns, in their own order."""
    wanted = list(patterns)
    return [n for n in names if any(n == p or fnmatch.fnmatch(n, p) for p in wanted)]


def ordered(derived: Mapping[str, Derived]) -> list[str]:
    """Names of derived quantities, each after those it is worked out of.

    Raises
    ------
    graphlib.CycleError
        One is worked out of itself; ``args[1]`` is the circle of names.
    """
    graph = {name: [o for o in operands(q) if o in derived] for name, q in derived.items()}
    return list(TopologicalSorter(graph).static_order())


def circle(derived: Mapping[str, Derived]) -> list[str]:
    """Names of quantities that are worked out of one another in a circle, or nothing."""
    try:
        ordered(derived)
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def sources(spec: ClaimFile, name: str) -> tuple[set[str], set[str]]:
    """Arms (names or patterns) and calculations that a quantity is worked out of in the end."""
    arms: set[str] = set()
    calculations: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in spec.derived:
            arms.update(arm_patterns(spec.derived[one]))
            waiting += operands(spec.derived[one])
        elif one in spec.calculations:
            calculations.add(one)
        else:
            arms.add(one)
    return arms, calculations


def best_values(spec: ClaimFile, names: Iterable[str]) -> dict[str, BestValue]:
    """Quantities of kind ``best_value`` that these names are, or are worked out of."""
    found: dict[str, BestValue] = {}
    waiting = [name for name in names if name in spec.derived]
    while waiting:
        name = waiting.pop()
        quantity = spec.derived[name]
        if isinstance(quantity, BestValue):
            found[name] = quantity
        waiting += [o for o in operands(quantity) if o in spec.derived]
    return dict(sorted(found.items()))


def needs_runs(spec: ClaimFile, name: str) -> bool:
    """Whether an arm, a calculation or a derived quantity has to be trained for."""
    return bool(sources(spec, name)[0])


def is_exact(spec: ClaimFile, name: str) -> bool:
    """Whether a quantity has no seeds: it comes from formulas alone."""
    arms, calculations = sources(spec, name)
    return not arms and not any(is_simulated(spec.calculations[c]) for c in calculations)


def metric(spec: ClaimFile, name: str) -> str:
    """Metric in whose units a derived quantity is, or an empty string if it is in none's."""
    quantity = spec.derived.get(name)
    if isinstance(quantity, Measured | BestValue | ValueNear):
        return "" if quantity.measure.reduce in ("first", "onset") else quantity.measure.metric
    if isinstance(quantity, Difference | LinearCombination):
        found = {metric(spec, operand) for operand in operands(quantity)}
        return found.pop() if len(found) == 1 else ""
    return ""


def derive(
    spec: ClaimFile, calculations: Mapping[str, Floats], arms: Mapping[str, ArmRuns] | None
) -> Derivation:
    """Work out the derived quantities of a claim.

    Parameters
    ----------
    calculations : mapping of name to array, shape (n,), (seeds,) or (seeds, n)
    arms : mapping of name to ArmRuns, or None
        None where the runs cannot be judged: what needs them is left out.
    """
    found = Derivation({}, {})
    for name in ordered(spec.derived):
        if arms is None and needs_runs(spec, name):
            continue
        quantity = spec.derived[name]
        try:
            given = {
                o: _Operand(o, found.value(o), is_exact(spec, o))
                if o in spec.derived
                else _Operand(o, calculations[o], is_exact(spec, o))
                for o in operands(quantity)
            }
            found.values[name] = _value(quantity, given, arms or {})
        except DerivedError as error:
            # Of a quantity that this one is worked out of: it has said its name.
            found.failures[name] = str(error)
        except MeasureError as error:
            found.failures[name] = f"{name}: {error}"
    return found


@dataclass(frozen=True)
class _Operand:
    name: str
    values: Floats
    exact: bool

    @property
    def table(self) -> Floats:
        """Values (seeds, n); exact ones as one row, which goes for all seeds."""
        return self.values.reshape((1, -1) if self.exact else (len(self.values), -1))


def _value(quantity: Derived, given: Mapping[str, _Operand], arms: Mapping[str, ArmRuns]) -> Floats:
    match quantity:
        case Measured(arm=arm, measure=what):
            return _measured(arms[arm], what)
        case Difference(of=(first, second)):
            return _combined([given[first], given[second]], lambda a, b: a - b)
        case Ratio(of=(first, second)):
            if bool((given[second].values == 0).any()):
                raise MeasureError(f"{second} is 0 in a seed, and nothing can be divided by it")
            return _combined([given[first], given[second]], lambda a, b: a / b)
        case Log2Ratio(of=(first, second)):
            for name in (first, second):
                if bool((given[name].values <= 0).any()):
                    raise MeasureError(f"{name} is not positive in every seed: no logarithm")
            return _combined([given[first], given[second]], lambda a, b: np.log2(a) - np.log2(b))
        case LinearCombination(terms=terms):
            factors = list(terms.values())
            return _combined(
                [given[name] for name in terms],
                lambda *tables: sum(
                    (k * table for k, table in zip(factors, tables, strict=True)), np.zeros(())
                ),
            )
        case Scaled(of=name, by=by):
            return by * given[name].values
        case Entry(of=name, at=at):
            return _entry(given[name], at)
        case BestSetting(arms=patterns, measure=what, by=key, larger_is_better=larger):
            names = sorted(chosen(patterns, arms), key=lambda name: arms[name].setting(key))
            settings = np.array([arms[name].setting(key) for name in names])
            best, place = _best([_measured(arms[name], what) for name in names], larger)
            return np.where(np.isnan(best), np.nan, settings[place])
        case BestValue(arms=patterns, measure=what, larger_is_better=larger):
            return _best([_measured(arms[n], what) for n in chosen(patterns, arms)], larger)[0]
        case ValueNear(of=one, arms=patterns, measure=what, by=key):
            names = sorted(chosen(patterns, arms), key=lambda name: arms[name].setting(key))
            settings = np.array([arms[name].setting(key) for name in names])
            return _near(given[one], settings, [_measured(arms[name], what) for name in names])
        case SketchDistance(of=(first, second), at=at):
            return _distance(arms[first], arms[second], at, first)


def _measured(arm: ArmRuns, what: Measure) -> Floats:
    values, _ = measure(arm.results, what)
    if values.ndim == 2 and values.shape[1] > 1:
        raise MeasureError(f"{what.reduce} gives several numbers a seed; one is needed")
    # Overflow is divergence too.
    column = np.array(values, np.float64).reshape(len(values))
    column[~np.isfinite(column)] = np.nan
    return column


def _combined(given: Sequence[_Operand], function: Callable[..., Floats]) -> Floats:
    """Apply a function entry by entry; exact numbers go for all seeds, one number for all."""
    counted = {o.name: len(o.table) for o in given if not o.exact}
    if len(set(counted.values())) > 1:
        told = ", ".join(f"{name}: {n}" for name, n in counted.items())
        raise MeasureError(f"the seeds are not the same ({told})")
    wide = {o.name: o.table.shape[1] for o in given if o.table.shape[1] > 1}
    if len(set(wide.values())) > 1:
        told = ", ".join(f"{name}: {n}" for name, n in wide.items())
        raise MeasureError(f"the calculations have different numbers of values ({told})")
    table = np.asarray(function(*(o.table for o in given)), np.float64)
    result: Floats = table[0] if not counted else table[:, 0] if table.shape[1] == 1 else table
    return result


def _entry(operand: _Operand, at: int) -> Floats:
    table = operand.table
    if at >= table.shape[1]:
        raise MeasureError(f"{operand.name} has {table.shape[1]} values, from 0 on, and no {at}")
    return table[:, at]


def _best(columns: Sequence[Floats], larger: bool) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Best value of each seed, NaN where all are, and the place of the first that has it."""
    table = np.stack(columns, axis=1)
    scores = np.where(np.isnan(table), -np.inf, table if larger else -table)
    place = scores.argmax(axis=1)
    return table[np.arange(len(place)), place], place


def _near(wanted: _Operand, settings: Floats, columns: Sequence[Floats]) -> Floats:
    """Value of each seed in the column whose setting is nearest to what is wanted."""
    table = np.stack(columns, axis=1)
    if wanted.table.shape[1] > 1:
        raise MeasureError(f"{wanted.name} has several values a seed; one is needed")
    if bool((wanted.table <= 0).any()) or settings[0] <= 0:
        raise MeasureError(f"{wanted.name} and the settings it is near must be positive")
    column = wanted.table[:, 0]
    if not wanted.exact and column.size != len(table):
        raise MeasureError(f"the seeds are not the same ({wanted.name}: {column.size})")
    at = np.broadcast_to(np.log(column), (len(table),))
    grid = np.log(settings)
    if grid.size > 1:
        low, high = grid[0] - (grid[1] - grid[0]) / 2, grid[-1] + (grid[-1] - grid[-2]) / 2
        outside = (at < low - _SLACK) | (at > high + _SLACK)
        if bool(outside.any()):
            far = np.exp(at[outside][0])
            raise MeasureError(
                f"{wanted.name} is {far:.3g} in a seed, outside what the arms have, "
                f"{settings[0]:g} to {settings[-1]:g}"
            )
    apart = np.abs(at[:, None] - grid)
    place = np.argmax(apart <= apart.min(axis=1, keepdims=True) + _SLACK, axis=1)
    values: Floats = np.where(np.isnan(at), np.nan, table[np.arange(len(table)), place])
    return values


def _distance(first: ArmRuns, second: ArmRuns, at: float | None, name: str) -> Floats:
    """Distance of the runs of two arms, over how far those of the first have gone."""
    sketches = [_sketch(arm, at) for arm in (first, second)]
    length = _measured(first, _displacement("norm", at))
    if bool((length == 0).any()):
        raise MeasureError(f"{name} has not moved in a seed, and nothing can be divided by that")
    distance: Floats = np.linalg.norm(sketches[0] - sketches[1], axis=1) / length
    return distance


def _sketch(arm: ArmRuns, at: float | None) -> Floats:
    """Sketches of the displacement of an arm's runs, shape (seeds, size)."""
    kinds = arm.results.kinds
    found = {SKETCH.fullmatch(name) for name, split in kinds if split == "train"}
    entries = sorted(entry[1] for entry in found if entry is not None)
    if not entries:
        raise MeasureError("the runs have no sketch of their displacement: a probe takes it")
    return np.stack([_measured(arm, _displacement(entry, at)) for entry in entries], axis=1)


def _displacement(what: str, at: float | None) -> Measure:
    metric = f"displacement_{what}"
    return Measure(metric, "train") if at is None else Measure(metric, "train", "mean_at", (at,))
