"""Finding, checking and fetching the files of a data set.

The bytes that are hashed are the bytes that are handed on, so a file cannot change between
its check and its use.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.atomic import write_atomically
from bench_lr.data.routes import Route, RouteError

if TYPE_CHECKING:
    from bench_lr.data.catalogue import DataFile, Source

log = logging.getLogger(__name__)

LOCK_SECONDS = 600


class DataError(Exception):
    """A data set cannot be had; the message says what to do about it."""


@dataclass(frozen=True)
class Verified:
    """The decompressed content of one file, its SHA-256 checked.

    Parameters
    ----------
    file
        The row of the table.
    content
        Decompressed bytes.
    path
        Where they lie on disk.
    route
        Label of the route they were fetched by; ``"cached"`` if they were there already.
    """

    file: DataFile
    content: bytes
    path: Path
    route: str


@dataclass(frozen=True)
class Rejected:
    """A file that is there and is not what it should be."""

    file: DataFile
    where: str
    found: str

    def __str__(self) -> str:
        return (
            f"{self.where}: wrong content for {self.file.name}, not used\n"
            f"    expected SHA-256 {self.file.sha256} ({self.file.size} bytes)\n"
            f"    found    {self.found}"
        )


def data_dir() -> Path:
    """Return the folder that holds the data sets; it need not exist.

    ``BENCH_LR_DATA`` if set, else ``data/`` in the checkout, else (for an installed wheel)
    the user's cache folder.
    """
    chosen = os.environ.get("BENCH_LR_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        return root / "data"
    import platformdirs

    return Path(platformdirs.user_cache_dir("bench-lr", appauthor=False))


def acquire(source: Source, folder: Path) -> list[Verified]:
    """Return every file of a data set, from the folder or else from the first route that has it.

    Safe to call from many processes at once: one fetches, the others wait and read.

    Parameters
    ----------
    source
        The data set.
    folder
        The data folder. Files in it may be plain or ``.gz``; they are never changed, but for
        those under ``folder / source.folders[0]``, which are replaced if their content is wrong.

    Raises
    ------
    DataError
        If a file is in no folder and comes by no route with the right checksum, or cannot be
        written. Every such file is named, with what to put where.
    """
    found, _ = _search(source, folder)
    if len(found) < len(source.files):
        home = folder / source.folders[0]
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(home, error) from error
        with _lock(home / ".lock"):
            found, rejected = _search(source, folder)
            for refusal in rejected:
                log.warning("%s", refusal)
            missing = [f for f in source.files if f.name not in found]
            if missing:
                log.info("fetching %s into %s", source.name, home)
                fetched, failures = _fetch(missing, source.routes, home)
                found |= fetched
                if len(found) < len(source.files):
                    lost = [f for f in missing if f.name not in fetched]
                    raise DataError(_advice(source, home, lost, rejected, failures))
    return [found[f.name] for f in source.files]


def _search(source: Source, folder: Path) -> tuple[dict[str, Verified], list[Rejected]]:
    """Look for each file in the source's folders; also return what was refused, if none will do."""
    found: dict[str, Verified] = {}
    rejected: list[Rejected] = []
    for file in source.files:
        refused: list[Rejected] = []
        for path in _candidates(source, file, folder):
            try:
                content = _check(file, path.read_bytes(), str(path))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                content = Rejected(file, str(path), f"an unreadable file: {error}")
            if not isinstance(content, Rejected):
                found[file.name] = Verified(file, content, path, "cached")
                break
            refused.append(content)
        else:
            rejected += refused
    return found, rejected


def _candidates(source: Source, file: DataFile, folder: Path) -> Iterator[Path]:
    for place in source.folders:
        yield folder / place / file.name
        yield folder / place / f"{file.name}.gz"


def _fetch(
    missing: Sequence[DataFile], routes: Sequence[Route], home: Path
) -> tuple[dict[str, Verified], list[str]]:
    """Try each route once, in order, for what is still missing; also return what went wrong."""
    fetched: dict[str, Verified] = {}
    failures: list[str] = []
    by_name = {f.name: f for f in missing}
    for route in routes:
        wanted = [name for name in by_name if name not in fetched]
        if not wanted:
            break
        try:
            for name, raw in route.fetch(wanted):
                content = _check(by_name[name], raw, route.label)
                if isinstance(content, Rejected):
                    log.warning("%s", content)
                    failures.append(str(content))
                    continue
                path = home / name
                try:
                    write_atomically(path, content)
                except OSError as error:
                    raise _cannot_write(path, error) from error
                fetched[name] = Verified(by_name[name], content, path, route.label)
        except RouteError as error:
            log.info("%s: %s", route.label, error)
            failures.append(f"{route.label}: {error}")
        else:
            lacking = [n for n in wanted if n not in fetched]
            if lacking:
                failures.append(f"{route.label}: did not give {', '.join(lacking)}")
    return fetched, failures


def _check(file: DataFile, raw: bytes, where: str) -> bytes | Rejected:
    """Decompress if need be, and compare with the table."""
    content, trouble = raw, ""
    if raw[:2] == b"\x1f\x8b":
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            # One byte more than there should be tells too long from right.
            content = unzip.decompress(raw, file.size + 1)
        except zlib.error as error:
            trouble = f"a damaged gzip file ({error}), "
        else:
            if len(content) > file.size:
                trouble = f"a gzip file of more than {file.size} bytes, "
            elif not unzip.eof:
                trouble = "a truncated gzip file, "
    digest = hashlib.sha256(raw if trouble else content).hexdigest()
    if digest != file.sha256:
        length = len(raw if trouble else content)
        return Rejected(file, where, f"{trouble}SHA-256 {digest} ({length} bytes)")
    return content


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process fetch at a time.

    The lock only spares work: files are written atomically, so where locks fail (some
    network file systems) or are never released, going on without one is safe.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except (filelock.Timeout, OSError, NotImplementedError) as error:
        log.warning("going on without the lock %s: %s", path, error)
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write {path}: {error.strerror or error}\n"
        f"Set BENCH_LR_DATA to a folder that has the files or can be written to."
    )


def _advice(
    source: Source,
    home: Path,
    lost: Sequence[DataFile],
    rejected: Sequence[Rejected],
    failures: Sequence[str],
) -> str:
    lines = [f"the data set {source.name!r} is not complete, and fetching it failed"]
    lost_names = {f.name for f in lost}
    lines += [f"  {refusal}" for refusal in rejected if refusal.file.name in lost_names]
    lines += ["tried:"] + [f"  {failure}" for failure in failures] if failures else []
    lines += [f"To go on, put these files, plain or as .gz, into {home}", ""]
    lines += [f"  {home / f.name}\n    SHA-256 {f.sha256} (decompressed)" for f in lost]
    lines += ["", "or set BENCH_LR_DATA to a folder that has them."]
    return "\n".join(lines)
