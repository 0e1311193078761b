"""Rare and frequent features of a sparse logistic regression, under SGD and Adagrad."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from bench_lr.calculations.streams import generators
from bench_lr.calculations.words import Count, Positives, Share
from bench_lr.schedules import Floats

EPS = 1e-10
"""Added to the root of Adagrad's sum, as ``torch.optim.Adagrad`` does."""


@dataclass(frozen=True)
class RareFeatures:
    r"""Error of the weights of a logistic regression after one pass over fresh examples.

    Feature j is present (1) with probability `rare_share` or `frequent_share`, else 0; the label is
    1 with probability :math:`1 / (1 + \exp(-w \cdot x))`, w standard normal for each seed. Training
    starts from 0, takes `steps` batches, and is repeated with each of `lrs`. Examples are the same
    for every optimizer and LR. Adagrad: Duchi, Hazan and Singer (2011), JMLR 12, 2121-2159;
    ``sgd_decayed`` divides the LR of the k-th step by :math:`\sqrt{k}`, as
    Adagrad does for a feature that is in every batch.

    Errors are root mean squares over the features of `group`. `report`: ``tuned`` (error at the LR
    with the smallest mean error over seeds of the group `tuned_by`); ``by_lr`` (error at each of
    `lrs`); ``best_lr`` (the LR with the smallest error, for each seed).
    """

    optimizer: Literal["sgd", "sgd_decayed", "adagrad"]
    lrs: Positives
    rare_share: Share
    frequent_share: Share
    features: Count = 8
    batch_size: Count = 10
    steps: Count = 1000
    group: Literal["rare", "frequent", "all"] = "rare"
    tuned_by: Literal["rare", "frequent", "all"] = "rare"
    report: Literal["tuned", "by_lr", "best_lr"] = "tuned"
    seeds: Count = 64
    kind: Literal["rare_features"] = "rare_features"

    def values(self) -> Floats:
        """Return what is reported, shape (seeds,), or (seeds, len(lrs)) by LR."""
        errors = self._errors(self.group)
        if self.report == "by_lr":
            return errors
        if self.report == "best_lr":
            result: Floats = np.asarray(self.lrs)[errors.argmin(axis=1)]
            return result
        return errors[:, int(self._errors(self.tuned_by).mean(axis=0).argmin())]

    def _errors(self, group: str) -> Floats:
        """Root mean square error of a group of features, shape (seeds, len(lrs))."""
        away = _trained(
            self.optimizer,
            self.lrs,
            (self.rare_share, self.frequent_share),
            self.features,
            self.batch_size,
            self.steps,
            self.seeds,
        )
        parts = {
            "rare": slice(0, self.features),
            "frequent": slice(self.features, None),
            "all": slice(None),
        }
        result: Floats = np.sqrt((away[..., parts[group]] ** 2).mean(axis=-1))
        return result


# A claim looks at the same training from several sides.
@lru_cache(maxsize=8)
def _trained(
    optimizer: str,
    lrs: tuple[float, ...],
    shares: tuple[float, float],
    features: int,
    batch_size: int,
    steps: int,
    seeds: int,
) -> Floats:
    """Distance of the weights from the true ones after training, shape (seeds, lrs, features)."""
    share = np.repeat(shares, features)
    from bench_lr.calculations.sparse_loops import train

    share = np.repeat(shares, features)
    rates = np.asarray(lrs, dtype=np.float64)
    away = np.empty((seeds, len(lrs), 2 * features))
    room = np.empty((2, 2 * features))
    for seed, g in enumerate(generators("sparse features", seeds)):
        truth = g.standard_normal(2 * features)
        x = g.random((steps * batch_size, 2 * features)) < share
        chance = 1 / (1 + np.exp(-(x @ truth)))
        y = (g.random(steps * batch_size) < chance).astype(np.float64).reshape(steps, batch_size)
        ends = np.concatenate([[0], np.cumsum(x.sum(axis=1))])
        present = np.nonzero(x)[1]
        weights = np.zeros((len(lrs), 2 * features))
        kind = optimizer == "adagrad", optimizer == "sgd_decayed"
        train(ends, present, y, rates, *kind, weights, *room)
        away[seed] = weights - truth
    away.flags.writeable = False
    return away
