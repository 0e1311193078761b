"""Content-addressed results of runs, shared by every process that trains or judges.

Layout (readable without this package)::

    STORE/runs/<2 hex>/<run id>.parquet    tidy table, see `COLUMNS`
    STORE/commits/<2 hex>/<run id>.json    written last: a run is stored if and only if it is there
    STORE/pending/<digest>.json            commits of a cohort that are being written, for a moment
    STORE/unfinished/*.checkpoint          cohorts to go on with, see `bench_lr.checkpoint`

Both are written to a temporary file, synced and renamed, so a killed process leaves nothing that is
read as whole. The commit holds the SHA-256 of the parquet file and, as ``check``, its own; a file
that does not match is reported by name and the run is trained again. Runs that trained together are
stored together: a process that is killed among their commits leaves the list of them, and the next
one writes what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from bench_lr.atomic import write_atomically
from bench_lr.identity import ENGINE_VERSION, digest
from bench_lr.tables import encode

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

COLUMNS = ("run_id", "step", "epoch", "examples", "metric", "split", "value")
TRAINED = ("complete", "diverged")
STATUSES = (*TRAINED, "failed")
_ATTEMPTS = 20
_CHECK = b'{\n "check": "'
_BEHIND = b'",\n'
_ORIGIN: dict[str, Any] = {
    "seconds": (int, float),
    "versions": dict,
    "device": str,
    "device_kind": str,
    "commit": str,
    "data_sha256": str,
    "dirty": bool,
}
"""Types of what is read of a provenance."""
_FOREVER = 1e12
"""Seconds that nothing takes."""
_READ_BYTES = 1 << 16
_RUN_ID = re.compile("[0-9a-f]{64}")


class StoreError(Exception):
    """The store cannot be written or read."""


@dataclass(frozen=True)
class Commit:
    """What is known of a stored run beside its numbers.

    Attributes
    ----------
    status : {"complete", "diverged", "failed"}
    diverged_at : int or None
        Step of the first loss that was not finite.
    provenance : dict
        Device, versions, commit, data digest, wall time and the like.
    error : str
        Traceback of a failed run.
    """

    run_id: str
    status: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    sha256: str = ""
    engine: int = ENGINE_VERSION
    diverged_at: int | None = None
    error: str = ""

    @property
    def device_kind(self) -> str:
        """Device kind ("cpu", "cuda") that trained the run."""
        return str(self.provenance.get("device_kind", ""))


class Store:
    """Results of runs in a folder.

    Parameters
    ----------
    root : path
        Made when something is first written.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        # Text, not `Path`: making one costs as much as reading the small file it names.
        self._runs, self._commits = f"{self.root}/runs", f"{self.root}/commits"

    def _table(self, run_id: str) -> str:
        return f"{self._runs}/{run_id[:2]}/{run_id}.parquet"

    def _marker(self, run_id: str) -> str:
        return f"{self._commits}/{run_id[:2]}/{run_id}.json"

    def shards(self) -> list[os.DirEntry[str]]:
        """Folders of commits, each with the ids that begin with its name."""
        try:
            with os.scandir(self._commits) as entries:
                return [entry for entry in entries if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.root}: {error.strerror}") from error

    def known(self, among: Iterable[str] | None = None) -> set[str]:
        """Ids of committed runs, whatever their status, without opening a file.

        Where they are to be found `among` some ids, only the folders of these are listed.
        """
        shards = self.shards()
        if among is not None:
            wanted = {run_id[:2] for run_id in among}
            shards = [shard for shard in shards if shard.name in wanted]
        return {run_id for shard in shards for run_id in committed(shard)}

    def commit_of(self, run_id: str) -> Commit | None:
        """Return the commit of a run; None if there is none or it is damaged (which is logged)."""
        path = self._marker(run_id)
        try:
            commit = Commit(**_opened(_content(path)))
            if commit.run_id != run_id or not _is_sound(commit):
                raise ValueError("not the commit of its run")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s is damaged (%s); the run will be trained again", path, error)
            return None
        return commit

    def lacking(self, run_ids: Iterable[str]) -> list[str]:
        """Ids, in order, whose run has to be trained: not stored, failed, or damaged."""
        wanted = dict.fromkeys(run_ids)
        known = self.known(wanted)
        return [i for i in wanted if i not in known or self.content(i) is None]

    def content(self, run_id: str) -> tuple[Commit, bytes] | None:
        """Return a trained run's commit and the Parquet of its table, whose checksum is right.

        None if it is not stored, failed, or damaged; damage is logged with the file's name and the
        commit taken back, so that the next plan trains the run again.
        """
        commit = self.commit_of(run_id)
        while commit is not None and commit.status in TRAINED:
            path = self._table(run_id)
            try:
                content = _content(path)
            except FileNotFoundError:
                fault = "is missing"
            except OSError as error:
                log.warning("%s cannot be read: %s", path, error)
                return None
            else:
                if hashlib.sha256(content).hexdigest() == commit.sha256:
                    return commit, content
                fault = "is damaged (wrong checksum)"
            before, commit = commit, self.commit_of(run_id)
            if commit == before:
                self.take_back(run_id, fault)
                return None
            # Another process has stored the run between our two looks.
        return None

    def take_back(self, run_id: str, fault: str) -> None:
        """Take back the commit of a run whose table has a fault, and say so."""
        log.warning("%s %s; the run will be trained again", self._table(run_id), fault)
        # In a store that is read-only the commit stays, and is found wrong every time.
        with contextlib.suppress(OSError):
            Path(self._marker(run_id)).unlink(missing_ok=True)

    def read(self, run_id: str) -> tuple[Commit, pd.DataFrame] | None:
        """Return a trained run's commit and table; None where `content` is."""
        import pandas as pd

        found = self.content(run_id)
        return None if found is None else (found[0], pd.read_parquet(io.BytesIO(found[1])))

    def failures(self, run_ids: Iterable[str]) -> Iterator[Commit]:
        """Yield the commits of runs that failed."""
        for run_id in run_ids:
            commit = self.commit_of(run_id)
            if commit is not None and commit.status == "failed":
                yield commit

    def check_writable(self) -> None:
        """Raise StoreError, with the reason, if nothing can be written here."""
        probe = self.root / ".writable"
        write_atomic(probe, b"?")
        probe.unlink(missing_ok=True)

    def put(self, commit: Commit, table: pd.DataFrame) -> None:
        """Store a trained run.

        Raises
        ------
        StoreError
            If the folder cannot be written; what was there before is still whole.
        """
        self.put_together([commit], [table])

    def put_together(self, commits: Sequence[Commit], tables: Sequence[pd.DataFrame]) -> None:
        """Store runs that were trained together: all of them or, until `recover`, none.

        Raises
        ------
        StoreError
            If the folder cannot be written; what was there before is still whole.
        """
        contents, wholes = [], []
        for commit, table in zip(commits, tables, strict=True):
            content = encode(table[list(COLUMNS)])
            sha256 = hashlib.sha256(content).hexdigest()
            wholes.append(Commit(**{**vars(commit), "sha256": sha256}))
            contents.append(content)
            write_atomic(Path(self._table(commit.run_id)), content)
        pending = None
        if len(wholes) > 1:
            name = digest([commit.run_id for commit in wholes])
            pending = self.root / "pending" / f"{name}.json"
            write_atomic(pending, _checked({"commits": [vars(commit) for commit in wholes]}))
        for whole, content in zip(wholes, contents, strict=True):
            for _ in range(_ATTEMPTS):
                write_atomic(Path(self._marker(whole.run_id)), _checked(vars(whole)))
                if self._matches(whole.run_id):
                    break
                write_atomic(Path(self._table(whole.run_id)), content)
        if pending is not None:
            pending.unlink(missing_ok=True)

    def recover(self) -> int:
        """Write the commits that killed processes were about to write; return how many.

        Nothing where the store cannot be written.
        """
        found = 0
        for path in sorted((self.root / "pending").glob("*.json")):
            try:
                commits = [Commit(**it) for it in _opened(_content(str(path)))["commits"]]
                if not all(map(_is_sound, commits)):
                    raise ValueError("not the commits of runs")
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError, KeyError) as error:
                log.warning("%s is damaged (%s); its runs will be trained again", path, error)
                commits = []
            with contextlib.suppress(StoreError, OSError):
                for commit in commits:
                    found += self._complete(commit)
                path.unlink(missing_ok=True)
        return found

    def _complete(self, commit: Commit) -> bool:
        """Write a commit that is missing beside its table; whether it was."""
        existing = self.commit_of(commit.run_id)
        if existing is not None and existing.status in TRAINED:
            return False
        try:
            content = _content(self._table(commit.run_id))
        except FileNotFoundError:
            return False
        if hashlib.sha256(content).hexdigest() != commit.sha256:
            return False
        write_atomic(Path(self._marker(commit.run_id)), _checked(vars(commit)))
        return True

    def _matches(self, run_id: str) -> bool:
        """Whether table and commit are of one process, where several store the same run at once.

        Whoever writes last also looks last, so one of them makes it so.
        """
        commit = self.commit_of(run_id)
        try:
            content = _content(self._table(run_id))
        except OSError:
            return False
        return commit is not None and hashlib.sha256(content).hexdigest() == commit.sha256

    def put_failure(self, commit: Commit) -> None:
        """Note that a run failed, unless it has been trained meanwhile."""
        existing = self.commit_of(commit.run_id)
        if existing is None or existing.status == "failed":
            write_atomic(Path(self._marker(commit.run_id)), _checked(vars(commit)))


