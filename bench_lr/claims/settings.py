"""From the settings people write to fully resolved runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_lr.budget import steps_per_epoch
from bench_lr.claims.files import display, group_file, group_names, read_yaml
from bench_lr.claims.probing import probe_problems
from bench_lr.claims.problems import Problem, parse, unknown
from bench_lr.claims.scheduling import schedule_problems
from bench_lr.data.own import is_own
from bench_lr.identity import config_dict
from bench_lr.schedules import Schedule
from bench_lr.schema import (
    OPTIMIZERS,
    Arm,
    ArmKey,
    BatchNorm,
    ClaimFile,
    GhostBatchNorm,
    ModelConfig,
    Optimizer,
    OptimizerConfig,
    Profile,
    ProfilePatch,
    RunConfig,
    Setting,
    TaskConfig,
)
from bench_lr.shapes import (
    REAL_TARGETS,
    ModelError,
    every_layer,
    example_of,
    has_real_targets,
    train_examples,
    walk,
)

GROUPS: dict[str, Any] = {
    "task": TaskConfig,
    "model": ModelConfig,
    "optimizer": Optimizer,
    "schedule": Schedule,
}
LEFT_OUT: dict[str, dict[str, Any]] = {
    "optimizer": {"lr": 1.0, "kind": "sgd"},
    "task": {"train_size": 1, "validation_size": 0},
}
"""What a group's file may leave to the claim."""
DEFAULTS = {"optimizer": "sgd", "schedule": "constant"}
REQUIRED = ("task", "model", "lr")
OF_OPTIMIZERS = ("lr", "momentum", "nesterov", "beta1", "beta2", "weight_decay")
"""Settings that belong to an optimizer, not all of them to every one."""


def merged(*settings: Setting | None) -> dict[str, Any]:
    """Settings overlaid, later ones winning; absent keys are left out."""
    result: dict[str, Any] = {}
    for setting in settings:
        if setting is None:
            continue
        given = {
            item.name: getattr(setting, item.name)
            for item in dataclasses.fields(setting)
            if getattr(setting, item.name) is not None
        }
        if "batch_size" in given and "batches" not in given:
            result.pop("batches", None)
        # Of what says how long a run is, the last word counts.
        if "updates" in given:
            result.pop("epochs", None)
            result.pop("batches", None)
        elif "epochs" in given or "batches" in given:
            result.pop("updates", None)
        result.update(given)
    return result


