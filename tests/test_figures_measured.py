"""Figures: one number a seed, from arms and from derived quantities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_lr.claims import load_claims
from bench_lr.figures.axis import log_ticks, plain
from bench_lr.figures.measured import (
    Sample,
    derived_sample,
    measure_label,
    middle_of,
    samples,
    shown_measures,
)
from bench_lr.identity import run_ids
from bench_lr.judge import judge
from bench_lr.measure import measure
from bench_lr.results import Results
from bench_lr.schema import Measure
from bench_lr.store import Store
from tests.factories import arm, claim_verdict, diverge, judged, rising
from tests.stored import fill

LAST = Measure("accuracy", reduce="mean_last", epochs=5)
ARMS = [arm("a"), arm("b", lr=0.1)]


def test_a_sample_is_what_a_criterion_would_be_given(tmp_path: Path) -> None:
    claim = load_claims(["ai_edu/best_lr_batch_128"], "smoke")[0]
    store = Store(tmp_path)
    rng = np.random.default_rng(0)
    levels = {(a.name, r.seed): rng.random() for a in claim.arms for r in a.runs}
    fill(store, claim, accuracy=lambda name, epoch, seed: levels[name, seed] * epoch)
    verdict = judge(claim, store)
    for what in (Measure("accuracy"), Measure("accuracy", reduce="largest"), Measure("steps")):
        found = samples(verdict, [a.name for a in claim.arms], what)
        for own in claim.arms:
            stored = [store.content(identity) for identity in run_ids(own.runs)]
            contents = [content[1] for content in stored if content is not None]
            expected, _ = measure(Results.read(contents), what)
            factor = 100 if what.metric == "accuracy" else 1
            np.testing.assert_allclose(found[own.name].values, factor * expected)
            assert found[own.name].seeds == tuple(run.seed for run in own.runs)


def test_diverged_and_missing_runs_are_told_apart() -> None:
    frame = diverge(rising({"a": 0.97, "b": 0.9}), "a", [1, 5], after=3)
    frame = frame[~((frame["arm"] == "b") & (frame["seed"] == 2))]
    found = samples(claim_verdict(arms=ARMS, frame=frame), ["a", "b", "c"], LAST)
    assert (found["a"].values.size, found["a"].diverged) == (8, 2)
    assert found["b"].seeds == (0, 1, 3, 4, 5, 6, 7)
    assert found["c"].values.size == 0


def test_a_run_without_the_metric_counts_as_missing() -> None:
    verdict = claim_verdict(arms=ARMS, frame=rising({"a": 0.97}))
    assert samples(verdict, ["a"], Measure("loss"))["a"].values.size == 0


def test_quantities_come_from_calculations_too() -> None:
    verdict = claim_verdict(calculations={"escapes": np.array([0.0, 1.0, np.inf])})
    found = derived_sample(verdict, "escapes")
    np.testing.assert_array_equal(found.values, [0, 1, np.nan])
    assert derived_sample(verdict, "none").values.size == 0


def test_measures_are_those_of_the_criteria() -> None:
    criteria = [
        judged(id="x", role="reading", metric="steps"),
        judged(id="a"),
        judged(id="b", metric="loss"),
        judged(id="c"),
    ]
    shown = shown_measures(claim_verdict(criteria=criteria), None)
    assert [what.metric for what in shown] == ["accuracy", "loss"]


def test_centres_and_their_intervals() -> None:
    values = np.array([1.0, 2.0, 4.0, np.nan])
    sample = Sample(values, np.zeros(4, dtype=bool), (0, 1, 2, 3))
    # t(0.975; 2) = 4.30265
    half = 4.30265 * np.std([1, 2, 4], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(
        middle_of(sample, "mean"), [7 / 3, 7 / 3 - half, 7 / 3 + half], rtol=1e-5
    )
    spread = 4.30265 * np.log(2) / np.sqrt(3)
    np.testing.assert_allclose(
        middle_of(sample, "geometric"), 2 * np.exp([0, -spread, spread]), rtol=1e-5
    )
    np.testing.assert_allclose(middle_of(sample, "median"), [2, 1.5, 3])
    nothing = Sample(np.array([np.nan]), np.array([False]), (0,))
    assert np.isnan(middle_of(nothing, "mean")).all()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (LAST, "validation accuracy, % (last 5 epochs)"),
        (Measure("loss", "train"), "train cross-entropy, nats"),
        (Measure("loss", reduce="mean_at", epochs=(1.0, 5.0)), "(epochs 1, 5)"),
        (Measure("steps"), "parameter updates"),
        (
            Measure("accuracy", reduce="first", at_least=0.95, of="steps", otherwise=1e4),
            "parameter updates to validation accuracy ≥ 95 %",
        ),
    ],
)
def test_measures_in_words(what: Measure, words: str) -> None:
    assert words in measure_label(claim_verdict(arms=ARMS), what)


@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 0.4), (2310, 2980), (1e-4, 8.0), (0.5, 1.0), (3, 3e7), (1e-12, 1e12)]
)
def test_log_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert low * 0.999 <= ticks[0]
    assert ticks[-1] <= high * 1.001
    assert len({plain(tick) for tick in ticks}) == len(ticks)


def test_rates_in_single_precision_are_at_their_ticks() -> None:
    ticks = log_ticks(float(np.float32(0.1)), float(np.float32(0.4)))
    assert (ticks[0], ticks[-1]) == (0.1, 0.4)


def test_ticks_far_from_one_are_powers_of_ten() -> None:
    assert [plain(v) for v in (0.25, 1000, 1e-6, 5e8)] == ["0.25", "1,000", "10⁻⁶", "5·10⁸"]


def test_an_empty_frame_gives_no_numbers() -> None:
    verdict = claim_verdict(arms=ARMS, frame=pd.DataFrame())
    assert samples(verdict, ["a"], LAST)["a"].values.size == 0


def test_runs_that_never_reach_their_target_are_capped() -> None:
    frame = rising({"a": 0.97, "b": 0.91}, noise=0.0)
    what = Measure("accuracy", reduce="first", at_least=0.95, otherwise=99.0)
    found = samples(claim_verdict(arms=ARMS, frame=frame), ["a", "b"], what)
    assert not found["a"].capped.any()
    assert (found["a"].values < 15).all()
    assert found["b"].capped.all()
    assert (found["b"].values == 99).all()
