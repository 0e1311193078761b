"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for anything but the whole content.

    Temporary file in the same folder, sync, rename.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is still whole.
    """
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as stream:
        try:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            # Temporary files are private; these folders are often shared.
            os.chmod(stream.name, 0o644)
            os.replace(stream.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(stream.name)
            raise
