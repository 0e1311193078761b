"""``bench-lr export``: the results of claims as one table, for whatever reads tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.cli.options import Verbs, claims, where

if TYPE_CHECKING:
    import pandas as pd

    from bench_lr.schema import Claim
    from bench_lr.store import Store
    from bench_lr.verdict import ClaimVerdict

EXAMPLES = """
  bench-lr export 'ai_edu/*' --to runs.parquet           every evaluation of every run
  bench-lr export --what verdicts --to verdicts.csv      a row a criterion
  bench-lr export raschka/halving --format csv           to the terminal, or into a pipe
"""
FORMATS = ("csv", "parquet")
WHAT = ("runs", "verdicts")
MISSING = 3


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "export",
        help="write stored results, or verdicts, as one CSV or Parquet file",
        description="Write what is stored of the claims as one table. runs: claim, arm, seed, "
        "step, epoch, examples, metric, split, value. verdicts: a row a criterion. Exit code 3 if "
        "runs are missing; what is there is written all the same.",
        examples=EXAMPLES,
    )
    claims(parser)
    where(parser)
    parser.add_argument("--what", choices=WHAT, default="runs", help="the table (default: runs)")
    parser.add_argument("--to", type=Path, metavar="FILE", help="file; standard output without it")
    parser.add_argument(
        "--format", choices=FORMATS, help="csv or parquet; without it the ending of FILE decides"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the table.

    Raises
    ------
    ConfigError
        If it is not clear in which format to write.
    OSError
        If the file cannot be written.
    """
    from bench_lr.claims import load_claims
    from bench_lr.claims.check import check_claim
    from bench_lr.store import Store

    form = _format(options)
    store = Store(options.store)
    claims = load_claims(options.claims, options.profile, check=check_claim)
    table, lacking = _table(claims, store, options.what)
    if options.to is None:
        table.to_csv(sys.stdout, index=False)
    else:
        options.to.parent.mkdir(parents=True, exist_ok=True)
        write = table.to_csv if form == "csv" else table.to_parquet
        write(options.to, index=False)
        print(f"{len(table):,} rows in {options.to}", file=sys.stderr)
    if lacking:
        print(f"{lacking:,} runs are missing; bench-lr run trains them", file=sys.stderr)
    return MISSING if lacking else 0


def _format(options: argparse.Namespace) -> str:
    from bench_lr.claims import ConfigError, Problem

    if options.to is None:
        if options.format == "parquet":
            allowed = "--to FILE; a terminal shows csv"
            raise ConfigError([Problem("command line", "--format", "parquet, to no file", allowed)])
        return "csv"
    form = options.format or options.to.suffix.removeprefix(".")
    if form not in FORMATS:
        allowed = "a name that ends in .csv or .parquet, or --format"
        raise ConfigError([Problem("command line", "--to", str(options.to), allowed)])
    return str(form)


def _table(claims: list[Claim], store: Store, what: str) -> tuple[pd.DataFrame, int]:
    """Return the table, and how many runs are missing for it."""
    import pandas as pd

    from bench_lr.judge import judge

    verdicts = [judge(claim, store) for claim in claims]
    frames = [_runs(it) if what == "runs" else _criteria(it) for it in verdicts]
    known = [frame for frame in frames if len(frame)] or frames[:1]
    missing = sum(it.missing + it.failed for it in verdicts if not it.claim.out_of_profile)
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(), missing


def _runs(verdict: ClaimVerdict) -> pd.DataFrame:
    frame = verdict.frame.astype({name: str for name in ("arm", "metric", "split")})
    frame.insert(0, "claim", verdict.claim.id)
    return frame


def _criteria(verdict: ClaimVerdict) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for judged in verdict.criteria:
        result = judged.result
        low, high = result.ci or (None, None)
        rows.append(
            {
                "claim": verdict.claim.id,
                "claim_verdict": verdict.verdict,
                "criterion": judged.spec.id,
                "kind": judged.spec.kind,
                "role": judged.spec.role,
                "verdict": result.verdict,
                "estimate": result.estimate,
                "ci_low": low,
                "ci_high": high,
                "margin": result.margin,
                "seeds": result.seeds,
                "single_run_rate": result.single_run_rate,
                "metric": judged.metric,
                "note": result.note,
            }
        )
    return pd.DataFrame(rows)
