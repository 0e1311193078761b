"""Stored results of many runs as columns: a table for each run would cost more than the judging."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NUMBERS = {"step": np.int64, "epoch": np.float64, "examples": np.int64, "value": np.float64}
NAMES = ("metric", "split")
TABLES_AT_ONCE = 200
"""Tables in memory beside the columns."""


@dataclass(frozen=True)
class Results:
    """Rows of the results of many runs, run after run.

    Attributes
    ----------
    starts : array, shape (runs + 1,)
        First row of each run, and the number of rows.
    step, epoch, examples, value : array, shape (rows,)
    kind : array, shape (rows,)
        Index into `kinds`.
    kinds : tuple of (metric, split)
    """

    starts: Ints
    step: Ints
    epoch: Floats
    examples: Ints
    value: Floats
    kind: npt.NDArray[np.int16]
    kinds: tuple[tuple[str, str], ...]

    @property
    def runs(self) -> int:
        """Runs whose rows these are."""
        return len(self.starts) - 1

    @property
    def run(self) -> Ints:
        """Position of the run of each row."""
        return np.repeat(np.arange(self.runs), np.diff(self.starts))

    def of(self, first: int, last: int) -> Results:
        """Return the runs from position `first` to before `last`, without copying their rows."""
        starts = self.starts[first : last + 1]
        rows = slice(starts[0], starts[-1])
        columns = {name: getattr(self, name)[rows] for name in (*NUMBERS, "kind")}
        return Results(starts - starts[0], **columns, kinds=self.kinds)

    @classmethod
    def read(cls, contents: Iterable[bytes]) -> Results:
        """Read the runs' Parquet tables, in order."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [*NUMBERS, *NAMES]
        return cls.gather(
            pq.ParquetFile(pa.BufferReader(content)).read(columns=columns, use_threads=False)
            for content in contents
        )

    @classmethod
    def gather(cls, tables: Iterable[pa.Table]) -> Results:
        """Put the tables of runs together, in order."""
        kinds: dict[tuple[str, str], int] = {}
        parts = [_columns(some, kinds) for some in _batches(iter(tables))]
        lengths = np.concatenate([[0], *(part["lengths"] for part in parts)]).astype(np.int64)
        joined: dict[str, Any] = {}
        for name in (*NUMBERS, "kind"):
            # Each column of the parts is let go before the next is joined.
            joined[name] = np.concatenate(
                [part.pop(name) for part in parts] or [np.empty(0, NUMBERS.get(name, np.int16))]
            )
        return cls(np.cumsum(lengths), **joined, kinds=tuple(kinds))


def _batches(tables: Iterator[pa.Table]) -> Iterator[Sequence[pa.Table]]:
    while some := list(islice(tables, TABLES_AT_ONCE)):
        yield some


def _columns(tables: Sequence[pa.Table], kinds: dict[tuple[str, str], int]) -> dict[str, Any]:
    """Columns of some tables as arrays; what is new among their kinds is added to `kinds`."""
    import pyarrow as pa

    # Versions of pandas write text as string or as large_string.
    whole = pa.concat_tables(tables, promote_options="permissive")
    found: dict[str, Any] = {
        name: whole.column(name).to_numpy().astype(dtype, copy=False)
        for name, dtype in NUMBERS.items()
    }
    words, codes = [], []
    for name in NAMES:
        column = whole.column(name).combine_chunks().dictionary_encode()
        words.append(column.dictionary.to_pylist())
        codes.append(column.indices.to_numpy())
    pair = codes[0].astype(np.int64) * len(words[1]) + codes[1]
    present, place = np.unique(pair, return_inverse=True)
    named = [(words[0][p // len(words[1])], words[1][p % len(words[1])]) for p in present.tolist()]
    for kind in named:
        kinds.setdefault(kind, len(kinds))
    found["kind"] = np.array([kinds[kind] for kind in named], np.int16)[place]
    found["lengths"] = [table.num_rows for table in tables]
    return found
