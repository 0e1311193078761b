"""A run's table as Parquet, and many of them read as one would not read one.

Opening a small Parquet file costs ten times what is in it. But runs that are evaluated at the same
moments have tables that differ in two columns only, the run's id and the values. `encode` writes
these two so that they have their place and their length in the file whatever they say: all other
bytes are then the same from run to run. `Reader` reads the first such file as everyone does, and of
a file that is equal to it outside of the two, byte for byte, takes the values from where they lie.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NUMBERS = {"step": np.int64, "epoch": np.float64, "examples": np.int64}
NAMES = ("metric", "split")
ID, VALUE = "run_id", "value"
STORED = np.dtype("<f8")
_TAIL = 8
"""Bytes at the end of a Parquet file, after its footer: the footer's length and a magic word."""


def encode(table: pd.DataFrame | pa.Table) -> bytes:
    """Return a run's table as Parquet.

    Without compression and statistics, whose length and content hang on the values. What repeats,
    as all columns but the values do, is kept small by dictionaries.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="none",
        write_statistics=False,
        use_dictionary=[ID, *NUMBERS, *NAMES],
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


class TableError(ValueError):
    """What should be the table of a run is none."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What a run's table says beside its values: when it was evaluated, and what on.

    Attributes
    ----------
    step, epoch, examples : array, shape (rows,)
    kind : array, shape (rows,)
        Index into the `kinds` of the `Reader`.
    """

    step: Ints
    epoch: Floats
    examples: Ints
    kind: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.step)


class _Cuts:
    """Where a file holds what differs from run to run: its id and its values."""

    def __init__(self, id: slice, value: slice) -> None:
        first, last = sorted((id, value), key=lambda cut: int(cut.start))
        self.value = value
        self._rest = (
            slice(0, first.start),
            slice(first.stop, last.start),
            slice(last.stop, None),
        )
        self._name = repr(self._rest).encode()

    def digest(self, content: bytes) -> bytes:
        """Stand for the cuts and all that is not cut out."""
        before, between, behind = self._rest
        parts = (self._name, content[before], content[between], content[behind])
        return hashlib.sha256(b"".join(parts)).digest()


@dataclass(frozen=True)
class _Form:
    """What files of one digest have in common; `known` are the rows whose value is not null."""

    moments: Moments
    known: npt.NDArray[np.bool_] | None

    def values(self, content: bytes) -> bytes:
        """Return the values of all rows from the bytes of those that are known."""
        if self.known is None:
            return content
        values = np.full(len(self.known), np.nan)
        values[self.known] = np.frombuffer(content, STORED)
        return values.tobytes()


class Reader:
    """Reads the tables of many runs.

    Attributes
    ----------
    kinds : dict of (metric, split) to int
        What the rows read so far hold, in the order in which it was first seen.
    """

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], int] = {}
        self._moments: dict[bytes, Moments] = {}
        self._cuts: dict[bytes, _Cuts] = {}
        self._forms: dict[bytes, _Form] = {}

    def read(self, content: bytes) -> tuple[Moments, bytes]:
        """Return a run's rows, and their values as bytes of float64, from its Parquet.

        Runs with the same rows are given the same `Moments`.

        Raises
        ------
        TableError
            If it is not the table of a run.
        """
        # The footer says where columns lie. That it is right of another file with the same footer
        # is only likely; the digest makes it certain.
        footer = content[-_TAIL - int.from_bytes(content[-_TAIL:][:4], "little") :]
        if (cuts := self._cuts.get(footer)) is not None:
            form = self._forms.get(cuts.digest(content))
            if form is not None:
                return form.moments, form.values(content[cuts.value])
        try:
            return self._parsed(content, footer)
        except (OSError, LookupError, TypeError, ValueError, NotImplementedError) as error:
            words = str(error).splitlines() or [type(error).__name__]
            raise TableError(words[0]) from error

    def _parsed(self, content: bytes, footer: bytes) -> tuple[Moments, bytes]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(pa.BufferReader(content))
        table = file.read(columns=[*NUMBERS, *NAMES, VALUE], use_threads=False)
        _check_types(table)
        moments, values = self.of(table)
        column = table.column(VALUE)
        known = column.is_valid().to_numpy() if column.null_count else None
        cuts = _cuts(file.metadata, len(moments) - column.null_count)
        if cuts is not None:
            form = _Form(moments, known)
            plain = content[cuts.value]
            # Whether the values do lie there as they are is seen from what was read of them.
            if form.values(plain) == values:
                self._cuts[footer] = cuts
                self._forms[cuts.digest(content)] = form
        return moments, values

    def of(self, table: pa.Table) -> tuple[Moments, bytes]:
        """Return the rows of a run's table, and their values."""
        numbers: dict[str, Any] = {
            name: table.column(name).to_numpy().astype(dtype, copy=False)
            for name, dtype in NUMBERS.items()
        }
        kind = self._kind(table)
        parts = (*numbers.values(), kind)
        found = hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()
        moments = self._moments.setdefault(found, Moments(**numbers, kind=kind))
        return moments, table.column(VALUE).to_numpy().astype(STORED, copy=False).tobytes()

    def _kind(self, table: pa.Table) -> npt.NDArray[np.int16]:
        words, codes = [], []
        for name in NAMES:
            column = table.column(name).combine_chunks().dictionary_encode()
            words.append(column.dictionary.to_pylist())
            codes.append(column.indices.to_numpy())
        pair = codes[0].astype(np.int64) * len(words[1]) + codes[1]
        present, place = np.unique(pair, return_inverse=True)
        named = [
            (words[0][p // len(words[1])], words[1][p % len(words[1])]) for p in present.tolist()
        ]
        for kind in named:
            self.kinds.setdefault(kind, len(self.kinds))
        return np.array([self.kinds[kind] for kind in named], np.int16)[place]


def _check_types(table: pa.Table) -> None:
    """Raise TableError where a column is missing, or holds what no run's does."""
    import pyarrow as pa

    if lacking := [it for it in (*NUMBERS, *NAMES, VALUE) if it not in table.column_names]:
        raise TableError(f"no column {', '.join(lacking)}")
    whole, words = pa.types.is_integer, _is_text
    wanted = {"step": whole, "examples": whole, "epoch": _is_number, VALUE: _is_number}
    for name in table.column_names:
        column = table.column(name)
        if not wanted.get(name, words)(column.type):
            raise TableError(f"column {name} is of type {column.type}")
        if column.null_count and name != VALUE:
            raise TableError(f"column {name} has gaps")


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _cuts(metadata: Any, known: int) -> _Cuts | None:
    """Where the id and so many values lie in a file; None where they are not as `encode` writes."""
    if metadata.num_row_groups != 1:
        return None
    group = metadata.row_group(0)
    columns = {
        column.path_in_schema: column for column in map(group.column, range(group.num_columns))
    }
    value = columns[VALUE]
    if value.compression != "UNCOMPRESSED" or not set(value.encodings) <= {"PLAIN", "RLE"}:
        return None
    end = _extent(value).stop
    return _Cuts(_extent(columns[ID]), slice(end - known * STORED.itemsize, end))


def _extent(column: Any) -> slice:
    """Return the bytes of a file that belong to a column and to nothing else."""
    starts = (column.dictionary_page_offset, column.data_page_offset)
    start = min(offset for offset in starts if offset is not None)
    return slice(start, start + column.total_compressed_size)
