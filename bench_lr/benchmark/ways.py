"""Ways of training: what people would use, and this package."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench_lr.benchmark.peers.given import Curves
from bench_lr.data import Dataset
from bench_lr.schema import RunConfig


@dataclass(frozen=True)
class Way:
    """One way of training.

    Attributes
    ----------
    module, function : str
        The training function, in `bench_lr.benchmark.peers`.
    one_run : bool
        Whether it trains one run at a time, so that measuring one tells all.
    process_a_core : bool
        Whether the seeds are divided among single-threaded processes, one a core.
    needs : str
        Package that must be installed, an extra of this one.
    """

    name: str
    label: str
    module: str
    function: str = "train"
    one_run: bool = False
    process_a_core: bool = False
    needs: str = ""

    def missing(self) -> str:
        """Why it cannot be measured here, or an empty string."""
        if not self.needs or importlib.util.find_spec(self.needs):
            return ""
        return f"{self.needs} is not installed: pip install 'bench-lr[{self.needs}]'"

    def trainer(self) -> Callable[[Sequence[RunConfig], Dataset], Curves]:
        """Return the training function."""
        peer = importlib.import_module(f"bench_lr.benchmark.peers.{self.module}")
        found: Callable[[Sequence[RunConfig], Dataset], Curves] = getattr(peer, self.function)
        return found


WAYS = {
    w.name: w
    for w in (
        Way("lightning", "Lightning, a run at a time", "lightning", one_run=True),
        Way("loop", "PyTorch loop, a run at a time", "loop", one_run=True),
        Way("functional", "torch.func vmap", "functional"),
        Way("jax", "JAX jit(vmap(scan))", "jax_scan", process_a_core=True, needs="jax"),
        Way("together", "bench-lr, one process", "cohort", "train_together"),
        Way("cohort", "bench-lr", "cohort", process_a_core=True),
    )
}
OURS = "cohort"
PEERS = ("lightning", "loop", "functional", "jax")
