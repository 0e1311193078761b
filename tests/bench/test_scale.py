"""Cost as the work grows: planning, looking for what lacks, judging. Run with `make bench`.

Each is done in a process of its own, whose own clock and peak memory are in `extra_info`: the time
that pytest-benchmark shows has the start of the process in it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench_lr.store import Store
from tests.bench import scale

MOST = 100_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the results of 100,000 runs."""
    root = tmp_path_factory.mktemp("scale") / "store"
    start = time.perf_counter()
    (claim,) = scale.claims(MOST)
    scale.fill(Store(root), claim)
    print(f"\n{MOST:,} runs stored in {time.perf_counter() - start:.0f} s", end="")
    return root


def note(benchmark: BenchmarkFixture, group: str, what: str, *arguments: object) -> None:
    benchmark.group = group
    numbers = benchmark.pedantic(scale.alone, (what, *arguments), rounds=1)
    benchmark.extra_info.update(numbers)
    told = "  ".join(f"{name} {value:,.3g}" for name, value in numbers.items())
    print(f"\n{what} {arguments[-1]:>9,}: {told}", end="", flush=True)


@pytest.mark.parametrize("runs", [100, 1_000, 10_000, MOST])
def test_planning_runs_and_jobs_of_ten(benchmark: BenchmarkFixture, runs: int) -> None:
    note(benchmark, "planning", "plan", runs)


@pytest.mark.parametrize("runs", [1_000, 10_000, MOST])
def test_what_a_full_store_lacks(benchmark: BenchmarkFixture, store: Path, runs: int) -> None:
    note(benchmark, "what a store of 100,000 lacks", "lacking", store, runs)


@pytest.mark.parametrize("runs", [100, 1_000, 10_000, MOST])
def test_judging_in_a_full_store(benchmark: BenchmarkFixture, store: Path, runs: int) -> None:
    note(benchmark, "judging in a store of 100,000", "judge", store, runs)


@pytest.mark.parametrize("runs", [100, 1_000, 10_000])
def test_storing(benchmark: BenchmarkFixture, tmp_path: Path, runs: int) -> None:
    note(benchmark, "storing", "put", tmp_path / "store", runs)


def test_listing_the_claims(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "bench-lr list"
    words = [sys.executable, "-m", "bench_lr", "list"]
    benchmark.pedantic(subprocess.run, (words,), {"capture_output": True, "check": True}, rounds=3)
    print(f"\nbench-lr list: {benchmark.stats.stats.median:.2f} s", end="")
