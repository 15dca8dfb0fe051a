"""Where samples come from: files of arrays, images and text, scikit-learn's digits, OpenML.

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
from .fit import Spec, fit, match
from .idx import load_idx, looks_like_idx
from .images import load_images
from .normalize import Normalize
from .npy import find_npy
from .npz import load_npz
from .openml import load_openml
from .rows import Rows
from .split import split
from .text import Text, Vocabulary, load_text, windows

__all__ = [
    "MAX_BYTES",
    "DataError",
    "Dataset",
    "Normalize",
    "Rows",
    "Spec",
    "Text",
    "Vocabulary",
    "fit",
    "from_arrays",
    "load",
    "load_text",
    "match",
    "split",
    "windows",
]


def load(
    spec: str,
    target: str | None = None,
    sample: tuple[int, ...] | None = None,
    resize: bool = False,
) -> Dataset:
    """Return the dataset that ``spec`` names.

    ``digits``; the path of an ``.npz`` with x and y; ``npy:X.npy,Y.npy`` or ``npy:FOLDER``; the path of a
    ``.csv``, with ``target`` the name of its target column; the path of an IDX file of images, whose
    labels stand beside it; or two IDX files, ``IMAGES,LABELS``; ``images:FOLDER`` with a folder for each
    class, made for a network that takes ``sample``, resized to it with ``resize``;
    ``openml:NAME[:VERSION]``, perhaps with ``target``. A text is no dataset before it is cut
    into windows: see ``load_text``. Raises DataError.
    """
    kind, colon, rest = spec.partition(":")
    if target is not None and not takes_target(spec):
        raise DataError(f"--target names a column of a CSV file or of OpenML, but the data is {spec!r}")
    if resize and not (colon and kind == "images"):
        raise DataError(f"--resize is for image files, but the data is {spec!r}")
    if spec == "digits":
        return load_digits()
    if colon and kind == "npy":
        return find_npy(rest)
    if colon and kind == "images":
        return load_images(Path(rest), sample, resize)
    if colon and kind == "openml":
        return load_openml(rest, target)
    return _load_file(spec, target)


def takes_target(spec: str) -> bool:
    """Return whether the targets of a source are a column that can be named."""
    return spec.lower().endswith(".csv") or spec.startswith("openml:")


def _load_file(spec: str, target: str | None) -> Dataset:
    """Return the dataset in a file that tells by its name or content what it is."""
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


_SOURCES = (
    "digits, text:FILE, images:FOLDER, npy:X.npy,Y.npy, openml:NAME, or the path of an .npz, a .csv or "
    "an IDX file"
)
