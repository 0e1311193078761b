"""What was measured: written as JSON, read again, and compared."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_lr.benchmark.ways import OURS


@dataclass(frozen=True)
class Measurement:
    """One workload trained in one way.

    Attributes
    ----------
    run_epochs : int
        Epochs of all runs that one fit trains.
    seconds : tuple of float
        Wall time of every fit after the first.
    startup : float
        Seconds from the start of the processes to the end of the first fit.
    """

    workload: str
    way: str
    runs: int
    run_epochs: int
    seconds: tuple[float, ...]
    startup: float

    @property
    def rate(self) -> float:
        """Run-epochs per second of the median fit, after warm-up."""
        return self.run_epochs / statistics.median(self.seconds)

    @property
    def rate_with_startup(self) -> float:
        """Run-epochs per second of a fresh process that trains once."""
        return self.run_epochs / self.startup


@dataclass(frozen=True)
class Record:
    """Everything that was measured, on one machine.

    Attributes
    ----------
    sgemm_gflops : float
        The machine's rate of float32 matrix products, all cores.
    gflop : dict
        GFLOP that a run-epoch of each workload takes, evaluation left out.
    skipped : dict
        Why a way was not measured, by its name.
    """

    processor: str
    cores: int
    versions: dict[str, str]
    sgemm_gflops: float
    gflop: dict[str, float]
    measurements: tuple[Measurement, ...]
    skipped: dict[str, str]

    def find(self, workload: str, way: str) -> Measurement | None:
        """Return a measurement, None if it was not made."""
        for m in self.measurements:
            if (m.workload, m.way) == (workload, way):
                return m
        return None

    def workloads(self) -> list[str]:
        """Names of the workloads that were measured, in order."""
        return list(dict.fromkeys(m.workload for m in self.measurements))

    def limit(self, workload: str) -> float:
        """Run-epochs per second at which arithmetic alone would take all the time."""
        return self.sgemm_gflops / self.gflop[workload]

    def over(self, workload: str, peer: str, way: str = OURS) -> float | None:
        """How many times as fast as a peer; None if one of the two was not measured."""
        mine, theirs = self.find(workload, way), self.find(workload, peer)
        return mine.rate / theirs.rate if mine and theirs else None


def write(record: Record, path: Path) -> None:
    """Write a record, with the rates that follow from it, as JSON."""
    content = asdict(record)
    for item, m in zip(content["measurements"], record.measurements, strict=True):
        item["run_epochs_per_second"] = m.rate
        item["run_epochs_per_second_with_startup"] = m.rate_with_startup
        item["share_of_limit"] = m.rate / record.limit(m.workload)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def read(path: Path) -> Record:
    """Read what `write` wrote."""
    content: dict[str, Any] = json.loads(path.read_text())
    names = Measurement.__dataclass_fields__
    found = []
    for item in content.pop("measurements"):
        kept: dict[str, Any] = {name: item[name] for name in names}
        found.append(Measurement(**{**kept, "seconds": tuple(item["seconds"])}))
    return Record(**content, measurements=tuple(found))


def rows(record: Record, peers: Sequence[str]) -> list[list[str]]:
    """Return the cells of a table: a row a measurement, ours with its ratios."""
    found = []
    for m in record.measurements:
        ratios = [record.over(m.workload, peer, m.way) for peer in peers]
        share = m.rate / record.limit(m.workload)
        found.append(
            [
                m.workload,
                m.way,
                number(m.rate),
                number(m.rate_with_startup),
                *("" if r is None or m.way in peers else f"{number(r)}x" for r in ratios),
                f"{share:.0%}" if share >= 0.01 else f"{share:.1%}",
            ]
        )
    return found


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
