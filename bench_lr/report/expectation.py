"""Whether a criterion came out as expected: by nobody, by the record, or by the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench_lr.verdict import ClaimVerdict, Judged

Expect = Literal["none", "recorded", "source"]
State = Literal["passed", "skipped", "error", "failure"]

WANTED = {"claim": "reproduced", "control": "refuted"}
"""Verdict that a criterion of each role should have if the source is right."""


@dataclass(frozen=True)
class Outcome:
    """How one criterion stands against the expectation, and what to do if it does not hold."""

    state: State
    text: str = ""


@dataclass(frozen=True)
class Unmet:
    """An expectation that failed."""

    claim: str
    criterion: str
    text: str


def unmet(
    verdicts: Sequence[ClaimVerdict],
    expect: Expect,
    failures: Mapping[tuple[str, str], str] | None = None,
) -> list[Unmet]:
    """List the expectations that failed, in order of the claims; missing runs are none of them."""
    found = []
    for verdict in verdicts:
        for judged in verdict.criteria:
            result = outcome(verdict, judged, expect, failures or {})
            if result.state == "failure":
                found.append(Unmet(verdict.claim.id, judged.spec.id, result.text))
    return found


def outcome(
    verdict: ClaimVerdict,
    judged: Judged,
    expect: Expect,
    failures: Mapping[tuple[str, str], str],
) -> Outcome:
    """Compare one criterion of a claim with what is expected.

    `failures` are by claim and criterion; those of a criterion that the claim does not have (an
    empty one stands for the claim as a whole) go to its first criterion that counts.

    A criterion without a verdict is skipped when nothing is expected of it (no expectation, a
    claim or a profile that this run does not judge, a record that says the same), else an error:
    trouble with runs is neither success nor failure.
    """
    claim = verdict.claim
    mine = [text for key, text in failures.items() if key == (claim.id, judged.spec.id)]
    if judged is _spokesman(verdict):
        ids = [other.spec.id for other in verdict.criteria]
        mine += [text for (c, name), text in failures.items() if c == claim.id and name not in ids]
    if mine:
        return Outcome("failure", "\n".join(mine))
    if _unjudged(verdict, judged):
        return _without_verdict(verdict, judged, expect)
    if expect == "none" or judged.spec.role == "reading":
        return Outcome("passed")
    if expect == "source":
        return _against_source(verdict, judged)
    return _against_record(verdict, judged)


def held(judged: Judged) -> bool:
    """Whether the criterion has the verdict that its role wants."""
    return judged.result.verdict == WANTED.get(judged.spec.role, judged.result.verdict)


def _unjudged(verdict: ClaimVerdict, judged: Judged) -> bool:
    words = [other.result.verdict for other in verdict.criteria]
    return judged.result.verdict == "incomplete" or (
        verdict.verdict == "incomplete" and "incomplete" not in words
    )


def _without_verdict(verdict: ClaimVerdict, judged: Judged, expect: Expect) -> Outcome:
    claim = verdict.claim
    if claim.out_of_profile:
        return Outcome(
            "skipped", f"not part of profile {claim.profile.name}: this claim wants a GPU"
        )
    if not claim.profile.may_judge:
        return Outcome("skipped", f"profile {claim.profile.name} does not judge")
    why = judged.result.note or verdict.note or "no verdict"
    if (verdict.missing or verdict.failed) and "missing" not in why:
        why += f" ({verdict.missing} of {verdict.runs} runs missing, {verdict.failed} failed)"
    if expect == "none" or (expect == "recorded" and verdict.recorded in (None, "incomplete")):
        return Outcome("skipped", why)
    return Outcome(
        "error",
        f"{why}. Run `bench-lr run '{claim.id}' --profile {claim.profile.name}` again: "
        "it trains only what is missing.",
    )


def _against_source(verdict: ClaimVerdict, judged: Judged) -> Outcome:
    claim = verdict.claim
    advice = (
        "Look at the figure in the report. If the finding stands, record it with "
        f"`bench-lr record '{claim.id}'` and expect the record instead (`--expect recorded`)."
    )
    if not held(judged):
        wanted, found = WANTED[judged.spec.role], judged.result.verdict
        return Outcome(
            "failure",
            f"{judged.spec.role} criterion {judged.spec.id} is {found}; if the source is right it "
            f"is {wanted}. Source: {claim.spec.source_says} {advice}",
        )
    if verdict.verdict != "reproduced" and _stands_for_claim(verdict, judged):
        return Outcome("failure", f"the claim is {verdict.verdict}, not reproduced. {advice}")
    return Outcome("passed")


def _against_record(verdict: ClaimVerdict, judged: Judged) -> Outcome:
    claim, name = verdict.claim, verdict.claim.profile.name
    if verdict.recorded is None:
        return Outcome(
            "skipped",
            f"nothing is recorded for profile {name}: `bench-lr record '{claim.id}'` does it",
        )
    # A verdict that slides between decided and not is chance unless `failures` says otherwise.
    if {verdict.recorded, verdict.verdict} != set(WANTED.values()):
        return Outcome("passed")
    better = verdict.verdict == "reproduced"
    concerned = (better and judged.spec.role == "claim") or not held(judged)
    if not concerned and not _stands_for_claim(verdict, judged):
        return Outcome("passed")
    return Outcome(
        "failure",
        f"the recorded verdict of the claim is {verdict.recorded}, now it is {verdict.verdict} "
        f"(criterion {judged.spec.id}: {judged.result.verdict}). If training was meant to change, "
        f"look at the figure and run `bench-lr record '{claim.id}'`; if not, look for what "
        "changed: versions and device are in the report, the recorded ones under "
        f"reproductions/{claim.id}/.",
    )


def _stands_for_claim(verdict: ClaimVerdict, judged: Judged) -> bool:
    """Whether the criterion answers for the claim since no other one is to blame."""
    blamed = any(not held(other) for other in verdict.criteria if other.spec.role != "reading")
    return not blamed and judged is _spokesman(verdict)


def _spokesman(verdict: ClaimVerdict) -> Judged | None:
    """Return the criterion that answers for what concerns the claim as a whole."""
    countable = [other for other in verdict.criteria if other.spec.role != "reading"]
    return next(iter([*countable, *verdict.criteria]), None)
