"""Where samples come from: scikit-learn's digits, .npz, CSV and IDX files.

>>> from pjc.runtime.data import load, split
>>> rest, test = split(load("digits"), 0.2, "test")
>>> len(rest), len(test)
(1438, 359)
"""

from __future__ import annotations

from pathlib import Path

from .csv_file import load_csv
from .dataset import MAX_BYTES, DataError, Dataset, from_arrays, require_file
from .digits import load_digits
from .fit import Spec, Standardize, fit, match
from .idx import load_idx, looks_like_idx
from .npz import load_npz
from .split import split

__all__ = [
    "MAX_BYTES",
    "DataError",
    "Dataset",
    "Spec",
    "Standardize",
    "fit",
    "from_arrays",
    "load",
    "match",
    "split",
]


def load(spec: str, target: str | None = None) -> Dataset:
    """Return the dataset that ``spec`` names.

    ``digits``; the path of an ``.npz`` with x and y; the path of a ``.csv``, with ``target`` the
    name of its target column; the path of an IDX file of images, whose labels stand beside it; or
    two IDX files, ``IMAGES,LABELS``. Raises DataError.
    """
    if not spec.lower().endswith(".csv") and target is not None:
        raise DataError(f"--target names a column of a CSV file, but the data is {spec!r}")
    if spec == "digits":
        return load_digits()
    path = Path(spec)
    if path.suffix.lower() == ".npz":
        return load_npz(path)
    if path.suffix.lower() == ".csv":
        return load_csv(path, target)
    if "," in spec and not path.exists():
        images, _, labels = spec.partition(",")
        return load_idx(Path(images), Path(labels))
    if not path.exists() and path.name == spec and not path.suffix:
        raise DataError(f"there is no data called {spec!r}: expected {_SOURCES}")
    require_file(path)
    if looks_like_idx(path):
        return load_idx(path)
    raise DataError(f"{spec} is no data that pjc reads: expected {_SOURCES}")


_SOURCES = "digits, or the path of an .npz, a .csv or an IDX file"
