"""Claims, criteria, figures and schedules of the user's own, from their folder to the report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_lr import cli, plugins
from bench_lr.claims import ConfigError, conf_roots
from bench_lr.claims.files import add_root, claim_files
from bench_lr.claims.problems import parse
from bench_lr.conformance import faults
from bench_lr.criteria import KINDS
from bench_lr.figures import FIGURES
from bench_lr.identity import run_id
from bench_lr.schedules import Clock, Registered, schedule
from bench_lr.schedules.registered import SCHEDULES
from tests import tiny
from tests.claims.samples import load, write
from tests.stored import run

EXAMPLE = Path(__file__).parents[1] / "examples" / "extend"
Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="not a checkout")


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a plugin has registered, and where it was looked for."""
    for name in ("BENCH_LR_CONF", "BENCH_LR_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(sys, "path", list(sys.path))
    registries: list[dict[str, Any]] = [KINDS, FIGURES, SCHEDULES]  # type: ignore[list-item]
    before = [dict(registry) for registry in registries]
    plugins.load_plugins.cache_clear()
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)
    for name in ("my_rules", "broken_rules", "odd_rules"):
        sys.modules.pop(name, None)
    plugins.load_plugins.cache_clear()


# --- where claims are found ------------------------------------------------------------------


def test_a_folder_of_claims_is_flat_or_by_source_or_laid_out_like_conf(tmp_path: Path) -> None:
    content = tiny.claim("lr=0.5", "lr=1e-06")
    layouts = {"flat": "one.yaml", "deep": "me/one.yaml", "whole": "claim/me/one.yaml"}
    for name, place in layouts.items():
        path = tmp_path / name / place
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    (tmp_path / "deep" / "model").mkdir()
    (tmp_path / "deep" / "model" / "net.yaml").write_text("layers: []")
    found = {name: list(claim_files([tmp_path / name])) for name in layouts}
    assert found == {"flat": ["flat/one"], "deep": ["me/one"], "whole": ["me/one"]}


def test_a_folder_that_is_none_is_refused(tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        add_root(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    assert cli.main(["list", "--claims-dir", str(tmp_path / "file")]) == 2
    assert "a file; allowed: a folder" in capsys.readouterr().err


def test_claims_of_a_folder_are_beside_those_of_the_suite(capsys: Capture) -> None:
    assert cli.main(["list", "--json", "--claims-dir", str(EXAMPLE)]) == 0
    ids = [row["id"] for row in json.loads(capsys.readouterr().out)]
    assert "extend/cosine_beats_step" in ids
    assert len(ids) == 1 + len(claim_files(conf_roots()[-1:]))


# --- the example -----------------------------------------------------------------------------


def test_the_example_is_fit_to_be_run(capsys: Capture) -> None:
    words = ["check-claims", str(EXAMPLE), "--plugins", "my_rules"]
    assert cli.main(words) == 0, capsys.readouterr().out
    assert "✓ extend/cosine_beats_step" in capsys.readouterr().out


def test_without_its_plugin_the_example_says_what_is_missing(capsys: Capture) -> None:
    assert cli.main(["check-claims", str(EXAMPLE), "--profile", "quick"]) == 2
    out = capsys.readouterr().out
    assert "usually_better" in out
    assert "figure.kind: found 'pairs'" in out
    assert "BENCH_LR_PLUGINS names the modules" in out


@pytest.mark.data
def test_the_example_runs_in_processes_that_load_its_plugin(tmp_path: Path) -> None:
    words = ["run", "extend/*", "--claims-dir", str(EXAMPLE), "--plugins", "my_rules"]
    environment = {k: v for k, v in os.environ.items() if k != "BENCH_LR_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-m", "bench_lr", *words, "--", "epochs=2", "seeds=6", "train_size=500"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (claim,) = json.loads((tmp_path / "out/report/verdicts.json").read_text())["claims"]
    assert claim["id"] == "extend/cosine_beats_step"
    assert claim["verdict"] in ("reproduced", "refuted", "inconclusive")
    assert (tmp_path / "out/report/figures/extend--cosine_beats_step.svg").is_file()


# --- plugins ---------------------------------------------------------------------------------


def test_a_plugin_that_cannot_be_imported_is_named(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "broken_rules.py").write_text("1 / 0\n")
    words = ["list", "--claims-dir", str(tmp_path), "--plugins"]
    assert cli.main([*words, "broken_rules"]) == 2
    assert "plugin broken_rules: ZeroDivisionError" in capsys.readouterr().err
    os.environ["BENCH_LR_PLUGINS"] = ""
    assert cli.main([*words, "no_such_rules"]) == 2
    assert "plugin no_such_rules: ModuleNotFoundError" in capsys.readouterr().err


# --- registered schedules --------------------------------------------------------------------


def test_a_registered_schedule_is_part_of_a_runs_identity() -> None:
    @schedule("falling")
    def falling(clock: Clock, *, by: float) -> Any:
        return np.exp(-by * clock.step)

    one, two = (Registered("falling", (("by", by),)) for by in (0.1, 0.2))
    clock = Clock.steady(np.arange(5.0), 5)
    np.testing.assert_allclose(one.multiplier(clock), np.exp(-0.1 * np.arange(5.0)))
    first = run_id(run(schedule=one))
    assert first != run_id(run(schedule=two))
    assert first == run_id(run(schedule=Registered("falling", (("by", 0.1),))))
    del SCHEDULES["falling"]

    @schedule("falling")
    def another(clock: Clock, *, by: float) -> Any:
        return np.exp(-by * clock.step / 2)

    # The same name and number, another function: another run.
    assert first != run_id(run(schedule=Registered("falling", (("by", 0.1),))))
    with pytest.raises(ValueError, match="whose source is"):
        Registered(one.name, one.params, one.source)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"name": "nothing"}, "a schedule that is registered (flat)"),
        ({"name": "flat", "params": {"x": 1}}, "the parameters of 'flat'"),
        ({"name": "flat", "params": {"level": "x"}}, "number"),
        ({"name": "flat", "params": 3}, "params"),
        ({}, "required"),
    ],
)
def test_what_is_wrong_with_a_registered_schedule_is_told(
    content: dict[str, Any], told: str
) -> None:
    SCHEDULES.clear()

    @schedule("flat")
    def flat(clock: Clock, *, level: float = 1.0) -> Any:
        return np.full(np.shape(clock.step), level)

    problems: list[Any] = []
    assert (
        parse(Registered, {"kind": "registered", **content}, "a file", "schedule", problems) is None
    )
    assert told in " ".join(map(str, problems))


