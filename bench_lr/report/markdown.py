"""``report.md``: the report for code-hosting pages and terminals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from bench_lr.claims.sources import Source
from bench_lr.figures.gallery import cards
from bench_lr.figures.ridge import widest
from bench_lr.figures.scoreboard import by_source
from bench_lr.figures.style import LOOKS
from bench_lr.figures.winners import winners
from bench_lr.report.sections import Section, duration, merged, origin_facts, section
from bench_lr.verdict import ClaimVerdict

SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: object) -> str:
    """Make text show as it is, on one line, in a paragraph or in a table cell."""
    words = " ".join(str(text).split())
    words = SPECIAL.sub(r"\\\1", words)
    return "".join(ENTITIES.get(letter, letter) for letter in words)


def as_markdown(
    verdicts: Sequence[ClaimVerdict], profile: str, sources: Mapping[str, Source] | None = None
) -> str:
    """Return the report as Markdown, with links to the figures beside it."""
    sources = sources or {}
    sections = {id(verdict): section(verdict) for verdict in verdicts}
    counts = ", ".join(
        f"{sum(verdict.verdict == word for verdict in verdicts)} {word}" for word in LOOKS
    )
    parts = [
        "# bench-lr report",
        f"Profile {escape(profile)}: {len(verdicts)} claims, {counts}.",
        "![Scoreboard of all claims](figures/scoreboard.png)",
        scoreboard(list(sections.values())),
    ]
    if winners(verdicts):
        parts.append("![Best learning rate of each single seed](figures/winners.png)")
    if widest(verdicts) is not None:
        parts.append("![Best learning rate at each batch size](figures/ridge.png)")
    if cards(verdicts):
        parts.append("![Learning-rate schedules](figures/schedules.png)")
    for source, members in by_source(verdicts).items():
        title = f": {sources[source].title}" if source in sources else ""
        parts.append(f"## {escape(source + title)}")
        parts += [claim(sections[id(verdict)]) for verdict in members]
    parts.append(not_testable(sources))
    parts.append("## Where the runs came from")
    parts.append(_facts(origin_facts(merged(verdicts))))
    return "\n\n".join(part for part in parts if part) + "\n"


def scoreboard(sections: Sequence[Section]) -> str:
    """Return one table row a claim."""
    rows = []
    for item in sections:
        verdict, lead = item.verdict, item.lead
        wanting = " (needs profile full)" if verdict.claim.out_of_profile else ""
        rows.append(
            (
                f"[{escape(verdict.claim.spec.title)}](#{quote(item.anchor)})",
                verdict.claim.spec.cost,
                word(verdict.verdict) + wanting,
                escape(verdict.recorded or "—"),
                escape(f"{lead.one_seed} {lead.one_seed_ci}".strip() if lead else "") or "—",
                escape(lead.effect if lead else "") or "—",
                escape(lead.margin if lead else "") or "—",
                str(verdict.runs),
                escape(duration(verdict.train_seconds)),
            )
        )
    heads = (
        "claim",
        "cost",
        "verdict",
        "recorded",
        "one seed would have shown it",
        "effect",
        "margin",
        "runs",
        "training",
    )
    return table(heads, rows)


def not_testable(sources: Mapping[str, Source]) -> str:
    """Return what the sources say that no run can decide; nothing where there is nothing."""
    rows = [
        (escape(name), escape(item.statement), escape(item.place), escape(item.reason))
        for name, source in sources.items()
        for item in source.not_testable
    ]
    if not rows:
        return ""
    words = f"{len(rows)} statements of the sources that no run can decide; they have no verdict."
    heads = ("source", "statement", "place", "why it is not testable")
    return "\n\n".join(["## Not testable", words, table(heads, rows)])


def word(verdict: str) -> str:
    """Return a verdict with its mark."""
    return f"{LOOKS[verdict].mark} {verdict}" if verdict in LOOKS else ""


def claim(item: Section) -> str:
    """Return the section of one claim."""
    verdict, spec = item.verdict, item.verdict.claim.spec
    shortened = verdict.claim.shortened
    parts = [
        f'<a id="{quote(item.anchor)}"></a>',
        f"### {escape(spec.title)}",
        f"**{word(verdict.verdict)}** · {escape(verdict.claim.id)}"
        + (f" · recorded: {verdict.recorded}" if verdict.recorded else ""),
        f"**Claim.** {escape(spec.statement)}",
        f"**The source** ({escape(spec.place)}) **says.** {escape(spec.source_says)}",
        f"**Note.** {escape(verdict.note)}" if verdict.note else "",
        f"**Shortened** for profile {escape(verdict.claim.profile.name)}. {escape(shortened)}"
        if shortened
        else "",
        f"![{escape(spec.title)}]({quote(item.figure)})",
        _criteria(item),
        _robustness(item),
        _details(item),
        _arms(item),
        f"**Remarks.** {escape(spec.remarks)}" if spec.remarks else "",
        _facts(item.facts),
    ]
    return "\n\n".join(part for part in parts if part)


def _criteria(item: Section) -> str:
    heads = (
        "criterion",
        "kind",
        "role",
        "verdict",
        "estimate, 95 % interval",
        "margin",
        "seeds",
        "one seed",
        "note",
    )
    rows = [
        (
            escape(row.id),
            escape(row.kind),
            row.role + (f" ({row.wanted} expected)" if row.role == "control" else ""),
            word(row.verdict),
            escape(row.numbers.effect) or "—",
            escape(row.numbers.margin) or "—",
            str(row.seeds),
            escape(f"{row.numbers.one_seed} {row.numbers.one_seed_ci}".strip()) or "—",
            escape(row.note),
        )
        for row in item.criteria
    ]
    return table(heads, rows)


def _robustness(item: Section) -> str:
    told = [
        f"- {escape(row.id)}: {escape(row.robustness)}" for row in item.criteria if row.robustness
    ]
    return (
        "\n".join(["**On slightly other evidence** (shown, never used):\n", *told]) if told else ""
    )


def _details(item: Section) -> str:
    rows = [
        (escape(row.id), escape(each.label), escape(each.effect), word(each.verdict) or "—")
        for row in item.criteria
        for each in row.details
    ]
    return table(("criterion", "comparison", "estimate, 95 % interval", "verdict"), rows)


def _arms(item: Section) -> str:
    heads = ("arm", "seeds", "epochs", "updates", "examples", "diverged")
    return table(
        heads,
        [
            (
                escape(arm.name),
                str(arm.seeds),
                arm.epochs,
                arm.updates,
                arm.examples,
                str(arm.diverged),
            )
            for arm in item.arms
        ],
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {escape(name)}: {escape(text)}" for name, text in facts)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already; nothing without rows."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
