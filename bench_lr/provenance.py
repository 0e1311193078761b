"""What produces a result: versions, device, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("bench-lr", "torch", "pytorch-lightning", "numpy")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def source_state() -> tuple[str, bool]:
    """Commit of the checkout the package runs from, and whether it differs; ("", False) outside."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "", False
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "bench_lr", "conf")
    except (OSError, subprocess.SubprocessError):
        return "", False
    return commit, bool(changed)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


def processor() -> str:
    """Name of the CPU as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def here() -> dict[str, Any]:
    """Provenance that is the same for every run of this process."""
    commit, dirty = source_state()
    return {"versions": versions(), "commit": commit, "dirty": dirty}
