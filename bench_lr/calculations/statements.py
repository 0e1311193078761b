"""What a source says of the same things in several places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from bench_lr.calculations.words import Text
from bench_lr.schedules import Floats

Said = Text | float | None


@dataclass(frozen=True)
class Item:
    """What each place says of one thing.

    Parameters
    ----------
    item : str
        The thing.
    says : tuple of str, float or None
        What each place says, in words that are the same where the meaning is; None: nothing.
    words : tuple of str
        How it is written there, for readers; may be left out.
    """

    item: Text
    says: Annotated[tuple[Said, ...], Field(min_length=2)]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statements:
    """A table of what several places say, copied from a text: nothing is computed."""

    places: Annotated[tuple[Text, ...], Field(min_length=2)]
    items: Annotated[tuple[Item, ...], Field(min_length=1)]
    kind: Literal["statements"] = "statements"

    def __post_init__(self) -> None:
        """Raise ValueError unless every item has something for every place, and its own name."""
        count = len(self.places)
        names = [item.item for item in self.items]
        if len(set(names)) < len(names):
            raise ValueError("two items have the same name")
        for item in self.items:
            if len(item.says) != count:
                raise ValueError(f"{item.item}: {len(item.says)} sayings for {count} places")
            if item.words and len(item.words) != count:
                raise ValueError(f"{item.item}: {len(item.words)} wordings for {count} places")

    @property
    def names(self) -> tuple[str, ...]:
        """What is spoken of."""
        return tuple(item.item for item in self.items)

    def values(self) -> Floats:
        """Return what is said as numbers, equal where it is equal, shape (items, places).

        NaN where a place says nothing. A number and its spelling in words are not the same.
        """
        numbers: dict[tuple[type, Said], float] = {}
        table = np.full((len(self.items), len(self.places)), np.nan)
        for row, item in enumerate(self.items):
            for column, said in enumerate(item.says):
                if said is not None:
                    table[row, column] = numbers.setdefault((type(said), said), len(numbers))
        return table
