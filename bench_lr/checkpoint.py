"""A cohort that has not ended, kept in a file from which it goes on.

One file a cohort, ``STORE/unfinished/<name>.checkpoint``: a line of JSON that says what it is of,
then the tensors as `torch.save` writes them. It is replaced whole, so that a killed process leaves
the one before. Going on from it gives the numbers that training without a break would have given,
bit for bit on one kind of device.

Why not Lightning's own checkpoints: they begin a Lightning epoch anew, here thousands of steps, and
what stops a job wants it kept within seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_lr.identity import ENGINE_VERSION, run_ids
from bench_lr.keys import digest
from bench_lr.provenance import versions
from bench_lr.schema import RunConfig
from bench_lr.store import Store, StoreError, write_atomic

if TYPE_CHECKING:
    from bench_lr.cohort.engine import Cohort

log = logging.getLogger(__name__)

SUFFIX = ".checkpoint"
_HEADER_BYTES = 1 << 24
"""Most that is read in search of the first line: that of a million runs is shorter."""


@dataclass(frozen=True)
class Header:
    """What a checkpoint is of.

    Attributes
    ----------
    run_ids : tuple of str
        The cohort's runs, in its order.
    seconds : float
        Time trained so far.
    sha256 : str
        Of the tensors behind the header.
    """

    run_ids: tuple[str, ...]
    engine: int
    device_kind: str
    torch: str
    data_sha256: str
    seconds: float
    steps_taken: int
    sha256: str = ""


class Keeper:
    """Keeps the state of one cohort while it trains.

    Parameters
    ----------
    minutes : float or None
        How often; None: only when asked to.
    asked : callable
        Whether this process has been asked to stop, and what then stops it.
    """

    def __init__(
        self,
        store: Store,
        runs: Sequence[RunConfig],
        data_sha256: str,
        *,
        minutes: float | None = None,
        asked: Callable[[], bool] = lambda: False,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._run_ids = tuple(run_ids(runs))
        self._path = path_of(store, self._run_ids)
        self._data_sha256 = data_sha256
        # What is timed would be timed with the writing, and by two processes.
        self._keeps = not any(run.timed for run in runs)
        self._every = None if minutes is None else 60 * minutes
        self._asked, self._stop = asked, stop
        self._began = self._last = time.monotonic()
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Time trained, before the break included."""
        return self._before + time.monotonic() - self._began

    def take_up(self, cohort: Cohort) -> bool:
        """Let a cohort that has just been set up go on from the file, if there is one for it."""
        found = self._read(cohort.device.type) if self._keeps else None
        if found is not None:
            header, state = found
            cohort.restore(state)
            self._before = header.seconds
            log.info("going on at step %d of %d", cohort.steps_taken, cohort.timetable.steps)
        self._last = time.monotonic()
        return found is not None

    def look(self, cohort: Cohort) -> None:
        """Between two spans: keep the state if it is time to, and stop if that is asked for."""
        asked = self._asked()
        now = time.monotonic()
        if self._keeps and (asked or (self._every is not None and now - self._last >= self._every)):
            self._last = now
            try:
                self._write(cohort)
            except StoreError as error:
                # Training goes on where its state cannot be kept.
                log.warning("no checkpoint: %s", error)
        if asked:
            self._stop()

    def forget(self) -> None:
        """Remove the file of a cohort whose results are stored."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s is of no use any more and cannot be removed: %s", self._path, error)

    def _write(self, cohort: Cohort) -> None:
        import torch

        stream = io.BytesIO()
        torch.save(cohort.state, stream)
        content = stream.getvalue()
        header = Header(
            **_fixed(cohort.device.type),
            run_ids=self._run_ids,
            data_sha256=self._data_sha256,
            seconds=self.seconds,
            steps_taken=cohort.steps_taken,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        write_atomic(self._path, json.dumps(vars(header)).encode() + b"\n" + content)

    def _read(self, device_kind: str) -> tuple[Header, Mapping[str, Any]] | None:
        import torch

        header = header_of(self._path)
        if header is None:
            return None
        wanted = {
            **_fixed(device_kind),
            "run_ids": self._run_ids,
            "data_sha256": self._data_sha256,
        }
        other = [name for name, value in wanted.items() if getattr(header, name) != value]
        if other:
            log.info("%s is not used: it has another %s", self._path, ", ".join(other))
            return None
        try:
            _, _, content = self._path.read_bytes().partition(b"\n")
            if hashlib.sha256(content).hexdigest() != header.sha256:
                raise ValueError("wrong checksum")
            return header, torch.load(io.BytesIO(content), "cpu", weights_only=True)
        # A damaged file is told in many words.
        except Exception as error:
            log.warning("%s is damaged (%s); training begins anew", self._path, error)
            return None


def _fixed(device_kind: str) -> dict[str, Any]:
    """What has to be the same for numbers to be the same, beside runs and data."""
    return {
        "engine": ENGINE_VERSION,
        "device_kind": device_kind,
        "torch": versions()["torch"],
    }


def path_of(store: Store, run_ids: Sequence[str]) -> Path:
    """Where the checkpoint of a cohort lies, if there is one."""
    return store.root / "unfinished" / f"{digest(list(run_ids))}{SUFFIX}"


def header_of(path: Path) -> Header | None:
    """Read what a checkpoint is of; None if it is none, or damaged (which is logged)."""
    from bench_lr.claims.problems import adapter

    try:
        with path.open("rb") as stream:
            line = stream.readline(_HEADER_BYTES)
        header: Header = adapter(Header).validate_json(line)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        words = str(error).splitlines()[0]
        log.warning("%s is damaged (%s); training begins anew", path, words)
        return None
    return header


def unfinished(store: Store) -> list[tuple[str, ...]]:
    """Runs of each cohort of which a store has a checkpoint of this engine."""
    return [header.run_ids for header in _headers(store)]


def steps_kept(store: Store, run_ids: frozenset[str]) -> int:
    """Steps that the checkpoints of cohorts of these runs have behind them, together."""
    return sum(it.steps_taken for it in _headers(store) if run_ids.issuperset(it.run_ids))


def sweep(store: Store) -> int:
    """Remove the checkpoints of cohorts of which a run has been trained since; return how many.

    In other company, that is: what is left of such a cohort never trains as it was.
    """
    removed = 0
    for path in (store.root / "unfinished").glob(f"*{SUFFIX}"):
        header = header_of(path)
        if header is not None and len(store.lacking(header.run_ids)) < len(set(header.run_ids)):
            # Another process may be faster, and a store that is read-only stays as it is.
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def _headers(store: Store) -> Iterator[Header]:
    """What each checkpoint of a store is of, those of another engine left out."""
    found = map(header_of, sorted((store.root / "unfinished").glob(f"*{SUFFIX}")))
    return (it for it in found if it is not None and it.engine == ENGINE_VERSION)
