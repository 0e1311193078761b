"""Every kind of criterion refuses nonsense, with an error that says what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from bench_lr.calibration.setups import SETUPS, Setup
from bench_lr.criteria import CriterionError, evaluate, parameters
from bench_lr.criteria.registry import KINDS

every_kind = pytest.mark.parametrize("setup", SETUPS.values(), ids=list(SETUPS))


def arms(setup: Setup, seeds: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return setup.build(rng.normal(2.0, 1.0, (seeds, setup.comparisons)), rng.normal(0, 1, seeds))


@every_kind
def test_sense_is_judged(setup: Setup) -> None:
    assert evaluate(setup.kind, arms(setup, 8), **setup.params).verdict != "incomplete"


@every_kind
def test_arms_that_are_not_paired(setup: Setup) -> None:
    given = arms(setup, 8)
    if len(given) == 1:
        given["another"] = next(iter(given.values()))
    last = list(given)[-1]
    given[last] = given[last][:-1]
    with pytest.raises(CriterionError, match=r"not seed-paired.*8.*7"):
        evaluate(setup.kind, given, **setup.params)


@every_kind
def test_one_seed(setup: Setup) -> None:
    with pytest.raises(CriterionError, match=f"{setup.kind}: one seed shows no spread.* 6 seeds"):
        evaluate(setup.kind, arms(setup, 1), **setup.params)


@every_kind
def test_all_diverged(setup: Setup) -> None:
    given = {name: np.full_like(values, np.nan) for name, values in arms(setup, 8).items()}
    if KINDS[setup.kind].may_all_diverge:
        assert evaluate(setup.kind, given, **setup.params).verdict in ("reproduced", "refuted")
        return
    with pytest.raises(CriterionError, match="all runs diverged in all arms"):
        evaluate(setup.kind, given, **setup.params)


@every_kind
def test_an_unknown_arm(setup: Setup) -> None:
    named = KINDS[setup.kind].arm_params[0]
    value = setup.params.get(named)
    strange = {"nobody": next(iter(value.values()))} if isinstance(value, dict) else "nobody"
    if isinstance(value, list):
        strange = ["nobody"]
    given = {**setup.params, named: strange}
    with pytest.raises(CriterionError, match="unknown arm 'nobody'"):
        evaluate(setup.kind, arms(setup, 8), **given)


def test_table_refuses_too() -> None:
    """The one kind that is about exact numbers: no seeds, but names and values to get wrong."""
    required = [n for n, p in parameters("table").items() if p.default is p.empty]
    with pytest.raises(CriterionError, match="missing parameter"):
        evaluate("table", {"a": [1.0]})
    assert required
    assert set(SETUPS) == set(KINDS) - {"table", "contradicts"}
