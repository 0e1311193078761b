"""What counts as a change between two sets of findings, and how often chance does."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench_lr import criteria
from bench_lr.changes import Change, Comparison, compare
from bench_lr.findings import ArmFinding, CriterionFinding, Finding, finding_of
from tests.factories import arm, claim_verdict, diverge, judged, rising

ME = "me/claim"


def number(estimate: float | None = 0.5, **fields: Any) -> CriterionFinding:
    """Return a mean of 8 seeds with a spread of 0.01."""
    given: dict[str, Any] = {
        "id": "better",
        "kind": "superior",
        "role": "claim",
        "verdict": "reproduced",
        "ci": (0.49, 0.51),
        "sd": 0.01,
        "margin": 0.1,
        "seeds": 8,
        **fields,
    }
    return CriterionFinding(estimate=estimate, **given)


def share(hits: int, seeds: int = 10, **fields: Any) -> CriterionFinding:
    return number(hits / seeds, kind="overtakes", sd=None, ci=(0.1, 0.9), seeds=seeds, **fields)


def claim(*items: CriterionFinding, verdict: Any = "reproduced", **fields: Any) -> Finding:
    return Finding(verdict, list(items or [number()]), **fields)


def between(old: Finding, new: Finding) -> Comparison:
    return compare({ME: old}, {ME: new})


def told(old: Finding, new: Finding) -> list[str]:
    return [change.what for change in between(old, new).moved]


# --- numbers ----------------------------------------------------------------------------------


def test_the_same_findings_are_alike() -> None:
    found = claim(number(), share(7, id="early"), number(id="exact", sd=0.0, ci=(0.5, 0.5)))
    comparison = between(found, found)
    assert (comparison.moved, comparison.slid, comparison.origins) == ((), (), ())
    assert (comparison.claims, comparison.numbers) == (1, 3)


def test_rounding_of_the_same_seeds_is_no_change() -> None:
    exact = {"sd": 0.0, "ci": (0.5, 0.5)}
    old = claim(number(), number(id="exact", **exact))
    new = claim(number(0.5 + 1e-6, sd=0.01 + 1e-6), number(0.5 + 1e-13, id="exact", **exact))
    assert told(old, new) == []


def test_the_p_value_is_adjusted_for_all_numbers_of_all_claims() -> None:
    shift = 0.5 + stats.t.isf(0.004 / 2, 14) * 0.01 * np.sqrt(2 / 8)
    for claims, moved in ((1, True), (12, True), (13, False)):
        old = {f"me/{i}": claim() for i in range(claims)}
        new = {**old, "me/0": claim(number(shift))}
        found = compare(old, new).moved
        assert bool(found) == moved
        if found:
            assert found[0].p == pytest.approx(0.004 * claims)
            assert "adjusted p" in str(found[0])


def test_a_sample_of_another_size_is_compared_by_both_spreads() -> None:
    # Twice the standard error that equal sizes would suggest.
    wide = claim(number(0.535, sd=0.04, seeds=6))
    assert told(claim(number(seeds=32)), wide) == []
    assert told(claim(number(seeds=32)), claim(number(0.535, seeds=6))) == ["the estimate"]


@pytest.mark.parametrize(("hits", "moved"), [(10, False), (6, False), (4, True), (0, True)])
def test_a_share_of_seeds_is_compared_as_counts(hits: int, moved: bool) -> None:
    assert (stats.fisher_exact([[10, 0], [hits, 10 - hits]]).pvalue < 0.05) == moved
    assert told(claim(share(10)), claim(share(hits))) == (["the estimate"] if moved else [])


def test_shares_that_no_test_could_tell_apart_cost_the_others_nothing() -> None:
    shift = 0.5 + stats.t.isf(0.04 / 2, 14) * 0.01 * np.sqrt(2 / 8)
    unanimous = [share(10, id=f"early {i}") for i in range(20)]
    moved = told(claim(number(), *unanimous), claim(number(shift), *unanimous))
    assert moved == ["the estimate"]


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"estimate": 0.5 + 1e-10}, False),
        ({"estimate": 0.5 + 1e-6}, True),
        ({"estimate": 0.500001, "sd": 0.1}, True),
    ],
)
def test_an_exact_number_may_not_move_at_all(change: dict[str, Any], moved: bool) -> None:
    exact = number(sd=0.0, ci=(0.5, 0.5), exact=True)
    found = told(claim(exact), claim(dataclasses.replace(exact, **change)))
    assert found == (["the exact value"] if moved else [])


def test_choices_on_which_all_seeds_agreed_once_are_not_exact() -> None:
    agreed = number(1.0, kind="slope", sd=0.0, ci=(1.0, 1.0), seeds=10)
    one_other = number(1.1, kind="slope", sd=np.sqrt(0.1), ci=(0.9, 1.3), seeds=10)
    assert told(claim(agreed), claim(one_other)) == []
    assert told(claim(one_other), claim(agreed)) == []


def test_of_the_widest_gap_to_either_side_only_the_size_is_compared() -> None:
    old = number(0.03, kind="curves_match", centre=0.0)
    other_side = dataclasses.replace(old, estimate=-0.03)
    assert told(claim(old), claim(other_side)) == []
    wider = dataclasses.replace(old, estimate=-0.06)
    assert told(claim(old), claim(wider)) == ["the size of the estimate"]
    # A record that does not say so is read by what the other side knows.
    silent = dataclasses.replace(old, centre=None)
    assert told(claim(silent), claim(other_side)) == []


def test_another_kind_of_criterion_gives_another_number() -> None:
    new = claim(number(kind="ordered", estimate=9.0))
    assert told(claim(), new) == ["the kind"]


# --- divergence -------------------------------------------------------------------------------


def arms(diverged: int, seeds: int = 10) -> dict[str, ArmFinding]:
    return {"lr=0.5": ArmFinding(seeds, 0), "lr=3": ArmFinding(seeds, diverged)}


@pytest.mark.parametrize(("diverged", "moved"), [(1, False), (4, False), (5, True), (10, True)])
def test_seeds_that_diverge_are_compared_as_counts(diverged: int, moved: bool) -> None:
    none = number(None, ci=None, sd=None)
    new = claim(none, arms=arms(diverged), diverged=diverged)
    for old in (claim(arms=arms(0)), claim(number(seeds=10))):
        assert told(old, new) == (["the seeds of lr=3 that diverged"] if moved else [])


def test_an_estimate_that_goes_without_divergence_is_a_change() -> None:
    assert told(claim(arms=arms(0)), claim(number(None, ci=None, sd=None), arms=arms(0))) == [
        "the estimate"
    ]


# --- verdicts ---------------------------------------------------------------------------------


def test_reproduced_and_refuted_never_change_places_by_chance() -> None:
    for words in (("reproduced", "refuted"), ("refuted", "reproduced")):
        old, new = (
            claim(number(0.5 + i * 1e-4, verdict=word), verdict=word)
            for i, word in enumerate(words)
        )
        assert told(old, new) == ["the verdict", "the verdict"]


@pytest.mark.parametrize("words", [("reproduced", "inconclusive"), ("inconclusive", "refuted")])
def test_a_verdict_slides_by_chance_while_no_number_moves(words: tuple[str, str]) -> None:
    old, new = (
        claim(number(0.5 + i * 1e-4, verdict=word), verdict=word) for i, word in enumerate(words)
    )
    found = between(old, new)
    assert found.moved == ()
    assert [(c.what, c.old, c.new) for c in found.slid] == [("the verdict", *words)] * 2


def test_a_verdict_that_slides_with_its_number_is_a_change() -> None:
    new = claim(number(0.3, verdict="inconclusive"), verdict="inconclusive")
    assert told(claim(), new) == ["the verdict", "the verdict", "the estimate"]
    # The number of another claim is no reason.
    found = compare({"a/a": claim(), "b/b": claim()}, {"a/a": claim(number(0.3)), "b/b": new})
    assert {c.claim for c in found.moved} == {"a/a", "b/b"}
    slid = claim(number(0.5001, verdict="inconclusive"), verdict="inconclusive")
    found = compare({"a/a": claim(), "b/b": claim()}, {"a/a": claim(number(0.3)), "b/b": slid})
    assert ({c.claim for c in found.moved}, {c.claim for c in found.slid}) == ({"a/a"}, {"b/b"})


def test_a_verdict_that_slides_since_the_rule_is_another_one_is_a_change() -> None:
    moved = claim(number(0.5001, verdict="inconclusive", margin=0.2), verdict="inconclusive")
    assert told(claim(), moved) == ["the verdict", "the verdict"]
    # The same numbers, judged otherwise.
    judged_otherwise = claim(number(verdict="inconclusive"), verdict="inconclusive")
    assert told(claim(), judged_otherwise) == ["the verdict", "the verdict"]
    assert told(claim(), claim(number(margin=0.2))) == []


def test_the_verdict_of_a_reading_is_not_compared() -> None:
    old, new = claim(number(role="reading")), claim(number(role="reading", verdict="refuted"))
    assert told(old, new) == []


# --- seeds ------------------------------------------------------------------------------------


def test_seeds_that_no_longer_differ_are_a_change() -> None:
    alike = claim(number(sd=0.0, ci=(0.5, 0.5)), seeds_differ=False)
    (found,) = between(claim(seeds_differ=True), alike).moved
    assert str(found) == (
        "me/claim: what a seed changes was the results, is nothing: the seeds do not differ"
    )
    # A record that does not say whether they differ has a spread that does.
    assert told(claim(), alike) == ["what a seed changes"]
    assert told(alike, alike) == []
    # All seeds may make the same choice though their runs differ.
    assert told(claim(), claim(number(sd=0.0, ci=(0.5, 0.5)), seeds_differ=True)) == []


def test_whether_seeds_differ_and_diverge_is_read_off_their_curves() -> None:
    grown = rising({"lr=0.5": 0.97, "lr=0.8": 0.96}, metric="loss")
    claimed = [arm("lr=0.5"), arm("lr=0.8")]

    def found(frame: Any) -> Finding:
        return finding_of(claim_verdict(arms=claimed, frame=frame))

    assert found(grown).seeds_differ is True
    first = grown[grown["seed"] == 0]
    alike = grown.assign(value=np.tile(first["value"].to_numpy().reshape(2, -1), 8).ravel())
    assert found(alike).seeds_differ is False
    assert found(grown.iloc[:0]).seeds_differ is None
    assert found(first).seeds_differ is None
    lost = found(diverge(grown, "lr=0.8", [1, 2, 5], 3.0))
    assert lost.arms == {"lr=0.5": ArmFinding(8, 0), "lr=0.8": ArmFinding(8, 3)}


# --- where the runs came from -----------------------------------------------------------------


def test_only_what_differs_is_told_of_where_the_runs_came_from() -> None:
    old = claim(versions={"torch": "2.1", "numpy": "2.0"}, device="cpu", commit="a")
    new = claim(versions={"torch": "2.2", "numpy": "2.0"}, device="cpu", commit="a", engine=3)
    found = compare({"a/a": old, "b/b": old}, {"a/a": new, "b/b": old}).origins
    assert [str(each) for each in found] == [
        "torch 2.1 -> 2.1, 2.2",
        "engine version not known -> 3",
    ]


def test_claims_of_one_side_only_are_not_compared() -> None:
    found = compare({"a/a": claim(), "b/b": claim(number(0.9))}, {"a/a": claim(), "c/c": claim()})
    assert (found.claims, found.moved) == (1, ())


def test_criteria_that_come_or_go_are_changes() -> None:
    old, new = claim(number(), number(id="old")), claim(number(), number(id="new"))
    assert between(old, new).moved == (
        Change(ME, "new", "the criterion", "nothing", "reproduced"),
        Change(ME, "old", "the criterion", "there", "gone"),
    )


# --- how often chance fails a check -----------------------------------------------------------

TIMES = [float(t) for t in range(1, 9)]
GRID = {f"b{b} lr{lr}": (b, lr) for b in (1, 2, 4) for lr in (1, 2, 4)}
FIVE = [f"lr={i}" for i in range(5)]


def experiment(rng: np.random.Generator, seeds: int, draw: str) -> Finding:
    """Judge made-up runs whose truth lies where the criteria are least certain.

    All arms of a criterion are alike, so that the weakest comparison is any of them, on either side
    of zero; spreads between seeds differ; best choices lie on a grid.
    """

    def noise(*shape: int) -> np.ndarray:
        return rng.normal(size=shape) if draw == "normal" else rng.standard_t(3, shape)

    common = noise(seeds, 1)

    def end(level: float, sd: float) -> np.ndarray:
        return level + sd * (0.5 * common[:, 0] + noise(seeds))

    curves = {
        name: 0.9 + 0.01 * (0.5 * common + noise(seeds, 8).cumsum(1) / np.sqrt(TIMES))
        for name in "abc"
    }
    five = {name: end(0.97, 0.001 + 0.003 * (i % 2)) for i, name in enumerate(FIVE)}
    grid = {n: end(0.9 - 0.004 * abs(np.log2(b / lr)), 0.003) for n, (b, lr) in GRID.items()}
    two = {"treatment": "a", "control": "b"}
    asked: list[tuple[str, dict[str, Any], dict[str, np.ndarray]]] = [
        ("best_arm", {"expected": FIVE[2], "margin": 0.001}, five),
        ("ordered", {"order": FIVE[:3], "margin": 0.0}, five),
        ("superior", {**two, "margin": 0.0}, {n: c[:, -1] for n, c in curves.items()}),
        ("equivalent", {**two, "margin": 0.01, "times": TIMES}, curves),
        ("curves_match", {"reference": "a", "others": ["b", "c"], "margin": 0.01}, curves),
        (
            "overtakes",
            {"leader": "a", "chaser": "b", "by": 5.0, "times": TIMES, "sustained": 2},
            curves,
        ),
        (
            "slope",
            {
                "x": {n: b for n, (b, _) in GRID.items()},
                "choice": {n: lr for n, (_, lr) in GRID.items()},
            },
            grid,
        ),
    ]
    items = [
        judged(id=kind, kind=kind, **vars(criteria.evaluate(kind, arrays, **params)))
        for kind, params, arrays in asked
    ]
    words = {item.result.verdict for item in items}
    word = next(w for w in ("refuted", "inconclusive", "reproduced") if w in words)
    return finding_of(claim_verdict(verdict=word, criteria=items))


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["normal", "t3"])
def test_other_seeds_alone_fail_at_most_one_check_in_twenty(draw: str) -> None:
    rng = np.random.default_rng(4)
    checks, failed = 40, 0
    for _ in range(checks):
        seeds = rng.integers(8, 11, 2)
        old, new = ({f"me/{i}": experiment(rng, int(n), draw) for i in range(9)} for n in seeds)
        found = compare(old, new)
        assert found.numbers == 63
        failed += bool(found.moved)
    assert failed <= checks / 20
