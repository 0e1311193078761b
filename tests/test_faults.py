"""What happens to training on one machine, done on purpose: nothing is lost, nothing is wrong.

After each fault the same command has to end with the store and the verdict of a run that nobody
disturbed.
"""

from __future__ import annotations

import contextlib
import hashlib
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

import numpy as np
import pandas as pd
import pytest

from bench_lr.data import DATASETS, data_dir
from bench_lr.data.files import acquire
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
PARTED = "runs at a time"
RUNS = 3 * 2 * tiny.SEEDS
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(), reason="looks for processes under /proc"
    ),
]


class Bench:
    """``bench-lr run`` of the claim in a folder, in processes of its own."""

    def __init__(
        self, folder: Path, store: Path | None = None, content: dict[str, Any] = CLAIM
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.store = folder, Store(store or folder / "store")
        self._conf = write(folder / "conf", {"me/claim": content})

    def start(
        self, out: str = "out", launcher: str = "joblib", **environment: str
    ) -> subprocess.Popen[str]:
        words = ["run", "me/claim", "--store", str(self.store.root), "--out", out]
        words += ["--launcher", launcher]
        # A cohort takes a second or two; its state is kept several times.
        settings = ["checkpoint_minutes=0.004"]
        settings += ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
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


def equal(mine: pd.DataFrame, theirs: pd.DataFrame, exact: bool) -> bool:
    """Whether tables are the same, to the last bit or as those of other cohorts are."""
    if exact:
        return mine.equals(theirs)
    values = mine["value"].to_numpy(), theirs["value"].to_numpy()
    return mine.drop(columns="value").equals(theirs.drop(columns="value")) and np.allclose(
        *values, rtol=1e-3, atol=1e-4, equal_nan=True
    )


def lost(bench: Bench, expected: Bench, exact: bool = True) -> int:
    """Count the runs that are not what nobody disturbed."""
    count = 0
    for identity in expected.store.known():
        mine, theirs = bench.store.read(identity), expected.store.read(identity)
        assert theirs is not None
        whole = mine is not None and mine[0].status == theirs[0].status
        count += not (whole and mine is not None and equal(mine[1], theirs[1], exact))
    return count + len(bench.store.known() ^ expected.store.known())


def assert_survived(
    bench: Bench, expected: Bench, faults: Faults, number: int = 1, *, exact: bool = True
) -> None:
    """Run again, and find what would have been without the faults."""
    bench.run()
    same = bench.verdict() == expected.verdict()
    if not exact:
        same = bench.verdict()["verdict"] == expected.verdict()["verdict"]
    missing = lost(bench, expected, exact)
    faults.runs_lost += missing
    faults.wrong_verdicts += not same
    assert missing == 0
    assert same
    for name in ("unfinished", "pending"):
        assert not list((bench.store.root / name).glob("*"))
    assert not [path for path in bench.store.root.rglob(".*") if path.is_file()]
    faults.survived += number


def kill_somebody(bench: Bench, driver: int, chance: random.Random) -> str:
    """Kill the driver or one of its processes; return who it was, nothing if all had ended."""
    if not until(lambda: bench.trainers(driver) or not lives(driver), 60) or not lives(driver):
        return ""
    time.sleep(chance.uniform(0.0, 5.0))
    trainers = bench.trainers(driver)
    who = chance.choice(["driver", "worker"]) if trainers else "driver"
    try:
        os.kill(driver if who == "driver" else chance.choice(trainers), signal.SIGKILL)
    except ProcessLookupError:
        return ""
    # Whoever is left without a driver notices, and one that is new has other processes.
    assert who == "worker" or until(lambda: not any(map(lives, trainers)), 30)
    return who


def test_processes_are_killed_at_random_moments(
    tmp_path: Path, undisturbed: Bench, faults: Faults
) -> None:
    chance = random.Random(SEED)
    bench = Bench(tmp_path / "bench")
    killed: list[str] = []
    exact = True
    while len(killed) < ROUNDS:
        if len(bench.store.known()) == RUNS:
            shutil.rmtree(bench.store.root)
        with bench.start() as process:
            while len(killed) < ROUNDS and (who := kill_somebody(bench, process.pid, chance)):
                killed.append(who)
                faults.injected += 1
            output, _ = process.communicate(timeout=300)
        assert "Traceback" not in output, output
        # Jobs that are killed again and again get smaller cohorts: the last digits may differ.
        exact = exact and PARTED not in output
    assert min(killed.count("driver"), killed.count("worker")) > ROUNDS // 5
    assert_survived(bench, undisturbed, faults, ROUNDS, exact=exact)


def test_a_worker_that_is_killed_is_made_good_at_once(
    tmp_path: Path, undisturbed: Bench, faults: Faults
) -> None:
    bench = Bench(tmp_path / "bench")
    with bench.start() as process:
        assert until(lambda: bench.trainers(process.pid), 60)
        time.sleep(2.0)
        os.kill(bench.trainers(process.pid)[-1], signal.SIGKILL)
        faults.injected += 1
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert_survived(bench, undisturbed, faults)


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
    # Runs whose cohort is there but for them may train in another.
    assert_survived(bench, undisturbed, faults, 32, exact=False)


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


KILLER = """
import os, signal, sys

if "bench_lr.train" in sys.orig_argv:
    from bench_lr import trainer

    train_cohort, most = trainer.train_cohort, int(os.environ["TEST_MOST_RUNS"])

    def guarded(runs, *arguments, **settings):
        if len(runs) > most:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_cohort(runs, *arguments, **settings)

    trainer.train_cohort = guarded
"""
"""What the system does to who takes more memory than there is."""


def test_the_system_kills_for_want_of_memory(
    tmp_path: Path, undisturbed: Bench, faults: Faults
) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    bench = Bench(tmp_path / "bench")
    faults.injected += 1
    killing = {"PYTHONPATH": str(tmp_path), "TEST_MOST_RUNS": "5"}
    with bench.start("out", "local", **killing) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "going on with 3 runs at a time" in output
    assert_survived(bench, undisturbed, faults, exact=False)


LIMITED = """
import logging, resource, sys
from bench_lr.claims import load_claims
from bench_lr.cohort.grouping import arrange
from bench_lr.data import load
from bench_lr.store import Store
from bench_lr.train import _train_cohort
from bench_lr.trainer import train_and_store

logging.basicConfig(level=logging.INFO)
(claim,) = load_claims(["me/large"])
(runs,) = arrange([run for arm in claim.arms for run in arm.runs])
data = load("synthetic")

def train(cohort, progress):
    train_and_store(cohort, data, store, device="cpu")

store = Store(sys.argv[1] + "-once")
_train_cohort(store, train, runs[:1], None)
megabytes = int(sys.argv[2])
if megabytes:
    used = 1024 * int(open("/proc/self/status").read().partition("VmSize:")[2].split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)
store = Store(sys.argv[1])
sys.exit(_train_cohort(store, train, runs, None))
"""


def test_memory_has_a_limit(tmp_path: Path, faults: Faults) -> None:
    """A cohort that needs more than the system gives trains by halves, and says so."""
    wide = [{"kind": "flatten"}, {"kind": "linear", "out_features": 4000}, {"kind": "relu"}]
    model = {"layers": [*wide, {"kind": "linear", "out_features": 10}]}
    large = tiny.claim("lr=0.5", "lr=0.1", train={**tiny.TRAIN, "model": model, "dtype": "float64"})
    large["grid"] = {"lr": [0.5, 0.1]}
    conf = write(tmp_path / "conf", {"me/large": large})

    def trained(name: str, megabytes: int) -> tuple[Store, str]:
        words = [sys.executable, "-c", LIMITED, str(tmp_path / name), str(megabytes)]
        done = subprocess.run(
            words, env=tiny.environment(conf), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return Store(tmp_path / name), done.stderr

    free, told = trained("free", 0)
    assert "no memory" not in told
    faults.injected += 1
    limited, told = trained("limited", 300)
    assert "no memory for 12 runs at a time: going on by halves" in told
    assert limited.known() == free.known()
    for identity in free.known():
        mine, theirs = limited.read(identity), free.read(identity)
        assert mine is not None
        assert theirs is not None
        pd.testing.assert_frame_equal(mine[1], theirs[1], rtol=1e-9, atol=1e-12)
    faults.survived += 1


OUT_OF_REACH = "http://127.0.0.1:9/"
NOWHERE = {
    "PATH": "/nonexistent",
    "PIP_NO_INDEX": "1",
    "http_proxy": OUT_OF_REACH,
    "https_proxy": OUT_OF_REACH,
}
"""An environment from which no data set can be fetched."""


@pytest.mark.data
def test_a_data_file_is_altered(tmp_path: Path, faults: Faults) -> None:
    small = {"task": "mnist", "train_size": 200, "validation_size": 100}
    content = tiny.claim("lr=0.5", "lr=1e-06", train={**tiny.TRAIN, **small})
    expected, bench = (Bench(tmp_path / name, content=content) for name in ("expected", "bench"))
    expected.run()
    files = acquire(DATASETS["mnist"], data_dir())
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.path.name).write_bytes(file.path.read_bytes())
    altered = folder / files[0].path.name
    right = altered.read_bytes()
    wrong = bytearray(right)
    wrong[len(wrong) // 2] ^= 1
    altered.write_bytes(wrong)
    faults.injected += 1
    with bench.start(BENCH_LR_DATA=str(tmp_path / "data"), **NOWHERE) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    for told in (altered, files[0].file.sha256, hashlib.sha256(wrong).hexdigest()):
        assert str(told) in output
    assert "Traceback" not in output
    assert bench.verdict()["verdict"] == "incomplete"
    altered.write_bytes(right)
    assert_survived(bench, expected, faults)
