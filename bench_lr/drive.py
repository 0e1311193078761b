"""Training what a plan lacks with a Hydra multirun, watched from outside.

The multirun is a process of its own and is judged by what reaches the store, never by its exit: a
launcher may raise at the first dead job, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench_lr.claims.files import conf_roots, group_names
from bench_lr.plan import Plan, save_plan
from bench_lr.progress import Status, Watch
from bench_lr.store import Store

DRIVER = "BENCH_LR_DRIVER"
"""Environment variable that tells a local job which process to end with."""
LOCAL_LAUNCHERS = ("local", "joblib")
POLL_SECONDS = 0.5
STOP_SECONDS = 2.0
"""Between asking jobs to end and ending them."""


def quoted(value: object) -> str:
    """Return a value as a quoted string of Hydra's override grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    # A path may hold "${", which is an interpolation if no backslash is before it.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(value))
    return QuotedString(text, Quote.single).with_quotes()


def launchers() -> list[str]:
    """Names of the launchers there are: the configuration's own and those of Hydra's plugins."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()
    plugins = ConfigStore.instance().list("hydra/launcher")
    own = group_names(conf_roots()[-1:], "hydra/launcher")
    return sorted({*own, *(name.removesuffix(".yaml") for name in plugins)})


def command(
    plan: Plan, plan_file: Path, store: Store, launcher: str, overrides: Sequence[str]
) -> list[str]:
    """Return the command line of the multirun."""
    jobs = "0" if len(plan.jobs) == 1 else f"range(0,{len(plan.jobs)})"
    folder = plan_file.parent
    return [
        sys.executable,
        "-m",
        "bench_lr.train",
        "-m",
        f"plan={quoted(plan_file)}",
        f"job={jobs}",
        f"store={quoted(store.root.resolve())}",
        f"hydra/launcher={launcher}",
        f"hydra.sweep.dir={quoted(folder / 'hydra')}",
        *overrides,
    ]


def train(
    plan: Plan,
    store: Store,
    folder: Path,
    *,
    launcher: str,
    overrides: Sequence[str] = (),
    watch: Callable[[Status], None] = lambda status: None,
) -> Path:
    """Train the jobs of a plan; return the log of the multirun.

    Parameters
    ----------
    folder : Path
        Of this multirun: plan, progress and logs.
    overrides : sequence of str
        For Hydra, such as ``hydra.launcher.n_jobs=4`` or ``device=cpu``.
    watch : callable
        Called about twice a second.

    Raises
    ------
    KeyboardInterrupt
        After the jobs have been stopped.
    """
    folder = folder.resolve()
    plan_file = save_plan(plan, folder)
    log = folder / "multirun.log"
    environment = dict(os.environ)
    if launcher in LOCAL_LAUNCHERS:
        environment[DRIVER] = str(os.getpid())
    look = Watch(plan, store, folder)
    start = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command(plan, plan_file, store, launcher, overrides),
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    try:
        while True:
            ended = process.poll() is not None
            watch(look.status(time.monotonic() - start))
            if ended:
                return log
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a multirun and its jobs, which are one process group, whoever of them is left."""
    patience = time.monotonic() + STOP_SECONDS
    try:
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < patience:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # None is left (on macOS: none but those that have ended).
        pass
    process.wait()
