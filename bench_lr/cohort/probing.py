"""Measuring what probes ask for: each run by itself, from its weights and its training set.

Nothing here trains; a cohort without probes never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp, vmap
from torch.nn import functional

from bench_lr.cohort.losses import mean_loss
from bench_lr.cohort.streams import generator
from bench_lr.data import Dataset
from bench_lr.identity import stream_key
from bench_lr.probes import Curvature, DisplacementSketch, GradientNoise, is_due
from bench_lr.schema import RunConfig

Floats = npt.NDArray[np.float64]
State = dict[str, Tensor]
_VALUES = 1 << 22
"""Values that are held at once, about."""
_FEW = 16
"""Examples of a batch up to which its gradient is not formed, to know how long it is."""
_SKETCHED_TOGETHER = 16
"""Projections that are formed at once."""


class Probing:
    """The probes of a cohort.

    Parameters
    ----------
    runs : sequence of RunConfig
        All with the same probes.
    train : array of int, shape (seeds, train_size)
        Positions of each seed's training examples.
    initial : sequence of nn.Module
        The initial network of each seed.
    """

    def __init__(
        self,
        runs: Sequence[RunConfig],
        dataset: Dataset,
        train: npt.NDArray[np.int64],
        initial: Sequence[nn.Module],
    ) -> None:
        self._probes = runs[0].evaluation.probes
        self._runs, self._dataset, self._train = runs, dataset, train
        self._arms = len(runs) // len(initial)
        self._loss = runs[0].task.loss
        self._network = initial[0]
        if self._probes:
            self._initial = [_flat(dict(module.named_parameters())) for module in initial]

    def is_due(self, epoch: float) -> bool:
        """Whether any probe measures at the end of `epoch`."""
        return any(is_due(probe, epoch) for probe in self._probes)

    def measure(
        self,
        epoch: float,
        step: int,
        state: Callable[[int], State],
        alive: npt.NDArray[np.bool_],
        device: torch.device,
    ) -> dict[tuple[str, str], Floats]:
        """Measure every run.

        Parameters
        ----------
        step : int
            Parameter updates so far.
        state : callable
            Gives the weights of a run by name, and what else the network keeps.
        alive : array of bool, shape (runs,)
            Runs to look at; the others get NaN.

        Returns
        -------
        dict from (metric, "train") to array, shape (runs,)
        """
        names = [name for name, _ in self._network.named_parameters()]
        states: dict[int, State] = {}
        for run in np.flatnonzero(alive).tolist():
            whole = state(run)
            # Running statistics are no weights.
            weights = {name: whole[name] for name in names}
            if torch.isfinite(_flat(weights)).all():
                states[run] = weights
        found: dict[tuple[str, str], Floats] = {}
        for probe in self._probes:
            if not is_due(probe, epoch):
                continue
            values = np.full((len(probe.metrics), len(self._runs)), np.nan)
            if states:
                with torch.enable_grad():
                    measured = self._measured(probe, step, states, device)
                values[:, list(states)] = measured
            found |= {(m, "train"): row for m, row in zip(probe.metrics, values, strict=True)}
        return found

    def _measured(
        self,
        probe: GradientNoise | Curvature | DisplacementSketch,
        step: int,
        states: dict[int, State],
        device: torch.device,
    ) -> Floats:
        """Values of a probe's metrics, shape (metrics, runs that are looked at)."""
        match probe:
            case GradientNoise():
                columns = []
                for run, state in states.items():
                    x, y = self._examples(run, device)
                    scale = self._dataset.scale
                    examples = PerExample(self._network, state, x, y, self._loss, scale)
                    seed = self._runs[run].seed
                    columns.append(gradient_noise(examples, probe, seed, step))
                return np.stack(columns, axis=1)
            case Curvature():
                return self._curvatures(states, device)
        moved = [
            _flat(state).double() - self._initial[run // self._arms].to(device).double()
            for run, state in states.items()
        ]
        return sketch(torch.stack(moved), probe.size)

    def _examples(self, run: int, device: torch.device) -> tuple[Tensor, Tensor]:
        positions = torch.from_numpy(self._train[run // self._arms])
        data = self._dataset
        # It may lie on the CPU, or with the cohort.
        x, y = data.train_x, data.train_y
        return x[positions.to(x.device)].to(device), y[positions.to(y.device)].to(device)

    def _curvatures(self, states: dict[int, State], device: torch.device) -> Floats:
        names = {name: p.shape for name, p in self._network.named_parameters()}
        loss = partial(_loss_at, self._network, names, self._loss)
        runs = list(states)
        x, _ = self._examples(runs[0], device)
        weights = _flat(states[runs[0]]).numel()
        # Every value inside the network has a derivative by every weight.
        values = (x.numel() + len(x) * _widths(self._network)) * (weights + 1)
        together = max(1, _VALUES // values)
        tangents = max(1, min(weights, _VALUES * weights // values))
        parts = []
        for first in range(0, len(runs), together):
            part = runs[first : first + together]
            examples = [self._examples(run, device) for run in part]
            xs = torch.stack([x for x, _ in examples]).double() * self._dataset.scale
            ys = torch.stack([y for _, y in examples])
            ys = ys.double() if ys.is_floating_point() else ys
            flat = torch.stack([_flat(states[run]) for run in part]).double()
            slopes = vmap(grad(loss))(flat, xs, ys)
            hessians = vmap(partial(_hessian, loss, tangents))(flat, xs, ys)
            parts.append(torch.cat([_extremes(hessians), slopes.norm(dim=1, keepdim=True)], 1))
        curvatures: Floats = torch.cat(parts).T.cpu().numpy()
        return curvatures


def _hessian(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    together: int,
    at: Tensor,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    """Second derivatives [P, P], `together` rows at a time."""

    def slope(weights: Tensor) -> Tensor:
        derivative: Tensor = grad(loss)(weights, x, y)
        return derivative

    # Reverse over reverse mode: forward mode costs seconds of set-up.
    pull: Callable[[Tensor], tuple[Tensor]] = vjp(slope, at)[1]
    eye = torch.eye(at.numel(), dtype=at.dtype, device=at.device)
    rows: Tensor = vmap(lambda direction: pull(direction)[0], chunk_size=together)(eye)
    return rows


def _extremes(hessians: Tensor) -> Tensor:
    """Smallest and largest eigenvalue of [R, P, P], or NaN, shape (R, 2)."""
    finite = torch.isfinite(hessians).all((1, 2))
    symmetric = (hessians + hessians.mT) / 2
    values = torch.linalg.eigvalsh(torch.where(finite[:, None, None], symmetric, 0.0))
    return torch.where(finite[:, None], values[:, [0, -1]], torch.nan)


def _widths(network: nn.Module) -> int:
    """Outputs of the linear layers of a network, an example, about."""
    return sum(m.out_features for m in network.modules() if isinstance(m, nn.Linear))


def _flat(state: State) -> Tensor:
    return torch.cat([value.detach().flatten() for value in state.values()])


def _loss_at(
    network: nn.Module,
    shapes: dict[str, torch.Size],
    loss: str,
    flat: Tensor,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    parts = flat.split([shape.numel() for shape in shapes.values()])
    state = {n: part.view(shape) for (n, shape), part in zip(shapes.items(), parts, strict=True)}
    return mean_loss(loss, functional_call(network, state, (x,)), y)


# --- gradients of batches ---------------------------------------------------------------------


@dataclass(frozen=True)
class Factors:
    """Gradients of a linear layer's weights for every example, as outer products not formed.

    That of example i is ``outer(deltas[i], inputs[i] * scale)``, and ``deltas[i]`` for a bias.
    """

    inputs: Tensor
    deltas: Tensor
    scale: float
    bias: bool

    def squares(self, chosen: slice) -> Tensor:
        """Squared norms of the gradients of some examples, float64, shape (examples,)."""
        inputs = self.inputs[chosen].double() * self.scale
        sums = inputs.square().sum(1) + (1 if self.bias else 0)
        return sums * self.deltas[chosen].double().square().sum(1)

    def means(self, inputs: Tensor, deltas: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Mean gradients of batches from their inputs [b, B, I] and deltas [b, B, O]."""
        outer = deltas.to(dtype)
        weight = torch.bmm(outer.transpose(1, 2), inputs.to(dtype))
        weight.mul_(self.scale / outer.shape[1])
        return (weight, outer.mean(1)) if self.bias else (weight,)

    def of(self, batches: Tensor) -> tuple[Tensor, ...]:
        """Mean gradients of batches of examples, [b, B] positions."""
        inputs, deltas = self.inputs[batches], self.deltas[batches]
        return self.means(inputs, deltas, self.deltas.dtype)

    def consecutive(self, first: int, batches: int, size: int) -> tuple[Tensor, ...]:
        """Mean gradients of consecutive batches from example `first` on, in float64."""
        part = slice(first, first + batches * size)
        inputs, deltas = self.inputs[part], self.deltas[part]
        shape = (batches, size)
        return self.means(inputs.unflatten(0, shape), deltas.unflatten(0, shape), torch.float64)


class PerExample:
    """The gradient of the loss for every training example of a run.

    For a network of linear layers and elementwise functions, one after the other.

    Parameters
    ----------
    x : Tensor, shape (N, ...)
        Inputs as the data set has them.
    scale : float
        What the network sees them times.
    """

    def __init__(
        self, network: nn.Module, state: State, x: Tensor, y: Tensor, loss: str, scale: float
    ) -> None:
        self.count = len(x)
        self._centre: tuple[Tensor, ...] | None = None
        self._along = torch.empty(0)
        weights = {name: value.detach().requires_grad_() for name, value in state.items()}
        dtype = next(iter(weights.values())).dtype
        values = max(1, x[0].numel() + _widths(network))
        parts = [
            self._backward(network, weights, xs.to(dtype) * scale, ys, loss)
            for xs, ys in zip(*(t.split(max(1, _VALUES // values)) for t in (x, y)), strict=True)
        ]
        self.layers = []
        for place, name in enumerate(parts[0]):
            inputs, own = torch.cat([part[name][0] for part in parts]), 1.0
            if place == 0 and _is_first(network, name):
                inputs, own = x.flatten(1), scale  # as bytes
            deltas = torch.cat([part[name][1] for part in parts])
            self.layers.append(Factors(inputs, deltas, own, f"{name}.bias" in weights))

    @staticmethod
    def _backward(
        network: nn.Module, weights: State, x: Tensor, y: Tensor, loss: str
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Inputs of every linear layer and gradients of its outputs, example by example."""
        inputs, outputs = {}, {}
        for name, module in network.named_children():
            if isinstance(module, nn.Linear):
                empty = x.new_empty(0)
                inputs[name] = empty if _is_first(network, name) else x.detach()
                x = functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))
                outputs[name] = x
            else:
                x = module(x)
        total = mean_loss(loss, x, y) * len(y)
        deltas = torch.autograd.grad(total, list(outputs.values()))
        return {n: (inputs[n], d) for n, d in zip(outputs, deltas, strict=True)}

    def _chunks(self, size: int) -> Iterator[tuple[int, int, int]]:
        """Yield first example, number and size of consecutive batches that fit into memory."""
        whole, rest = divmod(self.count, size)
        together = self.together(size)
        for first in range(0, whole, together):
            yield first * size, min(together, whole - first), size
        if rest:
            yield whole * size, 1, rest

    def together(self, size: int) -> int:
        """Batches of `size` whose inputs and gradients fit into memory."""
        shapes = [(it.inputs.shape[1], it.deltas.shape[1]) for it in self.layers]
        values = sum(size * (inputs + outputs) + inputs * outputs for inputs, outputs in shapes)
        return max(1, _VALUES // values)

    def mean_gradient(self, size: int = 4096) -> tuple[Tensor, ...]:
        """Mean gradient over all examples, in float64, by the way of batches of `size`.

        It is the mean of the gradients of consecutive batches, each weighted by its size.
        """
        total: list[Tensor] = []
        for first, batches, length in self._chunks(min(size, self.count)):
            sums = [
                gradient.sum(0).mul_(length / self.count)
                for layer in self.layers
                for gradient in layer.consecutive(first, batches, length)
            ]
            total = [a.add_(b) for a, b in zip(total, sums, strict=True)] if total else sums
        return tuple(total)

    def mean_square(self) -> float:
        """Mean squared norm of the gradients of single examples."""
        size = min(4096, self.count)
        parts = [slice(i, i + size) for i in range(0, self.count, size)]
        sums = [layer.squares(part).sum() for layer in self.layers for part in parts]
        return float(torch.stack(sums).sum()) / self.count

    def deviation(self, batches: Tensor, centre: Sequence[Tensor]) -> float:
        """Mean squared distance of batch gradients from `centre`, for positions [M, B]."""
        if batches.shape[1] <= _FEW:
            return self._deviation_of_few(batches, centre)
        total = torch.zeros((), dtype=torch.float64, device=batches.device)
        for part in batches.split(self.together(batches.shape[1])):
            gradients = (g for layer in self.layers for g in layer.of(part))
            for gradient, middle in zip(gradients, centre, strict=True):
                gradient.sub_(middle)
                flat = gradient.flatten(1)
                # Sums of squares a batch at the run's precision, of batches in float64.
                total += torch.linalg.vector_norm(flat, dim=1).double().square().sum()
        return float(total) / len(batches)

    def _deviation_of_few(self, batches: Tensor, centre: Sequence[Tensor]) -> float:
        """`deviation` by inner products of the gradients of single examples.

        Those are products of inputs times products of deltas: cheaper than gradients as long as a
        batch has fewer examples than a layer has outputs, or so.
        """
        if self._centre is None or any(
            a is not b for a, b in zip(self._centre, centre, strict=True)
        ):
            self._centre, self._along = tuple(centre), self._aligned(centre)
        wide = sum(it.inputs.shape[1] + it.deltas.shape[1] for it in self.layers)
        size = batches.shape[1]
        total = torch.zeros((), dtype=torch.float64, device=batches.device)
        for part in batches.split(max(1, _VALUES // (size * wide))):
            for layer in self.layers:
                deltas = layer.deltas[part]
                inputs = layer.inputs[part].to(deltas.dtype)
                inner = torch.bmm(inputs, inputs.mT).mul_(layer.scale**2)
                inner.add_(1 if layer.bias else 0)
                total += inner.mul_(torch.bmm(deltas, deltas.mT)).double().sum() / size**2
            total -= 2 * self._along[part].mean(1).sum()
        square = sum(float(g.double().square().sum()) for g in centre)
        return float(total) / len(batches) + square

    def _aligned(self, centre: Sequence[Tensor]) -> Tensor:
        """Inner product of the gradient of every example with `centre`, float64, shape (N,)."""
        parts = []
        for part in torch.arange(self.count, device=self.layers[0].deltas.device).split(4096):
            rest = [g.double() for g in centre]
            products = torch.zeros(len(part), dtype=torch.float64, device=part.device)
            for layer in self.layers:
                inputs = layer.inputs[part].double() * layer.scale
                slopes = inputs @ rest.pop(0).T
                if layer.bias:
                    slopes += rest.pop(0)
                products += (slopes * layer.deltas[part].double()).sum(1)
            parts.append(products)
        return torch.cat(parts)


def _is_first(network: nn.Module, name: str) -> bool:
    """Whether a layer sees the network's input as it is, or flattened."""
    for other, module in network.named_children():
        if other == name:
            return True
        if not isinstance(module, nn.Flatten):
            return False
    raise ValueError(name)


def gradient_noise(examples: PerExample, probe: GradientNoise, seed: int, step: int) -> Floats:
    """Values of the metrics of `probe`, in their order.

    The random batches depend on the seed, the step and the batch size.
    """
    full = examples.mean_gradient()
    square = float(sum(g.square().sum() for g in full))
    dtype = examples.layers[0].deltas.dtype
    centre = [g.to(dtype) for g in full]
    variances, biases = [], []
    for wanted in probe.batch_sizes:
        size = min(wanted, examples.count)
        rng = generator(seed, "gradient_noise", step, size)
        drawn = draw_batches(rng, examples.count, size, probe.drawn(size))
        batches = torch.from_numpy(drawn).to(full[0].device)
        variances.append(examples.deviation(batches, centre))
        if not probe.bias:
            continue
        by_batch = examples.mean_gradient(size)
        apart = sum((a - b).square().sum() for a, b in zip(by_batch, full, strict=True))
        biases.append(float(apart) ** 0.5 / square**0.5 if square else 0.0)
    spread = max(0.0, examples.mean_square() - square)
    return np.array([square, spread, *variances, *biases])


def draw_batches(
    rng: np.random.Generator, count: int, size: int, batches: int
) -> npt.NDArray[np.int64]:
    """Random batches of `size` different examples out of `count`, shape (batches, size)."""
    if 4 * size**2 > count:
        rows = [rng.choice(count, size, replace=False, shuffle=False) for _ in range(batches)]
        return np.stack(rows)
    # Few have an example twice; those are drawn again.
    drawn = rng.integers(count, size=(batches, size))
    again = np.arange(batches)
    while len(again):
        ranked = np.sort(drawn[again], axis=1)
        again = again[(np.diff(ranked, axis=1) == 0).any(axis=1)]
        drawn[again] = rng.integers(count, size=(len(again), size))
    return drawn


# --- sketches ---------------------------------------------------------------------------------


def sketch(moved: Tensor, size: int) -> Floats:
    """Projections of displacements [R, P] on random signs, and their norms, shape (size + 1, R)."""
    rows = []
    for first in range(0, size, _SKETCHED_TOGETHER):
        chosen = range(first, min(size, first + _SKETCHED_TOGETHER))
        signs = np.stack([random_signs(moved.shape[1], index) for index in chosen])
        rows.append(torch.from_numpy(signs).to(moved) @ moved.T)
    projected = torch.cat(rows) / size**0.5
    sketched: Floats = torch.cat([projected, moved.norm(dim=1)[None]]).cpu().numpy()
    return sketched


def random_signs(weights: int, index: int) -> npt.NDArray[np.int8]:
    """Random signs, shape (weights,): the same wherever a network has so many weights."""
    bits = np.random.PCG64DXSM(stream_key("displacement_sketch", weights, index))
    words = bits.random_raw(-(-weights // 64)).astype("<u8")
    ones = np.unpackbits(words.view(np.uint8), count=weights)
    return 2 * ones.astype(np.int8) - 1
