"""Noting that runs failed."""

from __future__ import annotations

from collections.abc import Mapping

from bench_lr.identity import config_dict
from bench_lr.provenance import here
from bench_lr.schema import RunConfig
from bench_lr.store import Commit, Store


def note_failures(store: Store, runs: Mapping[str, RunConfig], text: str) -> None:
    """Note of runs, by their ids, why they failed, unless they have been trained meanwhile.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    for identity, run in runs.items():
        store.put_failure(Commit(identity, "failed", config_dict(run), here(), error=text))