class Resolver:
    """Turns settings into `RunConfig`, reading configuration groups by name.

    What is wrong with a group's file is added to `problems`, once.
    """

    def __init__(self, roots: Sequence[Path], profile: Profile, problems: list[Problem]) -> None:
        self._roots, self._profile, self._problems = roots, profile, problems
        self._groups: dict[tuple[str, str], Any] = {}

    def _group(
        self, group: str, value: Any, file: str, problems: list[Problem]
    ) -> dict[str, Any] | None:
        if isinstance(value, Mapping):
            return dict(value)
        if (group, value) not in self._groups:
            path = group_file(self._roots, group, value)
            if path is None:
                problems.append(unknown(file, group, value, group_names(self._roots, group)))
                return None
            self._groups[group, value] = self._read(group, path)
        content = self._groups[group, value]
        return None if content is None else dict(content)

    def _read(self, group: str, path: Path) -> dict[str, Any] | None:
        before = len(self._problems)
        content = read_yaml(path, self._problems)
        if len(self._problems) > before:
            return None
        whole = {**LEFT_OUT.get(group, {}), **content} if isinstance(content, dict) else content
        sound = parse(GROUPS[group], whole, display(path), "", self._problems)
        return None if sound is None else content

    def run(
        self, setting: Mapping[str, Any], seed: int, file: str, problems: list[Problem]
    ) -> RunConfig | None:
        """Resolve one run; return None if something is wrong with it, which `problems` then says.

        Their keys are relative to the run's settings.
        """
        before = len(problems)
        setting = {**DEFAULTS, **setting}
        found = {g: self._group(g, setting[g], file, problems) for g in GROUPS if g in setting}
        if (found["schedule"] or {}).get("kind") == "range_test":
            setting = {"lr": 1.0, **setting}
        missing = [name for name in REQUIRED if name not in setting]
        if "batches" not in setting:
            length = () if "updates" in setting else ("epochs",)
            missing += [name for name in ("batch_size", *length) if name not in setting]
        if missing:
            problems.append(Problem(file, "", "no " + ", no ".join(missing), "a value each"))
            return None
        if "updates" in setting and ("epochs" in setting or "batches" in setting):
            other = "epochs" if "epochs" in setting else "batches"
            problems.append(Problem(file, "updates", f"{other} too", "one of the two"))
            return None
        if any(content is None for content in found.values()):
            return None
        task, model, optimizer, schedule = (dict(found[g] or {}) for g in GROUPS)
        for name in ("train_size", "validation_size"):
            if name in setting:
                task[name] = setting[name]
        optimizer.setdefault("kind", "sgd")
        foreign = {problem.key: problem for problem in _foreign(optimizer, setting, file)}
        problems += foreign.values()
        for name in OF_OPTIMIZERS:
            if name in setting and name not in foreign:
                optimizer[name] = setting[name]
        batches = setting.get("batches") or ((_epochs(setting, task), setting["batch_size"]),)
        total = sum(epochs for epochs, _ in batches)
        if "epochs" in setting and total != setting["epochs"]:
            problems.append(
                Problem(file, "batches", f"{total} epochs", f"{setting['epochs']} epochs")
            )
        self._cap(task, batches)
        phases = [
            {"epochs": min(e, self._profile.max_epochs or e), "batch_size": b} for e, b in batches
        ]
        content = {
            "task": task,
            "model": model,
            "optimizer": optimizer,
            "schedule": schedule,
            "batches": phases,
            "seed": seed,
            "evaluation": {
                "per_epoch": setting.get("evaluations_per_epoch", 1),
                "splits": setting.get("evaluate_on", ("validation",)),
                "every": setting.get("evaluate_every", 1),
                "probes": [config_dict(probe) for probe in setting.get("probes", ())],
            },
        }
        for name in ("drop_last", "dtype", "order", "timed"):
            if name in setting:
                content[name] = setting[name]
        if self._profile.max_train_size is not None and isinstance(task.get("train_size"), int):
            # What is left of the training set may be less than one of the claim's batches.
            fits = all(size <= task["train_size"] for _, size in batches)
            content["drop_last"] = bool(content.get("drop_last")) and fits
        if "stop_at" in setting:
            content["stop_at"] = config_dict(setting["stop_at"])
        run = parse(RunConfig, content, file, "", problems)
        if isinstance(run, RunConfig):
            capped = self._profile.max_epochs is not None
            problems += [*_unsound(run, file), *schedule_problems(run, file, capped)]
            if len(problems) == before:
                problems += probe_problems(run, file, capped)
        return run if len(problems) == before and isinstance(run, RunConfig) else None

    def _cap(self, task: dict[str, Any], batches: Sequence[Sequence[int]]) -> None:
        profile = self._profile
        # A stand-in for data of the same kind that would have to be fetched.
        data = str(task.get("data"))
        if profile.data is not None and data not in REAL_TARGETS and not is_own(data):
            task["data"] = profile.data
        if profile.max_train_size is not None and isinstance(task.get("train_size"), int):
            # Room for two batches, so that a plumbing test takes steps at every batch size.
            room = max(profile.max_train_size, *(2 * min(size, 500) for _, size in batches))
            task["train_size"] = min(task["train_size"], room)
            if isinstance(task.get("validation_size"), int):
                task["validation_size"] = min(task["validation_size"], profile.max_train_size)


