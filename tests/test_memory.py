"""Cohorts that need more memory than there is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from bench_lr import trainer
from bench_lr.cohort.grouping import shape_key
from bench_lr.cohort.memory import bytes_of, halves, is_out_of_memory, parts, runs_that_fit
from bench_lr.schema import RunConfig
from tests.stored import run


def cohort(seeds: int, lrs: int) -> list[RunConfig]:
    return [run(seed, lr=0.1 * (lr + 1)) for seed in range(seeds) for lr in range(lrs)]


@pytest.mark.parametrize(("seeds", "lrs"), [(2, 1), (1, 2), (3, 1), (1, 5), (4, 4), (3, 3), (5, 2)])
def test_halves_are_cohorts_of_all_runs_each_once(seeds: int, lrs: int) -> None:
    whole = cohort(seeds, lrs)
    parts = halves(whole)
    assert sorted(map(repr, (r for part in parts for r in part))) == sorted(map(repr, whole))
    for part in parts:
        assert 0 < len(part) <= (len(whole) + 1) // 2
        assert len({shape_key(r) for r in part}) == 1
        counts = {seed: sum(r.seed == seed for r in part) for seed in {r.seed for r in part}}
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
def test_a_cohort_is_cut_until_it_fits(most: int) -> None:
    whole = cohort(5, 2)
    found = parts(whole, most)
    assert sorted(map(repr, (r for part in found for r in part))) == sorted(map(repr, whole))
    assert all(0 < len(part) <= most for part in found)
    assert (found == [whole]) == (most >= len(whole))


def test_as_many_runs_fit_as_there_is_memory_for() -> None:
    one = run()
    each = bytes_of(one)
    # 784 inputs, ten outputs, ten of the loss: no less than the weights, twice, and a batch.
    assert each > 4 * (2 * (784 * 10 + 10) + 8 * 784)
    assert bytes_of(dataclasses.replace(one, dtype="float64")) == 2 * each
    assert runs_that_fit(one, 0) == 1
    assert runs_that_fit(one, 1000 * each) == 800


def test_memory_that_cannot_be_had_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_a_cohort_without_memory_trains_by_halves_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from bench_lr.store import Store
    from bench_lr.train import _train_cohort

    whole = cohort(4, 2)
    sizes: list[int] = []

    def train(runs: list[RunConfig], progress: object) -> None:
        sizes.append(len(runs))
        if len(runs) > 2:
            raise MemoryError

    store = Store(tmp_path)
    assert _train_cohort(store, train, whole, None) == 0
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    assert "no memory for 8 runs at a time: going on by halves" in caplog.text
    assert store.known() == set()


def test_a_single_run_without_memory_fails(tmp_path: Path) -> None:
    from bench_lr.store import Store
    from bench_lr.train import _train_cohort

    def train(runs: list[RunConfig], progress: object) -> None:
        raise MemoryError("not a byte left")

    store, whole = Store(tmp_path), cohort(3, 1)
    assert _train_cohort(store, train, whole, None) == 3
    assert len(list(store.failures(store.known()))) == 3


def test_a_single_run_is_tried_again_when_memory_has_been_given_back(tmp_path: Path) -> None:
    from bench_lr.store import Store
    from bench_lr.train import _train_cohort

    tried: list[int] = []

    def train(runs: list[RunConfig], progress: object) -> None:
        tried.append(len(runs))
        if len(tried) == 1:
            raise MemoryError

    assert _train_cohort(Store(tmp_path), train, cohort(1, 1), None) == 0
    assert tried == [1, 1]


def test_halves_train_to_what_the_whole_would_have(tmp_path: Path) -> None:
    from bench_lr.data import load

    task = dataclasses.replace(run().task, data="synthetic")
    base = run(task=task, dtype="float64")
    whole = [dataclasses.replace(base, seed=seed) for seed in range(3)]
    data = load(base.task.data)
    expected = trainer.tables(trainer.train_cohort(whole, data, device="cpu"))
    found = [
        table
        for part in halves(whole)
        for table in trainer.tables(trainer.train_cohort(part, data, device="cpu"))
    ]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine["value"].to_numpy() == pytest.approx(theirs["value"].to_numpy(), rel=1e-9)
