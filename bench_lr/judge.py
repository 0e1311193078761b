"""Judging: pure functions from the stored runs of a claim to its verdict."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench_lr import criteria
from bench_lr.claims.check import criterion_params, metric_judged, selected_arms
from bench_lr.claims.settings import arm_value
from bench_lr.criteria import CriterionError, CriterionResult
from bench_lr.derived import ArmRuns, Derivation, derive, is_exact, needs_runs
from bench_lr.identity import run_ids
from bench_lr.looks import judge_in_looks
from bench_lr.measure import MeasureError, measure
from bench_lr.results import Results
from bench_lr.robustness import variants
from bench_lr.schema import Claim, CriterionSpec
from bench_lr.store import Commit, Store
from bench_lr.tables import Floats, Ints, Moments, Reader, TableError
from bench_lr.verdict import ClaimVerdict, Judged, Provenance, VerdictWord

FRAME = ("arm", "seed", "step", "epoch", "examples", "metric", "split", "value")


@dataclass(frozen=True)
class _Evidence:
    """The stored runs of a claim.

    Attributes
    ----------
    results : Results
        Of the runs that are there, in the claim's order.
    places : array, shape (results.runs,)
        Position of each of them among the claim's runs.
    wanted, failed : int
        Runs of the claim, and those of them that failed.
    """

    results: Results
    places: Ints
    wanted: int
    failed: int
    diverged: int
    run_seconds: dict[str, float]
    device_kinds: frozenset[str]
    provenance: Provenance

    @property
    def missing(self) -> int:
        return self.wanted - self.results.runs


@dataclass(frozen=True)
class _Quantities:
    """What a claim has beside its runs."""

    calculations: dict[str, Floats]
    derived: Derivation

    def value(self, name: str) -> Floats:
        return self.calculations[name] if name in self.calculations else self.derived.value(name)


def judge(claim: Claim, store: Store, recorded: VerdictWord | None = None) -> ClaimVerdict:
    """Judge a claim on what the store has."""
    evidence = _gather(claim, store)
    calculations = {name: c.values() for name, c in claim.spec.calculations.items()}
    obstacle = _obstacle(claim, evidence)
    derived = derive(claim.spec, calculations, None if obstacle else _arm_runs(claim, evidence))
    quantities = _Quantities(calculations, derived)
    judged = tuple(
        _with_variants(
            claim, Judged(spec, result, metric_judged(claim, spec)), evidence, quantities
        )
        for spec in claim.spec.criteria
        for result in [_evaluate(claim, spec, evidence, quantities, obstacle)]
    )
    verdict, note = combine(judged)
    return ClaimVerdict(
        claim=claim,
        verdict=verdict,
        criteria=judged,
        frame=_frame(claim, evidence),
        calculations=calculations,
        derived=derived.values,
        note=note,
        recorded=recorded,
        runs=evidence.wanted,
        missing=evidence.missing - evidence.failed,
        failed=evidence.failed,
        diverged=evidence.diverged,
        train_seconds=math.fsum(evidence.run_seconds.values()),
        run_seconds=evidence.run_seconds,
        provenance=evidence.provenance,
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
    identities = run_ids(run for arm in claim.arms for run in arm.runs)
    places: list[int] = []
    absent: list[str] = []
    origins = _Origins()
    reader = Reader()

    def rows() -> Iterator[tuple[Moments, bytes]]:
        for place, identity in enumerate(identities):
            found = store.content(identity)
            try:
                row = None if found is None else reader.read(found[1])
            except TableError as error:
                store.take_back(identity, f"is not the table of a run ({error})")
                row = None
            if found is None or row is None:
                absent.append(identity)
            else:
                origins.add(found[0])
                places.append(place)
                yield row

    results = Results.joined(rows(), reader.kinds)
    return _Evidence(
        results=results,
        places=np.array(places, np.int64),
        wanted=len(identities),
        failed=len(list(store.failures(absent))),
        diverged=origins.diverged,
        run_seconds=origins.run_seconds,
        device_kinds=frozenset(origins.device_kinds),
        provenance=origins.provenance(),
    )


class _Origins:
    """What commits say beside the numbers, summed up as they pass: kept, they would fill memory."""

    def __init__(self) -> None:
        self.diverged = 0
        self.run_seconds: dict[str, float] = {}
        self.device_kinds: set[str] = set()
        self._versions: dict[str, str] = {}
        # Few differ, as the runs of a cohort were trained together.
        self._places: set[tuple[str, str, str, bool]] = set()

    def add(self, commit: Commit) -> None:
        said = commit.provenance.get
        self.diverged += commit.status == "diverged"
        self.run_seconds[commit.run_id] = float(said("seconds", 0.0))
        self.device_kinds.add(commit.device_kind)
        self._versions = said("versions", {})
        place = str(said("device", "")), str(said("commit", "")), str(said("data_sha256", ""))
        self._places.add((*place, bool(said("dirty"))))

    def provenance(self) -> Provenance:
        devices, commits, data, dirty = (
            zip(*self._places, strict=True) if self._places else [()] * 4
        )
        return Provenance(
            device=", ".join(sorted(set(devices))),
            versions=dict(self._versions),
            commit=", ".join(sorted(set(commits) - {""})),
            dirty=any(dirty),
            data_sha256=", ".join(sorted(set(data) - {""})),
        )


def _obstacle(claim: Claim, evidence: _Evidence) -> str:
    """Why trained runs cannot be judged at all, or an empty string."""
    if claim.out_of_profile:
        return "needs profile full"
    if not claim.profile.may_judge:
        return f"profile {claim.profile.name} proves the plumbing and judges nothing"
    if evidence.missing:
        failed = f", {evidence.failed} of them failed" if evidence.failed else ""
        return f"{evidence.missing} of {evidence.wanted} runs are missing{failed}"
    if len(evidence.device_kinds) > 1:
        kinds = ", ".join(sorted(evidence.device_kinds))
        return f"runs of several device kinds ({kinds}) are not judged together"
    return ""


def _evaluate(
    claim: Claim,
    spec: CriterionSpec,
    evidence: _Evidence,
    quantities: _Quantities,
    obstacle: str,
) -> CriterionResult:
    trained = any(needs_runs(claim.spec, name) for name in selected_arms(claim, spec))
    if trained and obstacle:
        return _incomplete(obstacle, len(claim.arms[0].runs))
    try:
        arms, params = _given(claim, spec, evidence, quantities)
        if trained and claim.looks:
            return judge_in_looks(spec.kind, arms, claim.looks, **params)
        return criteria.evaluate(spec.kind, arms, **params)
    except (CriterionError, MeasureError) as error:
        return _incomplete(str(error), len(claim.arms[0].runs) if claim.arms else 0)


def _given(
    claim: Claim, spec: CriterionSpec, evidence: _Evidence, quantities: _Quantities
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Arms and parameters of a criterion, as `criteria.evaluate` wants them."""
    arms: dict[str, Floats] = {}
    params = criterion_params(claim, spec)
    times: Floats | None = None
    parts = _arms(claim)
    for name in selected_arms(claim, spec):
        if name in parts:
            assert spec.measure is not None
            arms[name], times = measure(evidence.results.of(*parts[name]), spec.measure)
        else:
            values = quantities.value(name)
            one_seed = is_exact(claim.spec, name) and criteria.KINDS[spec.kind].shape != "values"
            arms[name] = values.reshape(1, -1) if one_seed else values
    accepted = inspect.signature(criteria.KINDS[spec.kind].function).parameters
    if "times" in accepted and times is not None:
        params.setdefault("times", [round(float(t), 3) for t in times])
    return arms, params


