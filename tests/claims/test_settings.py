"""How the settings of a claim, a profile, an arm and the command line are overlaid."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_lr.claims import arm_value
from bench_lr.claims.settings import merged
from bench_lr.schema import Phase, Setting
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
