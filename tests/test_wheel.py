"""A built wheel works without the checkout: its configuration travels inside it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench_lr.claims import claim_files, conf_roots
from bench_lr.claims.sources import load_sources

CHECKOUT = conf_roots()[-1].parent
NO_INDEX = ("No matching distribution found", "Could not find a version", "Network is unreachable")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHECKOUT / "pyproject.toml").is_file(), reason="this is no checkout to build from"
    ),
    pytest.mark.skipif(importlib.util.find_spec("build") is None, reason="no package build here"),
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", folder, CHECKOUT],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode and any(text in done.stdout + done.stderr for text in NO_INDEX):
        pytest.skip("no package index within reach for the build backend")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_LR_")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_claim_is_listed_from_inside_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    done = python(unpacked, tmp_path, "-m", "bench_lr", "list", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["id"] for row in rows} == set(claim_files(conf_roots()[-1:]))
    for row in rows:
        file = Path(row["file"])
        assert unpacked / "bench_lr" / "conf" in file.parents
        assert file.is_file()
    done = python(unpacked, tmp_path, "-m", "bench_lr", "list", "--json", "--not-testable")
    assert done.returncode == 0, done.stderr
    found = {row["source"] for row in json.loads(done.stdout)}
    sources = load_sources(conf_roots()[-1:])
    assert found == {name for name, source in sources.items() if source.not_testable} != set()


def test_a_plan_can_be_made_and_a_job_composed(unpacked: Path, tmp_path: Path) -> None:
    done = python(unpacked, tmp_path, "-m", "bench_lr", "run", "--dry-run", "--profile", "smoke")
    assert done.returncode == 0, done.stderr
    assert "to train:" in done.stdout
    words = ("claim=ai_edu/best_lr_batch_16", "profile=smoke", "--cfg", "job")
    done = python(unpacked, tmp_path, "-m", "bench_lr.train", *words)
    assert done.returncode == 0, done.stderr
    assert "launcher" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_the_report_and_type_checkers_need_is_inside_and_tests_are_not(unpacked: Path) -> None:
    assert (unpacked / "bench_lr" / "py.typed").is_file()
    assert (unpacked / "bench_lr" / "report" / "templates" / "report.html.j2").is_file()
    assert {path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"} == {"bench_lr"}
