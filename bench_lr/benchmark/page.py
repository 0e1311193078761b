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
from bench_lr.marked import BEGIN as BEGIN
from bench_lr.marked import END as END
from bench_lr.marked import put as put

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS_COLOUR, OURS_PALE = "#00735c", "#8fc1b5"
OFF_SCALE = 20.0
"""How many times the fastest rate the limit may be and still be drawn."""


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
    colours = [{OURS: OURS_COLOUR, "together": OURS_PALE}.get(name, FAINT) for name in WAYS]
    height = 1.1 + 2.0 * len(names)
    with theme():
        figure, axes = plt.subplots(len(names), 1, figsize=(9.6, height), squeeze=False)
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
                saturation=1,
            )
            _finish(axis, measured, name)
        axes[-1, 0].set_xlabel("run-epochs per second, after warm-up (logarithmic)")
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.42 / height), h_pad=1.2)
        left = axes[0, 0].get_position().x0
        figure.text(
            left,
            1 - 0.16 / height,
            "The same training in several ways: run-epochs per second",
            ha="left",
            va="top",
            size=13,
            weight="bold",
        )
    plt.close(figure)
    return figure


def _finish(axis: Axes, measured: Record, name: str) -> None:
    """Scale, title, the limit, and a number behind every bar."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    rates = [m.rate for m in measured.measurements if m.workload == name]
    limit = measured.limit(name)
    # The limit of the tiniest workload is far off the scale of what anything reaches.
    shown = limit < OFF_SCALE * max(rates)
    least, most = min(rates) / 1.6, max(*rates, limit if shown else 0)
    room = most / least
    axis.set_xscale("log")
    axis.set_xlim(least, most * room**0.33)
    axis.xaxis.set_major_locator(LogLocator(10))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_axisbelow(True)
    axis.set_title(name, loc="left", fontsize=10, weight="bold")
    indent = 7 + 7 * len(name)
    axis.annotate(
        WORKLOADS[name].description,
        (0, 1),
        (indent, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        color=MUTED,
        fontsize=8.5,
    )
    if shown:
        axis.axvline(limit, color=EXPECTED, lw=1.2, ls=(0, (4, 3)), zorder=3)
    # In the row of the slowest way, where there is room.
    axis.text(
        limit * room**0.012 if shown else most * room**0.32,
        0,
        f"limit {number(limit)}" if shown else f"limit {number(limit)}, off the scale →",
        color=EXPECTED,
        fontsize=8.5,
        va="center",
        ha="left" if shown else "right",
    )
    for position, way in enumerate(WAYS):
        _label(axis, measured, name, way, position, least, room)


def _label(
    axis: Axes, measured: Record, name: str, way: str, position: int, least: float, room: float
) -> None:
    """Write the rate of a way behind its bar, and how far ours is ahead."""
    m, ratio = measured.find(name, way), measured.over(name, way)
    text = "not measured" if m is None else number(m.rate)
    if m is not None and way in PEERS and ratio is not None:
        text += f"   bench-lr is {number(ratio)} × as fast"
    axis.text(
        (least if m is None else m.rate) * room**0.012,
        position,
        text,
        va="center",
        color=INK if way == OURS else MUTED,
        weight="bold" if way == OURS else "normal",
        fontsize=8.5,
        # The line of the limit must not strike the numbers through.
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        zorder=4,
    )


def main(json_file: str, folder: str) -> None:
    """Write the table into ``performance.md`` and the figure beside it."""
    measured = record.read(Path(json_file))
    page = Path(folder) / "performance.md"
    page.write_text(put(page.read_text(), markdown(measured)))
    save(draw(measured), Path(folder) / "performance")


if __name__ == "__main__":
    main(*sys.argv[1:])
