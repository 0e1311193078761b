"""What SLURM knows of the jobs that a multirun has submitted.

Asked with ``squeue`` alone, which every cluster has: ``sacct`` needs an accounting database. What a
job has come to is never asked: that is what reached the store.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LAUNCHERS = ("slurm", "submitit_slurm")
"""Launchers whose jobs SLURM runs."""
PLUGIN = "submitit_slurm"
"""The one that Hydra's plugin brings along."""
PROGRAMS = ("sbatch", "squeue", "scancel", "srun")
SECONDS = 60
"""Longest that a question to SLURM may take."""
_FOLDER = re.compile(r"\d+(_\d+)?")
_OVER = re.compile(
    "BOOT_FAIL|CANCELLED|COMPLETED|DEADLINE|FAILED|NODE_FAIL|OUT_OF_MEMORY|REVOKED|TIMEOUT"
)


class ClusterError(Exception):
    """SLURM cannot be asked."""


@dataclass(frozen=True)
class Queue:
    """Jobs of a multirun that SLURM has not ended.

    Attributes
    ----------
    reasons : tuple of str
        Why jobs are waiting, the most frequent first, as SLURM says it.
    """

    queued: int = 0
    running: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def alive(self) -> int:
        """Jobs that have not ended."""
        return self.queued + self.running


def submitted(folder: Path) -> list[str]:
    """Ids of the jobs that multiruns under a folder have handed over: ``<id>`` or ``<array>_<n>``.

    A job counts from the moment at which it could run.
    """
    names = {path.parent.name for path in folder.glob("hydra*/.submitit/*/*_submitted.pkl")}
    return sorted(filter(_FOLDER.fullmatch, names))


def queue_of(ids: Iterable[str]) -> Queue:
    """Ask how many of these jobs wait and run.

    Raises
    ------
    ClusterError
        If there is no answer.
    """
    wanted = set(ids)
    if not wanted:
        return Queue()
    whole = ",".join(sorted({name.partition("_")[0] for name in wanted}))
    words = ["squeue", "--noheader", "--array", f"--jobs={whole}", "--format=%i|%T|%r"]
    done = _ask(words)
    if done.returncode:
        # Whose jobs have all ended long ago are unknown by now.
        if "Invalid job id" in done.stderr:
            return Queue()
        raise ClusterError(done.stderr.strip() or f"squeue ended with {done.returncode}")
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        name, _, rest = line.strip().partition("|")
        state, _, reason = rest.partition("|")
        if name in wanted and not _OVER.fullmatch(state):
            states[state] += 1
            if state == "PENDING" and reason not in ("None", ""):
                reasons[reason] += 1
    queued = states.pop("PENDING", 0)
    return Queue(queued, states.total(), tuple(reason for reason, _ in reasons.most_common()))


def alive(ids: Iterable[str]) -> int:
    """How many of these jobs have not ended, as far as SLURM answers: none where it does not."""
    try:
        return queue_of(ids).alive
    except ClusterError:
        return 0


def cancel(ids: Iterable[str]) -> None:
    """Ask SLURM to end jobs; they are asked themselves first, so that they keep what they have.

    Raises
    ------
    ClusterError
        If there is no answer.
    """
    arrays = sorted({name.partition("_")[0] for name in ids})
    if arrays:
        # What has ended meanwhile is no fault.
        _ask(["scancel", "--quiet", *arrays])


def _ask(words: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise ClusterError(f"{words[0]}: {error}") from error
