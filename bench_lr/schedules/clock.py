"""Training time, in the units that schedules count in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

Floats = npt.NDArray[np.float64]
Unit = Literal["step", "epoch", "fractional_epoch"]
"""Updates made; epochs completed; epochs completed and the share of the one under way."""
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Clock:
    """Where each parameter update stands in its run.

    Parameters
    ----------
    step : array, shape (steps,)
        Updates made before this one; the first update has step 0.
    epoch : array, shape (steps,)
        Completed epochs before this update (whole numbers, as floats).
    part : array, shape (steps,)
        Share of the current epoch's updates made before this one, in [0, 1); 0 by default.
    """

    step: Floats
    epoch: Floats
    part: Floats = field(default_factory=lambda: np.zeros(()))

    @classmethod
    def steady(cls, step: Floats, steps_per_epoch: int) -> Clock:
        """Return the clock of a run whose epochs all take `steps_per_epoch` updates."""
        epoch = np.floor(step / steps_per_epoch)
        return cls(step, epoch, (step - epoch * steps_per_epoch) / steps_per_epoch)

    def of(self, unit: Unit) -> Floats:
        """Return the time in `unit`, shape (steps,)."""
        match unit:
            case "step":
                return self.step
            case "epoch":
                return self.epoch
        result: Floats = self.epoch + self.part
        return result
