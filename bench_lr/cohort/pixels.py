"""Images that are mostly black, held by what they show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from bench_lr.data import Dataset


@dataclass(frozen=True)
class Pixels:
    """All images of a data set, the training images before the test images.

    Attributes
    ----------
    starts : array of int64, shape (images + 1,)
        Image n has the values ``starts[n]:starts[n + 1]`` of the other two.
    pixel : array of uint16
        Place in the flattened image, ascending within one.
    level : array of uint8
        What is there, 1 to 255.
    width : int
        Places in an image.
    """

    starts: npt.NDArray[np.int64]
    pixel: npt.NDArray[np.uint16]
    level: npt.NDArray[np.uint8]
    width: int

    @property
    def density(self) -> float:
        """Share of values that are not zero."""
        return len(self.pixel) / (self.width * (len(self.starts) - 1))


@lru_cache(maxsize=1)
def pixels_of(dataset: Dataset) -> Pixels | None:
    """What the images of a data set show, or None if its examples are not made of bytes."""
    parts = [dataset.train_x, dataset.test_x]
    if any(x.dtype != torch.uint8 for x in parts) or dataset.train_x[0].numel() > 1 << 16:
        return None
    from bench_lr.cohort import gather

    flat = [x.flatten(1).cpu().numpy() for x in parts]
    counts = np.concatenate([np.count_nonzero(x, axis=1) for x in flat])
    starts = np.concatenate([[0], np.cumsum(counts)])
    pixel, level = np.empty(starts[-1], np.uint16), np.empty(starts[-1], np.uint8)
    first = 0
    for images in flat:
        gather.compress(images, pixel[starts[first] :], level[starts[first] :])
        first += len(images)
    return Pixels(starts, pixel, level, flat[0].shape[1])
