"""The table and the figure of the documentation, from a record that ``bench-lr bench`` wrote.

::

    python -m bench_lr.benchmark.page out/speed.json docs
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.benchmark import record
from bench_lr.benchmark.record import Record, number
from bench_lr.benchmark.ways import OURS, PEERS, WAYS
from bench_lr.benchmark.workloads import WORKLOADS
from bench_lr.figures.style import EXPECTED, FAINT, INK, MUTED, save, theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
OURS_COLOUR = "#00735c"


def markdown(measured: Record) -> str:
    """Return the table of the page: rates by way, and how many times as fast ours is."""
    lines = [
        f"Measured on {measured.cores} cores of an {measured.processor}"
        f" ({measured.sgemm_gflops:.0f} GFLOP/s in matrix products; "
        + ", ".join(f"{name} {version}" for name, version in measured.versions.items())
        + "). Run-epochs per second after warm-up, and in brackets with start-up:"
        " processes, imports, data, compilation and the first fit.",
        "",
        "| workload | " + " | ".join(way.label for way in WAYS.values()) + " | limit |",
        "| --- |" + " ---: |" * (len(WAYS) + 1),
    ]
    for name in measured.workloads():
        cells = []
        for way in WAYS:
            m = measured.find(name, way)
            cells.append(f"{number(m.rate)} ({number(m.rate_with_startup)})" if m else "")
        lines.append(f"| `{name}` | " + " | ".join([*cells, number(measured.limit(name))]) + " |")
    lines += [
        "",
        "bench-lr is so many times as fast:",
        "",
        "| workload | " + " | ".join(f"over {WAYS[p].label}" for p in PEERS) + " | of the limit |",
        "| --- |" + " ---: |" * (len(PEERS) + 1),
    ]
    for name in measured.workloads():
        ratios = [measured.over(name, peer) for peer in PEERS]
        mine = measured.find(name, OURS)
        share = f"{mine.rate / measured.limit(name):.1%}" if mine else ""
        cells = ["" if r is None else f"{number(r)} x" for r in ratios]
        lines.append(f"| `{name}` | " + " | ".join([*cells, share]) + " |")
    return "\n".join(lines)


def put(text: str, table: str) -> str:
    """Return a page with what is between its markers replaced.

    Raises
    ------
    ValueError
        If the page does not have both markers once, in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs {BEGIN} and, after it, {END}")
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"


def draw(measured: Record) -> Figure:
    """Draw the rates: a panel a workload, a bar a way, the limit as a line."""
    import matplotlib.pyplot as plt
    import pandas as pd
    import seaborn as sns

    frame = pd.DataFrame(
        [(m.workload, WAYS[m.way].label, m.rate) for m in measured.measurements],
        columns=["workload", "way", "rate"],
    )
    names = measured.workloads()
    labels = [way.label for way in WAYS.values()]
    colours = [OURS_COLOUR if name in (OURS, "together") else FAINT for name in WAYS]
    with theme():
        figure, axes = plt.subplots(
            len(names), 1, figsize=(9.2, 1.1 + 1.75 * len(names)), squeeze=False
        )
        for axis, name in zip(axes[:, 0], names, strict=True):
            sns.barplot(
                frame[frame.workload == name],
                x="rate",
                y="way",
                order=labels,
                hue="way",
                hue_order=labels,
                palette=colours,
                legend=False,
                ax=axis,
                width=0.78,
            )
            _finish(axis, measured, name)
        axes[-1, 0].set_xlabel("run-epochs per second (logarithmic)")
        figure.suptitle(
            "Training the same runs in six ways", x=0.01, ha="left", fontsize=14, weight="bold"
        )
        figure.tight_layout(rect=(0, 0, 1, 0.99), h_pad=1.4)
    return figure


def _finish(axis: Axes, measured: Record, name: str) -> None:
    """Scale, titles, the limit, and a number behind every bar."""
    rates = [m.rate for m in measured.measurements if m.workload == name]
    limit = measured.limit(name)
    axis.set_xscale("log")
    # The limit of the tiniest workload is far off the scale of what anything reaches.
    shown = limit < 20 * max(rates)
    most = max(*rates, limit if shown else 0)
    least = min(rates) / 1.6
    axis.set_xlim(least, most * (most / least) ** 0.22)
    axis.set_title(f"{name}: {WORKLOADS[name].description}", loc="left", fontsize=10)
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="y", length=0)
    for position, way in enumerate(WAYS):
        m = measured.find(name, way)
        if m is None:
            axis.text(least * 1.05, position, "not measured", va="center", color=MUTED, fontsize=8)
            continue
        text = number(m.rate)
        ratio = measured.over(name, way)
        if way in PEERS and ratio is not None:
            text += f"   bench-lr: {number(ratio)} ×"
        axis.text(
            m.rate * (most / least) ** 0.012,
            position,
            text,
            va="center",
            color=INK if way == OURS else MUTED,
            weight="bold" if way == OURS else "normal",
            fontsize=8.5,
        )
    if shown:
        axis.axvline(limit, color=EXPECTED, lw=1.2, ls=(0, (4, 3)))
        axis.text(
            limit,
            1.0,
            f" limit {number(limit)}",
            transform=axis.get_xaxis_transform(),
            color=EXPECTED,
            fontsize=8.5,
            va="bottom",
            ha="center",
        )
    axis.spines[["top", "right", "left"]].set_visible(False)


def main(json_file: str, folder: str) -> None:
    """Write the table into ``performance.md`` and the figure beside it."""
    measured = record.read(Path(json_file))
    page = Path(folder) / "performance.md"
    page.write_text(put(page.read_text(), markdown(measured)))
    save(draw(measured), Path(folder) / "performance")


if __name__ == "__main__":
    main(*sys.argv[1:])
