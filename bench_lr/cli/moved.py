"""What moved, as a table on the screen and as text for reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench_lr.changes import Change, Comparison

ADVICE = (
    "If training was meant to change, look at the figure and make this the record "
    "(`bench-lr record '{}'`); if not, look for what changed it."
)
_PLAIN_WIDTH = 1000
"""A table in a log has no window to fit into, and folded cells cannot be searched."""


def tell(comparison: Comparison, sides: tuple[str, str]) -> None:
    """Print what moved, what slid by chance, and what differs in where the runs came from."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    tables = {
        "moved": _changes(comparison.moved, sides),
        "no change: verdicts that slid while no number moved": _changes(comparison.slid, sides),
    }
    if comparison.moved or comparison.slid:
        origins = _table(("where the runs came from", *sides))
        for difference in comparison.origins:
            origins.add_row(*map(Text, (difference.name, difference.old, difference.new)))
        tables["what else differs"] = origins
    for title, table in tables.items():
        if table.row_count:
            console.print(Text(f"{title}:", style="bold"))
            console.print(table)
            console.print()
    console.print(Text(summary(comparison)))


def summary(comparison: Comparison) -> str:
    """Return one line: how much was compared and how much of it moved."""
    concerned = len({change.claim for change in comparison.moved})
    moved = f"{len(comparison.moved)} moved, in {concerned} claims" if concerned else "none moved"
    slid = f"; {len(comparison.slid)} verdicts slid by chance" if comparison.slid else ""
    return f"{comparison.numbers} numbers of {comparison.claims} claims compared: {moved}{slid}"


def failures(comparison: Comparison) -> dict[tuple[str, str], str]:
    """Return what moved from the record, by claim and criterion, and what to do about it."""
    origins = "; ".join(map(str, comparison.origins)) or "all the same"
    texts: dict[tuple[str, str], list[str]] = {}
    for change in comparison.moved:
        texts.setdefault((change.claim, change.criterion), []).append(_said(change))
    return {
        (claim, criterion): f"{'; '.join(said)}. {ADVICE.format(claim)} Versions, device, commit, "
        f"engine and data, recorded -> now: {origins}."
        for (claim, criterion), said in texts.items()
    }


def _said(change: Change) -> str:
    p = "" if change.p is None else f" (adjusted p {change.p:.2g})"
    return f"{change.what} was {change.old}, is {change.new}{p}"


def _changes(changes: Sequence[Change], sides: tuple[str, str]) -> Table:
    table = _table(("claim", "criterion", "what", *sides))
    table.add_column("adjusted p", justify="right")
    for change in changes:
        cells = (change.claim, change.criterion, change.what, change.old, change.new)
        p = "" if change.p is None else f"{change.p:.2g}"
        table.add_row(*map(Text, (*cells, p)))
    return table


def _table(heads: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
