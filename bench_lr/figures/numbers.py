"""The numbers of a criterion as a reader wants them: with units, and no more digits than matter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench_lr.verdict import Judged

DIFFERENCES = (
    "best_arm",
    "superior",
    "non_inferior",
    "equivalent",
    "curves_match",
    "ordered",
    "interior_optimum",
)
"""Kinds whose estimate and margin are differences of the measured metric."""
SHARES = ("overtakes", "diverges", "share", "regimes")
"""Kinds whose estimate is a share of seeds."""


@dataclass(frozen=True)
class Shown:
    """Estimate, interval and margin of a criterion as text; empty where there is none."""

    estimate: str
    ci: str
    margin: str
    one_seed: str
    one_seed_ci: str

    @property
    def effect(self) -> str:
        """Estimate and interval in one phrase."""
        return f"{self.estimate} {self.ci}".strip()


def shown(judged: Judged) -> Shown:
    """Write the numbers of a criterion with their units."""
    result, kind = judged.result, judged.spec.kind
    factor, unit = _unit(judged)
    signed = kind in DIFFERENCES

    def write(value: float) -> str:
        scaled = value * factor
        # A share of a few seeds has no decimals.
        return number(round(scaled) if kind in SHARES else scaled, signed=signed)

    low_high = ""
    if result.ci is not None and result.ci[0] != result.ci[1]:
        bounds = [write(bound) for bound in result.ci]
        low_high = f"[{bounds[0]}, {bounds[1]}]"
    margin = "" if result.margin is None else f"{result.margin * factor:.3g}{unit}"
    if kind == "overtakes" and result.margin is not None:
        margin = f"epoch {result.margin:g}"
    rate, span = result.single_run_rate, result.single_run_ci
    return Shown(
        estimate="" if result.estimate is None else write(result.estimate) + unit,
        ci=low_high,
        margin=margin,
        one_seed="" if rate is None or math.isnan(rate) else f"{100 * rate:.0f} %",
        one_seed_ci="" if span is None else f"[{100 * span[0]:.0f}, {100 * span[1]:.0f}]",
    )


def detail(judged: Judged, estimate: float | None, ci: tuple[float, float] | None) -> str:
    """Write a row of a criterion's details in the criterion's units."""
    if estimate is None:
        return "—"
    factor, unit = _unit(judged)
    if judged.spec.kind == "slope":
        factor, unit = 1.0, ""
    signed, share = judged.spec.kind in DIFFERENCES, judged.spec.kind in SHARES

    def write(value: float) -> str:
        # A share of a few seeds has no decimals.
        return number(round(value * factor) if share else value * factor, signed=signed)

    words = write(estimate) + unit
    if ci is None or ci[0] == ci[1]:
        return words
    return f"{words} [{write(ci[0])}, {write(ci[1])}]"


def in_margins(judged: Judged) -> tuple[float, tuple[float, float] | None] | None:
    """Return estimate and interval in units of the margin, where that makes sense."""
    result = judged.result
    if judged.spec.kind not in DIFFERENCES or not result.margin or result.estimate is None:
        return None
    if math.isnan(result.estimate):
        return None
    ci = result.ci
    scaled = None if ci is None else (ci[0] / result.margin, ci[1] / result.margin)
    return result.estimate / result.margin, scaled


def number(value: float, *, signed: bool = False) -> str:
    """Write a number with two or three significant digits and a true minus sign."""
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1000:
        text = f"{size:,.0f}"
    elif size == int(size) and not signed:
        text = f"{size:.0f}"
    elif size >= 0.1 or size == 0:
        text = f"{size:.2f}"
    elif size >= 1e-4:
        text = f"{size:.{1 - math.floor(math.log10(size))}f}"
    else:
        text = f"{size:.1e}".replace("-", "−")
    return ("−" if value < 0 else "+" if signed else "") + text


def _unit(judged: Judged) -> tuple[float, str]:
    kind, accuracy = judged.spec.kind, judged.metric == "accuracy"
    if kind in SHARES:
        return 100.0, " %"
    if kind in DIFFERENCES:
        if judged.spec.params.get("relative"):
            return 100.0, " %"
        return (100.0, " pp") if accuracy else (1.0, "")
    if kind == "stays_within" and accuracy:
        return 100.0, " %"
    return 1.0, ""
