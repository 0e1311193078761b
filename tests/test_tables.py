"""Tables of many runs: what `Reader` makes of their bytes is what pandas makes of each."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_lr.identity import run_id
from bench_lr.schema import EvaluationConfig
from bench_lr.tables import Reader, encode
from tests.stored import run, table

COLUMNS = ["step", "epoch", "examples", "metric", "split", "value"]


def made(seed: int, values: Callable[[float], float] | None = None) -> pd.DataFrame:
    """Return a run's table; runs of different seeds are evaluated at the same moments."""
    rng = np.random.default_rng(seed)
    draw = values or (lambda epoch: float(rng.normal()))
    config = run(seed, evaluation=EvaluationConfig(4, ("validation", "test")))
    return table(config, {"loss": draw, "accuracy": draw})


def plain(frame: pd.DataFrame, **options: Any) -> bytes:
    """Return a table as pandas writes it by default."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, **options)
    return buffer.getvalue()


def by_pandas(content: bytes) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(content))[COLUMNS]


def by(reader: Reader, content: bytes) -> pd.DataFrame:
    moments, values = reader.read(content)
    kinds = list(reader.kinds)
    columns = {
        "step": moments.step,
        "epoch": moments.epoch,
        "examples": moments.examples,
        "metric": [kinds[kind][0] for kind in moments.kind],
        "split": [kinds[kind][1] for kind in moments.kind],
        "value": np.frombuffer(values, "<f8"),
    }
    return pd.DataFrame(columns, columns=COLUMNS)


def assert_read_as_by_pandas(contents: Sequence[bytes]) -> None:
    reader = Reader()
    # Twice, so that each is also read with all of the others known.
    for content in [*contents, *contents]:
        expected = by_pandas(content)
        pd.testing.assert_frame_equal(
            by(reader, content), expected, check_exact=True, check_dtype=False
        )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Files that have been parsed."""
    files: list[object] = []
    original = pq.ParquetFile

    def parse(source: object) -> pq.ParquetFile:
        files.append(source)
        return original(source)

    monkeypatch.setattr(pq, "ParquetFile", parse)
    return files


def test_of_runs_evaluated_at_the_same_moments_one_is_parsed(opened: list[object]) -> None:
    contents = [encode(made(seed)) for seed in range(50)]
    reader = Reader()
    moments = {id(reader.read(content)[0]) for content in contents}
    assert len(opened) == len(moments) == 1
    assert_read_as_by_pandas(contents)


def test_runs_that_diverge_at_the_same_evaluation_are_parsed_once(opened: list[object]) -> None:
    """Their values are null from there on, and fewer bytes."""

    def lost(end: int) -> Callable[[float], float]:
        return lambda epoch: 1 / epoch if epoch < end else np.nan

    contents = [encode(made(seed, lost(1 + seed % 2))) for seed in range(20)]
    reader = Reader()
    moments = {id(reader.read(content)[0]) for content in contents}
    assert (len(opened), len(moments)) == (2, 1)
    assert_read_as_by_pandas(contents)


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(metric=frame["metric"].replace("loss", "cost"))


def reordered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=1)


def moved(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def move(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.copy()
        changed.loc[changed.index[3], column] = changed[column].iloc[5]
        return changed

    return move


def nulls(*rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def lose(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.copy()
        changed.loc[changed.index[list(rows)], "value"] = np.nan
        return changed

    return lose


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        reordered,
        *(moved(column) for column in ("step", "epoch", "examples", "split")),
        nulls(0),
        nulls(1),
        nulls(0, 5),
        nulls(1, 6),
        nulls(*range(16)),
        nulls(*range(32)),
        lambda frame: frame[:-1],
        lambda frame: frame[:0],
        lambda frame: frame.assign(value=range(len(frame))),
        lambda frame: frame.assign(value=frame["value"].astype(np.float32)),
        lambda frame: frame.assign(step=frame["step"].astype(np.int32)),
        lambda frame: frame[["value", *COLUMNS[:-1], "run_id"]],
        lambda frame: pd.concat([frame] * 5_000),
    ],
)
def test_a_table_that_is_like_another_but_for_one_thing_is_not_taken_for_it(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    assert_read_as_by_pandas([encode(made(0)), encode(change(made(1))), encode(change(made(2)))])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip"},
        {"compression": None},
        {"compression": None, "use_dictionary": False},
        {"compression": None, "use_dictionary": False, "row_group_size": 7},
        {"compression": None, "use_dictionary": False, "data_page_size": 1, "write_batch_size": 1},
        {"compression": None, "use_dictionary": False, "data_page_version": "2.0"},
        {"compression": None, "use_byte_stream_split": ["value"], "use_dictionary": ["run_id"]},
    ],
)
def test_tables_that_others_have_written_are_read_too(options: dict[str, Any]) -> None:
    tables = [nulls(2)(made(seed)) if seed % 2 else made(seed) for seed in range(6)]
    assert_read_as_by_pandas([plain(frame, **options) for frame in tables])
    assert_read_as_by_pandas([encode(tables[0]), *(plain(frame, **options) for frame in tables)])


VALUES = st.floats(width=64) | st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=4, max_size=4), min_size=2, max_size=5))
def test_whatever_the_values_are_they_are_those_of_pandas_to_the_last_bit(
    values: list[list[float]],
) -> None:
    contents = [
        encode(table(run(seed), {"loss": lambda e: 0.0, "accuracy": lambda e: 0.0}).assign(value=v))
        for seed, v in enumerate(values)
    ]
    assert_read_as_by_pandas(contents)
    reader = Reader()
    for content, expected in zip(contents, values, strict=True):
        found = np.frombuffer(reader.read(content)[1], "<f8")
        np.testing.assert_array_equal(np.signbit(found), np.signbit(by_pandas(content)["value"]))
        np.testing.assert_array_equal(found, expected)


def test_a_file_says_whose_it_is_and_nothing_else_of_that(opened: list[object]) -> None:
    """Ids are of one length, and two that begin alike are no shorter in the file."""
    ids = ["0" * 64, "01" * 32, run_id(run(0))]
    contents = [encode(made(0).assign(run_id=identity)) for identity in ids]
    assert len({len(content) for content in contents}) == 1
    reader = Reader()
    for content in contents:
        reader.read(content)
    assert len(opened) == 1
    found = [pq.read_table(pa.BufferReader(content))["run_id"].unique() for content in contents]
    assert [ids.to_pylist() for ids in found] == [[identity] for identity in ids]
