"""Numbers without training: worked out by a formula, or simulated on a toy loss.

To add a kind: write a frozen dataclass with a literal ``kind`` and ``values()``, in a module here,
and name it in ``Calculation`` below. What ``values()`` returns:

* exact numbers, shape (n,): criteria are given them as one seed, and want ``exact: true``;
* simulations, shape (seeds,) or (seeds, n): the class has a field ``seeds``, and criteria judge
  them like trained runs. The numbers are the same at every call and on every machine: a generator
  comes from `bench_lr.calculations.streams.generator`.

Claims are judged often, so a calculation takes a fraction of a second.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bench_lr.calculations.plateau_rule import PlateauRule
from bench_lr.calculations.robbins_monro import RobbinsMonro, ScheduledQuadratic
from bench_lr.calculations.schedules import RecursiveStepDecay, ScheduleSums, ScheduleValues
from bench_lr.calculations.streams import is_simulated

Calculation = Annotated[
    ScheduleValues
    | ScheduleSums
    | RecursiveStepDecay
    | RobbinsMonro
    | ScheduledQuadratic
    | PlateauRule,
    Field(discriminator="kind"),
]

__all__ = [
    "Calculation",
    "PlateauRule",
    "RecursiveStepDecay",
    "RobbinsMonro",
    "ScheduleSums",
    "ScheduleValues",
    "ScheduledQuadratic",
    "is_simulated",
]
