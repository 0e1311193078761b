"""What can be asked of any model: each template is sound, and is asked by its name alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench_lr import cli
from bench_lr.claims import conf_roots, load_claims
from bench_lr.claims.check import check_claim
from bench_lr.conformance import faults
from bench_lr.overrides import Overrides, of_ones_own

TEMPLATES = sorted(path.stem for path in (conf_roots()[-1] / "template").glob("*.yaml"))
OWN = ("--model", "tests.owned.Small", "--data", "tests.owned.pair")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget where claims were looked for."""
    for name in ("BENCH_LR_CONF", "BENCH_LR_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_the_questions_of_the_documentation_are_there() -> None:
    page = Path(__file__).parents[1] / "docs" / "own-model.md"
    if not page.is_file():
        pytest.skip("not a checkout")
    lines = page.read_text().splitlines()
    named = sorted(line.split("`")[1] for line in lines if line.startswith("| `"))
    assert named == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_sound_for_a_model_of_ones_own(name: str) -> None:
    overrides = Overrides.parse(of_ones_own("tests.owned.Small", "tests.owned.pair"))
    roots = [conf_roots()[-1] / "template", conf_roots()[-1]]
    (claim,) = load_claims(
        [f"template/{name}"], roots=roots, override=overrides.setting, check=check_claim
    )
    assert len(claim.arms[0].runs) >= 6
    assert list(faults(claim)) == []


def test_a_template_is_asked_by_its_name(capsys: Capture, tmp_path: Path) -> None:
    where = ("--store", str(tmp_path / "store"), "--out", str(tmp_path))
    assert cli.main(["run", "linear_scaling", *OWN, "--dry-run", *where]) == 0
    out = capsys.readouterr().out
    assert "template/linear_scaling" in out
    assert "tests.owned.Small is a chain of layers: its runs train in lockstep" in out
    assert cli.main(["run", *OWN, "--dry-run", *where]) == 0
    assert f"{len(TEMPLATES)} claims" in capsys.readouterr().out
    assert cli.main(["run", "linear_scalin", *OWN, "--dry-run", *where]) == 2
    assert "did you mean 'template/linear_scaling'?" in capsys.readouterr().err


def test_templates_are_no_claims_of_the_suite(capsys: Capture) -> None:
    assert cli.main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert not [row for row in rows if row["id"].startswith("template/")]
    assert cli.main(["list", "--templates", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [f"template/{name}" for name in TEMPLATES]


@pytest.mark.slow
def test_the_best_rates_are_told_with_their_intervals(tmp_path: Path, capsys: Capture) -> None:
    where = ("--store", str(tmp_path / "store"), "--out", str(tmp_path))
    assert cli.main(["run", "best_lr", *OWN, *where]) == 0, capsys.readouterr().out
    (claim,) = json.loads((tmp_path / "report" / "verdicts.json").read_text())["claims"]
    told = {it["id"]: it for it in claim["criteria"]}
    for batch in (8, 32, 128):
        low, high = told[f"best_at_{batch}"]["ci"]
        assert low <= told[f"best_at_{batch}"]["estimate"] <= high
    assert claim["verdict"] in ("reproduced", "refuted", "inconclusive")
