"""``index.html``: the report for people, as one file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Group:
    """A source with its claims; `counts` holds the verdicts it has, in their order."""

    anchor: str
    title: str
    kind: str
    sections: tuple[Section, ...]
    counts: dict[str, int]
    not_testable: tuple[NotTestable, ...]

    @property
    def only(self) -> tuple[str, ...]:
        """Verdicts without which nothing of the group is shown."""
        return tuple(self.counts)


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
    environment = Environment(
        loader=PackageLoader("bench_lr.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report.html.j2")
    by_name = by_source(verdicts)
    by_name |= {n: [] for n, it in sources.items() if it.not_testable and n not in by_name}
    groups = {name: _group(name, members, sources.get(name)) for name, members in by_name.items()}
    return template.render(
        profile=profile,
        groups=groups,
        hidden=sorted({group.only for group in groups.values() if group.only}),
        untestable=sum(len(group.not_testable) for group in groups.values()),
        costs=COSTS,
        looks=LOOKS,
        counts={word: sum(v.verdict == word for v in verdicts) for word in LOOKS},
        total=len(verdicts),
        seconds=training_seconds(verdicts),
        origin=origin_facts(merged(verdicts)),
        duration=duration,
        winners=bool(winners(verdicts)),
        ridge=widest(verdicts) is not None,
        schedules=bool(cards(verdicts)),
        picture=lambda name: _embedded(pictures / Path(name).name),
    )


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
