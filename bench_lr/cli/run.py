"""``bench-lr run``: train what is missing, judge, and write the report."""

from __future__ import annotations

import argparse

from bench_lr.cli.options import Verbs, asking, claims, launching, where

EXAMPLES = """
  bench-lr run                                     all claims, profile quick
  bench-lr run 'ai_edu/*' --dry-run                the plan and its cost
  bench-lr run raschka/batch_increase_equals_decay --profile standard
  bench-lr run --expect source                     exit 1 unless every claim is reproduced
  bench-lr run 'ai_edu/best*' -- epochs=3          other settings, in every arm
  bench-lr run 'ai_edu/best*' --seeds auto         seeds as they are needed
  bench-lr run linear_scaling --model mypkg.MyNet --data mypkg.MyData
  bench-lr run -- hydra.launcher.n_jobs=1          settings of the launcher
  bench-lr run --launcher slurm -- hydra.launcher.partition=long
  bench-lr run --launcher slurm --detach           hand over to SLURM and return
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="train what is missing, judge, write the report",
        examples=EXAMPLES,
        usage="bench-lr run [CLAIM_GLOB ...] [options] [-- HYDRA_OVERRIDES]",
    )
    claims(parser)
    where(parser)
    asking(parser)
    launching(parser)
    parser.add_argument(
        "--expect",
        default="none",
        choices=("none", "recorded", "source"),
        help="exit 1 unless the verdicts are those recorded, or those of the source",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="with a launcher for SLURM: hand the jobs over and return; run again for the verdicts",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the claims that match."""
    from bench_lr.cli import planned
    from bench_lr.cli.session import Session

    session = Session.of(options)
    if not options.dry_run:
        session.wait_for_earlier()
        session.tidy()
    plan = session.plan()
    if options.dry_run:
        for line in planned.jobs(plan):
            session.say(line)
        return 0
    if options.detach:
        return session.submit(plan)
    verdicts = session.train_in_looks(plan) if session.in_looks else session.train(plan)
    session.report(verdicts)
    return session.exit_code(verdicts)
