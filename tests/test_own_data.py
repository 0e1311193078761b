"""Data of the user's own: taken as they are, told apart by content, trained on as others are."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench_lr.claims.problems import parse
from bench_lr.cohort.network import LiftedNetwork
from bench_lr.data import DataError, load
from bench_lr.data.own import named, own
from bench_lr.identity import run_id
from bench_lr.schema import Imported, ModelConfig, OptimizerConfig, Phase, RunConfig, TaskConfig
from bench_lr.shapes import example_of, has_real_targets, train_examples
from bench_lr.trainer import tables, train_cohort
from tests import owned
from tests.claims.samples import load as load_claims_of
from tests.claims.samples import write
from tests.cohort.test_engine import compare
from tests.tiny import claim


def test_two_tensors_are_divided_into_training_and_test() -> None:
    x, y = owned.pair()
    found = own("tests.owned.pair")
    assert torch.equal(found.train_x, x[:500])
    assert torch.equal(found.train_y, y[:500])
    assert torch.equal(found.test_x, x[500:])
    assert (found.classes, found.scale) == (3, 1.0)
    assert example_of("tests.owned.pair") == ((5,), 3)
    assert train_examples("tests.owned.pair") == 500
    assert not has_real_targets("tests.owned.pair")


def test_four_tensors_are_taken_as_they_are() -> None:
    found = own("tests.owned.four")
    assert found.train_x.shape == (50, 2, 4, 4)
    assert found.train_x.dtype == torch.uint8
    assert len(found.test_x) == 10
    assert found.scale == 1 / 255


def test_a_lightning_data_module_gives_all_it_trains_and_validates_on() -> None:
    found, x = own("tests.owned.Module"), owned.pair()[0]
    assert torch.equal(found.train_x, x[:500])
    assert torch.equal(found.test_x, x[500:])


def test_real_targets_are_no_classes() -> None:
    found = own("tests.owned.numbers")
    assert found.classes == 0
    assert found.train_y.shape == (100, 1)
    assert example_of("tests.owned.numbers") == ((1,), 1)
    assert has_real_targets("tests.owned.numbers")


def test_the_content_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    name = named("tests.owned.pair")
    assert name == f"tests.owned.pair@{own('tests.owned.pair').sha256[:16]}"
    assert named(name) == name
    assert load(name) is load("tests.owned.pair")
    assert load(name).name == name
    whole = owned.pair
    own.cache_clear()
    monkeypatch.setattr(owned, "pair", lambda: whole(590))
    try:
        assert named("tests.owned.pair") != name
        with pytest.raises(DataError, match="has changed"):
            load(name)
    finally:
        own.cache_clear()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("words", "gives a list; wanted: two tensors"),
        ("unequal", "inputs and"),
        ("unlabelled", "labels from 0 to 0"),
        ("infinite", "not finite"),
        ("nothing", "has no attribute"),
    ],
)
def test_what_is_no_data_is_told(name: str, told: str) -> None:
    with pytest.raises(DataError) as caught:
        own(f"tests.owned.{name}")
    assert told in str(caught.value)
    problems: list[Any] = []
    content = {"data": f"tests.owned.{name}", "train_size": 10, "validation_size": 5}
    assert parse(TaskConfig, content, "a file", "task", problems) is None
    assert told in str(problems[0])


def test_a_name_of_ours_that_is_mistyped_is_told_with_the_nearest() -> None:
    problems: list[Any] = []
    content = {"data": "mnits", "train_size": 10, "validation_size": 5}
    assert parse(TaskConfig, content, "a file", "task", problems) is None
    assert "did you mean 'mnist'?" in str(problems[0])


def a_run(**changes: Any) -> RunConfig:
    task = TaskConfig(named("tests.owned.pair"), 300, 150)
    base = RunConfig(
        task=task,
        model=ModelConfig((Imported("tests.owned.Small"),)),
        optimizer=OptimizerConfig(0.3),
        batches=(Phase(5, 16),),
    )
    return dataclasses.replace(base, **changes)


def test_a_network_of_ones_own_learns_ones_own_data_in_lockstep() -> None:
    runs = [a_run(seed=seed, dtype="float64") for seed in range(3)]
    data = load(runs[0].task.data)
    cohort = train_cohort(runs, data, device="cpu")
    assert isinstance(cohort.network, LiftedNetwork)
    compare(cohort, data)
    for table in tables(cohort):
        accuracy = table[table.metric == "accuracy"].value
        # One of three by chance.
        assert accuracy.iloc[-1] > 0.5
    assert len({run_id(run) for run in runs}) == 3


EXAMPLE = Path(__file__).parents[1] / "examples" / "own_model"


def asked(folder: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the command line from a folder."""
    return subprocess.run(
        [sys.executable, "-m", "bench_lr", *words, "--store", str(out / "store")],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k not in ("BENCH_LR_CONF", "PYTHONPATH")}
        | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="not a checkout")
def test_the_example_is_asked_from_its_folder(tmp_path: Path) -> None:
    words = ["ai_edu/best_lr_batch_16", "--model", "my_model.SmallCNN", "--out", str(tmp_path)]
    done = asked(EXAMPLE, tmp_path, "run", *words, "--profile", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs are missing" not in done.stdout
    text = (tmp_path / "report" / "index.html").read_text()
    assert "my_model.SmallCNN" in text


def test_names_that_stand_for_nothing_are_refused(tmp_path: Path) -> None:
    for words in (["--model", "nowhere.Net"], ["--data", "nowhere.data"], ["--data", "mnist"]):
        done = asked(tmp_path, tmp_path, "run", "ai_edu/best_lr_batch_16", "--dry-run", *words)
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
        assert words[0].strip("-") in done.stderr


def test_a_claim_about_ones_own_model_and_data_is_resolved(tmp_path: Path) -> None:
    content = claim("lr=0.5", "lr=1e-06")
    content["train"] |= {
        "task": {"data": "tests.owned.pair", "train_size": 200, "validation_size": 100},
        "model": {"layers": [{"kind": "imported", "target": "tests.owned.Small"}]},
    }
    for name in ("train_size", "validation_size"):
        del content["train"][name]
    (found,) = load_claims_of(write(tmp_path, {"me/one": content}))
    run = found.arms[0].runs[0]
    assert run.task.data == named("tests.owned.pair")
    content["train"]["model"]["layers"] = [{"kind": "imported", "target": "tests.networks.Dense"}]
    write(tmp_path, {"me/one": content})
    from bench_lr.claims import ConfigError

    with pytest.raises(ConfigError, match="on a batch of shape"):
        load_claims_of(tmp_path)
