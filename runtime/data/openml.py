"""Data sets of OpenML by their names, which scikit-learn fetches and keeps."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pjc.numerals import is_whole
from pjc.reading import reading, reason

from .columns import typed_targets
from .dataset import Dataset, from_arrays
from .errors import DataError
from .missing import Lack, kept
from .parts import MISSING


def load_openml(spec: str, target: str | None = None, missing: str = MISSING[0]) -> Dataset:
    """Return the data set ``NAME`` or ``NAME:VERSION``, of the active version if none is given.

    ``target`` names the column of the targets, by default the data set's own. Targets are read as those of
    a CSV file are, and names in other columns are numbered as OpenML lists them. ``missing`` is one of
    MISSING. Raises DataError without a network, for an unknown name, and for values that are missing.
    """
    name, _, version = spec.partition(":")
    if not name or (version and not is_whole(version)):
        raise DataError(f"openml:{spec} names no data set: expected openml:NAME or openml:NAME:VERSION")
    with reading(f"openml:{spec}", "a table of OpenML", DataError):
        table = _fetch(name, int(version) if version else "active", target or "default-target")
        return _dataset(table, spec, missing)


def say_download(name: str, spec: str, size: str) -> None:
    """Say on standard error how much is about to be fetched, unless scikit-learn has something of it.

    ``size`` is of the text that OpenML has; on the way it may be compressed.
    """
    from sklearn.datasets import get_data_home

    fetched = Path(get_data_home(), "openml").rglob(spec.partition(":")[0])
    # A fetch that failed leaves folders without a file.
    if not any(each.is_file() for folder in fetched for each in (folder, *folder.rglob("*"))):
        print(f"{name} is fetched from OpenML, once: up to {size}", file=sys.stderr, flush=True)


def as_images(data: Dataset, name: str, shape: tuple[int, ...], size: tuple[int, int]) -> Dataset:
    """Return samples that are bytes as images of ``shape``, with 255 as 1.

    ``size`` is how many there should be, and how many of these, the last, are the test part: where there
    are as many, they are. Raises DataError where samples are no such images.
    """
    x = np.asarray(data.x)
    if x.shape[1:] != (math.prod(shape),) or x.min() < 0 or x.max() > 255 or not (x == np.floor(x)).all():
        raise DataError(
            f"what OpenML has as {name} has samples of shape {list(x.shape[1:])}; expected "
            f"{math.prod(shape)} whole numbers from 0 to 255"
        )
    images = from_arrays(x.astype(np.uint8).reshape(-1, *shape), np.zeros(len(x), np.int64), name)
    own_test = size[1] if len(x) == size[0] else 0
    return replace(data, x=images.x, name=name, columns=(), from_bytes=True, own_test=own_test)


def _dataset(table: Any, spec: str, missing: str) -> Dataset:
    """Return what a table of scikit-learn's holds."""
    if table.target is None or np.ndim(table.target) != 1:
        raise DataError(f"openml:{spec} has no single target; name its column with --target")
    if hasattr(table.data, "toarray"):
        raise DataError(f"openml:{spec} is a sparse table, which is not read; save it as .npz instead")
    columns = tuple(str(column) for column in table.feature_names)
    targets = np.asarray(table.target)
    lacking = np.array([value is None or value != value for value in targets.tolist()], bool)
    try:
        data = np.asarray(table.data, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"openml:{spec} has features that are no numbers: {error}") from None
    lacks = [Lack(f"column {name!r}", np.isnan(data[:, at])) for at, name in enumerate(columns)]
    lacks.append(Lack("the target", lacking, filled=False))
    rows, said = kept(lacks, None, missing, f"openml:{spec}")
    if rows is not None:
        data, targets = data[rows], targets[rows]
    if targets.dtype.kind not in "biuf":
        targets = typed_targets([str(value) for value in targets])
    made = from_arrays(np.zeros((len(targets), 1)), targets, f"openml:{spec}")
    return replace(made, x=data, columns=columns, lacks=bool(np.isnan(data).any()), remarks=tuple(said))


def _fetch(name: str, version: int | str, target: str) -> Any:
    """Return what scikit-learn makes of a data set."""
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of several active versions
            return fetch_openml(
                name, version=version, target_column=target, as_frame=False, parser="liac-arff"
            )
    except OSError as error:  # with urllib's errors, which hold the system's own
        why = getattr(error, "reason", error)
        said = reason(why) if isinstance(why, BaseException) else str(why)
        raise DataError(
            f"openml:{name} cannot be fetched: {said}; OpenML needs a network the first time"
        ) from None
    except (ValueError, KeyError) as error:
        text = " ".join(str(error).split())[:300]
        raise DataError(f"OpenML has no such data set, {name!r} of version {version}: {text}") from None
