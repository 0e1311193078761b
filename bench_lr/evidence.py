"""Writing ``reproductions/``: each claim's page and the scoreboard of all that is recorded."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench_lr import figures, recorded
from bench_lr.claims import claim_files, conf_roots, load_claims
from bench_lr.claims.check import metric_judged
from bench_lr.claims.sources import Source, load_sources
from bench_lr.criteria import CriterionResult
from bench_lr.figures.gallery import draw_gallery
from bench_lr.figures.ridge import draw_ridge, widest
from bench_lr.figures.scoreboard import by_source, draw_scoreboard
from bench_lr.figures.style import LOOKS
from bench_lr.record_index import most_faithful
from bench_lr.report import draw_figure, markdown
from bench_lr.report.sections import figure_name, section
from bench_lr.schema import Claim
from bench_lr.store import write_atomic
from bench_lr.verdict import ClaimVerdict, Judged

INTRODUCTION = """# Scoreboard

What this repository's own runs found, claim by claim. Written by `bench-lr record`; `make check`
compares a new run with it and fails when a verdict or a number has changed. How to read a verdict
is in the [README](../README.md#how-to-read-a-verdict).

![Scoreboard of all recorded claims](scoreboard.png)
"""
RIDGE = "![Best learning rate at each batch size, and the accuracy there](ridge.png)\n"
GALLERY = "![Learning-rate schedules, each with its formula and its source](schedules.png)\n"


def record(verdicts: Sequence[ClaimVerdict], root: Path | None = None) -> list[str]:
    """Record the claims that are fit for it and redraw the scoreboard.

    Returns
    -------
    list of str
        Why each claim that is left out was.
    """
    root = root or recorded.folder()
    left_out = []
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name)
        for verdict in verdicts:
            if reason := recorded.fit_to_record(verdict):
                left_out.append(f"{verdict.claim.id} is not recorded: {reason}")
                continue
            draw_figure(verdict, pictures)
            picture = pictures / f"{figure_name(verdict)}.png"
            recorded.write(verdict, page(verdict), picture, root)
    write_scoreboard(root)
    return left_out


def page(verdict: ClaimVerdict) -> str:
    """Return a claim's page as Markdown, its figure beside it."""
    item = dataclasses.replace(section(verdict), figure="figure.png")
    text = markdown.claim(item).replace("\n### ", "\n# ", 1)
    command = f"bench-lr run {verdict.claim.id} --profile {verdict.claim.profile.name}"
    return f"{text}\n\nRun it again: `{command}`\n"


def write_scoreboard(root: Path) -> None:
    """Draw and write the scoreboard of everything under `root`."""
    shown = [
        restored
        for claim_id in claim_files(conf_roots())
        if (restored := restore(claim_id, root)) is not None
    ]
    if not shown:
        return
    sources = load_sources()
    figures.save(draw_scoreboard(shown, sources), root / "scoreboard")
    gallery = draw_gallery(shown)
    if gallery is not None:
        figures.save(gallery, root / "schedules")
    ridge = None
    if (grid := widest(shown)) is not None:
        means = recorded.means(grid.claim, root)
        ridge = draw_ridge([dataclasses.replace(grid, frame=means)])
    if ridge is not None:
        figures.save(ridge, root / "ridge")
    parts = [INTRODUCTION.rstrip(), _counts(shown, sources)]
    for source, members in by_source(shown).items():
        title = f": {sources[source].title}" if source in sources else ""
        parts += [f"## {markdown.escape(source + title)}", _table(members)]
    parts.append(markdown.not_testable(sources))
    parts += ["" if ridge is None else RIDGE.strip(), "" if gallery is None else GALLERY.strip()]
    text = "\n\n".join(filter(None, parts)) + "\n"
    write_atomic(root / "README.md", text.encode())


def _counts(verdicts: Sequence[ClaimVerdict], sources: Mapping[str, Source]) -> str:
    """Return how many claims have which verdict, and how many statements have none."""
    words = [verdict.verdict for verdict in verdicts]
    counts = [f"{words.count(word)} {word}" for word in LOOKS if word in words]
    untestable = sum(len(source.not_testable) for source in sources.values())
    also = f"; {untestable} statements are not testable" if untestable else ""
    return f"{len(verdicts)} claims: {', '.join(counts)}{also}."


def _table(verdicts: Sequence[ClaimVerdict]) -> str:
    """Return the recorded claims of a source, a row each."""
    rows = []
    for verdict in verdicts:
        lead = section(verdict).lead
        rows.append(
            (
                f"[{markdown.escape(verdict.claim.spec.title)}]({verdict.claim.id}/README.md)",
                markdown.word(verdict.verdict),
                markdown.escape(f"{lead.one_seed} {lead.one_seed_ci}".strip() if lead else "—"),
                verdict.claim.profile.name,
                str(verdict.runs),
            )
        )
    heads = ("claim", "verdict", "one seed would have shown it", "profile", "runs")
    return markdown.table(heads, rows)


def restore(claim_id: str, root: Path) -> ClaimVerdict | None:
    """Return a recorded claim as a verdict without its runs; None if nothing is recorded."""
    profiles = recorded.read(claim_id, root)
    best = most_faithful(profiles)
    if not best:
        return None
    (claim,) = load_claims([claim_id], best)
    return _restored(claim, profiles[best])


def _restored(claim: Claim, entry: Mapping[str, Any]) -> ClaimVerdict:
    specs = {spec.id: spec for spec in claim.spec.criteria}
    fields = {field.name for field in dataclasses.fields(CriterionResult)}
    judged = []
    for item in entry["criteria"]:
        if item["id"] not in specs:
            continue
        values = {name: value for name, value in item.items() if name in fields}
        for name in ("ci", "single_run_ci"):
            values[name] = None if values.get(name) is None else tuple(values[name])
        spec = specs[item["id"]]
        result = CriterionResult(**{"p_value": None, **values})
        judged.append(Judged(spec, result, metric_judged(claim, spec)))
    return ClaimVerdict(
        claim=claim,
        verdict=entry["verdict"],
        criteria=tuple(judged),
        frame=pd.DataFrame(),
        note=entry["note"],
        recorded=entry["verdict"],
        runs=entry["runs"],
        diverged=entry["diverged"],
        train_seconds=entry["train_seconds"],
    )
