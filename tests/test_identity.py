"""Run ids: equal for equal runs, different for everything that changes training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_lr import identity
from bench_lr.claims import load_claims
from bench_lr.claims.problems import adapter
from bench_lr.identity import canonical_json, config_dict, run_id, run_ids, stream_key
from bench_lr.probes import DisplacementSketch, GradientNoise
from bench_lr.schedules import MultiStep, Step
from bench_lr.schema import (
    BatchNorm,
    Conv2d,
    Dropout,
    EvaluationConfig,
    Flatten,
    Linear,
    MaxPool2d,
    ModelConfig,
    OptimizerConfig,
    Phase,
    ReLU,
    RunConfig,
    Target,
    TaskConfig,
)
from tests.claims.samples import loaded, put

RUN = RunConfig(
    task=TaskConfig("mnist", 1000, 200),
    model=ModelConfig(
        (Conv2d(4, 3), BatchNorm(), ReLU(), MaxPool2d(2), Flatten(), Dropout(0.5), Linear(10))
    ),
    optimizer=OptimizerConfig(0.1),
    batches=(Phase(2, 64),),
    schedule=Step(0.9, 50),
    evaluation=EvaluationConfig(
        probes=(GradientNoise((8, 16), at=(1.0,)), DisplacementSketch(at=(0.0,)))
    ),
    stop_at=Target(),
)
OTHER: dict[type, Any] = {int: lambda v: v + 1, float: lambda v: v + 0.25, bool: lambda v: not v}
WORDS = {
    "data": "synthetic",
    "split": "last",
    "loss": "half_mse",
    "init": "he_normal",
    "unit": "epoch",
    "dtype": "float64",
    "splits": ("test",),
    "order": "fixed",
    "metric": "accuracy",
    "at_most": 0.5,
    "at_least": 0.5,
}


def changed(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path to every field inside a configuration, and the whole with it changed."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.name == "kind":
                continue
            for path, other in changed(getattr(value, field.name), field.name):
                yield (
                    f"{type(value).__name__}.{path}",
                    dataclasses.replace(value, **{field.name: other}),
                )
    elif name in WORDS:
        yield name, WORDS[name]
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            for path, other in changed(item):
                yield f"{name}.{i}.{path}", (*value[:i], other, *value[i + 1 :])
        yield f"{name}.+", (*value, value[-1])
    else:
        yield name, OTHER[type(value)](value)


CHANGES = dict(changed(RUN))


def test_every_field_of_a_run_is_changed_somewhere() -> None:
    touched = {
        field.name
        for field in dataclasses.fields(RunConfig)
        if any(getattr(run, field.name) != getattr(RUN, field.name) for run in CHANGES.values())
    }
    assert touched == {field.name for field in dataclasses.fields(RunConfig)}
    assert len(CHANGES) > 30


@pytest.mark.parametrize("path", CHANGES)
def test_the_id_changes_with_every_field(path: str) -> None:
    assert CHANGES[path] != RUN
    assert run_id(CHANGES[path]) != run_id(RUN)


def test_no_two_changes_share_an_id() -> None:
    assert len({run_id(run) for run in CHANGES.values()}) == len(CHANGES)


def test_the_kind_of_schedule_is_part_of_the_id() -> None:
    assert run_id(dataclasses.replace(RUN, schedule=MultiStep(0.9, (50,)))) != run_id(RUN)


def test_the_id_changes_with_the_engine_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = run_id(RUN)
    monkeypatch.setattr(identity, "ENGINE_VERSION", identity.ENGINE_VERSION + 1)
    assert run_id(RUN) != before


def test_probes_are_all_that_a_run_without_any_says_of_them() -> None:
    bare = dataclasses.replace(RUN, evaluation=EvaluationConfig())
    content = config_dict(bare)
    assert content["evaluation"].pop("probes") == []
    assert "probe" not in canonical_json(content)


def test_the_id_does_not_depend_on_the_order_of_keys() -> None:
    def backwards(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: backwards(value[k]) for k in reversed(value)}
        return [backwards(v) for v in value] if isinstance(value, list) else value

    plain = config_dict(RUN)
    turned = backwards(plain)
    assert list(turned) != list(plain)
    again = adapter(RunConfig).validate_json(json.dumps(turned), strict=True)
    assert run_id(again) == run_id(RUN)
    assert canonical_json(turned) == canonical_json(plain)


def test_the_id_is_a_sha256_that_every_process_computes_alike() -> None:
    import hashlib

    text = json.dumps(
        [config_dict(RUN), identity.ENGINE_VERSION], sort_keys=True, separators=(",", ":")
    )
    assert run_id(RUN) == hashlib.sha256(text.encode()).hexdigest()


def test_a_configuration_as_plain_types_is_what_json_makes_of_it() -> None:
    for run in CHANGES.values():
        plain = config_dict(run)
        assert plain == json.loads(json.dumps(dataclasses.asdict(run)))
        # What a caller does to it stays with the caller.
        plain["task"]["data"] = "changed"
        plain["model"]["layers"].clear()
        assert config_dict(run) != plain


def test_many_ids_at_once_are_those_of_each() -> None:
    suite = [r for c in load_claims(profile="smoke") for a in c.arms for r in a.runs]
    for runs in (suite, list(CHANGES.values()), [RUN, *CHANGES.values(), RUN], []):
        assert run_ids(runs) == [run_id(run) for run in runs]
    # Equal, but spelled differently.
    spelled = [
        dataclasses.replace(RUN, optimizer=OptimizerConfig(lr), drop_last=last)
        for lr in (1, 1.0)
        for last in (0, False)
    ]
    assert len(set(run_ids(spelled))) == 4
    assert run_ids(spelled) == [run_id(run) for run in spelled]
    assert run_ids(iter(suite)) == run_ids(suite)


def ids(root: Path, *edits: Any) -> list[str]:
    return [run_id(run) for arm in loaded(root, *edits).arms for run in arm.runs]


def test_claim_text_margins_and_figures_are_not_part_of_the_id(tmp_path: Path) -> None:
    same = ids(
        tmp_path,
        put("title", value="another"),
        put("statement", value="another"),
        put("criteria", 0, "params", "margin", value=0.5),
        put("criteria", 0, "measure", "metric", value="loss"),
        put("figure", "params", "tail_epochs", value=1),
        put("remarks", value="another"),
    )
    assert same == ids(tmp_path)


def test_a_whole_number_and_the_float_of_it_are_one_run(tmp_path: Path) -> None:
    named = [put("arms", value={"x": {"lr": lr, "momentum": 0}}) for lr in (1, 1.0)]
    assert ids(tmp_path, named[0]) == ids(tmp_path, named[1])


def test_writing_a_default_out_is_the_same_run(tmp_path: Path) -> None:
    written = (
        put("train", "schedule", value={"kind": "constant"}),
        put("train", "optimizer", value={"kind": "sgd", "momentum": 0.0}),
        put("train", "drop_last", value=False),
        put("train", "evaluate_on", value=["validation"]),
        put("train", "batches", value=[[4, 128]]),
        put("train", "dtype", value="float32"),
    )
    assert ids(tmp_path, *written) == ids(tmp_path)


def test_canonical_json_refuses_what_has_no_one_spelling() -> None:
    for value in (float("nan"), float("inf"), np.float32(1)):
        with pytest.raises((ValueError, TypeError)):
            canonical_json({"x": value})


def test_streams_of_different_purpose_seed_or_place_differ() -> None:
    keys = [
        stream_key(*parts)
        for parts in [(0, "init"), (1, "init"), (0, "order", 0), (0, "order", 1), (0, "split")]
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**128 for key in keys)
