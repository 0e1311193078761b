"""What happens to training on one machine, done on purpose: nothing is lost, nothing is wrong.

After each fault the same command has to end with the store and the verdict of a run that nobody
disturbed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench_lr.processes import lives
from bench_lr.store import Store
from tests import tiny
from tests.claims.samples import write
from tests.conftest import Faults
from tests.test_drive import members, until

ROUNDS = 20
SEED = 20_240_611

CLAIM = tiny.claim(
    "batch_size=5 lr=0.5",
    "batch_size=5 lr=1e-06",
    grid={"batch_size": [5, 6, 7], "lr": [0.5, 0.000001]},
    train={**tiny.TRAIN, "epochs": 40},
)
RUNS = 3 * 2 * tiny.SEEDS
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(), reason="looks for processes under /proc"
    ),
]


class Bench:
    """``bench-lr run`` of the claim in a folder, in processes of its own."""

    def __init__(self, folder: Path, store: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.store = folder, Store(store or folder / "store")
        self._conf = write(folder / "conf", {"me/claim": CLAIM})

    def start(self, out: str = "out", **environment: str) -> subprocess.Popen[str]:
        words = ["run", "me/claim", "--store", str(self.store.root), "--out", out]
        # A cohort takes a second or two; its state is kept several times.
        settings = ["hydra.launcher.n_jobs=2", "checkpoint_minutes=0.004"]
        return subprocess.Popen(
            [sys.executable, "-m", "bench_lr", *words, "--", *settings],
            cwd=self.folder,
            env=tiny.environment(self._conf, **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, expect: int | None = 0, out: str = "out") -> str:
        with self.start(out) as process:
            output, _ = process.communicate(timeout=300)
        assert expect is None or process.returncode == expect, output
        return output

    def verdict(self) -> dict[str, Any]:
        report = json.loads((self.folder / "out" / "report" / "verdicts.json").read_text())
        (claim,) = report["claims"]
        numbers = [(c["verdict"], c["estimate"], c["ci"]) for c in claim["criteria"]]
        return {"verdict": claim["verdict"], "numbers": numbers}

    def trainers(self, driver: int) -> list[int]:
        """Processes that the driver's multirun consists of."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):
                parent, _, sid = path.read_text().rpartition(")")[2].split()[1:4]
                if int(parent) == driver and int(sid) != os.getsid(0):
                    found += members(int(sid))
        return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("undisturbed"))
    bench.run()
    assert len(bench.store.known()) == RUNS
    assert bench.verdict()["verdict"] == "reproduced"
    return bench


def lost(bench: Bench, expected: Bench) -> int:
    """Count the runs that are not what nobody disturbed: there to the last bit."""
    count = 0
    for identity in expected.store.known():
        mine, theirs = bench.store.read(identity), expected.store.read(identity)
        assert theirs is not None
        whole = mine is not None and mine[0].status == theirs[0].status
        count += not (whole and mine is not None and mine[1].equals(theirs[1]))
    return count + len(bench.store.known() ^ expected.store.known())


def assert_survived(bench: Bench, expected: Bench, faults: Faults, number: int = 1) -> None:
    """Run again, and find what would have been without the faults."""
    bench.run()
    faults.runs_lost += lost(bench, expected)
    faults.wrong_verdicts += bench.verdict() != expected.verdict()
    assert lost(bench, expected) == 0
    assert bench.verdict() == expected.verdict()
    for name in ("unfinished", "pending"):
        assert not list((bench.store.root / name).glob("*"))
    assert not [path for path in bench.store.root.rglob(".*") if path.is_file()]
    faults.survived += number


def kill_somebody(bench: Bench, chance: random.Random) -> str:
    """Start a run and kill its driver or one of its processes; return who it was."""
    with bench.start() as process:
        until(lambda: bench.trainers(process.pid), 20)
        time.sleep(chance.uniform(0.0, 6.0))
        trainers = bench.trainers(process.pid)
        who = chance.choice(["driver", "worker"]) if trainers else "driver"
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid if who == "driver" else chance.choice(trainers), signal.SIGKILL)
        output, _ = process.communicate(timeout=300)
    assert "Traceback" not in output, output
    # A worker's death is mended at once.
    assert who == "driver" or process.returncode == 0, output
    assert until(lambda: not any(map(lives, trainers)), 30)
    return who


