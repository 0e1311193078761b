"""Measure workloads in several ways on this machine."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Sequence

from bench_lr.benchmark.crew import Crew
from bench_lr.benchmark.limit import sgemm_gflops
from bench_lr.benchmark.record import Measurement, Record
from bench_lr.benchmark.ways import WAYS
from bench_lr.benchmark.workloads import WORKLOADS, flops_per_epoch
from bench_lr.provenance import cores, processor, versions

ROUNDS = 3
"""Fits after the first."""
LONG = 20.0
"""Seconds of a first fit, start-up included, after which one more is enough."""


def rounds_of(crew: Crew) -> int:
    """How many fits to time: what takes long varies little."""
    return 1 if crew.startup > LONG else ROUNDS


def measure(workload: str, way: str) -> Measurement:
    """Train a workload in one way, in fresh processes.

    Raises
    ------
    CrewError
        If a process fails.
    """
    with Crew(way, WORKLOADS[workload].runs()) as crew:
        seconds = []
        for _ in range(rounds_of(crew)):
            start = time.perf_counter()
            crew.fit()
            seconds.append(time.perf_counter() - start)
        return Measurement(workload, way, crew.runs, crew.run_epochs, tuple(seconds), crew.startup)


def record_of(measurements: Sequence[Measurement], gflops: float) -> Record:
    """Return measurements with what is known of the machine and the workloads."""
    names = dict.fromkeys(m.workload for m in measurements)
    return Record(
        processor=processor(),
        cores=cores(),
        versions={**versions(), **_versions_of_peers()},
        sgemm_gflops=gflops,
        gflop={name: flops_per_epoch(WORKLOADS[name].runs()[0]) / 1e9 for name in names},
        measurements=tuple(measurements),
        skipped={name: why for name, way in WAYS.items() if (why := way.missing())},
    )


def _versions_of_peers() -> dict[str, str]:
    needed = [way.needs for way in WAYS.values() if way.needs and not way.missing()]
    return {name: importlib.metadata.version(name) for name in needed}


def measure_all(
    workloads: Sequence[str],
    ways: Sequence[str],
    say: Callable[[str], None],
    keep: Callable[[Record], None] = lambda record: None,
) -> Record:
    """Measure every workload in every way there is.

    `say` tells what is at hand; `keep` is given all that is known after every measurement, so that
    a long measurement that is stopped is not lost.
    """
    say("limit: matrix products on all cores")
    gflops = [sgemm_gflops()]
    found: list[Measurement] = []
    for workload in workloads:
        for way in ways:
            if why := WAYS[way].missing():
                say(f"{workload}, {way}: skipped, {why}")
                continue
            say(f"{workload}, {way}: {WAYS[way].label}")
            found.append(measure(workload, way))
            keep(record_of(found, max(gflops)))
        gflops.append(sgemm_gflops())
    # The machine's best moment: a limit that a busy neighbour lowered would flatter us.
    return record_of(found, max(gflops))
