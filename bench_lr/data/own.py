"""Data of the user's own, by the name under which Python imports it.

``package.module.Name`` is called without arguments and gives two tensors (inputs, targets), four
(the last two for the test split), or a Lightning ``LightningDataModule``. In a run's settings the
name is followed by ``@`` and a digest of the content, so that other data are other runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from bench_lr.data.files import DataError
from bench_lr.imported import ImportedError, find

if TYPE_CHECKING:
    import torch

    from bench_lr.data.loading import Dataset

TEST_SHARE = 6
"""One of so many examples is kept for the test split where nothing else says which."""
DIGITS = 16


def is_own(data: str) -> bool:
    """Whether a name of data is one that Python imports, and none of ours."""
    return "." in data


def named(data: str) -> str:
    """Return the name with the digest of the content behind it.

    Raises
    ------
    DataError
        If it cannot be had, or its content is not what the digest that is given stands for.
    """
    target, _, digest = data.partition("@")
    found = own(target).sha256[:DIGITS]
    if digest and digest != found:
        raise DataError(f"{target} has changed: its content was {digest}, and is {found}")
    return f"{target}@{found}"


@cache
def own(target: str) -> Dataset:
    """Return the data that a name stands for.

    Raises
    ------
    DataError
        If there is nothing of that name, or what it gives is no data; the message says what would
        be.
    """
    try:
        made = find(target)
        made = made() if callable(made) else made
    except ImportedError as error:
        raise DataError(str(error)) from error
    # Whatever the user's function raises is what is wrong with it.
    except Exception as error:
        raise DataError(f"{target}(): {type(error).__name__}: {error}") from error
    return _dataset(target, _parts(target, made))


def _parts(target: str, made: Any) -> tuple[torch.Tensor, ...]:
    """Inputs and targets for training, and for the test split."""
    import pytorch_lightning as pl
    import torch

    if isinstance(made, pl.LightningDataModule):
        return _of_module(target, made)
    if isinstance(made, tuple | list) and len(made) in (2, 4):
        parts = tuple(torch.as_tensor(part) for part in made)
        if len(parts) == 4:
            return parts
        x, y = parts
        cut = len(x) - max(1, len(x) // TEST_SHARE)
        return x[:cut], y[:cut], x[cut:], y[cut:]
    wanted = "two tensors (x, y), four (with the test split), or a LightningDataModule"
    raise DataError(f"{target} gives a {type(made).__name__}; wanted: {wanted}")


def _of_module(target: str, module: Any) -> tuple[torch.Tensor, ...]:
    try:
        module.prepare_data()
        module.setup("fit")
        training = [*_batches(module.train_dataloader())]
        # What it holds out is divided anew, by each run's seed.
        training += _batches(module.val_dataloader() or ())
        module.setup("test")
        test = [*_batches(module.test_dataloader() or ())]
    except Exception as error:
        raise DataError(f"{target}: {type(error).__name__}: {error}") from error
    if not training:
        raise DataError(f"{target}: its train_dataloader gives no batch")
    return (*_joined(training), *_joined(test or training[-1:]))


def _batches(loader: Iterable[Any]) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    for batch in loader:
        x, y = batch
        yield x, y


def _joined(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


def _dataset(target: str, parts: tuple[torch.Tensor, ...]) -> Dataset:
    import torch

    from bench_lr.data.loading import Dataset

    train_x, train_y, test_x, test_y = (part.detach().cpu().contiguous() for part in parts)
    for x, y, split in ((train_x, train_y, "training"), (test_x, test_y, "test")):
        if len(x) != len(y) or not len(x):
            raise DataError(f"{target}: {len(x)} inputs and {len(y)} targets for {split}")
        if x.dim() < 2:
            raise DataError(f"{target}: inputs of shape {tuple(x.shape)}; wanted: (examples, ...)")
    if train_x.shape[1:] != test_x.shape[1:]:
        shapes = f"{tuple(train_x.shape[1:])} and {tuple(test_x.shape[1:])}"
        raise DataError(f"{target}: training and test inputs of shapes {shapes}")
    if train_x.dtype != torch.uint8:
        train_x, test_x = train_x.float(), test_x.float()
        if not (torch.isfinite(train_x).all() and torch.isfinite(test_x).all()):
            raise DataError(f"{target}: inputs that are not finite")
    classes = 0
    if train_y.is_floating_point():
        train_y, test_y = (y.float().reshape(len(y), -1) for y in (train_y, test_y))
    else:
        train_y, test_y = train_y.long(), test_y.long()
        if train_y.dim() != 1:
            raise DataError(
                f"{target}: labels of shape {tuple(train_y.shape)}; wanted: (examples,)"
            )
        least = min(int(train_y.min()), int(test_y.min()))
        classes = max(int(train_y.max()), int(test_y.max())) + 1
        if least < 0 or classes < 2:
            raise DataError(f"{target}: labels from {least} to {classes - 1}; wanted: 0, 1, ...")
    digest = hashlib.sha256()
    for part in (train_x, train_y, test_x, test_y):
        digest.update(f"{part.dtype} {tuple(part.shape)}\n".encode())
        digest.update(part.numpy().tobytes())
    whole = Dataset(target, train_x, train_y, test_x, test_y, digest.hexdigest(), classes)
    return dataclasses.replace(whole, name=f"{target}@{whole.sha256[:DIGITS]}")
