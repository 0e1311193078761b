"""``bench-lr check``: run the claims and fail if anything left what is recorded."""

from __future__ import annotations

import argparse

from bench_lr.cli.options import Verbs, claims, launching, where

EXAMPLES = """
  bench-lr check                           all claims against reproductions/
  bench-lr check 'raschka/*' --profile standard
  bench-lr check --dry-run                 what would be trained for it
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "check", help="run, and exit 1 if a verdict or number has changed", examples=EXAMPLES
    )
    claims(parser)
    where(parser)
    launching(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The same as ``run --expect recorded``."""
    from bench_lr.cli.run import run as run_claims

    options.expect, options.detach = "recorded", False
    return run_claims(options)
