"""Judging: pure functions from the stored runs of a claim to its verdict."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench_lr import criteria
from bench_lr.claims.check import criterion_params, selected_arms
from bench_lr.criteria import CriterionError, CriterionResult
from bench_lr.identity import run_id
from bench_lr.schema import COUNTS, Claim, CriterionSpec, Measure
from bench_lr.store import Commit, Store
from bench_lr.verdict import ClaimVerdict, Judged, Provenance, VerdictWord

Array = npt.NDArray[np.float64]
FRAME = ("arm", "seed", "step", "epoch", "examples", "metric", "split", "value")
_SAME_EPOCH = 1e-6


@dataclass(frozen=True)
class _Evidence:
    """The stored runs of a claim: tables by arm, in order of seed, None where one is missing."""

    tables: dict[str, list[pd.DataFrame | None]]
    commits: tuple[Commit, ...]
    failed: int

    @property
    def missing(self) -> int:
        return sum(table is None for tables in self.tables.values() for table in tables)


def judge(claim: Claim, store: Store, recorded: VerdictWord | None = None) -> ClaimVerdict:
    """Judge a claim on what the store has."""
    evidence = _gather(claim, store)
    calculations = {name: c.values() for name, c in claim.spec.calculations.items()}
    obstacle = _obstacle(claim, evidence)
    judged = tuple(
        Judged(spec, _evaluate(claim, spec, evidence, calculations, obstacle))
        for spec in claim.spec.criteria
    )
    verdict, note = combine(judged)
    seconds = sum(float(c.provenance.get("seconds", 0.0)) for c in evidence.commits)
    return ClaimVerdict(
        claim=claim,
        verdict=verdict,
        criteria=judged,
        frame=_frame(claim, evidence),
        calculations=calculations,
        note=note,
        recorded=recorded,
        runs=sum(len(arm.runs) for arm in claim.arms),
        missing=evidence.missing - evidence.failed,
        failed=evidence.failed,
        diverged=sum(commit.status == "diverged" for commit in evidence.commits),
        train_seconds=seconds,
        provenance=_provenance(evidence.commits),
    )


def combine(judged: Iterable[Judged]) -> tuple[VerdictWord, str]:
    """Verdict of a claim from those of its criteria, with the reason where it is not plain.

    Every ``claim`` criterion must be reproduced and every ``control`` refuted; one refuted claim
    criterion refutes the claim; readings do not count.
    """
    claims = [j for j in judged if j.spec.role == "claim"]
    controls = [j for j in judged if j.spec.role == "control"]
    words = {j.result.verdict for j in claims}
    if "incomplete" in words:
        notes = [j.result.note for j in claims if j.result.verdict == "incomplete"]
        return "incomplete", notes[0]
    if "refuted" in words:
        names = ", ".join(j.spec.id for j in claims if j.result.verdict == "refuted")
        return "refuted", f"refuted by {names}"
    if any(j.result.verdict == "incomplete" for j in controls):
        return "incomplete", "a control is incomplete"
    if "inconclusive" in words:
        names = ", ".join(j.spec.id for j in claims if j.result.verdict == "inconclusive")
        return "inconclusive", f"{names} cannot be decided with these seeds"
    weak = [j.spec.id for j in controls if j.result.verdict != "refuted"]
    if weak:
        return "inconclusive", f"the control {', '.join(weak)} did not fail: the test could not"
    return "reproduced", ""


def _gather(claim: Claim, store: Store) -> _Evidence:
    tables: dict[str, list[pd.DataFrame | None]] = {}
    commits: list[Commit] = []
    absent: list[str] = []
    for arm in claim.arms:
        tables[arm.name] = []
        for run in arm.runs:
            identity = run_id(run)
            found = store.read(identity)
            if found is None:
                absent.append(identity)
                tables[arm.name].append(None)
            else:
                commits.append(found[0])
                tables[arm.name].append(found[1])
    failed = len(list(store.failures(absent)))
    return _Evidence(tables, tuple(commits), failed)


def _obstacle(claim: Claim, evidence: _Evidence) -> str:
    """Why trained runs cannot be judged at all, or an empty string."""
    if claim.out_of_profile:
        return "needs profile full"
    if not claim.profile.may_judge:
        return f"profile {claim.profile.name} proves the plumbing and judges nothing"
    if evidence.missing:
        total = sum(len(tables) for tables in evidence.tables.values())
        failed = f", {evidence.failed} of them failed" if evidence.failed else ""
        return f"{evidence.missing} of {total} runs are missing{failed}"
    devices = sorted({commit.device_kind for commit in evidence.commits})
    if len(devices) > 1:
        return f"runs of several device kinds ({', '.join(devices)}) are not judged together"
    return ""


def _evaluate(
    claim: Claim,
    spec: CriterionSpec,
    evidence: _Evidence,
    calculations: dict[str, Array],
    obstacle: str,
) -> CriterionResult:
    chosen = selected_arms(claim, spec)
    trained = [name for name in chosen if name not in calculations]
    if trained and obstacle:
        return _incomplete(obstacle, len(claim.arms[0].runs))
    try:
        arms = {name: calculations[name] for name in chosen if name in calculations}
        params = criterion_params(claim, spec)
        if trained:
            assert spec.measure is not None
            times: Array | None = None
            for name in trained:
                found = [t for t in evidence.tables[name] if t is not None]
                values, times = measure(found, spec.measure)
                arms[name] = values
            accepted = inspect.signature(criteria.KINDS[spec.kind].function).parameters
            if "times" in accepted and times is not None:
                params.setdefault("times", [round(float(t), 3) for t in times])
        return criteria.evaluate(spec.kind, arms, **params)
    except (CriterionError, MeasureError) as error:
        return _incomplete(str(error), len(claim.arms[0].runs) if claim.arms else 0)


def _incomplete(note: str, seeds: int) -> CriterionResult:
    return CriterionResult("incomplete", None, None, None, seeds, None, None, None, note)


class MeasureError(ValueError):
    """The stored runs do not hold what a criterion wants to look at."""


def measure(tables: Sequence[pd.DataFrame], what: Measure) -> tuple[Array, Array | None]:
    """Reduce the tables of an arm's runs, in order of seed, to what a criterion looks at.

    Returns
    -------
    values : array, shape (seeds,) or, for ``at`` and ``curve``, (seeds, times)
    times : array, shape (times,), or None
        Epochs of the columns.

    Raises
    ------
    MeasureError
        If a run has no such metric, split or epoch.
    """
    rows = [_trajectory(table, what) for table in tables]
    epochs = rows[0][0]
    if any(len(other) != len(epochs) for other, _ in rows):
        raise MeasureError(f"runs of an arm have different numbers of {what.metric} evaluations")
    curves = np.stack([values for _, values in rows])
    match what.reduce:
        case "final":
            return curves[:, -1], None
        case "curve":
            kept = epochs >= what.from_epoch - _SAME_EPOCH
            return curves[:, kept], epochs[kept]
        case "mean_last":
            if not isinstance(what.epochs, int):
                raise MeasureError("mean_last needs epochs: <number of epochs>")
            kept = epochs > epochs[-1] - what.epochs + _SAME_EPOCH
            return curves[:, kept].mean(1), None
    wanted = what.epochs if isinstance(what.epochs, tuple) else ()
    if not wanted:
        raise MeasureError(f"{what.reduce} needs epochs: [<epoch>, ...]")
    columns = []
    for epoch in wanted:
        near = np.flatnonzero(np.abs(epochs - epoch) < _SAME_EPOCH)
        if not len(near):
            raise MeasureError(f"no evaluation at epoch {epoch:g} (the last is {epochs[-1]:g})")
        columns.append(near[0])
    values = curves[:, columns]
    return (values, np.asarray(wanted)) if what.reduce == "at" else (values.mean(1), None)


def _trajectory(table: pd.DataFrame, what: Measure) -> tuple[Array, Array]:
    """Epochs and values of one run's metric, in order of time."""
    if what.metric in COUNTS:
        column = {"steps": "step", "examples": "examples"}[what.metric]
        rows = table.drop_duplicates("step").sort_values("step")
        return rows["epoch"].to_numpy(np.float64), rows[column].to_numpy(np.float64)
    rows = table[(table["metric"] == what.metric) & (table["split"] == what.split)]
    if rows.empty:
        have = sorted({f"{m} ({s})" for m, s in zip(table["metric"], table["split"], strict=True)})
        raise MeasureError(f"no {what.metric} on {what.split}; there are {', '.join(have)}")
    rows = rows.sort_values("step")
    return rows["epoch"].to_numpy(np.float64), rows["value"].to_numpy(np.float64)


def _frame(claim: Claim, evidence: _Evidence) -> pd.DataFrame:
    frames = [
        table.assign(arm=arm.name, seed=run.seed)
        for arm in claim.arms
        for run, table in zip(arm.runs, evidence.tables[arm.name], strict=True)
        if table is not None
    ]
    if not frames:
        return pd.DataFrame({name: [] for name in FRAME})
    return pd.concat(frames, ignore_index=True)[list(FRAME)]


def _provenance(commits: Sequence[Commit]) -> Provenance:
    if not commits:
        return Provenance()
    every = [commit.provenance for commit in commits]
    return Provenance(
        device=", ".join(sorted({str(p.get("device", "")) for p in every})),
        versions=dict(every[-1].get("versions", {})),
        commit=", ".join(sorted({str(p.get("commit", "")) for p in every} - {""})),
        dirty=any(bool(p.get("dirty")) for p in every),
        data_sha256=", ".join(sorted({str(p.get("data_sha256", "")) for p in every} - {""})),
    )
