"""A cohort: many runs of one shape trained in lockstep, block of steps by block of steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench_lr import models
from bench_lr.cohort.fallback import build_network
from bench_lr.cohort.grouping import shape_key
from bench_lr.cohort.losses import LOSSES
from bench_lr.cohort.network import CohortNetwork
from bench_lr.cohort.probing import Probing
from bench_lr.cohort.recording import (
    Inputs,
    Positions,
    Prediction,
    RecordedTraining,
    StepMasks,
    Training,
    Values,
    row_length,
)
from bench_lr.cohort.rules import update_rule
from bench_lr.cohort.slots import Grid, UpdateRule
from bench_lr.cohort.small import LaneWeights, SmallMeasurement, SmallTraining, suits
from bench_lr.cohort.sparse import pixels_for
from bench_lr.cohort.stopwatch import Stopwatch
from bench_lr.cohort.streams import epoch_order, split, stratified_order
from bench_lr.cohort.timetable import LearningRates, Span, Timetable
from bench_lr.data import Dataset
from bench_lr.schema import RunConfig, Target
from bench_lr.shapes import walk
from bench_lr.targets import meets

DTYPES = {"float32": torch.float32, "float64": torch.float64}
_STRIP_BYTES = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Batches loaded together: what stays in a cache, or what makes a long CUDA graph."""
_STRIP_STEPS = 64
_ORDERED_TOGETHER = 1 << 18
"""Places in the data orders of all seeds and several epochs that are drawn at once."""
_EVALUATION_VALUES = 1 << 21
"""Values of the inputs and the widest layer of all runs that are evaluated at once."""


_COUNTED = ("seen", "unmeasured", "may_have_lost", "steps")
"""Numbers among the records."""


@dataclass
class Records:
    """What a cohort has measured so far, one entry an evaluation; arrays are (runs,)."""

    step: list[int] = field(default_factory=list)
    epoch: list[float] = field(default_factory=list)
    examples: list[int] = field(default_factory=list)
    values: list[dict[tuple[str, str], npt.NDArray[np.float64]]] = field(default_factory=list)
    seen: int = 0
    """Examples trained on since the start."""
    unmeasured: int = 0
    """Examples trained on since the last evaluation."""
    may_have_lost: bool = False
    """Whether a run may have diverged."""
    steps: int = 0
    """Steps taken since the last evaluation."""
    ended: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Place of the evaluation at which each run ended; -1 for one that has not. Shape (runs,)."""
    reached: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """Whether each run ended because it reached its target, shape (runs,)."""

    @property
    def state(self) -> dict[str, Any]:
        """All of it, as lists, numbers and tensors."""
        return {
            **{name: getattr(self, name) for name in _COUNTED},
            "step": list(self.step),
            "epoch": list(self.epoch),
            "examples": list(self.examples),
            "names": [[list(name) for name in values] for values in self.values],
            "values": [torch.from_numpy(np.array([*values.values()])) for values in self.values],
            "ended": torch.from_numpy(self.ended.copy()),
            "reached": torch.from_numpy(self.reached.copy()),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Records:
        """Return the records of which `state` was the state."""
        rows = zip(state["names"], state["values"], strict=True)
        return cls(
            **{name: state[name] for name in (*_COUNTED, "step", "epoch", "examples")},
            values=[
                {(metric, split): row for (metric, split), row in zip(names, row_of, strict=True)}
                for names, values in rows
                for row_of in [values.numpy()]
            ],
            ended=state["ended"].numpy(),
            reached=state["reached"].numpy(),
        )

    def evaluations(self, run: int) -> int:
        """How many evaluations, from the first on, are a run's own."""
        ended = int(self.ended[run])
        return len(self.step) if ended < 0 else ended + 1


