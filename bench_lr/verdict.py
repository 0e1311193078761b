"""The outcome of judging: what the report, the figures and the regression check read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bench_lr.criteria import CriterionResult
from bench_lr.schema import Claim, CriterionSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

VerdictWord = Literal["reproduced", "refuted", "inconclusive", "incomplete"]


@dataclass(frozen=True)
class Variant:
    """What a criterion's verdict would have been on slightly other evidence."""

    label: str
    verdict: str


@dataclass(frozen=True)
class Judged:
    """One criterion and its result.

    `metric` is the one in whose units its numbers are, empty where there is none; `variants` tell
    how robust the verdict is.
    """

    spec: CriterionSpec
    result: CriterionResult
    metric: str = ""
    variants: tuple[Variant, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what is written of a criterion for other programs; the keys are a contract."""
        spec, result = self.spec, self.result
        return {
            "id": spec.id,
            "kind": spec.kind,
            "role": spec.role,
            "verdict": result.verdict,
            "estimate": result.estimate,
            "ci": result.ci,
            "sd": result.sd,
            "margin": result.margin,
            "p_value": result.p_value,
            "seeds": result.seeds,
            "single_run_rate": result.single_run_rate,
            "single_run_ci": result.single_run_ci,
            "note": result.note,
            "robustness": {variant.label: variant.verdict for variant in self.variants},
        }


@dataclass(frozen=True)
class Provenance:
    """Where the runs of a claim came from."""

    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    dirty: bool = False
    data_sha256: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, judged.

    Attributes
    ----------
    frame : DataFrame
        Tidy results of the claim's runs: arm, seed, step, epoch, examples, metric, split, value.
        Empty for a claim that trains nothing.
    calculations : mapping of name to array, shape (values,), (seeds,) or (seeds, values)
        What the claim's calculations gave; seeds are of simulations.
    derived : mapping of name to array, shape (seeds,), (seeds, values) or (values,)
        What the claim's derived quantities came to; those without a value are left out.
    recorded : VerdictWord or None
        The verdict under ``reproductions/`` for this profile, if any.
    runs, missing, failed, diverged : int
        Runs the claim wants, and how many of them are not stored, failed, or diverged.
    train_seconds : float
        Training time of its runs (a share of their cohorts' time), in seconds.
    run_seconds : mapping of run id to float
        The same by run, where that is known: claims share runs.
    """

    claim: Claim
    verdict: VerdictWord
    criteria: tuple[Judged, ...]
    frame: pd.DataFrame
    calculations: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    derived: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    note: str = ""
    recorded: VerdictWord | None = None
    runs: int = 0
    missing: int = 0
    failed: int = 0
    diverged: int = 0
    train_seconds: float = 0.0
    run_seconds: dict[str, float] = field(default_factory=dict)
    provenance: Provenance = Provenance()


def training_seconds(verdicts: Iterable[ClaimVerdict]) -> float:
    """Return the training time of all runs of these claims, those that they share counted once."""
    known: dict[str, float] = {}
    rest = 0.0
    for verdict in verdicts:
        known |= verdict.run_seconds
        rest += verdict.train_seconds - math.fsum(verdict.run_seconds.values())
    return math.fsum(known.values()) + rest
