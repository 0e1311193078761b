"""The report: its contract for other programs, and that text from claims stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench_lr.claims.sources import NotTestable, Source
from bench_lr.report import unmet, write_report
from bench_lr.report.html import as_html
from bench_lr.report.junit import as_junit
from bench_lr.report.markdown import as_markdown, escape
from bench_lr.report.sections import Effect, duration, merged, section
from bench_lr.report.verdicts_json import as_json
from bench_lr.schema import FigureSpec, Profile
from bench_lr.verdict import ClaimVerdict, Provenance
from tests.factories import arm, claim_verdict, judged, rising

HOSTILE = '<script>alert("x")</script> | a_b *c* `d` & $e$ <img src=http://x.test/y.png>'


def control(verdict: str = "refuted") -> object:
    return judged(verdict, id="control", kind="curves_match", role="control")


def examples() -> list[ClaimVerdict]:
    arms = [arm("lr=0.5"), arm("lr=0.8", lr=0.8)]
    return [
        claim_verdict(
            arms=arms, frame=rising({"lr=0.5": 0.975, "lr=0.8": 0.974}), recorded="reproduced"
        ),
        claim_verdict(
            id="ai_edu/hostile",
            title=HOSTILE,
            statement=HOSTILE,
            source_says=HOSTILE,
            remarks=HOSTILE,
            note=HOSTILE,
            shortened=HOSTILE,
            verdict="refuted",
            recorded="reproduced",
            criteria=[
                judged("refuted", id=HOSTILE, note=HOSTILE),
                judged("reproduced", id="extra", role="reading"),
            ],
            arms=[arm(HOSTILE)],
        ),
        claim_verdict(
            id="raschka/broken",
            verdict="incomplete",
            criteria=[judged("incomplete", estimate=float("nan"), ci=None, single_run_rate=None)],
            arms=arms,
            missing=3,
        ),
    ]


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    write_report(examples(), out, profile="quick", expect="source")
    return out / "report"


def test_the_files_of_the_contract_are_there_and_nothing_else(report: Path) -> None:
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    pictures = ("ai_edu--best_lr_batch_128", "ai_edu--hostile", "raschka--broken", "scoreboard")
    assert names == {"index.html", "report.md", "verdicts.json", "junit.xml"} | {
        f"figures/{name}.{suffix}" for name in pictures for suffix in ("png", "svg")
    }


def test_verdicts_json_keeps_its_contract(report: Path) -> None:
    content = json.loads((report / "verdicts.json").read_text())
    assert {"profile", "device", "versions", "commit", "claims"} <= set(content)
    assert (content["profile"], content["device"]) == ("quick", "cpu (2 cores)")
    keys = {"id", "source", "statement", "source_says", "verdict", "recorded", "criteria"}
    keys |= {"figure", "runs", "train_seconds"}
    parts = {"id", "kind", "verdict", "estimate", "ci", "margin", "seeds", "single_run_rate"}
    for claim in content["claims"]:
        assert keys <= set(claim)
        assert (report / claim["figure"]).is_file()
        for criterion in claim["criteria"]:
            assert parts | {"note", "role"} <= set(criterion)
    first = content["claims"][0]
    assert first["source"] == "ai_edu"
    assert first["runs"] == 16
    assert first["criteria"][0]["ci"] == [0.0007, 0.0017]


def test_numbers_that_json_has_no_word_for_become_null() -> None:
    criterion = judged(estimate=float("nan"), ci=(float("-inf"), 1.0))
    text = as_json([claim_verdict(criteria=[criterion], train_seconds=float("inf"))], "quick")
    claim = json.loads(text, parse_constant=pytest.fail)["claims"][0]
    assert claim["criteria"][0]["estimate"] is None
    assert claim["criteria"][0]["ci"] == [None, 1.0]
    assert claim["train_seconds"] is None


def test_the_page_is_one_file_without_references_to_others(report: Path) -> None:
    text = (report / "index.html").read_text()
    page = Page(text)
    assert not {"link", "iframe", "object"} & set(page.tags)
    for _, name, value in page.attributes:
        if name == "src":
            assert value.startswith(("data:image/png;base64,", "data:,"))
        if name == "href":
            assert value.startswith("#")
    # A figure of each claim, and what an enlarged one is put into.
    assert page.tags.count("img") == 3 + 1
    assert "url(" not in text


def test_a_page_has_one_script_which_its_policy_names_and_no_other(report: Path) -> None:
    text = (report / "index.html").read_text()
    data = re.findall(r'<script type="text/plain" id="[^"]+">[A-Za-z0-9+/=]+</script>', text)
    assert len(data) == 3
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert text.count("<script") == len(data) + 1
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert re.search(r"\son\w+=", text) is None


def test_an_effect_lies_where_its_numbers_say() -> None:
    def effect(**fields: object) -> Effect | None:
        return section(claim_verdict(criteria=[judged(**fields)])).effect  # type: ignore[arg-type]

    one = effect(estimate=0.0005, ci=(-0.001, 0.01), margin=0.001)
    assert one is not None
    assert one.value == pytest.approx(0.5)
    assert one.span is not None
    assert one.band is not None
    # Linear up to one margin, then a decade is as long as that.
    low, high = one.band
    assert one.at == pytest.approx(50 + (high - 50) / 2)
    assert one.span == pytest.approx((low, 50 + 2 * (high - 50)))
    beside = effect(estimate=-0.02, ci=(-0.04, 0.01), margin=0.0)
    assert beside is not None
    assert (beside.value, beside.tick) == (None, 50)
    assert beside.span is not None
    assert beside.span[0] < beside.at < 50 < beside.span[1]
    share = effect(kind="share", estimate=0.25, ci=(0.1, 0.5), margin=0.5)
    assert share is not None
    assert (share.at, share.span, share.tick) == (25, (10, 50), 50)
    assert effect(kind="slope", estimate=1.0) is None
    assert effect(estimate=None, ci=None) is None


def test_anchors_of_the_page_exist(report: Path) -> None:
    page = Page((report / "index.html").read_text())
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for _, name, v in page.attributes if name == "href"} <= set(ids)


def test_hostile_text_shows_as_text_in_the_page(report: Path) -> None:
    page = Page((report / "index.html").read_text())
    assert page.text.count('<script>alert("x")</script>') >= 5


def test_hostile_text_shows_as_text_in_markdown(report: Path) -> None:
    text = (report / "report.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert r"\| a\_b \*c\* \`d\` &amp; \$e\$" in text


def test_markdown_tables_have_as_many_cells_in_every_row(report: Path) -> None:
    widths: list[int] = []
    for line in (report / "report.md").read_text().splitlines():
        if not line.startswith("|"):
            widths = []
            continue
        widths.append(len(re.findall(r"(?<!\\)\|", line)))
        assert len(set(widths)) == 1, line


def test_markdown_links_lead_somewhere(report: Path) -> None:
    text = (report / "report.md").read_text()
    for target in re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", text):
        assert (report / target).is_file()
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', text))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) == anchors


def test_markdown_states_the_budget_of_every_arm() -> None:
    text = as_markdown([claim_verdict(arms=[arm("only", batch_size=128, epochs=15)])], "quick")
    assert "| only | 8 | 15 | 6,450 | 825,000 | 0 |" in text


def test_escape_keeps_a_cell_on_one_line() -> None:
    assert escape("a\nb\t| c") == r"a b \| c"


def test_junit_has_one_case_a_criterion(report: Path) -> None:
    root = ET.parse(report / "junit.xml").getroot()
    cases = list(root.iter("testcase"))
    assert [(c.get("classname"), c.get("name")) for c in cases] == [
        ("ai_edu/best_lr_batch_128", "best"),
        ("ai_edu/hostile", HOSTILE),
        ("ai_edu/hostile", "extra"),
        ("raschka/broken", "best"),
    ]
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    assert [suite.get("tests") for suite in root.iter("testsuite")] == ["3", "1"]


def states(verdicts: Sequence[ClaimVerdict], expect: str) -> list[str]:
    root = ET.fromstring(as_junit(verdicts, expect))  # type: ignore[arg-type]
    found = []
    for case in root.iter("testcase"):
        marks = {child.tag for child in case} & {"failure", "error", "skipped"}
        found.append(marks.pop() if marks else "passed")
    return found


def test_nothing_fails_when_nothing_is_expected() -> None:
    assert states(examples(), "none") == ["passed", "passed", "passed", "skipped"]


def test_expecting_the_record_fails_on_a_changed_verdict_only() -> None:
    same = claim_verdict(verdict="refuted", recorded="refuted")
    better = claim_verdict(verdict="reproduced", recorded="refuted")
    new = claim_verdict(verdict="refuted", recorded=None)
    assert states([same, better, new], "recorded") == ["passed", "failure", "skipped"]
    assert states(examples(), "recorded") == ["passed", "failure", "passed", "skipped"]


def test_a_verdict_that_slides_to_undecided_fails_only_if_something_moved() -> None:
    slid = claim_verdict(verdict="inconclusive", recorded="reproduced")
    assert states([slid], "recorded") == ["passed"]
    assert unmet([slid], "recorded") == []
    (found,) = unmet([slid], "recorded", {(slid.claim.id, ""): "the verdict moved"})
    assert (found.criterion, found.text) == ("best", "the verdict moved")


def test_expecting_the_source_fails_every_claim_that_is_not_reproduced() -> None:
    good = claim_verdict(criteria=[judged(), control()])  # type: ignore[list-item]
    blind = claim_verdict(
        verdict="inconclusive",
        criteria=[judged(), control("reproduced")],  # type: ignore[list-item]
    )
    odd = claim_verdict(verdict="inconclusive", criteria=[judged(), judged(id="more")])
    assert states([good, blind, odd], "source") == [
        *("passed", "passed"),
        *("passed", "failure"),
        *("failure", "passed"),
    ]


def test_runs_that_are_missing_are_an_error_and_claims_out_of_reach_are_skipped() -> None:
    smoke = Profile("smoke", 1, may_judge=False, gpu_claims=False, description="plumbing")
    unjudged = [judged("incomplete")]
    missing = claim_verdict(verdict="incomplete", criteria=unjudged, missing=2, runs=8)
    gpu = claim_verdict(verdict="incomplete", criteria=unjudged, cost="G")
    dry = claim_verdict(verdict="incomplete", criteria=unjudged, profile=smoke)
    assert states([missing, gpu, dry], "source") == ["error", "skipped", "skipped"]


def test_a_failure_says_what_to_do() -> None:
    changed = claim_verdict(verdict="refuted", recorded="reproduced")
    (found,) = unmet([changed], "recorded")
    assert (found.claim, found.criterion) == ("ai_edu/best_lr_batch_128", "best")
    assert "recorded verdict of the claim is reproduced, now it is refuted" in found.text
    assert "bench-lr record 'ai_edu/best_lr_batch_128'" in found.text


def test_failures_found_elsewhere_are_reported() -> None:
    verdict = claim_verdict(recorded="reproduced")
    key = (verdict.claim.id, "best")
    root = ET.fromstring(as_junit([verdict], "recorded", {key: "0.9 left [0.1, 0.2]"}))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.text == "0.9 left [0.1, 0.2]"


def test_junit_survives_characters_that_xml_cannot_hold() -> None:
    root = ET.fromstring(as_junit([claim_verdict(criteria=[judged(note="a\x00b\x1bc")])]))
    assert "a\ufffdb\ufffdc" in "".join(root.itertext())


def test_a_figure_that_fails_does_not_cost_the_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = claim_verdict(FigureSpec("curves", {"unknown": 1}))
    write_report([broken], tmp_path, profile="quick")
    assert (tmp_path / "report/figures/ai_edu--best_lr_batch_128.png").is_file()
    assert "could not be drawn" in caplog.text


SOURCES = {
    "ai_edu": Source(
        "A course & more", "course", "here", (NotTestable(HOSTILE, "page 2", HOSTILE),)
    ),
    "raschka": Source("A lecture", "lecture", "there"),
    "silent": Source("A poem", "poem", "x", (NotTestable("It is nice.", "line 1", "an opinion"),)),
}


@pytest.fixture(scope="module")
def sourced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sourced")
    write_report(examples(), out, profile="quick", sources=SOURCES)
    return out / "report"


def test_what_cannot_be_tested_is_told_with_its_reason_and_never_counted(sourced: Path) -> None:
    page = Page((sourced / "index.html").read_text())
    text = " ".join(page.text.split())
    assert "3 claims (and 2 statements that cannot be tested)" in text
    assert "silentIt is nice.line 1an opinion" in text
    markdown = (sourced / "report.md").read_text()
    assert "Profile quick: 3 claims, 1 reproduced, 1 refuted, 0 inconclusive, 1 incomplete." in (
        markdown
    )
    assert "| silent | It is nice. | line 1 | an opinion |" in markdown
    content = json.loads((sourced / "verdicts.json").read_text())
    assert len(content["claims"]) == 3
    assert content["not_testable"][1] == {
        "source": "silent",
        "statement": "It is nice.",
        "place": "line 1",
        "reason": "an opinion",
    }
    cases = list(ET.parse(sourced / "junit.xml").getroot().iter("testcase"))
    assert len(cases) == 4


def test_sources_are_told_by_title_and_lead_to_their_claims(sourced: Path) -> None:
    page = Page((sourced / "index.html").read_text())
    ids = [value for _, name, value in page.attributes if name == "id"]
    links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert len(ids) == len(set(ids))
    assert {"#source--ai_edu", "#source--raschka", "#not-testable"} <= links
    assert {link[1:] for link in links} <= set(ids)
    assert "A course & more" in page.text
    assert "## raschka: A lecture" in (sourced / "report.md").read_text()


def test_figures_load_when_they_come_into_view(report: Path) -> None:
    page = Page((report / "index.html").read_text())
    lazy = [value for tag, name, value in page.attributes if (tag, name) == ("img", "loading")]
    assert lazy == ["lazy"] * (page.tags.count("img") - 1)


def test_a_claim_that_wants_a_gpu_says_what_it_needs(tmp_path: Path) -> None:
    wanting = claim_verdict(cost="G", verdict="incomplete", criteria=[judged("incomplete")])
    assert "needs profile full" in as_markdown([wanting], "quick")
    assert "needs profile full" in as_html([wanting], "quick", tmp_path)
    assert "needs profile full" not in as_html([claim_verdict()], "quick", tmp_path)


def test_a_report_of_no_claims_is_still_a_report(tmp_path: Path) -> None:
    write_report([], tmp_path, profile="quick")
    assert json.loads((tmp_path / "report/verdicts.json").read_text())["claims"] == []


def test_provenance_that_differs_is_listed_side_by_side() -> None:
    origins = [Provenance(device=name, versions={"torch": name}) for name in ("a", "b", "a")]
    whole = merged([claim_verdict(provenance=origin) for origin in origins])
    assert (whole.device, whole.versions) == ("a, b", {"torch": "a, b"})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "under 1 s"), (12.3, "12 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
