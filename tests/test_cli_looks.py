"""Seeds by need, from the command line: clear claims end at the first look, close ones go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench_lr import cli, drive
from bench_lr.claims import load_claims
from bench_lr.looks import first_look, next_look, seeds_at
from tests import tiny
from tests.claims.samples import write

LOOKS = (6, 8, 11)


def close() -> dict[str, Any]:
    """Return a claim about two learning rates that no number of seeds can tell apart."""
    arms = {"grid": {"lr": [0.5, 0.50000001]}}
    return tiny.claim("lr=0.5", "lr=0.50000001", **arms)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    conf = write(
        tmp_path / "conf",
        {
            "me/clear": tiny.claim("lr=0.5", "lr=1e-06"),
            "me/close": tiny_margin(close()),
            "me/counted": {**tiny.counted(), "seeds": 1},
        },
    )
    profile = {"name": "short", "seeds": 6, "may_judge": True, "gpu_claims": False}
    (conf / "profile").mkdir(exist_ok=True)
    (conf / "profile" / "short.yaml").write_text(
        json.dumps({**profile, "description": "a few looks", "looks": LOOKS})
    )
    monkeypatch.setenv("BENCH_LR_CONF", str(conf))
    monkeypatch.setenv("BENCH_LR_REPRODUCTIONS", str(tmp_path / "reproductions"))
    monkeypatch.setattr("bench_lr.report.html.write", lambda *args, **options: None, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tiny_margin(claim: dict[str, Any]) -> dict[str, Any]:
    claim["criteria"][0]["params"]["margin"] = 0.0
    return claim


def run(*words: str) -> int:
    return cli.main(["run", "me/*", "--profile", "short", "--launcher", "local", *words])


def test_seeds_are_added_until_every_claim_is_decided_or_the_cap_is_reached(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--seeds", "auto") == cli.DONE
    said = capsys.readouterr().out
    assert said.count("another look: 1 claims are not decided yet") == 2
    content = json.loads((place / "out" / "report" / "verdicts.json").read_text())
    found = {claim["id"]: claim for claim in content["claims"]}
    seeds = {name: claim["criteria"][0]["seeds"] for name, claim in found.items()}
    assert seeds == {"me/clear": 6, "me/close": 11, "me/counted": 1}
    assert found["me/clear"]["verdict"] == "reproduced"
    assert "decided at look 1 of 3 (6 seeds" in found["me/clear"]["criteria"][0]["note"]
    assert found["me/close"]["verdict"] == "inconclusive"
    assert "look" not in found["me/counted"]["criteria"][0]["note"]


def test_what_an_interrupted_search_has_trained_is_used_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--seeds", "auto") == cli.DONE
    monkeypatch.setattr(drive, "train", lambda *args, **options: pytest.fail("trained"))
    assert run("--seeds", "auto") == cli.DONE


def test_a_number_of_seeds_goes_for_every_arm(place: Path) -> None:
    assert run("--seeds", "7") == cli.DONE
    content = json.loads((place / "out" / "report" / "verdicts.json").read_text())
    assert {c["criteria"][0]["seeds"] for c in content["claims"]} == {7}


@pytest.mark.parametrize("words", ["none", "0", "1.5"])
def test_anything_else_is_refused(
    place: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--seeds", words) == cli.BAD_INPUT
    assert "seeds" in capsys.readouterr().err


def test_the_record_cannot_be_expected_of_seeds_by_need(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--seeds", "auto", "--expect", "recorded") == cli.BAD_INPUT
    assert "--seeds" in capsys.readouterr().err


def test_looks_change_the_number_of_seeds_and_nothing_else(place: Path) -> None:
    (claim,) = load_claims(["me/clear"], "short")
    first = first_look(claim)
    assert (first.seeds, first.looks) == (6, LOOKS)
    assert seeds_at(first, claim.seeds).arms == claim.arms
    second = next_look(first)
    assert second is not None
    assert [run.seed for run in second.arms[0].runs] == list(range(8))
    assert second.arms[0].runs[:6] == first.arms[0].runs
    third = next_look(second)
    assert third is not None
    assert next_look(third) is None
