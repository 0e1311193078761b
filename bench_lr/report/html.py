"""``index.html``, the report for people, as one file that needs nothing else, and its like."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench_lr.claims.sources import NotTestable, Source
from bench_lr.figures.gallery import cards
from bench_lr.figures.ridge import widest
from bench_lr.figures.scoreboard import by_source
from bench_lr.figures.style import LOOKS
from bench_lr.figures.winners import winners
from bench_lr.report.sections import Section, duration, merged, origin_facts, section
from bench_lr.verdict import ClaimVerdict, training_seconds

COSTS = {"s": "seconds", "m": "minutes", "G": "GPU"}
PHASES = ("phase_diagram", "regimes")
"""Figures of a claim about the learning rate that suits a batch size."""


@dataclass(frozen=True)
class Group:
    """A source with its claims; `counts` holds the verdicts it has, in their order."""

    anchor: str
    title: str
    kind: str
    sections: tuple[Section, ...]
    counts: dict[str, int]
    not_testable: tuple[NotTestable, ...]


@dataclass(frozen=True)
class Page:
    """A page of its own for one picture, with the claims that it is made of."""

    file: str
    title: str
    words: str
    name: str
    alt: str
    members: tuple[ClaimVerdict, ...]


def pages(verdicts: Sequence[ClaimVerdict]) -> list[Page]:
    """Return the pages there are beside the report."""
    found = []
    ridge = widest(verdicts)
    if ridge is not None:
        kin = [v for v in verdicts if v.claim.spec.figure.kind in PHASES and v is not ridge]
        found.append(
            Page(
                "phase-diagram.html",
                "The best learning rate at each batch size",
                "How well each pair of learning rate and batch size trains, the best rate at each "
                "batch size, and the claims that are about it.",
                "ridge",
                "validation accuracy by learning rate and batch size, with the best learning rate "
                "at each batch size and a line of three pieces through them.",
                (ridge, *kin),
            )
        )
    drawn = cards(verdicts)
    if drawn:
        found.append(
            Page(
                "schedules.html",
                "Learning-rate schedules",
                "The schedules of the claims, each against time with its formula, its source and "
                "the verdict.",
                "schedules",
                "the learning-rate schedules of the claims, each against time with its formula, "
                "its source and the verdict.",
                tuple(card.verdict for card in drawn),
            )
        )
    return found


def as_html(
    verdicts: Sequence[ClaimVerdict],
    profile: str,
    pictures: Path,
    sources: Mapping[str, Source] | None = None,
) -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    verdicts : sequence of ClaimVerdict
        Claims in order.
    profile : str
        Name of the profile.
    pictures : Path
        Folder with the claims' figures, which are embedded; one that is missing is left out.
    sources : mapping of name to Source, optional
        Whose titles are shown, and what they say that cannot be tested.
    """
    sources = sources or {}
    by_name = by_source(verdicts)
    by_name |= {n: [] for n, it in sources.items() if it.not_testable and n not in by_name}
    groups = {name: _group(name, members, sources.get(name)) for name, members in by_name.items()}
    return _render(
        "report.html.j2",
        pictures,
        profile=profile,
        groups=groups,
        untestable=sum(len(group.not_testable) for group in groups.values()),
        costs=COSTS,
        order={word: -place for place, word in enumerate(LOOKS)},
        counts={word: sum(v.verdict == word for v in verdicts) for word in LOOKS},
        total=len(verdicts),
        seconds=training_seconds(verdicts),
        origin=origin_facts(merged(verdicts)),
        duration=duration,
        winners=bool(winners(verdicts)),
        ridge=widest(verdicts) is not None,
        pages={page.file: page.title for page in pages(verdicts)},
    )


def page_as_html(page: Page, profile: str, pictures: Path) -> str:
    """Return a page of its own as HTML; it leads to the report beside it."""
    return _render(
        "picture.html.j2",
        pictures,
        profile=profile,
        title=page.title,
        words=page.words,
        name=page.name,
        alt=page.alt,
        sections=[section(verdict) for verdict in page.members],
    )


def _render(template: str, pictures: Path, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("bench_lr.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    script, script_hash = _script()
    return environment.get_template(template).render(
        looks=LOOKS,
        script=script,
        script_hash=script_hash,
        png=lambda name: _embedded(pictures / f"{name}.png"),
        svg=lambda name: _packed(pictures / f"{name}.svg"),
        **values,
    )


@cache
def _script() -> tuple[str, str]:
    """Script of the pages, and the hash by which their policy allows it and no other."""
    text = files("bench_lr.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return text, f"sha256-{digest}"


def _group(name: str, members: Sequence[ClaimVerdict], source: Source | None) -> Group:
    words = [verdict.verdict for verdict in members]
    return Group(
        anchor=f"source--{name}",
        title=source.title if source else "",
        kind=source.kind if source else "",
        sections=tuple(section(verdict) for verdict in members),
        counts={word: words.count(word) for word in LOOKS if word in words},
        not_testable=source.not_testable if source else (),
    )


def _embedded(path: Path) -> str:
    if not path.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _packed(path: Path) -> str:
    """Return a figure's SVG compressed, in letters; the same for the same figure."""
    if not path.is_file():
        return ""
    return base64.b64encode(gzip.compress(path.read_bytes(), 9, mtime=0)).decode("ascii")
