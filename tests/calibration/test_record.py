"""Records, the page and the verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

import bench_lr.provenance
from bench_lr.calibration import page, record
from bench_lr.calibration.calibrate import calibrate
from bench_lr.calibration.figure import draw
from bench_lr.calibration.record import Calibration, Rate
from bench_lr.calibration.setups import SETUPS
from bench_lr.calibration.simulate import Tally, Truth
from bench_lr.cli import main
from bench_lr.stats import wilson

DOCS = Path(__file__).parents[2] / "docs"


def made_up() -> Calibration:
    boundary, claim = Truth("boundary", 0.0, "only"), Truth("claim", 1.5, "only")
    against = Truth("against", 1.5, "only")
    cells = [
        Tally("superior", noise, boundary, n, 1000, wrong, 20)
        for noise, wrong in (("gaussian", 30), ("t3", 10), ("skewed up", 90), ("double up", 150))
        for n in (10, 6)
    ]
    cells.append(Tally("superior", "gaussian", claim, 10, 200, 190, 2))
    cells.append(Tally("superior", "gaussian", against, 10, 200, 4, 180))
    return Calibration(1000, 3, 0.5, 1.5, tuple(cells))


def test_what_is_wrong_depends_on_the_truth():
    cells = made_up().tallies
    assert [(t.wrong, t.right) for t in cells[-2:]] == [(2, 190), (4, 180)]
    assert (cells[0].wrong, cells[0].right) == (50, 0)


def test_a_record_is_read_as_it_was_written_and_holds_every_rate_with_its_interval(tmp_path):
    path = tmp_path / "new" / "calibration.json"
    record.write(made_up(), path)
    assert record.read(path) == made_up()
    cells = json.loads(path.read_text())["tallies"]
    assert cells[0]["wrong_rate"] == 0.05
    assert cells[0]["wrong_interval"] == pytest.approx(wilson(50, 1000))
    assert cells[0]["limit"] == 0.05
    assert "power" not in cells[0]
    assert cells[-2]["power"] == 0.95
    assert cells[-2]["truth"]["name"] == "1.5 SD claim"


def test_the_table_marks_what_is_above_its_limit_and_only_that():
    (row,) = [line for line in page.markdown(made_up()).splitlines() if "95.0" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "`superior`"
    assert cells[1].startswith("5.0 (3.8-6.5), n = 10")
    assert cells[3].startswith("**11.0 (")
    assert "above 7%" in cells[3]
    assert cells[4].startswith("17.0")  # no limit, no mark
    assert cells[5:] == [page.percent(Rate(190, 200)), page.percent(Rate(180, 200))]


def test_the_page_of_the_documentation_has_a_row_for_every_kind_simulated():
    text = (DOCS / "verdicts.md").read_text()
    table = text.partition(page.BEGIN)[2].partition(page.END)[0]
    for kind in SETUPS:
        assert table.count(f"\n| `{kind}` |") == 2
    assert page.put(text, "new").count("new\n\n" + page.END) == 1
    assert "`table`" in text
    with pytest.raises(ValueError, match="the page needs"):
        page.put("nothing", "new")


def test_the_figure_draws_every_kind_and_limit():
    found = calibrate(["superior", "overtakes"], trials=16, seeds=(6, 10))
    figure = draw(found)
    assert len(figure.axes) == 5
    assert [text.get_text() for text in figure.legends[0].texts] == ["superior", "overtakes"]
    limits = [text.get_text() for axis in figure.axes[:3] for text in axis.texts]
    assert limits == ["limit\n5 %", "limit\n5 %", "limit\n7 %"]


def test_every_kind_has_a_colour_and_a_marker_of_its_own():
    kinds = list(SETUPS)
    figure = draw(calibrate(kinds, trials=2, seeds=(10,)))
    handles = figure.legends[0].legend_handles
    assert [text.get_text() for text in figure.legends[0].texts] == kinds
    looks = {(to_hex(it.get_color()), it.get_marker()) for it in handles}
    assert len({colour for colour, _ in looks}) == len({mark for _, mark in looks}) == len(kinds)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_lr.provenance, "cores", lambda: 1)


@pytest.mark.usefixtures("one_core")
def test_the_verb_prints_a_table_and_writes_the_record(tmp_path, capsys):
    path = tmp_path / "c.json"
    given = ["--kind", "superior", "--trials", "30", "--seed", "4", "--json", str(path)]
    assert main(["calibrate", *given]) == 0
    assert "superior" in capsys.readouterr().out
    found = record.read(path)
    assert (found.trials, found.seed, found.kinds()) == (30, 4, ["superior"])


@pytest.mark.usefixtures("one_core")
def test_the_verb_fails_if_verdicts_are_wrong_too_often(monkeypatch, capsys):
    monkeypatch.setattr("bench_lr.calibration.calibrate.calibrate", lambda *_, **__: made_up())
    assert main(["calibrate", "--kind", "superior"]) == 1
    assert "above the limit: superior, skewed up noise, 10 seeds, boundary" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--kind", "supperior"], "superior"),
        (["--trials", "0"], "--trials"),
        (["--seed", "-1"], "--seed"),
        (["--docs", "nowhere"], "--docs"),
        (["--docs", str(DOCS), "--kind", "slope"], "every kind"),
    ],
)
def test_bad_input_is_told_before_anything_is_simulated(given, message, capsys):
    assert main(["calibrate", *given]) == 2
    assert message in capsys.readouterr().err
