"""The data sets, verified by SHA-256 whatever the way they came.

>>> from bench_lr.data import load
>>> load("synthetic").train_x.shape
torch.Size([2000, 1, 28, 28])

A new data set is a row in `bench_lr.data.catalogue` and, if its files are in a format not
yet read, one function in `bench_lr.data.formats`.
"""

from bench_lr.data.catalogue import DATASETS
from bench_lr.data.files import DataError, data_dir
from bench_lr.data.loading import Dataset, load

__all__ = ["DATASETS", "DataError", "Dataset", "data_dir", "load"]
