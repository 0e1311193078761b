"""Whatever is in a claim file, loading gives claims or a `ConfigError`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench_lr.claims import ConfigError, Problem, conf_roots, load_claims, load_profile
from bench_lr.claims.check import check_claim
from bench_lr.schema import Setting
from tests.claims.samples import edited, load, loaded, put, write
from tests.mutations import mutated

CLAIMS = sorted((conf_roots()[-1] / "claim").glob("*/*.yaml"))
CONTENTS = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in CLAIMS]


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=mutated(CONTENTS), profile=st.sampled_from(["smoke", "quick", "standard"]))
def test_a_mutated_claim_loads_or_is_refused(
    content: dict[str, Any], profile: str, tmp_path: Path
) -> None:
    write(tmp_path, {"me/one": yaml.safe_dump(content, allow_unicode=True)})
    try:
        claims = load(tmp_path, profile)
    except ConfigError as error:
        refused: tuple[Problem, ...] = error.problems
    else:
        refused = ()
        assert [claim.id for claim in claims] == ["me/one"]
    assert all(problem.file and problem.found and problem.allowed for problem in refused)


def test_without_a_pattern_all_claims_load_in_order_of_id() -> None:
    claims = load_claims(profile="quick", check=check_claim)
    assert [claim.id for claim in claims] == [f"{p.parent.name}/{p.stem}" for p in CLAIMS]


def test_an_unknown_claim_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_claims(["ai_edu/best_lr_batch_61", "nobody/*", "ai_edu/*"])
    first, second = caught.value.problems
    assert (first.found, first.nearest) == (
        "'ai_edu/best_lr_batch_61'",
        "ai_edu/best_lr_batch_16",
    )
    assert second.found == "'nobody/*'"


def test_an_unknown_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_claims(profile="quik")
    assert caught.value.problems[0].nearest == "quick"


def test_a_broken_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "mine.yaml").write_text("name: mine\nseeds: 0\nmay_judg: true")
    with pytest.raises(ConfigError) as caught:
        load_profile("mine", [tmp_path])
    told = {problem.key: problem.nearest for problem in caught.value.problems}
    assert told.keys() == {"seeds", "may_judg", "may_judge", "gpu_claims", "description"}
    assert told["may_judg"] == "may_judge"


@pytest.mark.parametrize(
    ("claim_seeds", "patch_seeds", "asked", "profile", "seeds"),
    [
        (None, None, None, "quick", 8),
        (None, None, None, "standard", 10),
        (3, None, None, "quick", 3),
        (3, 5, None, "quick", 5),
        (3, 5, 7, "quick", 7),
        (3, 5, None, "standard", 3),
        (30, None, None, "smoke", 2),
        (1, None, None, "smoke", 1),
    ],
)
def test_seeds_come_from_the_call_then_the_patch_then_the_claim_then_the_profile(
    claim_seeds: int | None,
    patch_seeds: int | None,
    asked: int | None,
    profile: str,
    seeds: int,
    tmp_path: Path,
) -> None:
    patch = {"quick": {} if patch_seeds is None else {"seeds": patch_seeds}}
    edits = [put("profiles", value=patch)]
    if claim_seeds is not None:
        edits.append(put("seeds", value=claim_seeds))
    claim = loaded(tmp_path, *edits, profile=profile, seeds=asked)
    assert [run.seed for arm in claim.arms for run in arm.runs] == 3 * list(range(seeds))


def test_smoke_shortens_everything_and_touches_no_data_file(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        put("train", "train_size", value=55_000),
        put("train", "validation_size", value=5_000),
        profile="smoke",
    )
    for arm in claim.arms:
        for run in arm.runs:
            assert run.task.data == "synthetic"
            assert run.epochs == 1
            assert run.task.train_size <= 256
            assert run.task.validation_size <= 256


def test_runs_of_an_arm_differ_in_their_seed_alone(tmp_path: Path) -> None:
    for arm in loaded(tmp_path).arms:
        assert len({dataclasses.replace(run, seed=0) for run in arm.runs}) == 1


def test_the_users_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"ai_edu/best_lr_batch_16": edited(), "me/one": edited()})
    monkeypatch.setenv("BENCH_LR_CONF", str(tmp_path))
    claims = load_claims(["ai_edu/best_lr_batch_16", "me/*", "ai_edu/best_lr_batch_32"])
    titles = {claim.id: claim.spec.title for claim in claims}
    assert titles["ai_edu/best_lr_batch_16"] == titles["me/one"] == "0.5 is best"
    assert titles["ai_edu/best_lr_batch_32"] != "0.5 is best"


def test_an_override_replaces_what_the_claim_says_in_every_arm(tmp_path: Path) -> None:
    claim = loaded(tmp_path, override=Setting(model="m1", batch_size=64))
    (models,) = {run.model for arm in claim.arms for run in arm.runs}
    assert models.layers[1].out_features == 100  # type: ignore[union-attr]
    assert {phase.batch_size for arm in claim.arms for phase in arm.runs[0].batches} == {64}


def test_a_mistake_of_an_override_names_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, override=Setting(model="aee"))
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("command line", "model")


def test_what_the_command_line_got_wrong_is_told_once_for_all_arms_and_claims(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"me/one": edited(), "me/two": edited()})
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, override=Setting(model="aee", train_size=59_999))
    (problem,) = caught.value.problems
    assert (problem.file, problem.key, problem.nearest) == ("command line", "model", "ae")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, override=Setting(train_size=59_999))
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("command line", "train_size")


@pytest.mark.parametrize("globs", [[], ["me/*"], ["me/two"]])
def test_a_claim_file_where_none_is_read_is_a_mistake_when_it_is_asked_for(
    globs: list[str], tmp_path: Path
) -> None:
    root = write(tmp_path, {"me/one": edited()})
    (root / "claim" / "me" / "two.yml").write_text("title: not read")
    with pytest.raises(ConfigError) as caught:
        load_claims(globs, roots=[root, *conf_roots()])
    (problem,) = caught.value.problems
    assert problem.file.endswith("me/two.yml")
    assert problem.allowed == "conf/claim/<source>/<slug>.yaml"
    assert len(load_claims(["me/one"], roots=[root, *conf_roots()])) == 1


def test_a_profile_has_the_name_of_its_file(tmp_path: Path) -> None:
    text = (conf_roots()[-1] / "profile" / "quick.yaml").read_text()
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_profile("mine", [tmp_path])
    (problem,) = caught.value.problems
    assert (problem.key, problem.found) == ("name", "'quick'")
    (tmp_path / "profile" / "mine.yaml").write_text(text.replace("name: quick", "name: mine"))
    assert load_profile("mine", [tmp_path]).name == "mine"
