"""Numbers without training: worked out by a formula, or simulated on a toy loss.

To add a kind: write a frozen dataclass with a literal ``kind`` and ``values()``, in a module here,
and name it in ``Calculation`` below. What ``values()`` returns:

* exact numbers, shape (n,): criteria are given them as one seed, and want ``exact: true``;
* simulations, shape (seeds,) or (seeds, n): the class has a field ``seeds``, and criteria judge
  them like trained runs. The numbers are the same at every call and on every machine: the
  generators come from `bench_lr.calculations.streams`.

Claims are judged often, so a calculation takes a fraction of a second.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bench_lr.calculations.class_mix import BatchForClasses, ClassMix, ClassMixDraws
from bench_lr.calculations.counting import Logarithms, PowersOfTen, Updates
from bench_lr.calculations.double_well import DoubleWell
from bench_lr.calculations.least_squares import LineLoss, NeededLr, NeededLrDraws
from bench_lr.calculations.plateau_rule import PlateauRule
from bench_lr.calculations.quadratics import (
    NoisyQuadratic,
    PlateauLevel,
    QuadraticDescent,
    QuadraticThreshold,
)
from bench_lr.calculations.robbins_monro import (
    ExpectedQuadratic,
    RobbinsMonro,
    ScheduledQuadratic,
)
from bench_lr.calculations.schedules import RecursiveStepDecay, ScheduleSums, ScheduleValues
from bench_lr.calculations.sparse_features import RareFeatures
from bench_lr.calculations.statements import Statements
from bench_lr.calculations.streams import is_simulated

Calculation = Annotated[
    ScheduleValues
    | ScheduleSums
    | RecursiveStepDecay
    | RobbinsMonro
    | ScheduledQuadratic
    | ExpectedQuadratic
    | PlateauRule
    | QuadraticDescent
    | QuadraticThreshold
    | NoisyQuadratic
    | PlateauLevel
    | DoubleWell
    | RareFeatures
    | ClassMix
    | ClassMixDraws
    | BatchForClasses
    | Updates
    | PowersOfTen
    | Logarithms
    | LineLoss
    | NeededLr
    | NeededLrDraws
    | Statements,
    Field(discriminator="kind"),
]

__all__ = [
    "BatchForClasses",
    "Calculation",
    "ClassMix",
    "ClassMixDraws",
    "DoubleWell",
    "ExpectedQuadratic",
    "LineLoss",
    "Logarithms",
    "NeededLr",
    "NeededLrDraws",
    "NoisyQuadratic",
    "PlateauLevel",
    "PlateauRule",
    "PowersOfTen",
    "QuadraticDescent",
    "QuadraticThreshold",
    "RareFeatures",
    "RecursiveStepDecay",
    "RobbinsMonro",
    "ScheduleSums",
    "ScheduleValues",
    "ScheduledQuadratic",
    "Statements",
    "Updates",
    "is_simulated",
]
