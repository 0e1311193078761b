"""Work of many runs, made up: a claim of them, a store of them, and what each costs by itself.

``python -m tests.bench.scale WHAT ARGUMENT...`` does one thing of `MEASURED` and prints its numbers
as JSON: a process that has done nothing else has a peak of memory of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from bench_lr.budget import steps_per_epoch
from bench_lr.claims import conf_roots, load_claims
from bench_lr.claims.check import check_claim
from bench_lr.identity import ENGINE_VERSION, config_dict, run_ids
from bench_lr.schema import Claim, RunConfig
from bench_lr.store import COLUMNS, Commit, Store, _checked
from bench_lr.tables import encode

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SEEDS = RATES = 10
COHORT = 64
EPOCHS, EVALUATIONS = 15, 2
RECORDED = (
    ("loss", "train"),
    ("lr", "train"),
    ("batch_size", "train"),
    ("loss", "validation"),
    ("accuracy", "validation"),
)
"""Metric and split of what a run records at an evaluation."""
PROVENANCE: dict[str, Any] = {
    "device_kind": "cpu",
    "device": "a processor",
    "threads": 1,
    "versions": {name: "1.2.3" for name in ("bench-lr", "numpy", "pytorch-lightning", "torch")},
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "data": "mnist",
    "data_sha256": "0" * 64,
    "cohort_runs": 16,
    "cohort_seconds": 32.0,
    "seconds": 2.0,
    "finished": "2026-01-01T00:00:00+00:00",
}


def claim_file(batch_sizes: int, seeds: int = SEEDS) -> dict[str, Any]:
    """Return a claim file of ten rates at each of so many batch sizes."""
    names = [f"lr={lr} batch_size=1" for lr in (0.5, 0.05)]
    return {
        "title": "0.5 beats 0.05",
        "statement": "One learning rate is better than another.",
        "place": "page 1",
        "source_says": "0.5 works better",
        "cost": "s",
        "seeds": seeds,
        "train": {
            "task": "mnist",
            "model": "ae",
            "epochs": EPOCHS,
            "evaluations_per_epoch": EVALUATIONS,
        },
        "grid": {
            "lr": [round(0.05 * (i + 1), 2) for i in range(RATES)],
            "batch_size": list(range(1, batch_sizes + 1)),
        },
        "criteria": [
            {
                "id": "better",
                "kind": "superior",
                "measure": {"metric": "accuracy", "reduce": "mean_last", "epochs": 5},
                "params": {"treatment": names[0], "control": names[1], "margin": 0.001},
            },
            {
                "id": "best_of_all",
                "kind": "best_arm",
                "role": "reading",
                "measure": {"metric": "loss"},
                "params": {"expected": names[0], "margin": 0.001, "larger_is_better": False},
            },
        ],
        "figure": {"kind": "curves"},
    }


def claims(runs: int) -> list[Claim]:
    """Return a checked claim of so many runs, 10 or a multiple of 100; larger have them too."""
    content = claim_file(max(1, runs // (SEEDS * RATES)), seeds=min(SEEDS, runs // RATES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "claim" / "me" / "scale.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return load_claims(["me/scale"], roots=[Path(folder), *conf_roots()], check=check_claim)


def ids(claim: Claim) -> list[str]:
    """Identities of a claim's runs."""
    return run_ids(run for arm in claim.arms for run in arm.runs)


