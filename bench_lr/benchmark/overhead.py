"""How much of a fit Lightning takes: what is left of it without the cohort's own work.

``python -m bench_lr.benchmark.overhead`` prints a Markdown table, one row a workload.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytorch_lightning as pl

from bench_lr.benchmark.peers.given import dataset
from bench_lr.benchmark.workloads import WORKLOADS
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import divide
from bench_lr.plan import runs_on_cpu
from bench_lr.trainer import Block, CohortModule, make_trainer, quiet_lightning

REPEATS = 3


@dataclass(frozen=True)
class Parts:
    """Seconds of training one cohort.

    Attributes
    ----------
    build : float
        Making the cohort.
    fit : float
        ``Trainer`` and its ``fit``, blocks included.
    blocks : float
        Inside the blocks: steps, evaluation, orders of examples.
    count : int
        Blocks.
    """

    build: float
    fit: float
    blocks: float
    count: int

    @property
    def share(self) -> float:
        """Lightning's part of the whole."""
        return (self.fit - self.blocks) / (self.build + self.fit)


class _Timed(CohortModule):
    """A cohort whose blocks are timed."""

    seconds = 0.0
    count = 0

    def _train(self, block: Block) -> None:
        start = time.perf_counter()
        super()._train(block)
        self.seconds += time.perf_counter() - start
        self.count += 1


def measure(workload: str) -> Parts:
    """Train the first cohort of a workload several times; the parts of the fastest."""
    runs = WORKLOADS[workload].runs()
    cohort_runs = divide(runs, runs_on_cpu(runs[0]))[0]
    data = dataset(runs[0].task.data)
    found = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        cohort = Cohort(cohort_runs, data)
        built = time.perf_counter()
        with quiet_lightning():
            module = _Timed(cohort)
            trainer: pl.Trainer = make_trainer(len(module.stretches), "cpu", cohort.config.dtype)
            trainer.fit(module)
        end = time.perf_counter()
        found.append(Parts(built - start, end - built, module.seconds, module.count))
    return min(found[1:], key=lambda parts: parts.build + parts.fit)


def main() -> None:
    """Print the table."""
    import torch

    torch.set_num_threads(1)
    print("| workload | whole | in blocks | blocks | building the cohort | Lightning |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in WORKLOADS:
        parts = measure(name)
        print(
            f"| `{name}` | {parts.build + parts.fit:.3f} s | {parts.blocks:.3f} s | {parts.count} "
            f"| {parts.build:.3f} s | {parts.share:.1%} |"
        )


if __name__ == "__main__":
    main()
