"""How the trajectories of an arm become what a criterion looks at, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench_lr.measure import MeasureError
from bench_lr.measure import measure as measure_results
from bench_lr.results import Results
from bench_lr.schema import EvaluationConfig, Measure, Phase
from tests.stored import run, table

# 3 epochs, evaluated at 0.5, 1, ..., 3. Seed s has accuracy 10 s + epoch.
EPOCHS = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def results(seed: int) -> pd.DataFrame:
    config = run(
        seed, batches=(Phase(3, 8),), evaluation=EvaluationConfig(2, ("validation", "test"))
    )
    frame = table(config, {"accuracy": lambda e: 10 * seed + e, "loss": lambda e: -e})
    on_test = (frame["split"] == "test") & (frame["metric"] == "accuracy")
    frame.loc[on_test, "value"] += 100
    # Storage owes nobody an order.
    return frame.sample(frac=1, random_state=seed)


def measure(tables: list[pd.DataFrame], what: Measure) -> tuple[Any, Any]:
    return measure_results(Results.gather(map(pa.Table.from_pandas, tables)), what)


TABLES = [results(0), results(1), results(2)]
SEEDS = np.array([[0.0], [10.0], [20.0]])


def reduced(metric: str = "accuracy", **what: Any) -> tuple[Any, Any]:
    values, times = measure(TABLES, Measure(metric, **what))
    return values.tolist(), None if times is None else times.tolist()


def test_final_is_the_last_evaluation() -> None:
    assert reduced() == ([3, 13, 23], None)


def test_mean_last_is_over_the_evaluations_of_the_last_epochs() -> None:
    # The last two epochs: 1.5, 2, 2.5, 3, not the end of the epoch before them.
    assert reduced(reduce="mean_last", epochs=2) == ([2.25, 12.25, 22.25], None)
    assert reduced(reduce="mean_last", epochs=1) == ([2.75, 12.75, 22.75], None)
    assert reduced(reduce="mean_last", epochs=99) == ([1.75, 11.75, 21.75], None)


def test_at_is_the_values_at_the_ends_of_epochs_in_the_order_asked() -> None:
    assert reduced(reduce="at", epochs=(2, 1)) == ([[2, 1], [12, 11], [22, 21]], [2, 1])
    assert reduced(reduce="at", epochs=(0.5,)) == ([[0.5], [10.5], [20.5]], [0.5])


def test_mean_at_is_the_mean_over_the_epochs_listed() -> None:
    assert reduced(reduce="mean_at", epochs=(1, 3)) == ([2, 12, 22], None)


def test_curve_is_every_evaluation_from_an_epoch_on() -> None:
    values, times = reduced(reduce="curve")
    assert times == EPOCHS
    np.testing.assert_array_equal(values, SEEDS + np.array(EPOCHS))
    values, times = reduced(reduce="curve", from_epoch=2)
    assert times == [2, 2.5, 3]
    np.testing.assert_array_equal(values, SEEDS + np.array([2, 2.5, 3]))


def test_split_and_metric_choose_the_rows() -> None:
    assert reduced(split="test") == ([103, 113, 123], None)
    assert reduced("loss") == ([-3, -3, -3], None)


def test_epochs_are_matched_in_spite_of_rounding() -> None:
    thirds = [
        table(run(batches=(Phase(1, 8),), evaluation=EvaluationConfig(3)), {"loss": lambda e: e})
    ]
    values, _ = measure(thirds, Measure("loss", reduce="at", epochs=(0.333333333,)))
    assert values[0, 0] == pytest.approx(1 / 3)


def test_counts_are_of_updates_and_examples_whatever_the_split() -> None:
    # 100 examples in batches of 8: 13 updates an epoch.
    assert reduced("steps") == ([39] * 3, None)
    assert reduced("steps", split="train") == ([39] * 3, None)
    assert reduced("examples") == ([300] * 3, None)
    assert reduced("steps", reduce="at", epochs=(1, 2)) == ([[13, 26]] * 3, [1, 2])
    values, times = reduced("steps", reduce="curve")
    assert (len(values[0]), times) == (6, EPOCHS)


def test_a_value_that_is_not_finite_stays_where_it_is() -> None:
    broken = results(0)
    late = broken["epoch"] > 2
    broken.loc[late, "value"] = np.nan
    values, _ = measure([broken, results(1)], Measure("accuracy", reduce="mean_last", epochs=2))
    assert np.isnan(values[0])
    assert values[1] == 12.25


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Measure("f1"), "no f1 on validation; there are accuracy (test), accuracy (validation)"),
        (Measure("loss", split="train"), "no loss on train"),
        (Measure("loss", reduce="at", epochs=(1, 4)), "no evaluation at epoch 4 (the last is 3)"),
        (Measure("loss", reduce="at", epochs=(0.75,)), "no evaluation at epoch 0.75"),
        (Measure("loss", reduce="at"), "at needs epochs"),
        (Measure("loss", reduce="mean_at", epochs=2), "mean_at needs epochs"),
        (Measure("loss", reduce="mean_last"), "mean_last needs epochs"),
        (Measure("loss", reduce="mean_last", epochs=(1, 2)), "mean_last needs epochs"),
    ],
)
def test_what_the_results_do_not_hold_is_said(what: Measure, words: str) -> None:
    with pytest.raises(MeasureError) as caught:
        measure(TABLES, what)
    assert words in str(caught.value)


def shorter(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["epoch"] <= 2]


@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize(
    "what",
    [
        Measure("accuracy", reduce="curve"),
        Measure("accuracy", reduce="mean_last", epochs=1),
        Measure("accuracy", reduce="at", epochs=(1,)),
        Measure("accuracy", reduce="mean_at", epochs=(1,)),
    ],
    ids=lambda what: what.reduce,
)
def test_runs_of_unlike_length_have_no_common_times(which: int, what: Measure) -> None:
    tables = [shorter(t) if i == which else t for i, t in enumerate(TABLES)]
    with pytest.raises(MeasureError, match="different numbers of accuracy evaluations"):
        measure(tables, what)


@pytest.mark.parametrize("which", [0, 2])
def test_runs_of_unlike_length_each_have_an_end_and_a_best(which: int) -> None:
    tables = [shorter(t) if i == which else t for i, t in enumerate(TABLES)]
    ends = [2.0 if i == which else 3.0 for i in range(3)]
    for reduce in ("final", "largest"):
        values, times = measure(tables, Measure("accuracy", reduce=reduce))
        assert values.tolist() == [10 * i + end for i, end in enumerate(ends)]
        assert times is None
    values, _ = measure(tables, Measure("accuracy", reduce="smallest"))
    assert values.tolist() == [0.5, 10.5, 20.5]
    values, _ = measure(tables, Measure("steps"))
    assert values.tolist() == [13 * end for end in ends]


def test_a_run_without_the_metric_is_found_among_those_that_have_it() -> None:
    bare = TABLES[1][TABLES[1]["metric"] == "loss"]
    with pytest.raises(MeasureError, match="there are loss"):
        measure([TABLES[0], bare, TABLES[2]], Measure("accuracy"))
    nothing = TABLES[1][:0]
    with pytest.raises(MeasureError, match="no accuracy on validation"):
        measure([TABLES[0], nothing, TABLES[2]], Measure("accuracy"))
    with pytest.raises(MeasureError, match="no steps"):
        measure([TABLES[0], nothing, TABLES[2]], Measure("steps"))
