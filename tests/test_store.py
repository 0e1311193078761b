"""The store: whole runs or nothing, whoever writes and whatever breaks."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from bench_lr import store as store_module
from bench_lr.identity import run_id
from bench_lr.store import COLUMNS, Store, StoreError
from tests.stored import commit, run, simple

ONE, TWO = run(0), run(1)
ID = run_id(ONE)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, *runs: Any) -> None:
    for config in runs:
        store.put(commit(config), simple(config))


def files(store: Store) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in sorted(store.root.rglob("*"))
        if path.is_file()
    }


def parquet(store: Store) -> Path:
    return store.root / "runs" / ID[:2] / f"{ID}.parquet"


def test_what_is_put_is_read_back(store: Store) -> None:
    given = commit(ONE, status="diverged", diverged_at=7)
    store.put(given, simple(ONE))
    found = store.read(ID)
    assert found is not None
    assert found[0] == type(given)(**{**vars(given), "sha256": found[0].sha256})
    assert found[0].device_kind == "cpu"
    pd.testing.assert_frame_equal(found[1], simple(ONE))
    assert store.known() == {ID}


def test_numbers_survive_to_the_last_bit(store: Store) -> None:
    table = simple(ONE)
    table["value"] = [0.1 + 0.2, float("nan"), 5e-324, 1e308][: len(table)]
    store.put(commit(ONE), table)
    found = store.read(ID)
    assert found is not None
    pd.testing.assert_frame_equal(found[1], table, check_exact=True)


def test_a_store_that_is_not_there_is_empty(store: Store) -> None:
    assert store.known() == set()
    assert store.read(ID) is None
    assert store.lacking([ID]) == [ID]
    assert list(store.failures([ID])) == []
    assert not store.root.exists()


def test_a_job_lists_no_folder_but_those_of_its_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run(seed) for seed in range(40)]
    put(store, *runs)
    ids = [run_id(r) for r in runs]
    listed: list[str] = []
    original = store_module.committed

    def listing(shard: os.DirEntry[str]) -> Any:
        listed.append(shard.name)
        return original(shard)

    monkeypatch.setattr(store_module, "committed", listing)
    assert store.lacking(ids[:2]) == []
    assert set(listed) == {i[:2] for i in ids[:2]}
    listed.clear()
    assert store.known() == set(ids)
    assert len(listed) == len({i[:2] for i in ids})
    assert store.known([]) == set()


def test_lacking_keeps_the_order_and_tells_each_run_once(store: Store) -> None:
    put(store, TWO)
    three = run_id(run(3))
    assert store.lacking([three, ID, run_id(TWO), ID]) == [three, ID]


def test_it_can_be_read_without_this_package(store: Store) -> None:
    put(store, ONE, TWO)
    (store.root / "runs" / ID[:2] / f".{ID}.parquet.x1y2z3").write_bytes(b"half a file")
    whole = pd.concat([simple(ONE), simple(TWO)])
    frame = pd.read_parquet(store.root / "runs")
    assert set(frame["run_id"]) == {ID, run_id(TWO)}
    assert set(COLUMNS) <= set(frame.columns)
    assert frame["value"].sum() == pytest.approx(whole["value"].sum())
    query = f"select count(*), sum(value) from '{store.root}/runs/*/*.parquet'"
    assert duckdb.connect().execute(query).fetchall() == [
        (len(whole), pytest.approx(whole["value"].sum()))
    ]


def test_the_commit_is_written_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store_module.write_atomic

    def killed_before_the_commit(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_atomic", killed_before_the_commit)
        with pytest.raises(KeyboardInterrupt):
            put(store, ONE)
    assert parquet(store).is_file()
    assert store.read(ID) is None
    assert store.lacking([ID]) == [ID]
    put(store, ONE)
    assert store.lacking([ID]) == []


@pytest.mark.parametrize("which", [0, 1])
def test_a_process_killed_before_a_rename_leaves_nothing_that_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    calls = iter(range(10))
    replace = os.replace

    def killed(source: str, target: str) -> None:
        if next(calls) == which:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        # Who is killed tidies nothing up.
        patch.setattr(os, "unlink", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            put(store, ONE)
    assert any(path.name.startswith(f".{ID}.") for path in store.root.rglob("*"))
    assert store.known() == set()
    put(store, TWO)
    assert store.known() == {run_id(TWO)}
    assert set(pd.read_parquet(store.root / "runs")["run_id"]) >= {run_id(TWO)}


def test_a_failed_run_is_lacking_and_told_with_its_traceback(store: Store) -> None:
    store.put_failure(commit(ONE, "failed", error="Traceback: it broke"))
    assert store.lacking([ID]) == [ID]
    assert store.read(ID) is None
    (failure,) = store.failures([ID, run_id(TWO)])
    assert failure.error == "Traceback: it broke"
    store.put_failure(commit(ONE, "failed", error="again"))
    assert next(store.failures([ID])).error == "again"
    put(store, ONE)
    assert store.lacking([ID]) == []
    assert list(store.failures([ID])) == []


@pytest.mark.parametrize("status", ["complete", "diverged"])
def test_a_failure_never_stands_in_place_of_a_trained_run(store: Store, status: str) -> None:
    store.put(commit(ONE, status), simple(ONE))
    before = files(store)
    store.put_failure(commit(ONE, "failed", error="late"))
    assert files(store) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("where", ["temporary", "first rename", "second rename"])
def test_a_store_that_cannot_be_written_says_so_and_stays_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, where: str
) -> None:
    put(store, TWO)
    before = files(store)
    calls = iter(range(10))
    replace = os.replace

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def refuse_late(source: str, target: str) -> None:
        if next(calls) == int(where == "second rename"):
            refuse()
        replace(source, target)

    with monkeypatch.context() as patch:
        if where == "temporary":
            patch.setattr(tempfile, "NamedTemporaryFile", refuse)
        else:
            patch.setattr(os, "replace", refuse_late)
        with pytest.raises(StoreError) as caught:
            put(store, ONE)
    assert ID in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    after = files(store)
    assert {name: after[name] for name in before} == before
    assert not any(Path(name).name.startswith(".") for name in after)
    assert store.lacking([ID, run_id(TWO)]) == [ID]


def test_a_file_where_the_store_should_be_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError, match="store"):
        put(store, ONE)
    with pytest.raises(StoreError, match="store"):
        store.known()


def test_a_store_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.check_writable()
    assert list(store.root.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"):
        Store(tmp_path / "file").check_writable()
