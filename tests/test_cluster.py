"""What is asked of SLURM and understood of its answers; a script stands for ``squeue``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench_lr import cluster
from bench_lr.cluster import ClusterError, Queue


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, body: str) -> Path:
    """Make a program that notes its words and does what `body` says; return where it notes."""
    path, notes = folder / name, folder / f"{name}.notes"
    path.write_text(f'#!/bin/sh\necho "$@" >> "{notes}"\n{body}\n')
    path.chmod(0o755)
    return notes


def test_jobs_wait_run_or_are_over(programs: Path) -> None:
    answer = """cat <<'END'
17_0|RUNNING|None
17_1|COMPLETING|None
17_2|PENDING|Resources
17_3|PENDING|Resources
17_4|PENDING|JobHeldUser
17_5|COMPLETED|None
17_6|NODE_FAIL|None
17_7|SUSPENDED|None
18_0|RUNNING|None
99|PENDING|Priority
END"""
    notes = program(programs, "squeue", answer)
    ids = [f"17_{number}" for number in range(8)] + ["99"]
    found = cluster.queue_of(ids)
    assert found == Queue(4, 3, ("Resources", "JobHeldUser", "Priority"))
    assert found.alive == 7
    assert "--jobs=17,99" in notes.read_text()
    assert notes.read_text().count("\n") == 1


def test_no_job_is_asked_about_at_no_cost(programs: Path) -> None:
    notes = program(programs, "squeue", "exit 1")
    assert cluster.queue_of([]) == Queue()
    assert not notes.exists()


def test_jobs_that_slurm_has_forgotten_are_over(programs: Path) -> None:
    program(
        programs, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    )
    assert cluster.queue_of(["17"]) == Queue()


def test_no_answer_is_no_end(programs: Path) -> None:
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    program(programs, "squeue", f"echo '{words}' >&2; exit 1")
    with pytest.raises(ClusterError, match="Unable to contact"):
        cluster.queue_of(["17"])
    assert cluster.alive(["17"]) == 0


def test_a_program_that_hangs_is_no_answer(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SECONDS", 0.2)
    program(programs, "squeue", "exec sleep 30")
    with pytest.raises(ClusterError, match="squeue"):
        cluster.queue_of(["17"])


def test_arrays_are_cancelled_whole(programs: Path) -> None:
    notes = program(programs, "scancel", "")
    cluster.cancel(["17_0", "17_1", "99"])
    assert notes.read_text() == "--quiet 17 99\n"
    notes.unlink()
    cluster.cancel([])
    assert not notes.exists()


def test_jobs_count_from_when_they_could_run(tmp_path: Path) -> None:
    def job(multirun: str, name: str, *files: str) -> None:
        folder = tmp_path / multirun / ".submitit" / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).touch()

    job("hydra", "17_0", "17_0_submitted.pkl", "17_0_0_log.out")
    job("hydra", "17_1", "17_1_0_log.err")
    job("hydra-2", "18", "18_submitted.pkl")
    job("hydra", "%j", "abc.pkl")
    assert cluster.submitted(tmp_path) == ["17_0", "18"]
