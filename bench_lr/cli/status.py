"""``bench-lr status``: how far multiruns are, those on a cluster too."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.cli.options import Verbs

if TYPE_CHECKING:
    from bench_lr.multiruns import Standing

NEWEST = 5
COUNTS = ("queued", "running", "done", "failed", "missing")
EXAMPLES = """
  bench-lr status                the newest multiruns of ./out
  bench-lr status --out other    those of another output folder
  bench-lr status --all --json   all of them, for programs

queued and running: somebody trains them still. missing: nobody does; run again to go on.
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "status",
        help="jobs that are queued, running, done, failed",
        examples=EXAMPLES,
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of reports and jobs")
    parser.add_argument("--all", action="store_true", help=f"not only the newest {NEWEST}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print how far multiruns are."""
    from bench_lr.multiruns import multiruns, standing

    chosen = itertools.islice(multiruns(options.out), None if options.all else NEWEST)
    found = [standing(multirun) for multirun in chosen]
    if options.json:
        print(json.dumps([each.as_dict() for each in found], indent=1))
    else:
        _show(found, options.out)
    return 0


def _show(found: list[Standing], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not found:
        console.print(f"no multiruns in {out / 'jobs'}", markup=False)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("begun", "launcher", "jobs", *COUNTS, "runs"):
        table.add_column(
            head, justify="left" if head in ("begun", "launcher") else "right", no_wrap=True
        )
    for each in found:
        counts = [str(getattr(each, name)) if each.known else "?" for name in COUNTS]
        # What the store has is known without the cluster.
        counts[2:4] = [str(each.done), str(each.failed)]
        table.add_row(
            each.multirun.folder.name,
            each.multirun.launcher,
            str(each.multirun.jobs),
            *counts,
            f"{each.runs_done}/{each.runs}",
        )
    console.print(table)
    for each in found:
        if each.queued and each.reasons:
            why = ", ".join(each.reasons)
            console.print(f"{each.multirun.folder.name} waits: {why}", markup=False)
        if not each.known:
            where = (
                "its cluster does not answer" if each.multirun.on_cluster else each.multirun.host
            )
            console.print(f"{each.multirun.folder.name}: unknown here ({where})", markup=False)
