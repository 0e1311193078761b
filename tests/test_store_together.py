"""Runs that trained together are stored together, whenever their process is killed."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path

import pytest

from bench_lr import store as store_module
from bench_lr.identity import run_id
from bench_lr.store import Store, StoreError
from tests.stored import commit, run, simple

RUNS = [run(seed) for seed in range(4)]
IDS = [run_id(each) for each in RUNS]


def put(store: Store) -> None:
    store.put_together([commit(each) for each in RUNS], [simple(each) for each in RUNS])


class Killed(BaseException):
    """The end of a process."""


def put_until(store: Store, writes: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Store the runs, but be killed before a write; return the writes there were."""
    write, count = store_module.write_atomic, 0

    def counting(path: Path, content: bytes) -> None:
        nonlocal count
        if count == writes:
            raise Killed
        count += 1
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_atomic", counting)
        with contextlib.suppress(Killed):
            put(store)
    return count


def test_all_or_none_are_stored_wherever_the_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Store(tmp_path / "whole")
    writes = put_until(whole, -1, monkeypatch)
    assert writes == 2 * len(RUNS) + 1
    assert whole.lacking(IDS) == []
    assert not list((whole.root / "pending").iterdir())
    for killed in range(writes):
        store = Store(tmp_path / str(killed))
        assert put_until(store, killed, monkeypatch) == killed
        recovered = store.recover()
        assert len(store.lacking(IDS)) in (0, len(IDS))
        # From the list of commits on, they are as good as stored.
        assert (not store.lacking(IDS)) == (killed > len(RUNS))
        assert recovered == (2 * len(RUNS) + 1 - killed if killed > len(RUNS) else 0)
        assert store.recover() == 0
        for identity in set(IDS) - set(store.lacking(IDS)):
            assert store.content(identity) == whole.content(identity)


def test_one_run_needs_no_list(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(commit(RUNS[0]), simple(RUNS[0]))
    assert not (tmp_path / "pending").exists()


def test_what_another_process_has_stored_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    put_until(store, len(RUNS) + 1, monkeypatch)
    other = simple(RUNS[0]).assign(value=1.25)
    store.put(commit(RUNS[0], provenance={"seconds": 9}), other)
    # Its table is no longer the one that was listed.
    other = simple(RUNS[1]).assign(value=1.25)
    store_module.write_atomic(Path(store._table(IDS[1])), store_module.encode(other))
    assert store.recover() == 2
    found = store.read(IDS[0])
    assert found is not None
    assert found[0].provenance["seconds"] == 9
    assert store.lacking(IDS) == [IDS[1]]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"commits": [{}]}', b'{"commits": 3}', b"\x00\xff"]
)
def test_a_damaged_list_is_told_by_name_and_removed(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pending" / "a.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert Store(tmp_path).recover() == 0
    assert str(path) in caplog.text
    assert not path.exists()


def test_a_list_names_runs_not_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "store")
    put_until(store, len(RUNS) + 1, monkeypatch)
    (path,) = (store.root / "pending").iterdir()
    said = path.read_bytes().replace(IDS[2].encode(), b"../../../" + b"x" * 55)
    # As nobody would: with a checksum, the wrong one would be found first.
    path.write_bytes(re.sub(rb'"check": "[^"]*",', b"", said))
    assert store.recover() == 0
    assert "not the commits of runs" in caplog.text
    assert {item.name for item in tmp_path.iterdir()} == {"store"}


def test_a_store_that_cannot_be_written_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    put_until(store, len(RUNS) + 2, monkeypatch)

    def refuse(path: Path, content: bytes) -> None:
        raise StoreError("read-only")

    monkeypatch.setattr(store_module, "write_atomic", refuse)
    assert store.recover() == 0
    assert len(store.lacking(IDS)) == 3
    monkeypatch.undo()
    assert store.recover() == 3
    assert store.lacking(IDS) == []
