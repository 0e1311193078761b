"""What arithmetic alone would take: the machine's own rate of matrix products."""

from __future__ import annotations

import statistics
import time

import torch

from bench_lr.provenance import cores

SIZES = (512, 1024, 2048)
REPEATS = 9


def sgemm_gflops() -> float:
    """GFLOP/s of square float32 matrix products on all cores: median time of the best size."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        return max(_rate(size) for size in SIZES) / 1e9
    finally:
        torch.set_num_threads(before)


def _rate(size: int) -> float:
    a, b, out = (torch.rand(size, size) for _ in range(3))
    seconds = []
    for _ in range(REPEATS + 2):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return 2.0 * size**3 / statistics.median(seconds[2:])
