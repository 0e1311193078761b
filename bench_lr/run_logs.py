"""Results of runs for the tools that watch training: Lightning's loggers, a folder a run.

Runs of a cohort train in lockstep under one trainer, so what each has measured is logged when the
cohort has ended, with the steps at which it was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_lr.identity import config_dict, run_id
from bench_lr.schema import RunConfig

if TYPE_CHECKING:
    import pandas as pd
    from pytorch_lightning.loggers import Logger

LOGGERS = ("csv", "tensorboard")


class LoggerMissing(RuntimeError):
    """A logger's package is not installed."""


def log_runs(
    runs: Sequence[RunConfig], tables: Sequence[pd.DataFrame], kind: str, folder: Path
) -> None:
    """Log the results of runs, each under ``folder/<kind>/<run id>``.

    Parameters
    ----------
    tables : sequence of DataFrame
        Columns of the store, in the order of `runs`.
    kind : {"csv", "tensorboard"}

    Raises
    ------
    LoggerMissing
        If what writes TensorBoard's files is not installed.
    """
    make = _maker(kind, folder)
    for run, table in zip(runs, tables, strict=True):
        logger = make(run_id(run))
        logger.log_hyperparams(_flat(config_dict(run)))
        for step, rows in table.groupby("step", sort=True):
            values = {
                f"{metric}/{split}": float(value)
                for metric, split, value in zip(rows.metric, rows.split, rows.value, strict=True)
            }
            values["epoch"] = float(rows.epoch.iloc[0])
            logger.log_metrics(values, step=int(str(step)))
        logger.save()
        logger.finalize("success")


def _maker(kind: str, folder: Path) -> Callable[[str], Logger]:
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

    if kind == "csv":
        return lambda name: CSVLogger(folder, name=kind, version=name)
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise LoggerMissing("logger=tensorboard needs: pip install tensorboard") from error
    return lambda name: TensorBoardLogger(folder, name=kind, version=name, default_hp_metric=False)


def _flat(content: Any, place: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dotted names."""
    if isinstance(content, dict):
        items = [(str(name), value) for name, value in content.items()]
    elif isinstance(content, list | tuple):
        items = [(str(number), value) for number, value in enumerate(content)]
    else:
        return {place: content}
    found: dict[str, Any] = {}
    for name, value in items:
        found |= _flat(value, f"{place}.{name}".lstrip("."))
    return found
