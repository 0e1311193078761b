"""The arms that each kind of criterion is given, built around differences with a known truth.

Every comparison that a kind makes is described by its *advantage*: how far the seed's own value
lies on the claim's side of the bound, in units of the SD of the seed-paired difference. Its mean
(its median, for kinds that judge shares of seeds) is the truth of a simulation: 0 on the boundary,
positive where the claim holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bench_lr.stats import FloatArray

Arms = dict[str, FloatArray]
Build = Callable[[FloatArray, FloatArray], Arms]
"""From advantages (seeds, comparisons) and what the arms of a seed share (seeds,) to arms."""

SHARED_SD = 3.0
"""SD of what the arms of a seed share, in SDs of their difference: pairing must take it out."""
CLEAR = 4.0
"""Advantage, in SDs, of comparisons that are beyond doubt, and half the width of a range."""
RIVALS = ("a", "b", "c")
PLACES = {"a": 1.0, "b": 4.0, "c": 16.0, "d": 64.0}
UNIT = 0.1
"""SD of a log ratio and of a slope, in their own units."""
TIMES, BY = 24, 16


@dataclass(frozen=True)
class Setup:
    """How a kind is simulated.

    Attributes
    ----------
    kind : str
        Kind of criterion.
    decides : str
        How it decides, for the page.
    build : callable
        See `Build`.
    params : mapping
        Parameters of the criterion.
    comparisons : int
        How many it makes.
    correlation : float
        Between the noise of two comparisons.
    centre : {"mean", "median"}
        What of the advantage is 0 on the boundary.
    sd_of : str
        Whose SD the effects are measured in.
    """

    kind: str
    decides: str
    build: Build
    params: Mapping[str, Any]
    comparisons: int = 1
    correlation: float = 0.5
    centre: Literal["mean", "median"] = "mean"
    sd_of: str = field(default="the seed-paired difference")


def _pair(bound: float, sign: float = 1.0) -> Build:
    def build(advantage: FloatArray, shared: FloatArray) -> Arms:
        return {"t": shared + bound + sign * advantage[:, 0], "c": shared}

    return build


def _grid(advantage: FloatArray, shared: FloatArray) -> Arms:
    rivals = {name: shared + 1.0 - advantage[:, j] for j, name in enumerate(RIVALS)}
    return {"expected": shared, **rivals}


def _curves(advantage: FloatArray, shared: FloatArray) -> Arms:
    gaps = (CLEAR - advantage).reshape(len(shared), len(RIVALS), -1)
    reference = np.repeat(shared[:, None], gaps.shape[2], axis=1)
    return {"r": reference, **{name: reference + gaps[:, j] for j, name in enumerate(RIVALS)}}


def _race(advantage: FloatArray, shared: FloatArray) -> Arms:
    """Crossing times with the given advantage over `BY`, four evaluations being one SD."""
    leader = np.repeat(shared[:, None], TIMES, axis=1)
    ahead = np.arange(TIMES) >= BY - 4.0 * advantage
    return {"l": leader, "c": leader + np.where(ahead, 1.0, -1.0)}


def _ladder(advantage: FloatArray, shared: FloatArray) -> Arms:
    steps = np.cumsum(advantage, axis=1)
    return {"a": shared, **{name: shared + steps[:, j] for j, name in enumerate("bcd")}}


def _hill(advantage: FloatArray, shared: FloatArray) -> Arms:
    """Three arms between the ends, of which the first is the best."""
    between = {name: shared - CLEAR * j for j, name in enumerate(RIVALS)}
    return {
        "first": shared - advantage[:, 0],
        **between,
        "last": shared - advantage[:, 1],
    }


def _ratio(advantage: FloatArray, shared: FloatArray) -> Arms:
    under = np.exp(UNIT * shared)
    return {"t": under * np.exp(UNIT * advantage[:, 0]), "c": under}


def _power_law(advantage: FloatArray, shared: FloatArray) -> Arms:
    scale, slopes = np.exp(UNIT * shared), 0.5 + UNIT * advantage[:, 0]
    return {name: scale * x**slopes for name, x in PLACES.items()}


def _blow_ups(advantage: FloatArray, shared: FloatArray) -> Arms:
    return {name: np.where(advantage[:, j] > 0.0, np.nan, shared) for j, name in enumerate(RIVALS)}


def _regimes(advantage: FloatArray, shared: FloatArray) -> Arms:
    """Curves that fall slowly, fall fast, jump about (or not, against the claim), and diverge."""
    scale = np.exp(UNIT * shared)[:, None]
    time = np.arange(TIMES)
    fast = np.exp(-time / 4.0) + 0.01
    jumping = np.where(advantage > 0.0, fast + 0.1 * (1.0 + time % 2), fast)
    return {
        "a": scale * (1.5 - time / TIMES),
        "b": scale * fast,
        "c": scale * jumping,
        "d": np.full((len(shared), TIMES), np.nan),
    }


def _level(advantage: FloatArray, _: FloatArray) -> Arms:
    return {"a": advantage}


_TC = {"treatment": "t", "control": "c"}
_T, _HOLM = "t interval", "t intervals, all to reproduce, one (Holm) to refute"

SETUPS = {
    setup.kind: setup
    for setup in (
        Setup("best_arm", _HOLM, _grid, {"expected": "expected", "margin": 1.0}, 3),
        Setup("superior", _T, _pair(1.0), {**_TC, "margin": 1.0}),
        Setup("non_inferior", _T, _pair(-1.0), {**_TC, "margin": 1.0}),
        Setup("equivalent", _T, _pair(CLEAR, -1.0), {**_TC, "margin": CLEAR}),
        Setup(
            "curves_match",
            _HOLM,
            _curves,
            {"reference": "r", "others": list(RIVALS), "margin": CLEAR},
            9,
        ),
        Setup(
            "overtakes",
            "sign test",
            _race,
            {"leader": "l", "chaser": "c", "by": float(BY)},
            centre="median",
            sd_of="the crossing time",
        ),
        Setup("ordered", _HOLM, _ladder, {"order": list(PLACES)}, 3, 0.0),
        Setup(
            "interior_optimum",
            "t intervals: one of those between (Holm) beats each end, or none does",
            _hill,
            {"order": ["first", *RIVALS, "last"]},
            2,
        ),
        Setup(
            "ratio",
            "t interval of log ratios",
            _ratio,
            {"numerator": "t", "denominator": "c", "low": 1.0, "high": float(np.exp(0.8))},
            sd_of="the log ratio",
        ),
        Setup(
            "slope",
            "t interval of slopes",
            _power_law,
            {"x": PLACES, "margin": 0.5},
            sd_of="the slope",
        ),
        Setup(
            "diverges",
            "binomial tests, all to reproduce, one (Holm) to refute",
            _blow_ups,
            {"arms_named": list(RIVALS)},
            3,
            0.0,
            "median",
            "what makes a run diverge when it exceeds a limit",
        ),
        Setup(
            "share",
            "binomial test",
            _level,
            {"conditions": {"a": [0.0, None]}, "above": 0.5},
            centre="median",
            sd_of="the value that has to exceed a limit",
        ),
        Setup(
            "regimes",
            "binomial test",
            _regimes,
            {"order": list(PLACES)},
            centre="median",
            sd_of="what makes a run jump about when it exceeds a limit",
        ),
        Setup(
            "stays_within",
            _HOLM,
            _level,
            {"arm": "a", "low": 0.0, "high": 2.0 * CLEAR},
            4,
            sd_of="the value",
        ),
    )
}
"""Every kind but `table`, which compares exact numbers and has no error rate."""
