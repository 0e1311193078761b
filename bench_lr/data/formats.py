"""From verified bytes to arrays: one function per file format."""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

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


CIFAR_IMAGES = 10_000
"""Images of one file of CIFAR-10."""


def cifar_batches(files: Mapping[str, bytes]) -> Arrays:
    """Read the six files of CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html).

    An image is 3073 bytes: its label, then the red, the green and the blue values, row by row.

    Raises
    ------
    ValueError
        If a file is not in this format.
    """
    import numpy as np

    def read(names: list[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        for name in names:
            if len(files[name]) % 3073:
                raise ValueError(f"{name} has {len(files[name])} bytes, not 3073 an image")
        rows = np.frombuffer(b"".join(files[name] for name in names), np.uint8).reshape(-1, 3073)
        return rows[:, 1:].reshape(-1, 3, 32, 32).copy(), rows[:, 0].astype(np.int64)

    train_x, train_y = read([f"data_batch_{number}.bin" for number in range(1, 6)])
    test_x, test_y = read(["test_batch.bin"])
    return Arrays(train_x, train_y, test_x, test_y)


def cifar_batch_of_png(name: str, files: Mapping[str, bytes]) -> bytes:
    """Make a file of CIFAR-10's binary version from one picture of all its images.

    The picture has an image a row, 1024 RGB pixels; the labels are a JSON list of all training or
    all test images. Pillow decodes it.

    Raises
    ------
    ValueError
        If picture or labels are not of this kind.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    stem = name.removesuffix(".bin")
    labels_of, first = "test_lables.json", 0  # spelt so
    if stem != "test_batch":
        labels_of, first = "train_lables.json", CIFAR_IMAGES * (int(stem[-1]) - 1)
    labels = json.loads(files[labels_of])[first : first + CIFAR_IMAGES]
    try:
        with Image.open(io.BytesIO(files[f"{stem}.png"]), formats=["PNG"]) as picture:
            pixels = np.asarray(picture)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(str(error)) from error
    if pixels.shape != (CIFAR_IMAGES, 1024, 3) or len(labels) != CIFAR_IMAGES:
        raise ValueError(f"{len(labels)} labels and a picture of shape {pixels.shape}")
    rows = np.empty((CIFAR_IMAGES, 3073), np.uint8)
    rows[:, 0] = labels
    rows[:, 1:] = pixels.transpose(0, 2, 1).reshape(CIFAR_IMAGES, 3072)
    return rows.tobytes()


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


def curve_unit(files: Mapping[str, bytes]) -> Arrays:
    """Return the points of `curve`, inputs and targets mapped to [0, 1] (min-max normalisation).

    Smallest and largest value are those of the training points; test points may lie a little
    outside.
    """
    import numpy as np

    raw = curve(files)

    def unit(values: npt.NDArray[Any], train: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        low, high = float(train.min()), float(train.max())
        scaled: npt.NDArray[np.float32] = ((values.astype(np.float64) - low) / (high - low)).astype(
            np.float32
        )
        return scaled

    return Arrays(
        train_x=unit(raw.train_x, raw.train_x),
        train_y=unit(raw.train_y, raw.train_y),
        test_x=unit(raw.test_x, raw.train_x),
        test_y=unit(raw.test_y, raw.train_y),
    )
