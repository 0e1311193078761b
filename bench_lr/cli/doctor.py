"""``bench-lr doctor``: what this machine has, what is wrong with it, and what runs would take."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench_lr.cli.options import Verbs

EXAMPLES = """
  bench-lr doctor                          this machine, and what the profiles would take here
  bench-lr doctor --fast                   without the estimates
  bench-lr doctor --store /shared/store    can results be written there?
  bench-lr doctor --json                   for programs
"""
BROKEN = 3
STYLES = {"ok": ("✓", "green"), "note": ("–", "dim"), "broken": ("✗", "red")}


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        help="what this machine has, and what runs would take on it",
        description="Look at what training needs: packages, processor, GPUs, memory, data, disk, "
        "SLURM. Exit code 3 if something that every run needs does not work.",
        examples=EXAMPLES,
    )
    parser.add_argument("--store", type=Path, default=Path("store"), help="folder of results")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of reports")
    parser.add_argument("--fast", action="store_true", help="leave out what takes seconds")
    parser.add_argument("--json", action="store_true", help="an object, for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was found."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench_lr.machine import estimates, facts

    found = facts(options.store, options.out)
    costs = [] if options.fast else estimates(options.store)
    if options.json:
        content = {
            "facts": [vars(fact) for fact in found],
            "profiles": [vars(cost) for cost in costs],
        }
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        for fact in found:
            mark, style = STYLES[fact.state]
            words = Text(fact.value)
            if fact.advice:
                words.append(f"\n{fact.advice}", style="yellow")
            table.add_row(Text(mark, style=style), Text(fact.name, style="bold"), words)
        console.print(table)
        if costs:
            console.print()
            table = Table(box=None, pad_edge=False)
            for head in ("profile", "claims", "runs", "stored", "time here"):
                table.add_column(head, justify="left" if head == "profile" else "right")
            for cost in costs:
                row = (f"{it:,}" for it in (cost.claims, cost.runs, cost.stored))
                table.add_row(cost.profile, *row, cost.time)
            console.print(table)
    return BROKEN if any(fact.state == "broken" for fact in found) else 0