def _with_variants(
    claim: Claim, judged: Judged, evidence: _Evidence, quantities: _Quantities
) -> Judged:
    """Add what the verdict would have been on slightly other evidence."""
    looked_at = selected_arms(claim, judged.spec)
    if judged.spec.role != "claim" or any(is_exact(claim.spec, name) for name in looked_at):
        return judged
    seeds = judged.result.seeds
    kept: list[tuple[CriterionSpec, dict[str, Floats], dict[str, Any]]] = []

    def evaluate(spec: CriterionSpec, left_out: int | None) -> CriterionResult:
        if not kept or kept[-1][0] is not spec:
            kept.append((spec, *_given(claim, spec, evidence, quantities)))
        _, arms, params = kept[-1]
        rest = [seed for seed in range(seeds) if seed != left_out]
        return criteria.evaluate(spec.kind, {n: v[rest] for n, v in arms.items()}, **params)

    return dataclasses.replace(judged, variants=variants(judged, evaluate))


def _incomplete(note: str, seeds: int) -> CriterionResult:
    return CriterionResult("incomplete", None, None, None, seeds, None, None, None, note)


def _arms(claim: Claim) -> dict[str, tuple[int, int]]:
    """Positions of the first run of each arm, and after its last, among the claim's."""
    ends = itertools.accumulate((len(arm.runs) for arm in claim.arms), initial=0)
    return {arm.name: part for arm, part in zip(claim.arms, itertools.pairwise(ends), strict=True)}


def _arm_runs(claim: Claim, evidence: _Evidence) -> dict[str, ArmRuns]:
    parts = _arms(claim)
    return {
        arm.name: ArmRuns(evidence.results.of(*parts[arm.name]), partial(arm_value, arm))
        for arm in claim.arms
    }


def _frame(claim: Claim, evidence: _Evidence) -> pd.DataFrame:
    results, places = evidence.results, evidence.places
    rows = np.diff(results.starts)
    seeds = np.array([run.seed for arm in claim.arms for run in arm.runs], np.int64)
    arms = np.repeat(np.arange(len(claim.arms)), [len(arm.runs) for arm in claim.arms])
    kind = results.kind
    columns = {
        "arm": _words(arms[places], [arm.name for arm in claim.arms]).repeat(rows),
        "seed": np.repeat(seeds[places], rows),
        "step": results.step,
        "epoch": results.epoch,
        "examples": results.examples,
        "metric": _words(kind, [metric for metric, _ in results.kinds]),
        "split": _words(kind, [split for _, split in results.kinds]),
        "value": results.value,
    }
    return pd.DataFrame(columns, columns=list(FRAME), copy=False)


def _words(codes: npt.NDArray[Any], words: Sequence[str]) -> pd.Categorical[str]:
    """Words by position, each held once."""
    places: dict[str, int] = {}
    place = [places.setdefault(word, len(places)) for word in words]
    # Of as few bytes as they need: there may be many rows.
    narrow = np.array(place, np.min_scalar_type(-max(place, default=0) - 1))
    return pd.Categorical.from_codes(narrow[codes], pd.Index(list(places), dtype=object))