def _epochs(setting: Mapping[str, Any], task: Mapping[str, Any]) -> int:
    """Epochs of a run, which may be said in parameter updates."""
    if "updates" not in setting:
        return int(setting["epochs"])
    # What the task lacks is told when the run is read.
    size = task.get("train_size")
    size = size if isinstance(size, int) else 1
    steps = steps_per_epoch(size, setting["batch_size"], bool(setting.get("drop_last", False)))
    # Half way between two numbers of epochs the larger is taken.
    return max(1, (2 * int(setting["updates"]) + steps) // (2 * steps)) if steps else 1


def _foreign(
    optimizer: Mapping[str, Any], setting: Mapping[str, Any], file: str
) -> Iterator[Problem]:
    """Yield a problem for each setting that belongs to another optimizer than the arm's."""
    fields = {kind.kind: [item.name for item in dataclasses.fields(kind)] for kind in OPTIMIZERS}
    mine = optimizer.get("kind")
    for name in OF_OPTIMIZERS:
        if mine in fields and name in setting and name not in fields[mine]:
            others = " or ".join(kind for kind, names in fields.items() if name in names)
            allowed = ", ".join(n for n in OF_OPTIMIZERS if n in fields[mine])
            yield Problem(file, name, f"{name}, a setting of {others}, with {mine}", allowed)


def _unsound(run: RunConfig, file: str) -> list[Problem]:
    """Return what is wrong with a run that one field alone cannot show."""
    found: list[Problem] = []

    def problem(key: str, what: str, allowed: str) -> None:
        found.append(Problem(file, key, what, allowed))

    example, classes = example_of(run.task.data)
    try:
        output = walk(run.model, example)[-1]
        if output != (classes,):
            problem("model", f"output {output}", f"({classes},)")
    except ModelError as error:
        problem("model", str(error), "layers that fit")
    fits = "half_mse" if has_real_targets(run.task.data) else "cross_entropy"
    if run.task.loss != fits:
        problem("loss", f"{run.task.loss} for {run.task.data}", fits)
    size = run.task.train_size
    normed = any(
        isinstance(layer, BatchNorm | GhostBatchNorm) for layer in every_layer(run.model.layers)
    )
    for phase in run.batches:
        batch = phase.batch_size
        if steps_per_epoch(size, batch, run.drop_last) < 1:
            problem(
                "batch_size", f"batch size {batch} with drop_last", f"at most {size} (train_size)"
            )
        if normed and (batch == 1 or (not run.drop_last and size % batch == 1)):
            problem(
                "batch_size",
                f"a batch of one example with batch normalisation (batch size {batch}, "
                f"train_size {size})",
                "another size, or drop_last: true where it is only the last batch",
            )
    available = train_examples(run.task.data)
    if size + run.task.validation_size > available:
        problem(
            "train_size",
            f"{size} + validation_size {run.task.validation_size}",
            f"at most the {available} training examples of {run.task.data}",
        )
    splits = run.evaluation.splits
    if len(set(splits)) < len(splits):
        problem("evaluate_on", "a split twice", "each split once")
    if "validation" in splits and run.task.validation_size == 0:
        problem("evaluate_on", "validation, with validation_size 0", "test")
    if run.evaluation.every > 1 and run.evaluation.per_epoch > 1:
        found_both = f"{run.evaluation.every}, and evaluations_per_epoch"
        problem("evaluate_every", found_both, "one of the two")
    if run.order == "stratified" and has_real_targets(run.task.data):
        problem("order", f"stratified, and {run.task.data} has no classes", "shuffled, fixed")
    if run.stop_at is not None:
        if (run.stop_at.at_most is None) == (run.stop_at.at_least is None):
            problem("stop_at", "not one limit", "at_most or at_least")
        if run.stop_at.split not in splits:
            problem(
                "stop_at.split", run.stop_at.split, f"what it evaluates on, {', '.join(splits)}"
            )
        if run.stop_at.metric == "accuracy" and has_real_targets(run.task.data):
            problem("stop_at.metric", "accuracy of real numbers", "loss")
    sgd = run.optimizer
    if isinstance(sgd, OptimizerConfig) and sgd.nesterov and sgd.momentum == 0:
        problem("nesterov", "true with momentum 0", "a momentum above 0")
    return found


def arm_settings(
    spec: ClaimFile, patch: ProfilePatch, file: str, problems: list[Problem]
) -> dict[str, Setting]:
    """Settings that set each arm apart, by arm name (``lr=0.5``, or the name given)."""
    grid = spec.grid if patch.grid is None else patch.grid
    named = spec.arms if patch.arms is None else patch.arms
    arms: dict[str, Setting] = {}
    known = [item.name for item in dataclasses.fields(Setting)]
    seen: set[object] = set()
    before = len(problems)
    for axis, values in grid.items():
        if axis not in known:
            problems.append(unknown(file, f"grid.{axis}", axis, known))
        elif not values:
            problems.append(Problem(file, f"grid.{axis}", "an empty list", "at least one value"))
    if grid and len(problems) == before:
        for chosen in itertools.product(*grid.values()):
            point = dict(zip(grid, chosen, strict=True))
            name = " ".join(f"{axis}={value}" for axis, value in point.items())
            setting = parse(Setting, point, file, f"grid {name}", problems)
            content = _hashable(merged(setting))
            if name in arms or content in seen:
                problems.append(Problem(file, "grid", f"{name} twice", "each value once"))
            if isinstance(setting, Setting):
                arms[name] = setting
                seen.add(content)
    for name, setting in named.items():
        if name in arms:
            problems.append(Problem(file, f"arms.{name}", "a name of the grid", "another name"))
        arms[name] = setting
    return arms


def _hashable(value: object) -> object:
    """Return what is equal where `value` is: a setting may hold mappings, which no set does."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(item)) for name, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def arm_value(arm: Arm, key: ArmKey) -> float:
    """Value of a setting that an arm has; the batch size is that of the first epoch."""
    run = arm.runs[0]
    match key:
        case "batch_size":
            return run.batches[0].batch_size
        case "train_size":
            return run.task.train_size
        case "epochs":
            return run.epochs
    return float(getattr(run.optimizer, key))


def has_value(arm: Arm, key: ArmKey) -> bool:
    """Whether an arm has a setting: ``momentum`` belongs to SGD, ``beta1`` to Adam."""
    return key not in OF_OPTIMIZERS or hasattr(arm.runs[0].optimizer, key)
