"""Figures that are kept are those that would be drawn; everything else is drawn again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageChops

from bench_lr import figures, report
from bench_lr.figures import kept
from bench_lr.report import draw_figure, write_report
from bench_lr.schema import FigureSpec
from bench_lr.verdict import ClaimVerdict, Provenance
from tests.factories import arm, claim_verdict, judged, rising

NAME = "ai_edu--best_lr_batch_128"


def made(**fields: Any) -> ClaimVerdict:
    arms = [arm("lr=0.5"), arm("lr=0.8", lr=0.8)]
    frame = rising({"lr=0.5": 0.975, "lr=0.8": 0.974}, evaluations=4)
    return claim_verdict(arms=arms, frame=frame, **fields)


VERDICT = made()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the claim's figure."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_figure(VERDICT, folder, keep=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(drawn: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in drawn.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Figures that have been drawn."""
    done: list[str] = []

    def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*args: Any) -> Any:
            done.append(name)
            return original(*args)

        return draw

    monkeypatch.setattr(figures, "draw", counting("claim", figures.draw))
    board = counting("scoreboard", report.draw_scoreboard)
    monkeypatch.setattr(report, "draw_scoreboard", board)
    return done


def test_a_report_written_again_draws_nothing_that_has_not_changed(
    tmp_path: Path, draws: list[str]
) -> None:
    verdicts = [VERDICT, made(id="raschka/other")]
    write_report(verdicts, tmp_path, profile="quick")
    assert draws == ["claim", "claim", "scoreboard"]
    pictures = tmp_path / "report" / "figures"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in pictures.iterdir()}
    page = (tmp_path / "report" / "index.html").read_text()
    draws.clear()
    write_report(verdicts, tmp_path, profile="quick")
    assert draws == []
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in pictures.iterdir()}
    assert after == before
    assert (tmp_path / "report" / "index.html").read_text() == page
    write_report([verdicts[0], made(id="raschka/other", note="new")], tmp_path, profile="quick")
    assert draws == ["claim", "scoreboard"]


