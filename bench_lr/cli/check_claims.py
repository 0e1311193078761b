"""``bench-lr check-claims DIR``: are claims of one's own, and what they use, fit to be run?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.cli.options import Verbs

if TYPE_CHECKING:
    from bench_lr.schema import Claim

EXAMPLES = """
  bench-lr check-claims my_claims
  bench-lr check-claims my_claims --plugins my_rules      with what a module of one's own registers
  bench-lr check-claims my_claims --profile quick         under one profile only
"""
FAULTY = 2


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "check-claims",
        help="test claims of your own, and the plugins they use, without training",
        description="Load every claim of a folder under every profile, judge it on made-up "
        "results (also with diverged and with missing runs, and with the seeds in another order), "
        "and draw its figure. Nothing is trained. Exit code 2 if anything is wrong.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "claims_dir", type=Path, metavar="DIR", help="DIR/<slug>.yaml or DIR/<source>/<slug>.yaml"
    )
    parser.add_argument(
        "--plugins", default="", metavar="MODULES", help="modules to import, from DIR too"
    )
    parser.add_argument("--profile", default="", help="only this one")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Test the claims of the folder."""
    from bench_lr.claims import ConfigError, Problem, claim_files, conf_roots
    from bench_lr.claims.files import group_names

    home = options.claims_dir.resolve()
    mine = [name for name, path in claim_files(conf_roots()).items() if _is_in(path, home)]
    if not mine:
        found, allowed = f"{options.claims_dir}, without claims", "a folder with <slug>.yaml"
        raise ConfigError([Problem("command line", "DIR", found, allowed)])
    profiles = [options.profile] if options.profile else group_names(conf_roots(), "profile")
    wrong = 0
    for name in mine:
        lines = list(dict.fromkeys(_faults(name, profiles)))
        wrong += bool(lines)
        print(f"{'✗' if lines else '✓'} {name}", flush=True)
        for line in lines:
            print(f"    {line}")
    print(f"{len(mine)} claims, {wrong} with faults")
    return FAULTY if wrong else 0


def _is_in(path: Path, home: Path) -> bool:
    return home in path.resolve().parents


def _faults(name: str, profiles: list[str]) -> Iterator[str]:
    """Yield what is wrong with a claim under any of the profiles."""
    from bench_lr.claims import ConfigError, load_claims
    from bench_lr.claims.check import check_claim
    from bench_lr.conformance import faults

    for profile in profiles:
        try:
            claims: list[Claim] = load_claims([name], profile, check=check_claim)
        except ConfigError as error:
            yield from map(str, error.problems)
            continue
        for claim in claims:
            yield from (f"profile {profile}: {fault}" for fault in faults(claim))
