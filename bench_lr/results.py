"""Stored results of many runs: what they say of when and what is kept once for all that agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from bench_lr.tables import STORED, Floats, Ints, Moments, Reader

if TYPE_CHECKING:
    import pyarrow as pa

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Results:
    """Results of runs, in order.

    Attributes
    ----------
    moments : tuple of Moments
        The rows that the tables of runs have, each once.
    which : array, shape (runs,)
        Index into `moments` of each run.
    starts : array, shape (runs + 1,)
        Where each run's values begin, and the number of values.
    value : array, shape (rows,)
        Values of the rows of all runs, run after run.
    kinds : tuple of (metric, split)
        What the rows are of.
    """

    moments: tuple[Moments, ...]
    which: Ints
    starts: Ints
    value: Floats
    kinds: tuple[tuple[str, str], ...]

    @property
    def runs(self) -> int:
        """Runs whose results these are."""
        return len(self.which)

    @property
    def step(self) -> Ints:
        """Step of every row of every run."""
        return self._every([m.step for m in self.moments], np.int64)

    @property
    def epoch(self) -> Floats:
        """Epoch of every row of every run."""
        return self._every([m.epoch for m in self.moments], np.float64)

    @property
    def examples(self) -> Ints:
        """Examples seen before every row of every run."""
        return self._every([m.examples for m in self.moments], np.int64)

    @property
    def kind(self) -> npt.NDArray[np.int16]:
        """What every row of every run is of, an index into `kinds`."""
        return self._every([m.kind for m in self.moments], np.int16)

    @property
    def run(self) -> Ints:
        """Position of the run of every row."""
        return np.repeat(np.arange(self.runs), np.diff(self.starts))

    def _every(
        self, columns: Sequence[npt.NDArray[_Number]], dtype: type[_Number]
    ) -> npt.NDArray[_Number]:
        return np.concatenate([np.empty(0, dtype), *(columns[i] for i in self.which.tolist())])

    def of(self, first: int, last: int) -> Results:
        """Return the runs from position `first` to before `last`, without copying their rows."""
        starts = self.starts[first : last + 1]
        return Results(
            moments=self.moments,
            which=self.which[first:last],
            starts=starts - starts[0],
            value=self.value[starts[0] : starts[-1]],
            kinds=self.kinds,
        )

    @classmethod
    def read(cls, contents: Iterable[bytes]) -> Results:
        """Read the runs' Parquet tables, in order.

        Raises
        ------
        TableError
            If one is not the table of a run.
        """
        reader = Reader()
        return cls.joined(map(reader.read, contents), reader.kinds)

    @classmethod
    def gather(cls, tables: Iterable[pa.Table]) -> Results:
        """Put the tables of runs together, in order."""
        reader = Reader()
        return cls.joined(map(reader.of, tables), reader.kinds)

    @classmethod
    def joined(
        cls, runs: Iterable[tuple[Moments, bytes]], kinds: dict[tuple[str, str], int]
    ) -> Results:
        """Put together what a `Reader` returned for each run; `kinds` are the reader's."""
        places: dict[Moments, int] = {}
        which = []
        values = bytearray()
        for moments, content in runs:
            which.append(places.setdefault(moments, len(places)))
            values += content
        lengths = np.array([len(moments) for moments in places], np.int64)
        chosen = np.array(which, np.int64)
        return cls(
            moments=tuple(places),
            which=chosen,
            starts=np.concatenate([[0], np.cumsum(lengths[chosen])]),
            value=np.frombuffer(values, STORED),
            kinds=tuple(kinds),
        )