@pytest.mark.parametrize("bad", [[1.0], [[1.0] * 5], [-1.0] * 5, [np.nan] * 5, [np.inf] * 5])
def test_what_is_no_multiplier_is_refused(bad: Any) -> None:
    @schedule("odd")
    def odd(clock: Clock) -> Any:
        return np.array(bad)

    with pytest.raises(ValueError, match="schedule 'odd' gives"):
        Registered("odd").multiplier(Clock.steady(np.arange(5.0), 5))


# --- conformance -----------------------------------------------------------------------------

ODD = """
import random
from bench_lr.criteria import CriterionResult, criterion
from bench_lr.figures.registry import figure

@criterion("first_seed", arm_params=("arm",))
def first_seed(arms, *, arm: str):
    value = float(arms[arm][0])
    return CriterionResult("reproduced", value, None, None, 6, None, None, None)

@criterion("upside_down", arm_params=("arm",))
def upside_down(arms, *, arm: str):
    return CriterionResult("reproduced", 0.0, (1.0, -1.0), None, 6, None, None, None)

@figure("never")
def never(verdict):
    raise RuntimeError("no ink")
"""


@pytest.mark.parametrize(
    ("criterion", "figure", "told"),
    [
        ("first_seed", "curves", "when the seeds come in another order"),
        ("upside_down", "curves", "an interval from 1 to -1"),
        ("superior", "never", "RuntimeError: no ink"),
    ],
)
def test_what_the_rest_cannot_rely_on_is_found(
    criterion: str, figure: str, told: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "odd_rules.py").write_text(ODD)
    content = tiny.claim("lr=0.5", "lr=1e-06", figure={"kind": figure})
    if criterion != "superior":
        content["criteria"][0] |= {"kind": criterion, "params": {"arm": "lr=0.5"}}
    (tmp_path / "one.yaml").write_text(json.dumps(content))
    words = ["check-claims", str(tmp_path), "--plugins", "odd_rules", "--profile", "quick"]
    assert cli.main(words) == 2
    assert told in capsys.readouterr().out


def test_a_folder_without_claims_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["check-claims", str(tmp_path)]) == 2
    assert "without claims" in capsys.readouterr().err


def test_sound_claims_have_no_faults(tmp_path: Path) -> None:
    write(tmp_path, {"me/one": tiny.claim("lr=0.5", "lr=1e-06"), "me/two": tiny.counted()})
    for claim in load(tmp_path):
        assert list(faults(claim)) == []
    shutil.rmtree(tmp_path)
