"""Two .npy files, mapped into memory: arrays may be larger than it."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.reading import reading

from .dataset import Dataset, check_size, from_arrays, require_finite
from .errors import DataError, require_file
from .npz import read_header
from .rows import Rows, mapped


def load_npy(x: Path, y: Path | None) -> Dataset:
    """Return the dataset of two files, ``x`` ``[n, ...]`` and ``y`` ``[n, ...]``; zeros without ``y``.

    ``x`` stays on disk and is read batch by batch: uint8 becomes float32 with 255 as 1, other integers
    float64, as in an .npz file. It is read through once, to see that all its numbers are finite, unless
    it holds integers. ``y`` is read whole. Raises DataError for a file that is damaged, holds Python
    objects, or, in the case of ``y``, is too large.
    """
    samples = _map(x)
    targets = np.zeros(len(samples), np.int64) if y is None else _map(y)
    check_size(targets.shape, max(8, targets.dtype.itemsize), f"the targets in {y}")
    if len(samples) != len(targets):
        raise DataError(
            f"{x} holds {len(samples)} samples, but {y} {len(targets)} targets; each sample needs one target"
        )
    # One sample stands for the others, so that types are judged in one place.
    kind = from_arrays(np.zeros((len(targets), 1), samples.dtype), np.array(targets), str(x))
    rows = _rows(samples)
    if samples.dtype.kind == "f":
        require_finite(rows, f"the samples of {x}")
    return replace(kind, x=rows)


def find_npy(spec: str, labelled: bool = True) -> Dataset:
    """Return the dataset that ``X.npy,Y.npy`` names, or a folder with x.npy and y.npy.

    Unless ``labelled``, the first alone is read, and may be named alone.
    """
    if Path(spec).is_dir():
        return load_npy(Path(spec, "x.npy"), Path(spec, "y.npy") if labelled else None)
    x, comma, y = spec.partition(",")
    if not labelled and x:
        return load_npy(Path(x), None)
    if not (x and comma and y):
        raise DataError(
            f"npy:{spec} names no data: expected npy:X.npy,Y.npy, or a folder that holds x.npy and y.npy"
        )
    return load_npy(Path(x), Path(y))


def _rows(array: NDArray[Any]) -> Rows:
    """Return the rows of a mapped array as floats, scaled where they are bytes."""
    rows, shape = mapped(array), array.shape[1:]
    if array.dtype == np.uint8:
        return rows.map(lambda block: block.astype(np.float32) / np.float32(255), shape, np.float32)
    if array.dtype.kind == "f" and array.dtype.isnative and array.dtype.itemsize >= 4:
        return rows
    wanted = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
    return rows.map(lambda block: block.astype(wanted), shape, wanted)


def _map(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file, mapped, after its header agrees with the file's size."""
    size = require_file(path)
    with reading(path, "a whole .npy file", DataError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Python 2 wrote
        with path.open("rb") as stream:
            shape, dtype, header = read_header(stream, str(path))
        if dtype.hasobject:
            raise DataError(f"{path} holds Python objects; save plain numbers instead")
        if not shape:
            raise DataError(f"{path} holds a single number; the first axis must count the samples")
        expected = math.prod(shape) * dtype.itemsize
        if min(shape) < 0 or expected + header != size:
            raise DataError(
                f"{path} is damaged: an array of shape {shape} and type {dtype} needs {expected} bytes, "
                f"found {size - header}"
            )
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
