"""``bench-lr show CLAIM``: what a claim says, how it is judged, and what it costs."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from bench_lr.cli.options import Verbs, claims, where

if TYPE_CHECKING:
    from bench_lr.plan import Plan
    from bench_lr.schema import Claim
    from bench_lr.store import Store
    from bench_lr.verdict import ClaimVerdict

EXAMPLES = """
  bench-lr show ai_edu/best_lr_batch_16
  bench-lr show 'raschka/*' --profile standard
  bench-lr show ai_edu/best_lr_batch_16 --json
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "show", help="show a claim's statement, design, cost and verdict", examples=EXAMPLES
    )
    claims(parser)
    where(parser)
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the claims that match."""
    from bench_lr.claims import load_claims
    from bench_lr.claims.check import check_claim
    from bench_lr.store import Store

    store = Store(options.store)
    claims = load_claims(options.claims, options.profile, check=check_claim)
    if options.json:
        print(json.dumps([_as_dict(it, store) for it in claims], indent=1, ensure_ascii=False))
        return 0
    for claim in claims:
        _show(claim, store)
    return 0


def _as_dict(claim: Claim, store: Store) -> dict[str, Any]:
    """What is shown of a claim, for programs."""
    from bench_lr import recorded
    from bench_lr.budget import budget

    plan, verdict = _standing(claim, store)
    spec = claim.spec
    return {
        "id": claim.id,
        "source": claim.source,
        "file": claim.file,
        "profile": claim.profile.name,
        "cost": spec.cost,
        "title": spec.title,
        "statement": spec.statement,
        "place": spec.place,
        "source_says": spec.source_says,
        "shortened": claim.shortened,
        "arms": [
            {"name": arm.name, "seeds": len(arm.runs), **vars(budget(arm.runs[0]))}
            for arm in claim.arms
        ],
        "criteria": [
            {"id": it.id, "kind": it.kind, "role": it.role, "params": dict(it.params)}
            for it in spec.criteria
        ],
        "runs": plan.distinct,
        "stored": plan.stored,
        "seconds": plan.seconds,
        "verdict": verdict.verdict if verdict else None,
        "note": verdict.note if verdict else "",
        "recorded": {name: it["verdict"] for name, it in recorded.read(claim.id).items()},
    }


def _standing(claim: Claim, store: Store) -> tuple[Plan, ClaimVerdict | None]:
    """What is left to train of a claim, and its verdict if that is nothing."""
    from bench_lr.judge import judge
    from bench_lr.plan import make_plan, runs_on_cpu

    plan = make_plan([] if claim.out_of_profile else [claim], store, runs_on_cpu)
    judged = claim.profile.may_judge and not plan.jobs and not claim.out_of_profile
    return plan, judge(claim, store) if judged else None


def _show(claim: Claim, store: Store) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench_lr import recorded
    from bench_lr.budget import budget
    from bench_lr.cli.live import duration
    from bench_lr.cli.session import STYLES
    from bench_lr.derived import arm_patterns, operands
    from bench_lr.design import remarks

    console = Console(highlight=False)
    spec = claim.spec
    console.print(Text(claim.id, style="bold"), Text(f"  ({claim.file})", style="dim"))
    console.print(Text(spec.title))
    console.print(Text(f"\n{spec.statement}\n"))
    console.print(Text(f"{spec.place}. The source says: {spec.source_says}."))
    if claim.shortened:
        console.print(Text(f"Profile {claim.profile.name}: {claim.shortened}."))
    if claim.arms:
        table = Table(box=None, pad_edge=False)
        for head in ("arm", "seeds", "epochs", "updates", "examples"):
            table.add_column(head, justify="left" if head == "arm" else "right")
        for arm in claim.arms:
            cost = budget(arm.runs[0])
            table.add_row(
                Text(arm.name),
                str(len(arm.runs)),
                *(f"{value:,}" for value in (cost.epochs, cost.updates, cost.examples)),
            )
        console.print(table)
    for name, calculation in spec.calculations.items():
        console.print(Text(f"calculation {name}: {calculation.kind}"))
    for name, quantity in spec.derived.items():
        of = ", ".join(operands(quantity) or arm_patterns(quantity))
        console.print(Text(f"derived {name}: {quantity.kind} of {of}"))
    for criterion in spec.criteria:
        params = ", ".join(f"{k}={v}" for k, v in criterion.params.items())
        console.print(Text(f"{criterion.role} {criterion.id}: {criterion.kind}({params})"))
    for remark in remarks(claim, recorded.deviations(claim)):
        console.print(Text(f"design: {remark.criterion}: {remark.text}", style="yellow"))
    plan, verdict = _standing(claim, store)
    left = f"about {duration(plan.seconds)} of one core left" if plan.jobs else "nothing to train"
    wanting = "needs profile full" if claim.out_of_profile else ""
    console.print(Text(wanting or f"{plan.distinct} runs, {plan.stored} stored; {left}"))
    if verdict is not None:
        line = Text("verdict: ")
        line.append(verdict.verdict, style=STYLES[verdict.verdict])
        console.print(line.append(f"  {verdict.note}" if verdict.note else ""))
    for profile, entry in recorded.read(claim.id).items():
        console.print(Text(f"recorded ({profile}): {entry['verdict']} {entry['note']}"))
    console.print()
