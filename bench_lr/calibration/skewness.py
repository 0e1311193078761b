"""How skewed real seed-paired differences are, from the runs in a store.

::

    python -m bench_lr.calibration.skewness store

The skewness of eight values says little about the distribution they come from: that of Gaussian
samples has a standard deviation of 0.75, and that of very skewed ones cannot exceed a bound set by
their number. A quantile of many samples' skewness is therefore translated into the skewness of
lognormal noise that gives samples of that size the same quantile (indirect inference: Gourieroux,
Monfort and Renault 1993, Journal of Applied Econometrics 8, S85-S118).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize

from bench_lr.calibration.noise import lognormal
from bench_lr.stats import FloatArray

LAST_EPOCHS = 5
SPLIT_RUNS = 0.1
"""SD of accuracy between the seeds of an arm above which some runs learnt and others did not."""
QUANTILE = 0.95
TRIALS = 40_000
RESAMPLES = 500


@dataclass(frozen=True)
class Arm:
    """Accuracy of the runs of an arm, shape (seeds,), in order of seed."""

    claim: str
    values: FloatArray

    @property
    def split(self) -> bool:
        """Whether some runs learnt and others did not: a mixture, not skewed noise."""
        return bool(self.values.std(ddof=1) > SPLIT_RUNS)


def sample_skewness(x: FloatArray) -> FloatArray:
    """Adjusted Fisher-Pearson skewness along the last axis, of 3 values or more.

    ``G1 = g1 sqrt(n (n - 1)) / (n - 2)``: Joanes and Gill (1998), The Statistician 47, 183-189.
    """
    n = x.shape[-1]
    centred = x - x.mean(-1, keepdims=True)
    g1 = (centred**3).mean(-1) / (centred**2).mean(-1) ** 1.5
    adjusted: FloatArray = g1 * np.sqrt(n * (n - 1)) / (n - 2)
    return adjusted


def paired(arms: Sequence[Arm]) -> FloatArray:
    """Absolute sample skewness of the differences between every two arms of the same claim."""
    found = []
    for first, second in itertools.combinations(arms, 2):
        if first.claim == second.claim:
            difference = first.values - second.values
            if np.ptp(difference) > 0.0:
                found.append(abs(float(sample_skewness(difference))))
    return np.array(found)


def matched(observed: float, seeds: int, quantile: float = QUANTILE) -> float:
    """Skewness of the lognormal noise whose samples have `observed` as quantile of their own.

    Parameters
    ----------
    observed : float
        Quantile of the absolute sample skewness of many samples.
    seeds : int
        Size of each.
    quantile : float
        Which one.

    Returns
    -------
    float
        Between 0.05 and 6; 0.05 also if Gaussian samples are no less skewed.
    """

    def excess(skewness: float) -> float:
        rng = np.random.default_rng(0)  # the same draws at every skewness: a smooth function
        samples = lognormal(rng, (TRIALS, seeds), skewness)
        return float(np.quantile(np.abs(sample_skewness(samples)), quantile)) - observed

    low, high = 0.05, 6.0
    if excess(low) >= 0.0:
        return low
    return high if excess(high) <= 0.0 else float(optimize.brentq(excess, low, high, xtol=0.01))


def accuracy(frame: pd.DataFrame, claim: str) -> list[Arm]:
    """Mean accuracy over the last epochs of every run, by arm, from the frame of a verdict.

    On the validation set, or the test set where that is all a claim looks at.
    """
    wanted = frame[frame.metric == "accuracy"]
    split = "validation" if (wanted.split == "validation").any() else "test"
    wanted = wanted[wanted.split == split]
    arms = []
    for _, of_arm in wanted.groupby("arm", observed=True):
        ends = of_arm.groupby("seed").epoch.transform("max")
        tail = of_arm[of_arm.epoch > ends - LAST_EPOCHS + 1e-6]
        arms.append(Arm(claim, tail.groupby("seed").value.mean().to_numpy(np.float64)))
    return arms


def stored(folder: Path, profile: str = "quick") -> list[Arm]:
    """Arms of all claims whose runs are in a store, those with fewer than six seeds left out."""
    from bench_lr.claims.load import load_claims
    from bench_lr.judge import judge
    from bench_lr.store import Store

    store = Store(folder)
    arms = [
        arm
        for claim in load_claims(profile=profile)
        if claim.arms
        for arm in accuracy(judge(claim, store).frame, claim.id)
    ]
    return [arm for arm in arms if arm.values.size >= 6 and np.isfinite(arm.values).all()]


def resampled(arms: Sequence[Arm], quantile: float = QUANTILE) -> FloatArray:
    """Quantile of the skewness in bootstrap samples of the arms (Efron 1979), shape (RESAMPLES,).

    Arms, not pairs of them: pairs that share an arm are skewed alike.
    """
    rng = np.random.default_rng(0)
    by_claim: Mapping[str, list[Arm]] = {
        claim: list(members) for claim, members in itertools.groupby(arms, lambda arm: arm.claim)
    }
    found = []
    for _ in range(RESAMPLES):
        chosen = [
            members[i]
            for members in by_claim.values()
            for i in rng.integers(0, len(members), len(members))
        ]
        found.append(np.quantile(paired(chosen), quantile))
    return np.array(found)


def main(folder: str) -> None:
    """Print what the noise of the simulation is taken from."""
    arms = stored(Path(folder))
    whole = [arm for arm in arms if not arm.split]
    seeds = int(np.median([arm.values.size for arm in whole]))
    skewness = paired(whole)
    print(f"{len(whole)} arms of {len({arm.claim for arm in whole})} claims, {skewness.size} pairs")
    print(f"{len(arms) - len(whole)} arms in which some runs learnt and others did not: left out")
    for quantile in (0.5, 0.75, 0.9, QUANTILE):
        observed = float(np.quantile(skewness, quantile))
        like = matched(observed, seeds, quantile)
        print(f"quantile {quantile}: {observed:.2f}, as of lognormal noise of skewness {like:.2f}")
    upper = float(np.quantile(resampled(whole), 0.975))
    print(
        f"quantile {QUANTILE}, upper end of its 95 % bootstrap interval: {upper:.2f}, as of "
        f"lognormal noise of skewness {matched(upper, seeds):.2f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
