"""``bench-lr calibrate``: how often are verdicts wrong, and how often are they reached?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.cli.options import Verbs

if TYPE_CHECKING:
    from rich.table import Table

    from bench_lr.calibration.record import Calibration

EXAMPLES = """
  bench-lr calibrate --quick                        a first look, half a minute
  bench-lr calibrate --kind superior --kind slope
  bench-lr calibrate --looks                        of seeds added by need (--seeds auto)
  bench-lr calibrate --json out/calibration.json --docs docs
"""
TRIALS, QUICK = 4000, 400
LIMIT_BROKEN = 1


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "calibrate",
        help="simulate every kind of criterion: how often is its verdict wrong?",
        description="Judge simulated experiments whose truth is known, with every kind of "
        "criterion, 6 to 32 seeds, and Gaussian, heavy-tailed and skewed noise. Exit code 1 if "
        "verdicts are wrong more often than they may be. docs/verdicts.md explains the numbers.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--kind", action="append", metavar="KIND", help="only these kinds; may be repeated"
    )
    parser.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help=f"experiments a cell on the boundary (default {TRIALS}); fewer elsewhere",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK} experiments a cell, if --trials is not given"
    )
    parser.add_argument(
        "--looks",
        action="store_true",
        help="judge as `run --seeds auto` does: look by look, as profile quick declares them",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every rate here")
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="DIR",
        help="also write the table into DIR/verdicts.md, between its markers, and the figure "
        "beside it; needs every kind",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Simulate and print."""
    from rich.console import Console
    from rich.progress import Progress

    from bench_lr.calibration import page, record
    from bench_lr.calibration.calibrate import calibrate
    from bench_lr.calibration.setups import SETUPS
    from bench_lr.claims.load import load_profile
    from bench_lr.cli.bench import check
    from bench_lr.provenance import cores

    check("kind", options.kind, SETUPS)
    _check_numbers(options)
    kinds = [kind for kind in SETUPS if not options.kind or kind in options.kind]
    trials = options.trials or (QUICK if options.quick else TRIALS)
    looks = load_profile("quick").looks if options.looks else ()
    # A table in a log has no window to fit into.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with Progress(console=console, transient=True, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("simulating", total=1.0)
        found = calibrate(
            kinds,
            trials=trials,
            seed=options.seed,
            looks=looks,
            processes=cores(),
            done=lambda share: progress.update(bar, completed=share),
        )
    console.print(table_of_looks(found) if looks else table(found))
    if options.json is not None:
        record.write(found, options.json)
    if options.docs is not None:
        page.write(found, options.docs)
    broken = list(found.broken())
    for tally in broken:
        rate = record.Rate(tally.wrong, tally.trials)
        console.print(
            f"above the limit: {tally.kind}, {tally.noise} noise, {tally.seeds} seeds, "
            f"{tally.truth.name}: {page.percent(rate)} %"
        )
    return LIMIT_BROKEN if broken else 0


def _check_numbers(options: argparse.Namespace) -> None:
    """Raise ConfigError for what cannot be simulated or written."""
    from bench_lr.calibration.page import BEGIN, LOOKS_BEGIN, PAGE
    from bench_lr.claims import ConfigError, Problem

    found = []
    if options.trials is not None and options.trials < 1:
        found.append(Problem("command line", "--trials", str(options.trials), "1 or more"))
    if options.seed < 0:
        found.append(Problem("command line", "--seed", str(options.seed), "0 or more"))
    if options.docs is not None:
        page = options.docs / f"{PAGE}.md"
        mark = LOOKS_BEGIN if options.looks else BEGIN
        if options.kind:
            found.append(Problem("command line", "--docs", "with --kind", "every kind"))
        if not page.is_file() or mark not in page.read_text():
            allowed = f"a folder with a {PAGE}.md that holds {mark}"
            found.append(Problem("command line", "--docs", str(options.docs), allowed))
    if found:
        raise ConfigError(found)


def table(found: Calibration) -> Table:
    """Return the worst wrong rates and the powers as a table."""
    from rich.table import Table

    from bench_lr.calibration.page import percent
    from bench_lr.calibration.record import POWER_EFFECT, POWER_SEEDS, Rate, families

    whole = Table(
        box=None,
        pad_edge=False,
        title=f"wrong verdicts in the worst case (%), {found.trials:,} experiments a cell",
        caption=f"power (%): {POWER_SEEDS} seeds, Gaussian noise, {POWER_EFFECT:g} SD beyond the "
        f"margin; {found.seconds:.0f} s",
    )
    whole.add_column("kind")
    for label, limit in families().values():
        said = f", at most {limit:.0%}" if limit else ""
        whole.add_column(label + said, justify="right")
    for head in ("reproduces", "refutes"):
        whole.add_column(head, justify="right")
    for kind in found.kinds():
        worst = [found.worst(kind, family) for family in families()]
        power = [
            found.power(kind, side, POWER_EFFECT, seeds=POWER_SEEDS)
            for side in ("claim", "against")
        ]
        whole.add_row(
            kind, *(percent(r) for r in [*(Rate(t.wrong, t.trials) for t in worst), *power])
        )
    return whole


def table_of_looks(found: Calibration) -> Table:
    """Return the worst wrong rates and the seeds that verdicts took as a table."""
    from rich.table import Table

    from bench_lr.calibration.page import USED_AT, percent
    from bench_lr.calibration.record import Rate, families

    whole = Table(
        box=None,
        pad_edge=False,
        title=f"looks at {', '.join(map(str, found.looks))} seeds: wrong verdicts in the worst "
        f"case (%), {found.trials:,} experiments a cell",
        caption="seeds: mean number until a verdict or the cap, Gaussian noise, the truth so many "
        f"SD beyond the margin; {found.seconds:.0f} s",
    )
    columns = {name: label for name, (label, limit) in families().items() if limit}
    for head in ("kind", *columns.values(), *(f"seeds, {effect:g} SD" for effect in USED_AT)):
        whole.add_column(head, justify="left" if head == "kind" else "right")
    for kind in found.kinds():
        worst = [found.worst(kind, family) for family in columns]
        whole.add_row(
            kind,
            *(percent(Rate(t.wrong, t.trials)) for t in worst),
            *(f"{found.seeds_used(kind, effect):.1f}" for effect in USED_AT),
        )
    return whole
