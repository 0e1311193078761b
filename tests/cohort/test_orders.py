"""In which order a run sees its training examples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_lr.cohort import engine, permutations, streams
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.data import Dataset, load
from bench_lr.schema import (
    EvaluationConfig,
    Linear,
    ModelConfig,
    Phase,
    RunConfig,
    Sigmoid,
    TaskConfig,
)
from tests.cohort.test_engine import config, data, sweep

__all__ = ["data"]
quickly = settings(max_examples=150, deadline=None, derandomize=True)
populations = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)


def cohort_of(data: Dataset, **changes: object) -> Cohort:
    (ordered,) = arrange(sweep(config(**changes)))
    return Cohort(ordered, data)


def visited(cohort: Cohort, epoch: int) -> np.ndarray:
    """Positions in the training data that each seed visits in an epoch, (seeds, examples)."""
    parts = [cohort.indices(span) for span in cohort.timetable.spans(epoch, 4)]
    return np.concatenate([part.swapaxes(0, 1).flatten(1).numpy() for part in parts], axis=1)


@quickly
@given(population=populations, size=st.integers(1, 60), seed=st.integers(0, 9))
def test_every_stratified_batch_is_as_near_to_the_shares_as_whole_examples_allow(
    population: list[int], size: int, seed: int
) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(range(len(population)), population))
    order = streams.stratified_order(seed, 0, classes, size)
    assert sorted(order) == list(range(len(classes)))
    share = np.array(population) / len(classes)
    for start in range(0, len(classes), size):
        batch = classes[order[start : start + size]]
        counts = np.bincount(batch, minlength=len(population))
        if len(batch) == size:
            short = start + size > len(classes) - 2 * size
            # Towards the end a class may have run out.
            assert (np.abs(counts - size * share) < (2 if short else 1 + 1e-6)).all()


@quickly
@given(population=populations, size=st.integers(1, 60))
def test_batches_together_have_what_there_is(population: list[int], size: int) -> None:
    counts = streams.class_counts(tuple(population), size)
    assert counts.sum(0).tolist() == population
    whole, left = divmod(sum(population), size)
    assert counts.sum(1).tolist() == [size] * whole + [left] * bool(left)
    assert (counts >= 0).all()
    # No class falls behind its share, or runs ahead of it, for long.
    share = np.array(population) / sum(population)
    behind = np.cumsum(counts, 0) - np.cumsum(counts.sum(1))[:, None] * share
    assert np.abs(behind).max() < 2


def test_balanced_classes_are_equally_many_in_every_batch() -> None:
    classes = np.arange(200) % 10
    order = streams.stratified_order(0, 3, classes, 20)
    for batch in order.reshape(10, 20):
        assert np.bincount(classes[batch]).tolist() == [2] * 10


def test_a_stratified_order_is_drawn_anew_for_every_seed_and_epoch() -> None:
    classes = np.arange(90) % 7
    orders = [
        tuple(streams.stratified_order(seed, epoch, classes, 8).tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(streams.stratified_order(0, 0, classes, 8).tolist())


def test_within_a_class_every_example_comes_first_equally_often() -> None:
    classes = np.repeat([0, 1], 5)
    firsts = [streams.stratified_order(0, epoch, classes, 2)[:2] for epoch in range(1000)]
    counts = np.bincount(np.concatenate(firsts), minlength=10)
    assert (np.abs(counts - 200) < 5 * np.sqrt(1000 * 0.2 * 0.8)).all()


def test_a_cohort_stratifies_by_the_labels_of_each_seeds_examples(data: Dataset) -> None:
    cohort = cohort_of(data, order="stratified", batches=(Phase(2, 25),))
    labels = data.train_y.numpy()
    for row, seed in enumerate(cohort.seeds):
        train, _ = streams.split(cohort.config.task, 120, seed)
        for epoch in (0, 1):
            seen = visited(cohort, epoch)[row]
            expected = train[streams.stratified_order(seed, epoch, labels[train], 25)]
            assert seen.tolist() == expected.tolist()
            share = np.bincount(labels[train], minlength=10) / 75
            for batch in seen.reshape(3, 25):
                counts = np.bincount(labels[batch], minlength=10)
                assert (np.abs(counts - 25 * share) < 2).all()


def test_a_fixed_order_is_that_of_the_file_in_every_epoch(data: Dataset) -> None:
    cohort = cohort_of(data, order="fixed", batches=(Phase(3, 10),))
    for epoch in range(3):
        for row, seed in zip(visited(cohort, epoch), cohort.seeds, strict=True):
            train, _ = streams.split(cohort.config.task, 120, seed)
            assert row.tolist() == sorted(train.tolist())


def test_a_shuffled_order_is_the_one_it_has_always_been(data: Dataset) -> None:
    cohort = cohort_of(data, batches=(Phase(2, 10),))
    for epoch in (0, 1):
        for row, seed in zip(visited(cohort, epoch), cohort.seeds, strict=True):
            train, _ = streams.split(cohort.config.task, 120, seed)
            key = np.random.Generator(np.random.PCG64DXSM(streams.stream_key(seed, "order", epoch)))
            assert row.tolist() == train[key.permutation(75)].tolist()


def test_there_are_no_classes_of_real_numbers(data: Dataset) -> None:
    targets = dataclasses.replace(data, train_y=torch.rand(120, 1))
    with pytest.raises(ValueError, match="real numbers"):
        cohort_of(targets, order="stratified")


def test_joined_epochs_are_each_in_their_own_order(data: Dataset) -> None:
    run: RunConfig = config(
        batches=(Phase(5, 15),),
        evaluation=EvaluationConfig(every=3),
        task=TaskConfig("synthetic", 75, 40),
    )
    (ordered,) = arrange(sweep(run))
    joined, apart = Cohort(ordered, data), Cohort(ordered, data)
    spans = list(joined.timetable.spans_of(range(5), 100))
    assert [span.epochs for span in spans] == [3, 2]
    got = torch.cat([joined.indices(span) for span in spans])
    each = [apart.indices(s) for epoch in range(5) for s in apart.timetable.spans(epoch, 100)]
    assert torch.equal(got, torch.cat(each))


@quickly
@given(
    seeds=st.lists(st.integers(0, 2**70), min_size=1, max_size=3),
    first=st.integers(0, 10**6),
    count=st.integers(1, 3),
    examples=st.one_of(st.integers(1, 70), st.sampled_from([255, 256, 257, 900, 4097])),
)
def test_orders_drawn_together_are_those_of_numpys_generator(
    seeds: list[int], first: int, count: int, examples: int
) -> None:
    epochs = range(first, first + count)
    got = permutations.epoch_orders(seeds, epochs, examples)
    wanted = [[streams.epoch_order(seed, epoch, examples) for seed in seeds] for epoch in epochs]
    assert got.tolist() == np.array(wanted).tolist()


@pytest.mark.parametrize("together", [1, 200, 1 << 18])
def test_a_small_network_sees_the_order_that_any_other_would(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_ORDERED_TOGETHER", together)
    run = config(
        task=TaskConfig("curve", 90, 20, loss="half_mse"),
        batches=(Phase(5, 20), Phase(2, 45)),
    )
    run = dataclasses.replace(run, model=ModelConfig((Linear(4), Sigmoid(), Linear(1))))
    (ordered,) = arrange(sweep(run))
    cohort = Cohort(ordered, load("curve"))
    assert cohort.is_small
    for epoch in (0, 1, 2, 3, 4, 5, 6, 2):
        for row, seed in zip(visited(cohort, epoch), cohort.seeds, strict=True):
            train, _ = streams.split(run.task, 1000, seed)
            assert row.tolist() == train[streams.epoch_order(seed, epoch, 90)].tolist()
