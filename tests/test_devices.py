"""Which GPU a process takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench_lr import devices
from bench_lr.cli.session import Session
from bench_lr.devices import found, take_gpu
from bench_lr.overrides import Overrides
from bench_lr.store import Store

GPUS = 3


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[int]]:
    """A machine with three GPUs; the list is of those that were taken."""
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: GPUS)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"gpu-{index}")
    )
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield taken
    while devices._held:
        devices._held.pop().release()
    take_gpu.cache_clear()


def test_each_process_takes_a_gpu_of_its_own(chosen: list[int]) -> None:
    for _ in range(GPUS):
        # What another process would do.
        take_gpu.cache_clear()
        take_gpu()
    assert chosen == [0, 1, 2]
    assert take_gpu() == 2
    assert chosen == [0, 1, 2]


def test_a_gpu_is_shared_where_all_are_taken(
    chosen: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(GPUS + 1):
        take_gpu.cache_clear()
        take_gpu()
    assert chosen[:GPUS] == [0, 1, 2]
    assert chosen[GPUS] in range(GPUS)
    assert "all 3 GPUs are taken" in caplog.text


HOLD = """
import sys, tempfile
from types import SimpleNamespace
import torch
tempfile.tempdir = sys.argv[1]
torch.cuda.device_count = lambda: 3
torch.cuda.get_device_properties = lambda index: SimpleNamespace(uuid=f"gpu-{index}")
torch.cuda.set_device = lambda index: None
from bench_lr.devices import take_gpu
print(take_gpu(), flush=True)
sys.stdin.read()
"""


def test_a_gpu_is_free_again_when_its_process_is_killed(chosen: list[int], tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        assert take_gpu() == 1
        process.kill()
    take_gpu.cache_clear()
    assert take_gpu() == 0


def test_one_gpu_is_nobodys(monkeypatch: pytest.MonkeyPatch, chosen: list[int]) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for _ in range(2):
        take_gpu.cache_clear()
        assert take_gpu() == 0
    assert devices._held == []


@pytest.mark.parametrize(
    ("given", "here", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", False, "cuda")],
)
def test_automatic_is_cuda_where_there_is_a_gpu(
    given: str, here: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here)
    assert found(given) == expected


Words = Callable[..., list[str]]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Words:
    """What the launcher is told, with so many GPUs."""

    def told(gpus: int, *given: str, **fields: str) -> list[str]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        overrides = Overrides.parse(given)
        session = Session([], Store(tmp_path), tmp_path, "quick", overrides=overrides, **fields)
        return session._for_jobs()

    return told


def test_joblib_starts_a_process_a_gpu(words: Words) -> None:
    jobs = "hydra.launcher.n_jobs="
    assert words(4) == ["device=auto", f"{jobs}4"]
    assert words(0) == ["device=auto"]
    assert words(4, f"{jobs}2") == ["device=auto", f"{jobs}2"]
    assert words(4, launcher="local") == ["device=auto"]
    assert words(4, device="cpu") == ["device=cpu"]
