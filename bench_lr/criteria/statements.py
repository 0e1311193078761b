"""The criterion about what is said: places that agree, or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from bench_lr.criteria.registry import Arms, criterion, nearest
from bench_lr.criteria.result import CriterionError, CriterionResult, Detail
from bench_lr.stats import FloatArray


def _problems(params: Mapping[str, Any], arms: Sequence[str] | None) -> Iterator[str]:
    contradicted, agreed = list(params["contradicted"]), list(params["agreed"])
    items, swapped = list(params["items"]), list(params["swapped"])
    if not contradicted:
        yield "contradicted is empty"
    if both := [name for name in contradicted if name in agreed]:
        yield f"contradicted and agreed both name {', '.join(map(repr, both))}"
    if swapped and len(set(swapped)) != 2:
        yield f"swapped must name two items, not {swapped}"
    for key in ("contradicted", "agreed", "swapped"):
        for name in params[key]:
            if items and name not in items:
                yield f"{key} names an unknown item {name!r} {nearest(name, items, 'items')}"
    if params["arm"] is None and arms is not None and len(arms) > 1:
        yield f"there are several arms ({', '.join(arms)}): say which with arm"


@criterion("contradicts", arm_params=("arm",), min_seeds=1, shape="values", check=_problems)
def contradicts(
    arms: Arms,
    *,
    contradicted: Sequence[str],
    agreed: Sequence[str] = (),
    swapped: Sequence[str] = (),
    items: Sequence[str] = (),
    arm: str | None = None,
) -> CriterionResult:
    """Places that speak of the same items contradict each other about those that are named.

    Hypothesis: of each item of `contradicted`, two places say different things; of each item of
    `agreed`, all places that say something say the same; one place says of either item of `swapped`
    what another says of the other one.
    Test: none, statements are compared as they are: reproduced when all of it is so, refuted
    otherwise. The estimate is the number of contradicted items, named or not.
    Error control: nothing is estimated.
    Source: none; which words mean the same is for the claim file to say and for its readers to
    check.

    Parameters
    ----------
    arms : mapping of name to array, shape (items, places)
        Numbers that are equal where the statements are; NaN where a place says nothing.
    contradicted : sequence of str
        Items of which the places are said to say different things.
    agreed : sequence of str
        Items of which they are said to say the same.
    swapped : sequence of str
        Two items that have changed places, if that is said.
    items : sequence of str
        Names of the items; a claim's calculation of kind ``statements`` gives them.
    arm : str, optional
        Which arm; may be left out if there is one only.
    """
    name = arm if arm is not None else next(iter(arms))
    table = arms[name]
    if table.ndim != 2 or len(table) != len(items):
        raise CriterionError(
            f"contradicts: arm {name!r} has shape {table.shape}, not (items, places) for the "
            f"{len(items)} items named"
        )
    rows = dict(zip(items, table, strict=True))
    differ = {item: np.unique(row[~np.isnan(row)]).size > 1 for item, row in rows.items()}
    wrong = [f"the places agree about {item}" for item in contradicted if not differ[item]]
    wrong += [f"the places contradict each other about {item}" for item in agreed if differ[item]]
    if swapped and not _swapped(*(rows[item] for item in swapped)):
        wrong.append(f"{' and '.join(swapped)} have not changed places")
    found = float(sum(differ.values()))
    told = [item for item in items if differ[item]]
    note = "; ".join([f"contradictory: {', '.join(told) or 'nothing'}", *wrong])
    return CriterionResult(
        verdict="refuted" if wrong else "reproduced",
        estimate=found,
        ci=(found, found),
        margin=None,
        seeds=1,
        p_value=None,
        single_run_rate=float(not wrong),
        single_run_ci=None,
        note=note,
        sd=0.0,
        details=tuple(
            Detail(
                label=f"{item}: {'contradiction' if differ[item] else 'agreement'}",
                estimate=None,
                ci=None,
                p_value=None,
                verdict=None
                if item not in (*contradicted, *agreed)
                else "reproduced"
                if differ[item] == (item in contradicted)
                else "refuted",
            )
            for item in items
        ),
    )


def _swapped(first: FloatArray, second: FloatArray) -> bool:
    """Whether one place says of either item what another place says of the other."""
    places = permutations(range(first.size), 2)
    return any(
        first[a] == second[b] and second[a] == first[b] and first[a] != first[b] for a, b in places
    )
