"""How the trajectories of an arm become what a criterion looks at, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# --- waiting for something ------------------------------------------------------------------------


def followed(
    losses: Sequence[float],
    *,
    seed: int = 0,
    lrs: Sequence[float] | None = None,
    seconds: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return results with a loss at the end of each epoch, and its LR and time."""
    config = run(seed, batches=(Phase(len(losses), 8),))
    at = dict(enumerate(losses, start=1))
    frame = table(config, {"loss": lambda e: at[int(e)]})
    for metric, values in (("lr", lrs), ("seconds", seconds)):
        if values is not None:
            frame = pd.concat(
                [frame, frame[: len(losses)].assign(metric=metric, split="train", value=values)]
            )
    return frame.sample(frac=1, random_state=seed)


def waited(tables: list[pd.DataFrame], **what: Any) -> list[float]:
    values, times = measure(tables, Measure("loss", **what))
    assert times is None
    return values.tolist()


def test_first_is_when_a_run_meets_the_limit_whatever_comes_after() -> None:
    tables = [
        followed([4, 2, 1, 5], seed=0, seconds=[0.5, 1.0, 1.75, 3.0]),
        followed([1, 4, 4, 4], seed=1, seconds=[0.5, 1.0, 1.75, 3.0]),
        # One that ended there, and one that never gets there.
        followed([4, 4, 4, 4, 0.5], seed=2, seconds=[0.5, 1.0, 1.75, 3.0, 9.0]),
        followed([4, 3, 3, 3], seed=3, seconds=[0.5, 1.0, 1.75, 3.0]),
    ]
    given: dict[str, Any] = {"reduce": "first", "at_most": 2.0, "otherwise": 99.0}
    assert waited(tables, **given) == [2, 1, 5, 99]
    assert waited(tables, **given, of="steps") == [26, 13, 65, 99]
    assert waited(tables, **given, of="examples") == [200, 100, 500, 99]
    assert waited(tables, **given, of="seconds") == [1.0, 0.5, 9.0, 99]
    rising = {**given, "at_most": None, "at_least": 4.0}
    assert waited(tables, **rising) == [1, 2, 1, 1]


def test_a_run_that_diverges_never_meets_a_limit_it_has_not_met_before() -> None:
    nan = np.nan
    tables = [followed([4, nan, nan], seed=0), followed([1, nan, nan], seed=1)]
    assert waited(tables, reduce="first", at_most=2.0, otherwise=7.0) == [7, 1]
    assert waited(tables, reduce="first", at_least=5.0, otherwise=7.0) == [7, 7]


@given(
    curves=st.lists(
        st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, np.nan]), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    level=st.sampled_from([0.4, 1.0, 2.5]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_first_is_what_a_loop_over_the_evaluations_finds(
    curves: list[list[float]], level: float
) -> None:
    tables = [followed(curve, seed=seed) for seed, curve in enumerate(curves)]
    wanted = []
    for curve in curves:
        found = -1.0
        for epoch, value in enumerate(curve, start=1):
            if found < 0 and value <= level:
                found = float(epoch)
        wanted.append(found)
    assert waited(tables, reduce="first", at_most=level, otherwise=-1.0) == wanted


RANGE = [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4]


@pytest.mark.parametrize(
    ("losses", "onset"),
    [
        # Means 5, 3, 2, 2.1: within a tenth of the lowest.
        ([6, 4, 3, 3, 2, 2, 2.1, 2.1], 0.9),
        ([6, 4, 3, 3, 2, 2, 2.3, 2.3], 0.4),
        # One evaluation may rise as long as the mean of its LR does not.
        ([6, 4, 3, 3, 1, 3, 2, 2], 0.9),
        ([6, 4, 6, 6, 1, 1, 1, 1], 0.2),
        ([6, 4, 3, np.nan, np.nan, np.nan, np.nan, np.nan], 0.2),
        ([6, 4, 3, 3, np.inf, np.nan, np.nan, np.nan], 0.3),
        ([np.nan] * 8, 0.1),
        # It ended, or was stopped, while it fell.
        ([6, 4, 3, 3], 0.9),
    ],
)
def test_onset_is_the_rate_at_which_the_mean_loss_has_risen(
    losses: list[float], onset: float
) -> None:
    tables = [followed(losses, lrs=RANGE[: len(losses)])]
    assert waited(tables, reduce="onset", otherwise=0.9) == [onset]


def test_how_much_is_a_rise_and_from_where_can_be_said() -> None:
    tables = [
        followed([1, 1, 3, 3, 2, 2, 2.3, 2.3], lrs=RANGE, seed=0),
        followed([1, 1, 3, 3, 2, 2, 2.1, 2.1], lrs=RANGE, seed=1),
    ]
    assert waited(tables, reduce="onset", otherwise=9.0) == [0.2, 0.2]
    assert waited(tables, reduce="onset", from_epoch=3, otherwise=9.0) == [0.4, 9]
    assert waited(tables, reduce="onset", from_epoch=3, rise=1.2, otherwise=9.0) == [9, 9]


def test_an_onset_is_of_one_round_of_rising_rates() -> None:
    rounds = [followed([5, 4, 9, 2, 2, 2], lrs=[0.1, 0.2, 0.3, 0.2, 0.2, 0.3])]
    assert waited(rounds, reduce="onset", otherwise=7.0) == [0.3]
    # In the second round it does not rise; what it was in the first does not count.
    assert waited(rounds, reduce="onset", from_epoch=4, otherwise=7.0) == [7.0]
    # Where the rate falls a round ends, without a rise too.
    falling = [followed([5, 4, 4, 9], lrs=[0.1, 0.2, 0.2, 0.1])]
    assert waited(falling, reduce="onset", otherwise=7.0) == [7.0]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Measure("loss", reduce="first", at_most=1.0), "first needs otherwise"),
        (Measure("loss", reduce="first", otherwise=1.0), "first needs at_most or at_least"),
        (Measure("loss", reduce="onset"), "onset needs otherwise"),
        (Measure("loss", reduce="onset", otherwise=1.0), "no lr on train"),
        (
            Measure("loss", reduce="first", of="seconds", at_most=1.0, otherwise=1.0),
            "no seconds on train",
        ),
    ],
)
def test_what_waiting_needs_is_said(what: Measure, words: str) -> None:
    with pytest.raises(MeasureError, match=words):
        measure(TABLES, what)