def fill(store: Store, claim: Claim) -> None:
    """Store made-up results of a claim's runs: the files that `Store.put` writes, unsynced."""
    for parent in ("runs", "commits"):
        for shard in range(256):
            (store.root / parent / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    runs = [run for arm in claim.arms for run in arm.runs]
    for identity, run in zip(run_ids(runs), runs, strict=True):
        table = encode(_table(identity, run, rng))
        commit = {
            "run_id": identity,
            "status": "complete",
            "config": config_dict(run),
            "provenance": PROVENANCE,
            "sha256": hashlib.sha256(table).hexdigest(),
            "engine": ENGINE_VERSION,
            "diverged_at": None,
            "error": "",
        }
        (store.root / "runs" / identity[:2] / f"{identity}.parquet").write_bytes(table)
        (store.root / "commits" / identity[:2] / f"{identity}.json").write_bytes(_checked(commit))


def _schema() -> pa.Schema:
    """Columns as pandas writes them, with what it says of them."""
    row = pd.DataFrame([("", 0, 0.0, 0, "", "", 0.0)], columns=list(COLUMNS))
    return pa.Table.from_pandas(row, preserve_index=False).schema


SCHEMA = _schema()


def _table(identity: str, run: RunConfig, rng: np.random.Generator) -> pa.Table:
    steps = steps_per_epoch(run.task.train_size, run.batches[0].batch_size, run.drop_last)
    epoch = np.arange(1, EPOCHS * EVALUATIONS + 1) / EVALUATIONS
    values = 0.9 + 0.01 * rng.random((len(epoch), len(RECORDED)))
    values[:, -1] += 0.01 * run.optimizer.lr
    columns = (
        np.repeat(identity, values.size),
        np.repeat((epoch * steps).astype(int), len(RECORDED)),
        np.repeat(epoch, len(RECORDED)),
        np.repeat((epoch * run.task.train_size).astype(int), len(RECORDED)),
        [metric for metric, _ in RECORDED] * len(epoch),
        [split for _, split in RECORDED] * len(epoch),
        values.ravel(),
    )
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def plan(runs: str) -> dict[str, float]:
    """Resolve a claim, plan all its runs in jobs of ten, and see what driver and job then cost."""
    from bench_lr.plan import load_job, make_plan, save_plan
    from bench_lr.progress import Watch

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store = Store(Path(folder) / "store")
        made = make_plan(claims(int(runs)), store, RATES)
        planned = time.perf_counter()
        path = save_plan(made, Path(folder))
        saved = time.perf_counter()
        load_job(path, len(made.jobs) - 1)
        read = time.perf_counter()
        watch = Watch(made, store, Path(folder))
        watch.status(0.0)
        begun = time.perf_counter()
        watch.status(0.5)
        looked = time.perf_counter()
    assert made.runs == int(runs)
    return {
        "seconds": planned - start,
        "save_seconds": saved - planned,
        "read_one_job_seconds": read - saved,
        "first_look_seconds": begun - read,
        "look_seconds": looked - begun,
        "jobs": len(made.jobs),
    }


def lacking(root: str, runs: str) -> dict[str, float]:
    """Find that a store lacks none of the runs of a claim."""
    wanted = [identity for claim in claims(int(runs)) for identity in ids(claim)]
    start = time.perf_counter()
    assert Store(root).lacking(wanted) == []
    return {"seconds": time.perf_counter() - start}


def storing(root: str, runs: str) -> dict[str, float]:
    """Store the results of a claim's runs as training does, a cohort of 64 at a time."""
    (claim,) = claims(int(runs))
    rng = np.random.default_rng(0)
    wanted = [run for arm in claim.arms for run in arm.runs]
    made = [
        (Commit(identity, "complete", config_dict(run), PROVENANCE), _table(identity, run, rng))
        for identity, run in zip(run_ids(wanted), wanted, strict=True)
    ]
    tables = [table.to_pandas() for _, table in made]
    store = Store(root)
    start = time.perf_counter()
    for first in range(0, len(made), COHORT):
        part = slice(first, first + COHORT)
        store.put_together([commit for commit, _ in made[part]], tables[part])
    seconds = time.perf_counter() - start
    files = [path for path in store.root.rglob("*") if path.is_file()]
    return {
        "seconds": seconds,
        "bytes": sum(path.stat().st_size for path in files),
        "disk_bytes": sum(512 * path.stat().st_blocks for path in files),
        "files": len(files),
    }


def judging(root: str, runs: str) -> dict[str, float]:
    """Judge a claim of so many runs."""
    from bench_lr.judge import judge

    (claim,) = claims(int(runs))
    start = time.perf_counter()
    verdict = judge(claim, Store(root))
    seconds = time.perf_counter() - start
    assert verdict.criteria[0].result.verdict == "reproduced", verdict.note
    return {"seconds": seconds}


MEASURED: dict[str, Callable[..., dict[str, float]]] = {
    "plan": plan,
    "lacking": lacking,
    "put": storing,
    "judge": judging,
}


def alone(what: str, *arguments: object) -> dict[str, float]:
    """Do one thing of `MEASURED` in a process of its own; its numbers and peak memory in MiB."""
    words = [sys.executable, "-m", "tests.bench.scale", what, *map(str, arguments)]
    done = subprocess.run(
        words, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def peak_mib() -> float:
    """Most memory that this process has held."""
    # On Linux `ru_maxrss` begins with the peak of the process that started this one.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    numbers = MEASURED[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({**numbers, "peak_mib": peak_mib()}))
