"""What a calibration found: counts, the rates made of them, and the JSON that holds both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_lr.atomic import write_atomically
from bench_lr.calibration.noise import NOISES
from bench_lr.calibration.simulate import Side, Tally, Truth
from bench_lr.stats import wilson

SURE = 0.999
"""Coverage of the interval that must lie above a limit for it to be called broken.

Of about a hundred cells whose true rate is the limit itself, 95 % intervals would put two or three
above it by chance.
"""
POWER_SEEDS, POWER_EFFECT = 10, 1.5


@dataclass(frozen=True)
class Rate:
    """A share of trials with its 95 % Monte Carlo interval (Wilson)."""

    count: int
    trials: int

    @property
    def value(self) -> float:
        """Share of the trials."""
        return self.count / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Its interval."""
        return wilson(self.count, self.trials)

    def above(self, limit: float | None) -> bool:
        """Whether it is surely above a limit, see `SURE`; never without one."""
        return limit is not None and wilson(self.count, self.trials, SURE)[0] > limit


@dataclass(frozen=True)
class Calibration:
    """Counts of all cells, and what they were simulated with.

    Attributes
    ----------
    trials : int
        Simulated experiments of a cell on the boundary.
    seed : int
        Of the simulation.
    skewness : float
        Of the skewed noise.
    seconds : float
        Wall time.
    tallies : tuple of Tally
    looks : tuple of int
        Seeds at each look, where they were added by need.
    """

    trials: int
    seed: int
    skewness: float
    seconds: float
    tallies: tuple[Tally, ...]
    looks: tuple[int, ...] = ()

    def seeds_used(self, kind: str, effect: float, noise: str = "gaussian") -> float:
        """Mean number of seeds until a verdict, the truth so far on the claim's side."""
        cells = [
            t.used / t.trials
            for t in self.tallies
            if (t.kind, t.noise) == (kind, noise)
            and t.truth.effect == effect
            and t.truth.side in ("boundary", "claim")
        ]
        return max(cells)

    def kinds(self) -> list[str]:
        """Kinds that were simulated, in the order of the record."""
        return list(dict.fromkeys(t.kind for t in self.tallies))

    def of(self, kind: str, family: str) -> list[Tally]:
        """Cells of a kind under the noises of a family."""
        return [t for t in self.tallies if t.kind == kind and NOISES[t.noise].family == family]

    def worst(self, kind: str, family: str, seeds: int | None = None) -> Tally:
        """Cell of the greatest wrong rate, over truths and (unless given) numbers of seeds."""
        cells = [t for t in self.of(kind, family) if seeds in (None, t.seeds)]
        return max(cells, key=lambda t: t.wrong / t.trials)

    def power(
        self, kind: str, side: Side, effect: float, *, seeds: int, noise: str = "gaussian"
    ) -> Rate:
        """How often a truth is recognised: the worst of its spreads over comparisons."""
        cells = [
            Rate(t.right, t.trials)
            for t in self.tallies
            if (t.kind, t.noise, t.seeds) == (kind, noise, seeds)
            and (t.truth.side, t.truth.effect) == (side, effect)
        ]
        return min(cells, key=lambda rate: rate.value)

    def broken(self) -> Iterator[Tally]:
        """Cells in which a verdict is surely wrong more often than the noise's limit."""
        for t in self.tallies:
            if Rate(t.wrong, t.trials).above(NOISES[t.noise].limit):
                yield t


def families() -> dict[str, tuple[str, float | None]]:
    """Label and limit (None: no limit) of every family of noises, in order."""
    return {noise.family: (noise.label, noise.limit) for noise in NOISES.values()}


def write(calibration: Calibration, path: Path) -> None:
    """Write a calibration, with the rates that follow from it, as JSON."""
    content = asdict(calibration)
    for item, t in zip(content["tallies"], calibration.tallies, strict=True):
        wrong, right = Rate(t.wrong, t.trials), Rate(t.right, t.trials)
        item["truth"]["name"] = t.truth.name
        item["limit"] = NOISES[t.noise].limit
        item["wrong_rate"], item["wrong_interval"] = wrong.value, wrong.interval
        if t.truth.side != "boundary":
            item["power"], item["power_interval"] = right.value, right.interval
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def read(path: Path) -> Calibration:
    """Read what `write` wrote."""
    content: dict[str, Any] = json.loads(path.read_text())
    tallies = []
    for item in content.pop("tallies"):
        names = ("trials", "reproduced", "refuted", "seeds", "used")
        counts = {name: item[name] for name in names}
        truth = {name: item["truth"][name] for name in ("side", "effect", "spread")}
        tallies.append(Tally(item["kind"], item["noise"], Truth(**truth), **counts))
    looks = tuple(content.pop("looks"))
    return Calibration(**content, tallies=tuple(tallies), looks=looks)
