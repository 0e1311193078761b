"""``bench-lr bench``: how fast does this machine train?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.cli.options import Verbs

if TYPE_CHECKING:
    from rich.table import Table

    from bench_lr.benchmark.record import Record

EXAMPLES = """
  bench-lr bench                                    everything, about a quarter of an hour
  bench-lr bench --workload ae16 --way loop --way cohort
  bench-lr bench --json speed.json
"""

RUNS_FAILED = 3


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "bench",
        help="measure training speed on this machine",
        description="Train reference workloads with this package and with what people would use "
        "in its place, in fresh processes, and compare run-epochs per second.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--workload", action="append", metavar="NAME", help="only these workloads; may be repeated"
    )
    parser.add_argument(
        "--way", action="append", metavar="NAME", help="only these ways; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.add_argument(
        "--warn-below",
        type=float,
        metavar="RATIO",
        help="warn, and still succeed, where bench-lr is less than this many times as fast as the "
        "PyTorch loop",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    from rich.console import Console

    from bench_lr.benchmark import record
    from bench_lr.benchmark.crew import CrewError
    from bench_lr.benchmark.measure import measure_all
    from bench_lr.benchmark.ways import WAYS
    from bench_lr.benchmark.workloads import WORKLOADS
    from bench_lr.claims import ConfigError, Problem

    check("workload", options.workload, WORKLOADS)
    check("way", options.way, WAYS)
    if options.json is not None:
        try:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.touch()
        except OSError as error:
            found = f"{options.json}: {error.strerror}"
            raise ConfigError(
                [Problem("command line", "--json", found, "a file that can be written")]
            ) from error
    # A table in a log has no window to fit into.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)

    def keep(measured: Record) -> None:
        if options.json is not None:
            record.write(measured, options.json)

    try:
        measured = measure_all(
            options.workload or list(WORKLOADS), options.way or list(WAYS), console.print, keep
        )
    except CrewError as error:
        print(f"bench-lr: {error}", file=sys.stderr)
        return RUNS_FAILED
    keep(measured)
    console.print()
    console.print(table(measured))
    for line in warnings(measured, options.warn_below):
        print(line)
    return 0


def check(option: str, given: Sequence[str] | None, known: Collection[str]) -> None:
    """Raise ConfigError if a name is not known."""
    from bench_lr.claims import ConfigError, Problem
    from bench_lr.claims.problems import nearest

    wrong = [name for name in given or () if name not in known]
    if wrong:
        problems = [
            Problem("command line", f"--{option}", name, ", ".join(known), nearest(name, known))
            for name in wrong
        ]
        raise ConfigError(problems)


def table(measured: Record) -> Table:
    """Return the rates and ratios as a table."""
    from rich.table import Table

    from bench_lr.benchmark.record import rows
    from bench_lr.benchmark.ways import PEERS

    peers = [p for p in PEERS if any(m.way == p for m in measured.measurements)]
    whole = Table(
        box=None,
        pad_edge=False,
        title=f"{measured.processor}, {measured.cores} cores, "
        f"{measured.sgemm_gflops:.0f} GFLOP/s in matrix products",
        caption="run-epochs per second",
    )
    for head in ("workload", "way"):
        whole.add_column(head)
    for head in ("rate", "with start-up", *(f"over {peer}" for peer in peers), "of the limit"):
        whole.add_column(head, justify="right")
    last = None
    for row in rows(measured, peers):
        if last not in (None, row[0]):
            whole.add_section()
        last = row[0]
        whole.add_row(*row)
    return whole


def warnings(measured: Record, least: float | None) -> list[str]:
    """Return a line for every workload that is slower than it should be beside the loop."""
    if least is None:
        return []
    found = []
    for name in measured.workloads():
        ratio = measured.over(name, "loop")
        if ratio is not None and ratio < least:
            found.append(
                f"::warning title=training speed::{name}: {ratio:.1f} times as fast as a plain "
                f"PyTorch loop, expected at least {least:g}"
            )
    return found
