"""Speed of training, beside an ordinary Lightning loop. Run with `make bench`.

``ordinary`` measures what a cohort measures; ``unlogged`` leaves the training loss unlogged.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench_lr import benchmark as speed
from bench_lr.data import Dataset

RATES: dict[tuple[str, str], float] = {}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return speed.dataset()


@pytest.mark.parametrize("way", ["ordinary", "unlogged", "cohort"])
@pytest.mark.parametrize("name", speed.WORKLOADS)
def test_training(benchmark: BenchmarkFixture, name: str, way: str, data: Dataset) -> None:
    """Rates are in `extra_info`; the last test of a workload holds the ratio."""
    runs = speed.WORKLOADS[name].runs()
    benchmark.group = name
    if way != "cohort":
        runs = runs[:1]
        benchmark.pedantic(speed.ordinary, (runs[0], data, way == "ordinary"), rounds=1)
    else:
        benchmark.pedantic(speed.cohort, (runs, data), rounds=3, warmup_rounds=1)
    rate = sum(run.epochs for run in runs) / benchmark.stats.stats.median
    RATES[name, way] = rate
    benchmark.extra_info["run_epochs_per_second"] = rate
    print(f"\n{name:<6} {way:<9} {len(runs):>3} runs  {rate:8.2f} run-epochs/s", end="")
    for other in ("ordinary", "unlogged"):
        if (name, other) in RATES and way == "cohort":
            ratio = rate / RATES[name, other]
            benchmark.extra_info[f"over_{other}"] = ratio
            print(f"  {ratio:5.1f} x {other}", end="")
