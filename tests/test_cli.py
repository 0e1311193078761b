"""The command line: verbs, exit codes, and the files that other people's tools read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench_lr import cli, drive
from bench_lr.claims import claim_files, conf_roots
from bench_lr.cli.session import Session
from bench_lr.identity import run_id
from bench_lr.store import Store
from tests import tiny
from tests.claims.samples import edited, put, write
from tests.stored import commit

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]
RUNS = 3 * tiny.SEEDS
"""Distinct runs of the three claims: two LRs at batch size 20, one at 10."""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with three claims, their runs trained, and the report written, all by `run`."""
    folder = tmp_path_factory.mktemp("workshop")
    conf = tiny.folder(folder / "conf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_LR_CONF", str(conf))
        patch.setenv("BENCH_LR_REPRODUCTIONS", str(folder / "reproductions"))
        patch.chdir(folder)
        assert cli.main(["run", "me/*", "--launcher", "local"]) == cli.DONE
        # As if trained from a checkout without changes.
        for path in (folder / "store" / "commits").rglob("*.json"):
            content = json.loads(path.read_text())
            content["provenance"]["dirty"] = False
            path.write_text(json.dumps(content))
        yield folder


@pytest.fixture
def call(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line on a copy of the workshop's store, without drawing pictures."""
    monkeypatch.setattr("bench_lr.report.write_report", lambda *args, **options: None)
    monkeypatch.setenv("BENCH_LR_CONF", str(workshop / "conf"))
    monkeypatch.setenv("BENCH_LR_REPRODUCTIONS", str(tmp_path / "reproductions"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(workshop / "store", tmp_path / "store")
    return lambda *words: cli.main(list(words))


@pytest.fixture
def record(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of the three claims, freshly written by `record`."""
    monkeypatch.setattr("bench_lr.evidence.write_scoreboard", lambda root: None)
    monkeypatch.setattr(
        "bench_lr.evidence.draw_figure",
        lambda verdict, folder: (folder / f"{verdict.claim.id.replace('/', '--')}.png").write_bytes(
            b"a picture"
        ),
    )
    assert call("record", "me/*") == cli.DONE
    return tmp_path / "reproductions"


def change(record: Path, claim: str, edit: Callable[[dict[str, Any]], object]) -> None:
    path = record / claim / "verdict.json"
    content = json.loads(path.read_text())
    edit(content["profiles"]["quick"])
    path.write_text(json.dumps(content))


def times(store: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}


# --- what run leaves behind -----------------------------------------------------------------------


def test_the_report_is_written_under_its_names(workshop: Path) -> None:
    report = workshop / "out" / "report"
    for name in ("index.html", "report.md", "junit.xml", "verdicts.json"):
        assert (report / name).stat().st_size > 0
    for claim in ("me--true", "me--false", "me--counted"):
        for kind in ("png", "svg"):
            assert (report / "figures" / f"{claim}.{kind}").stat().st_size > 0


def test_verdicts_json_has_the_keys_that_are_promised(workshop: Path) -> None:
    content = json.loads((workshop / "out" / "report" / "verdicts.json").read_text())
    assert content.keys() >= {"profile", "device", "versions", "commit", "claims"}
    assert content["profile"] == "quick"
    assert {claim["id"]: claim["verdict"] for claim in content["claims"]} == {
        "me/counted": "reproduced",
        "me/false": "refuted",
        "me/true": "reproduced",
    }
    promised = {"id", "source", "statement", "source_says", "verdict", "recorded"}
    promised |= {"criteria", "figure", "runs", "train_seconds"}
    numbers = {"id", "kind", "verdict", "estimate", "ci", "margin", "seeds"}
    numbers |= {"single_run_rate", "note"}
    for claim in content["claims"]:
        assert claim.keys() >= promised
        assert claim["source"] == "me"
        assert claim["runs"] == 2 * tiny.SEEDS
        assert claim["train_seconds"] > 0
        assert (workshop / "out" / "report" / claim["figure"]).is_file()
        for criterion in claim["criteria"]:
            assert criterion.keys() >= numbers
            low, high = criterion["ci"]
            assert low <= criterion["estimate"] <= high
            assert criterion["seeds"] == tiny.SEEDS
    (exact,) = next(c for c in content["claims"] if c["id"] == "me/counted")["criteria"]
    assert exact["estimate"] == 2.0


def test_junit_has_one_testcase_a_criterion(workshop: Path) -> None:
    tree = ElementTree.parse(workshop / "out" / "report" / "junit.xml")
    assert len(list(tree.iter("testcase"))) == 3


# --- exit codes -----------------------------------------------------------------------------------


def test_a_second_run_trains_nothing_and_leaves_the_store_alone(
    call: Call, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "train", lambda *args, **options: pytest.fail("trained"))
    # Whether there is a GPU takes seconds to find out, and is of no use here.
    monkeypatch.setattr(Session, "_on_gpu", property(lambda self: pytest.fail("looked for a GPU")))
    before = times(tmp_path / "store")
    assert len(before) == 2 * RUNS
    assert call("run", "me/*") == 0
    output = capsys.readouterr().out
    assert "nothing to train" in output
    assert f"{RUNS} of {RUNS} stored" in output
    assert times(tmp_path / "store") == before


def test_a_refuted_claim_is_a_result_unless_the_source_is_expected_to_be_right(
    call: Call, capsys: Capture
) -> None:
    assert call("run", "me/false") == 0
    assert call("run", "me/true", "me/counted", "--expect", "source") == 0
    capsys.readouterr()
    assert call("run", "me/*", "--expect", "source") == 1
    assert "expected otherwise: me/false better" in capsys.readouterr().out


def test_what_is_recorded_is_met_by_the_same_runs(call: Call, record: Path) -> None:
    assert call("run", "me/*", "--expect", "recorded") == 0
    assert call("check", "me/*") == 0


@pytest.mark.parametrize(
    ("claim", "edit", "told"),
    [
        ("me/true", put("verdict", value="refuted"), "the verdict was refuted, is reproduced"),
        ("me/false", put("criteria", 0, "estimate", value=None), "the estimate was none, is -"),
        (
            "me/true",
            put("criteria", 0, "estimate", value=0.1),
            "better: the estimate was 0.1 [",
        ),
        (
            "me/counted",
            lambda e: e["criteria"][0].update(estimate=3.0, ci=[3.0, 3.0]),
            "the exact value was 3, is 2",
        ),
    ],
)
def test_a_change_of_a_verdict_or_number_fails_the_check(
    claim: str,
    edit: Callable[[dict[str, Any]], object],
    told: str,
    call: Call,
    record: Path,
    capsys: Capture,
) -> None:
    change(record, claim, edit)
    assert call("check", "me/*") == 1
    output = capsys.readouterr().out
    assert told in output
    assert f"expected otherwise: {claim}" in output


def test_a_claim_that_was_never_recorded_fails_the_check(call: Call, capsys: Capture) -> None:
    assert call("check", "me/true") == 1
    assert "the record was nothing, is reproduced" in capsys.readouterr().out


def test_a_cluster_is_asked_for_where_none_is(
    call: Call, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench_lr.cli.refusals.shutil.which", lambda program: None)
    assert call("run", "me/true", "--launcher", "slurm") == 2
    told = capsys.readouterr().err
    assert "launcher: found 'slurm', but no sbatch, squeue, scancel, srun on the PATH" in told
    monkeypatch.setattr("bench_lr.drive.launchers", lambda: ["joblib", "local", "slurm"])
    assert call("run", "me/true", "--launcher", "slurm") == 2
    assert "pip install 'bench-lr[slurm]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "me/ture"], "found 'me/ture'; allowed: me/true, "),
        (["run", "me/ture"], "did you mean 'me/true'?"),
        (["show", "nobody/*"], "claim: found 'nobody/*'"),
        (["list", "nobody/*"], "claim: found 'nobody/*'"),
        (["run", "--profile", "qick"], "did you mean 'quick'?"),
        (["run", "--launcher", "jobllib"], "did you mean 'joblib'?"),
        (["run", "--launcher", "slrum"], "did you mean 'slurm'?"),
        (["run", "me/true", "--", "lr=-1"], "command line: lr: found -1"),
        (["run", "me/true", "--", "learnrate=1"], "command line: learnrate: found"),
        (["run", "me/true", "--", "threads=none"], "threads: found threads=none"),
        (["run", "me/true", "--", "device=cup"], "allowed: auto, cpu, cuda"),
        (["run", "me/true", "--", "checkpoint_minutes=-1"], "a number of minutes from 0, or null"),
        (["run", "me/true", "--", "checkpoint_minutes=soon"], "checkpoint_minutes: found"),
        (["run", "me/true", "--", "threads=1,2"], "allowed: one value"),
        (["check", "me/true", "--", "epochs=1"], "no settings where the record is expected"),
        (["record", "me/true", "--", "seeds=6"], "nothing for record"),
        (["show", "me/true", "--", "seeds=6"], "nothing for show"),
        (["compare", "nowhere", "store"], "A: found neither a store nor recorded evidence"),
        (["compare", "store", "."], "B: found neither a store nor recorded evidence"),
        (["compare", "store", "store", "me/ture"], "did you mean 'me/true'?"),
        (["compare", "store", "store", "--profile", "qick"], "did you mean 'quick'?"),
        (["bench", "--workload", "nope"], "workload: found nope; allowed: ae16, ae128"),
        (["bench", "--workload", "ae61"], "did you mean 'ae16'?"),
    ],
)
def test_bad_input_exits_with_2_and_says_what_is_allowed(
    words: list[str], told: str, call: Call, capsys: Capture, tmp_path: Path
) -> None:
    assert call(*words) == cli.BAD_INPUT
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [[], ["walk"], ["run", "--expect", "luck"], ["show", "--dry-run"]]
)
def test_words_that_argparse_refuses_exit_with_2(words: list[str], call: Call) -> None:
    with pytest.raises(SystemExit) as caught:
        call(*words)
    assert caught.value.code == cli.BAD_INPUT


def test_mistakes_of_all_claims_are_told_at_once_and_nothing_is_trained(
    call: Call, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = write(
        tmp_path / "conf",
        {
            "me/one": edited(put("train", "epocs", value=3)),
            "me/two": edited(put("figure", "params", "highlight", value="lr=0.55")),
        },
    )
    (conf / "claim" / "me" / "three.yml").write_text("title: ignored?")
    (conf / "claim" / "stray.yaml").write_text("title: ignored?")
    monkeypatch.setenv("BENCH_LR_CONF", str(conf))
    assert call("run", "--store", "new") == cli.BAD_INPUT
    told = capsys.readouterr().err
    for part in ("one.yaml: train.epocs", "two.yaml: figure.params.highlight", "'lr=0.5'"):
        assert part in told
    for part in ("three.yml", "stray.yaml", "conf/claim/<source>/<slug>.yaml"):
        assert part in told
    assert not (tmp_path / "new").exists()


def test_a_mistake_of_an_override_is_told_once_for_all_claims(call: Call, capsys: Capture) -> None:
    assert call("run", "me/*", "--", "model=aee", "train_size=1901") == cli.BAD_INPUT
    told = capsys.readouterr().err
    assert told.count("model") == 1
    assert "command line: model: found 'aee'" in told


def test_a_folder_that_cannot_be_written_exits_with_2(
    call: Call, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    words = ["report", "ai_edu/step_decay_table", "--out", "taken", "--store", "none"]
    assert cli.main(words) == cli.BAD_INPUT
    told = capsys.readouterr().err
    assert "taken" in told
    assert "Traceback" not in told


def test_runs_that_are_missing_or_failed_exit_with_3(
    call: Call, workshop: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.runs(workshop / "conf")[0]
    identity = run_id(run)
    (tmp_path / "store" / "commits" / identity[:2] / f"{identity}.json").unlink()
    assert call("report", "me/*") == cli.RUNS_MISSING
    assert (
        f"incomplete   me/true  1 of {2 * tiny.SEEDS} runs are missing" in capsys.readouterr().out
    )

    def fail(plan: object, store: Store, folder: Path, **options: object) -> Path:
        store.put_failure(commit(run, "failed", error="Traceback\nOSError: no luck"))
        (folder / "multirun.log").write_text("")
        return folder / "multirun.log"

    monkeypatch.setattr(drive, "train", fail)
    assert call("run", "me/*") == cli.RUNS_MISSING
    output = capsys.readouterr().out
    assert "1 runs are missing, 1 of them failed" in output
    assert "OSError: no luck" in output
    # What is missing is no evidence against the source, and none for it.
    assert call("report", "me/true") == cli.RUNS_MISSING


# --- compare ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [("store", "store"), ("record", "store"), ("record", "record")])
def test_what_is_the_same_is_alike(
    sides: tuple[str, str], call: Call, record: Path, capsys: Capture
) -> None:
    folders = {"store": "store", "record": str(record)}
    assert call("compare", *(folders[side] for side in sides), "me/*") == cli.DONE
    assert "claims compared: none moved" in capsys.readouterr().out


def test_what_moved_is_told_with_both_sides(
    call: Call, record: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = shutil.copytree(record, tmp_path / "other")
    change(other, "me/true", lambda e: e["criteria"][0].update(estimate=0.1, ci=[0.05, 0.15]))
    change(other, "me/true", put("versions", "torch", value="1.0"))
    change(other, "me/false", put("versions", "torch", value="1.0"))
    change(other, "me/counted", put("versions", "torch", value="1.0"))
    for a, b in ((record, other), (other, record)):
        assert call("compare", str(a), str(b), "me/*") == cli.EXPECTATION_FAILED
        output = capsys.readouterr().out
        (row,) = [line for line in output.splitlines() if "the estimate" in line]
        assert row.split()[:2] == ["me/true", "better"]
        assert f"A: {a}" in output
        assert f"B: {b}" in output
        (torch,) = [line.split() for line in output.splitlines() if line.startswith("torch ")]
        assert torch[1 if a == other else -1] == "1.0"
    assert call("compare", str(record), str(other), "me/true", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    (moved,) = told["moved"]
    assert (moved["claim"], moved["criterion"]) == ("me/true", "better")
    assert moved["b"] == "0.1 [0.05, 0.15]"
    assert moved["p"] < 0.05
    assert told["claims"] == 1
    assert {each["name"] for each in told["origins"]} == {"torch"}
    assert call("compare", str(record), str(other), "me/false", "me/counted") == cli.DONE


def test_what_one_side_lacks_is_named_and_left_out(
    call: Call, record: Path, capsys: Capture
) -> None:
    shutil.rmtree(record / "me" / "true")
    assert call("compare", str(record), "store", "me/*") == cli.DONE
    output = capsys.readouterr().out
    assert "not compared: me/true (A: nothing is recorded for profile quick)" in output
    for words in (["me/true"], ["me/*", "--profile", "standard"], ["me/*", "--profile", "smoke"]):
        assert call("compare", str(record), "store", *words) == cli.RUNS_MISSING
    # Calculations are the same whatever is stored: they tell nothing of two stores.
    capsys.readouterr()
    assert call("compare", "store", "store", "ai_edu/step_decay_table") == cli.RUNS_MISSING
    assert "0 claims" in capsys.readouterr().out


def test_comparing_trains_and_changes_nothing(
    call: Call, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "train", lambda *args, **options: pytest.fail("trained"))
    before = times(tmp_path)
    assert call("compare", "store", str(record), "me/*") == cli.DONE
    assert times(tmp_path) == before


# --- the plan, and settings in place of the claims' ---------------------------------------------


def test_a_dry_run_prints_the_plan_and_touches_nothing(
    call: Call, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "train", lambda *args, **options: pytest.fail("trained"))
    assert call("run", "me/*", "--dry-run", "--store", "new", "--out", "new out") == 0
    output = capsys.readouterr().out
    wanted = 6 * tiny.SEEDS
    assert f"{wanted} runs wanted by 3 claims, {RUNS} distinct: {wanted - RUNS} shared" in output
    assert f"me/false and me/true share {2 * tiny.SEEDS}" in output
    table = output.splitlines()[-2:]
    assert table[0].split()[:3] == ["job", "cohorts", "runs"]
    assert table[1].split()[:4] == ["0", "2", str(RUNS), str(RUNS)]
    assert table[1].endswith("10..20      me/false, me/true, me/counted")
    assert f"to train: {RUNS} runs, {RUNS} run-epochs, in 1 job (joblib" in output
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new out").exists()


def test_overrides_change_every_arm_of_every_claim(call: Call, capsys: Capture) -> None:
    assert call("run", "me/*", "--dry-run", "--", "epochs=2", "seeds=7") == 0
    output = capsys.readouterr().out
    assert f"{6 * 7} runs wanted" in output
    assert "0 of 21 stored" in output
    assert "to train: 21 runs, 42 run-epochs" in output


def test_a_run_with_other_settings_is_never_compared_with_the_record(
    call: Call, record: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(record, "me/true", put("verdict", value="refuted"))
    judged: list[Any] = []
    monkeypatch.setattr(
        "bench_lr.report.write_report", lambda verdicts, *args, **options: judged.extend(verdicts)
    )
    assert call("run", "me/true") == 0
    # The same runs, but asked for by an override.
    assert call("run", "me/true", "--", "seeds=6", "epochs=1") == 0
    assert [verdict.recorded for verdict in judged] == ["refuted", None]
    assert "seeds=6 epochs=1 on the command line" in judged[1].claim.shortened
    assert call("run", "me/true", "--expect", "recorded", "--", "seeds=6") == cli.BAD_INPUT


def test_words_for_the_launcher_leave_the_comparison_as_it_is(call: Call, record: Path) -> None:
    assert call("check", "me/*", "--", "hydra.launcher.n_jobs=1", "threads=1") == 0


def test_what_is_asked_of_the_launcher_wins_over_the_defaults(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def train(plan: object, store: Store, folder: Path, **options: Any) -> Path:
        asked.extend(options["overrides"])
        (folder / "multirun.log").write_text("")
        return folder / "multirun.log"

    monkeypatch.setattr(drive, "train", train)
    assert call("run", "me/true", "--store", "new", "--", "device=cpu") == cli.RUNS_MISSING
    assert asked[-1] == "device=cpu"


def test_two_runs_of_the_same_second_have_a_folder_each(tmp_path: Path) -> None:
    from bench_lr.cli.session import new_folder

    made = [new_folder(tmp_path / "jobs", "now") for _ in range(3)]
    assert [path.name for path in made] == ["now", "now_2", "now_3"]
    assert all(path.is_dir() for path in made)


# --- record -------------------------------------------------------------------------------------


def test_a_smoke_run_is_not_recorded(call: Call, tmp_path: Path, capsys: Capture) -> None:
    assert call("record", "me/*", "--profile", "smoke") == cli.RUNS_MISSING
    output = capsys.readouterr().out
    assert "me/true is not recorded: profile smoke judges nothing" in output
    assert "0 of 3 claims recorded" in output
    assert not (tmp_path / "reproductions").exists()


def test_runs_of_a_changed_checkout_are_not_recorded(
    call: Call, tmp_path: Path, capsys: Capture
) -> None:
    path = next((tmp_path / "store" / "commits").rglob("*.json"))
    content = json.loads(path.read_text())
    content["provenance"]["dirty"] = True
    path.write_text(json.dumps(content))
    assert call("record", "me/*") == cli.RUNS_MISSING
    assert "uncommitted changes" in capsys.readouterr().out


def test_what_is_recorded_can_be_shown_and_read(call: Call, record: Path, capsys: Capture) -> None:
    for claim in ("true", "false", "counted"):
        names = {path.name for path in (record / "me" / claim).iterdir()}
        assert names == {"README.md", "figure.png", "summary.csv", "verdict.json"}
    assert call("show", "me/false") == 0
    assert "recorded (quick): refuted" in capsys.readouterr().out


# --- list and show ------------------------------------------------------------------------------


def test_list_gives_objects_with_id_source_and_cost(call: Call, capsys: Capture) -> None:
    assert call("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    ids = [row["id"] for row in rows]
    assert ids == sorted([*claim_files(conf_roots()[-1:]), "me/counted", "me/false", "me/true"])
    for row in rows:
        assert row["source"] == row["id"].partition("/")[0]
        assert row["cost"] in {"s", "m", "G"}
    assert call("list", "me/*") == 0
    output = capsys.readouterr().out
    assert "me/true" in output
    assert "ai_edu" not in output


def test_list_groups_claims_by_source_and_shows_what_is_recorded(
    call: Call, record: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = write(tmp_path / "conf", {"me/true": edited(), "you/true": edited()})
    told = [{"statement": "It is nice.", "place": "page 2", "reason": "an opinion"}]
    book = {"title": "A book", "kind": "book", "place": "x", "not_testable": told}
    (conf / "source").mkdir()
    (conf / "source" / "me.yaml").write_text(json.dumps(book))
    monkeypatch.setenv("BENCH_LR_CONF", str(conf))
    capsys.readouterr()
    assert call("list", "me/*", "you/*") == 0
    output = capsys.readouterr().out
    heads = ["me  A book (book)  1 claim", "you  1 claim", "2 claims in all"]
    assert [line for line in output.splitlines() if line in heads] == heads
    assert "me/true   seconds  reproduced (quick)" in output
    assert "you/true  seconds" in output
    assert "me: It is nice. (page 2)" in output.split("Not testable")[1]
    assert "why not: an opinion" in output
    # What cannot be tested is no claim.
    assert call("list", "me/*", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["recorded"]) for row in rows] == [("me/true", "reproduced")]
    assert call("list", "me/*", "--json", "--not-testable") == 0
    assert json.loads(capsys.readouterr().out) == [{"source": "me", **told[0]}]
    assert call("list", "you/*", "--json", "--not-testable") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_list_tells_times_where_asked(call: Call, capsys: Capture) -> None:
    assert call("list", "me/*", "--times", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["seconds"] > 0 and row["profile"] == "quick" for row in rows)
    assert call("list", "me/*", "--times", "--profile", "standard") == 0
    assert "at standard" in capsys.readouterr().out
    assert call("list", "me/*", "--times", "--profile", "qick") == 2


def test_a_source_file_with_a_mistake_is_bad_input(
    call: Call, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "source").mkdir(parents=True)
    (tmp_path / "conf" / "source" / "me.yaml").write_text("titel: A book")
    monkeypatch.setenv("BENCH_LR_CONF", str(tmp_path / "conf"))
    assert call("list") == 2
    assert "did you mean 'title'?" in capsys.readouterr().err


def test_list_tells_of_files_that_are_not_read(
    call: Call, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = write(tmp_path / "conf", {"me/one": edited()})
    (conf / "claim" / "me" / "two.yml").write_text("title: ignored?")
    monkeypatch.setenv("BENCH_LR_CONF", str(conf))
    assert call("list", "--json") == 0
    found = capsys.readouterr()
    assert "me/one" in {row["id"] for row in json.loads(found.out)}
    assert "two.yml" in found.err


def test_show_tells_what_is_claimed_run_and_judged(call: Call, capsys: Capture) -> None:
    assert call("show", "me/true") == 0
    output = capsys.readouterr().out
    for part in (
        "lr=0.5 beats lr=1e-06",
        "One learning rate trains, the other does not.",
        "The source says: lr=0.5 works better",
        "claim better: superior(control=lr=1e-06, margin=0.1, treatment=lr=0.5)",
        f"{2 * tiny.SEEDS} runs, {2 * tiny.SEEDS} stored",
    ):
        assert part in " ".join(output.split())
    # Seeds, epochs, updates, examples.
    rows = [line.split() for line in output.splitlines()]
    assert ["lr=0.5", str(tiny.SEEDS), "1", "10", "200"] in rows


HEAVY = """
import json, sys
from bench_lr.cli import main
code = main(["list", "--json"])
heavy = ("torch", "pandas", "scipy", "matplotlib", "seaborn", "pytorch_lightning", "pyarrow")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def test_list_is_quick_since_it_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAVY], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)


def test_the_package_is_the_command(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench_lr", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert run("--version").stdout.startswith("bench-lr ")
    done = run("run", "nobody/nothing")
    assert done.returncode == cli.BAD_INPUT
    assert "Traceback" not in done.stderr
