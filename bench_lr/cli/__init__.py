"""The command line: one module a verb."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench_lr import __version__
from bench_lr.cli import (
    bench,
    calibrate,
    check,
    check_claims,
    compare,
    completion,
    doctor,
    export,
    list_,
    record,
    report,
    run,
    show,
    status,
)
from bench_lr.cli.parsing import Parser

VERBS = (
    list_,
    show,
    run,
    status,
    report,
    check,
    check_claims,
    compare,
    record,
    export,
    bench,
    calibrate,
    doctor,
    completion,
)
WITH_OVERRIDES = ("run", "check", "report")
"""Verbs that take Hydra overrides after ``--``."""
DONE, EXPECTATION_FAILED, BAD_INPUT, RUNS_MISSING = 0, 1, 2, 3


def parser() -> Parser:
    """Return the parser of all verbs."""
    top = Parser(
        prog="bench-lr",
        description="Which rules about learning rate and batch size hold, and how sure is that?",
        epilog="exit codes: 0 done, 1 an expectation failed, 2 bad input, 3 runs failed or missing",
    )
    top.add_argument("--version", action="version", version=f"bench-lr {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # File names and claims may hold letters that a terminal has not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    overrides: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, overrides = arguments[:cut], arguments[cut + 1 :]
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(whole)
    options = whole.parse_args(arguments)
    options.overrides = overrides
    try:
        if overrides and options.verb not in WITH_OVERRIDES:
            _refuse(overrides, options.verb)
        if hasattr(options, "plugins"):
            _extend(options)
        code: int = options.run(options)
    except KeyboardInterrupt:
        print("\nbench-lr: stopped; finished runs are stored, run again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except Exception as error:
        if not isinstance(error, _told()):
            raise
        print(f"bench-lr: {error}", file=sys.stderr)
        return BAD_INPUT
    return code


def _extend(options: argparse.Namespace) -> None:
    """Take in the claims and the plugins of the user."""
    from bench_lr import plugins
    from bench_lr.claims.files import add_root, add_templates

    if options.claims_dir is not None:
        add_root(options.claims_dir)
    if options.plugins or options.claims_dir is not None:
        plugins.use(options.plugins, options.claims_dir)
    if getattr(options, "model", "") or getattr(options, "data", ""):
        # As for `python -m`: a module in the folder one is in can be imported.
        plugins.use("", Path.cwd())
        add_templates()
        # A name without a source is that of a template; without names all are asked.
        options.claims = [_template(name) for name in options.claims] or ["template/*"]
    if getattr(options, "templates", False):
        add_templates()
        options.claims = options.claims or ["template/*"]
    plugins.load_plugins()


def _template(name: str) -> str:
    return name if "/" in name else f"template/{name}"


def _refuse(overrides: Sequence[str], verb: str) -> NoReturn:
    from bench_lr.claims.problems import ConfigError, Problem

    allowed = f"nothing for {verb}; overrides are for {', '.join(WITH_OVERRIDES)}"
    raise ConfigError([Problem("command line", "--", " ".join(overrides), allowed)])


def _told() -> tuple[type[Exception], ...]:
    """Errors whose message says all there is to say.

    Looked up when there is one: they live beside code that takes a second to import.
    """
    from bench_lr.claims.problems import ConfigError
    from bench_lr.data.files import DataError
    from bench_lr.plugins import PluginError
    from bench_lr.recorded import RecordError
    from bench_lr.store import StoreError

    return ConfigError, DataError, OSError, PluginError, RecordError, StoreError
