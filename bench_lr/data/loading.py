"""A data set as tensors."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_lr.data.catalogue import DATASETS, Source
from bench_lr.data.files import DataError, acquire, data_dir

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, whole, in memory.

    Parameters
    ----------
    name
        Its name in the table.
    train_x, test_x
        Images, ``uint8 [examples, channels, height, width]``, values 0 to 255, or points,
        ``float32 [examples, features]``.
    train_y, test_y
        Labels, ``int64 [examples]``, or targets, ``float32 [examples, outputs]``.
    sha256
        One digest for provenance: of the files' digests, or of a generated set's bytes.
    classes
        How many labels there are; 0 where targets are real numbers.
    """

    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    sha256: str
    classes: int

    @property
    def scale(self) -> float:
        """What networks see the inputs times: 1 / 255 for pixels."""
        return 1.0 if self.train_x.is_floating_point() else 1 / 255


def find(name: str) -> Source:
    """Return the row of the table with this name.

    Raises
    ------
    DataError
        If there is none; the message has the names there are and the nearest.
    """
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DataError(f"unknown data set {name!r}, there are {', '.join(sorted(DATASETS))}{hint}")


def load(name: str) -> Dataset:
    """Load a data set from `data_dir`, fetching what is missing.

    Every file is checked against its pinned SHA-256 at each load.

    Parameters
    ----------
    name
        A key of `DATASETS`, or a name that Python imports; see `bench_lr.data.own`.

    Raises
    ------
    DataError
        If the name is unknown, or a file cannot be had with the right content.
    """
    import torch

    from bench_lr.data.own import is_own, named, own

    if is_own(name):
        return own(named(name).partition("@")[0])
    source = find(name)
    files = acquire(source, data_dir())
    arrays = source.decode({f.file.name: f.content for f in files})
    digest = hashlib.sha256()
    if files:
        for f in files:
            digest.update(f"{f.file.name} {f.file.sha256}\n".encode())
    else:
        for array in arrays:
            digest.update(array.tobytes())
    return Dataset(
        name=name,
        train_x=torch.from_numpy(arrays.train_x),
        train_y=torch.from_numpy(arrays.train_y),
        test_x=torch.from_numpy(arrays.test_x),
        test_y=torch.from_numpy(arrays.test_y),
        sha256=digest.hexdigest(),
        classes=source.classes,
    )
