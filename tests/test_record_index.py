"""Recorded verdicts, read without what compares them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench_lr.record_index import DAMAGED, most_faithful, verdict_shown


def record(root: Path, profiles: object) -> None:
    path = root / "a" / "one" / "verdict.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"profiles": profiles}))


def test_the_verdict_of_the_most_faithful_profile_is_shown(tmp_path: Path) -> None:
    record(tmp_path, {"standard": {"verdict": "refuted"}, "quick": {"verdict": "reproduced"}})
    assert verdict_shown("a/one", tmp_path) == ("refuted", "standard")
    assert verdict_shown("a/two", tmp_path) == ("", "")


@pytest.mark.parametrize("profiles", [None, 3, {"quick": {}}, {"quick": 1}])
def test_a_record_that_cannot_be_read_is_told(profiles: object, tmp_path: Path) -> None:
    record(tmp_path, profiles)
    assert verdict_shown("a/one", tmp_path) == (DAMAGED, "")


def test_a_profile_that_is_not_a_faithful_one_is_not_shown(tmp_path: Path) -> None:
    record(tmp_path, {"smoke": {"verdict": "refuted"}})
    assert verdict_shown("a/one", tmp_path) == ("", "")
    assert most_faithful(["full", "quick"]) == "full"


def test_reading_it_imports_no_library_that_takes_long() -> None:
    words = "import sys, bench_lr.record_index; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
