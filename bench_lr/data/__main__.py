"""Fetch data sets ahead of time: ``python -m bench_lr.data mnist``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from bench_lr.data.files import DataError, acquire, data_dir
from bench_lr.data.loading import find


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch and print the named data sets' files; return the exit code (2: cannot be had)."""
    parser = argparse.ArgumentParser(prog="python -m bench_lr.data", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: mnist")
    names = parser.parse_args(arguments).names or ["mnist"]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in names:
            files = acquire(find(name), data_dir())
            for f in files:
                print(f"{f.file.sha256}  {f.path}  [{f.route}]")
            if not files:
                print(f"{name}: generated, nothing to fetch")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
