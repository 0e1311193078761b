"""The report: figures, one HTML page, Markdown, JSON and JUnit, all from judged claims."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench_lr import figures
from bench_lr.atomic import write_atomically
from bench_lr.claims.sources import Source
from bench_lr.figures.gallery import draw_gallery
from bench_lr.figures.kept import drawn_from, is_kept
from bench_lr.figures.ridge import draw_ridge
from bench_lr.figures.scoreboard import draw_scoreboard
from bench_lr.figures.winners import draw_winners
from bench_lr.report.expectation import Expect, Unmet, unmet
from bench_lr.report.html import as_html, page_as_html, pages
from bench_lr.report.junit import as_junit
from bench_lr.report.markdown import as_markdown
from bench_lr.report.sections import figure_name
from bench_lr.report.verdicts_json import as_json
from bench_lr.verdict import ClaimVerdict

__all__ = ["Expect", "ReportError", "Unmet", "draw_figure", "unmet", "write_report"]

log = logging.getLogger(__name__)


class ReportError(OSError):
    """The report cannot be written."""


def write_report(
    verdicts: Sequence[ClaimVerdict],
    out: Path,
    *,
    profile: str,
    expect: Expect = "none",
    failures: Mapping[tuple[str, str], str] | None = None,
    sources: Mapping[str, Source] | None = None,
) -> None:
    """Write ``report/`` under `out`: index.html, report.md, verdicts.json, junit.xml and figures.

    Every file is replaced whole, so a reader never sees half of one.

    Parameters
    ----------
    verdicts : sequence of ClaimVerdict
        In the order in which they are to be shown; of one source together.
    out : Path
        Made if it does not exist.
    profile : str
        Name of the profile.
    expect : {"none", "recorded", "source"}
        What counts as a failure in junit.xml.
    failures : mapping of (claim id, criterion id) to str, optional
        Expectations found unmet elsewhere, such as a number that moved, and what to do about each;
        an empty criterion stands for the claim as a whole.
    sources : mapping of name to Source, optional
        Whose titles are shown, and what they say that cannot be tested.

    Raises
    ------
    ReportError
        If a file cannot be written (disk full, read-only folder, ...).
    """
    try:
        _write(verdicts, out, profile, expect, failures or {}, sources or {})
    except OSError as error:
        raise ReportError(
            f"cannot write the report into {out / 'report'}: {error.strerror or error}; what has "
            "been trained is stored, and bench-lr report --out FOLDER writes it elsewhere"
        ) from error


def _write(
    verdicts: Sequence[ClaimVerdict],
    out: Path,
    profile: str,
    expect: Expect,
    failures: Mapping[tuple[str, str], str],
    sources: Mapping[str, Source],
) -> None:
    folder, pictures = out / "report", figures_of(out)
    for verdict in verdicts:
        draw_figure(verdict, pictures, keep=True)
    board, mark = pictures / "scoreboard", drawn_from(*verdicts, beside=sources)
    if not is_kept(board, mark):
        figures.save(draw_scoreboard(verdicts, sources), board, mark)
    single, mark = pictures / "winners", drawn_from(*verdicts)
    if not is_kept(single, mark) and (drawn := draw_winners(verdicts)) is not None:
        figures.save(drawn, single, mark)
    gallery = pictures / "schedules"
    if not is_kept(gallery, mark) and (all_schedules := draw_gallery(verdicts)) is not None:
        figures.save(all_schedules, gallery, mark)
    ridge = pictures / "ridge"
    if not is_kept(ridge, mark) and (best_rates := draw_ridge(verdicts)) is not None:
        figures.save(best_rates, ridge, mark)
    texts = {
        "verdicts.json": as_json(verdicts, profile, sources),
        "junit.xml": as_junit(verdicts, expect, failures),
        "report.md": as_markdown(verdicts, profile, sources),
        "index.html": as_html(verdicts, profile, pictures, sources),
    }
    texts |= {page.file: page_as_html(page, profile, pictures) for page in pages(verdicts)}
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())


def figures_of(out: Path) -> Path:
    """Return the folder of the report's figures, which is made if it does not exist."""
    folder = out / "report" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def draw_figure(verdict: ClaimVerdict, folder: Path, *, keep: bool = False) -> None:
    """Write a claim's figure to `folder` as PNG and SVG.

    A figure that cannot be drawn is replaced by one that says so, and the fault is logged: hours
    of training should not be without a report because of a picture.

    Parameters
    ----------
    keep : bool
        Mark the figure with what it is drawn from, and leave one alone that is so marked. Such a
        mark changes with the code, where the picture may not.
    """
    path = folder / figure_name(verdict)
    mark = drawn_from(verdict) if keep else None
    if mark is not None and is_kept(path, mark):
        return
    try:
        figures.save(figures.draw(verdict), path, mark)
    except OSError:
        raise
    except Exception as error:
        log.exception("%s: the figure could not be drawn", verdict.claim.id)
        words = f"this figure could not be drawn\n{type(error).__name__}: {error}"
        figures.save(figures.placeholder(verdict, words), path)
