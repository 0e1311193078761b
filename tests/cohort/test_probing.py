"""Probes against autograd, finite differences, brute force and theory."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from bench_lr import models
from bench_lr.cohort import probing, streams
from bench_lr.cohort.engine import Cohort
from bench_lr.cohort.probing import PerExample
from bench_lr.data import Dataset, load
from bench_lr.probes import Curvature, DisplacementSketch, GradientNoise, Probe
from bench_lr.schema import (
    Conv2d,
    EvaluationConfig,
    Flatten,
    GhostBatchNorm,
    GlobalMaxPool,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    ReLU,
    Residual,
    RunConfig,
    Sigmoid,
    Tanh,
    TaskConfig,
)
from bench_lr.trainer import tables, train_cohort
from tests.cohort.test_engine import compare, config, data, run_cohort, sweep

__all__ = ["data"]  # a fixture

NETWORKS = {
    "hidden": (Flatten(), Linear(5), Sigmoid(), Linear(4, bias=False), Tanh(), Linear(10)),
    "linear": (Flatten(), Linear(10)),
    "activation_first": (Tanh(), Flatten(), Linear(6, init="he_normal"), ReLU(), Linear(10)),
}
R1 = ModelConfig((Linear(4), Sigmoid(), Linear(1)))
CURVE = RunConfig(
    task=TaskConfig("curve", 90, 20, loss="half_mse"),
    model=R1,
    optimizer=OptimizerConfig(0.5),
    batches=(Phase(2, 10),),
)


def probed(base: RunConfig, *probes: Probe) -> RunConfig:
    evaluation = dataclasses.replace(base.evaluation, probes=probes)
    return dataclasses.replace(base, evaluation=evaluation)


def gradients(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: str = "cross_entropy"
) -> list[torch.Tensor]:
    """Gradient of the mean loss by ordinary autograd."""
    network.zero_grad()
    if loss == "half_mse":
        (0.5 * nn.functional.mse_loss(network(x), y, reduction="sum") / len(x)).backward()
    else:
        nn.functional.cross_entropy(network(x), y).backward()
    return [p.grad.clone() for p in network.parameters()]


def flat(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.flatten() for part in parts])


def network_of(layers: tuple, data: Dataset) -> nn.Sequential:
    return models.build(ModelConfig(layers), tuple(data.train_x.shape[1:]), 3).double()


def examples_of(network: nn.Module, data: Dataset, count: int = 90) -> PerExample:
    x, y = data.train_x[:count], data.train_y[:count]
    return PerExample(network, dict(network.state_dict()), x, y, "cross_entropy", 1 / 255)


# --- gradient noise ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("values", [1 << 22, 500], ids=["at once", "in pieces"])
def test_batch_gradients_are_those_of_autograd(
    name: str, values: int, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_VALUES", values)
    network = network_of(NETWORKS[name], data)
    examples = examples_of(network, data)
    x, y = data.train_x[:90].double() / 255, data.train_y[:90]
    full = gradients(network, x, y)
    batches = torch.from_numpy(np.random.default_rng(0).integers(0, 90, (7, 12)))
    found = [g for layer in examples.layers for g in layer.of(batches)]
    for row, batch in enumerate(batches):
        expected = gradients(network, x[batch], y[batch])
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours[row], theirs, rtol=1e-12, atol=1e-14)
    for size in (1, 7, 45, 90, 4096):
        for ours, theirs in zip(examples.mean_gradient(size), full, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-14)
    alone = [flat(gradients(network, x[i : i + 1], y[i : i + 1])) for i in range(90)]
    square = float(torch.stack(alone).square().sum(1).mean())
    assert examples.mean_square() == pytest.approx(square, rel=1e-11)
    mean = flat(full)
    apart = [(flat(gradients(network, x[b], y[b])) - mean).square().sum() for b in batches]
    deviation = examples.deviation(batches, full)
    assert deviation == pytest.approx(float(torch.stack(apart).mean()), rel=1e-11)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_variance_of_small_batches_is_that_of_gradients_that_are_formed(
    name: str, dtype: torch.dtype, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = examples_of(network_of(NETWORKS[name], data).to(dtype), data)
    centre = [g.to(dtype) for g in examples.mean_gradient()]
    for size in (1, 3, 16):
        batches = torch.from_numpy(np.random.default_rng(size).integers(0, 90, (40, size)))
        few = examples.deviation(batches, centre)
        with monkeypatch.context() as patch:
            patch.setattr(probing, "_FEW", 0)
            formed = examples.deviation(batches, centre)
            patch.setattr(probing, "_FEW", 16)
            patch.setattr(probing, "_VALUES", 500)
            in_pieces = examples.deviation(batches, centre)
        precision = 1e-11 if dtype == torch.float64 else 1e-5
        assert few == pytest.approx(formed, rel=precision)
        assert in_pieces == pytest.approx(few, rel=precision)


@pytest.mark.parametrize("count", [20, 200])
def test_batches_are_drawn_with_every_pair_of_examples_alike_often(count: int) -> None:
    rng = np.random.default_rng(0)
    drawn = probing.draw_batches(rng, count, 3, 40_000)
    assert drawn.shape == (40_000, 3)
    assert drawn.min() == 0
    assert drawn.max() == count - 1
    assert all(len(set(row)) == 3 for row in drawn[:2000].tolist())
    pairs = np.sort(np.concatenate([drawn[:, [0, 1]], drawn[:, [0, 2]], drawn[:, [1, 2]]]), axis=1)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    cells = np.bincount(pairs[:, 0] * count + pairs[:, 1], minlength=count**2)
    upper = cells[np.flatnonzero(np.triu(np.ones((count, count)), 1))]
    expected = 120_000 / upper.size
    # Chi-squared over its degrees of freedom.
    assert ((upper - expected) ** 2 / expected).mean() == pytest.approx(1, abs=0.3)


def test_a_probe_may_draw_more_of_small_batches_and_leave_the_bias_out() -> None:
    probe = GradientNoise((1, 8, 64), batches=50, examples=1000, bias=False)
    assert [probe.drawn(size) for size in probe.batch_sizes] == [1000, 125, 50]
    base = dataclasses.replace(config(), task=TaskConfig("synthetic", 400, 100))
    cohort = run_cohort([probed(base, dataclasses.replace(probe, at=(0,)))], load("synthetic"))
    found = {metric for metric, _ in cohort.records.values[0] if metric.startswith("gradient")}
    assert found == set(probe.metrics)
    assert not any(metric.startswith("gradient_bias") for metric in found)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_over_all_batches_the_variance_is_exactly_what_theory_says(
    size: int, data: Dataset
) -> None:
    """S/B (N - B)/(N - 1), by every batch of B of 6 examples; 0 for the whole set."""
    examples = examples_of(network_of(NETWORKS["hidden"], data), data, count=6)
    full = examples.mean_gradient()
    batches = torch.tensor(list(itertools.combinations(range(6), size)))
    spread = examples.mean_square() - float(flat(list(full)).square().sum())
    exact = examples.deviation(batches, full)
    assert exact == pytest.approx(spread / size * (6 - size) / 5, rel=1e-9, abs=1e-15)


def test_the_variance_falls_as_theory_says_and_batches_have_no_bias() -> None:
    sizes = (1, 2, 4, 8, 16, 32, 64, 256, 5000)
    base = dataclasses.replace(config(), batches=(Phase(1, 20),), dtype="float32")
    base = dataclasses.replace(base, task=TaskConfig("synthetic", 400, 100))
    run = probed(base, GradientNoise(sizes, batches=400, at=(0, 1)))
    cohort = run_cohort([run], load("synthetic"))
    assert [values.keys() >= {("gradient_norm_squared", "train")} for values in
            cohort.records.values] == [True, False, True]  # fmt: skip
    for values in (cohort.records.values[0], cohort.records.values[-1]):
        got = {metric: float(v[0]) for (metric, _), v in values.items()}
        spread = got["gradient_sample_variance"]
        variances = [got[f"gradient_variance_{size}"] for size in sizes[:-1]]
        corrected = []
        for size, variance in zip(sizes, variances, strict=False):
            factor = (400 - size) / 399
            # A batch's squared distance has a coefficient of variation of about 1 at most.
            assert variance == pytest.approx(spread / size * factor, rel=5 / 400**0.5)
            corrected.append(math.log(variance / factor))
        slope = np.polyfit(np.log(sizes[:-1]), corrected, 1)[0]
        assert slope == pytest.approx(-1, abs=0.05)
        assert got["gradient_variance_5000"] < 1e-12 * spread
        assert all(got[f"gradient_bias_{size}"] < 1e-6 for size in sizes)


def test_what_is_stored_is_of_the_weights_at_that_evaluation(data: Dataset) -> None:
    base = dataclasses.replace(config(), model=ModelConfig(NETWORKS["hidden"]))
    run = probed(base, GradientNoise((8,), batches=60, at=(0, 2)))
    cohort = run_cohort(sweep(run), data)
    assert cohort.records.epoch == [0, 0.5, 1, 1.5, 2]
    for index, one in enumerate(cohort.runs):
        network = network_of(NETWORKS["hidden"], data)
        train, _ = streams.split(one.task, 120, one.seed)
        x, y = data.train_x[train].double() / 255, data.train_y[train]
        initial = models.build(one.model, (2, 11, 11), one.seed).double().state_dict()
        for row, step, state in ((0, 0, initial), (-1, 20, cohort.network.export(index))):
            network.load_state_dict(state)
            mean = flat(gradients(network, x, y))
            values = cohort.records.values[row]
            got = values["gradient_norm_squared", "train"][index]
            assert got == pytest.approx(float(mean.square().sum()), rel=1e-9)
            rng = streams.generator(one.seed, "gradient_noise", step, 8)
            apart = []
            for _ in range(60):
                batch = rng.choice(75, 8, replace=False, shuffle=False)
                assert len(set(batch)) == 8
                apart.append((flat(gradients(network, x[batch], y[batch])) - mean).square().sum())
            got = values["gradient_variance_8", "train"][index]
            assert got == pytest.approx(float(torch.stack(apart).mean()), rel=1e-9)


def test_half_mse_and_points_have_gradient_noise_too() -> None:
    points = load("curve")
    run = probed(CURVE, GradientNoise((1, 10), batches=4000, at=(0,)), Curvature(at=(0,)))
    cohort = run_cohort([dataclasses.replace(run, dtype="float64")], points)
    values = cohort.records.values[0]
    train, _ = streams.split(run.task, 1000, 0)
    network = models.build(R1, (1,), 0).double()
    x, y = points.train_x[train].double(), points.train_y[train].double()
    mean = flat(gradients(network, x, y, "half_mse"))
    square = values["gradient_norm_squared", "train"][0]
    assert square == pytest.approx(float(mean.square().sum()), rel=1e-12)
    assert values["gradient_norm", "train"][0] == pytest.approx(square**0.5, rel=1e-12)
    one, ten = (values[f"gradient_variance_{size}", "train"][0] for size in (1, 10))
    assert one / ten == pytest.approx(10 * 89 / 80, rel=0.15)


# --- curvature --------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [1 << 22, 2000], ids=["at once", "in pieces"])
def test_eigenvalues_are_those_of_finite_differences(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_VALUES", values)
    points = load("curve")
    run = probed(CURVE, Curvature(at=(0, 2)))
    cohort = run_cohort(sweep(run, lrs=(0.1, 0.9), seeds=(0, 1, 4)), points)
    assert len(cohort.records.epoch) == 3
    measured = cohort.records.values[-1]
    for index, one in enumerate(cohort.runs):
        train, _ = streams.split(one.task, 1000, one.seed)
        x, y = points.train_x[train].double(), points.train_y[train].double()
        network = models.build(R1, (1,), 0).double()
        state = {n: v.double() for n, v in cohort.network.export(index).items()}
        network.load_state_dict(state)
        weights = flat([p.detach() for p in network.parameters()])

        def slope(w: torch.Tensor) -> torch.Tensor:
            nn.utils.vector_to_parameters(w, network.parameters())  # noqa: B023
            return flat(gradients(network, x, y, "half_mse"))  # noqa: B023

        step = 1e-5 * torch.eye(13, dtype=torch.float64)
        hessian = torch.stack([(slope(weights + d) - slope(weights - d)) / 2e-5 for d in step])
        eigenvalues = np.linalg.eigvalsh((hessian + hessian.T).numpy() / 2)
        for name, expected in (("hessian_min", eigenvalues[0]), ("hessian_max", eigenvalues[-1])):
            got = measured[name, "train"][index]
            assert got == pytest.approx(expected, rel=1e-6, abs=1e-8)
        norm = float(slope(weights).norm())
        assert measured["gradient_norm", "train"][index] == pytest.approx(norm, rel=1e-9)
    assert len(set(measured["hessian_max", "train"])) == 6


def test_a_classifier_has_a_hessian_too(data: Dataset) -> None:
    layers = (Flatten(), Linear(1), Tanh(), Linear(10))
    base = dataclasses.replace(config(), model=ModelConfig(layers))
    cohort = run_cohort([probed(base, Curvature(at=(0,)))], data)
    train, _ = streams.split(base.task, 120, 0)
    x, y = data.train_x[train].double() / 255, data.train_y[train]
    network = models.build(base.model, (2, 11, 11), 0).double()
    names = [name for name, _ in network.named_parameters()]

    def loss(*weights: torch.Tensor) -> torch.Tensor:
        state = dict(zip(names, weights, strict=True))
        return nn.functional.cross_entropy(torch.func.functional_call(network, state, (x,)), y)

    weights = tuple(p.detach() for p in network.parameters())
    blocks = torch.autograd.functional.hessian(loss, weights)
    sizes = [w.numel() for w in weights]
    rows = [
        torch.cat([b.reshape(r, c) for b, c in zip(row, sizes, strict=True)], 1)
        for row, r in zip(blocks, sizes, strict=True)
    ]
    eigenvalues = np.linalg.eigvalsh(torch.cat(rows).numpy())
    values = cohort.records.values[0]
    assert values["hessian_max", "train"][0] == pytest.approx(eigenvalues[-1], rel=1e-9)
    assert values["hessian_min", "train"][0] == pytest.approx(eigenvalues[0], rel=1e-6, abs=1e-12)


# --- sketches ---------------------------------------------------------------------------------


def test_the_distance_of_sketches_is_that_of_the_weights(data: Dataset) -> None:
    run = probed(config(), DisplacementSketch(size=256, at=(0, 2)))
    cohort = run_cohort(sweep(run, lrs=(0.05, 0.2, 0.4, 0.8)), data)
    start, end = cohort.records.values[0], cohort.records.values[-1]
    names = [f"displacement_{k:03d}" for k in range(256)]
    assert all((start[name, "train"] == 0).all() for name in [*names, "displacement_norm"])
    sketches = np.stack([end[name, "train"] for name in names])
    weights, moved = [], []
    for index, one in enumerate(cohort.runs):
        state = cohort.network.export(index)
        initial = models.build(one.model, (2, 11, 11), one.seed).double().state_dict()
        weights.append(flat(list(state.values())))
        moved.append(flat([state[name] - initial[name] for name in state]))
        norm = end["displacement_norm", "train"][index]
        assert norm == pytest.approx(float(moved[-1].norm()), rel=1e-12)
        assert np.linalg.norm(sketches[:, index]) == pytest.approx(norm, rel=5 * (0.5 / 256) ** 0.5)
    for first, second in itertools.combinations(range(len(cohort.runs)), 2):
        if cohort.runs[first].seed == cohort.runs[second].seed:
            true = float((weights[first] - weights[second]).norm())
            found = np.linalg.norm(sketches[:, first] - sketches[:, second])
            assert found == pytest.approx(true, rel=5 * (0.5 / 256) ** 0.5)


@pytest.mark.parametrize("model", ["batch_norm_dropout", "deep_convolution", "ghost"])
def test_running_statistics_are_no_part_of_a_displacement(model: str, data: Dataset) -> None:
    base = config() if model == "ghost" else config(model)
    if model == "ghost":
        block = (Conv2d(3, 3, padding=1, bias=False), GhostBatchNorm(4), ReLU())
        layers = (*block, Residual(block), GlobalMaxPool(), Linear(10))
        base = dataclasses.replace(base, model=ModelConfig(layers))
    cohort = run_cohort(sweep(probed(base, DisplacementSketch(size=16))), data)
    for index, one in enumerate(cohort.runs):
        network = models.build(one.model, (2, 11, 11), one.seed).double()
        state = cohort.network.export(index)
        moved = [state[name] - p.detach() for name, p in network.named_parameters()]
        norm = cohort.records.values[-1]["displacement_norm", "train"][index]
        assert norm == pytest.approx(float(flat(moved).norm()), rel=1e-12)


def test_projections_are_random_signs_that_depend_on_the_network_alone() -> None:
    signs = np.stack([probing.random_signs(3001, k) for k in range(100)]).astype(float)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 5 / signs.size**0.5
    # Rows are uncorrelated: each product of two has mean 0 and variance 1 / 3001.
    products = (signs @ signs.T / 3001)[np.triu_indices(100, 1)]
    assert products.std() == pytest.approx(3001**-0.5, rel=0.1)
    again = probing.random_signs(3001, 7)
    assert (again == signs[7]).all()
    # The squared norm of a sketch is right on the average, and strays by (2 / size) ** 0.5.
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 3001)))
    parts = probing.sketch(vectors, 64)
    ratio = (parts[:-1] ** 2).sum(0) / parts[-1] ** 2
    assert ratio.mean() == pytest.approx(1, abs=5 * (2 / 64 / 200) ** 0.5)
    assert ratio.std() == pytest.approx((2 / 64) ** 0.5, rel=0.3)


# --- all of them ------------------------------------------------------------------------------

ALL = (
    GradientNoise((4, 30), batches=20),
    Curvature(at=(0, 1)),
    DisplacementSketch(size=8, at=(0, 0.5, 2)),
)


def by_run(cohort: Cohort) -> list[dict]:
    return [
        {
            (epoch, *key): float(v[index])
            for epoch, values in zip(cohort.records.epoch, cohort.records.values, strict=True)
            for key, v in values.items()
        }
        for index in range(len(cohort.runs))
    ]


def small(**changes: object) -> RunConfig:
    layers = (Flatten(), Linear(3), Tanh(), Linear(10))
    return dataclasses.replace(config(), model=ModelConfig(layers), **changes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probes_change_nothing_of_training(dtype: str, data: Dataset) -> None:
    runs = sweep(small(dtype=dtype))
    bare = by_run(run_cohort(runs, data))
    cohort = run_cohort([probed(run, *ALL) for run in runs], data)
    for without, with_probes in zip(bare, by_run(cohort), strict=True):
        assert without.items() <= with_probes.items()
    if dtype == "float64":
        compare_without_start(cohort, data)


def compare_without_start(cohort: Cohort, data: Dataset) -> None:
    for column in (cohort.records.step, cohort.records.values):
        del column[0]
    compare(cohort, data)


def test_a_run_is_measured_alike_whatever_its_companions_and_twice_the_same(
    data: Dataset,
) -> None:
    base = probed(small(), *ALL)
    wide = run_cohort(sweep(base, lrs=(0.05, 0.1, 0.4), seeds=(0, 1, 3)), data)
    again = run_cohort(sweep(base, lrs=(0.05, 0.1, 0.4), seeds=(0, 1, 3)), data)
    assert by_run(again) == by_run(wide)
    alone = run_cohort(sweep(base, lrs=(0.1,), seeds=(1,)), data)
    found = by_run(wide)[wide.runs.index(alone.runs[0])]
    (expected,) = by_run(alone)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        # A bias is rounding and nothing else.
        tolerance = 1e-12 if "bias" in key[1] else 1e-13
        assert found[key] == pytest.approx(value, rel=1e-8, abs=tolerance)


def test_batches_differ_by_seed_and_not_by_learning_rate(data: Dataset) -> None:
    run = probed(small(), GradientNoise((4,), batches=3, at=(0,)))
    cohort = run_cohort(sweep(run), data)
    first = cohort.records.values[0]["gradient_variance_4", "train"].reshape(2, 2)
    assert (first[:, 0] == first[:, 1]).all()
    assert first[0, 0] != first[1, 0]


def test_a_diverged_run_has_nan_and_the_others_what_they_would_have(data: Dataset) -> None:
    labels = nn.functional.one_hot(data.train_y, 10).float()
    targets = dataclasses.replace(data, train_y=labels)
    base = config(
        "linear",
        dtype="float32",
        batches=(Phase(8, 8),),
        task=TaskConfig("synthetic", 75, 40, loss="half_mse"),
    )
    probes = (GradientNoise((4,), batches=9), DisplacementSketch(size=4))
    calm = by_run(run_cohort(sweep(probed(base, *probes), lrs=(0.01, 0.03)), targets))
    wild_cohort = run_cohort(sweep(probed(base, *probes), lrs=(0.01, 30.0)), targets)
    wild = by_run(wild_cohort)
    names = [name for probe in probes for name in probe.metrics]
    for index, one in enumerate(wild_cohort.runs):
        last = [wild[index][8.0, name, "train"] for name in names]
        if one.optimizer.lr > 1:
            assert np.isnan(last).all()
        else:
            assert np.isfinite(last).all()
            assert wild[index] == calm[index]


def test_stored_rows_have_probes_at_their_epochs_on_split_train(tmp_path) -> None:
    evaluation = EvaluationConfig(probes=(Curvature(), DisplacementSketch(size=3, at=(0, 2))))
    runs = [dataclasses.replace(CURVE, evaluation=evaluation, seed=seed) for seed in (0, 1)]
    cohort = train_cohort(runs, load("curve"), device="cpu")
    for frame in tables(cohort):
        assert frame.value.notna().all()
        by_metric = frame[frame.split == "train"].groupby("metric").epoch.apply(list)
        assert by_metric["hessian_min"] == [1.0, 2.0]
        assert by_metric["displacement_002"] == [0.0, 2.0]
        assert by_metric["loss"] == [1.0, 2.0]
        first = frame[frame.epoch == 0]
        assert set(first.metric) == {*evaluation.probes[1].metrics}
        assert set(first.step) == set(first.examples) == {0}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_same_is_measured(data: Dataset) -> None:
    base = probed(small(), *ALL)
    host, device = (by_run(run_cohort(sweep(base), data, device=d)) for d in ("cpu", "cuda"))
    for one, other in zip(host, device, strict=True):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-11)
