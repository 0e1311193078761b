"""Plans: every lacking run once, cheap claims first, costs that make sense."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bench_lr.claims import load_claims
from bench_lr.identity import run_id
from bench_lr.plan import Plan, load_job, make_plan, save_plan, seconds_of
from bench_lr.probes import DisplacementSketch, GradientNoise, Probe
from bench_lr.schema import (
    Claim,
    EvaluationConfig,
    Flatten,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    RunConfig,
    Sigmoid,
    Split,
    TaskConfig,
)
from bench_lr.store import Store, StoreError
from tests.claims.samples import drop, edited, load, put, write
from tests.stored import commit, fill, simple


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


@pytest.mark.parametrize("order", [1, -1])
def test_cheap_claims_come_first_whatever_the_order_asked(
    order: int, tmp_path: Path, store: Store
) -> None:
    dear, cheap, middle = (put("train", "batch_size", value=size) for size in (4, 128, 32))
    found = load(
        write(tmp_path, {"a/dear": edited(dear), "b/cheap": edited(cheap), "c/mid": edited(middle)})
    )
    plan = make_plan(found[::order], store, 16)
    sizes = [job.runs[0].batches[0].batch_size for job in plan.jobs]
    assert list(dict.fromkeys(sizes)) == [128, 32, 4]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("limit", [1, 5, 16, 512])
def test_jobs_hold_whole_seeds_of_one_shape(limit: int, claims: list[Claim], store: Store) -> None:
    plan = make_plan(claims, store, limit)
    for job in plan.jobs:
        assert len({run.batches for run in job.runs}) == 1
        arms = {sum(run.seed == seed for run in job.runs) for seed in {r.seed for r in job.runs}}
        assert len(arms) == 1


def test_a_job_survives_being_written_and_reads_no_file_but_its_own(
    claims: list[Claim], store: Store, tmp_path: Path
) -> None:
    plan = make_plan(claims, store, 5)
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


def test_estimates_are_positive_and_grow_with_what_is_trained(claims: list[Claim]) -> None:
    (small,) = [arm.runs for c in claims for arm in c.arms if arm.name == "small batches"]
    (large,) = [arm.runs for arm in claims[0].arms if arm.name == "lr=0.5"]
    assert 0 < seconds_of(large[:1]) < seconds_of(small[:1])
    assert seconds_of(large[:1]) < seconds_of(large) < len(large) * seconds_of(large[:1])
    longer = [dataclasses.replace(r, batches=r.batches * 2) for r in large]
    assert seconds_of(longer) == pytest.approx(2 * seconds_of(large))


def test_sums_of_a_plan_are_those_of_its_jobs(claims: list[Claim], store: Store) -> None:
    plan = make_plan(claims, store, 7)
    assert plan.run_epochs == sum(run.epochs for run in planned(plan)) == 4 * plan.runs
    assert plan.seconds == pytest.approx(sum(job.seconds for job in plan.jobs))
    assert all(job.seconds > 0 for job in plan.jobs)


def test_estimates_know_how_often_and_on_what_runs_are_evaluated(claims: list[Claim]) -> None:
    run = claims[0].arms[0].runs[0]

    def cost(every: int, *splits: Split) -> float:
        evaluation = EvaluationConfig(1, splits, every)
        return seconds_of([dataclasses.replace(run, evaluation=evaluation)])

    # Four epochs, 1000 training examples and 200 for validation.
    once = (cost(1, "validation") - cost(4, "validation")) / 3
    assert once > 0
    assert cost(3, "validation") - cost(4, "validation") == pytest.approx(once)
    assert cost(4, "training_set") - cost(4, "validation") == pytest.approx(4 * once)
    both = cost(4, "training_set", "validation")
    assert both - cost(4, "training_set") == pytest.approx(once)


def test_steps_that_are_compiled_are_estimated_to_be_short(claims: list[Claim]) -> None:
    base = dataclasses.replace(
        claims[0].arms[0].runs[0],
        task=TaskConfig("curve", 900, 100, loss="half_mse"),
        model=ModelConfig((Linear(4), Sigmoid(), Linear(1))),
        batches=(Phase(100, 1),),
    )
    momentum = dataclasses.replace(base, optimizer=OptimizerConfig(0.1, momentum=0.9))
    assert seconds_of([base]) < seconds_of([momentum]) / 20


def test_timed_runs_are_jobs_of_their_own_after_the_others(tmp_path: Path, store: Store) -> None:
    timed = edited(put("train", "timed", value=True))
    plan = make_plan(load(write(tmp_path, {"a/timed": timed, "b/one": edited()})), store, 16)
    assert [run.timed for run in planned(plan)] == [False] * 24 + [True] * 24
    assert [len(job.runs) for job in plan.jobs if job.runs[0].timed] == [1] * 24


def test_probes_add_to_the_estimate_by_how_often_and_how_much_they_measure() -> None:
    base = RunConfig(
        TaskConfig("mnist", 55_000, 5_000),
        ModelConfig((Flatten(), Linear(64), Sigmoid(), Linear(10))),
        OptimizerConfig(0.1),
        (Phase(4, 128),),
    )

    def seconds(*probes: Probe) -> float:
        run = dataclasses.replace(base, evaluation=EvaluationConfig(probes=probes))
        return seconds_of([run]) - seconds_of([base])

    once = seconds(GradientNoise((64,), at=(2,)))
    assert once > 0
    assert seconds(GradientNoise((64,), at=(0, 2))) == pytest.approx(2 * once)
    assert seconds(GradientNoise((64,))) == pytest.approx(4 * once)
    assert seconds(GradientNoise((64, 640), at=(2,))) > 2 * once
    sketched = seconds(DisplacementSketch(256))
    assert seconds(DisplacementSketch(64)) == pytest.approx(sketched / 4)
