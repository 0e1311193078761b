"""Recorded evidence under ``reproductions/``: written by `record`, compared with by `check`."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench_lr.claims.problems import adapter
from bench_lr.schema import Claim
from bench_lr.stats import prediction_interval
from bench_lr.store import write_atomic
from bench_lr.verdict import ClaimVerdict, Judged, VerdictWord

ENVIRONMENT = "BENCH_LR_REPRODUCTIONS"
FIDELITY = ("quick", "standard", "full")
"""Profiles from the least to the most faithful; the best one recorded is shown."""


class RecordError(Exception):
    """Recorded evidence cannot be read, or there is nothing fit to record."""


@dataclass(frozen=True)
class Change:
    """One number or verdict that is not what is recorded."""

    claim: str
    criterion: str
    what: str
    recorded: str
    found: str

    def __str__(self) -> str:
        where = f"{self.claim} {self.criterion}".strip()
        return f"{where}: {self.what} was {self.recorded}, is {self.found}"


@dataclass(frozen=True)
class _ComparedCriterion:
    """What of a recorded criterion a new result is compared with."""

    id: str
    verdict: VerdictWord
    estimate: float | None
    ci: tuple[float, float] | None
    prediction: tuple[float, float] | None


@dataclass(frozen=True)
class _Compared:
    """What of a recorded claim a new verdict is compared with."""

    verdict: VerdictWord
    criteria: list[_ComparedCriterion]


def folder() -> Path:
    """Where the evidence lies: ``BENCH_LR_REPRODUCTIONS``, the checkout, or inside the wheel."""
    if given := os.environ.get(ENVIRONMENT):
        return Path(given)
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout / "reproductions"
    return package / "reproductions"


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
        adapter(dict[str, _Compared]).validate_json(json.dumps(profiles), strict=True)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} is damaged ({error!r}); restore it or record again") from error
    return cast("dict[str, Any]", profiles)


def verdict_of(claim: Claim, root: Path | None = None) -> VerdictWord | None:
    """Return the recorded verdict of a claim under its profile, or None."""
    entry = read(claim.id, root).get(claim.profile.name)
    return None if entry is None else cast("VerdictWord", entry["verdict"])


def entry_of(verdict: ClaimVerdict) -> dict[str, Any]:
    """Return what is kept of a judged claim."""
    origin = verdict.provenance
    return {
        "verdict": verdict.verdict,
        "note": verdict.note,
        "runs": verdict.runs,
        "diverged": verdict.diverged,
        "train_seconds": round(verdict.train_seconds, 1),
        "criteria": [_criterion(judged) for judged in verdict.criteria],
        "recorded_on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": origin.device,
        "versions": origin.versions,
        "commit": origin.commit,
        "data_sha256": origin.data_sha256,
    }


def _criterion(judged: Judged) -> dict[str, Any]:
    entry = judged.as_dict()
    # Estimates are compared, tests of them are not.
    del entry["p_value"]
    return {**entry, "prediction": _prediction(judged)}


def _prediction(judged: Judged) -> tuple[float, float] | None:
    """Interval in which the estimate of an equal experiment on other seeds should fall."""
    result = judged.result
    if result.estimate is None or result.sd is None or result.seeds < 2:
        return None
    return prediction_interval(result.estimate, result.sd, result.seeds, result.seeds)


def changes(verdicts: Sequence[ClaimVerdict], root: Path | None = None) -> list[Change]:
    """List every verdict and number that differs from what is recorded.

    A number is compared where a prediction interval is recorded, and where it is exact; a claim
    with nothing recorded for its profile is a change too.
    """
    found: list[Change] = []
    for verdict in verdicts:
        claim = verdict.claim
        entry = read(claim.id, root).get(claim.profile.name)
        if entry is None:
            found.append(Change(claim.id, "", "the record", "nothing", verdict.verdict))
            continue
        changed = entry["verdict"] != verdict.verdict
        if changed:
            found.append(Change(claim.id, "", "the verdict", entry["verdict"], verdict.verdict))
        old = {item["id"]: item for item in entry["criteria"]}
        for judged in verdict.criteria:
            before = old.pop(judged.spec.id, None)
            found += _criterion_changes(claim.id, judged, before, changed)
        found += [Change(claim.id, name, "the criterion", "there", "gone") for name in old]
    return found


def _criterion_changes(
    claim: str, judged: Judged, old: Mapping[str, Any] | None, claim_changed: bool
) -> list[Change]:
    name, result = judged.spec.id, judged.result
    if old is None:
        return [Change(claim, name, "the criterion", "nothing", result.verdict)]
    found = []
    words = {old["verdict"], result.verdict}
    # A criterion that slides between decided and not, its number and its claim's verdict staying
    # where they were, is chance.
    slid = "inconclusive" in words and not claim_changed
    if len(words) > 1 and not slid and judged.spec.role != "reading":
        found.append(Change(claim, name, "the verdict", old["verdict"], result.verdict))
    before, now = old["estimate"], result.estimate
    if (before is None) != (now is None):
        found.append(Change(claim, name, "the estimate", _number(before), _number(now)))
    elif before is not None and now is not None:
        interval = old.get("prediction")
        exact = old["ci"] is not None and old["ci"][0] == old["ci"][1]
        if exact and abs(now - before) > 1e-9 * max(1.0, abs(before)):
            found.append(Change(claim, name, "the exact value", _number(before), _number(now)))
        elif interval is not None and not exact and not interval[0] <= now <= interval[1]:
            text = f"{_number(before)} [{_number(interval[0])}, {_number(interval[1])}]"
            found.append(Change(claim, name, "the estimate", text, _number(now)))
    return found


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


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


def summary(verdict: ClaimVerdict) -> str:
    """CSV of every arm's metrics at every evaluation: mean, SD and number of seeds."""
    frame = verdict.frame
    if frame.empty:
        rows = [
            f"{name},{index},{value:.10g}"
            for name, values in verdict.calculations.items()
            for index, value in enumerate(values)
        ]
        return "\n".join(["calculation,index,value", *rows]) + "\n"
    keys = ["arm", "epoch", "step", "examples", "split", "metric"]
    table = (
        frame.groupby(keys, sort=False, observed=True)["value"]
        .agg(["mean", "std", "count"])
        .reset_index()
    )
    table["epoch"] = table["epoch"].round(4)
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
