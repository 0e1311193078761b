"""Finding claims and telling them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_lr.claims import ConfigError, claim_files, conf_roots, matching, summaries
from bench_lr.claims.files import stray_files
from tests.claims.samples import edited, write

IDS = ["a/one", "a/two", "b/one"]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ([], IDS),
        (["a/*"], ["a/one", "a/two"]),
        (["*/one", "a/*"], IDS),
        (["b/one"], ["b/one"]),
        (["?/t*"], ["a/two"]),
    ],
)
def test_patterns_choose_claims_each_once_in_order(patterns: list[str], found: list[str]) -> None:
    assert matching(patterns, IDS) == found


def test_every_pattern_that_matches_nothing_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        matching(["a/oen", "a/*", "c/*"], IDS)
    assert [p.found for p in caught.value.problems] == ["'a/oen'", "'c/*'"]
    assert caught.value.problems[0].nearest == "a/one"


def test_an_earlier_root_hides_a_later_ones_file(tmp_path: Path) -> None:
    first = write(tmp_path / "first", {"a/one": edited(), "b/new": edited()})
    second = write(tmp_path / "second", {"a/one": edited(), "a/two": edited()})
    assert claim_files([first, second]) == {
        "a/one": first / "claim" / "a" / "one.yaml",
        "a/two": second / "claim" / "a" / "two.yaml",
        "b/new": first / "claim" / "b" / "new.yaml",
    }


def test_the_environment_names_folders_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LR_CONF", f"{tmp_path}:/nowhere")
    assert conf_roots()[:2] == (tmp_path, Path("/nowhere"))
    assert (conf_roots()[-1] / "config.yaml").is_file()


def test_a_summary_does_not_need_a_sound_file(tmp_path: Path) -> None:
    write(tmp_path, {"a/good": edited(), "a/bad": "a: [1", "a/list": "- x", "a/bytes": b"\xff"})
    rows = {row["id"]: row for row in summaries([tmp_path])}
    assert rows.keys() == {"a/good", "a/bad", "a/list", "a/bytes"}
    assert (rows["a/good"]["source"], rows["a/good"]["cost"]) == ("a", "s")
    assert rows["a/good"]["title"] == "0.5 is best"
    assert rows["a/bad"]["title"] == ""


def test_files_that_look_like_claims_where_none_is_read_are_found(tmp_path: Path) -> None:
    root = write(tmp_path, {"a/one": edited(), "b/two": edited()})
    strays = ["a/three.yml", "a/one.yml", "four.yaml", "a/b/five.yaml"]
    for name in strays:
        path = root / "claim" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("title: not read")
    (root / "claim" / "a" / "README.md").write_text("read by people")
    # a/one.yml has a namesake that is read.
    assert list(stray_files([root])) == ["a/b/five", "a/three", "four"]
    assert list(claim_files([root])) == ["a/one", "b/two"]


def test_the_suite_has_no_file_that_is_not_read() -> None:
    assert stray_files(conf_roots()[-1:]) == {}
