"""Speed of training beside what people would use. Run with `make bench`.

Every way trains in processes of its own that are warm when the clock starts. Rates and ratios are
in `extra_info`; all of them are written as a record to ``$BENCH_LR_SPEED`` and printed at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console

from bench_lr.benchmark import record
from bench_lr.benchmark.crew import Crew
from bench_lr.benchmark.limit import sgemm_gflops
from bench_lr.benchmark.measure import record_of, rounds_of
from bench_lr.benchmark.peers.given import dataset
from bench_lr.benchmark.record import Measurement
from bench_lr.benchmark.ways import PEERS, WAYS
from bench_lr.benchmark.workloads import WORKLOADS
from bench_lr.cli.bench import table
from bench_lr.trainer import train_cohort


@pytest.fixture(scope="module")
def measured() -> Iterator[list[Measurement]]:
    """What has been measured so far; written and printed when all is done."""
    found: list[Measurement] = []
    yield found
    whole = record_of(found, max(sgemm_gflops() for _ in range(5)))
    record.write(whole, Path(os.environ.get("BENCH_LR_SPEED", "out/speed.json")))
    Console(width=140).print("\n", table(whole))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_training(
    benchmark: BenchmarkFixture, name: str, way: str, measured: list[Measurement]
) -> None:
    if why := WAYS[way].missing():
        pytest.skip(why)
    benchmark.group = name
    with Crew(way, WORKLOADS[name].runs()) as crew:
        benchmark.pedantic(crew.fit, rounds=rounds_of(crew))
    seconds = tuple(benchmark.stats.stats.data)
    found = Measurement(name, way, crew.runs, crew.run_epochs, seconds, crew.startup)
    measured.append(found)
    whole = record_of(measured, 1.0)
    benchmark.extra_info["run_epochs_per_second"] = found.rate
    benchmark.extra_info["run_epochs_per_second_with_startup"] = found.rate_with_startup
    for peer in PEERS:
        if (ratio := whole.over(name, peer, way)) is not None and way not in PEERS:
            benchmark.extra_info[f"over_{peer}"] = ratio
    print(f"\n{name:<6} {way:<11} {found.rate:10.3g} run-epochs/s", end="", flush=True)


@pytest.mark.parametrize("runs", [1, 4, 16, 64, 256])
def test_runs_of_one_cohort(benchmark: BenchmarkFixture, runs: int) -> None:
    """Cost of a step of one run, in microseconds, as a cohort grows; one thread."""
    chosen = WORKLOADS["ae16"].scaled(runs, train_size=5500).runs()
    data = dataset("mnist")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        benchmark.pedantic(
            train_cohort, (chosen, data), {"device": "cpu"}, rounds=3, warmup_rounds=1
        )
    finally:
        torch.set_num_threads(before)
    seconds = benchmark.stats.stats.median
    steps = -(-5500 // 16)
    benchmark.group = "runs of one cohort"
    benchmark.extra_info["microseconds_per_run_step"] = seconds / steps / runs * 1e6
    print(f"\n{runs:>4} runs: {seconds / steps / runs * 1e6:8.1f} us a step of a run", end="")
