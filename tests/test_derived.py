"""Derived quantities: worked out seed by seed from arms and calculations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bench_lr.derived import ArmRuns, Derivation, circle, derive, is_exact, needs_runs, ordered
from bench_lr.measure import MeasureError
from bench_lr.results import Results
from bench_lr.schema import ClaimFile, CriterionSpec, Derived, FigureSpec
from tests.stored import run, table

NAN = float("nan")


@dataclass(frozen=True)
class Simulated:
    """A calculation with seeds."""

    seeds: int = 4


def spec(
    derived: Mapping[str, Derived], calculations: Mapping[str, Any] | None = None
) -> ClaimFile:
    criteria = (CriterionSpec("one", "superior"),)
    return ClaimFile(
        "t", "s", "p", "s", "s", criteria, FigureSpec("curves"),
        derived=dict(derived), calculations=dict(calculations),
    )  # fmt: skip


def parsed(**derived: Mapping[str, Any]) -> dict[str, Derived]:
    from bench_lr.claims.problems import parse

    problems: list[Any] = []
    found = parse(dict[str, Derived], derived, "file", "derived", problems)
    assert not problems, problems
    return found


def arm(values: Mapping[str, list[list[float]]], **settings: float) -> ArmRuns:
    """An arm whose metrics are `values[metric][seed]` at the ends of epochs 1, 2, ..."""
    runs = []
    for seed in range(len(next(iter(values.values())))):
        config = run(seed)
        frame = table(
            config, {m: (lambda e, v=v, s=seed: v[s][round(e) - 1]) for m, v in values.items()}
        )
        frame.loc[frame["metric"].str.startswith("displacement"), "split"] = "train"
        runs.append(pa.Table.from_pandas(frame.astype({"value": "float64"}), preserve_index=False))
    return ArmRuns(Results.gather(runs), lambda key: settings[key])


ARMS = {
    "slow": arm(
        {"accuracy": [[0.5, 0.6], [0.5, 0.7], [0.5, 0.8], [0.5, NAN]], "loss": [[2, 1]] * 4},
        lr=0.1,
    ),
    "mid": arm(
        {"accuracy": [[0.6, 0.7], [0.6, 0.6], [0.6, 0.8], [0.6, NAN]], "loss": [[3, 4]] * 4},
        lr=0.2,
    ),
    "fast": arm(
        {"accuracy": [[0.7, 0.8], [0.7, 0.5], [0.7, 0.1], [0.7, NAN]], "loss": [[1, 9]] * 4},
        lr=0.4,
    ),
}
CALCULATED = {
    "one": np.array([0.5]),
    "three": np.array([1.0, 2.0, 4.0]),
    "runs": np.array([1.0, 2.0, 4.0, 8.0]),
    "curves": np.arange(12.0).reshape(4, 3),
    "few": np.array([1.0, 2.0]),
}
KINDS = {
    "one": object(), "three": object(), "runs": Simulated(), "curves": Simulated(),
    "few": Simulated(),
}  # fmt: skip


def worked_out(
    arms: Mapping[str, ArmRuns] | None = ARMS, **derived: Mapping[str, Any]
) -> Derivation:
    return derive(spec(parsed(**derived), KINDS), CALCULATED, arms)


def measured(name: str, metric: str = "accuracy", **measure: Any) -> dict[str, Any]:
    return {"kind": "measured", "arm": name, "measure": {"metric": metric, **measure}}


def test_each_measured_quantity_has_a_measure_of_its_own() -> None:
    found = worked_out(
        early=measured("fast", reduce="mean_at", epochs=[1]),
        late=measured("slow"),
        loss=measured("slow", "loss"),
    ).values
    np.testing.assert_equal(found["early"], [0.7] * 4)
    np.testing.assert_equal(found["late"], [0.6, 0.7, 0.8, NAN])
    np.testing.assert_equal(found["loss"], [1.0] * 4)


def test_arithmetic_is_seed_by_seed_and_a_diverged_run_stays_one() -> None:
    found = worked_out(
        a=measured("fast"),
        b=measured("slow"),
        minus={"kind": "difference", "of": ["a", "b"]},
        over={"kind": "ratio", "of": ["a", "b"]},
        log={"kind": "log2_ratio", "of": ["a", "b"]},
        mixed={"kind": "linear", "terms": {"a": 2.0, "b": -1.0, "minus": 0.5}},
        times={"kind": "scaled", "of": "over", "by": -3.0},
    ).values
    pairs = [(0.8, 0.6), (0.5, 0.7), (0.1, 0.8)]
    expected = {
        "minus": [a - b for a, b in pairs],
        "over": [a / b for a, b in pairs],
        "log": [math.log2(a / b) for a, b in pairs],
        "mixed": [2 * a - b + (a - b) / 2 for a, b in pairs],
        "times": [-3 * a / b for a, b in pairs],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], [*values, NAN])


def test_a_two_by_two_interaction_is_the_difference_of_differences() -> None:
    rng = np.random.default_rng(0)
    cells = {name: rng.normal(size=5) for name in ("p", "q", "r", "s")}
    arms = {name: arm({"loss": [[0.0, v] for v in values]}) for name, values in cells.items()}
    found = worked_out(
        arms,
        **{name: measured(name, "loss") for name in cells},
        both={"kind": "linear", "terms": {"p": 1, "q": -1, "r": -1, "s": 1}},
        first={"kind": "difference", "of": ["p", "q"]},
        second={"kind": "difference", "of": ["r", "s"]},
        again={"kind": "difference", "of": ["first", "second"]},
    ).values
    by_hand = (cells["p"] - cells["q"]) - (cells["r"] - cells["s"])
    np.testing.assert_allclose(found["both"], by_hand)
    np.testing.assert_allclose(found["again"], by_hand)


def test_the_best_arm_of_each_seed_gives_its_setting_and_its_metric() -> None:
    best = {"kind": "best_setting", "arms": ["*"], "measure": {"metric": "accuracy"}, "by": "lr"}
    found = worked_out(
        setting=best,
        value={**{k: v for k, v in best.items() if k != "by"}, "kind": "best_value"},
        two={**best, "arms": ["mid", "fast"]},
        least={**best, "measure": {"metric": "loss"}, "larger_is_better": False},
    ).values
    # Of equals (the third seed) the smallest setting; nothing where all have diverged.
    np.testing.assert_equal(found["setting"], [0.4, 0.1, 0.1, NAN])
    np.testing.assert_equal(found["value"], [0.8, 0.7, 0.8, NAN])
    np.testing.assert_equal(found["two"], [0.4, 0.2, 0.2, NAN])
    np.testing.assert_equal(found["least"], [0.1] * 4)


def test_a_diverged_arm_is_never_best() -> None:
    arms = {
        "low": arm({"loss": [[1, NAN], [1, 2]]}, lr=1),
        "high": arm({"loss": [[1, 9], [1, np.inf]]}, lr=2),
    }
    for larger, values in ((False, [9, 2]), (True, [9, 2])):
        what = {"arms": ["low", "high"], "measure": {"metric": "loss"}, "larger_is_better": larger}
        found = worked_out(
            arms,
            value={"kind": "best_value", **what},
            setting={"kind": "best_setting", "by": "lr", **what},
        ).values
        np.testing.assert_equal(found["value"], values)
        np.testing.assert_equal(found["setting"], [2, 1])


def near(of: str, *arms: str) -> dict[str, Any]:
    return {
        "kind": "value_near",
        "of": of,
        "arms": list(arms or ["*"]),
        "measure": {"metric": "accuracy"},
        "by": "lr",
    }


def test_the_value_near_a_quantity_is_that_of_the_arm_whose_setting_is_the_nearest_ratio() -> None:
    # Seeds want 0.1, 0.2, 0.4 and 0.8; then 0.14 to 1.13, 0.4 being the largest there is.
    found = worked_out(
        rate={"kind": "scaled", "of": "runs", "by": 0.1},
        half={"kind": "scaled", "of": "runs", "by": 0.05},
        exact=near("rate", "slow", "mid", "fast"),
        lower=near("half"),
        middle=near("constant"),
        constant={"kind": "scaled", "of": "one", "by": 0.4 / 2**0.5 / 0.5},
    )
    # 0.8 is a whole step of the grid beyond its end, and so is 0.05.
    assert set(found.failures) == {"exact", "lower"}
    assert (
        "rate is 0.8 in a seed, outside what the arms have, 0.1 to 0.4" in (found.failures["exact"])
    )
    # Half way between 0.2 and 0.4, the smaller.
    np.testing.assert_equal(found.values["middle"], [0.7, 0.6, 0.8, NAN])
    found = worked_out(
        rate={"kind": "linear", "terms": {"runs": 0.02, "one": 0.2}},
        value=near("rate"),
    )
    # 0.12, 0.14 (under the geometric mean of 0.1 and 0.2), 0.18, 0.26.
    np.testing.assert_equal(found.values["value"], [0.6, 0.7, 0.8, NAN])


def test_near_nothing_is_nothing_and_near_less_than_nothing_an_error() -> None:
    found = worked_out(
        lost=measured("slow"),
        value=near("lost", "mid", "fast"),
        negative=near("minus"),
        minus={"kind": "scaled", "of": "one", "by": -1},
        wide=near("curves"),
        short=near("few"),
    )
    assert found.failures.keys() == {"value", "negative", "wide", "short"}
    for name, words in {
        "value": "outside what the arms have",
        "negative": "must be positive",
        "wide": "several values",
        "short": "seeds are not the same",
    }.items():
        assert words in found.failures[name]
    arms = {
        "low": arm({"accuracy": [[0.5, NAN], [0.5, 0.6]]}, lr=0.5),
        "high": arm({"accuracy": [[0.5, 0.7], [0.5, 0.8]]}, lr=1.0),
    }
    found = worked_out(arms, lost=measured("low"), value=near("lost"))
    np.testing.assert_equal(found.values["value"], [NAN, 0.6])


def sketches(vectors: np.ndarray) -> dict[str, list[list[float]]]:
    """Metrics of displacements (seeds, epochs, size), of which every entry is kept."""
    entries = {f"displacement_{i:03d}": vectors[:, :, i].tolist() for i in range(vectors.shape[2])}
    return {**entries, "displacement_norm": np.linalg.norm(vectors, axis=2).tolist()}


def test_the_distance_of_sketches_is_that_of_the_vectors_over_the_first() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 2, 12))
    arms = {"a": arm(sketches(a)), "b": arm(sketches(b))}
    found = worked_out(
        arms,
        last={"kind": "sketch_distance", "of": ["a", "b"]},
        early={"kind": "sketch_distance", "of": ["a", "b"], "at": 1},
        same={"kind": "sketch_distance", "of": ["a", "a"]},
    ).values
    for name, epoch in (("last", 1), ("early", 0)):
        by_hand = [
            math.dist(x[epoch], y[epoch]) / math.sqrt(sum(v * v for v in x[epoch]))
            for x, y in zip(a, b, strict=True)
        ]
        np.testing.assert_allclose(found[name], by_hand)
    np.testing.assert_equal(found["same"], [0.0] * 3)


def test_without_sketches_or_movement_there_is_no_distance() -> None:
    distance = {"kind": "sketch_distance", "of": ["a", "b"]}
    none = {"a": arm({"loss": [[1, 1]]}), "b": arm({"loss": [[1, 1]]})}
    assert "no sketch" in worked_out(none, d=distance).failures["d"]
    still = {"a": arm(sketches(np.zeros((2, 2, 3)))), "b": arm(sketches(np.ones((2, 2, 3))))}
    assert "d: a has not moved" in worked_out(still, d=distance).failures["d"]


def test_exact_numbers_go_for_every_seed_and_simulations_keep_theirs() -> None:
    found = worked_out(
        late=measured("slow"),
        shift={"kind": "difference", "of": ["late", "one"]},
        rows={"kind": "ratio", "of": ["curves", "three"]},
        column={"kind": "entry", "of": "curves", "at": 2},
        both={"kind": "difference", "of": ["runs", "column"]},
        number={"kind": "entry", "of": "three", "at": 1},
        formula={"kind": "ratio", "of": ["three", "number"]},
        seeds={"kind": "scaled", "of": "runs", "by": 2},
    )
    assert not found.failures
    np.testing.assert_allclose(found.values["shift"], [0.1, 0.2, 0.3, NAN])
    np.testing.assert_allclose(found.values["rows"], CALCULATED["curves"] / [1, 2, 4])
    np.testing.assert_equal(found.values["column"], [2.0, 5.0, 8.0, 11.0])
    np.testing.assert_equal(found.values["both"], [-1.0, -3.0, -4.0, -3.0])
    np.testing.assert_equal(found.values["number"], [2.0])
    np.testing.assert_equal(found.values["formula"], [0.5, 1.0, 2.0])
    np.testing.assert_equal(found.values["seeds"], [2.0, 4.0, 8.0, 16.0])


@pytest.mark.parametrize(
    ("quantity", "said"),
    [
        ({"kind": "ratio", "of": ["late", "none"]}, "none is 0 in a seed"),
        ({"kind": "log2_ratio", "of": ["late", "less"]}, "less is not positive in every seed"),
        ({"kind": "log2_ratio", "of": ["less", "late"]}, "less is not positive in every seed"),
        ({"kind": "difference", "of": ["late", "few"]}, "not the same (late: 4, few: 2)"),
        ({"kind": "difference", "of": ["three", "pair"]}, "different numbers of values"),
        ({"kind": "entry", "of": "three", "at": 3}, "three has 3 values, from 0 on, and no 3"),
        (measured("slow", "colour"), "no colour on validation"),
        (measured("slow", reduce="curve"), "curve gives several numbers a seed"),
    ],
)  # fmt: skip
def test_what_has_no_value_says_why_and_is_no_diverged_run(quantity: Any, said: str) -> None:
    calculations = {**CALCULATED, "pair": np.array([1.0, 2.0])}
    derived = parsed(
        late=measured("slow"),
        less={"kind": "difference", "of": ["late", "late"]},
        none={"kind": "scaled", "of": "late", "by": 0.0},
        bad=quantity,
        after={"kind": "scaled", "of": "bad", "by": 2.0},
    )
    found = derive(spec(derived, {**KINDS, "pair": object()}), calculations, ARMS)
    assert set(found.failures) == {"bad", "after"}
    assert said in found.failures["bad"]
    # What hangs on it says whose fault it is.
    assert found.failures["after"] == found.failures["bad"]
    with pytest.raises(MeasureError, match="bad: "):
        found.value("after")


def test_without_runs_only_calculations_are_worked_out() -> None:
    derived = dict(
        late=measured("slow"),
        mixed={"kind": "difference", "of": ["late", "one"]},
        twice={"kind": "scaled", "of": "runs", "by": 2.0},
    )
    found = worked_out(None, **derived)
    assert (set(found.values), found.failures) == ({"twice"}, {})
    with pytest.raises(MeasureError, match="mixed: runs are missing"):
        found.value("mixed")
    whole = spec(parsed(**derived), KINDS)
    names = ("late", "mixed", "twice", "one", "runs", "slow")
    assert [n for n in names if needs_runs(whole, n)] == ["late", "mixed", "slow"]
    assert [n for n in names if is_exact(whole, n)] == ["one"]


def test_quantities_come_after_what_they_are_worked_out_of_whatever_their_order() -> None:
    chain = parsed(
        c={"kind": "scaled", "of": "b", "by": 2},
        b={"kind": "scaled", "of": "a", "by": 2},
        a={"kind": "scaled", "of": "one", "by": 2},
    )
    assert ordered(chain) == ["a", "b", "c"]
    assert circle(chain) == []
    np.testing.assert_equal(derive(spec(chain, KINDS), CALCULATED, {}).values["c"], [4.0])
    loop = parsed(
        a={"kind": "scaled", "of": "b", "by": 2},
        b={"kind": "scaled", "of": "a", "by": 2},
    )
    assert set(circle(loop)) == {"a", "b"}


def test_a_seed_hangs_on_its_own_runs_alone() -> None:
    """Seeds can be added or left out: the others keep their numbers."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 6, 2))
    derived = dict(
        a=measured("a", "loss"),
        b=measured("b", "loss"),
        d={"kind": "difference", "of": ["a", "b"]},
        best={"kind": "best_setting", "arms": ["*"], "measure": {"metric": "loss"}, "by": "lr"},
    )

    def first(n: int) -> dict[str, np.ndarray]:
        arms = {
            "a": arm({"loss": values[0, :n].tolist()}, lr=1),
            "b": arm({"loss": values[1, :n].tolist()}, lr=2),
        }
        return worked_out(arms, **derived).values

    whole = first(6)
    for n in (1, 4):
        for name, found in first(n).items():
            np.testing.assert_equal(found, whole[name][:n])
