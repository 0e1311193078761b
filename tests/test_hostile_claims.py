"""A claim whose words are HTML or Markdown, from its file to the report: they show as words."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from bench_lr.claims import conf_roots, load_claims
from bench_lr.claims.check import check_claim
from bench_lr.judge import judge
from bench_lr.report import write_report
from bench_lr.store import Store
from tests import tiny
from tests.claims.samples import write
from tests.stored import fill

WORDS = {
    "html": '<script>alert("x")</script><img src=x onerror=alert(1)></p></body><!-- -->',
    "entities": "&lt;b&gt; &amp; &#60;b> & &copy;",
    "attributes": "\" onclick='alert(1)' style=\"x",
    "links": "[text](javascript:alert(1)) ![picture](//x.test/y.png) <http://x.test> [x][y]",
    "emphasis": "**bold** _thin_ ~~gone~~ `code` ``` fence",
    "blocks": "# heading\n\n- item\n\n> quote\n\n1. one\n\n---\n\n| a | b |\n|---|---|\n",
    "rule": "---",
    "mathematics": r"$\frac{1}{$ \alpha $x_{$ $$",
    "template": "{{ 7 * 7 }} {% for x in y %} #{7*7} {0} %s",
    "letters": "Größe η₀ ≤ 0.1 — 中文 🙂 \u202eright to left",
}
pytestmark = pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
TEXTS = ("title", "statement", "place", "source_says", "remarks")


def plain(words: str) -> str:
    return " ".join(words.split())


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.parts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return plain("".join(self.parts))


def reported(folder: Path, words: str) -> Path:
    """Write the report of a claim that says `words` wherever it can; return its folder."""
    names = [f"{words} fast", f"{words} slow"]
    content = tiny.claim(*names, **dict.fromkeys(TEXTS, words))
    del content["grid"]
    content["arms"] = {names[0]: {"lr": 0.5}, names[1]: {"lr": 0.000001}}
    content["criteria"][0]["why"] = words
    conf = write(folder / "conf", {"me/one": content})
    claims = load_claims(["me/one"], roots=[conf, *conf_roots()], check=check_claim)
    store = Store(folder / "store")
    fill(
        store,
        claims[0],
        accuracy=lambda arm, epoch, seed: 0.001 * seed + (0.9 if arm.endswith("fast") else 0.1),
        provenance={"device": words},
    )
    verdict = judge(claims[0], store)
    assert verdict.verdict == "reproduced", verdict.note
    write_report([verdict], folder, profile="quick", expect="source")
    return folder / "report"


@pytest.fixture(scope="module", params=WORDS)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "name").write_text(request.param)
    return reported(folder, WORDS[request.param])


@pytest.fixture
def words(report: Path) -> str:
    return plain(WORDS[(report.parent / "name").read_text()])


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(tmp_path_factory.mktemp("harmless"), "words")


def test_the_page_shows_them_and_has_no_other_tags_than_that_of_harmless_words(
    report: Path, harmless: Path, words: str
) -> None:
    page, expected = (Page((it / "index.html").read_text()) for it in (report, harmless))
    assert page.text.count(words) >= len(TEXTS)
    assert page.tags == expected.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in expected.attributes]
    links = [value for name, value in page.attributes if name in ("href", "src")]
    assert all(value.startswith(("#", "data:image/png;base64,", "data:,")) for value in links)


def test_markdown_shows_them_and_has_no_other_elements_than_that_of_harmless_words(
    report: Path, harmless: Path, words: str
) -> None:
    render = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render
    page, expected = (Page(render((it / "report.md").read_text())) for it in (report, harmless))
    assert page.text.count(words) >= len(TEXTS)
    assert page.tags == expected.tags
    links = [value for name, value in page.attributes if name in ("href", "src")]
    assert links == [value for name, value in expected.attributes if name in ("href", "src")]


def test_results_for_other_programs_have_them_as_they_are(report: Path) -> None:
    given = WORDS[(report.parent / "name").read_text()]
    (claim,) = json.loads((report / "verdicts.json").read_text())["claims"]
    assert plain(claim["statement"]) == plain(given)
    assert ET.parse(report / "junit.xml").getroot().find(".//testcase") is not None


def test_figures_are_drawn_whatever_the_words(report: Path) -> None:
    pictures = sorted((report / "figures").glob("*.svg"))
    assert [path.stem for path in pictures] == ["me--one", "scoreboard"]
    for path in pictures:
        picture = ET.parse(path).getroot()
        assert picture.tag.endswith("svg")
        assert len(list(picture.iter())) > 100
