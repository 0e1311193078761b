"""Run a whole calibration on all cores."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial

from bench_lr.calibration.noise import SKEWNESS
from bench_lr.calibration.record import Calibration
from bench_lr.calibration.setups import SETUPS
from bench_lr.calibration.simulate import (
    SEEDS,
    InLooks,
    Judge,
    Tally,
    Task,
    at_once,
    simulate,
    tasks,
)


def calibrate(
    kinds: Sequence[str] = tuple(SETUPS),
    *,
    trials: int,
    seed: int = 0,
    seeds: Sequence[int] = SEEDS,
    judge: Judge = at_once,
    looks: tuple[int, ...] = (),
    processes: int = 1,
    done: Callable[[float], None] = lambda share: None,
) -> Calibration:
    """Simulate kinds of criterion under every truth, noise and number of seeds.

    Parameters
    ----------
    kinds : sequence of str
        Of `SETUPS`.
    trials : int
        Experiments of a cell on the boundary; fewer elsewhere, see `simulate.FEWER`.
    seed : int
        The same seed gives the same counts, whatever the number of processes.
    seeds : sequence of int
        Numbers of seeds to judge with.
    judge : callable
        What is calibrated; picklable if there are several processes.
    looks : tuple of int
        Calibrate judging in looks instead, with these numbers of seeds.
    processes : int
        Processes to use; with one, everything runs in this one.
    done : callable
        Told the share of the work that is done, now and then.
    """
    begin = time.perf_counter()
    if looks:
        judge, seeds = InLooks(looks), looks[-1:]
    work = tasks(kinds, trials, seed, seeds)
    whole = sum(_cost(task) for task in work)
    found: dict[Task, list[Tally]] = {}
    share = 0.0
    for task, tallies in _simulated(work, judge, processes):
        found[task] = tallies
        share += _cost(task) / whole
        done(min(share, 1.0))
    order = [task for kind in kinds for task in work if task.kind == kind]
    return Calibration(
        trials=trials,
        seed=seed,
        skewness=SKEWNESS,
        seconds=round(time.perf_counter() - begin, 1),
        tallies=tuple(tally for task in order for tally in found[task]),
        looks=looks,
    )


def _cost(task: Task) -> int:
    """Roughly how long a task takes, in units of its own."""
    return task.trials * len(task.seeds) * (2 + SETUPS[task.kind].comparisons)


def _simulated(
    work: Sequence[Task], judge: Judge, processes: int
) -> Iterator[tuple[Task, list[Tally]]]:
    if processes == 1:
        yield from ((task, simulate(task, judge)) for task in work)
        return
    # Spawned, not forked: the caller may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        pending = {pool.submit(partial(simulate, judge=judge), task): task for task in work}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
