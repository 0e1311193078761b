"""``bench-lr report``: judge what is stored and write the report; trains nothing."""

from __future__ import annotations

import argparse

from bench_lr.cli.options import Verbs, asking, claims, where

EXAMPLES = """
  bench-lr report                          all claims, from what is in ./store
  bench-lr report 'ai_edu/*' --out /tmp/half
  bench-lr report --store /shared/store    while a cluster trains into it
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "report", help="write the report again from stored results", examples=EXAMPLES
    )
    claims(parser)
    where(parser)
    asking(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the report."""
    from bench_lr.cli.session import Session

    session = Session.of(options)
    session.tidy()
    verdicts = session.judge_all()
    session.report(verdicts)
    return session.exit_code(verdicts)
