"""Shapes and cost of a network, from its configuration alone (no torch)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from bench_lr import imported, schema

if TYPE_CHECKING:
    from bench_lr.data import Dataset

Shape = tuple[int, ...]
"""Shape of one example: (features,) or (channels, height, width)."""

EXAMPLES: dict[str, tuple[Shape, int]] = {
    "mnist": ((1, 28, 28), 10),
    "fashion_mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "synthetic": ((1, 28, 28), 10),
    "curve": ((1,), 1),
    "curve_unit": ((1,), 1),
}
"""Shape of an example and number of outputs (classes, or real numbers) of every data set."""
TRAIN_EXAMPLES = {
    "mnist": 60_000,
    "fashion_mnist": 60_000,
    "cifar10": 50_000,
    "synthetic": 2_000,
    "curve": 1_000,
    "curve_unit": 1_000,
}
"""Training examples of every data set, to be divided into train and validation."""
REAL_TARGETS = frozenset({"curve", "curve_unit"})
"""Data sets whose targets are real numbers, not classes."""


def example_of(data: str) -> tuple[Shape, int]:
    """Shape of an example of a data set, and number of outputs."""
    if data in EXAMPLES:
        return EXAMPLES[data]
    found = _own(data)
    shape = tuple(found.train_x.shape[1:])
    return shape, found.classes or int(found.train_y.shape[1])


def train_examples(data: str) -> int:
    """Training examples of a data set, to be divided into train and validation."""
    return TRAIN_EXAMPLES[data] if data in TRAIN_EXAMPLES else len(_own(data).train_x)


def has_real_targets(data: str) -> bool:
    """Whether the targets of a data set are real numbers, not classes."""
    return data in REAL_TARGETS if data in EXAMPLES else not _own(data).classes


def _own(data: str) -> Dataset:
    from bench_lr.data.own import own

    return own(data.partition("@")[0])


class ModelError(ValueError):
    """A network whose layers do not fit together."""


def walk(model: schema.ModelConfig, example: Shape) -> list[Shape]:
    """Shapes between the layers, from `example` to the output (one more than layers).

    Raises
    ------
    ModelError
        If a layer cannot take what the layer before it gives.
    """
    return _walk(model.layers, example)


def _walk(layers: Sequence[schema.Layer], example: Shape) -> list[Shape]:
    shapes = [example]
    for position, layer in enumerate(layers):
        try:
            shapes.append(_after(layer, shapes[-1]))
        except ModelError as error:
            raise ModelError(f"layer {position} ({layer.kind}): {error}") from None
    return shapes


def _after(layer: schema.Layer, shape: Shape) -> Shape:
    match layer:
        case schema.Linear():
            if len(shape) != 1:
                raise ModelError(f"needs features, got {shape}; put a flatten layer before it")
            return (layer.out_features,)
        case schema.Conv2d():
            k, s, p = layer.kernel_size, layer.stride, layer.padding
            high, wide = ((extent + 2 * p - k) // s + 1 for extent in _image(shape))
            if min(high, wide) < 1:
                raise ModelError(f"kernel {k} is larger than its input {shape}")
            return (layer.out_channels, high, wide)
        case schema.MaxPool2d():
            high, wide = (extent // layer.kernel_size for extent in _image(shape))
            if min(high, wide) < 1:
                raise ModelError(f"kernel {layer.kernel_size} is larger than its input {shape}")
            return (shape[0], high, wide)
        case schema.GlobalMaxPool():
            _image(shape)
            return shape[:1]
        case schema.Flatten():
            return (prod(shape),)
        case schema.Imported():
            try:
                return imported.output_shape(layer.target, shape)
            except imported.ImportedError as error:
                raise ModelError(str(error)) from error
        case schema.Residual():
            inner = _walk(layer.layers, shape)[-1]
            if inner != shape:
                raise ModelError(f"its layers turn {shape} into {inner}; they must keep the shape")
    return shape


def _image(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ModelError(f"needs (channels, height, width), got {shape}")
    return shape[1:]


def every_layer(layers: Sequence[schema.Layer]) -> Iterator[schema.Layer]:
    """Yield the layers in order, those inside residual blocks after their block."""
    for layer in layers:
        yield layer
        if isinstance(layer, schema.Residual):
            yield from every_layer(layer.layers)


def _matrices(
    layers: Sequence[schema.Layer], example: Shape
) -> Iterator[tuple[int, int, int, int]]:
    """Yield inputs, outputs, outputs with a bias, and uses an example, of every weight matrix."""
    shapes = _walk(layers, example)
    for layer, before, after in zip(layers, shapes, shapes[1:], strict=False):
        match layer:
            case schema.Residual():
                yield from _matrices(layer.layers, before)
            case schema.Linear():
                yield before[0], after[0], after[0] * layer.bias, 1
            case schema.Conv2d():
                inputs, places = before[0] * layer.kernel_size**2, prod(after[1:])
                yield inputs, after[0], after[0] * layer.bias, places


def weights(model: schema.ModelConfig, example: Shape) -> int:
    """Number of weights of the linear and convolutional layers, biases included."""
    matrices = _matrices(model.layers, example)
    own = sum(imported.parameters(*it) for it in _imported(model, example))
    return own + sum(inputs * outputs + biases for inputs, outputs, biases, _ in matrices)


def flops_per_example(model: schema.ModelConfig, example: Shape) -> float:
    """Floating-point operations of a training step per example (a multiply-add is 2).

    Forward, weight gradient and input gradient of every layer with a weight matrix; the first such
    layer needs no input gradient.
    """
    products = [2.0 * i * o * places for i, o, _, places in _matrices(model.layers, example)]
    own = sum(imported.flops(*it) for it in _imported(model, example))
    return 3 * (sum(products) + own) - sum(products[:1])


def _imported(model: schema.ModelConfig, example: Shape) -> Iterator[tuple[str, Shape]]:
    """Yield the imported networks among the layers, with the shape that each is given."""
    for layer, shape in zip(model.layers, walk(model, example), strict=False):
        if isinstance(layer, schema.Imported):
            yield layer.target, shape
