"""What follows ``--`` on the command line: Hydra overrides, for the claims or for the launcher."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench_lr.claims import ConfigError, Problem
from bench_lr.claims.problems import parse, unknown
from bench_lr.schema import Setting

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

FOR_JOBS = ("threads", "device", "checkpoint_minutes", "runs_at_once", "logger", "log_dir")
COUNTED = ("threads", "runs_at_once")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Overrides:
    """Overrides, sorted by whom they concern.

    Attributes
    ----------
    setting : Setting or None
        Replaces what the claims say, in every arm.
    settings : tuple of str
        The overrides behind `setting` and `seeds`, as given.
    launcher : tuple of str
        Passed on to the multirun.
    """

    setting: Setting | None = None
    seeds: int | None = None
    settings: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()

    @property
    def changes_training(self) -> bool:
        """Whether the runs are not those that the claims ask for."""
        return bool(self.settings)

    @property
    def jobs_at_once(self) -> int | None:
        """Processes asked of the joblib launcher, None for one a core."""
        for item in self.launcher:
            name, _, value = item.partition("=")
            if name == "hydra.launcher.n_jobs" and value.isdigit():
                return int(value)
        return None

    @property
    def names_jobs_at_once(self) -> bool:
        """Whether the joblib launcher is told how many processes to start."""
        return any(it.lstrip("+").startswith("hydra.launcher.n_jobs=") for it in self.launcher)

    @classmethod
    def parse(cls, items: Sequence[str]) -> Overrides:
        """Sort and validate overrides.

        Raises
        ------
        ConfigError
            For words that are no setting, and values that are not allowed.
        """
        known = [f.name for f in dataclasses.fields(Setting)] + ["seeds"]
        mine: list[str] = []
        launcher: list[str] = []
        problems = []
        for item in items:
            name = item.lstrip("+~").partition("=")[0]
            if name.startswith("hydra") or name in FOR_JOBS:
                launcher.append(item)
            elif name in known and "=" in item:
                mine.append(item)
            else:
                problems.append(unknown("command line", name, item, [*known, *FOR_JOBS, "hydra.*"]))
        if problems:
            raise ConfigError(problems)
        _check_launcher(launcher)
        if not mine:
            return cls(launcher=tuple(launcher))
        values = _compose(mine)
        seeds = values.pop("seeds", None)
        found: list[Problem] = []
        if seeds is not None and (type(seeds) is not int or seeds < 1):
            found.append(Problem("command line", "seeds", repr(seeds), "a whole number from 1"))
        setting = parse(Setting, values, "command line", "", found)
        if found:
            raise ConfigError(found)
        return cls(setting if values else None, seeds, tuple(mine), tuple(launcher))


def of_ones_own(model: str, data: str) -> list[str]:
    """Return the overrides that ask claims of a network and data that Python imports.

    A sixth of the training examples, and at most 10,000, are kept for validation.

    Raises
    ------
    ConfigError
        If the data cannot be had.
    """
    found = []
    if model:
        found.append(f"model={{layers: [{{kind: imported, target: {_word(model)}}}]}}")
    if data:
        from bench_lr.data.files import DataError
        from bench_lr.data.own import named, own

        try:
            name = named(data)
            count = len(own(data.partition("@")[0]).train_x)
        except DataError as error:
            allowed = "package.module.Name of data; see docs/own-model.md"
            raise ConfigError([Problem("command line", "--data", str(error), allowed)]) from error
        held = min(10_000, max(1, count // 6))
        sizes = {"train_size": count - held, "validation_size": held}
        words = ", ".join(f"{key}: {value}" for key, value in sizes.items())
        found.append(f"task={{data: {_word(name)}, {words}}}")
        found += [f"{key}={value}" for key, value in sizes.items()]
    return found


def _word(text: str) -> str:
    """Quote a word for Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def _check_launcher(items: Sequence[str]) -> None:
    """Refuse words for the launcher with which no job could start, or each would twice."""
    problems = []
    for override in _parsed(items):
        name, value = override.key_or_group, override.value()
        allowed = ""
        if override.is_sweep_override():
            allowed = "one value"
        elif name in COUNTED and not (value is None or (type(value) is int and value >= 1)):
            allowed = "a whole number from 1"
        elif name == "checkpoint_minutes" and not _is_time(value):
            allowed = "a number of minutes from 0, or null"
        elif name == "device" and value not in DEVICES:
            allowed = ", ".join(DEVICES)
        elif name == "logger":
            allowed = _refused_logger(value)
        if allowed:
            problems.append(Problem("command line", name, str(override.input_line), allowed))
    if problems:
        raise ConfigError(problems)


def _refused_logger(value: object) -> str:
    """What to say of a logger that cannot be had; nothing if it can."""
    if value is None or value == "csv":
        return ""
    if value == "tensorboard":
        there = importlib.util.find_spec("tensorboard") is not None
        return "" if there else "tensorboard after pip install tensorboard; or csv, null"
    return "csv, tensorboard, null"


def _is_time(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value is None
    return 0 <= value < math.inf


def _parsed(items: Sequence[str]) -> list[Override]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_overrides(list(items))
    except HydraException as error:
        text = str(error).splitlines()[0]
        raise ConfigError(
            [Problem("command line", "--", text, "key=value by Hydra's grammar")]
        ) from error


def _compose(items: Sequence[str]) -> dict[str, Any]:
    """Values of overrides by Hydra's grammar; a group's option is read from its file."""
    values: dict[str, Any] = {}
    for override in _parsed(items):
        allowed = ""
        if override.is_sweep_override():
            allowed = "one value; for a sweep use python -m bench_lr.train -m"
        elif override.is_delete():
            allowed = "key=value; what the claims say can be replaced, not deleted"
        if allowed:
            line = str(override.input_line)
            raise ConfigError([Problem("command line", override.key_or_group, line, allowed)])
        values[override.key_or_group] = _plain(override.value())
    return values


def _plain(value: Any) -> Any:
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
