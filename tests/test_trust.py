"""Nothing that is read can run code: no pickle of others, no shell, no download unchecked.

What ruff looks for (see pyproject.toml) is not looked for again.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_lr.data import DATASETS

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "bench_lr").rglob("*.py"))
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "joblib"}


def untrusted(source: str) -> Iterator[str]:
    """Yield what of a module could run code that it reads, or hand words to a shell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None)
            for name in [module] if module else names:
                if name.partition(".")[0] in PICKLERS:
                    yield f"line {node.lineno}: imports {name}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {it.arg: ast.unparse(it.value) for it in node.keywords}
            if called in ("torch.load", "torch.jit.load") and given.get("weights_only") != "True":
                yield f"line {node.lineno}: {called} without weights_only=True"
            if given.get("allow_pickle", "False") != "False":
                yield f"line {node.lineno}: {called} with allow_pickle"
            starts = called.startswith(("subprocess.", "Popen")) or given.get("shell") == "True"
            shell = starts and given.get("shell", "False") != "False"
            if shell or called in ("os.system", "os.popen"):
                yield f"line {node.lineno}: {called} hands words to a shell"


def test_no_module_runs_what_it_reads() -> None:
    assert len(FILES) > 100
    found = {path: list(untrusted(path.read_text(encoding="utf-8"))) for path in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.externals",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(words, shell=True)",
        "os.system(words)",
    ],
)
def test_what_is_looked_for_is_found(source: str) -> None:
    assert len(list(untrusted(source))) == 1


def test_every_file_that_may_be_fetched_has_a_checksum() -> None:
    files = [file for source in DATASETS.values() for file in source.files]
    assert len(files) > 8
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) and file.size for file in files)


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="not a checkout")
def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [
        *project["dependencies"],
        *(it for name in extras if name != "jax" for it in extras[name]),
    ]
    names = {word.partition("[")[0] for word in map(plain, asked)} - {"bench-lr"}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {plain(line) for line in lines if "==" in line}
    assert names <= pinned, names - pinned


def plain(requirement: str) -> str:
    for mark in "=<>~;, ":
        requirement = requirement.partition(mark)[0]
    return requirement.lower().replace("_", "-")
