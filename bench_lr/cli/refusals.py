"""What a call may not ask for, told before anything is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench_lr import cluster, drive
from bench_lr.claims import Problem
from bench_lr.claims.problems import unknown
from bench_lr.overrides import Overrides

if TYPE_CHECKING:
    from bench_lr.report import Expect


def launching_problems(launcher: str, device: str, detach: bool = False) -> Iterator[Problem]:
    """What keeps the jobs from starting at all."""
    if detach and launcher not in cluster.LAUNCHERS:
        allowed = "a launcher for SLURM; other jobs end with the process that started them"
        yield Problem("command line", "--detach", f"with launcher {launcher!r}", allowed)
    if launcher not in drive.LOCAL_LAUNCHERS:
        names = drive.launchers()
        if launcher not in names:
            yield unknown("command line", "launcher", launcher, names)
        elif launcher in cluster.LAUNCHERS:
            yield from _cluster_problems(launcher, names)
    elif device == "cuda":
        import torch

        if not torch.cuda.is_available():
            yield Problem("command line", "device", "'cuda', with no CUDA device here", "auto, cpu")


def _cluster_problems(launcher: str, names: Sequence[str]) -> Iterator[Problem]:
    """What a launcher for SLURM needs and is not here."""
    if cluster.PLUGIN not in names:
        found = f"{launcher!r}, without its plugin"
        yield Problem("command line", "launcher", found, "after pip install 'bench-lr[slurm]'")
    lacking = [program for program in cluster.PROGRAMS if shutil.which(program) is None]
    if lacking:
        found = f"{launcher!r}, but no {', '.join(lacking)} on the PATH"
        allowed = "a machine from which jobs can be handed to SLURM; joblib or local elsewhere"
        yield Problem("command line", "launcher", found, allowed)


def expecting_problems(expect: Expect, overrides: Overrides, in_looks: bool) -> Iterator[Problem]:
    """What is recorded says nothing about other settings, nor about seeds by need."""
    if expect == "recorded" and in_looks:
        allowed = "the seeds of the record where it is expected"
        yield Problem("command line", "--seeds", "auto", allowed)
    if expect == "recorded" and overrides.changes_training:
        allowed = "no settings where the record is expected"
        yield Problem("command line", "--", " ".join(overrides.settings), allowed)
