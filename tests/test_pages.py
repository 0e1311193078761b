"""The report's pages in a real browser: clicked, read, printed, on any screen."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

from bench_lr.claims import conf_roots, load_claims
from bench_lr.claims.sources import NotTestable, Source
from bench_lr.figures.points import METADATA
from bench_lr.judge import judge
from bench_lr.report import write_report
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict
from tests import tiny
from tests.claims.samples import write
from tests.factories import arm, claim_verdict, many, rising
from tests.stored import fill

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PAGES = ("index.html", "phase-diagram.html", "schedules.html")
WIDTHS = (360, 768, 1440)
SERIOUS = ("serious", "critical")
pytestmark = pytest.mark.browser


def verdicts(folder: Path) -> list[ClaimVerdict]:
    """Made-up claims of every kind, one with curves, one with a grid, and some that are judged."""
    names = {"lr=0.5": 0.975, "lr=0.8": 0.95, "lr=0.05": 0.93}
    curves = claim_verdict(
        id="ai_edu/curves",
        title="0.5 trains best",
        arms=[arm(name) for name in names],
        frame=rising(names),
        recorded="refuted",
    )
    arms = {"batch_size": [4, 8, 16, 32], "lr": [0.5, 0.2, 0.1, 0.05, 0.02]}
    grid = tiny.claim("batch_size=4 lr=0.5", "batch_size=4 lr=0.02", grid=arms)
    grid["figure"] = {"kind": "phase_diagram"}
    conf = write(folder / "conf", {"me/grid": grid})
    asked = ["me/grid", "raschka/inverse_like_exp", "raschka/halving", "ai_edu/policy_*"]
    claims = load_claims(asked[:3], roots=[conf, *conf_roots()])
    store = Store(folder / "store")
    for claim in claims:
        fill(store, claim, accuracy=lambda name, epoch, seed: 0.8 + 0.01 * (seed + len(name)))
    found = [*many(24), curves, *(judge(claim, store) for claim in claims)]
    return sorted(found, key=lambda verdict: verdict.claim.id)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    reason = NotTestable("It is art.", "page 1", "a matter of taste")
    source = Source("A course", "course", (reason,))
    write_report(verdicts(folder), folder, profile="quick", sources={"ai_edu": source})
    return folder / "report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            # Who is root, as in a container, has no sandbox.
            found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"no Chromium here; apt-get install chromium: {str(error).splitlines()[0]}")
        yield found
        found.close()


class Reader:
    """A page that is open, and all that its browser has to say of it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(url)

    def rows(self) -> list[str]:
        """Ids of the claims that the scoreboard shows, in order."""
        found = self.page.locator("#scoreboard tr[data-claim]:visible")
        return [str(it.get_attribute("data-claim")) for it in found.all()]

    def articles(self) -> set[str]:
        found = self.page.locator("article:visible")
        return {str(it.get_attribute("id")) for it in found.all()}


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Reader]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    reader = Reader(page, (report / "index.html").as_uri())
    yield reader
    assert reader.said == []
    page.close()


