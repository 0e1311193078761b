"""The table of ``docs/verdicts.md``, from a calibration."""

from __future__ import annotations

from pathlib import Path

from bench_lr.calibration.figure import draw
from bench_lr.calibration.record import (
    POWER_EFFECT,
    POWER_SEEDS,
    Calibration,
    Rate,
    families,
)
from bench_lr.calibration.setups import SETUPS
from bench_lr.marked import BEGIN as BEGIN
from bench_lr.marked import END as END
from bench_lr.marked import put as put

LOOKS_BEGIN, LOOKS_END = "<!-- looks: begin -->", "<!-- looks: end -->"
USED_AT = (0.0, 0.5, 1.0, 2.0)
"""Effects, in SDs beyond the margin, at which the seeds that a verdict takes are told."""
PAGE = "verdicts"


def percent(rate: Rate) -> str:
    """Return a rate and its interval, as in ``5.0 (4.4-5.7)``."""
    low, high = rate.interval
    return f"{100 * rate.value:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def markdown(found: Calibration) -> str:
    """Return the table of the page: worst wrong rate by kind and noise, and power."""
    columns = families()
    limits = ", ".join(f"{limit:.0%} with {label}" for label, limit in columns.values() if limit)
    lines = [
        f"{found.trials:,} simulated experiments a cell on the boundary, fewer elsewhere and under "
        f"noise without a limit. Skewed noise has skewness {found.skewness:g}. All numbers are "
        "percentages, with their 95 % Monte Carlo interval. Wrong verdicts: the worst cell over "
        "all truths and numbers of seeds, with its number of seeds n. Limits: "
        f"{limits}. Power: Gaussian noise, {POWER_SEEDS} seeds, a truth {POWER_EFFECT:g} SD beyond "
        "the margin.",
        "",
        "| kind | wrong: "
        + " | wrong: ".join(label for label, _ in columns.values())
        + " | power to reproduce | power to refute |",
        "| --- |" + " ---: |" * (len(columns) + 2),
    ]
    for kind in found.kinds():
        cells = []
        for family, (_, limit) in columns.items():
            worst = found.worst(kind, family)
            rate = Rate(worst.wrong, worst.trials)
            cell = f"{percent(rate)}, n = {worst.seeds}"
            cells.append(f"**{cell}: above {limit:.0%}**" if rate.above(limit) else cell)
        for side in ("claim", "against"):
            cells.append(percent(found.power(kind, side, POWER_EFFECT, seeds=POWER_SEEDS)))
        lines.append(f"| `{kind}` | " + " | ".join(cells) + " |")
    lines += ["", "| kind | decided by | SD of |", "| --- | --- | --- |"]
    lines += [
        f"| `{kind}` | {SETUPS[kind].decides} | {SETUPS[kind].sd_of} |" for kind in found.kinds()
    ]
    return "\n".join(lines)


def markdown_of_looks(found: Calibration) -> str:
    """Return the table about seeds that are added by need."""
    columns = {name: label for name, (label, limit) in families().items() if limit}
    looks = ", ".join(map(str, found.looks))
    lines = [
        f"Looks at {looks} seeds, {found.trials:,} simulated experiments a cell on the boundary. "
        "Wrong verdicts as above, in percent. Seeds: how many a verdict (or the cap) took on "
        "average, Gaussian noise, with the truth so many SD beyond the margin.",
        "",
        "| kind | wrong: "
        + " | wrong: ".join(columns.values())
        + " | "
        + " | ".join(f"seeds at {effect:g} SD" for effect in USED_AT)
        + " |",
        "| --- |" + " ---: |" * (len(columns) + len(USED_AT)),
    ]
    for kind in found.kinds():
        cells = []
        for family in columns:
            worst = found.worst(kind, family)
            rate = Rate(worst.wrong, worst.trials)
            limit = families()[family][1]
            cells.append(f"**{percent(rate)}**" if rate.above(limit) else percent(rate))
        cells += [f"{found.seeds_used(kind, effect):.1f}" for effect in USED_AT]
        lines.append(f"| `{kind}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(found: Calibration, folder: Path) -> None:
    """Write the table into ``verdicts.md`` and, unless it is about looks, the figure beside it."""
    from bench_lr.figures.style import save

    page = folder / f"{PAGE}.md"
    if found.looks:
        table = markdown_of_looks(found)
        page.write_text(put(page.read_text(), table, LOOKS_BEGIN, LOOKS_END))
        return
    page.write_text(put(page.read_text(), markdown(found)))
    save(draw(found), folder / PAGE)
