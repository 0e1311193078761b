"""From verified bytes to arrays: one function per file format."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Arrays(NamedTuple):
    """A data set as NumPy arrays.

    Images are ``uint8 [examples, channels, height, width]`` with labels ``int64 [examples]``;
    points are ``float32 [examples, features]`` with targets ``float32 [examples, outputs]``.
    """

    train_x: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    train_y: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    test_x: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    test_y: npt.NDArray[np.int64] | npt.NDArray[np.float32]


def idx(files: Mapping[str, bytes]) -> Arrays:
    """Read the four IDX files of MNIST, or of a data set laid out like it.

    The format (http://yann.lecun.com/exdb/mnist, "file format"): two zero bytes, the element
    type (8 = unsigned byte), the number of dimensions, each dimension as a big-endian
    32-bit integer, then the elements in row-major order.

    Raises
    ------
    ValueError
        If a file is not in this format.
    """
    import numpy as np

    def read(name: str, dims: int) -> npt.NDArray[np.uint8]:
        content = files[name]
        header = 4 + 4 * dims
        if len(content) < header or content[:4] != bytes([0, 0, 8, dims]):
            raise ValueError(f"{name} is not an IDX file of {dims}-d unsigned bytes")
        shape = struct.unpack(f">{dims}I", content[4:header])
        if len(content) != header + math.prod(shape):
            raise ValueError(f"{name} has {len(content)} bytes, but its header says {shape}")
        # A copy: torch needs memory it may write to.
        return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()

    return Arrays(
        train_x=read("train-images-idx3-ubyte", 3)[:, None],
        train_y=read("train-labels-idx1-ubyte", 1).astype(np.int64),
        test_x=read("t10k-images-idx3-ubyte", 3)[:, None],
        test_y=read("t10k-labels-idx1-ubyte", 1).astype(np.int64),
    )


def synthetic(files: Mapping[str, bytes]) -> Arrays:
    """Generate 2000 training and 500 test images, 28 x 28, of ten separable classes.

    For tests and the smoke profile: needs no files and no network. Class ``k`` is a bright
    blob at the ``k``-th place of a 2 x 5 grid, moved by up to 2 pixels each way, under uniform
    noise; classes are balanced and interleaved, so that any prefix is nearly balanced.

    The only randomness is the raw 64-bit stream of Philox, which NumPy promises never to
    change (its distributions carry no such promise), and the arithmetic is all integer, so
    the bytes are the same on every machine and version.
    """
    import numpy as np

    examples, train, side, radius = 2500, 2000, 28, 6
    philox = np.random.Philox(key=20260101)

    labels = np.arange(examples, dtype=np.int64) % 10
    jitter = (philox.random_raw(2 * examples) % np.uint64(5)).astype(np.int64) - 2
    centre_row = 9 + 10 * (labels // 5) + jitter[:examples]
    centre_col = 4 + 5 * (labels % 5) + jitter[examples:]

    pixel = np.arange(side)
    row_distance = (pixel[None, :] - centre_row[:, None]) ** 2
    col_distance = (pixel[None, :] - centre_col[:, None]) ** 2
    distance = row_distance[:, :, None] + col_distance[:, None, :]
    blob = 191 * np.maximum(radius**2 - distance, 0) // radius**2
    words = philox.random_raw(examples * side * side // 8).astype("<u8")
    noise = words.view(np.uint8).reshape(examples, side, side) % 64
    images = (blob + noise).astype(np.uint8)[:, None]
    return Arrays(images[:train], labels[:train], images[train:], labels[train:])


def curve(files: Mapping[str, bytes]) -> Arrays:
    """Generate 1000 training and 1000 test points of a curve with noise.

    x is uniform on [0, 1) and y = 0.4 x² + 0.3 x sin 15x + 0.01 cos 50x - 0.3 + U(-0.05, 0.05):
    the regression example of the ai_edu course, whose own file of points is not needed to ask its
    questions. The uniform numbers come from the raw stream of Philox, as in `synthetic`.
    """
    import numpy as np

    train = 1000
    words = np.random.Philox(key=20260102).random_raw(4 * train) >> np.uint64(11)
    uniform = words.astype(np.float64) * 2.0**-53
    x, noise = uniform[: 2 * train], uniform[2 * train :] * 0.1 - 0.05
    y = 0.4 * x**2 + 0.3 * x * np.sin(15 * x) + 0.01 * np.cos(50 * x) - 0.3 + noise
    points, targets = (values.astype(np.float32)[:, None] for values in (x, y))
    return Arrays(points[:train], targets[:train], points[train:], targets[train:])
