"""``bench-lr list``: which claims there are. Fast: reads files, resolves nothing unless asked."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench_lr.cli.options import COSTS, Verbs, claims

if TYPE_CHECKING:
    from rich.console import Console

    from bench_lr.claims.sources import Source

Row = dict[str, Any]

EXAMPLES = """
  bench-lr list                    every claim, by source, with what is recorded
  bench-lr list 'raschka/*' --times
  bench-lr list --json | jq -r '.[].id'
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser("list", help="list the claims, by source", examples=EXAMPLES)
    claims(parser)
    parser.add_argument(
        "--times", action="store_true", help="the estimated time of each on this machine (slower)"
    )
    parser.add_argument("--profile", default="quick", help="for --times")
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")
    parser.add_argument(
        "--templates", action="store_true", help="what can be asked of a model of your own"
    )
    parser.add_argument(
        "--not-testable",
        action="store_true",
        help="only what the sources say that no run can decide, with the reason",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List the claims that match.

    Raises
    ------
    ConfigError
        If a source's file is wrong, or with ``--times`` a claim's.
    """
    from bench_lr.claims.files import PLACE, conf_roots, display, matching, stray_files, summaries
    from bench_lr.claims.sources import load_sources, wholly_shown
    from bench_lr.record_index import verdict_shown

    for path in stray_files(conf_roots()).values():
        print(f"bench-lr: {display(path)} is not read; claims are {PLACE}", file=sys.stderr)
    sources = load_sources()
    known = summaries(conf_roots())
    chosen = set(matching(options.claims, [row["id"] for row in known]))
    rows = [row for row in known if row["id"] in chosen]
    told = wholly_shown(sources, chosen, (row["id"] for row in known))
    if options.not_testable:
        _not_testable(told, as_json=options.json)
        return 0
    for row in rows:
        source = sources.get(row["source"])
        row["source_title"] = source.title if source else ""
        row["recorded"], row["recorded_profile"] = verdict_shown(row["id"])
    if options.times:
        _estimate(rows, options.profile)
    if options.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    _print_claims(rows, sources, options.profile if options.times else "")
    _not_testable(told, as_json=False)
    return 0


def _estimate(rows: Sequence[Row], profile: str) -> None:
    """Add the seconds that each claim's runs take by themselves, None where they need a GPU."""
    from bench_lr.claims import load_claims
    from bench_lr.plan import seconds_of_claim

    found = {claim.id: claim for claim in load_claims([row["id"] for row in rows], profile)}
    for row in rows:
        claim = found[row["id"]]
        row["profile"] = profile
        row["seconds"] = None if claim.out_of_profile else round(seconds_of_claim(claim), 3)


def _print_claims(rows: Sequence[Row], sources: Mapping[str, Source], profile: str) -> None:
    """Print a line a claim, with its title beside or, where that is too wide, below."""
    from rich.text import Text

    console = _console()
    heads = ["claim", "cost", *([f"at {profile}"] if profile else []), "recorded"]
    lines = [_cells(row, bool(profile)) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    beside = sum(widths) + 2 * len(widths) + max((len(row["title"]) for row in rows), default=0)

    def line(cells: Sequence[str]) -> str:
        padded = zip(cells, widths, strict=True)
        return "  ".join(cell.ljust(width) for cell, width in padded)

    listed = iter(zip(rows, lines, strict=True))
    for name, members in itertools.groupby(listed, key=lambda pair: str(pair[0]["source"])):
        each = list(members)
        console.print(_heading(name, sources.get(name), _count(len(each), "claim")))
        console.print(Text(line(heads).rstrip(), style="dim"))
        for row, cells in each:
            if beside <= console.width:
                console.print(Text(f"{line(cells)}  {row['title']}"))
            else:
                console.print(Text(line(cells).rstrip()), soft_wrap=True)
                console.print(Text(f"    {row['title']}", style="dim"), soft_wrap=True)
        console.print()
    console.print(Text(f"{_count(len(rows), 'claim')} in all"))


def _cells(row: Row, times: bool) -> list[str]:
    recorded = row["recorded"]
    if row["recorded_profile"]:
        recorded += f" ({row['recorded_profile']})"
    cost = COSTS.get(row["cost"], row["cost"])
    return [row["id"], cost, *([_time(row)] if times else []), recorded]


def _time(row: Row) -> str:
    from bench_lr.cli.live import duration

    return "needs a GPU" if row["seconds"] is None else duration(row["seconds"])


def _not_testable(sources: Mapping[str, Source], *, as_json: bool) -> None:
    """Print what the sources say that cannot be tested."""
    if as_json:
        objects = [
            {
                "source": name,
                "statement": item.statement,
                "place": item.place,
                "reason": item.reason,
            }
            for name, source in sources.items()
            for item in source.not_testable
        ]
        print(json.dumps(objects, indent=1, ensure_ascii=False))
        return
    from rich.padding import Padding
    from rich.text import Text

    count = sum(len(source.not_testable) for source in sources.values())
    if not count:
        return
    console = _console()
    console.print()
    title = Text("Not testable", style="bold")
    console.print(title.append(f"  {_count(count, 'statement')} that no run can decide", "dim"))
    for name, source in sources.items():
        for item in source.not_testable:
            said = Text(f"{name}: {item.statement} ").append(f"({item.place})", "dim")
            console.print(said)
            console.print(Padding(Text(f"why not: {item.reason}"), (0, 0, 0, 4)))


def _heading(name: str, source: Source | None, count: str) -> Any:
    from rich.text import Text

    text = Text(name, style="bold")
    if source:
        text.append(f"  {source.title} ({source.kind})", "default")
    return text.append(f"  {count}", "dim")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)
