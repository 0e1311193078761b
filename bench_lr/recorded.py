"""Recorded evidence under ``reproductions/``: written by `record`, compared with by `check`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench_lr.changes import Change, Comparison, compare
from bench_lr.findings import Finding, check_entries, entry_of, finding, finding_of
from bench_lr.record_index import FIDELITY
from bench_lr.record_index import folder as folder
from bench_lr.schema import Claim
from bench_lr.store import write_atomic
from bench_lr.verdict import ClaimVerdict, VerdictWord

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_EVALUATIONS = 100
"""Most evaluations of an arm that its summary has; a claim's page is read, not plotted from."""


class RecordError(Exception):
    """Recorded evidence cannot be read, or there is nothing fit to record."""


def read(claim_id: str, root: Path | None = None) -> dict[str, Any]:
    """Return what is recorded for a claim, by profile; empty if nothing is.

    Raises
    ------
    RecordError
        If the file is damaged.
    """
    path = (root or folder()) / claim_id / "verdict.json"
    try:
        content = json.loads(path.read_bytes())
        profiles = content["profiles"]
        check_entries(profiles)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} is damaged ({error!r}); restore it or record again") from error
    return cast("dict[str, Any]", profiles)


def verdict_of(claim: Claim, root: Path | None = None) -> VerdictWord | None:
    """Return the recorded verdict of a claim under its profile, or None."""
    entry = read(claim.id, root).get(claim.profile.name)
    return None if entry is None else cast("VerdictWord", entry["verdict"])


def deviations(claim: Claim, root: Path | None = None) -> dict[str, float]:
    """Between-seed standard deviations recorded for a claim, by criterion.

    Those of its own profile if there are any, else of another.
    """
    entries = read(claim.id, root)
    known: dict[str, Any] = entries.get(claim.profile.name) or next(iter(entries.values()), {})
    listed = known.get("criteria", [])
    return {item["id"]: item["sd"] for item in listed if item.get("sd") is not None}


def compared(verdicts: Sequence[ClaimVerdict], root: Path | None = None) -> Comparison:
    """Compare judged claims with what is recorded for their profiles; see `bench_lr.changes`.

    A claim with nothing recorded is a change; one that is incomplete is left out.
    """
    old: dict[str, Finding] = {}
    new: dict[str, Finding] = {}
    unknown = []
    for verdict in verdicts:
        claim = verdict.claim
        if verdict.verdict == "incomplete":
            continue
        entry = read(claim.id, root).get(claim.profile.name)
        if entry is None:
            unknown.append(Change(claim.id, "", "the record", "nothing", verdict.verdict))
        else:
            old[claim.id], new[claim.id] = finding(entry), finding_of(verdict)
    found = compare(old, new)
    order = {verdict.claim.id: place for place, verdict in enumerate(verdicts)}
    moved = sorted([*unknown, *found.moved], key=lambda change: order[change.claim])
    return dataclasses.replace(found, moved=tuple(moved))


def changes(verdicts: Sequence[ClaimVerdict], root: Path | None = None) -> list[Change]:
    """List every verdict and number that moved from what is recorded."""
    return list(compared(verdicts, root).moved)


def fit_to_record(verdict: ClaimVerdict) -> str:
    """Why a judged claim cannot be recorded, or an empty string."""
    claim = verdict.claim
    if not claim.profile.may_judge:
        return f"profile {claim.profile.name} judges nothing"
    if verdict.verdict == "incomplete":
        return f"it is incomplete: {verdict.note}"
    if verdict.provenance.dirty:
        return "its runs were trained from a checkout with uncommitted changes"
    return ""


def write(verdict: ClaimVerdict, section: str, figure: Path, root: Path | None = None) -> Path:
    """Write a claim's evidence; `section` is its Markdown, `figure` its PNG.

    The page and the figure are those of the most faithful profile that is recorded.

    Raises
    ------
    RecordError
        If the claim is not fit to record.
    """
    if reason := fit_to_record(verdict):
        raise RecordError(f"{verdict.claim.id} is not recorded: {reason}")
    target = (root or folder()) / verdict.claim.id
    profiles = read(verdict.claim.id, root)
    profile = verdict.claim.profile.name
    profiles[profile] = entry_of(verdict)
    best = max(profiles, key=lambda name: FIDELITY.index(name) if name in FIDELITY else -1)
    content = {"id": verdict.claim.id, "shown": best, "profiles": profiles}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomic(target / "verdict.json", text.encode())
    if profile == best:
        write_atomic(target / "README.md", section.encode())
        write_atomic(target / "summary.csv", summary(verdict).encode())
        shutil.copyfile(figure, target / "figure.png")
    return target


def means(claim: Claim, root: Path | None = None) -> pd.DataFrame:
    """Return what is recorded of a claim's arms as results of one seed, which is their mean.

    The mean is NaN where a run had diverged. Empty if there is no such record.

    Raises
    ------
    RecordError
        If the file is damaged.
    """
    import pandas as pd

    path = (root or folder()) / claim.id / "summary.csv"
    try:
        table = pd.read_csv(path)
        if "arm" not in table.columns:
            return pd.DataFrame()
        whole = table["count"] == claim.seeds
        table = table.assign(seed=0, value=table["mean"].where(whole))
        return table[["arm", "seed", "step", "epoch", "examples", "metric", "split", "value"]]
    except FileNotFoundError:
        return pd.DataFrame()
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(f"{path} is damaged ({error!r}); restore it or record again") from error


def summary(verdict: ClaimVerdict) -> str:
    """CSV of every arm's metrics: mean, SD and number of seeds.

    Of arms with more than `SUMMARY_EVALUATIONS` evaluations every second, third, ... counted from
    the last, so that as many are left at most; the store has them all. Of a claim that trains
    nothing, the calculations: their numbers, or means over seeds.
    """
    frame = verdict.frame
    if frame.empty:
        rows = [
            f"{name},{index},{value:.10g}"
            for name, values in verdict.calculations.items()
            for index, value in enumerate(values.mean(axis=0) if values.ndim == 2 else values)
        ]
        return "\n".join(["calculation,index,value", *rows]) + "\n"
    keys = ["arm", "epoch", "step", "examples", "split", "metric"]
    table = (
        frame.groupby(keys, sort=False, observed=True)["value"]
        .agg(["mean", "std", "count"])
        .reset_index()
    )
    number = table.groupby("arm", sort=False, observed=True)["step"].rank("dense", ascending=False)
    most = number.groupby(table["arm"], sort=False, observed=True).transform("max")
    stride = -(-most // SUMMARY_EVALUATIONS)
    table = table[(number - 1) % stride == 0].round({"epoch": 4})
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
