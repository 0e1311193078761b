"""Learning-rate schedules: pure functions from training time to a multiplier of the base LR.

A schedule never sees the network. The engine evaluates it once for every step of a run and trains
from the resulting table, so runs of one cohort may follow different schedules at no cost. The
exception is `Plateau`, which watches a metric: its cuts multiply the table, run by run.
To add one: write a frozen dataclass with a literal ``kind`` and a ``multiplier``, and name it in
``Planned`` below (in ``Plain`` too, if it can follow a warm-up). Outside of this package a function
is enough: `schedule`.
"""

from typing import Annotated

from pydantic import Field

from bench_lr.schedules.clock import Clock, Floats, Unit
from bench_lr.schedules.decay import (
    Constant,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from bench_lr.schedules.plateau import Plateau, Watch
from bench_lr.schedules.registered import Registered, schedule
from bench_lr.schedules.rise import Cyclic, Plain, RangeTest, Segment, Warmup

Planned = Annotated[
    Constant
    | Step
    | MultiStep
    | Exponential
    | Inverse
    | Polynomial
    | Linear
    | Cyclic
    | Warmup
    | RangeTest
    | Registered,
    Field(discriminator="kind"),
]
"""Known before the run."""
Schedule = Annotated[Planned | Plateau, Field(discriminator="kind")]

__all__ = [
    "Clock",
    "Constant",
    "Cyclic",
    "Exponential",
    "Floats",
    "Inverse",
    "Linear",
    "MultiStep",
    "Plain",
    "Planned",
    "Plateau",
    "Polynomial",
    "RangeTest",
    "Registered",
    "Schedule",
    "Segment",
    "Step",
    "Unit",
    "Warmup",
    "Watch",
    "schedule",
]