def later(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(epoch=frame["epoch"] + 1)


def nudged(frame: pd.DataFrame) -> pd.DataFrame:
    value = frame["value"].to_numpy().copy()
    value[7] = np.nextafter(value[7], 1)
    return frame.assign(value=value)


def of_claim(**fields: Any) -> dict[str, Any]:
    return {"claim": dataclasses.replace(VERDICT.claim, **fields)}


def of_spec(**fields: Any) -> dict[str, Any]:
    return of_claim(spec=dataclasses.replace(VERDICT.claim.spec, **fields))


CHANGES: list[dict[str, Any]] = [
    of_claim(arms=(VERDICT.claim.arms[0], arm("lr=0.8", lr=0.9))),
    of_claim(arms=VERDICT.claim.arms[::-1]),
    of_claim(shortened="for a reason"),
    of_spec(title="another"),
    of_spec(figure=FigureSpec("curves", {"split": "test"})),
    {"verdict": "refuted"},
    {"criteria": (judged(estimate=np.nextafter(0.0012, 1)),)},
    {"frame": nudged(VERDICT.frame)},
    {"frame": later(VERDICT.frame)},
    {"frame": VERDICT.frame[:-1]},
    {"frame": VERDICT.frame[::-1]},
    {"frame": VERDICT.frame.rename(columns={"step": "examples", "examples": "step"})},
    {"calculations": {"a": np.array([1.0])}},
    {"derived": {"a": np.array([1.0])}},
    {"note": "a note"},
    {"recorded": "refuted"},
    {"runs": 1},
    {"missing": 1},
    {"failed": 1},
    {"diverged": 1},
    {"train_seconds": 1.0},
    {"run_seconds": {"a": 1.0}},
    {"provenance": Provenance(device="another")},
]


def test_whatever_changes_in_a_verdict_makes_another_figure_of_it() -> None:
    fields = {field.name for field in dataclasses.fields(ClaimVerdict)}
    # A field that is new has to be among the changes.
    assert {name for change in CHANGES for name in change} >= fields
    changed = [dataclasses.replace(VERDICT, **change) for change in CHANGES]
    marks = [kept.drawn_from(verdict)[kept.MARK] for verdict in [VERDICT, *changed]]
    assert len(set(marks)) == len(marks)
    assert kept.drawn_from(made()) == kept.drawn_from(VERDICT)
    assert len({kept.drawn_from(*two)[kept.MARK] for two in [(VERDICT,), (VERDICT, VERDICT)]}) == 2


def test_data_that_are_the_same_in_other_types_are_the_same_figure() -> None:
    frame = VERDICT.frame
    words = {name: frame[name].astype("category") for name in ("arm", "metric", "split")}
    same = dataclasses.replace(VERDICT, frame=frame.assign(**words))
    assert kept.drawn_from(same) == kept.drawn_from(VERDICT)


@pytest.mark.parametrize(
    "damage",
    [
        lambda png, svg: (png[:-1], svg),
        lambda png, svg: (png[:100], svg),
        lambda png, svg: (b"", svg),
        lambda png, svg: (None, svg),
        lambda png, svg: (png, None),
        lambda png, svg: (png, svg[:-1]),
        lambda png, svg: (png, svg.replace(b"#1f2328", b"#1f2329", 1)),
        lambda png, svg: (b"no picture" + png, svg),
    ],
)
def test_a_file_that_is_damaged_or_gone_is_drawn_again(
    damage: Callable[[bytes, bytes], tuple[bytes | None, bytes | None]],
    drawn: dict[str, bytes],
    folder: Path,
    draws: list[str],
) -> None:
    names = f"{NAME}.png", f"{NAME}.svg"
    for name, content in zip(names, damage(*(drawn[name] for name in names)), strict=True):
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    draw_figure(VERDICT, folder, keep=True)
    assert draws == ["claim"]
    assert {name: (folder / name).read_bytes() for name in names} == drawn


def test_a_bit_flipped_anywhere_in_the_png_is_seen(drawn: dict[str, bytes], folder: Path) -> None:
    path, content = folder / NAME, drawn[f"{NAME}.png"]
    mark = kept.drawn_from(VERDICT)
    assert kept.is_kept(path, mark)
    middle = np.random.default_rng(0).integers(len(content), size=100).tolist()
    for at in [*range(300), *middle, *range(len(content) - 20, len(content))]:
        flipped = bytearray(content)
        flipped[at] ^= 1
        path.with_suffix(".png").write_bytes(flipped)
        assert not kept.is_kept(path, mark), at


def test_a_figure_of_other_code_or_libraries_is_drawn_again(
    folder: Path, draws: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    (package / "figures").mkdir(parents=True)
    module, other = package / "figures" / "kept.py", package / "judge.py"
    module.write_text("")
    monkeypatch.setattr(kept, "__file__", str(module))

    def redrawn() -> bool:
        kept._code.cache_clear()
        draws.clear()
        draw_figure(VERDICT, folder, keep=True)
        return draws == ["claim"]

    assert redrawn()
    assert not redrawn()
    for text in ("", "BOLD = True"):
        other.write_text(text)
        assert redrawn()
        assert not redrawn()
    monkeypatch.setattr(kept, "version", lambda name: "1.2.3")
    assert redrawn()
    kept._code.cache_clear()


def test_a_mark_changes_nothing_that_is_seen(drawn: dict[str, bytes], tmp_path: Path) -> None:
    draw_figure(VERDICT, tmp_path)
    assert (tmp_path / f"{NAME}.svg").read_bytes() == drawn[f"{NAME}.svg"]
    (tmp_path / "marked.png").write_bytes(drawn[f"{NAME}.png"])
    one, other = (Image.open(tmp_path / f"{name}.png").convert("RGB") for name in (NAME, "marked"))
    assert one.size == other.size
    assert ImageChops.difference(one, other).getbbox() is None


def test_a_picture_to_be_recorded_bears_no_mark_and_is_always_drawn(
    folder: Path, draws: list[str]
) -> None:
    draw_figure(VERDICT, folder)
    assert draws == ["claim"]
    assert not [name for name in Image.open(folder / f"{NAME}.png").info if "bench-lr" in str(name)]


def test_a_figure_that_could_not_be_drawn_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = dataclasses.replace(VERDICT, **of_spec(figure=FigureSpec("curves", {"unknown": 1})))
    for _ in range(2):
        caplog.clear()
        draw_figure(broken, tmp_path, keep=True)
        assert "could not be drawn" in caplog.text
