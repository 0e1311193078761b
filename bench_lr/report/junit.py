"""JUnit XML: one test case a criterion, for the test pages of CI systems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from bench_lr.figures.numbers import shown
from bench_lr.figures.scoreboard import by_source
from bench_lr.report.expectation import Expect, outcome
from bench_lr.verdict import ClaimVerdict, Judged

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""


def as_junit(
    verdicts: Sequence[ClaimVerdict],
    expect: Expect = "none",
    failures: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """Return the report as JUnit XML.

    Parameters
    ----------
    verdicts : sequence of ClaimVerdict
        One test suite a source; class name = claim id, test name = criterion id.
    expect : {"none", "recorded", "source"}
        What counts as a failure; with "none" nothing does.
    failures : mapping of (claim id, criterion id) to str, optional
        Expectations found unmet elsewhere; an empty criterion stands for the claim as a whole.
    """
    root = ET.Element("testsuites", name="bench-lr")
    for source, members in by_source(verdicts).items():
        suite = ET.SubElement(root, "testsuite", name=_clean(source))
        for verdict in members:
            for judged in verdict.criteria:
                _case(suite, verdict, judged, expect, failures or {})
        _count(suite, [suite])
    _count(root, list(root))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(
    suite: ET.Element,
    verdict: ClaimVerdict,
    judged: Judged,
    expect: Expect,
    failures: Mapping[tuple[str, str], str],
) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_clean(verdict.claim.id),
        name=_clean(judged.spec.id),
        time=f"{verdict.train_seconds / max(len(verdict.criteria), 1):.3f}",
    )
    result = outcome(verdict, judged, expect, failures)
    if result.state != "passed":
        text = _clean(result.text)
        element = ET.SubElement(case, result.state, message=text.partition(". ")[0])
        if result.state != "skipped":
            element.set("type", "expectation" if result.state == "failure" else "incomplete")
            element.text = text
    ET.SubElement(case, "system-out").text = _clean(_summary(verdict, judged))


def _summary(verdict: ClaimVerdict, judged: Judged) -> str:
    numbers = shown(judged)
    parts = [
        f"{judged.spec.kind} ({judged.spec.role}): {judged.result.verdict}",
        f"claim: {verdict.verdict}, recorded: {verdict.recorded or 'nothing'}",
        f"estimate: {numbers.effect}" if numbers.estimate else "",
        f"margin: {numbers.margin}" if numbers.margin else "",
        f"seeds: {judged.result.seeds}",
        f"one seed would have shown it: {numbers.one_seed}" if numbers.one_seed else "",
        judged.result.note,
    ]
    return "\n".join(part for part in parts if part)


def _count(element: ET.Element, suites: Sequence[ET.Element]) -> None:
    cases = [case for suite in suites for case in suite.iter("testcase")]
    element.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
