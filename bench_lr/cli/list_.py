"""``bench-lr list``: which claims there are. Fast: reads the claim files and nothing else."""

from __future__ import annotations

import argparse
import json
import sys

from bench_lr.cli.options import Verbs, claims

COSTS = {"s": "seconds", "m": "minutes", "G": "GPU"}


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser("list", help="list the claims")
    claims(parser)
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List the claims that match."""
    from bench_lr.claims.files import PLACE, conf_roots, display, matching, stray_files, summaries

    for path in stray_files(conf_roots()).values():
        print(f"bench-lr: {display(path)} is not read; claims are {PLACE}", file=sys.stderr)
    rows = summaries(conf_roots())
    chosen = set(matching(options.claims, [row["id"] for row in rows]))
    rows = [row for row in rows if row["id"] in chosen]
    if options.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("cost", no_wrap=True)
    table.add_column("title", overflow="fold")
    source = ""
    for row in rows:
        if row["source"] != source:
            if source:
                table.add_row()
            source = row["source"]
        table.add_row(row["id"], COSTS.get(row["cost"], row["cost"]), row["title"])
    Console(highlight=False).print(table)
    return 0
