"""Judging: from stored runs to a verdict, and what cannot be judged."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench_lr import looks
from bench_lr.claims import load_claims
from bench_lr.figures.numbers import shown
from bench_lr.identity import run_id
from bench_lr.judge import FRAME, combine, judge
from bench_lr.schema import Claim
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict, training_seconds
from tests.claims.samples import Edit, drop, edited, loaded, put
from tests.factories import judged
from tests.stored import commit, fill


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    return loaded(tmp_path)


def best(winner: str, by: float = 0.01) -> Any:
    """Return accuracies with one arm ahead and a little noise between seeds."""
    return lambda arm, epoch, seed: 0.9 + by * (arm == winner) + 1e-4 * ((7 * seed) % 5)


# --- from criteria to a claim -----------------------------------------------------------------

R, X, Q, N = "reproduced", "refuted", "inconclusive", "incomplete"


@pytest.mark.parametrize(
    ("claims", "controls", "readings", "verdict"),
    [
        ([R], [], [], R),
        ([R, R], [], [], R),
        ([R, X], [], [], X),
        ([R, Q], [], [], Q),
        ([Q, X], [], [], X),
        ([N, X], [], [], N),
        ([N, R], [X], [], N),
        ([R], [X], [], R),
        ([R], [X, X], [], R),
        ([R], [R], [], Q),
        ([R], [Q], [], Q),
        ([R], [X, R], [], Q),
        ([R], [N], [], N),
        ([Q], [N], [], N),
        ([X], [N], [], X),
        ([X], [R], [], X),
        ([Q], [R], [], Q),
        ([R], [], [X, N, Q], R),
        ([X], [X], [R], X),
    ],
)
def test_the_verdict_follows_from_the_criteria(
    claims: Sequence[str], controls: Sequence[str], readings: Sequence[str], verdict: str
) -> None:
    found = [
        judged(word, id=f"{role}{i}", role=role, note=f"{role} {i} is {word}")
        for role, words in (("reading", readings), ("control", controls), ("claim", claims))
        for i, word in enumerate(words)
    ]
    word, note = combine(found)
    assert word == verdict
    assert bool(note) == (verdict != R)
    for turned in (found[::-1],):
        assert combine(turned)[0] == verdict


def test_the_note_names_what_decided() -> None:
    assert combine([judged(R), judged(X, id="second")])[1] == "refuted by second"
    assert "second" in combine([judged(R), judged(Q, id="second")])[1]
    assert "broken" in combine([judged(R), judged(R, id="broken", role="control")])[1]
    assert combine([judged(N, note="3 of 8 runs are missing")])[1] == "3 of 8 runs are missing"


# --- from runs to a verdict -------------------------------------------------------------------


def test_a_clear_result_is_judged_and_the_opposite_refuted(claim: Claim, store: Store) -> None:
    fill(store, claim, accuracy=best("lr=0.5"))
    verdict = judge(claim, store)
    assert verdict.verdict == R
    assert verdict.criteria[0].result.estimate == pytest.approx(0.01)
    fill(store, claim, accuracy=best("lr=0.2"))
    assert judge(claim, store).verdict == X


def test_the_frame_holds_every_run_with_its_arm_and_seed(claim: Claim, store: Store) -> None:
    fill(store, claim, accuracy=lambda arm, epoch, seed: float(arm[3:]) + seed + epoch)
    frame = judge(claim, store).frame
    assert list(frame.columns) == list(FRAME)
    rows = frame[frame["metric"] == "accuracy"]
    assert len(rows) == 3 * 8 * 4
    expected = rows["arm"].str[3:].astype(float) + rows["seed"] + rows["epoch"]
    np.testing.assert_allclose(rows["value"], expected)
    assert set(frame["arm"]) == {arm.name for arm in claim.arms}


def test_the_frame_is_that_of_the_tables_one_by_one(claim: Claim, store: Store) -> None:
    values = np.random.default_rng(0).normal(size=10_000).tolist()
    fill(store, claim, accuracy=lambda arm, epoch, seed: values.pop(), skip=[("lr=0.5", 3)])
    tables = []
    for arm in claim.arms:
        for run in arm.runs:
            path = store.root / "runs" / run_id(run)[:2] / f"{run_id(run)}.parquet"
            if path.is_file():
                tables.append(pd.read_parquet(path).assign(arm=arm.name, seed=run.seed))
    assert len(tables) == 23
    expected = pd.concat(tables, ignore_index=True)[list(FRAME)]
    found = judge(claim, store).frame.astype(dict.fromkeys(("arm", "metric", "split"), "str"))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_verdict_is_that_of_the_tables_one_by_one(claim: Claim, store: Store) -> None:
    rng = np.random.default_rng(1)
    fill(store, claim, accuracy=lambda arm, epoch, seed: 0.9 + 0.01 * rng.normal())
    # Mean accuracy of the last two epochs, seed by seed; the best of the other arms is set against.
    ends = {}
    for arm in claim.arms:
        ends[arm.name] = []
        for run in arm.runs:
            path = store.root / "runs" / run_id(run)[:2] / f"{run_id(run)}.parquet"
            frame = pd.read_parquet(path)
            late = frame[(frame["metric"] == "accuracy") & (frame["epoch"] > 2)]
            ends[arm.name].append(late["value"].mean())
    result = judge(claim, store).criteria[0].result
    differences = [np.subtract(ends["lr=0.5"], ends[other]) for other in ("lr=0.2", "lr=0.8")]
    assert result.estimate == pytest.approx(min(d.mean() for d in differences))
    assert len(result.details) == 2
    estimates = sorted(d.estimate for d in result.details)
    assert estimates == pytest.approx(sorted(d.mean() for d in differences))


def test_counts_and_origin_are_summed_up(claim: Claim, store: Store) -> None:
    fill(store, claim)
    run = claim.arms[0].runs[3]
    found = store.read(commit(run).run_id)
    assert found is not None
    store.put(commit(run, "diverged", provenance={"dirty": True, "commit": "def"}), found[1])
    verdict = judge(claim, store, "refuted")
    assert (verdict.runs, verdict.missing, verdict.failed, verdict.diverged) == (24, 0, 0, 1)
    assert verdict.train_seconds == pytest.approx(24 * 2.0)
    assert verdict.recorded == "refuted"
    origin = verdict.provenance
    assert (origin.device, origin.commit, origin.dirty) == ("a processor", "abc, def", True)
    assert origin.data_sha256 == "123"


def test_seeds_are_paired_by_seed(tmp_path: Path, store: Store) -> None:
    # Seeds differ far more than arms: only a paired comparison can see the difference.
    claim = loaded(tmp_path)
    fill(store, claim, accuracy=lambda arm, epoch, seed: seed + 0.01 * (arm == "lr=0.5"))
    assert judge(claim, store).verdict == R


# --- what cannot be judged --------------------------------------------------------------------


def incomplete(claim: Claim, store: Store) -> ClaimVerdict:
    verdict = judge(claim, store)
    assert verdict.verdict == N
    for item in verdict.criteria:
        assert (item.result.verdict, item.result.estimate, item.result.ci) == (N, None, None)
    return verdict


def test_nothing_stored_is_incomplete(claim: Claim, store: Store) -> None:
    verdict = incomplete(claim, store)
    assert (verdict.runs, verdict.missing, verdict.failed) == (24, 24, 0)
    assert verdict.note == "24 of 24 runs are missing"
    assert list(verdict.frame.columns) == list(FRAME)
    assert verdict.frame.empty


def test_one_missing_run_is_enough_not_to_judge(claim: Claim, store: Store) -> None:
    fill(store, claim, accuracy=best("lr=0.5"), skip=[("lr=0.8", 7)])
    verdict = incomplete(claim, store)
    assert (verdict.missing, verdict.failed) == (1, 0)
    assert verdict.note == "1 of 24 runs are missing"
    assert set(verdict.frame["arm"]) == {"lr=0.2", "lr=0.5", "lr=0.8"}


def test_failed_runs_are_told_apart_and_never_judged(claim: Claim, store: Store) -> None:
    fill(store, claim, skip=[("lr=0.8", 7), ("lr=0.2", 0), ("lr=0.2", 1)])
    store.put_failure(commit(claim.arms[2].runs[7], "failed", error="it broke"))
    verdict = incomplete(claim, store)
    assert (verdict.missing, verdict.failed) == (2, 1)
    assert verdict.note == "3 of 24 runs are missing, 1 of them failed"


def test_a_damaged_run_is_missing(claim: Claim, store: Store) -> None:
    fill(store, claim, accuracy=best("lr=0.5"))
    for path in list((store.root / "runs").rglob("*.parquet"))[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    assert incomplete(claim, store).missing == 2


def test_runs_of_several_kinds_of_device_are_not_judged_together(
    claim: Claim, store: Store
) -> None:
    fill(store, claim, accuracy=best("lr=0.5"), skip=[("lr=0.8", 7)])
    fill(
        store,
        claim,
        skip=[(a.name, s) for a in claim.arms for s in range(8) if (a.name, s) != ("lr=0.8", 7)],
        provenance={"device_kind": "cuda"},
    )
    assert "several device kinds (cpu, cuda)" in incomplete(claim, store).note


def test_smoke_judges_nothing_whatever_is_stored(tmp_path: Path, store: Store) -> None:
    claim = loaded(tmp_path, profile="smoke")
    fill(store, claim, accuracy=best("lr=0.5"))
    assert "judges nothing" in incomplete(claim, store).note


def test_a_claim_for_a_gpu_waits_for_the_profile_that_has_one(tmp_path: Path, store: Store) -> None:
    claim = loaded(tmp_path, put("cost", value="G"))
    fill(store, claim, accuracy=best("lr=0.5"))
    assert incomplete(claim, store).note == "needs profile full"
    full = loaded(tmp_path, put("cost", value="G"), profile="full")
    fill(store, full, accuracy=best("lr=0.5"))
    assert judge(full, store).verdict == R


def test_too_few_seeds_do_not_decide(tmp_path: Path, store: Store) -> None:
    claim = loaded(tmp_path, seeds=5)
    fill(store, claim, accuracy=best("lr=0.5"))
    assert incomplete(claim, store).note == "5 of the 6 seeds needed"


def test_what_a_criterion_cannot_use_is_its_note_not_a_traceback(
    tmp_path: Path, store: Store
) -> None:
    claim = loaded(tmp_path)
    fill(store, claim, accuracy=lambda arm, epoch, seed: float("nan"))
    assert "all runs diverged" in incomplete(claim, store).note


# --- exact claims and calculations ------------------------------------------------------------

EXACT: tuple[Edit, ...] = (
    put(
        "criteria",
        0,
        value={
            "id": "updates",
            "kind": "table",
            "arms": ["lr=0.5"],
            "measure": {"metric": "steps", "reduce": "at", "epochs": [1, 2]},
            # 1000 examples in batches of 128.
            "params": {"expected": [8, 16], "tolerance": 0},
        },
    ),
    put("seeds", value=1),
)


def test_exact_counts_need_one_seed(tmp_path: Path, store: Store) -> None:
    claim = loaded(tmp_path, *EXACT)
    fill(store, claim)
    assert judge(claim, store).verdict == R
    wrong = loaded(tmp_path, *EXACT, put("criteria", 0, "params", "expected", value=[8, 17]))
    assert judge(wrong, store).verdict == X


@pytest.mark.parametrize("profile", ["smoke", "quick", "standard"])
def test_calculations_are_judged_without_runs_under_every_profile(
    profile: str, store: Store
) -> None:
    (claim,) = load_claims(["ai_edu/step_decay_table"], profile)
    verdict = judge(claim, store)
    words = {item.spec.id: item.result.verdict for item in verdict.criteria}
    assert words["to_the_printed_digits"] == R
    assert words["recursive_reading_differs"] == X
    assert words["rounded_to_three_digits"] == X
    assert verdict.verdict == R
    assert verdict.runs == 0
    np.testing.assert_allclose(
        verdict.calculations["base learning rate"], [0.1 * 0.9**i for i in range(7)]
    )
    np.testing.assert_allclose(
        verdict.calculations["recursive reading"],
        np.cumprod([0.1, *(0.9**i for i in range(1, 7))]),
    )


def test_times_of_a_curve_reach_the_criterion(tmp_path: Path, store: Store) -> None:
    crosses: dict[str, Any] = {
        "id": "crosses",
        "kind": "overtakes",
        "measure": {"metric": "accuracy", "reduce": "curve"},
        "params": {"leader": "lr=0.8", "chaser": "lr=0.5", "by": 3, "sustained": 1},
    }
    edits = (put("criteria", 0, value=crosses), put("train", "evaluations_per_epoch", value=2))
    claim = loaded(tmp_path, *edits)
    # Ahead from epoch 2.5 on: in time for "by 3", too late for "by 2".
    fill(
        store,
        claim,
        accuracy=lambda arm, epoch, seed: 0.9 + 0.01 * (arm == "lr=0.5") * (epoch - 2.25),
    )
    assert judge(claim, store).verdict == R
    early = loaded(tmp_path, *edits, put("criteria", 0, "params", "by", value=2))
    assert judge(early, store).verdict == X


def test_judging_changes_nothing_in_a_sound_store(claim: Claim, store: Store) -> None:
    fill(store, claim)
    before = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
    judge(claim, store)
    assert {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()} == before


def test_a_sample_without_order_is_judged_too(tmp_path: Path, store: Store) -> None:
    assert edited()["criteria"][0]["order_by"] == "lr"
    claim = loaded(tmp_path, drop("criteria", 0, "order_by"))
    fill(store, claim, accuracy=best("lr=0.5"))
    assert judge(claim, store).verdict == R


# --- derived quantities -----------------------------------------------------------------------

LAST = {"metric": "accuracy", "reduce": "mean_last", "epochs": 2}
QUANTITIES: dict[str, Any] = {
    "loss": {"kind": "measured", "arm": "lr=0.5", "measure": {"metric": "loss"}},
    "accuracy": {"kind": "measured", "arm": "lr=0.5", "measure": LAST},
    "best": {"kind": "best_setting", "arms": ["*"], "measure": LAST, "by": "lr"},
    "gap": {"kind": "difference", "of": ["accuracy", "loss"]},
}
WITHIN = {
    "id": "gap",
    "kind": "stays_within",
    "params": {"arm": "gap", "low": 0.55, "high": 0.65},
}


def gain(content: dict[str, Any]) -> None:
    """Give a claim quantities, and a criterion about one of them."""
    content["derived"] = copy.deepcopy(QUANTITIES)
    content["criteria"] = [copy.deepcopy(WITHIN)]


GAIN: tuple[Edit, ...] = (gain,)


def noisy(arm: str, epoch: float, seed: int) -> float:
    return 0.9 + 1e-3 * ((7 * seed) % 5) + 0.01 * (arm == "lr=0.5")


def test_a_criterion_compares_different_metrics_of_an_arm(tmp_path: Path, store: Store) -> None:
    claim = loaded(tmp_path, *GAIN)
    fill(store, claim, accuracy=noisy)
    verdict = judge(claim, store)
    expected = [noisy("lr=0.5", 4, seed) - 0.3 for seed in range(8)]
    np.testing.assert_allclose(verdict.derived["gap"], expected)
    assert verdict.criteria[0].result.estimate == pytest.approx(np.mean(expected))
    assert verdict.verdict == R
    np.testing.assert_equal(verdict.derived["best"], [0.5] * 8)
    fill(store, claim, accuracy=lambda arm, epoch, seed: noisy(arm, epoch, seed) + 0.2)
    assert judge(claim, store).verdict == X


def test_the_other_kinds_take_quantities_as_arms(tmp_path: Path, store: Store) -> None:
    given: list[dict[str, Any]] = [
        {"kind": "superior", "params": {"treatment": "accuracy", "control": "loss"}},
        {"kind": "superior", "params": {"treatment": "lr=0.5", "control": "loss"}, "measure": LAST},
        {"kind": "ratio", "params": {"numerator": "accuracy", "denominator": "loss", "low": 3}},
        {"kind": "equivalent", "params": {"treatment": "best", "control": "best2", "margin": 0.1}},
        {"kind": "share", "params": {"conditions": {"best": [0.4, 0.6]}, "above": 0.5}},
        {"kind": "slope", "params": {"x": {"loss": 1, "accuracy": 3}, "low": 0.9, "high": 1.1}},
        {"kind": "ordered", "params": {"order": ["loss", "best", "accuracy"]}},
        {"kind": "best_arm", "params": {"expected": "accuracy", "margin": 0}, "arms": ["a*", "b*"]},
    ]
    claim = loaded(
        tmp_path,
        *GAIN,
        put("derived", "best2", value={"kind": "scaled", "of": "best", "by": 1.0}),
        put("criteria", value=[{"id": f"c{i}", **item} for i, item in enumerate(given)]),
        lambda c: c["criteria"].append({**c["criteria"][3], "id": "control", "role": "control"}),
    )
    fill(store, claim, accuracy=noisy)
    words = {j.spec.id: j.result.verdict for j in judge(claim, store).criteria}
    assert words == {**{f"c{i}": R for i in range(8)}, "control": R}


def test_numbers_of_quantities_are_in_the_units_of_their_metric(
    tmp_path: Path, store: Store
) -> None:
    steady = {"kind": "difference", "of": ["accuracy", "before"]}
    before = {**QUANTITIES["accuracy"], "arm": "lr=0.2"}
    first = {"metric": "accuracy", "reduce": "first", "at_least": 0.5, "otherwise": 9}
    pair = {"treatment": "accuracy", "control": "before"}
    kinds: list[dict[str, Any]] = [
        {"kind": "superior", "params": pair},
        {"kind": "stays_within", "params": {"arm": "steady", "low": 0.0}},
        {"kind": "superior", "params": {**pair, "control": "loss"}},
        {"kind": "stays_within", "params": {"arm": "twice", "low": 0.0}},
        {"kind": "stays_within", "params": {"arm": "lr=0.5", "low": 0.0}, "measure": LAST},
        {"kind": "stays_within", "params": {"arm": "lr=0.5", "low": 0.0}, "measure": first},
    ]
    claim = loaded(
        tmp_path,
        *GAIN,
        put("derived", "before", value=before),
        put("derived", "steady", value=steady),
        put("derived", "twice", value={"kind": "scaled", "of": "accuracy", "by": 2}),
        put("criteria", value=[{"id": f"c{i}", **item} for i, item in enumerate(kinds)]),
    )
    fill(store, claim, accuracy=noisy)
    judged = judge(claim, store).criteria
    assert [item.metric for item in judged] == ["accuracy", "accuracy", "", "", "accuracy", ""]
    assert shown(judged[0]).estimate == "+1.00 pp"
    assert shown(judged[5]).estimate == "1"


def test_quantities_of_missing_runs_are_incomplete_for_that_reason(
    tmp_path: Path, store: Store
) -> None:
    claim = loaded(tmp_path, *GAIN)
    fill(store, claim, accuracy=noisy, skip=[("lr=0.8", 7)])
    verdict = incomplete(claim, store)
    assert verdict.note == "1 of 24 runs are missing"
    assert verdict.derived == {}


def test_a_quantity_without_a_value_says_why(tmp_path: Path, store: Store) -> None:
    claim = loaded(
        tmp_path, *GAIN, put("derived", "gap", value={"kind": "ratio", "of": ["best", "loss"]})
    )
    fill(store, claim, accuracy=noisy, loss=lambda arm, epoch, seed: 0.0)
    verdict = incomplete(claim, store)
    assert verdict.note == "gap: loss is 0 in a seed, and nothing can be divided by it"
    assert set(verdict.derived) == {"loss", "accuracy", "best"}


def test_quantities_are_judged_without_each_seed_too(tmp_path: Path, store: Store) -> None:
    claim = loaded(tmp_path, *GAIN)
    # The first seed alone keeps the interval from lying inside.
    fill(store, claim, accuracy=lambda a, e, seed: noisy(a, e, seed) - 0.3 * (seed == 0))
    (item,) = judge(claim, store).criteria
    assert item.result.verdict == Q
    (variant,) = item.variants
    assert variant.label == "without one seed"
    assert variant.verdict == "inconclusive in 7 of 8, reproduced in 1 of 8"


def test_quantities_are_judged_in_looks(tmp_path: Path, store: Store) -> None:
    claim = dataclasses.replace(loaded(tmp_path, *GAIN, seeds=12), looks=(6, 9, 12))
    fill(store, claim, accuracy=noisy)
    result = judge(claim, store).criteria[0].result
    assert (result.verdict, result.seeds) == (R, 6)
    assert "decided at look 1 of 3 (6 seeds" in result.note
    # The same with the first look's seeds alone: seeds that come later change nothing.
    first = looks.seeds_at(claim, 6)
    assert judge(first, store).criteria[0].result == result


def test_quantities_of_formulas_are_judged_without_runs(tmp_path: Path, store: Store) -> None:
    values = {"kind": "schedule_values", "lr": 0.1, "at": [0, 1], "schedule": {"kind": "constant"}}
    claim = loaded(
        tmp_path,
        put("calculations", value={"rates": values}),
        put("derived", value={"half": {"kind": "scaled", "of": "rates", "by": 0.5}}),
        put(
            "criteria",
            0,
            value={
                "id": "table",
                "kind": "table",
                "params": {"arm": "half", "expected": [0.05, 0.05], "tolerance": 1e-12},
            },
        ),
    )
    verdict = judge(claim, store)
    assert (verdict.verdict, verdict.missing) == (R, 24)
    assert verdict.criteria[0].variants == ()


def test_training_that_claims_share_is_counted_once(claim: Claim, store: Store) -> None:
    fill(store, claim)
    whole = judge(claim, store)
    part = dataclasses.replace(claim, arms=claim.arms[:2])
    shared = judge(part, store)
    recorded = dataclasses.replace(whole, run_seconds={}, train_seconds=100.0)
    assert shared.train_seconds == pytest.approx(16 * 2.0)
    assert training_seconds([shared, whole]) == pytest.approx(24 * 2.0)
    assert training_seconds([shared, whole, recorded]) == pytest.approx(24 * 2.0 + 100.0)
    assert training_seconds([]) == 0
