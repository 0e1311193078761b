"""Several processes on one store."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pandas as pd
import pytest

from bench_lr import store as store_module
from bench_lr.identity import run_id
from bench_lr.store import Store
from tests.stored import commit, run, simple

ONE = run(0)
ID = run_id(ONE)


def version(number: int) -> pd.DataFrame:
    """Return results as another machine might have them: the last digits differ."""
    return simple(ONE).assign(value=lambda frame: frame["value"] + number)


def put_often(root: str, number: int) -> None:
    for _ in range(40):
        Store(root).put(commit(ONE, provenance={"seconds": number}), version(number))


def assert_whole(store: Store) -> None:
    assert store.lacking([ID]) == []
    found = store.read(ID)
    assert found is not None
    number = found[0].provenance["seconds"]
    pd.testing.assert_frame_equal(found[1], version(number))


def test_two_processes_that_store_the_same_run_end_with_a_whole_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=put_often, args=(str(tmp_path / "store"), number))
        for number in (1, 2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert_whole(Store(tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_a_run_stored_by_another_process_between_table_and_commit_is_whole(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    write = store_module.write_atomic
    raced = False

    def racing(path: Path, content: bytes) -> None:
        nonlocal raced
        if path.suffix == suffix and not raced:
            raced = True
            store.put(commit(ONE, provenance={"seconds": 2}), version(2))
        write(path, content)

    monkeypatch.setattr(store_module, "write_atomic", racing)
    store.put(commit(ONE, provenance={"seconds": 1}), version(1))
    assert raced
    assert_whole(store)


def test_a_reader_between_another_process_s_table_and_commit_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "store")
    store.put(commit(ONE, provenance={"seconds": 1}), version(1))
    look = Store.commit_of
    raced = False

    def then_replaced(self: Store, identity: str) -> object:
        nonlocal raced
        found = look(self, identity)
        if not raced:
            raced = True
            store.put(commit(ONE, provenance={"seconds": 2}), version(2))
        return found

    monkeypatch.setattr(Store, "commit_of", then_replaced)
    found = store.read(ID)
    assert found is not None
    assert found[0].provenance["seconds"] == 2
    pd.testing.assert_frame_equal(found[1], version(2))
    assert caplog.text == ""