def committed(shard: str | os.DirEntry[str]) -> Iterator[str]:
    """Yield the ids of the runs committed in one of a store's folders."""
    for name in os.listdir(shard):
        # What is being written has a dot before and letters behind.
        if name.endswith(".json"):
            yield name[:-5]


def _content(path: str) -> bytes:
    # A file object costs as much again as reading a small file.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        parts = []
        while part := os.read(file, _READ_BYTES):
            parts.append(part)
    finally:
        os.close(file)
    return b"".join(parts)


def _checked(content: Mapping[str, Any]) -> bytes:
    """Return JSON whose first key is the checksum of what follows it."""
    begin = b"{\n"
    rest = (json.dumps(content, sort_keys=True, indent=1) + "\n").encode().removeprefix(begin)
    return _CHECK + hashlib.sha256(rest).hexdigest().encode() + _BEHIND + rest


def _opened(content: bytes) -> dict[str, Any]:
    """Return what `_checked` was given, or an older version without a checksum has written.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if content.startswith(_CHECK):
        check, _, rest = content.removeprefix(_CHECK).partition(_BEHIND)
        if hashlib.sha256(rest).hexdigest().encode() != check:
            raise ValueError("wrong checksum")
    said = from_json(content)
    if not isinstance(said, dict):
        raise ValueError("no mapping")
    said.pop("check", None)
    return said


def _is_sound(commit: Commit) -> bool:
    """Whether everything in a commit is of its type."""
    mappings = (commit.config, commit.provenance)
    words = (commit.run_id, commit.status, commit.sha256, commit.error)
    if not all(isinstance(it, dict) for it in mappings) or not all(
        isinstance(it, str) for it in words
    ):
        return False
    said = commit.provenance
    return (
        _RUN_ID.fullmatch(commit.run_id) is not None
        and commit.status in STATUSES
        and isinstance(commit.engine, int)
        and isinstance(commit.diverged_at, int | None)
        and all(isinstance(said[name], _ORIGIN[name]) for name in _ORIGIN.keys() & said.keys())
        and 0 <= said.get("seconds", 0) < _FOREVER
    )


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file or nothing, making its folder.

    Raises
    ------
    StoreError
        With the path and the reason (disk full, read-only folder, ...).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
