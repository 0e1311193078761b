"""Noting that runs failed, and why."""

from __future__ import annotations

from collections.abc import Mapping

from bench_lr.identity import config_dict
from bench_lr.provenance import here
from bench_lr.schema import RunConfig
from bench_lr.store import Commit, Store

BEGIN = "Traceback (most recent call last):"


def words_of(text: str) -> str:
    """Return what a traceback ends with, the error and its message; other text is all returned."""
    lines = text.strip().splitlines()
    begins = [place for place, line in enumerate(lines) if line.strip() == BEGIN]
    if begins:
        lines = lines[begins[-1] + 1 :]
        said = next((place for place, line in enumerate(lines) if not line.startswith(" ")), 0)
        lines = lines[said:]
    return "\n".join(lines)


def note_failures(store: Store, runs: Mapping[str, RunConfig], text: str) -> None:
    """Note of runs, by their ids, why they failed, unless they have been trained meanwhile.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    for identity, run in runs.items():
        store.put_failure(Commit(identity, "failed", config_dict(run), here(), error=text))
