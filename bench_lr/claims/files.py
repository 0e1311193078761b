"""Where configuration lies, and which claims there are."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench_lr.claims.problems import ConfigError, Problem, unknown

ENVIRONMENT = "BENCH_LR_CONF"
PLACE = "conf/claim/<source>/<slug>.yaml"
GROUPS = ("hydra", "model", "optimizer", "profile", "schedule", "source", "task", "template")
"""Groups of configuration beside claims."""


def conf_roots() -> tuple[Path, ...]:
    """Folders of configuration groups, the user's (``BENCH_LR_CONF``, a path list) first."""
    package = Path(__file__).resolve().parent.parent
    own = package.parent / "conf"
    built_in = own if (own / "config.yaml").is_file() else package / "conf"
    extra = [Path(p) for p in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if p]
    return (*extra, built_in)


def add_templates() -> None:
    """Know the templates as claims, ``template/<name>``: what can be asked of any model."""
    templates = conf_roots()[-1] / "template"
    if templates not in conf_roots():
        add_root(templates)


def add_root(folder: Path) -> None:
    """Look for configuration in a folder first, in this process and in those that it starts.

    Raises
    ------
    ConfigError
        If there is no such folder.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise ConfigError(
            [Problem("command line", "--claims-dir", f"{folder}: {found}", "a folder")]
        )
    before = os.environ.get(ENVIRONMENT, "")
    whole = str(folder.resolve())
    os.environ[ENVIRONMENT] = os.pathsep.join(filter(None, [whole, before]))


def claim_files(roots: Sequence[Path]) -> dict[str, Path]:
    """Every claim file by claim id, sorted; an earlier root hides a later one's file."""
    found: dict[str, Path] = {}
    for root in roots:
        for claim_id, path in _claims_in(root):
            found.setdefault(claim_id, path)
    return dict(sorted(found.items()))


def _claims_in(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the claims of a root, which is laid out like ``conf/`` or holds nothing but claims."""
    folder = root / "claim"
    plain = not folder.is_dir()
    for path in (root if plain else folder).glob("*/*.yaml"):
        if not (plain and path.parent.name in GROUPS):
            yield f"{path.parent.name}/{path.stem}", path
    if plain:
        # The folder itself is their source.
        for path in root.glob("*.yaml"):
            yield f"{root.resolve().name}/{path.stem}", path


def stray_files(roots: Sequence[Path]) -> dict[str, Path]:
    """Files that look like claims where or how none is read, by what would be their id, sorted."""
    found: dict[str, Path] = {}
    for root in roots:
        folder = root / "claim"
        for path in (*folder.rglob("*.yaml"), *folder.rglob("*.yml")):
            inside = path.relative_to(folder)
            if path.suffix == ".yml" or len(inside.parts) != 2:
                found.setdefault(inside.with_suffix("").as_posix(), path)
    known = claim_files(roots)
    return {name: path for name, path in sorted(found.items()) if name not in known}


def matching(globs: Iterable[str], ids: Iterable[str]) -> list[str]:
    """Ids that match any of the shell patterns, all of them without a pattern.

    Raises
    ------
    ConfigError
        If a pattern matches nothing.
    """
    patterns, known = list(globs), list(ids)
    problems = [
        unknown("command line", "claim", pattern, known)
        for pattern in patterns
        if not fnmatch.filter(known, pattern)
    ]
    if problems:
        raise ConfigError(problems)
    return [i for i in known if not patterns or any(fnmatch.fnmatch(i, p) for p in patterns)]


def group_file(roots: Sequence[Path], group: str, name: str) -> Path | None:
    """File of option `name` of a configuration group, or None."""
    for root in roots:
        path = root / group / f"{name}.yaml"
        # Where a name is no file name (too long), there is no such file.
        with contextlib.suppress(OSError, ValueError):
            if path.is_file():
                return path
    return None


def group_names(roots: Sequence[Path], group: str) -> list[str]:
    """Options of a configuration group."""
    return sorted({path.stem for root in roots for path in (root / group).glob("*.yaml")})


def display(path: Path) -> str:
    """Path as a reader would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_yaml(path: Path, problems: list[Problem]) -> Any | None:
    """Content of a YAML file as plain types (OmegaConf's dialect, interpolations resolved)."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except yaml.YAMLError as error:
        problems.append(Problem(display(path), "", " ".join(str(error).split()), "valid YAML"))
    except (OmegaConfBaseException, OSError, UnicodeDecodeError, ValueError) as error:
        text = next(iter(str(error).splitlines()), type(error).__name__)
        problems.append(Problem(display(path), "", text, "readable YAML"))
    except RecursionError:
        problems.append(Problem(display(path), "", "endless or very deep nesting", "plain YAML"))
    return None


def summaries(roots: Sequence[Path]) -> list[dict[str, Any]]:
    """Id, source, cost, title and statement of every claim, read without validation (fast)."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = []
    for claim_id, path in claim_files(roots).items():
        try:
            # Both loaders are safe ones.
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
        except (yaml.YAMLError, OSError, UnicodeDecodeError):
            content = None
        text = content if isinstance(content, dict) else {}
        row = {"id": claim_id, "source": claim_id.partition("/")[0], "file": display(path)}
        for key in ("cost", "title", "statement", "place", "source_says"):
            row[key] = " ".join(str(text.get(key, "")).split())
        rows.append(row)
    return rows
