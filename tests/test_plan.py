"""Plans: every lacking run once, cheap claims first, costs that make sense."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_lr.claims import load_claims
from bench_lr.identity import run_id
from bench_lr.plan import Job, Plan, _in_order, load_job, make_plan, save_plan
from bench_lr.schema import Claim, RunConfig
from bench_lr.store import Store, StoreError
from tests.claims.samples import drop, edited, load, put, write
from tests.stored import begin, commit, fill, simple
from tests.stored import run as simple_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def claims(tmp_path: Path) -> list[Claim]:
    """Return a dear claim and a cheap one, which share the runs of lr=0.5 (batch size 128)."""
    dear = edited(
        put("grid", value={"lr": [0.2, 0.5, 0.8]}),
        put("arms", value={"small batches": {"lr": 0.5, "batch_size": 4}}),
        drop("criteria", 0, "order_by"),
    )
    cheap = edited(put("grid", "lr", value=[0.5, 0.6]), put("seeds", value=9))
    return load(write(tmp_path / "conf", {"a/dear": dear, "b/cheap": cheap}))


def runs_of(claims: list[Claim]) -> list[RunConfig]:
    return [run for claim in claims for arm in claim.arms for run in arm.runs]


def planned(plan: Plan) -> list[RunConfig]:
    return [run for job in plan.jobs for run in job.runs]


def test_a_run_that_claims_share_is_planned_once(claims: list[Claim], store: Store) -> None:
    plan = make_plan(claims, store, 16)
    assert (plan.wanted, plan.distinct, plan.stored) == (4 * 8 + 2 * 9, 4 * 8 + 9 + 1, 0)
    ids = [run_id(run) for run in planned(plan)]
    assert len(ids) == len(set(ids)) == plan.runs == plan.distinct
    assert set(ids) == {run_id(run) for run in runs_of(claims)}


def test_what_is_stored_is_not_planned(claims: list[Claim], store: Store) -> None:
    runs = runs_of(claims)
    for run in runs[:5]:
        store.put(commit(run), simple(run))
    store.put(commit(runs[5], "diverged"), simple(runs[5]))
    store.put_failure(commit(runs[6], "failed", error="it broke"))
    plan = make_plan(claims, store, 16)
    assert plan.stored == 6
    stored = {run_id(run) for run in runs[:6]}
    assert {run_id(run) for run in planned(plan)} == {run_id(run) for run in runs} - stored


def test_there_is_nothing_to_do_when_all_is_stored(claims: list[Claim], store: Store) -> None:
    for claim in claims:
        fill(store, claim)
    plan = make_plan(claims, store, 16)
    assert plan.jobs == ()
    assert (plan.runs, plan.run_epochs, plan.seconds) == (0, 0, 0)
    assert plan.stored == plan.distinct


def test_a_damaged_run_is_planned_again(claims: list[Claim], store: Store) -> None:
    for claim in claims:
        fill(store, claim)
    victim = run_id(runs_of(claims)[3])
    (store.root / "runs" / victim[:2] / f"{victim}.parquet").write_bytes(b"")
    assert [run_id(run) for run in planned(make_plan(claims, store, 16))] == [victim]


def sizes(plan: Plan) -> list[int]:
    """Batch size of every cohort, in order."""
    return [part[0].batches[0].batch_size for job in plan.jobs for part in job.parts]


@pytest.mark.parametrize("order", [1, -1])
def test_cheap_claims_come_first_whatever_the_order_asked(
    order: int, tmp_path: Path, store: Store
) -> None:
    dear, cheap, middle = (put("train", "batch_size", value=size) for size in (4, 128, 32))
    found = load(
        write(tmp_path, {"a/dear": edited(dear), "b/cheap": edited(cheap), "c/mid": edited(middle)})
    )
    plan = make_plan(found[::order], store, 16)
    assert sizes(plan) == sorted(sizes(plan), reverse=True)
    assert set(sizes(plan)) == {128, 32, 4}


def takes(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
    """Let a cohort take as long as its batch size says."""
    monkeypatch.setattr(
        "bench_lr.plan.seconds_of", lambda runs: seconds[runs[0].batches[0].batch_size]
    )
    monkeypatch.setattr("bench_lr.plan.SECONDS_PER_JOB", 0.0)


def claims_of(folder: Path, batch_sizes: dict[str, list[int]]) -> list[Claim]:
    """Return claims with a cohort a batch size."""
    made = {
        f"a/{name}": edited(
            put("grid", value={"lr": [0.5], "batch_size": listed}),
            put("criteria", 0, "params", "expected", value=f"batch_size={listed[0]} lr=0.5"),
            put("criteria", 0, "order_by", value="batch_size"),
            put("figure", "params", value={}),
        )
        for name, listed in batch_sizes.items()
    }
    return load(write(folder, made))


def test_a_claim_is_served_before_the_next_begins_the_one_with_least_left_first(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # b shares its long cohort with a: with that done, b is as short as c is not.
    found = claims_of(tmp_path, {"a": [1, 2], "b": [2, 3], "c": [4, 5]})
    takes(monkeypatch, {1: 20.0, 2: 40.0, 3: 50.0, 4: 45.0, 5: 46.0})
    plan = make_plan(found, store, 100)
    assert sizes(plan) == [2, 1, 3, 5, 4]
    assert plan.jobs[0].claims == ("a/a", "a/b")


def test_a_long_job_is_brought_forward_so_that_the_workers_end_together(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = claims_of(tmp_path, {"short": [1, 2, 3], "long": [5, 6]})
    takes(monkeypatch, {1: 30.0, 2: 30.0, 3: 30.0, 5: 100.0, 6: 12.0})
    alone, two = (make_plan(found, store, 100, workers) for workers in (1, 2))
    assert sizes(alone) == [1, 2, 3, 5, 6]
    assert sizes(two) == [1, 5, 2, 3, 6]
    # In the order of claims it were 60 + 100.
    assert two.makespan(2) == 102
    assert two.makespan(1) == alone.makespan(1) == two.seconds


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0.1, 100.0), min_size=1, max_size=20),
    st.integers(1, 4),
)
def test_no_worker_is_left_long_without_work(seconds: list[float], workers: int) -> None:
    cohorts = [
        Job((simple_run(place),), length, claims=(f"a/{place % 5}",))
        for place, length in enumerate(seconds)
    ]
    ordered = _in_order(cohorts, workers)
    assert sorted(map(id, ordered)) == sorted(map(id, cohorts))
    longest = [*sorted(seconds, reverse=True), *[0.0] * workers]
    # No order is shorter: all share the work, and of workers + 1 jobs two share a worker.
    best = max(sum(seconds) / workers, longest[0], longest[workers - 1] + longest[workers])
    assert Plan(tuple(ordered), 0, 0, 0).makespan(workers) <= 1.5 * best * (1 + 1e-9)


def test_small_cohorts_are_gathered_into_jobs_and_large_ones_are_not(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = list(range(1, 41)), [64, 128, 256, 512]
    takes(monkeypatch, {**dict.fromkeys(short, 2.5), **dict.fromkeys(long, 60.0)})
    plan = make_plan(claims_of(tmp_path, {"short": short, "long": long}), store, 100, 2)
    assert [len(job.cohorts) for job in plan.jobs] == [6] * 6 + [4] + [1] * 4
    assert [job.seconds for job in plan.jobs] == [15.0] * 6 + [10.0] + [60.0] * 4
    few = make_plan(claims_of(tmp_path / "few", {"short": [1, 2, 3, 4]}), store, 100, 2)
    assert len(few.jobs) >= 2


def test_runs_that_are_timed_come_last_in_jobs_of_their_own(tmp_path: Path, store: Store) -> None:
    timed = edited(put("train", "timed", value=True), put("grid", "lr", value=[0.5, 0.6]))
    found = load(write(tmp_path, {"a/timed": timed, "b/not": edited()}))
    plan = make_plan(found, store, 16, 2)
    kinds = [{run.timed for run in job.runs} for job in plan.jobs]
    assert kinds == sorted(kinds, key=lambda kind: True in kind)
    assert all(len(kind) == 1 for kind in kinds)


def test_what_claims_share_and_what_each_cost_comes_to_is_told(
    claims: list[Claim], store: Store
) -> None:
    plan = make_plan(claims, store, 16)
    assert plan.sharing == {("a/dear", "b/cheap"): 8}
    assert plan.claims == 2
    (share,) = plan.by_cost.values()
    assert list(plan.by_cost) == ["s"]
    assert (share.claims, share.runs, share.run_epochs) == (2, plan.runs, plan.run_epochs)
    assert share.seconds == pytest.approx(plan.seconds)


def test_a_shared_run_counts_for_the_cheapest_claim(tmp_path: Path, store: Store) -> None:
    found = load(write(tmp_path, {"a/dear": edited(put("cost", value="m")), "b/cheap": edited()}))
    plan = make_plan(found, store, 16)
    assert {cost: share.claims for cost, share in plan.by_cost.items()} == {"s": 1}
    assert plan.by_cost["s"].runs == plan.runs


@pytest.mark.parametrize("limit", [1, 5, 16, 512])
def test_cohorts_hold_whole_seeds_of_one_shape(
    limit: int, claims: list[Claim], store: Store
) -> None:
    plan = make_plan(claims, store, limit)
    for job in plan.jobs:
        assert sum(job.cohorts) == len(job.runs)
        for part in job.parts:
            assert len({run.batches for run in part}) == 1
            arms = {sum(run.seed == seed for run in part) for seed in {r.seed for r in part}}
            assert len(arms) == 1


def test_a_job_survives_being_written_and_reads_no_file_but_its_own(
    claims: list[Claim], store: Store, tmp_path: Path
) -> None:
    plan = make_plan(claims, store, 5, 4)
    plan = dataclasses.replace(plan, jobs=(*plan.jobs, *plan.jobs))
    path = save_plan(plan, tmp_path / "job")
    assert len(plan.jobs) > 2
    for number, job in enumerate(plan.jobs):
        assert load_job(path, number) == job
    for number in range(len(plan.jobs)):
        if number != 1:
            (path.parent / "jobs" / f"{number}.json").write_bytes(b"damaged")
    assert load_job(path, 1) == plan.jobs[1]
    assert json.loads(path.read_text())["jobs"] == len(plan.jobs)


def test_a_plan_that_cannot_be_written_says_where(claims: list[Claim], tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file where the folder should be")
    plan = make_plan(claims, Store(tmp_path / "store"), 5)
    with pytest.raises(StoreError, match="job"):
        save_plan(plan, tmp_path / "job")


def test_every_claim_of_the_suite_survives_being_written(store: Store, tmp_path: Path) -> None:
    plan = make_plan(load_claims(profile="smoke"), store, 16)
    path = save_plan(plan, tmp_path / "job")
    assert [load_job(path, number) for number in range(len(plan.jobs))] == list(plan.jobs)


def test_jobs_know_the_identities_of_their_runs(claims: list[Claim], store: Store) -> None:
    for job in make_plan(claims, store, 7).jobs:
        assert job.run_ids == tuple(run_id(run) for run in job.runs)


def test_sums_of_a_plan_are_those_of_its_jobs(claims: list[Claim], store: Store) -> None:
    plan = make_plan(claims, store, 7)
    assert plan.run_epochs == sum(run.epochs for run in planned(plan)) == 4 * plan.runs
    assert plan.seconds == pytest.approx(sum(job.seconds for job in plan.jobs))
    assert all(job.seconds > 0 for job in plan.jobs)


def test_timed_runs_train_one_at_a_time_after_the_others_seed_by_seed(
    tmp_path: Path, store: Store
) -> None:
    timed = edited(put("train", "timed", value=True))
    plan = make_plan(load(write(tmp_path, {"a/timed": timed, "b/one": edited()})), store, 16)
    assert [run.timed for run in planned(plan)] == [False] * 24 + [True] * 24
    last = [job for job in plan.jobs if job.runs[0].timed]
    assert {size for job in last for size in job.cohorts} == {1}
    assert len(last) < 24
    seeds = [run.seed for job in last for run in job.runs]
    assert seeds == sorted(seeds)
    assert len(set(seeds)) < len(seeds)


# --- what was broken off ------------------------------------------------------------------------


def cohorts_of(plan: Plan) -> set[tuple[str, ...]]:
    return {tuple(map(run_id, part)) for job in plan.jobs for part in job.parts}


@pytest.mark.parametrize("order", [1, -1])
def test_a_plan_that_was_broken_off_goes_on_with_the_same_cohorts(
    order: int, claims: list[Claim], store: Store
) -> None:
    left = cohorts_of(make_plan(claims, store, 12))
    assert len(left) > 4
    runs = {run_id(run): run for run in runs_of(claims)}
    for cohort in sorted(left)[::order]:
        for identity in cohort:
            store.put(commit(runs[identity]), simple(runs[identity]))
        left = left - {cohort}
        assert cohorts_of(make_plan(claims, store, 12)) == left


def test_runs_that_are_lacking_here_and_there_train_together(
    claims: list[Claim], store: Store
) -> None:
    before = make_plan(claims, store, 12)
    for job in before.jobs:
        for part in job.parts:
            for run in part[1:]:
                store.put(commit(run), simple(run))
    after = make_plan(claims, store, 12)
    assert after.runs == len(cohorts_of(before))
    assert len(cohorts_of(after)) < len(cohorts_of(before))


def test_a_cohort_with_a_checkpoint_trains_as_it_was(claims: list[Claim], store: Store) -> None:
    runs = [run for run in runs_of(claims)[:16] if run.seed in (2, 5, 6)]
    begun = begin(store, runs)
    assert begun not in cohorts_of(make_plan(claims, Store(store.root / "other"), 12))
    plan = make_plan(claims, store, 12)
    assert begun in cohorts_of(plan)
    ids = [run_id(run) for run in planned(plan)]
    assert len(ids) == len(set(ids)) == plan.runs == plan.distinct


@pytest.mark.parametrize("reason", ["stored", "not wanted", "another engine", "damaged"])
def test_a_checkpoint_of_no_use_changes_no_plan(
    reason: str, claims: list[Claim], store: Store
) -> None:
    runs = [run for run in runs_of(claims)[:16] if run.seed in (2, 5, 6)]
    match reason:
        case "stored":
            store.put(commit(runs[0]), simple(runs[0]))
        case "not wanted":
            runs.append(dataclasses.replace(runs[0], seed=1234))
    expected = cohorts_of(make_plan(claims, store, 12))
    begin(store, runs, **({"engine": -1} if reason == "another engine" else {}))
    if reason == "damaged":
        (path,) = (store.root / "unfinished").iterdir()
        path.write_bytes(path.read_bytes()[:40])
    assert cohorts_of(make_plan(claims, store, 12)) == expected
