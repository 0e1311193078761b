"""``index.html``: the report for people, as one file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench_lr.figures.gallery import cards
from bench_lr.figures.scoreboard import by_source
from bench_lr.figures.style import LOOKS
from bench_lr.figures.winners import winners
from bench_lr.report.sections import duration, merged, origin_facts, section
from bench_lr.verdict import ClaimVerdict


def as_html(verdicts: Sequence[ClaimVerdict], profile: str, pictures: Path) -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    verdicts : sequence of ClaimVerdict
        Claims in order.
    profile : str
        Name of the profile.
    pictures : Path
        Folder with the claims' figures, which are embedded; one that is missing is left out.
    """
    environment = Environment(
        loader=PackageLoader("bench_lr.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report.html.j2")
    groups = {
        source: [section(verdict) for verdict in members]
        for source, members in by_source(verdicts).items()
    }
    return template.render(
        profile=profile,
        groups=groups,
        looks=LOOKS,
        counts={word: sum(v.verdict == word for v in verdicts) for word in LOOKS},
        total=len(verdicts),
        seconds=sum(verdict.train_seconds for verdict in verdicts),
        origin=origin_facts(merged(verdicts)),
        duration=duration,
        winners=bool(winners(verdicts)),
        schedules=bool(cards(verdicts)),
        picture=lambda name: _embedded(pictures / Path(name).name),
    )


def _embedded(path: Path) -> str:
    if not path.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
