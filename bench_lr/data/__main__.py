"""Fetch data sets ahead of time, by name or those that claims need.

::

    python -m bench_lr.data mnist cifar10
    python -m bench_lr.data --profile quick --claims 'ai_edu/*'
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from bench_lr.claims import ConfigError, load_claims
from bench_lr.data.files import DataError, acquire, data_dir
from bench_lr.data.loading import find


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch and print the named data sets' files; return the exit code (2: cannot be had)."""
    parser = argparse.ArgumentParser(prog="python -m bench_lr.data", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: mnist")
    parser.add_argument(
        "--claims",
        nargs="*",
        metavar="GLOB",
        help="what these claims need (all claims without one) under --profile",
    )
    parser.add_argument("--profile", default="quick", help="of the claims (default: %(default)s)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        names = given.names
        if given.claims is not None:
            names = [*names, *needed(given.claims, given.profile)]
        elif not names:
            names = ["mnist"]
        for name in names:
            files = acquire(find(name), data_dir())
            for f in files:
                print(f"{f.file.sha256}  {f.path}  [{f.route}]")
            if not files:
                print(f"{name}: generated, nothing to fetch")
    except (ConfigError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def needed(globs: Sequence[str], profile: str) -> list[str]:
    """Return the data sets that the runs of claims need under a profile, sorted.

    Claims that the profile leaves out need none.

    Raises
    ------
    ConfigError
        If a glob matches no claim, or a claim is wrong.
    """
    claims = [claim for claim in load_claims(globs, profile) if not claim.out_of_profile]
    return sorted({arm.runs[0].task.data for claim in claims for arm in claim.arms})


if __name__ == "__main__":
    sys.exit(main())
