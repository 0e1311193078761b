"""How a claim is judged: kinds of criterion, each a pure function of arrays.

A new kind is one function decorated with `criterion`, in a module imported here.
"""

from bench_lr.criteria import (  # noqa: F401
    best_arm,
    curves,
    divergence,
    exact,
    interior_optimum,
    pairwise,
    regimes,
    share,
    statements,
    trends,
)
from bench_lr.criteria.evaluation import evaluate
from bench_lr.criteria.registry import KINDS, Kind, arm_names, criterion, parameters
from bench_lr.criteria.result import CriterionError, CriterionResult, Detail, Verdict
from bench_lr.criteria.validation import problems

__all__ = [
    "KINDS",
    "CriterionError",
    "CriterionResult",
    "Detail",
    "Kind",
    "Verdict",
    "arm_names",
    "criterion",
    "evaluate",
    "parameters",
    "problems",
]
