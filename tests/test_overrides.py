"""What may follow ``--`` on the command line."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench_lr.claims import ConfigError, load_claims
from bench_lr.overrides import Overrides
from bench_lr.schema import Setting, Target


def test_settings_and_words_for_the_launcher_are_told_apart() -> None:
    found = Overrides.parse(
        ["lr=0.5", "hydra.launcher.n_jobs=3", "threads=1", "batch_size=16", "device=cpu", "seeds=9"]
    )
    assert found.setting == Setting(lr=0.5, batch_size=16)
    assert found.seeds == 9
    assert found.settings == ("lr=0.5", "batch_size=16", "seeds=9")
    assert found.launcher == ("hydra.launcher.n_jobs=3", "threads=1", "device=cpu")
    assert found.jobs_at_once == 3
    assert found.changes_training


def test_words_for_the_launcher_alone_leave_training_as_it_is() -> None:
    found = Overrides.parse(["threads=1", "hydra.verbose=true"])
    assert (found.setting, found.seeds, found.jobs_at_once) == (None, None, None)
    assert not found.changes_training
    assert Overrides.parse([]) == Overrides()


def test_seeds_alone_change_what_is_trained() -> None:
    found = Overrides.parse(["seeds=7"])
    assert (found.setting, found.seeds, found.changes_training) == (None, 7, True)


@pytest.mark.parametrize(
    ("item", "setting"),
    [
        ("lr=1", Setting(lr=1.0)),
        ("lr=1e-3", Setting(lr=0.001)),
        ("+lr=0.5", Setting(lr=0.5)),
        ("model=ra", Setting(model="ra")),
        ("model='ra'", Setting(model="ra")),
        ('model="ra"', Setting(model="ra")),
        ("nesterov=true", Setting(nesterov=True)),
        ("beta1=0.8", Setting(beta1=0.8)),
        ("evaluate_on=[test,validation]", Setting(evaluate_on=("test", "validation"))),
        ("evaluate_on=['test']", Setting(evaluate_on=("test",))),
        ("batches=[[2,64],[3,128]]", Setting(batches=((2, 64), (3, 128)))),
        (
            "schedule={kind:step,factor:0.9,every:50}",
            Setting(schedule={"kind": "step", "factor": 0.9, "every": 50}),
        ),
        ("dtype=float64", Setting(dtype="float64")),
        ("stop_at={split:test,at_most:0.5}", Setting(stop_at=Target(split="test", at_most=0.5))),
        ("evaluate_every=10", Setting(evaluate_every=10)),
        ("order=fixed", Setting(order="fixed")),
        ("timed=true", Setting(timed=True)),
        ("updates=500", Setting(updates=500)),
    ],
)
def test_values_follow_hydras_grammar(item: str, setting: Setting) -> None:
    assert Overrides.parse([item]).setting == setting


def test_the_last_of_two_wins() -> None:
    assert Overrides.parse(["lr=0.1", "lr=0.2"]).setting == Setting(lr=0.2)


@pytest.mark.parametrize(
    ("item", "key", "nearest"),
    [
        ("batchsize=3", "batchsize", "batch_size"),
        ("learning_rate=3", "learning_rate", ""),
        ("store=x", "store", ""),
        ("lr", "lr", "lr"),
        ("~lr", "lr", "lr"),
        ("~lr=0.5", "lr", ""),
        ("schedule.kind=step", "schedule.kind", "schedule"),
        ("lr=-1", "lr", ""),
        ("lr=fast", "lr", ""),
        ("lr=inf", "lr", ""),
        ("lr=", "lr", ""),
        ("momentum=1", "momentum", ""),
        ("beta2=1", "beta2", ""),
        ("batch_size=0", "batch_size", ""),
        ("batch_size=1.5", "batch_size", ""),
        ("batch_size=true", "batch_size", ""),
        ("batches=[]", "batches", ""),
        ("batches=[[1]]", "batches.0.1", ""),
        ("evaluate_on=[tset]", "evaluate_on.0", "test"),
        ("model=3", "model", ""),
        ("seeds=0", "seeds", ""),
        ("seeds=1.5", "seeds", ""),
        ("seeds=true", "seeds", ""),
        ("seeds=[1]", "seeds", ""),
        ("lr=0.1,0.2", "lr", ""),
        ("lr=choice(0.1,0.2)", "lr", ""),
        ("batch_size=range(1,5)", "batch_size", ""),
        ("lr=interval(0,1)", "lr", ""),
        ("lr=[0.1", "--", ""),
        ("threads=0", "threads", ""),
        ("threads=all", "threads", ""),
        ("runs_at_once=0", "runs_at_once", ""),
        ("threads=1,2", "threads", ""),
        ("device=gpu", "device", ""),
        ("hydra.launcher.n_jobs=1,2", "hydra.launcher.n_jobs", ""),
        ("hydra.launcher.n_jobs=[", "--", ""),
        ("model='ra", "--", ""),
    ],
)
def test_what_is_not_allowed_is_refused(item: str, key: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Overrides.parse([item])
    problem = caught.value.problems[0]
    assert problem.file == "command line"
    # A word that is no setting is known by what was typed.
    assert problem.key == key
    assert problem.found
    assert problem.allowed
    if nearest:
        assert problem.nearest == nearest


def test_a_sweep_is_refused_with_where_sweeps_belong() -> None:
    with pytest.raises(ConfigError, match=r"bench_lr\.train -m"):
        Overrides.parse(["lr=0.1,0.2"])


@pytest.mark.parametrize("items", [["batchsize=1", "lrr=2"], ["lr=-1", "batch_size=0", "seeds=0"]])
def test_all_mistakes_are_told_together(items: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Overrides.parse(items)
    assert len(caught.value.problems) == len(items)


@pytest.mark.parametrize(
    ("item", "jobs"),
    [("hydra.launcher.n_jobs=4", 4), ("hydra.launcher.n_jobs=-1", None), ("threads=2", None)],
)
def test_jobs_at_once_are_those_asked_of_the_launcher(item: str, jobs: Any) -> None:
    assert Overrides.parse([item]).jobs_at_once == jobs


def test_every_claim_about_mnist_alone_can_be_asked_of_fashion_mnist() -> None:
    # A claim with a split of its own is asked with that of the other task.
    given = Overrides.parse(["task=fashion_mnist"])
    for claim in load_claims(profile="standard"):
        if {arm.runs[0].task.data for arm in claim.arms} != {"mnist"}:
            continue
        (other,) = load_claims([claim.id], "standard", override=given.setting)
        for arm, same in zip(claim.arms, other.arms, strict=True):
            run, expected = same.runs[0], arm.runs[0]
            assert run.task.data == "fashion_mnist"
            task = dataclasses.replace(run.task, data="mnist")
            if claim.spec.train.task != "mnist":
                task = dataclasses.replace(expected.task, loss=run.task.loss)
            assert dataclasses.replace(run, task=task) == expected
