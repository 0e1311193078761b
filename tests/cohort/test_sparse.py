"""A first layer that reads only what images show, against ordinary PyTorch loops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from bench_lr.cohort import gather, sparse
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.pixels import Pixels, pixels_of
from bench_lr.cohort.sparse import SparseLinear, pixels_for
from bench_lr.data import Dataset, load
from bench_lr.schema import Flatten, Linear, ModelConfig, Phase, Sigmoid, TaskConfig
from tests.cohort.test_engine import SGD, compare, config, run_cohort, sweep

CPU = torch.device("cpu")
FLAT = ("sigmoid_tanh", "batch_norm_dropout", "linear")


def images(shown: float, seed: int = 3) -> Dataset:
    """Images of 2 channels, 11 x 11, of which a share is not black; some wholly so."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 256, (160, 2, 11, 11), dtype=np.uint8)
    x[rng.random(x.shape) >= shown] = 0
    x[::7] = 0
    x = torch.from_numpy(x)
    y = torch.from_numpy(rng.integers(0, 10, 160))
    return Dataset("random", x[:120], y[:120], x[120:], y[120:], "none", 10)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "MOST_DENSE", 1.0)
    monkeypatch.setattr(sparse, "NARROWEST", 1)


def is_sparse(cohort: Cohort) -> bool:
    return any(isinstance(layer, SparseLinear) for layer in cohort.network.layers)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("optimizer", SGD)
@pytest.mark.parametrize("model", FLAT)
def test_it_equals_the_ordinary_loop(model: str, optimizer: str) -> None:
    data = images(0.2)
    runs = sweep(config(model, optimizer=SGD[optimizer]), lrs=(0.01, 0.05, 0.1))
    cohort = run_cohort(runs, data)
    assert is_sparse(cohort)
    compare(cohort, data)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("outputs", [1, 7, 8, 9, 56, 57, 64, 75, 113, 200])
def test_any_width_equals_the_ordinary_loop(outputs: int) -> None:
    """Rows of weights are summed as many vectors at a time as registers hold."""
    data = images(0.3)
    model = ModelConfig((Flatten(), Linear(outputs), Sigmoid(), Linear(10)))
    cohort = run_cohort(sweep(dataclasses.replace(config(), model=model)), data)
    assert is_sparse(cohort)
    compare(cohort, data)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("shown", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("batch", [1, 5, 64, 70])
def test_any_batch_and_any_image_equals_the_ordinary_loop(shown: float, batch: int) -> None:
    """Batches of one image, of more than one block, a last partial one; black and full images."""
    data = images(shown)
    compare(run_cohort(sweep(config(batches=(Phase(2, batch),))), data), data)


@pytest.mark.usefixtures("always")
def test_it_measures_test_images_too() -> None:
    data = images(0.2)
    base = config()
    both = dataclasses.replace(base.evaluation, splits=("validation", "test"))
    cohort = run_cohort(sweep(dataclasses.replace(base, evaluation=both)), data)
    state = cohort.network.export(1)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(242, 12),
        nn.Sigmoid(),
        nn.Linear(12, 7),
        nn.Tanh(),
        nn.Linear(7, 10),
    ).double()
    network.load_state_dict(state)
    loss = nn.functional.cross_entropy(network(data.test_x.double() / 255), data.test_y)
    assert cohort.records.values[-1]["loss", "test"][1] == pytest.approx(loss.item(), abs=1e-12)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("optimizer", ["plain", "momentum"])
def test_in_float32_it_stays_close_to_the_ordinary_loop(optimizer: str) -> None:
    data = images(0.2)
    runs = sweep(config(optimizer=SGD[optimizer], dtype="float32"), lrs=(0.02, 0.1))
    cohort = run_cohort(runs, data)
    assert is_sparse(cohort)
    compare(cohort, data, tolerance=2e-5)


