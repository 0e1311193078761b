"""Criteria, figures and schedules of the user's own: modules that register them when imported.

Named in ``BENCH_LR_PLUGINS``, with commas between them, or as entry points of the group
``bench_lr.plugins``. They are imported by the command line, and by the jobs, which inherit the
variable. That runs their code: name what you trust.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from functools import cache
from pathlib import Path

ENVIRONMENT = "BENCH_LR_PLUGINS"
GROUP = "bench_lr.plugins"


class PluginError(Exception):
    """A plugin cannot be imported."""


def use(modules: str, folder: Path | None = None) -> None:
    """Have modules imported here and in the processes that this one starts.

    Parameters
    ----------
    modules : str
        Names with commas between them.
    folder : Path, optional
        Where they are looked for too.
    """
    before = os.environ.get(ENVIRONMENT, "")
    os.environ[ENVIRONMENT] = ",".join(filter(None, [before, modules]))
    load_plugins.cache_clear()
    if folder is not None:
        whole = str(folder.resolve())
        sys.path.insert(0, whole)
        paths = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [whole, paths]))


@cache
def load_plugins() -> tuple[str, ...]:
    """Import every plugin, once; return their names.

    Raises
    ------
    PluginError
        If one cannot be imported.
    """
    named = [it.strip() for it in os.environ.get(ENVIRONMENT, "").split(",") if it.strip()]
    entries = importlib.metadata.entry_points(group=GROUP)
    names = list(dict.fromkeys([*named, *(entry.module for entry in entries)]))
    for name in names:
        try:
            importlib.import_module(name)
        # Whatever its code raises, it is the plugin that is to be named.
        except Exception as error:
            raise PluginError(f"plugin {name}: {type(error).__name__}: {error}") from error
    return tuple(names)
