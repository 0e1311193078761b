"""A schedule, a criterion and a figure of one's own: three functions, each registered by name.

Tried with ``bench-lr check-claims examples/extend --plugins my_rules`` and run with ``bench-lr run
'extend/*' --claims-dir examples/extend --plugins my_rules``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import binomtest, wilcoxon

from bench_lr.criteria import CriterionResult, criterion
from bench_lr.criteria.registry import Arms
from bench_lr.figures.canvas import canvas, nothing
from bench_lr.figures.points import tell
from bench_lr.figures.registry import figure
from bench_lr.figures.style import BLUE, MUTED
from bench_lr.schedules import Clock, schedule
from bench_lr.verdict import ClaimVerdict


@schedule("cosine")
def cosine(clock: Clock, *, epochs: float, floor: float = 0.0) -> npt.NDArray[np.float64]:
    """Half a cosine from 1 down to `floor` (Loshchilov and Hutter 2017, SGDR, equation 5)."""
    share = np.minimum(clock.of("fractional_epoch") / epochs, 1.0)
    result: npt.NDArray[np.float64] = floor + (1 - floor) * (1 + np.cos(np.pi * share)) / 2
    return result


@criterion("usually_better", arm_params=("treatment", "control"))
def usually_better(arms: Arms, *, treatment: str, control: str) -> CriterionResult:
    """The treatment beats the control in most seeds, by however much.

    Hypothesis: the median of the paired differences is above 0. Test: Wilcoxon's signed-rank test,
    two-sided, at 5 %; the interval is Clopper and Pearson's of the share of seeds that are better.
    A seed in which a run diverged is one in which the other is better.
    """
    better = np.nan_to_num(arms[treatment], nan=-np.inf)
    worse = np.nan_to_num(arms[control], nan=-np.inf)
    wins = int((better > worse).sum())
    share = binomtest(wins, better.size).proportion_ci(0.95)
    # Ranks need finite numbers; an infinite difference is larger than any other.
    with np.errstate(invalid="ignore"):
        difference = np.nan_to_num(better - worse, nan=0.0, posinf=1e300, neginf=-1e300)
    p_value = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    verdict = "inconclusive"
    if p_value < 0.05:
        verdict = "reproduced" if np.median(difference) > 0 else "refuted"
    return CriterionResult(
        verdict=verdict,  # type: ignore[arg-type]
        estimate=wins / better.size,
        ci=(float(share.low), float(share.high)),
        margin=None,
        seeds=better.size,
        p_value=p_value,
        single_run_rate=wins / better.size,
        single_run_ci=(float(share.low), float(share.high)),
    )


@figure("pairs")
def pairs(verdict: ClaimVerdict, *, treatment: str, control: str) -> Figure:
    """Draw a dot a seed: the treatment's last accuracy against the control's.

    Parameters
    ----------
    treatment, control : str
        Names of two arms.
    """
    frame = canvas(verdict, ["a dot a seed; above the line the treatment is better"], width=6.5)
    (axes,) = frame.axes
    shown = verdict.frame[verdict.frame["metric"].astype(str) == "accuracy"]
    if not len(shown):
        nothing(axes, "incomplete: no runs to show yet")
        return frame.figure
    last = shown[shown["epoch"] == shown["epoch"].max()]
    ends = last.pivot_table(index="seed", columns="arm", values="value", observed=True)
    if not {treatment, control} <= set(ends.columns) or ends.dropna().empty:
        nothing(axes, "no pair of runs that has not diverged")
        return frame.figure
    ends = 100 * ends.dropna()
    low, high = float(ends.min(axis=None)), float(ends.max(axis=None))
    axes.plot([low, high], [low, high], color=MUTED, lw=1)
    dots = axes.plot(ends[control], ends[treatment], "o", color=BLUE)
    tell(dots, "a seed")
    axes.set(xlabel=f"{control}, accuracy, %", ylabel=f"{treatment}, accuracy, %")
    return frame.figure
