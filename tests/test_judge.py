"""Judging: from stored runs to a verdict, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench_lr.claims import load_claims
from bench_lr.identity import run_id
from bench_lr.judge import FRAME, combine, judge
from bench_lr.schema import Claim
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict
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
