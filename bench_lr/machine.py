"""What a machine has that training needs, and what the profiles would take on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench_lr import cluster
from bench_lr.provenance import cores, processor
from bench_lr.store import Store, StoreError

State = Literal["ok", "note", "broken"]
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy", "pandas", "matplotlib", "seaborn")
LITTLE_DISK = 2 << 30
LITTLE_MEMORY = 4 << 30


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at; `broken` is what no run can do without."""

    name: str
    value: str
    state: State = "ok"
    advice: str = ""


@dataclass(frozen=True)
class Cost:
    """What all claims of a profile take here.

    Attributes
    ----------
    runs, stored : int
        Distinct runs that the claims want, and those of them that the store has.
    seconds : float
        Estimated time until the rest is trained.
    """

    profile: str
    claims: int
    runs: int
    stored: int
    seconds: float
    time: str


def facts(store: Path, out: Path) -> list[Fact]:
    """Look at this machine; `store` and `out` are where results and reports would go."""
    return [
        *_packages(),
        *_processors(),
        *_data(),
        _folder("store", store, "--store"),
        _folder("reports", out, "--out"),
        _slurm(),
    ]


def _packages() -> Iterator[Fact]:
    from bench_lr import __version__
    from bench_lr.claims.files import claim_files, conf_roots

    python = f"bench-lr {__version__}, Python {platform.python_version()}, {platform.system()}"
    yield Fact("version", python)
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Fact("packages", f"{name} is not installed", "broken", f"pip install {name}")
    yield Fact("packages", ", ".join(versions))
    roots = conf_roots()
    places = ", ".join(map(str, roots))
    yield Fact("claims", f"{len(claim_files(roots))} in {places}")


def _processors() -> Iterator[Fact]:
    import torch

    threads = os.environ.get("OMP_NUM_THREADS")
    limit = f", OMP_NUM_THREADS={threads}" if threads else ""
    yield Fact("processor", f"{processor()}, {cores()} cores for this process{limit}")
    memory = _memory()
    if memory is not None:
        free, total = memory
        words = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        few = free < LITTLE_MEMORY
        advice = "cohorts may have to train by halves: close something" if few else ""
        yield Fact("memory", words, "note" if few else "ok", advice)
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            of = torch.cuda.get_device_properties(index)
            yield Fact("GPU", f"{of.name}, {of.total_memory / 2**30:.0f} GiB")
    else:
        built = torch.version.cuda
        found = "none" if built is None else f"none that PyTorch (for CUDA {built}) can use"
        yield Fact("GPU", f"{found}; runs train on the processor", "note")


def _memory() -> tuple[int, int] | None:
    """Free and total memory in bytes, where the system says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        said = {line.partition(":")[0]: 1024 * int(line.split()[1]) for line in lines}
        return said["MemAvailable"], said["MemTotal"]
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _data() -> Iterator[Fact]:
    from bench_lr.data import DATASETS, data_dir

    folder = data_dir()
    for source in DATASETS.values():
        if not source.files:
            continue
        sizes = {file.name: file.size for file in source.files}
        there = [name for name in sizes if _is_there(folder, source.folders, name)]
        if len(there) == len(sizes):
            yield Fact(f"data {source.name}", f"{len(sizes)} files in {folder}")
        else:
            words = f"{len(there)} of {len(sizes)} files in {folder}"
            advice = "fetched when a claim needs it; make data does it now"
            yield Fact(f"data {source.name}", words, "note", advice)


def _is_there(folder: Path, places: tuple[str, ...], name: str) -> bool:
    return any(
        (folder / place / file).is_file() for place in places for file in (name, f"{name}.gz")
    )


def _folder(name: str, path: Path, option: str) -> Fact:
    """Whether a folder can be written, and how much fits."""
    path = path.absolute()
    # What is not there is not made, but what is above it has to be writable.
    nearest = next(it for it in (path, *path.parents) if it.exists())
    free = shutil.disk_usage(nearest).free
    words = f"{path}, {free / 2**30:.1f} GiB free"
    try:
        if nearest == path and path.is_dir():
            Store(path).check_writable()
        elif not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise StoreError(f"{nearest} cannot be written")
    except StoreError as error:
        return Fact(name, words, "broken", f"{error}; choose another with {option}")
    if free < LITTLE_DISK:
        return Fact(name, words, "note", "little room: results of 90 claims take 0.5 GB")
    return Fact(name, words)


def _slurm() -> Fact:
    lacking = [program for program in cluster.PROGRAMS if shutil.which(program) is None]
    if lacking:
        return Fact("SLURM", f"no {', '.join(lacking)}", "note")
    try:
        importlib.metadata.version("hydra-submitit-launcher")
    except importlib.metadata.PackageNotFoundError:
        advice = "pip install 'bench-lr[slurm]' for --launcher slurm"
        return Fact("SLURM", "there, without its launcher", "note", advice)
    return Fact("SLURM", "there: --launcher slurm")


def estimates(store: Path) -> list[Cost]:
    """Estimate what each profile that judges would take here, all cores at work."""
    from bench_lr.claims import conf_roots, load_claims, load_profile
    from bench_lr.claims.files import group_names
    from bench_lr.plan import make_plan, runs_on_cpu
    from bench_lr.record_index import FIDELITY
    from bench_lr.report.sections import duration

    found = []
    names = [name for name in FIDELITY if name in group_names(conf_roots(), "profile")]
    for name in names:
        profile = load_profile(name)
        claims = [claim for claim in load_claims(profile=profile) if not claim.out_of_profile]
        plan = make_plan(claims, Store(store), runs_on_cpu, cores())
        seconds = plan.makespan(cores())
        words = duration(seconds) if plan.jobs else "nothing to train"
        found.append(Cost(name, len(claims), plan.distinct, plan.stored, seconds, words))
    return found
