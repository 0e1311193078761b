"""What the HTML page and the Markdown file say of each claim, as plain text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_lr.budget import budget
from bench_lr.figures.numbers import DIFFERENCES, SHARES, Shown, detail, in_margins, shown
from bench_lr.figures.scoreboard import leading
from bench_lr.findings import diverged_seeds
from bench_lr.report.expectation import WANTED
from bench_lr.robustness import line
from bench_lr.verdict import ClaimVerdict, Judged, Provenance


@dataclass(frozen=True)
class DetailRow:
    """One comparison of a criterion."""

    label: str
    effect: str
    verdict: str


@dataclass(frozen=True)
class CriterionRow:
    """One criterion; `wanted` is the verdict that speaks for the source.

    `robustness` says what the verdict would have been on slightly other evidence.
    """

    id: str
    kind: str
    role: str
    wanted: str
    verdict: str
    numbers: Shown
    seeds: int
    note: str
    why: str
    details: tuple[DetailRow, ...]
    robustness: str


@dataclass(frozen=True)
class ArmRow:
    """One arm with what each of its runs spends; counts are written out."""

    name: str
    seeds: int
    epochs: str
    updates: str
    examples: str
    diverged: int


@dataclass(frozen=True)
class Effect:
    """An effect on the scoreboard.

    Attributes
    ----------
    value : float or None
        In units of its margin, where there is one.
    at, span, band, tick
        Per cent of the axis' width: the estimate and its interval; one margin to either side, or,
        of a share of seeds, the margin, or 0.
    """

    value: float | None
    at: float
    span: tuple[float, float] | None
    band: tuple[float, float] | None = None
    tick: float | None = None


@dataclass(frozen=True)
class Section:
    """One claim; `lead` holds the numbers that stand for it on the scoreboard.

    `yaml` is its file, `command` trains and judges it alone.
    """

    verdict: ClaimVerdict
    anchor: str
    figure: str
    criteria: tuple[CriterionRow, ...]
    arms: tuple[ArmRow, ...]
    lead: Shown | None
    one_seed: tuple[float, float, float] | None
    effect: Effect | None
    facts: tuple[tuple[str, str], ...]
    yaml: str
    command: str


def figure_name(verdict: ClaimVerdict) -> str:
    """File name of a claim's figure, without suffix."""
    return verdict.claim.id.replace("/", "--")


def section(verdict: ClaimVerdict) -> Section:
    """Put together what is said of a claim."""
    judged = leading(verdict)
    return Section(
        verdict=verdict,
        anchor=figure_name(verdict),
        figure=f"figures/{figure_name(verdict)}.png",
        criteria=tuple(_criterion(item, verdict.criteria) for item in verdict.criteria),
        arms=_arms(verdict),
        lead=None if judged is None else shown(judged),
        one_seed=None if judged is None else _one_seed(judged),
        effect=None if judged is None else _effect(judged),
        facts=_facts(verdict),
        yaml=_yaml(verdict),
        command=f"bench-lr run {verdict.claim.id} --profile {verdict.claim.profile.name}",
    )


MOST_MARGINS = 150.0
"""Ends of the axis of effects: linear up to one margin, logarithmic beyond, as in the figure."""


def axis_place(value: float) -> float:
    """Where an effect in margins lies on the axis, in per cent of its width."""
    size = min(abs(value), MOST_MARGINS)
    length = size if size <= 1 else 1 + math.log10(size)
    return 50 + 50 * math.copysign(length, value) / (1 + math.log10(MOST_MARGINS))


def _effect(judged: Judged) -> Effect | None:
    scaled = in_margins(judged)
    if scaled is None:
        return _beside(judged)
    estimate, ci = scaled
    band = axis_place(-1.0), axis_place(1.0)
    span = _span(ci, axis_place)
    return Effect(max(-1e9, min(1e9, estimate)), axis_place(estimate), span, band)


def _beside(judged: Judged) -> Effect | None:
    """An effect that has no margin to be measured by: a share of seeds, or beside 0."""
    result = judged.result
    if result.estimate is None or math.isnan(result.estimate):
        return None
    if judged.spec.kind in DIFFERENCES:
        ends = [abs(it) for it in (result.estimate, *(result.ci or ())) if math.isfinite(it)]
        scale = 45 / (max(ends, default=0.0) or 1.0)

        def place(value: float) -> float:
            return min(100.0, max(0.0, 50 + scale * value))

        return Effect(None, place(result.estimate), _span(result.ci, place), tick=50.0)
    if judged.spec.kind not in SHARES:
        return None
    margin = None if judged.spec.kind == "overtakes" else result.margin
    span = _span(result.ci, lambda share: 100 * share)
    return Effect(None, 100 * result.estimate, span, tick=None if margin is None else 100 * margin)


