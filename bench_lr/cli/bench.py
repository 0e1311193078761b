"""``bench-lr bench``: how fast does this machine train?"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench_lr.cli.options import Verbs


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser("bench", help="measure training speed on this machine")
    parser.add_argument("--workload", action="append", help="only these workloads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    from bench_lr.benchmark import main

    return main(options.workload, options.json)
