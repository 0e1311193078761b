"""What the sources are, and what they say that cannot be tested."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench_lr.claims import ConfigError, claim_files, conf_roots
from bench_lr.claims.sources import NotTestable, Source, load_sources, source_files, wholly_shown

GOOD = {
    "title": "A book",
    "kind": "book",
    "place": "page 1",
    "not_testable": [{"statement": "It is nice.", "place": "page 2", "reason": "an opinion"}],
}


def write(root: Path, **files: object) -> Path:
    for name, content in files.items():
        path = root / "source" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return root


def test_a_source_is_read_with_what_cannot_be_tested(tmp_path: Path) -> None:
    bare = {key: GOOD[key] for key in ("title", "kind", "place")}
    found = load_sources([write(tmp_path, b=GOOD, a=bare)])
    assert list(found) == ["a", "b"]
    assert found["a"] == Source("A book", "book", "page 1")
    assert found["b"].not_testable == (NotTestable("It is nice.", "page 2", "an opinion"),)


def test_an_earlier_root_hides_a_later_ones_file(tmp_path: Path) -> None:
    first = write(tmp_path / "first", a={**GOOD, "title": "Mine"})
    second = write(tmp_path / "second", a=GOOD, b=GOOD)
    found = load_sources([first, second])
    assert [source.title for source in found.values()] == ["Mine", "A book"]


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    item = {"statement": "It is nice.", "place": "page 2", "reason": "an opinion"}
    write(
        tmp_path,
        twice={**GOOD, "not_testable": [item, {**item, "place": "page 3"}]},
        unknown={**GOOD, "titel": "x"},
        missing={"title": "x", "kind": "book"},
        empty={**GOOD, "not_testable": [{**item, "reason": ""}]},
        broken="a: [1",
    )
    with pytest.raises(ConfigError) as caught:
        load_sources([tmp_path])
    told = {(Path(p.file).stem, p.key) for p in caught.value.problems}
    assert told == {
        ("broken", ""),
        ("empty", "not_testable.0.reason"),
        ("missing", "place"),
        ("twice", "not_testable.1.statement"),
        ("unknown", "titel"),
    }
    (odd,) = [p for p in caught.value.problems if p.key == "titel"]
    assert odd.nearest == "title"


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (["a/1", "a/2"], {"a"}),
        (["a/1", "b/1"], {"b"}),
        (["a/1"], set()),
        (["a/1", "a/2", "b/1"], {"a", "b", "c"}),
        ([], set()),
    ],
)
def test_a_source_is_told_where_all_its_claims_are(shown: list[str], told: set[str]) -> None:
    sources = {name: Source(name, "book", "page 1") for name in "abc"}
    assert wholly_shown(sources, shown, ["a/1", "a/2", "b/1"]).keys() == told


def test_every_source_of_the_suite_has_a_title_and_none_is_empty() -> None:
    root = conf_roots()[-1:]
    sources = load_sources(root)
    assert sources.keys() == source_files(root).keys()
    assert {claim.partition("/")[0] for claim in claim_files(root)} <= sources.keys()
    assert sum(len(source.not_testable) for source in sources.values()) > 0