def _span(
    ci: tuple[float, float] | None, place: Callable[[float], float]
) -> tuple[float, float] | None:
    return None if ci is None or any(map(math.isnan, ci)) else (place(ci[0]), place(ci[1]))


def _yaml(verdict: ClaimVerdict) -> str:
    """Text of a claim's file; nothing where it is not there any more."""
    try:
        return Path(verdict.claim.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def merged(verdicts: Sequence[ClaimVerdict]) -> Provenance:
    """Merge where the runs of all claims came from; what differs is listed side by side."""
    origins = [verdict.provenance for verdict in verdicts]
    return Provenance(
        device=_join(origin.device for origin in origins),
        versions={
            name: _join(origin.versions.get(name, "") for origin in origins)
            for name in dict.fromkeys(name for origin in origins for name in origin.versions)
        },
        commit=_join(origin.commit for origin in origins),
        dirty=any(origin.dirty for origin in origins),
        data_sha256=_join(origin.data_sha256 for origin in origins),
    )


def duration(seconds: float) -> str:
    """Write a duration for people."""
    if not np.isfinite(seconds):
        return "—"
    if seconds < 1:
        return "under 1 s" if seconds > 0 else "0 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def origin_facts(origin: Provenance) -> list[tuple[str, str]]:
    """Return provenance as pairs of name and text, without what is not known."""
    commit = origin.commit + (" with uncommitted changes" if origin.dirty and origin.commit else "")
    facts = [
        ("device", origin.device),
        ("versions", ", ".join(f"{name} {number}" for name, number in origin.versions.items())),
        ("commit", commit),
        ("data SHA-256", origin.data_sha256),
    ]
    return [(name, text) for name, text in facts if text]


def _join(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))


def _facts(verdict: ClaimVerdict) -> tuple[tuple[str, str], ...]:
    claim = verdict.claim
    runs = f"{verdict.runs}"
    counts = (
        ("missing", verdict.missing),
        ("failed", verdict.failed),
        ("diverged", verdict.diverged),
    )
    extra = [f"{count} {word}" for word, count in counts if count]
    if extra:
        runs += f" ({', '.join(extra)})"
    facts = [
        ("runs", runs),
        ("training time", duration(verdict.train_seconds)),
        *origin_facts(verdict.provenance),
        ("claim file", claim.file),
    ]
    return tuple(facts)


def _one_seed(judged: Judged) -> tuple[float, float, float] | None:
    rate, ci = judged.result.single_run_rate, judged.result.single_run_ci
    if rate is None or not np.isfinite(rate):
        return None
    low, high = ci if ci is not None else (rate, rate)
    return 100 * rate, 100 * low, 100 * high


def _criterion(judged: Judged, every: Sequence[Judged]) -> CriterionRow:
    spec, result = judged.spec, judged.result
    return CriterionRow(
        id=spec.id,
        kind=spec.kind,
        role=spec.role,
        wanted=WANTED.get(spec.role, ""),
        verdict=result.verdict,
        numbers=shown(judged),
        seeds=result.seeds,
        note=result.note,
        why=spec.why,
        details=tuple(
            DetailRow(row.label, detail(judged, row.estimate, row.ci), row.verdict or "")
            for row in result.details
        )
        if len(result.details) > 1
        else (),
        robustness=line(judged, every),
    )


def _arms(verdict: ClaimVerdict) -> tuple[ArmRow, ...]:
    diverged = diverged_seeds(verdict.frame)
    rows = []
    for arm in verdict.claim.arms:
        if arm.runs:
            spent = budget(arm.runs[0])
            rows.append(
                ArmRow(
                    name=arm.name,
                    seeds=len(arm.runs),
                    epochs=f"{spent.epochs:,}",
                    updates=f"{spent.updates:,}",
                    examples=f"{spent.examples:,}",
                    diverged=diverged.get(arm.name, 0),
                )
            )
    return tuple(rows)
