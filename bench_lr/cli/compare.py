"""``bench-lr compare A B``: did training change between two stores or two records?"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_lr.cli.options import Verbs, claims

if TYPE_CHECKING:
    from bench_lr.changes import Comparison
    from bench_lr.findings import Finding
    from bench_lr.schema import Claim

EXAMPLES = """
  bench-lr compare store ../before/store           two stores
  bench-lr compare reproductions store             what is recorded, and a store
  bench-lr compare old/reproductions reproductions 'ai_edu/*' --profile standard
  bench-lr compare store gpu-store --json          for programs

exit codes: 0 alike, 1 something moved, 2 bad input, 3 no claim can be compared
"""
ALIKE, MOVED, NOTHING = 0, 1, 3


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "compare",
        help="compare two stores or records; exit 1 if anything moved",
        description="Compare the verdicts and numbers of two stores, or of two folders of recorded "
        "evidence, or of one and the other, by the rules of check: docs/checking.md.",
        examples=EXAMPLES,
    )
    for side in "ab":
        parser.add_argument(
            side, type=Path, metavar=side.upper(), help="a store, or a folder like reproductions/"
        )
    claims(parser)
    parser.add_argument("--profile", default="quick", help="quick, standard or full")
    parser.add_argument("--json", action="store_true", help="an object, for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare and print."""
    from bench_lr.changes import compare
    from bench_lr.claims import ConfigError, load_claims
    from bench_lr.claims.check import check_claim
    from bench_lr.cli.moved import tell

    kinds = [_kind(side) for side in (options.a, options.b)]
    problems = [_neither(side) for side, kind in zip("AB", kinds, strict=True) if kind == ""]
    if problems:
        raise ConfigError(problems)
    asked = load_claims(options.claims, options.profile, check=check_claim)
    if kinds == ["store", "store"]:
        # What trains nothing is the same whatever is stored.
        asked = [claim for claim in asked if claim.arms]
    findings: list[dict[str, Finding]] = []
    lacking: dict[str, dict[str, str]] = {}
    for name, path, kind in zip("AB", (options.a, options.b), kinds, strict=True):
        found, reasons = _stored(path, asked) if kind == "store" else _recorded(path, asked)
        findings.append(found)
        for claim, reason in reasons.items():
            lacking.setdefault(claim, {})[name] = reason
    comparison = compare(*findings)
    if options.json:
        print(json.dumps(_as_dict(options, comparison, lacking), indent=1, ensure_ascii=False))
    else:
        for line in _left_out(lacking):
            print(line)
        tell(comparison, (f"A: {options.a}", f"B: {options.b}"))
    if not comparison.claims:
        return NOTHING
    return MOVED if comparison.moved else ALIKE


def _kind(path: Path) -> str:
    if (path / "commits").is_dir():
        return "store"
    return "record" if next(path.glob("*/*/verdict.json"), None) is not None else ""


def _neither(side: str) -> Any:
    from bench_lr.claims import Problem

    allowed = "a store (with commits/), or records (<source>/<slug>/verdict.json)"
    return Problem("command line", side, "neither a store nor recorded evidence", allowed)


def _stored(path: Path, asked: Iterable[Claim]) -> tuple[dict[str, Finding], dict[str, str]]:
    """Judge what a store has; also say why claims cannot be judged."""
    from bench_lr.findings import finding_of
    from bench_lr.judge import judge
    from bench_lr.store import Store

    store = Store(path)
    found, reasons = {}, {}
    for claim in asked:
        verdict = judge(claim, store)
        if verdict.verdict == "incomplete":
            reasons[claim.id] = verdict.note or "incomplete"
        else:
            found[claim.id] = finding_of(verdict)
    return found, reasons


def _recorded(path: Path, asked: Iterable[Claim]) -> tuple[dict[str, Finding], dict[str, str]]:
    """Read what is recorded; also say of which claims nothing is."""
    from bench_lr import recorded
    from bench_lr.findings import finding

    found, reasons = {}, {}
    for claim in asked:
        entry = recorded.read(claim.id, path).get(claim.profile.name)
        if entry is None:
            reasons[claim.id] = f"nothing is recorded for profile {claim.profile.name}"
        else:
            found[claim.id] = finding(entry)
    return found, reasons


def _left_out(lacking: dict[str, dict[str, str]]) -> list[str]:
    return [
        f"not compared: {claim} ({'; '.join(f'{side}: {why}' for side, why in reasons.items())})"
        for claim, reasons in lacking.items()
    ]


def _as_dict(
    options: argparse.Namespace, comparison: Comparison, lacking: dict[str, dict[str, str]]
) -> dict[str, Any]:
    def rows(items: Iterable[Any]) -> list[dict[str, Any]]:
        names = {"old": "a", "new": "b"}
        return [
            {names.get(key, key): value for key, value in dataclasses.asdict(item).items()}
            for item in items
        ]

    return {
        "a": str(options.a),
        "b": str(options.b),
        "profile": options.profile,
        "claims": comparison.claims,
        "numbers": comparison.numbers,
        "moved": rows(comparison.moved),
        "slid": rows(comparison.slid),
        "origins": rows(comparison.origins),
        "not_compared": lacking,
    }
