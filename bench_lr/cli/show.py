"""``bench-lr show CLAIM``: what a claim says, how it is judged, and what it costs."""

from __future__ import annotations

import argparse

from bench_lr.cli.options import Verbs, claims, where


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = verbs.add_parser("show", help="show a claim's statement, design, cost and record")
    claims(parser)
    where(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the claims that match."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench_lr import recorded
    from bench_lr.budget import budget
    from bench_lr.claims import load_claims
    from bench_lr.claims.check import check_claim
    from bench_lr.derived import arm_patterns, operands
    from bench_lr.design import remarks
    from bench_lr.plan import make_plan
    from bench_lr.store import Store

    console = Console(highlight=False)
    for claim in load_claims(options.claims, options.profile, check=check_claim):
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
        plan = make_plan([claim], Store(options.store), 16)
        console.print(
            Text(
                f"{plan.distinct} runs, {plan.stored} stored; "
                f"about {plan.seconds:.0f} s of one core left"
            )
        )
        for profile, entry in recorded.read(claim.id).items():
            console.print(Text(f"recorded ({profile}): {entry['verdict']} {entry['note']}"))
        console.print()
    return 0
