"""Types of what a claim file says of a calculation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Numbers = Annotated[tuple[float, ...], Field(min_length=1)]
Positives = Annotated[tuple[Positive, ...], Field(min_length=1)]
Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
