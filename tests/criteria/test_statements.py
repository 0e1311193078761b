"""contradicts: places that say different things of the same items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench_lr.criteria import CriterionError, evaluate, problems

NAN = float("nan")
ITEMS = ["yellow", "red", "green"]
TABLE = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]])


def contradicts(table: np.ndarray = TABLE, items: list[str] = ITEMS, **params: Any) -> Any:
    return evaluate("contradicts", {"a": table}, items=items, **params)


@pytest.mark.parametrize(
    ("params", "verdict"),
    [
        ({"contradicted": ["red"]}, "reproduced"),
        ({"contradicted": ["red", "green"], "agreed": ["yellow"]}, "reproduced"),
        ({"contradicted": ["red"], "swapped": ["green", "red"]}, "reproduced"),
        ({"contradicted": ["yellow"]}, "refuted"),
        ({"contradicted": ["red", "yellow"]}, "refuted"),
        ({"contradicted": ["red"], "agreed": ["green"]}, "refuted"),
        ({"contradicted": ["red"], "swapped": ["yellow", "red"]}, "refuted"),
    ],
)
def test_it_holds_when_all_of_it_does(params: dict[str, Any], verdict: str) -> None:
    result = contradicts(**params)
    assert (result.verdict, result.estimate, result.seeds) == (verdict, 2.0, 1)
    assert "contradictory: red, green" in result.note


def test_what_is_wrong_is_told() -> None:
    result = contradicts(contradicted=["yellow"], agreed=["red"], swapped=["yellow", "green"])
    assert "the places agree about yellow" in result.note
    assert "the places contradict each other about red" in result.note
    assert "yellow and green have not changed places" in result.note
    rows = {row.label: row.verdict for row in result.details}
    assert rows == {
        "yellow: agreement": "refuted",
        "red: contradiction": "refuted",
        "green: contradiction": None,
    }


def test_a_place_that_says_nothing_contradicts_nobody() -> None:
    table = np.array([[1.0, NAN, 1.0], [1.0, NAN, 2.0]])
    assert contradicts(table, ["a", "b"], contradicted=["b"], agreed=["a"]).verdict == "reproduced"


def test_different_in_both_is_not_swapped() -> None:
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    given = contradicts(table, ["a", "b"], contradicted=["a", "b"], swapped=["a", "b"])
    assert given.verdict == "refuted"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"contradicted": []}, "contradicted is empty"),
        ({"contradicted": ["gren"]}, "unknown item 'gren' .*nearest: 'green'"),
        ({"contradicted": ["red"], "agreed": ["red"]}, "both name 'red'"),
        ({"contradicted": ["red"], "swapped": ["red"]}, "two items"),
    ],
)
def test_nonsense_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(CriterionError, match=words):
        contradicts(**params)


def test_the_table_must_have_a_row_for_every_item() -> None:
    with pytest.raises(CriterionError, match=r"not \(items, places\) for the 2 items"):
        contradicts(items=["red", "green"], contradicted=["red"])
    with pytest.raises(CriterionError, match=r"not \(items, places\)"):
        contradicts(TABLE[:, 0], contradicted=["red"])


def test_with_several_arms_one_must_be_named() -> None:
    params = {"contradicted": ["red"], "items": ITEMS}
    assert "say which with arm" in problems("contradicts", params, ["a", "b"])[0]
    both = {"a": TABLE[:, :1], "b": TABLE}
    assert evaluate("contradicts", both, arm="b", **params).verdict == "reproduced"
    assert evaluate("contradicts", both, arm="a", **params).verdict == "refuted"