class Cohort(nn.Module):
    """Runs trained in lockstep.

    Parameters
    ----------
    runs : sequence of RunConfig
        As `arrange` returns them.
    dataset : Dataset
        Moves to the device with the module, as uint8.
    build : callable, optional
        Makes the initial network of a seed, in place of the configured layers.
    device : torch.device or str
        Where it will train, before anything is moved there: some layers are made for a CPU.

    Raises
    ------
    ValueError
        If the runs do not form a cohort.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    diverged_at: Tensor
    _going: Tensor
    _loss_sum: Tensor
    _loss_mean: Tensor
    _loss_squares: Tensor

    def __init__(
        self,
        runs: Sequence[RunConfig],
        dataset: Dataset,
        build: Callable[[int], nn.Module] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if len({shape_key(run) for run in runs}) != 1:
            raise ValueError("runs of different shapes cannot share a cohort")
        self.runs = tuple(runs)
        self.config = config = runs[0]
        self.seeds = tuple(dict.fromkeys(run.seed for run in runs))
        self.grid = grid = Grid(len(self.seeds), len(runs) // len(self.seeds))
        if config.timed and len(runs) > 1:
            raise ValueError("a run that is timed trains alone")
        if [run.seed for run in runs] != list(np.repeat(self.seeds, grid.arms)):
            raise ValueError("runs of a cohort must be ordered by seed, as many for each seed")
        self.timetable = Timetable.of(config)
        self.dtype, self._precision = DTYPES[config.dtype], np.dtype(config.dtype)
        example = tuple(dataset.train_x.shape[1:])
        splits = [split(config.task, len(dataset.train_x), seed) for seed in self.seeds]
        self._train = np.stack([train for train, _ in splits])
        self._ordered: tuple[int, npt.NDArray[np.int64]] = (0, self._train[:0, None])
        if config.order == "fixed":
            self._train.sort(axis=1)
        self._classes: npt.NDArray[np.int64] | None = None
        if config.order == "stratified":
            if dataset.train_y.is_floating_point():
                raise ValueError("no order by class where the targets are real numbers")
            self._classes = dataset.train_y.cpu().numpy()
        self._validation = torch.from_numpy(np.stack([held_out for _, held_out in splits]))
        make = build or (lambda seed: models.build(config.model, example, seed))
        initial = [make(seed).to(self.dtype) for seed in self.seeds]
        modules = [initial[g] for g in range(grid.seeds) for _ in range(grid.arms)]
        # Weight decay moves even the weights of inputs that are always zero.
        decays = any(run.optimizer.weight_decay > 0 for run in runs)
        pixels = pixels_for(initial[0], dataset, torch.device(device))
        live = None if decays or pixels is not None else live_inputs(dataset)
        self._scale = dataset.scale
        self.network: CohortNetwork = build_network(
            modules, grid, config.task.loss, example, self._scale, live, pixels
        )
        for name in ("train", "test"):
            x: Tensor = getattr(dataset, f"{name}_x")
            if self.network.takes_features:
                x = x.flatten(1)
            if self.network.live is not None:
                x = columns(x, self.network.live)
            self.register_buffer(f"{name}_x", x.contiguous(), persistent=False)
            self.register_buffer(f"{name}_y", getattr(dataset, f"{name}_y"), persistent=False)
        shapes = [example, example] if build else walk(config.model, example)
        widths = [prod(shape) for shape in shapes]
        values = grid.seeds * widths[0] + grid.runs * max(widths[1:])
        self._evaluated_together = max(8, _EVALUATION_VALUES // values)
        self._plain = all(run.optimizer.is_plain for run in runs)
        self.register_buffer("diverged_at", torch.full((grid.seeds, grid.arms), -1))
        # Runs that have not ended.
        self.register_buffer("_going", torch.ones(grid.seeds, grid.arms, dtype=torch.bool))
        # Of the losses of steps since the last evaluation: sum over the examples, mean over the
        # steps, and sum of the squares about it.
        for name in ("_loss_sum", "_loss_mean", "_loss_squares"):
            self.register_buffer(name, torch.zeros(grid.seeds, grid.arms, dtype=torch.float64))
        self.records = Records(
            ended=np.full(grid.runs, -1, np.int64), reached=np.zeros(grid.runs, np.bool_)
        )
        self._watch = Stopwatch()
        self._probing = Probing(self.runs, dataset, self._train, initial)
        self.rule: UpdateRule | None = None
        self.steps_taken = 0

    @property
    def device(self) -> torch.device:
        """Where the cohort computes."""
        return self.diverged_at.device

    @property
    def is_small(self) -> bool:
        """Whether a step takes microseconds, so that what is around it counts."""
        return suits(self.network, self._plain, max(self.timetable.batch_sizes), self.device)

    @property
    def has_ended(self) -> bool:
        """Whether every run has ended, before the last step."""
        return bool((self.records.ended >= 0).all())

    def indices(self, span: Span) -> Tensor:
        """Positions in the training data of a span's examples, shape (steps, seeds, batch)."""
        if self.config.timed:
            self._watch.go_on()
        seeds, steps = len(self.seeds), span.steps // span.epochs
        blocks = np.empty((span.epochs, steps, seeds, span.batch_size), np.int64)
        for place in range(span.epochs):
            part = self._order(span.epoch + place)[:, span.start : span.stop]
            blocks[place] = part.reshape(seeds, steps, span.batch_size).swapaxes(0, 1)
        return torch.from_numpy(blocks).flatten(0, 1)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Positions in the training data in the order of an epoch, shape (seeds, train_size)."""
        if self.config.order == "fixed":
            return self._train
        first, orders = self._ordered
        if not first <= epoch < first + len(orders):
            first, orders = epoch, self._orders_from(epoch)
            self._ordered = first, orders
        order: npt.NDArray[np.int64] = orders[epoch - first]
        return order

    def _orders_from(self, epoch: int) -> npt.NDArray[np.int64]:
        """Orders of an epoch and maybe of some that follow, shape (epochs, seeds, train_size)."""
        n, size = self.timetable.train_size, self.timetable.batch_sizes[epoch]
        if self._classes is None and self.is_small:
            from bench_lr.cohort.permutations import epoch_orders

            more = max(1, _ORDERED_TOGETHER // self._train.size)
            epochs = range(epoch, min(epoch + more, self.timetable.epochs))
            orders = epoch_orders(self.seeds, epochs, n)
            found: npt.NDArray[np.int64] = np.take_along_axis(self._train[None], orders, 2)
            return found
        rows = [
            train[
                epoch_order(seed, epoch, n)
                if self._classes is None
                else stratified_order(seed, epoch, self._classes[train], size)
            ]
            for seed, train in zip(self.seeds, self._train, strict=True)
        ]
        return np.stack(rows)[None]

    def start(self) -> None:
        """Build the optimizer's state, on the device the cohort is on by now.

        Raises
        ------
        ValueError
            If it was made for a CPU and is elsewhere.
        """
        if self.network.takes_positions and self.device.type != "cpu":
            raise ValueError(f"made for a CPU, not {self.device}: tell Cohort where it will train")
        self._lr = LearningRates(self.runs)
        optimizers = [run.optimizer for run in self.runs]
        slots = self.network.slots
        self.rule = update_rule(slots, self.grid, optimizers, self.dtype, self.device)
        self._trainings: dict[int, Training] = {}
        self._predictions: dict[int, Prediction] = {}
        self._held: dict[str, tuple[Prediction, Tensor]] = {}
        self._measured: dict[str, SmallMeasurement] = {}
        self._lane_weights: LaneWeights | None = None
        if self._probing.is_due(0.0) and not self.records.step:
            self._record(0, 0.0, self._probe(0, 0.0))

    @property
    def state(self) -> dict[str, Any]:
        """All that training goes on from, between two spans: numbers, lists, tensors on the CPU.

        What a configuration and a data set tell, and random numbers, which hang on the seed and the
        step alone, are not in it.
        """
        assert self.rule is not None, "call start() first"
        return {
            "steps_taken": self.steps_taken,
            "tensors": {name: t.cpu().clone() for name, t in self.state_dict().items()},
            "rule": [tensor.cpu().clone() for tensor in self.rule.state],
            "rates": [[torch.from_numpy(it) for it in each] for each in self._lr.state],
            "records": self.records.state,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` was, in place of what `start` has just set up.

        On the kind of device it is from, every number from here on is what it would have been.

        Raises
        ------
        ValueError, RuntimeError, KeyError
            If it is the state of another cohort.
        """
        assert self.rule is not None, "call start() first"
        self.load_state_dict(state["tensors"])
        with torch.no_grad():
            for mine, kept in zip(self.rule.state, state["rule"], strict=True):
                mine.copy_(kept)
        self._lr.restore([[it.numpy() for it in each] for each in state["rates"]])
        self.records = Records.restored(state["records"])
        self.steps_taken = state["steps_taken"]

    def _inputs(self, steps: int, batch: int) -> Inputs:
        shape = (steps, self.grid.seeds, batch)
        if self.network.takes_positions:
            return Positions(shape, {"train": 0, "test": len(self.train_x)})
        own, data = self.network.input_scale, {"train": self.train_x, "test": self.test_x}
        return Values(shape, data, self.dtype, self._scale / own, 1 / own)

    def _lanes(self) -> LaneWeights:
        if self._lane_weights is None:
            self._lane_weights = LaneWeights(self.network)
        return self._lane_weights

    def _training(self, span: Span) -> Training:
        """Return the training steps for the batch size of a span."""
        batch = span.batch_size
        if batch not in self._trainings:
            assert self.rule is not None, "call start() first"
            # What is made once is no part of the time that training takes.
            self._watch.pause()
            seeds, device = self.grid.seeds, self.device
            if suits(self.network, self._plain, batch, device):
                x, y = self.train_x, self.train_y
                self._trainings[batch] = SmallTraining(self._lanes(), x, self._scale, y, batch)
                return self._trainings[batch]
            example = 1 if self.network.takes_positions else self.train_x[0].numel()
            values = row_length(example) * seeds * batch
            step_bytes = values * torch.finfo(self.dtype).bits // 8
            # A last partial batch is one step of its epoch.
            most = 1 if batch < span.full_batch_size else max(self.timetable.steps_by_epoch)
            steps = min(most, _STRIP_STEPS, max(1, _STRIP_BYTES[device.type] // step_bytes))
            self._trainings[batch] = RecordedTraining(
                self.network,
                self.rule,
                self._inputs(steps, batch),
                self.train_y,
                StepMasks(self.seeds, steps, batch, self.dtype, device),
            )
        return self._trainings[batch]

    @torch.no_grad()
    def train_block(self, span: Span, indices: Tensor) -> None:
        """Take the steps of a span. Nothing here waits for the device.

        Parameters
        ----------
        indices : Tensor of int64, shape (steps, seeds, batch)
            Positions in the training data.
        """
        training = self._training(span)
        assert self.rule is not None
        if self.config.timed:
            self._watch.go_on()
        alive = (self.diverged_at < 0) & self._going
        table = torch.from_numpy(self._lr.of(span.step, span.steps)).to(self.device, self.dtype)
        lr = table.view(-1, *alive.shape) * alive
        rates = self.rule.rates(span.step, lr, span.batch_size)
        trace = training.train(span, indices, rates)
        if self._lane_weights is not None and not isinstance(training, SmallTraining):
            self._lane_weights.stale = True
        finite = torch.isfinite(trace)
        # Asking a GPU would be to wait for it.
        if finite.is_cuda or not finite.all():
            self.records.may_have_lost = True
            first_bad = span.step + (~finite).int().argmax(0)
            lost = alive & ~finite.all(0)
            self.diverged_at.copy_(torch.where(lost, first_bad, self.diverged_at))
        self._loss_sum.add_(trace.sum(0), alpha=span.batch_size)
        self._add_squares(trace)
        self.steps_taken = span.step + span.steps
        self.records.seen += span.steps * span.batch_size
        self.records.unmeasured += span.steps * span.batch_size

    def _add_squares(self, trace: Tensor) -> None:
        """Add losses (steps, G, L) to their mean and squares about it, by Chan et al. (1979)."""
        before, new = self.records.steps, len(trace)
        whole = before + new
        variance, mean = torch.var_mean(trace, 0, correction=0)
        difference = mean.sub_(self._loss_mean)
        self._loss_mean.add_(difference, alpha=new / whole)
        self._loss_squares.add_(variance, alpha=new)
        self._loss_squares.addcmul_(difference, difference, value=before * new / whole)
        self.records.steps = whole

    @torch.no_grad()
    def evaluate(self, span: Span) -> None:
        """Measure every run after `span`, and the training losses since the last time.

        Of these the mean over the examples, and the sample standard deviation of the steps' means
        (``loss_sd``), which is 0 where there is one step.
        """
        records = self.records
        values: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        if self.config.timed:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self._watch.pause()
            values["seconds", "train"] = np.full(self.grid.runs, self._watch.seconds)
        if records.unmeasured:
            values["loss", "train"] = _flat(self._loss_sum / records.unmeasured)
            squares = _flat(self._loss_squares)
            values["loss_sd", "train"] = np.sqrt(squares / max(1, records.steps - 1))
        for since in (self._loss_sum, self._loss_mean, self._loss_squares):
            since.zero_()
        records.unmeasured = records.steps = 0
        last = span.step + span.steps - 1
        (rates,) = self._lr.of(last, 1)
        values["lr", "train"] = rates.astype(self._precision).astype(np.float64)
        values["batch_size", "train"] = np.full(self.grid.runs, float(span.full_batch_size))
        for name in self.config.evaluation.splits:
            for metric, means in self._evaluate_split(name).items():
                values[metric, name] = means
        self._lr.observe(values)
        steps = self.timetable.steps_by_epoch[span.epoch]
        epoch = span.epoch + (span.first_step + span.steps) / steps
        self._record(last + 1, epoch, values | self._probe(last + 1, epoch))
        if self.config.stop_at is not None:
            self._end(self.config.stop_at, values)

    def _record(
        self, step: int, epoch: float, values: dict[tuple[str, str], npt.NDArray[np.float64]]
    ) -> None:
        self.records.step.append(step)
        self.records.epoch.append(epoch)
        self.records.examples.append(self.records.seen)
        self.records.values.append(values)

    def _probe(self, step: int, epoch: float) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
        """Measure what probes ask for of the runs that go on."""
        if not self._probing.is_due(epoch):
            return {}
        alive = (_flat(self.diverged_at) < 0) & (self.records.ended < 0)
        return self._probing.measure(epoch, step, self.network.export, alive, self.device)

    def _end(self, target: Target, values: Mapping[tuple[str, str], Any]) -> None:
        """End the runs that have just reached the target, or that are lost, and freeze them."""
        records, watched = self.records, values[target.metric, target.split]
        going = records.ended < 0
        reached = meets(watched, target.at_most, target.at_least)
        records.reached |= going & reached
        records.ended[going & (reached | ~np.isfinite(watched))] = len(records.step) - 1
        self._going.copy_(torch.from_numpy(records.ended < 0).view_as(self._going))

    def _evaluate_split(self, name: str) -> dict[str, npt.NDArray[np.float64]]:
        sums = self._sums(name)
        # A diverged run has no metrics; a loss that overflowed is a divergence too.
        lost = ~np.isfinite(sums["loss"])
        if self.records.may_have_lost:
            lost |= _flat(self.diverged_at) >= 0
        examples = self._split(name)[2].shape[1]
        return {metric: np.where(lost, np.nan, total / examples) for metric, total in sums.items()}

    def _split(self, name: str) -> tuple[str, Tensor, Tensor]:
        """Which examples a split takes from, their targets, and positions (G, examples)."""
        if name == "test":
            positions = torch.arange(len(self.test_y)).expand(self.grid.seeds, -1)
            return "test", self.test_y, positions
        if name == "training_set":
            return "train", self.train_y, torch.from_numpy(self._train)
        return "train", self.train_y, self._validation

    def _sums(self, name: str) -> dict[str, npt.NDArray[np.float64]]:
        """Sums over a split of every metric, each of shape (runs,)."""
        split, targets, positions = self._split(name)
        if name in self._measured:
            return {"loss": self._measured[name]()}
        if suits(self.network, self._plain, positions.shape[1], self.device):
            data = self.test_x if split == "test" else self.train_x
            given = (self._lanes(), data, self._scale, targets, positions)
            self._measured[name] = SmallMeasurement(*given)
            return {"loss": self._measured[name]()}
        totals: dict[str, Tensor] = {}
        metrics = LOSSES[self.config.task.loss].metrics
        for output, y in self._outputs(name):
            for metric, value in metrics(output, y).items():
                totals[metric] = totals[metric] + value if metric in totals else value
        return {metric: _flat(total) for metric, total in totals.items()}

    def _outputs(self, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the outputs (G, L, O, B) of a split and its targets (G, B, ...), part by part."""
        if name in self._held:
            prediction, y = self._held[name]
            yield prediction(), y
            return
        split, targets, positions = self._split(name)
        positions = positions.to(self.device)
        if positions.shape[1] <= self._evaluated_together:
            own = self._predicting(positions.shape[1])
            own.load(split, positions)
            # A small split stays where the network reads it.
            self._held[name] = own, targets[positions]
            yield own(), targets[positions]
            return
        for part in positions.split(self._evaluated_together, dim=1):
            batch = part.shape[1]
            if batch not in self._predictions:
                self._predictions[batch] = self._predicting(batch)
            self._predictions[batch].load(split, part)
            yield self._predictions[batch](), targets[part]

    def _predicting(self, batch: int) -> Prediction:
        return Prediction(self.network, self._inputs(1, batch))


def live_inputs(dataset: Dataset) -> Tensor | None:
    """Places of a flat input that are not zero in every example, or None if all are needed.

    A weight whose input is always zero has no gradient and adds nothing: 65 of the 784 pixels of
    MNIST are black in all its images.
    """
    if dataset.train_x.is_floating_point():
        return None
    parts = (dataset.train_x, dataset.test_x)
    used = [np.bitwise_or.reduce(x.flatten(1).cpu().numpy(), axis=0) for x in parts]
    live = np.flatnonzero(np.bitwise_or(*used))
    return None if len(live) == len(used[0]) else torch.from_numpy(live)


def columns(x: Tensor, chosen: Tensor) -> Tensor:
    """Return ``x[:, chosen]`` for ascending columns; quicker, as these are mostly neighbours."""
    out = x.new_empty(len(x), len(chosen))
    breaks = (chosen.diff() > 1).nonzero().flatten() + 1
    for start, stop in itertools.pairwise([0, *breaks.tolist(), len(chosen)]):
        first = int(chosen[start])
        out[:, start:stop] = x[:, first : first + stop - start]
    return out


def _flat(tensor: Tensor) -> Any:
    return tensor.double().flatten().cpu().numpy()
