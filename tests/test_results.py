"""Results of many runs as columns: the same rows, in the same order, as table by table."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench_lr.results import Results
from bench_lr.tables import encode
from tests.stored import run, table

COLUMNS = ["step", "epoch", "examples", "metric", "split", "value"]


def made(seed: int) -> pd.DataFrame:
    """Return a run's table, of a length and with metrics of its own."""
    rng = np.random.default_rng(seed)
    metrics = ("loss", "accuracy", "entropy")[: 1 + seed % 3]
    frame = table(run(seed), {name: lambda epoch: rng.normal() for name in metrics})
    return frame.sample(frac=1 - 0.1 * (seed % 2), random_state=seed)


def rows(found: Results) -> pd.DataFrame:
    metric, split = (np.array([k[i] for k in found.kinds], dtype=object) for i in (0, 1))
    columns = (
        found.step,
        found.epoch,
        found.examples,
        metric[found.kind],
        split[found.kind],
        found.value,
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


@pytest.mark.parametrize("stored", [True, False])
def test_rows_are_those_of_the_tables_in_order(stored: bool) -> None:
    tables = [made(seed) for seed in range(7)]
    if stored:
        found = Results.read(map(encode, tables))
    else:
        found = Results.gather(map(pa.Table.from_pandas, tables))
    assert found.runs == 7
    np.testing.assert_array_equal(np.diff(found.starts), [len(t) for t in tables])
    whole = pd.concat(tables, ignore_index=True)[COLUMNS]
    pd.testing.assert_frame_equal(rows(found), whole, check_dtype=False, check_exact=True)
    np.testing.assert_array_equal(found.run, np.repeat(np.arange(7), [len(t) for t in tables]))
    part = pd.concat(tables[2:5], ignore_index=True)[COLUMNS]
    pd.testing.assert_frame_equal(rows(found.of(2, 5)), part, check_dtype=False, check_exact=True)
    assert found.of(2, 5).runs == 3


def test_rows_of_runs_that_agree_on_them_are_kept_once() -> None:
    tables = [
        table(run(seed), {"loss": lambda epoch, seed=seed: seed / epoch}) for seed in range(9)
    ]
    found = Results.read(encode(frame) for frame in [*tables, made(2)])
    assert len(found.moments) == 2
    assert found.which.tolist() == [0] * 9 + [1]


def test_what_is_not_a_number_survives_storage() -> None:
    frame = made(2)
    frame["value"] = np.resize([np.nan, np.inf, 5e-324], len(frame))
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    np.testing.assert_array_equal(Results.read([buffer.getvalue()]).value, frame["value"])


def test_runs_stored_by_different_versions_of_pandas_go_together() -> None:
    """Text is ``string`` of one version and ``large_string`` of another."""
    one = pa.Table.from_pandas(made(0), preserve_index=False)
    names = [pa.field(f.name, pa.string()) if "string" in str(f.type) else f for f in one.schema]
    assert one.schema != pa.schema(names)
    found = Results.gather([one, one.cast(pa.schema(names))])
    pd.testing.assert_frame_equal(rows(found.of(0, 1)), rows(found.of(1, 2)))


def test_no_runs_give_no_rows() -> None:
    found = Results.read([])
    assert (found.runs, len(found.value), found.kinds) == (0, 0, ())
    assert rows(found).empty
