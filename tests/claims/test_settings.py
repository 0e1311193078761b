"""How the settings of a claim, a profile, an arm and the command line are overlaid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_lr.budget import budget
from bench_lr.claims import arm_value, load_profile
from bench_lr.claims.settings import has_value, merged
from bench_lr.schema import (
    AdagradConfig,
    AdamConfig,
    EvaluationConfig,
    OptimizerConfig,
    Phase,
    Setting,
    Target,
)
from tests.claims.samples import drop, edited, load, loaded, put, write

PLAN = ((2, 64), (2, 128))


def test_later_settings_win_and_absent_ones_are_left_alone() -> None:
    assert merged(
        Setting(lr=0.1, momentum=0.5, epochs=3), None, Setting(lr=0.2), Setting(epochs=4)
    ) == {"lr": 0.2, "momentum": 0.5, "epochs": 4}


@pytest.mark.parametrize("value", [0, False, 0.0])
def test_a_setting_of_zero_is_a_setting(value: float) -> None:
    whole = merged(
        Setting(validation_size=10, nesterov=True, momentum=0.9),
        Setting(validation_size=int(value), nesterov=bool(value), momentum=float(value)),
    )
    assert whole == {"validation_size": 0, "nesterov": False, "momentum": 0.0}


def test_a_batch_size_removes_an_inherited_plan_and_a_plan_outranks_a_batch_size() -> None:
    assert merged(Setting(batches=PLAN), Setting(batch_size=32)) == {"batch_size": 32}
    assert merged(Setting(batch_size=32), Setting(batches=PLAN))["batches"] == PLAN
    assert merged(Setting(batches=PLAN), Setting(lr=1.0))["batches"] == PLAN
    assert merged(Setting(batch_size=1, batches=PLAN))["batches"] == PLAN


def phases(root: Path, override: Setting | None = None) -> dict[str, tuple[Phase, ...]]:
    content = edited(
        drop("grid"),
        drop("criteria", 0, "order_by"),
        put("train", "lr", value=0.5),
        put("train", "batches", value=[list(p) for p in PLAN]),
        put("arms", value={"lr=0.5": {}, "small": {"batch_size": 16}}),
    )
    (claim,) = load(write(root, {"me/one": content}), override=override)
    return {arm.name: arm.runs[0].batches for arm in claim.arms}


def test_an_arms_batch_size_stands_in_place_of_the_claims_plan(tmp_path: Path) -> None:
    assert phases(tmp_path) == {
        "lr=0.5": (Phase(2, 64), Phase(2, 128)),
        "small": (Phase(4, 16),),
    }


def test_a_batch_size_on_the_command_line_outranks_every_plan(tmp_path: Path) -> None:
    assert set(phases(tmp_path, Setting(batch_size=8)).values()) == {(Phase(4, 8),)}


def test_the_arm_outranks_the_patch_which_outranks_the_claim(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        drop("criteria", 0, "order_by"),
        put("train", "weight_decay", value=0.1),
        put("train", "momentum", value=0.1),
        put("arms", value={"own": {"lr": 0.7, "momentum": 0.3}}),
        put("profiles", value={"quick": {"train": {"momentum": 0.2, "weight_decay": 0.2}}}),
    )
    optimizers = {arm.name: arm.runs[0].optimizer for arm in claim.arms}
    assert (optimizers["lr=0.5"].momentum, optimizers["lr=0.5"].weight_decay) == (0.2, 0.2)
    assert (optimizers["own"].momentum, optimizers["own"].weight_decay) == (0.3, 0.2)


def test_a_patch_is_for_its_profile_only(tmp_path: Path) -> None:
    patch = {"why": "shorter", "train": {"epochs": 2}, "grid": {"lr": [0.4, 0.5, 0.6]}}
    edits = (put("profiles", value={"quick": patch}),)
    quick = loaded(tmp_path, *edits)
    standard = loaded(tmp_path, *edits, profile="standard")
    assert [arm.name for arm in quick.arms] == ["lr=0.4", "lr=0.5", "lr=0.6"]
    assert [arm.name for arm in standard.arms] == ["lr=0.2", "lr=0.5", "lr=0.8"]
    assert (quick.arms[0].runs[0].epochs, standard.arms[0].runs[0].epochs) == (2, 4)
    assert (quick.shortened, standard.shortened) == ("shorter", "")


def test_a_grid_is_every_combination_in_order_and_named_arms_follow(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        put("grid", value={"batch_size": [8, 16], "lr": [0.2, 0.5]}),
        put("arms", value={"other": {"lr": 0.5}}),
        put("criteria", 0, "params", "expected", value="batch_size=8 lr=0.5"),
        drop("criteria", 0, "order_by"),
        drop("figure", "params", "highlight"),
    )
    assert [arm.name for arm in claim.arms] == [
        "batch_size=8 lr=0.2",
        "batch_size=8 lr=0.5",
        "batch_size=16 lr=0.2",
        "batch_size=16 lr=0.5",
        "other",
    ]
    values = [(arm_value(arm, "batch_size"), arm_value(arm, "lr")) for arm in claim.arms]
    assert values == [(8, 0.2), (8, 0.5), (16, 0.2), (16, 0.5), (128, 0.5)]


def test_an_optimizers_file_is_overlaid_by_settings(tmp_path: Path) -> None:
    plain = loaded(tmp_path, put("train", "optimizer", value="nesterov"))
    own = loaded(
        tmp_path,
        put("train", "optimizer", value="nesterov"),
        put("train", "momentum", value=0.5),
    )
    assert [plain.arms[0].runs[0].optimizer.momentum, own.arms[0].runs[0].optimizer.momentum] == [
        0.9,
        0.5,
    ]
    assert plain.arms[0].runs[0].optimizer.nesterov


def test_a_task_file_may_leave_its_sizes_to_the_claim(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "bare.yaml").write_text("data: mnist")
    claim = loaded(tmp_path, put("train", "task", value="bare"))
    assert claim.arms[0].runs[0].task.train_size == 1000


def test_values_of_an_arm_are_those_of_its_runs(tmp_path: Path) -> None:
    arm = loaded(tmp_path, put("train", "momentum", value=0.9)).arms[0]
    found = {
        key: arm_value(arm, key)
        for key in ("lr", "batch_size", "momentum", "weight_decay", "train_size", "epochs")
    }
    assert found == {
        "lr": 0.2,
        "batch_size": 128,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "train_size": 1000,
        "epochs": 4,
    }


@pytest.mark.parametrize(
    ("updates", "batch_size", "drop_last", "epochs"),
    [
        # 1000 examples: 8 steps an epoch of batch size 128, 7 of them full.
        (80, 128, False, 10),
        (83, 128, False, 10),
        (84, 128, False, 11),
        (85, 128, False, 11),
        (70, 128, True, 10),
        (1, 128, False, 1),
        (3, 1, False, 1),
        (1499, 1, False, 1),
        (1500, 1, False, 2),
        (10, 1000, False, 10),
        (10, 5000, False, 10),
    ],
)
def test_updates_are_the_nearest_number_of_whole_epochs(
    updates: int, batch_size: int, drop_last: bool, epochs: int, tmp_path: Path
) -> None:
    change = {"updates": updates, "batch_size": batch_size, "drop_last": drop_last}

    def edit(content: dict[str, Any]) -> None:
        content["train"].update(change)
        content["criteria"][0]["measure"] = {"metric": "accuracy"}

    claim = loaded(tmp_path, drop("train", "epochs"), edit)
    assert claim.arms[0].runs[0].batches == (Phase(epochs, batch_size),)


def test_the_last_word_on_the_length_of_a_run_counts() -> None:
    assert merged(Setting(epochs=5), Setting(updates=9)) == {"updates": 9}
    assert merged(Setting(updates=9), Setting(epochs=5)) == {"epochs": 5}
    assert merged(Setting(batches=PLAN, epochs=4), Setting(updates=9)) == {"updates": 9}
    assert merged(Setting(updates=9), Setting(batches=PLAN)) == {"batches": PLAN}
    assert merged(Setting(updates=9), Setting(lr=1.0)) == {"updates": 9, "lr": 1.0}


def test_a_profile_caps_runs_whose_length_is_in_updates(tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["train"].update(updates=800, evaluate_every=10, stop_at={"at_most": 0.1})
        content["criteria"][0]["measure"] = {"metric": "accuracy"}

    (run, *_) = loaded(tmp_path, drop("train", "epochs"), edit, profile="smoke").arms[0].runs
    assert run.epochs == load_profile("smoke").max_epochs == 1
    assert run.evaluation.every == 10


def test_what_a_run_records_and_when_it_ends_reach_it(tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["train"].update(
            evaluate_every=2,
            evaluate_on=["training_set", "test"],
            order="stratified",
            stop_at={"metric": "accuracy", "split": "test", "at_least": 0.9},
            timed=True,
        )
        content["criteria"][0]["measure"] = {"metric": "accuracy", "split": "training_set"}

    run = loaded(tmp_path, edit).arms[0].runs[0]
    assert run.evaluation == EvaluationConfig(1, ("training_set", "test"), 2)
    assert run.order == "stratified"
    assert run.stop_at == Target("accuracy", "test", at_least=0.9)
    assert run.timed
    plain = loaded(tmp_path).arms[0].runs[0]
    assert (plain.order, plain.stop_at, plain.timed) == ("shuffled", None, False)


def test_targets_may_differ_between_arms(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        put("grid", value={"stop_at": [{"at_most": 0.1}, {"at_most": 0.2}], "lr": [0.5]}),
        drop("criteria", 0, "order_by"),
        put("criteria", 0, "params", "expected", value="far"),
        put("criteria", 0, "measure", value={"metric": "accuracy"}),
        put("arms", value={"far": {"lr": 0.5}}),
        drop("figure", "params", "highlight"),
    )
    assert [arm.runs[0].stop_at for arm in claim.arms] == [
        Target(at_most=0.1),
        Target(at_most=0.2),
        None,
    ]


def test_adam_and_adagrad_resolve_with_settings_and_overrides(tmp_path: Path) -> None:
    content = put("train", "optimizer", value="adam"), put("train", "beta1", value=0.5)
    arm = loaded(tmp_path, *content).arms[0]
    assert arm.runs[0].optimizer == AdamConfig(0.2, beta1=0.5)
    found = [arm_value(arm, key) for key in ("lr", "beta1", "beta2", "weight_decay")]
    assert found == [0.2, 0.5, 0.999, 0.0]
    assert has_value(arm, "beta2")
    assert has_value(arm, "batch_size")
    assert not has_value(arm, "momentum")
    arm = loaded(tmp_path, put("train", "optimizer", value={"momentum": 0.9})).arms[0]
    assert arm.runs[0].optimizer == OptimizerConfig(0.2, 0.9)
    given = {"kind": "adagrad", "eps": 1e-8, "initial_accumulator": 0.1}
    arm = loaded(
        tmp_path, put("train", "optimizer", value=given), put("train", "weight_decay", value=0.1)
    ).arms[0]
    assert arm.runs[0].optimizer == AdagradConfig(0.2, 1e-8, 0.1, 0.1)


def test_a_plumbing_test_takes_steps_even_where_a_batch_exceeds_what_is_left(
    tmp_path: Path,
) -> None:
    edits = put("train", "batch_size", value=4096), put("train", "drop_last", value=True)
    claim = loaded(tmp_path, *edits, profile="smoke")
    run = claim.arms[0].runs[0]
    assert run.task.train_size < 4096
    assert budget(run).updates == run.epochs
