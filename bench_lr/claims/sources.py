"""The documents that make the claims: what each is, and what it says that no run can decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_lr.claims.files import conf_roots, display, read_yaml
from bench_lr.claims.problems import ConfigError, Problem, parse
from bench_lr.schema import Text


@dataclass(frozen=True)
class NotTestable:
    """A statement that no run can decide, in our words, where it stands, and why."""

    statement: Text
    place: Text
    reason: Text


@dataclass(frozen=True)
class Source:
    """The content of ``conf/source/<source>.yaml``."""

    title: Text
    kind: Text
    place: Text
    not_testable: tuple[NotTestable, ...] = ()


def source_files(roots: Sequence[Path]) -> dict[str, Path]:
    """Every source file by the source's name, sorted; an earlier root hides a later one's file."""
    found: dict[str, Path] = {}
    for root in roots:
        for path in (root / "source").glob("*.yaml"):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load_sources(roots: Sequence[Path] | None = None) -> dict[str, Source]:
    """Load every source that has a file, by name.

    A source without one (a user's own claims, say) is one without title.

    Raises
    ------
    ConfigError
        With every mistake of every file.
    """
    problems: list[Problem] = []
    found: dict[str, Source] = {}
    for name, path in source_files(roots or conf_roots()).items():
        before = len(problems)
        content = read_yaml(path, problems)
        if len(problems) > before:
            continue
        source = parse(Source, content, display(path), "", problems)
        if isinstance(source, Source):
            problems += _twice(source, display(path))
            found[name] = source
    if problems:
        raise ConfigError(problems)
    return found


def _twice(source: Source, file: str) -> Iterator[Problem]:
    """Statements that stand in a file more than once."""
    seen: set[str] = set()
    for position, item in enumerate(source.not_testable):
        if item.statement in seen:
            key = f"not_testable.{position}.statement"
            yield Problem(file, key, "the same statement again", "each statement once")
        seen.add(item.statement)


def wholly_shown(
    sources: Mapping[str, Source], shown: Iterable[str], known: Iterable[str]
) -> dict[str, Source]:
    """Sources all of whose claims are shown; those without claims where every claim is.

    What a source says that cannot be tested is told where the source is told as a whole.

    Parameters
    ----------
    shown, known : iterable of str
        Ids of the claims that are shown, and of all there are.
    """
    everything = set(known)
    hidden = {claim.partition("/")[0] for claim in everything - set(shown)}
    empty = sources.keys() - {claim.partition("/")[0] for claim in everything}
    left_out = hidden | (empty if hidden else set())
    return {name: source for name, source in sources.items() if name not in left_out}
