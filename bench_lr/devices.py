"""One process a GPU, on a machine that has several."""

from __future__ import annotations

import logging
import os
import tempfile
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_held: list[FileLock] = []


def found(device: str) -> str:
    """Return the device that "auto" stands for here, or the one that is asked for."""
    # Lightning's own "auto" takes Apple's GPUs too, which have no float64.
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return automatic if device == "auto" else device


@cache
def take_gpu() -> int:
    """Make a GPU the one that this process computes on; return its index.

    It is one that no other process of bench-lr on this machine has taken, as long as there is one;
    it is given back when this process ends, however it ends.
    """
    count = torch.cuda.device_count()
    index = _free(count) if count > 1 else 0
    torch.cuda.set_device(index)
    return index


def _free(count: int) -> int:
    for index in range(count):
        # The same for all processes, whatever each of them is shown.
        name = getattr(torch.cuda.get_device_properties(index), "uuid", index)
        lock = FileLock(Path(tempfile.gettempdir()) / f"bench-lr-gpu-{name}.lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        _held.append(lock)
        return index
    shared = os.getpid() % count
    log.warning("all %d GPUs are taken: sharing number %d", count, shared)
    return shared
