"""Counts, axes, lines through points, statements, and streams of random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from bench_lr.calculations import (
    LineLoss,
    Logarithms,
    NeededLr,
    NeededLrDraws,
    PowersOfTen,
    ScheduleValues,
    Statements,
    Updates,
    is_simulated,
)
from bench_lr.calculations.statements import Item
from bench_lr.calculations.streams import generators


@pytest.mark.parametrize("size", [1, 7, 64, 100])
@pytest.mark.parametrize("drop_last", [True, False])
def test_updates_are_those_of_a_data_loader(size: int, drop_last: bool) -> None:
    data = torch.utils.data.TensorDataset(torch.zeros(100))
    loader = torch.utils.data.DataLoader(data, batch_size=size, drop_last=drop_last)
    assert Updates(100, size, 3, drop_last).values()[0] == 3 * len(loader)


def test_no_full_batch_leaves_nothing_to_train_on() -> None:
    with pytest.raises(ValueError, match="drop_last"):
        Updates(10, 11, 1, drop_last=True)
    with pytest.raises(ValueError, match="drop_last"):
        Updates(10, batches=((1, 5), (1, 11)), drop_last=True)


@pytest.mark.parametrize("drop_last", [True, False])
def test_updates_of_growing_batches_are_those_of_a_loader_an_epoch(drop_last: bool) -> None:
    data = torch.utils.data.TensorDataset(torch.zeros(100))
    sizes = [7] * 3 + [35] * 2 + [100]
    loaders = [torch.utils.data.DataLoader(data, size, drop_last=drop_last) for size in sizes]
    counted = Updates(100, batches=((3, 7), (2, 35), (1, 100)), drop_last=drop_last)
    assert counted.values()[0] == sum(len(loader) for loader in loaders)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"batch_size": 8},
        {"epochs": 3},
        {"batches": ((1, 8),), "epochs": 1},
        {"batches": ((1, 8),), "batch_size": 8},
    ],
)
def test_updates_want_one_plan(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="batches"):
        Updates(100, **words)


def test_powers_and_logarithms_undo_each_other() -> None:
    at = (-1.0, -0.13, 0.0, 2.5)
    powers = PowersOfTen(at).values()
    np.testing.assert_allclose(powers, [math.pow(10, x) for x in at])
    np.testing.assert_allclose(Logarithms(tuple(powers)).values(), at, atol=1e-12)


@pytest.mark.parametrize("x", [(-2.0, 0.0, 2.0), (-2.0, -1.0, 0.0, 1.0, 2.0), (0.5, 3.0)])
@pytest.mark.parametrize("slope", [0.5, 1.7])
def test_one_step_with_the_needed_rate_levels_the_line(x: tuple[float, ...], slope: float) -> None:
    w = torch.tensor(slope, dtype=torch.float64, requires_grad=True)
    loss = 0.5 * ((w * torch.tensor(x, dtype=torch.float64)) ** 2).mean()
    (gradient,) = torch.autograd.grad(loss, w)
    assert LineLoss(x, slope).values()[0] == pytest.approx(loss.item())
    rate = NeededLr(x, slope, "gradient").values()[0]
    assert slope - rate * gradient.item() == pytest.approx(0, abs=1e-12)
    rate = NeededLr(x, slope, "loss").values()[0]
    assert slope - rate * loss.item() == pytest.approx(0, abs=1e-12)


def test_drawn_points_have_the_needed_rate_of_their_own_points() -> None:
    drawn = NeededLrDraws(4, 2.0, 0.5, "gradient", seeds=5).values()
    for seed, stream in enumerate(generators("points", 5)):
        x = tuple(2.0 * stream.uniform(-1, 1, 4))
        assert drawn[seed] == pytest.approx(NeededLr(x, 0.5, "gradient").values()[0])


def test_points_at_the_origin_fit_any_line() -> None:
    with pytest.raises(ValueError, match="any line fits"):
        NeededLr((0.0, 0.0), 1.0, "loss")


def test_equal_statements_are_equal_numbers() -> None:
    table = Statements(
        ("one", "two", "three"),
        (Item("a", ("high", "low", "high")), Item("b", (10.0, None, "high"))),
    )
    values = table.values()
    assert values.shape == (2, 3)
    assert values[0, 0] == values[0, 2] == values[1, 2]
    assert len({values[0, 0], values[0, 1], values[1, 0]}) == 3
    assert np.isnan(values[1, 1])
    assert table.names == ("a", "b")


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ((Item("a", ("x", "y", "z")),), "3 sayings for 2 places"),
        ((Item("a", ("x", "y"), ("only one",)),), "1 wordings for 2 places"),
        ((Item("a", ("x", "y")), Item("a", ("x", "y"))), "same name"),
    ],
)
def test_statements_without_their_places_are_refused(items: tuple[Item, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Statements(("one", "two"), items)


def test_streams_hang_on_purpose_and_seed_alone() -> None:
    few = [g.standard_normal(3) for g in generators("a", 2)]
    many = [g.standard_normal(3) for g in generators("a", 4)]
    np.testing.assert_array_equal(few, many[:2])
    other = [g.standard_normal(3) for g in generators("b", 4)]
    assert len({float(draws[0]) for draws in (*many, *other)}) == 8


def test_what_has_seeds_is_simulated() -> None:
    assert is_simulated(NeededLrDraws(3, 1.0, 1.0, "loss"))
    assert not is_simulated(PowersOfTen((0.0,)))
    assert "seeds" not in ScheduleValues.__dataclass_fields__
