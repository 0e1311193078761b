"""What CI systems are given: a workflow to copy, and test results that they can show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from bench_lr.changes import Change, Comparison
from bench_lr.cli.moved import failures
from bench_lr.origins import Difference
from bench_lr.report.junit import as_junit
from tests.factories import claim_verdict, judged

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="not a checkout")

TEXT, NUMBER, COUNT = r"(?s).+", r"\d+(\.\d+)?", r"\d+"
COUNTS = dict.fromkeys(("tests", "failures", "errors", "skipped"), COUNT)
ATTRIBUTES = {
    "testsuites": {"name": TEXT, "time": NUMBER, **COUNTS},
    "testsuite": {"name": TEXT, "time": NUMBER, **COUNTS},
    "testcase": {"name": TEXT, "classname": TEXT, "time": NUMBER},
    "failure": {"message": TEXT, "type": TEXT},
    "error": {"message": TEXT, "type": TEXT},
    "skipped": {"message": TEXT},
    "system-out": {},
}
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"(testcase )*",
    "testcase": r"((skipped|error|failure) )?(system-out )?",
}
"""The elements and attributes of the schema of Jenkins' xUnit plug-in (junit-10.xsd) that are used
here, in the order in which it has them; GitLab, GitHub's and CircleCI's readers take the same."""


def check_element(element: ET.Element) -> None:
    """Raise AssertionError where an element is not as CI systems expect it."""
    allowed = ATTRIBUTES[element.tag]
    assert element.attrib.keys() == allowed.keys(), element.tag
    for name, value in element.attrib.items():
        assert re.fullmatch(allowed[name], value), (element.tag, name, value)
    inside = "".join(f"{child.tag} " for child in element)
    assert re.fullmatch(CHILDREN.get(element.tag, ""), inside), (element.tag, inside)
    for child in element:
        check_element(child)


def results() -> ET.Element:
    """Return test results of every kind: passed, failed, missing, skipped."""
    moved = Comparison(
        moved=(
            Change("ai_edu/moved", "", "the verdict", "reproduced", "inconclusive"),
            Change("ai_edu/moved", "loss", "the estimate", "0.9 [0.8, 1]", "0.5 [0.4, 0.6]", 1e-4),
            Change("ai_edu/moved", "was here", "the criterion", "there", "gone"),
        ),
        slid=(),
        claims=4,
        numbers=9,
        origins=(Difference("torch", "2.1", "2.2"),),
    )
    missing = [judged("incomplete")]
    verdicts = [
        claim_verdict(recorded="reproduced"),
        claim_verdict(
            id="ai_edu/moved",
            verdict="inconclusive",
            recorded="reproduced",
            criteria=[judged("inconclusive"), judged(id="loss"), judged(id="other")],
        ),
        claim_verdict(
            id="raschka/missing", verdict="incomplete", criteria=missing, missing=2, runs=8
        ),
        claim_verdict(id="raschka/gpu", verdict="incomplete", criteria=missing, cost="G"),
    ]
    return ET.fromstring(as_junit(verdicts, "recorded", failures(moved)))


def test_test_results_have_the_structure_that_ci_systems_read() -> None:
    root = results()
    assert root.tag == "testsuites"
    check_element(root)
    check_element(ET.fromstring(as_junit([])))


def test_counts_are_those_of_the_cases() -> None:
    for element in (results(), *results()):
        for attribute, tag in (
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            assert int(element.attrib[attribute]) == len(list(element.iter(tag)))
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        total = sum(float(case.attrib["time"]) for case in cases)
        assert float(element.attrib["time"]) == pytest.approx(total, abs=0.01)
    names = [(case.get("classname"), case.get("name")) for case in results().iter("testcase")]
    assert len(set(names)) == len(names)


def test_a_failure_says_what_moved_what_else_differs_and_what_to_do() -> None:
    found = {
        (case.get("classname"), case.get("name")): case.find("failure")
        for case in results().iter("testcase")
    }
    loss = found["ai_edu/moved", "loss"]
    assert loss is not None
    message = "the estimate was 0.9 [0.8, 1], is 0.5 [0.4, 0.6] (adjusted p 0.0001)"
    assert loss.get("message") == message
    for part in (message, "bench-lr record 'ai_edu/moved'", "torch 2.1 -> 2.2"):
        assert part in str(loss.text)
    # What concerns the claim, and what has no case any more, is told at its first criterion.
    first = found["ai_edu/moved", "best"]
    assert first is not None
    assert "the verdict was reproduced, is inconclusive" in str(first.text)
    assert "the criterion was there, is gone" in str(first.text)
    assert [name for name, failure in found.items() if failure is not None] == [
        ("ai_edu/moved", "best"),
        ("ai_edu/moved", "loss"),
    ]


# --- the workflow to copy -----------------------------------------------------------------------


def workflow() -> dict[str, Any]:
    (text, *_) = re.findall(r"```yaml\n(.*?)```", (DOCS / "ci.md").read_text(), re.DOTALL)
    assert text == (ROOT / ".github" / "workflows" / "check.yml").read_text()
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_the_workflow_of_the_docs_is_the_one_that_runs_here() -> None:
    (job,) = workflow()["jobs"].values()
    steps = job["steps"]
    uses = [step["uses"].partition("@")[0] for step in steps if "uses" in step]
    assert uses[:2] == ["actions/checkout", "actions/setup-python"]
    (check,) = [step for step in steps if "run" in step]
    assert check["run"].startswith("make check")
    for after in steps[steps.index(check) + 1 :]:
        assert after["if"] == "always()"
    (upload,) = [step for step in steps if step.get("uses", "").startswith("actions/upload")]
    assert upload["with"]["path"] == "out/report"


def test_stored_results_are_reused_for_the_same_code_and_packages_only() -> None:
    (job,) = workflow()["jobs"].values()
    caches = [step["with"] for step in job["steps"] if step.get("with", {}).get("path") == "store"]
    (restore, save) = caches
    assert restore["key"] == save["key"]
    assert restore["key"].startswith(restore["restore-keys"])
    for pattern in ("bench_lr/**/*.py", "pyproject.toml", "constraints.txt"):
        assert pattern in restore["restore-keys"]
        assert list(ROOT.glob(pattern))


@pytest.mark.parametrize("page", ["ci.md", "checking.md"])
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (DOCS / page).read_text())
    assert targets
    for target in targets:
        assert (DOCS / target).exists(), target
