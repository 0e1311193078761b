"""Guessing commands: help, the nearest word, completion; and what a machine has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench_lr import cli, machine
from bench_lr.claims import claim_files, conf_roots
from bench_lr.cli import VERBS, parser
from tests import tiny

Capture = pytest.CaptureFixture[str]
NAMES = [verb.__name__.rpartition(".")[2].rstrip("_").replace("_", "-") for verb in VERBS]


def refused(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    return end.value.code


# --- help and hints --------------------------------------------------------------------------


@pytest.mark.parametrize("verb", NAMES)
def test_every_verb_has_help_with_examples_that_parse(verb: str, capsys: Capture) -> None:
    assert refused(verb, "--help") == 0
    text = capsys.readouterr().out
    lines = [line.strip() for line in text.partition("examples:\n")[2].splitlines()]
    commands = [line.partition("   ")[0] for line in lines if line.startswith("bench-lr ")]
    assert commands or verb == "completion"
    for command in commands:
        words = command.partition("|")[0].partition(">")[0].partition(" -- ")[0]
        parsed = parser().parse_args([word.strip("'") for word in words.split()[1:]])
        assert parsed.verb == verb


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["runn"], "'run'"),
        (["lists"], "'list'"),
        (["run", "--proflie", "quick"], "'--profile'"),
        (["run", "--device", "gpu"], "'cpu'"),
        (["doctor", "--jsn"], "'--json'"),
        (["completion", "basch"], "'bash'"),
    ],
)
def test_a_word_that_is_mistyped_is_told_with_the_nearest(
    words: list[str], meant: str, capsys: Capture
) -> None:
    assert refused(*words) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_what_is_like_nothing_has_no_hint(capsys: Capture) -> None:
    assert refused("xyzzy") == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "colour", [{}, {"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}]
)
def test_colours_are_off_without_a_terminal_and_with_no_color(
    colour: dict[str, str], tmp_path: Path
) -> None:
    environment = {**tiny.environment(tiny.folder(tmp_path / "conf")), "TERM": "xterm"}
    for name in ("FORCE_COLOR", "NO_COLOR"):
        environment.pop(name, None)
    words = [sys.executable, "-m", "bench_lr", "list", "me/*"]
    done = subprocess.run(
        words, env={**environment, **colour}, capture_output=True, text=True, check=True
    )
    # With NO_COLOR text may still be bold.
    is_coloured = any(f"\x1b[3{digit}m" in done.stdout for digit in range(8))
    assert not is_coloured or colour == {"FORCE_COLOR": "1"}


# --- completion ------------------------------------------------------------------------------


def completed(line: str, tmp_path: Path) -> list[str]:
    """What a shell is offered for a line."""
    answer = tmp_path / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run(
        [sys.executable, "-m", "bench_lr"], env=environment, capture_output=True, check=True
    )
    return [word.strip() for word in answer.read_text().split("\v") if word.strip()]


def test_verbs_options_and_claims_are_completed(tmp_path: Path) -> None:
    assert completed("bench-lr do", tmp_path) == ["doctor"]
    assert completed("bench-lr run --launch", tmp_path) == ["--launcher"]
    assert completed("bench-lr run --launcher s", tmp_path) == ["slurm"]
    assert completed("bench-lr run --profile st", tmp_path) == ["standard"]
    assert completed("bench-lr run --device c", tmp_path) == ["cpu", "cuda"]
    known = [name for name in claim_files(conf_roots()) if name.startswith("ai_edu/best")]
    assert completed("bench-lr show ai_edu/best", tmp_path) == known


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_takes_what_is_printed_for_it(tmp_path: Path) -> None:
    line = 'eval "$("$1" -m bench_lr completion bash)"; complete -p bench-lr'
    done = subprocess.run(
        ["bash", "-c", line, "-", sys.executable], capture_output=True, text=True, check=True
    )
    assert "bench-lr" in done.stdout


# --- doctor ----------------------------------------------------------------------------------


def test_the_doctor_says_what_there_is(tmp_path: Path, capsys: Capture) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    assert cli.main(["doctor", "--fast", "--json", "--store", str(store), "--out", str(out)]) == 0
    said = json.loads(capsys.readouterr().out)
    facts = {fact["name"]: fact for fact in said["facts"]}
    assert {"version", "packages", "claims", "processor", "GPU", "data mnist", "store"} <= set(
        facts
    )
    assert facts["store"]["state"] == "ok"
    assert f"{len(claim_files(conf_roots()))} in" in facts["claims"]["value"]
    assert said["profiles"] == []
    # Looking leaves nothing behind.
    assert list(tmp_path.iterdir()) == []
    assert cli.main(["doctor", "--fast", "--store", str(store)]) == 0
    assert "✓" in capsys.readouterr().out


def test_what_no_run_can_do_without_is_broken(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store_of(path: Path) -> dict[str, str]:
        assert cli.main(["doctor", "--fast", "--json", "--store", str(path)]) == 3
        facts = json.loads(capsys.readouterr().out)["facts"]
        return next(dict(fact) for fact in facts if fact["name"] == "store")

    (tmp_path / "file").write_text("")
    fact = store_of(tmp_path / "file" / "store")
    assert fact["state"] == "broken"
    assert f"{tmp_path / 'file'} cannot be written" in fact["advice"]
    assert "--store" in fact["advice"]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert store_of(tmp_path / "new")["state"] == "broken"


def test_the_doctor_says_what_profiles_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    quick, standard, full = machine.estimates(tmp_path / "store")
    assert [quick.profile, standard.profile, full.profile] == ["quick", "standard", "full"]
    assert 0 < quick.seconds < standard.seconds < full.seconds
    assert quick.stored == 0 < quick.runs
    assert full.claims == quick.claims + 1


def test_little_memory_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_memory", lambda: (1 << 30, 8 << 30))
    facts = {fact.name: fact for fact in machine.facts(tmp_path, tmp_path)}
    assert facts["memory"].state == "note"
    assert facts["memory"].value == "1.0 of 8.0 GiB free"


# --- show ------------------------------------------------------------------------------------


def test_show_tells_programs_the_design_and_the_verdict(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_lr.claims import load_claims
    from bench_lr.store import Store
    from tests.stored import fill

    conf = tiny.folder(tmp_path / "conf")
    monkeypatch.setenv("BENCH_LR_CONF", str(conf))
    monkeypatch.setenv("BENCH_LR_REPRODUCTIONS", str(tmp_path / "none"))
    words = ["show", "me/true", "--json", "--store", str(tmp_path / "store")]
    assert cli.main(words) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert (said["id"], said["runs"], said["stored"], said["verdict"]) == ("me/true", 12, 0, None)
    assert said["seconds"] > 0
    assert [arm["seeds"] for arm in said["arms"]] == [6, 6]
    (claim,) = load_claims(["me/true"], roots=[conf, *conf_roots()])
    levels = {"lr=0.5": 0.9, "lr=1e-06": 0.1}
    fill(
        Store(tmp_path / "store"),
        claim,
        accuracy=lambda arm, epoch, seed: levels[arm] + 0.001 * seed,
    )
    assert cli.main(words) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert (said["stored"], said["verdict"], said["seconds"]) == (12, "reproduced", 0)
    assert cli.main([word for word in words if word != "--json"]) == 0
    assert "verdict: reproduced" in capsys.readouterr().out
