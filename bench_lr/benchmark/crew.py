"""Fresh processes that train when they are told to, so that only the training is timed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from bench_lr.benchmark.peers.given import Curves
from bench_lr.benchmark.ways import WAYS, Way
from bench_lr.provenance import cores
from bench_lr.schema import RunConfig

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
"""What makes PyTorch, NumPy and XLA keep to one thread; read when they are imported."""
PATIENCE = 1800.0
"""Seconds after which a process that says nothing is given up."""


class CrewError(RuntimeError):
    """A process of a crew failed, with its traceback, or said nothing for too long."""


def shares(way: Way, runs: Sequence[RunConfig]) -> list[list[RunConfig]]:
    """Divide the runs among the processes: whole seeds, as even as possible."""
    if way.one_run:
        return [list(runs[:1])]
    seeds = list(dict.fromkeys(run.seed for run in runs))
    count = min(cores(), len(seeds)) if way.process_a_core else 1
    place = {seed: number * count // len(seeds) for number, seed in enumerate(seeds)}
    return [[run for run in runs if place[run.seed] == part] for part in range(count)]


class Crew:
    """The processes of one way of training, ready to train the same runs again and again.

    Parameters
    ----------
    patience : float
        Seconds to wait for an answer.

    Attributes
    ----------
    runs : int
        Runs that a fit trains.
    run_epochs : int
        Epochs of all its runs together.
    startup : float
        Seconds from the start of the processes to the end of the first fit.

    Raises
    ------
    CrewError
        If a process fails.
    """

    def __init__(self, way: str, runs: Sequence[RunConfig], patience: float = PATIENCE) -> None:
        parts = shares(WAYS[way], runs)
        self.runs = sum(map(len, parts))
        self.run_epochs = sum(run.epochs for part in parts for run in part)
        self._patience = patience
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._pipes: list[Connection] = []
        context = multiprocessing.get_context("spawn")
        start = time.perf_counter()
        try:
            # A child takes the environment as it is when it starts.
            with environment(SINGLE_THREADED if WAYS[way].process_a_core else {}):
                for part in parts:
                    ours, theirs = context.Pipe()
                    process = context.Process(target=work, args=(theirs, way, part), daemon=True)
                    process.start()
                    theirs.close()
                    self._processes.append(process)
                    self._pipes.append(ours)
            self._answers()
            self.curves = self.fit()
        except BaseException:
            self.stop()
            raise
        self.startup = time.perf_counter() - start

    def fit(self) -> Curves:
        """Train all runs from their first weights, and return what they reached.

        Raises
        ------
        CrewError
            If a process fails.
        """
        for pipe in self._pipes:
            # Of a process that has ended there is more to learn when its answer is read.
            with contextlib.suppress(BrokenPipeError):
                pipe.send("fit")
        return Curves.joined(self._answers())

    def _answers(self) -> list[Any]:
        """Return the answer of every process; the first that fails ends the waiting."""
        until = time.monotonic() + self._patience
        found: dict[Connection, Any] = {}
        while waiting := [pipe for pipe in self._pipes if pipe not in found]:
            ready = wait(waiting, max(0.0, until - time.monotonic()))
            if not ready:
                raise CrewError(f"no answer within {self._patience:.0f} s")
            for pipe in waiting:
                if pipe in ready:
                    found[pipe] = self._answer(pipe)
        return [found[pipe] for pipe in self._pipes]

    def _answer(self, pipe: Connection) -> Any:
        try:
            fault, answer = pipe.recv()
        except (EOFError, OSError):
            process = self._processes[self._pipes.index(pipe)]
            process.join(1)
            raise CrewError(
                f"a process ended without a word, exit code {process.exitcode} (killed?)"
            ) from None
        if fault:
            raise CrewError(fault)
        return answer

    def stop(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def work(pipe: Connection, way: str, runs: Sequence[RunConfig]) -> None:
    """Train the runs whenever asked (what a process of a crew does)."""
    try:
        import torch

        if os.environ.get("OMP_NUM_THREADS") == "1":
            torch.set_num_threads(1)
        from bench_lr.benchmark.peers.given import dataset

        train, data = WAYS[way].trainer(), dataset(runs[0].task.data)
        pipe.send(("", None))
        while True:
            pipe.recv()
            pipe.send(("", train(runs, data)))
    except EOFError:
        return
    except BaseException:
        with contextlib.suppress(OSError):
            pipe.send((traceback.format_exc(), None))


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside the context."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