# --- what a page asks for, and how it fits --------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_and_complains_of_nothing(
    name: str, browser: Browser, report: Path
) -> None:
    page = browser.new_page()
    reader = Reader(page, (report / name).as_uri())
    page.wait_for_timeout(200)
    assert reader.said == []
    assert [url for url in reader.asked if not url.startswith("data:")] == [page.url]
    page.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_is_no_wider_than_the_screen(
    name: str, width: int, browser: Browser, report: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((report / name).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(name: str, colours: str, browser: Browser, report: Path) -> None:
    page = browser.new_page(color_scheme=colours)  # type: ignore[arg-type]
    page.goto((report / name).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    # Its own script is not one that the page's policy knows.
    found = Axe().run(page).response["violations"]
    serious = [
        (it["id"], it["help"], it["nodes"][0]["html"][:200])
        for it in found
        if it["impact"] in SERIOUS
    ]
    assert serious == []
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str, browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto((report / name).as_uri())
    for link in page.locator("a[href]").all():
        file, _, anchor = str(link.get_attribute("href")).partition("#")
        text = (report / (file or name)).read_text()
        assert not anchor or f'id="{anchor}"' in text
    page.close()


def test_without_scripts_all_is_there_and_nothing_that_needs_one(
    browser: Browser, report: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((report / "index.html").as_uri())
    assert page.locator("article:visible").count() == page.locator("article").count() > 20
    assert page.locator("#controls").is_hidden()
    assert page.locator("#theme").is_hidden()
    assert page.locator("article img").first.is_visible()
    context.close()


# --- filter and sort ------------------------------------------------------------------------------


def test_claims_are_filtered_by_words_source_and_verdict(opened: Reader) -> None:
    page, every = opened.page, opened.rows()
    assert opened.articles() == set(every)
    page.fill("#find", "Edu/Curves  trains")
    assert opened.rows() == ["ai_edu--curves"]
    assert opened.articles() == {"ai_edu--curves"}
    assert page.inner_text("#shown") == f"1 of {len(every)} claims shown"
    assert page.locator("section[data-group]:visible").count() == 1
    page.fill("#find", "no such words")
    assert opened.rows() == []
    assert page.locator("#nothing").is_visible()
    page.click("#nothing button")
    page.wait_for_timeout(50)
    assert opened.rows() == every
    page.select_option("#source", "raschka")
    assert {row.partition("--")[0] for row in opened.rows()} == {"raschka"}
    page.uncheck("#show-reproduced")
    shown = page.locator("#scoreboard tr[data-claim]:visible")
    words = [str(row.get_attribute("data-verdict")) for row in shown.all()]
    assert "reproduced" not in words
    assert len(words) > 0
    page.click("#controls button[type=reset]")
    page.wait_for_timeout(50)
    assert opened.rows() == every


def test_a_link_to_a_claim_that_is_filtered_out_shows_it(opened: Reader) -> None:
    page = opened.page
    page.fill("#find", "no such words")
    page.evaluate("location.hash = '#ai_edu--curves'")
    page.wait_for_timeout(200)
    assert page.locator("#ai_edu--curves").is_visible()
    assert page.input_value("#find") == ""


@pytest.mark.parametrize("key", ["seed", "effect", "runs", "seconds", "order"])
def test_a_heading_sorts_by_its_column_down_up_and_not(key: str, opened: Reader) -> None:
    page, home = opened.page, opened.rows()
    head = page.locator(f"th[data-key={key}]")

    def values() -> list[float]:
        rows = page.locator("#scoreboard tr[data-claim]:visible")
        texts = [str(row.get_attribute(f"data-{key}") or "") for row in rows.all()]
        known = [text for text in texts if text]
        assert texts[: len(known)] == known
        return [float(text) for text in known]

    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    assert set(opened.rows()) == set(home)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "none"
    assert opened.rows() == home


# --- figures --------------------------------------------------------------------------------------


def test_a_point_of_a_curve_is_told_where_it_lies(opened: Reader, report: Path) -> None:
    page = opened.page
    svg = ET.parse(report / "figures" / "ai_edu--curves.svg").getroot()
    (panel, *_) = json.loads(next(str(it.text) for it in svg.iter() if it.get("id") == METADATA))
    series = next(it for it in panel["series"] if it["name"] == "LR 0.8")
    across, down, x, y = series["points"][len(series["points"]) // 2]
    # The curve is where its numbers say: of 0.8 halfway.
    assert x == pytest.approx(7.5, abs=1)
    assert y == pytest.approx(0.945 * (100 if "%" in panel["y"] else 1), rel=0.02)
    image = page.locator("#ai_edu--curves figure img")
    image.scroll_into_view_if_needed()
    image.evaluate("image => image.decode()")
    box = image.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * across / 1e4, box["y"] + box["height"] * down / 1e4)
    page.locator("#tip").wait_for(state="visible", timeout=5000)
    name, first, second = page.inner_text("#tip").split("\n")
    assert name == "LR 0.8"
    assert first == f"epoch: {x:g}"
    assert re.fullmatch(rf".*accuracy.*: {y:.4g}", second)
    page.mouse.move(1, 1)
    page.locator("#tip").wait_for(state="hidden", timeout=5000)


def test_a_figure_is_enlarged_by_keys_and_is_sharp(opened: Reader) -> None:
    page = opened.page
    button = page.locator("#ai_edu--curves figure button")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#zoom")
    dialog.wait_for(state="visible")
    image = dialog.locator("img")
    page.wait_for_function("document.querySelector('#zoom img').naturalWidth > 1")
    assert str(image.get_attribute("src")).startswith("blob:")
    assert image.get_attribute("alt") == page.locator("#ai_edu--curves img").get_attribute("alt")
    before = image.evaluate("image => image.clientWidth")
    page.keyboard.press("+")
    assert image.evaluate("image => image.clientWidth") == pytest.approx(1.5 * before, rel=0.01)
    assert dialog.locator("output").inner_text() == "150 %"
    page.keyboard.press("0")
    assert image.evaluate("image => image.clientWidth") == pytest.approx(before, rel=0.02)
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert button.evaluate("button => button === document.activeElement")


# --- colours, paper, keys -------------------------------------------------------------------------


def test_colours_are_those_asked_for_and_are_remembered(browser: Browser, report: Path) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto((report / "index.html").as_uri())

    def is_dark() -> bool:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 200

    assert not is_dark()
    page.emulate_media(color_scheme="dark")
    assert is_dark()
    page.click("#theme")
    assert page.inner_text("#theme") == "Colours: light"
    assert not is_dark()
    page.click("#theme")
    assert page.inner_text("#theme") == "Colours: dark"
    page.emulate_media(color_scheme="light")
    assert is_dark()
    page.reload()
    assert is_dark()
    context.close()


def test_on_paper_everything_is_open_and_nothing_is_to_be_clicked(
    opened: Reader, tmp_path: Path
) -> None:
    page = opened.page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    for selector in ("#controls", "#theme", ".back"):
        assert page.locator(selector).first.is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 100_000


def test_keys_alone_reach_the_content_the_filter_and_a_claim(opened: Reader) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.hash || ''")
        )
    assert "find" in reached
    assert "source" in reached
    assert any(str(it).startswith("#ai_edu--") for it in reached)


def test_a_claim_says_how_to_run_it_again_and_how_it_is_configured(opened: Reader) -> None:
    article = opened.page.locator("#raschka--halving")
    assert article.locator(".command pre").inner_text() == (
        "bench-lr run raschka/halving --profile quick"
    )
    (path,) = (conf_roots()[-1] / "claim" / "raschka").glob("halving.yaml")
    shown = article.locator("details pre").text_content()
    assert str(shown).split() == path.read_text().split()
