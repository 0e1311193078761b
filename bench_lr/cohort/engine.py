"""A cohort: many runs of one shape trained in lockstep, block of steps by block of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench_lr import models
from bench_lr.cohort import losses
from bench_lr.cohort.fallback import build_network
from bench_lr.cohort.grouping import shape_key
from bench_lr.cohort.network import PIXEL, CohortNetwork
from bench_lr.cohort.slots import Grid, MomentumSGD, PlainSGD, Tape
from bench_lr.cohort.streams import epoch_order, keep_mask, split
from bench_lr.cohort.timetable import Span, Timetable, learning_rates
from bench_lr.data import Dataset
from bench_lr.schema import RunConfig
from bench_lr.shapes import walk

DTYPES = {"float32": torch.float32, "float64": torch.float64}
_MASK_BYTES = 1 << 22
_GATHER_BYTES = 1 << 20
_EVALUATION_VALUES = 1 << 20


@dataclass
class Records:
    """What a cohort has measured so far, one entry an evaluation; arrays are (runs,)."""

    step: list[int] = field(default_factory=list)
    epoch: list[float] = field(default_factory=list)
    examples: list[int] = field(default_factory=list)
    values: list[dict[tuple[str, str], npt.NDArray[np.float64]]] = field(default_factory=list)


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
    _loss_sum: Tensor

    def __init__(
        self,
        runs: Sequence[RunConfig],
        dataset: Dataset,
        build: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if len({shape_key(run) for run in runs}) != 1:
            raise ValueError("runs of different shapes cannot share a cohort")
        self.runs = tuple(runs)
        self.config = config = runs[0]
        self.seeds = tuple(dict.fromkeys(run.seed for run in runs))
        self.grid = grid = Grid(len(self.seeds), len(runs) // len(self.seeds))
        if [run.seed for run in runs] != list(np.repeat(self.seeds, grid.arms)):
            raise ValueError("runs of a cohort must be ordered by seed, as many for each seed")
        self.timetable = Timetable.of(config)
        self.dtype = DTYPES[config.dtype]
        for name in ("train_x", "train_y", "test_x", "test_y"):
            self.register_buffer(name, getattr(dataset, name), persistent=False)
        example = tuple(self.train_x.shape[1:])
        splits = [split(config.task, len(self.train_x), seed) for seed in self.seeds]
        self._train = np.stack([train for train, _ in splits])
        self._ordered: tuple[int, npt.NDArray[np.int64]] = (-1, self._train[:, :0])
        self._validation = torch.from_numpy(np.stack([held_out for _, held_out in splits]))
        make = build or (lambda seed: models.build(config.model, example, seed))
        initial = [make(seed).to(self.dtype) for seed in self.seeds]
        modules = [initial[g] for g in range(grid.seeds) for _ in range(grid.arms)]
        self.network: CohortNetwork = build_network(modules, grid, config.task.loss, example)
        shapes = [example] if build else walk(config.model, example)
        self._widest = max(prod(shape) for shape in shapes)
        rates = torch.from_numpy(learning_rates(runs)).to(self.dtype)
        self._lr = rates.view(-1, grid.seeds, grid.arms)
        self.register_buffer("diverged_at", torch.full((grid.seeds, grid.arms), -1))
        self.register_buffer("_loss_sum", torch.zeros(grid.seeds, grid.arms, dtype=torch.float64))
        self._loss_count = 0
        self._examples = 0
        self.records = Records()
        self.rule: PlainSGD | MomentumSGD | None = None

    @property
    def device(self) -> torch.device:
        """Where the cohort computes."""
        return self.diverged_at.device

    def indices(self, span: Span) -> Tensor:
        """Positions in the training data of a span's examples, shape (steps, seeds, batch)."""
        if self._ordered[0] != span.epoch:
            n = self.timetable.train_size
            rows = [
                train[epoch_order(seed, span.epoch, n)]
                for seed, train in zip(self.seeds, self._train, strict=True)
            ]
            self._ordered = span.epoch, np.stack(rows)
        part = self._ordered[1][:, span.start : span.stop]
        blocks = part.reshape(len(part), span.steps, span.batch_size).swapaxes(0, 1)
        return torch.from_numpy(np.ascontiguousarray(blocks))

    def start(self) -> None:
        """Build the optimizer's state, on the device the cohort is on by now."""
        optimizers = [run.optimizer for run in self.runs]
        rate = self._per_run([o.lr for o in optimizers])
        if all(o.momentum == 0 and o.weight_decay == 0 for o in optimizers):
            self.rule = PlainSGD(rate)
        else:
            self.rule = MomentumSGD(
                self.network.slots,
                rate,
                self._per_run([o.momentum for o in optimizers]),
                self._per_run([o.weight_decay for o in optimizers]),
                self.config.optimizer.nesterov,
            )
        self._masks = SpanMasks(self)
        self._recorded: dict[tuple[str, int], _Recording] = {}

    def _per_run(self, values: Sequence[float]) -> Tensor:
        flat = torch.tensor(values, dtype=self.dtype, device=self.device)
        return flat.view(self.grid.seeds, self.grid.arms)

    def _recording(self, kind: str, batch: int) -> _Recording:
        """Return the operations of a training step or a prediction for a batch size."""
        if (kind, batch) not in self._recorded:
            seeds, data = self.grid.seeds, self.train_x
            channels, *extent = data.shape[1:]
            x = data.new_zeros((seeds, 1, channels, batch, *extent), dtype=self.dtype)
            y = self.train_y.new_zeros((seeds, batch, *self.train_y.shape[1:]))
            tape: Tape = []
            if kind == "training":
                assert self.rule is not None, "call start() first"
                result = self.network.record_training(x, y, self._masks, self.rule, tape)
            else:
                result = self.network.record_prediction(x, tape)
            shape = (seeds, batch, *data.shape[1:])
            scale = PIXEL / self.network.input_scale
            self._recorded[kind, batch] = _Recording(x, y, shape, scale, result, tape)
        return self._recorded[kind, batch]

    @torch.no_grad()
    def train_block(self, span: Span, indices: Tensor) -> None:
        """Take the steps of a span. Nothing here waits for the device.

        Parameters
        ----------
        indices : Tensor of int64, shape (steps, seeds, batch)
            Positions in the training data.
        """
        step = self._recording("training", span.batch_size)
        assert self.rule is not None
        alive = self.diverged_at < 0
        rates = self._lr[span.step : span.step + span.steps].to(self.device) * alive
        if self.rule.fused:
            rates *= -1 / span.batch_size
        flat = indices.view(span.steps, -1)
        targets = self.train_y.index_select(0, flat.view(-1)).view(span.steps, *step.y.shape)
        losses = step.result.new_empty(span.steps, *step.result.shape)
        self._masks.begin(span)
        ahead = max(1, _GATHER_BYTES // (flat.shape[1] * self.train_x[0].numel()))
        each = zip(targets, rates, losses, strict=True)
        for number, (target, rate, loss) in enumerate(each):
            if number % ahead == 0:
                raw = self.train_x.index_select(0, flat[number : number + ahead].view(-1))
                pixels = raw.view(-1, *step.raw_shape).unbind(0)
            step.load(pixels[number % ahead])
            step.y.copy_(target)
            self.rule.rate.copy_(rate)
            self._masks.step = number
            for operation in step.tape:
                operation()
            loss.copy_(step.result)
        trace = -losses.mean(-1, dtype=torch.float64)
        bad = ~torch.isfinite(trace)
        first_bad = span.step + bad.int().argmax(0)
        self.diverged_at.copy_(torch.where(alive & bad.any(0), first_bad, self.diverged_at))
        self._loss_sum += trace.sum(0) * span.batch_size
        self._loss_count += span.steps * span.batch_size
        self._examples += span.steps * span.batch_size

    @torch.no_grad()
    def evaluate(self, span: Span) -> None:
        """Measure every run after `span`, and the mean training loss since the last time."""
        values: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        if self._loss_count:
            values["loss", "train"] = _flat(self._loss_sum / self._loss_count)
        self._loss_sum.zero_()
        self._loss_count = 0
        last = span.step + span.steps - 1
        values["lr", "train"] = self._lr[last].double().flatten().numpy()
        values["batch_size", "train"] = np.full(self.grid.runs, float(span.full_batch_size))
        for name in self.config.evaluation.splits:
            for metric, sums in self._evaluate_split(name).items():
                values[metric, name] = _flat(sums)
        steps = self.timetable.steps_by_epoch[span.epoch]
        self.records.step.append(last + 1)
        self.records.epoch.append(span.epoch + (span.first_step + span.steps) / steps)
        self.records.examples.append(self._examples)
        self.records.values.append(values)

    def _evaluate_split(self, name: str) -> dict[str, Tensor]:
        if name == "test":
            x, y = self.test_x, self.test_y
            index = torch.arange(len(x)).expand(self.grid.seeds, -1)
        else:
            x, y, index = self.train_x, self.train_y, self._validation
        chunk = max(8, _EVALUATION_VALUES // (self._widest * self.grid.runs))
        totals: dict[str, Tensor] = {}
        for part in index.to(self.device).split(chunk, dim=1):
            prediction = self._recording("prediction", part.shape[1])
            flat = part.reshape(-1)
            prediction.load(x.index_select(0, flat).view(prediction.raw_shape))
            for operation in prediction.tape:
                operation()
            target = y.index_select(0, flat).view(*part.shape, *y.shape[1:])
            found = losses.evaluate(self.config.task.loss, prediction.result, target)
            for metric, value in found.items():
                totals[metric] = totals[metric] + value if metric in totals else value
        # A diverged run has no metrics; a loss that overflowed is a divergence too.
        lost = (self.diverged_at >= 0) | ~torch.isfinite(totals["loss"])
        means = {metric: total / index.shape[1] for metric, total in totals.items()}
        return {metric: mean.masked_fill(lost, torch.nan) for metric, mean in means.items()}


@dataclass(frozen=True)
class _Recording:
    """Operations on fixed tensors: inputs, targets and the result."""

    x: Tensor
    y: Tensor
    raw_shape: tuple[int, ...]
    scale: float
    result: Tensor
    tape: Tape

    def load(self, raw: Tensor) -> None:
        """Put raw pixels [G, B, C, H, W] times `scale` into `x`."""
        self.x.copy_(raw.transpose(1, 2).unsqueeze(1))
        if self.scale != 1:
            self.x.mul_(self.scale)


class SpanMasks:
    """Dropout masks of the step at hand, made a few steps at a time."""

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self.step = 0

    def begin(self, span: Span) -> None:
        """Begin a span; `step` counts within it."""
        self._span, self.step = span, 0
        self._made: dict[int, tuple[int, Tensor]] = {}

    def __call__(self, position: int, shape: tuple[int, ...], p: float) -> Tensor:
        """Return the keep masks of the step, [G, 1, B, *shape]."""
        first, masks = self._made.get(position, (0, None))
        if masks is None or self.step >= first + len(masks):
            first, masks = self.step, self._make(position, shape, p)
            self._made[position] = first, masks
        return masks[self.step - first]

    def _make(self, position: int, shape: tuple[int, ...], p: float) -> Tensor:
        """Masks of the next steps, shape (steps, G, 1, B, *shape)."""
        span, cohort = self._span, self._cohort
        units = prod(shape)
        per_step = span.full_batch_size * units
        bytes_a_step = per_step * len(cohort.seeds)
        steps = min(max(1, _MASK_BYTES // bytes_a_step), span.steps - self.step)
        first = span.first_step + self.step
        used = np.empty((steps, len(cohort.seeds), span.batch_size * units), dtype=np.uint8)
        for g, seed in enumerate(cohort.seeds):
            mask = keep_mask(seed, position, span.epoch, first, steps, per_step, p)
            used[:, g] = mask[:, : used.shape[2]]
        # Bytes, not booleans: only those convert to floating point at full speed.
        masks = torch.from_numpy(used).to(cohort.device)
        return masks.view(steps, len(cohort.seeds), 1, span.batch_size, *shape)


def _flat(tensor: Tensor) -> Any:
    return tensor.double().flatten().cpu().numpy()
