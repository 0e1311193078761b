"""Simulated experiments of known truth, judged: how often is each verdict given?"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench_lr.calibration.noise import NOISES, Noise, differences
from bench_lr.calibration.setups import CLEAR, SETUPS, SHARED_SD, Arms, Setup
from bench_lr.criteria import CriterionResult, evaluate
from bench_lr.looks import judge_in_looks

SEEDS = (6, 8, 10, 20, 32)
EFFECTS = (0.5, 1.0, 1.5, 2.0)
FEWER = {"gaussian": 8}
"""Trials off the boundary, where wrong verdicts are rare, are so many times fewer (else 16)."""
BATCH = 500

Judge = Callable[[str, Arms, Mapping[str, Any]], CriterionResult]
"""From a kind, the arms of the first n seeds, and parameters to a result.

One that looks several times, adding seeds, is such a function too: n is then its last look.
"""


@dataclass(frozen=True)
class InLooks:
    """Judge look by look, adding seeds until the verdict is decided.

    Attributes
    ----------
    looks : tuple of int
        Seeds at each look; the experiments need as many as the last.
    """

    looks: tuple[int, ...]

    def __call__(self, kind: str, arms: Arms, params: Mapping[str, Any]) -> CriterionResult:
        return judge_in_looks(kind, arms, self.looks, **params)


Side = Literal["boundary", "claim", "against"]
Spread = Literal["only", "all", "one"]


def at_once(kind: str, arms: Arms, params: Mapping[str, Any]) -> CriterionResult:
    """Judge all seeds at once, as a claim file without looks has it."""
    return evaluate(kind, arms, **params)


@dataclass(frozen=True)
class Truth:
    """Where the true means lie.

    Attributes
    ----------
    side : {"boundary", "claim", "against"}
        On the bound, on the claim's side, or beyond the bound.
    effect : float
        Distance from the bound, in SDs.
    spread : {"only", "all", "one"}
        Whether the only comparison lies there, all of them, or one while the others clearly hold.
    """

    side: Side
    effect: float
    spread: Spread

    @property
    def name(self) -> str:
        """As in records: ``1.5 SD against, one``."""
        where = "boundary" if self.side == "boundary" else f"{self.effect:g} SD {self.side}"
        return where if self.spread == "only" else f"{where}, {self.spread}"

    def advantages(self, comparisons: int) -> tuple[float, ...]:
        """True advantage of every comparison."""
        here = -self.effect if self.side == "against" else self.effect
        others = CLEAR if self.spread == "one" else here
        return (here, *[others] * (comparisons - 1))


@dataclass(frozen=True)
class Tally:
    """How often each verdict was given: one kind, noise, truth and number of seeds.

    `used` adds up the seeds that the verdicts took, which are fewer where seeds are added by need.
    """

    kind: str
    noise: str
    truth: Truth
    seeds: int
    trials: int
    reproduced: int
    refuted: int
    used: int = 0

    @property
    def wrong(self) -> int:
        """Verdicts that are wrong: on the boundary, where neither side can be known, both."""
        match self.truth.side:
            case "boundary":
                return self.reproduced + self.refuted
            case "claim":
                return self.refuted
            case "against":
                return self.reproduced

    @property
    def right(self) -> int:
        """Verdicts that say what is true: none on the boundary."""
        match self.truth.side:
            case "boundary":
                return 0
            case "claim":
                return self.reproduced
            case "against":
                return self.refuted


@dataclass(frozen=True)
class Task:
    """One truth under one noise, for every number of seeds."""

    kind: str
    noise: str
    truth: Truth
    seeds: tuple[int, ...]
    trials: int
    seed: int


def truths(comparisons: int) -> Iterator[Truth]:
    """Truths that a kind is simulated under: the boundary at its worst, and effects either way."""
    several = comparisons > 1
    # All on the boundary is the worst for refuting, one (the others clear) for reproducing.
    yield from (Truth("boundary", 0.0, s) for s in (("all", "one") if several else ("only",)))
    for effect in EFFECTS:
        yield Truth("claim", effect, "all" if several else "only")
        for spread in ("all", "one") if several else ("only",):
            yield Truth("against", effect, spread)


def tasks(kinds: Sequence[str], trials: int, seed: int, seeds: Sequence[int] = SEEDS) -> list[Task]:
    """Everything to simulate, the long ones first."""
    found = [
        Task(kind, noise.name, truth, tuple(seeds), _trials(noise, truth, trials), seed)
        for kind in kinds
        for noise in NOISES.values()
        # The mirror image of a single comparison has the same rates on the other side.
        if SETUPS[kind].comparisons > 1 or noise.skewness >= 0.0
        for truth in truths(SETUPS[kind].comparisons)
        if noise.limit is not None or truth.side == "boundary"
    ]
    return sorted(found, key=lambda t: -t.trials * SETUPS[t.kind].comparisons)


def _trials(noise: Noise, truth: Truth, trials: int) -> int:
    if noise.limit is None:
        return max(trials // 4, 1)
    fewer = 1 if truth.side == "boundary" else FEWER.get(noise.name, 16)
    return max(trials // fewer, 1)


def simulate(task: Task, judge: Judge = at_once) -> list[Tally]:
    """Judge simulated experiments; a task gives the same counts whenever it is run.

    Every experiment is drawn once with the most seeds, and judged on the first n of them.
    """
    setup = SETUPS[task.kind]
    key = zlib.crc32(f"{task.kind}/{task.noise}/{task.truth.name}".encode())
    rng = np.random.default_rng([task.seed, key])
    counts = {n: {"reproduced": 0, "refuted": 0, "used": 0} for n in task.seeds}
    for start in range(0, task.trials, BATCH):
        size = min(BATCH, task.trials - start)
        for arms in experiments(setup, NOISES[task.noise], task.truth, size, max(task.seeds), rng):
            for n in task.seeds:
                first = {name: values[:n] for name, values in arms.items()}
                result = judge(task.kind, first, setup.params)
                counts[n]["used"] += result.seeds
                if result.verdict in ("reproduced", "refuted"):
                    counts[n][result.verdict] += 1
    return [
        Tally(task.kind, task.noise, task.truth, n, task.trials, **counts[n]) for n in task.seeds
    ]


def experiments(
    setup: Setup,
    noise: Noise,
    truth: Truth,
    trials: int,
    seeds: int,
    rng: np.random.Generator,
) -> Iterator[Arms]:
    """Arms of so many experiments of a kind."""
    m = setup.comparisons
    advantage = differences(noise, rng, trials, seeds, m, setup.correlation if m > 1 else 0.0)
    if setup.centre == "median":
        advantage -= noise.median()
    advantage += np.array(truth.advantages(m))
    shared = rng.normal(0.0, SHARED_SD, (trials, seeds))
    for one, common in zip(advantage, shared, strict=True):
        yield setup.build(one, common)
