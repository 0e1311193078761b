"""``bench-lr record``: make the stored verdicts the recorded ones under ``reproductions/``."""

from __future__ import annotations

import argparse

from bench_lr.cli.options import Verbs, claims, where

EXAMPLES = """
  bench-lr record                          all claims that are complete
  bench-lr record ai_edu/best_lr_batch_16 --profile standard
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "record", help="make stored verdicts the recorded evidence", examples=EXAMPLES
    )
    claims(parser)
    where(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Record every claim that is complete."""
    from bench_lr.cli.session import Session
    from bench_lr.evidence import record

    session = Session.of(options)
    verdicts = session.judge_all()
    left_out = record(verdicts)
    for reason in left_out:
        session.say(reason)
    session.say(f"{len(verdicts) - len(left_out)} of {len(verdicts)} claims recorded")
    return 3 if left_out else 0