def test_processes_are_killed_at_random_moments(
    tmp_path: Path, undisturbed: Bench, faults: Faults
) -> None:
    chance = random.Random(SEED)
    bench = Bench(tmp_path / "bench")
    killed = []
    for _ in range(ROUNDS):
        if len(bench.store.known()) == RUNS:
            shutil.rmtree(bench.store.root)
        killed.append(kill_somebody(bench, chance))
        faults.injected += 1
    assert min(killed.count("driver"), killed.count("worker")) > ROUNDS // 5
    assert_survived(bench, undisturbed, faults, ROUNDS)


def test_two_drivers_share_a_store(tmp_path: Path, undisturbed: Bench, faults: Faults) -> None:
    bench = Bench(tmp_path / "bench")
    faults.injected += 1
    with bench.start() as one, bench.start("other") as two:
        for process in (one, two):
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
    assert_survived(bench, undisturbed, faults)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of a size in memory, or skip the test."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("needs to mount a file system of its own (root)")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("size", ["4k", "200k"])
def test_the_disk_is_full(size: str, tmp_path: Path, undisturbed: Bench, faults: Faults) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, size):
        bench = Bench(tmp_path / "bench", store=disk / "store")
        faults.injected += 1
        output = bench.run(expect=None)
        assert "Traceback" not in output
        assert "No space left on device" in output, output
        assert lost(bench, undisturbed) > 0
        for identity in bench.store.known():
            commit = bench.store.commit_of(identity)
            assert commit is not None
            assert commit.status == "failed" or bench.store.content(identity) is not None
        remount(disk, "size=64m")
        assert_survived(bench, undisturbed, faults)


def test_the_store_is_read_only(tmp_path: Path, undisturbed: Bench, faults: Faults) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "64m"):
        bench = Bench(tmp_path / "bench", store=disk / "store")
        remount(disk, "ro")
        faults.injected += 1
        output = bench.run(expect=None)
        assert "Traceback" not in output
        assert "Read-only file system" in output, output
        remount(disk, "rw")
        assert_survived(bench, undisturbed, faults)
        # What is complete can be judged from a store that is read-only.
        remount(disk, "ro")
        bench.run(out="read-only")
        remount(disk, "rw")


def test_files_of_the_store_are_damaged(tmp_path: Path, undisturbed: Bench, faults: Faults) -> None:
    chance = random.Random(SEED)
    bench = Bench(tmp_path / "bench")
    shutil.copytree(undisturbed.store.root, bench.store.root)
    files = sorted(path for path in bench.store.root.rglob("*") if path.is_file())
    for number, path in enumerate(chance.sample(files, 32)):
        content = bytearray(path.read_bytes())
        if number % 2:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del content[len(content) * (number // 2) // 16 :]
        path.write_bytes(content)
        faults.injected += 1
    bench.run()
    for identity in undisturbed.store.known():
        assert bench.store.read(identity) is not None
    # Runs whose cohort is there but for them may train in another: the last digits may differ.
    for identity in undisturbed.store.known():
        mine, theirs = bench.store.read(identity), undisturbed.store.read(identity)
        assert mine is not None
        assert theirs is not None
        pd.testing.assert_frame_equal(mine[1], theirs[1], rtol=1e-3, atol=1e-4)
    assert bench.verdict()["verdict"] == undisturbed.verdict()["verdict"]
    faults.survived += 32


@pytest.mark.parametrize("years", [-30, 30])
def test_the_clock_jumps(years: int, tmp_path: Path, undisturbed: Bench, faults: Faults) -> None:
    """Files of another time, as if the clock had been set while training."""
    bench = Bench(tmp_path / "bench")
    then = time.time() + years * 365.25 * 86_400
    with bench.start() as process:
        faults.injected += 1
        while process.poll() is None:
            for path in (*bench.store.root.rglob("*"), *bench.folder.rglob("progress-*.json")):
                with contextlib.suppress(OSError):
                    os.utime(path, (then, then))
            time.sleep(0.2)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert_survived(bench, undisturbed, faults)
