"""From the settings people write to fully resolved runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_lr.budget import steps_per_epoch
from bench_lr.claims.files import display, group_file, group_names, read_yaml
from bench_lr.claims.problems import Problem, parse, unknown
from bench_lr.schema import Arm, ArmKey, ClaimFile, Profile, ProfilePatch, RunConfig, Setting
from bench_lr.shapes import EXAMPLES, ModelError, walk

GROUPS = ("task", "model", "optimizer", "schedule")
DEFAULTS = {"optimizer": "sgd", "schedule": "constant"}
REQUIRED = ("task", "model", "lr")


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
        result.update(given)
    return result


class Resolver:
    """Turns settings into `RunConfig`, reading configuration groups by name."""

    def __init__(self, roots: Sequence[Path], profile: Profile, problems: list[Problem]) -> None:
        self._roots, self._profile, self._problems = roots, profile, problems
        self._groups: dict[tuple[str, str], Any] = {}

    def _group(self, group: str, value: Any, file: str, key: str) -> dict[str, Any] | None:
        if isinstance(value, Mapping):
            return dict(value)
        if (group, value) not in self._groups:
            path = group_file(self._roots, group, value)
            if path is None:
                names = group_names(self._roots, group)
                self._problems.append(unknown(file, f"{key}.{group}", value, names))
                return None
            content = read_yaml(path, self._problems)
            if content is not None and not isinstance(content, dict):
                self._problems.append(
                    Problem(display(path), "", type(content).__name__, "a mapping")
                )
                content = None
            self._groups[group, value] = content
        content = self._groups[group, value]
        return None if content is None else dict(content)

    def run(self, setting: Mapping[str, Any], seed: int, file: str, key: str) -> RunConfig | None:
        """Resolve one run, or return None after noting what is wrong with it."""
        setting = {**DEFAULTS, **setting}
        missing = [name for name in REQUIRED if name not in setting]
        if "batches" not in setting:
            missing += [name for name in ("batch_size", "epochs") if name not in setting]
        if missing:
            self._problems.append(Problem(file, key, "no " + ", no ".join(missing), "a value each"))
            return None
        found = {g: self._group(g, setting[g], file, key) for g in GROUPS}
        if any(content is None for content in found.values()):
            return None
        task, model, optimizer, schedule = (dict(found[g] or {}) for g in GROUPS)
        for name in ("train_size", "validation_size"):
            if name in setting:
                task[name] = setting[name]
        for name in ("lr", "momentum", "nesterov", "weight_decay"):
            if name in setting:
                optimizer[name] = setting[name]
        batches = setting.get("batches") or ((setting["epochs"], setting["batch_size"]),)
        total = sum(epochs for epochs, _ in batches)
        if "epochs" in setting and total != setting["epochs"]:
            self._problems.append(
                Problem(file, f"{key}.batches", f"{total} epochs", f"{setting['epochs']} epochs")
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
            },
        }
        for name in ("drop_last", "dtype"):
            if name in setting:
                content[name] = setting[name]
        run = parse(RunConfig, content, file, key, self._problems)
        if not isinstance(run, RunConfig) or not self._sound(run, file, key):
            return None
        return run

    def _cap(self, task: dict[str, Any], batches: Sequence[Sequence[int]]) -> None:
        profile = self._profile
        if profile.data is not None:
            task["data"] = profile.data
        if profile.max_train_size is not None and isinstance(task.get("train_size"), int):
            # Room for two batches, so that a plumbing test takes steps at every batch size.
            room = max(profile.max_train_size, *(2 * min(size, 500) for _, size in batches))
            task["train_size"] = min(task["train_size"], room)
            task["validation_size"] = min(task.get("validation_size", 0), profile.max_train_size)

    def _sound(self, run: RunConfig, file: str, key: str) -> bool:
        """Check what one field alone cannot show."""
        before = len(self._problems)
        example, classes = EXAMPLES[run.task.data]
        try:
            output = walk(run.model, example)[-1]
            if output != (classes,):
                found = f"output {output}"
                self._problems.append(Problem(file, f"{key}.model", found, f"({classes},)"))
        except ModelError as error:
            self._problems.append(Problem(file, f"{key}.model", str(error), "layers that fit"))
        size = run.task.train_size
        for phase in run.batches:
            if steps_per_epoch(size, phase.batch_size, run.drop_last) < 1:
                found = f"batch size {phase.batch_size} with drop_last"
                self._problems.append(
                    Problem(file, f"{key}.batch_size", found, f"at most {size} (train_size)")
                )
            normed = any(layer.kind == "batch_norm" for layer in run.model.layers)
            if normed and not run.drop_last and size % phase.batch_size == 1:
                self._problems.append(
                    Problem(
                        file,
                        f"{key}.batch_size",
                        f"a last batch of one example with batch normalisation ({size} % "
                        f"{phase.batch_size})",
                        "drop_last: true, or another size",
                    )
                )
        if "validation" in run.evaluation.splits and run.task.validation_size == 0:
            self._problems.append(
                Problem(file, f"{key}.evaluate_on", "validation, with validation_size 0", "test")
            )
        if run.optimizer.nesterov and run.optimizer.momentum == 0:
            self._problems.append(
                Problem(file, f"{key}.nesterov", "true with momentum 0", "a momentum above 0")
            )
        return len(self._problems) == before


def arm_settings(
    spec: ClaimFile, patch: ProfilePatch, file: str, problems: list[Problem]
) -> dict[str, Setting]:
    """Settings that set each arm apart, by arm name (``lr=0.5``, or the name given)."""
    grid = spec.grid if patch.grid is None else patch.grid
    named = spec.arms if patch.arms is None else patch.arms
    arms: dict[str, Setting] = {}
    known = [item.name for item in dataclasses.fields(Setting)]
    for axis, values in grid.items():
        if axis not in known:
            problems.append(unknown(file, f"grid.{axis}", axis, known))
        elif not values:
            problems.append(Problem(file, f"grid.{axis}", "an empty list", "at least one value"))
    if grid and not problems:
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            name = " ".join(f"{axis}={value}" for axis, value in point.items())
            setting = parse(Setting, point, file, f"grid {name}", problems)
            if name in arms:
                problems.append(Problem(file, "grid", f"{name} twice", "each value once"))
            if isinstance(setting, Setting):
                arms[name] = setting
    for name, setting in named.items():
        if name in arms:
            problems.append(Problem(file, f"arms.{name}", "a name of the grid", "another name"))
        arms[name] = setting
    return arms


def arm_value(arm: Arm, key: ArmKey) -> float:
    """Value of a setting in an arm; the batch size is that of the first epoch."""
    run = arm.runs[0]
    match key:
        case "batch_size":
            return run.batches[0].batch_size
        case "train_size":
            return run.task.train_size
        case "epochs":
            return run.epochs
    return float(getattr(run.optimizer, key))