@pytest.mark.usefixtures("always")
def test_a_run_that_diverges_changes_no_other() -> None:
    """Bit for bit: no arithmetic is shared between the arms of a seed."""
    data = images(0.3)
    calm = run_cohort(sweep(config("linear", dtype="float32"), lrs=(0.1, 0.2)), data)
    lrs = (0.1, 0.2, 1e38)
    mixed = run_cohort(sweep(config("linear", dtype="float32"), lrs=lrs), data)
    assert (mixed.diverged_at[:, 2] >= 0).all()
    for g in range(2):
        for arm in range(2):
            alone = calm.network.export(g * 2 + arm)
            for name, value in mixed.network.export(g * 3 + arm).items():
                assert torch.equal(value, alone[name])


def test_what_images_show_is_what_they_hold() -> None:
    data = images(0.25)
    pixels = pixels_of(data)
    assert pixels is not None
    every = torch.cat([data.train_x, data.test_x]).flatten(1).numpy()
    back = np.zeros_like(every)
    for n in range(len(every)):
        part = slice(pixels.starts[n], pixels.starts[n + 1])
        back[n, pixels.pixel[part]] = pixels.level[part]
    assert np.array_equal(back, every)
    assert pixels.density == pytest.approx((every != 0).mean())


def test_products_and_outer_products_are_those_of_dense_matrices() -> None:
    rng = np.random.default_rng(0)
    data = images(0.3)
    pixels = pixels_of(data)
    assert pixels is not None
    dense = torch.cat([data.train_x, data.test_x]).flatten(1).numpy() / 255.0
    seeds, arms, outputs, width, batch = 2, 3, 75, 80, 69
    weight = np.zeros((seeds, arms, 243, width))
    weight[..., :outputs] = rng.standard_normal((seeds, arms, 243, outputs))
    positions = rng.integers(0, 160, (seeds, batch))
    delta = rng.standard_normal((seeds, arms, outputs, batch))
    table = np.arange(256) / 255.0
    held = (positions, pixels.starts, pixels.pixel, pixels.level, table)
    out = np.empty_like(delta)
    gather.multiply(*held, weight, True, np.zeros((batch, width)), out)
    x = np.concatenate([dense[positions], np.ones((seeds, batch, 1))], axis=2)
    expected = np.einsum("gbk,glko->glob", x, weight[..., :outputs])
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)

    expected = weight.copy()
    expected[..., :outputs] += np.einsum("gbk,glob->glko", x, delta)
    scratch = (np.zeros((arms, batch, width)), np.zeros(242, np.int32))
    lists = [np.zeros(242 * gather.BLOCK, np.uint8) for _ in range(2)]
    gather.add_outer(*held, delta, weight, True, *scratch, *lists)
    np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=1e-12)


def test_it_is_chosen_where_it_pays() -> None:
    """Many black pixels, a wide first layer, a CPU."""
    narrow, wide = (nn.Sequential(nn.Flatten(), nn.Linear(242, n)) for n in (8, 64))
    convolution = nn.Sequential(nn.Conv2d(2, 64, 3), nn.Flatten(), nn.Linear(5184, 64))
    dark, bright = images(0.2), images(0.9)
    assert isinstance(pixels_for(wide, dark, CPU), Pixels)
    assert pixels_for(wide, bright, CPU) is None
    assert pixels_for(narrow, dark, CPU) is None
    assert pixels_for(convolution, dark, CPU) is None
    assert pixels_for(wide, dark, torch.device("cuda")) is None
    assert pixels_for(wide, load("curve"), CPU) is None


@pytest.mark.usefixtures("always")
def test_a_cohort_made_for_a_cpu_says_so_elsewhere() -> None:
    (ordered,) = arrange(sweep(config()))
    cohort = Cohort(ordered, images(0.2))
    assert is_sparse(cohort)
    with pytest.raises(ValueError, match="made for a CPU, not meta"):
        cohort.to("meta").start()


def test_a_dense_data_set_trains_by_matrix_products() -> None:
    task = TaskConfig("synthetic", train_size=75, validation_size=40)
    cohort = run_cohort(sweep(config(task=task)), images(0.9))
    assert not is_sparse(cohort)
