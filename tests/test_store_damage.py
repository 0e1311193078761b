"""A damaged file of the store is named, its run trained again, and never used."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from bench_lr.identity import run_id
from bench_lr.store import Store
from tests.stored import commit, run, simple

ONE, TWO = run(0), run(1)
ID = run_id(ONE)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, *runs: Any) -> None:
    for config in runs:
        store.put(commit(config), simple(config))


def parquet(store: Store) -> Path:
    return store.root / "runs" / ID[:2] / f"{ID}.parquet"


def marker(store: Store) -> Path:
    return store.root / "commits" / ID[:2] / f"{ID}.json"


def damage(content: bytes, how: str) -> bytes:
    """Return content cut to, or with a bit flipped at, a share of its length."""
    kind, _, share = how.partition(" ")
    at = int(float(share) * (len(content) - 1))
    if kind == "cut":
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = [f"{kind} {share}" for kind in ("cut", "flip") for share in (0, 0.01, 0.3, 0.6, 0.99, 1)]


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("by", ["lacking", "read"])
def test_a_damaged_table_is_named_lacking_and_never_used(
    store: Store, how: str, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, ONE, TWO)
    parquet(store).write_bytes(damage(parquet(store).read_bytes(), how))
    with caplog.at_level(logging.WARNING):
        if by == "lacking":
            assert store.lacking([ID, run_id(TWO)]) == [ID]
        else:
            assert store.read(ID) is None
    assert str(parquet(store)) in caplog.text
    assert store.lacking([ID, run_id(TWO)]) == [ID]
    assert store.read(ID) is None
    put(store, ONE)
    assert store.lacking([ID]) == []
    assert store.read(ID) is not None


def test_a_table_that_is_gone_is_named_and_lacking(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, ONE)
    parquet(store).unlink()
    assert store.lacking([ID]) == [ID]
    assert f"{parquet(store)} is missing" in caplog.text


@pytest.mark.parametrize("how", [d for d in DAMAGES if d.startswith("cut")])
def test_a_truncated_commit_is_named_and_its_run_lacking(
    store: Store, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, ONE)
    content = marker(store).read_bytes().rstrip()
    marker(store).write_bytes(damage(content, how))
    assert store.lacking([ID]) == [ID]
    assert store.read(ID) is None
    assert str(marker(store)) in caplog.text
    put(store, ONE)
    assert store.lacking([ID]) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"3",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"run_id": "x", "status": "complete", "config": {}, "provenance": {}}',
        json.dumps(
            {"run_id": ID, "status": "done", "config": {}, "provenance": {}, "sha256": ""}
        ).encode(),
        json.dumps({"run_id": ID, "status": [], "config": {}, "provenance": {}}).encode(),
        json.dumps({"run_id": ID, "status": "complete", "config": {}, "provenance": 3}).encode(),
        json.dumps(
            {"run_id": ID, "status": "complete", "config": {}, "provenance": {}, "x": 1}
        ).encode(),
    ],
)
def test_a_commit_that_is_none_is_named_and_its_run_lacking(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, ONE)
    marker(store).write_bytes(content)
    assert store.lacking([ID]) == [ID]
    assert store.read(ID) is None
    assert str(marker(store)) in caplog.text


def test_the_results_of_another_run_are_not_taken_for_a_runs(store: Store) -> None:
    put(store, ONE, TWO)
    other = run_id(TWO)
    table = store.root / "runs" / other[:2] / f"{other}.parquet"
    parquet(store).write_bytes(table.read_bytes())
    assert store.read(ID) is None


def test_damage_in_a_read_only_store_is_told_every_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, ONE)
    parquet(store).write_bytes(b"")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(2):
        caplog.clear()
        assert store.lacking([ID]) == [ID]
        assert str(parquet(store)) in caplog.text
