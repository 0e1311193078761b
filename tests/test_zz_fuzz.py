"""Whatever is typed, the command line answers with an exit code of its own and words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench_lr import cli, drive
from bench_lr.claims import conf_roots
from tests import tiny
from tests.claims.samples import write
from tests.mutations import damaged, mutated

FUZZ = settings(
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CODES = {0, 1, 2, 3}
VERBS = ("list", "show", "run", "status", "report", "check", "compare", "record", "nothing", "")
WORDS = [
    *("me/true", "me/*", "*", "[", "me/tru", "", "a" * 300, "../..", "ä", "\udc80", "a\nb", "${x}"),
    *("--profile", "quick", "smoke", "full", "none", "--store", "--out", ".", "/dev/null/x"),
    *(
        "--launcher",
        "local",
        "slurm",
        "basic",
        "--seeds",
        "auto",
        "6",
        "0",
        "-1",
        "1e9",
        "--device",
    ),
    *("cpu", "cuda", "--dry-run", "--expect", "recorded", "source"),
    *("--json", "--detach", "--help"),
]
OVERRIDES = [
    *("lr=0.5", "lr=nan", "lr=", "lr=[1", "lr=1,2", "lr='${x}'", "batch_size=0", "batch_size=5"),
    *("epochs=x", "task=mnist", "task=nothing", "model={layers: []}", "+x=1", "~lr", "seeds=6"),
    *("hydra.launcher.n_jobs=2", "hydra/launcher=nothing", "threads=0", "=", "", "a b", "x" * 300),
    *(
        "schedule={kind: step}",
        "optimizer={kind: adam}",
        "stop_at={}",
        "runs_at_once=2",
        "lr=1e999",
    ),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, in which nothing trains and nothing is drawn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_LR_CONF", str(tiny.folder(tmp_path / "conf")))
    monkeypatch.setenv("BENCH_LR_REPRODUCTIONS", str(tmp_path / "reproductions"))

    def train(plan: Any, store: Any, folder: Path, **settings: Any) -> Path:
        (folder / "multirun.log").write_text("")
        return folder / "multirun.log"

    monkeypatch.setattr(drive, "train", train)
    monkeypatch.setattr("bench_lr.report.write_report", lambda *a, **k: None)
    monkeypatch.setattr("bench_lr.report.draw_figure", lambda *a, **k: None)
    return tmp_path


def code_of(*words: str) -> int:
    try:
        return cli.main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else -1


@settings(FUZZ, max_examples=1500)
@given(
    verb=st.sampled_from(VERBS),
    words=st.lists(st.sampled_from(WORDS), max_size=4),
    overrides=st.lists(st.sampled_from(OVERRIDES), max_size=2),
)
def test_whatever_is_typed_has_an_exit_code(
    verb: str,
    words: list[str],
    overrides: list[str],
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # One claim is enough, and all of the suite take long.
    named = words if verb in ("status", "compare") or words else ["me/true"]
    tail = ["--", *overrides] if overrides else []
    assert code_of(verb, *named, *tail) in CODES
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err


TEXT = yaml.safe_dump(tiny.claim("lr=0.5", "lr=1e-06")).encode()


def texts() -> Iterator[st.SearchStrategy[bytes]]:
    yield damaged(TEXT)
    suite = sorted((conf_roots()[-1] / "claim").glob("*/*.yaml"))
    yield st.sampled_from(suite[::9]).map(Path.read_bytes).flatmap(damaged)
    contents = [yaml.safe_load(TEXT)]
    yield mutated(contents).map(lambda it: yaml.safe_dump(it, allow_unicode=True).encode())


@settings(FUZZ, max_examples=600)
@given(
    text=st.one_of(*texts()),
    verb=st.sampled_from(
        [("list",), ("show", "me/one"), ("run", "me/one", "--dry-run"), ("report", "me/one")]
    ),
)
def test_whatever_is_in_a_claim_file_there_is_an_exit_code_and_a_mistake_names_it(
    text: bytes, verb: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place / "conf", {"me/one": text})
    code = code_of(*verb)
    output = capsys.readouterr()
    assert code in CODES - {1}
    assert "Traceback" not in output.out + output.err
    if code == 2:
        assert "conf/claim/me/one.yaml" in output.err
