"""What a call may not ask for, told before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench_lr import drive
from bench_lr.claims import Problem
from bench_lr.claims.problems import unknown
from bench_lr.overrides import Overrides

if TYPE_CHECKING:
    from bench_lr.report import Expect


def launching_problems(launcher: str, device: str) -> Iterator[Problem]:
    """What keeps the jobs from starting at all."""
    if launcher == "slurm":
        yield Problem("command line", "launcher", "'slurm'", "joblib or local in this version")
    elif launcher not in drive.LOCAL_LAUNCHERS:
        names = drive.launchers()
        if launcher not in names:
            yield unknown("command line", "launcher", launcher, names)
    elif device == "cuda":
        import torch

        if not torch.cuda.is_available():
            yield Problem("command line", "device", "'cuda', with no CUDA device here", "auto, cpu")


def expecting_problems(expect: Expect, overrides: Overrides, in_looks: bool) -> Iterator[Problem]:
    """What is recorded says nothing about other settings, nor about seeds by need."""
    if expect == "recorded" and in_looks:
        allowed = "the seeds of the record where it is expected"
        yield Problem("command line", "--seeds", "auto", allowed)
    if expect == "recorded" and overrides.changes_training:
        allowed = "no settings where the record is expected"
        yield Problem("command line", "--", " ".join(overrides.settings), allowed)
