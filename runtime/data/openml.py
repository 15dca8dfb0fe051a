"""Data sets of OpenML by their names, which scikit-learn fetches and keeps."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from pjc.numerals import is_whole
from pjc.reading import reading, reason

from .csv_file import typed_targets
from .dataset import Dataset, from_arrays
from .errors import DataError


def load_openml(spec: str, target: str | None = None) -> Dataset:
    """Return the data set ``NAME`` or ``NAME:VERSION``, of the active version if none is given.

    ``target`` names the column of the targets, by default the data set's own. Targets are read as those of
    a CSV file are, and names in other columns are numbered as OpenML lists them. Raises DataError
    without a network, for an unknown name, and for missing values.
    """
    name, _, version = spec.partition(":")
    if not name or (version and not is_whole(version)):
        raise DataError(f"openml:{spec} names no data set: expected openml:NAME or openml:NAME:VERSION")
    with reading(f"openml:{spec}", "a table of OpenML", DataError):
        table = _fetch(name, int(version) if version else "active", target or "default-target")
        return _dataset(table, spec)


def _dataset(table: Any, spec: str) -> Dataset:
    """Return what a table of scikit-learn's holds."""
    if table.target is None or np.ndim(table.target) != 1:
        raise DataError(f"openml:{spec} has no single target; name its column with --target")
    if hasattr(table.data, "toarray"):
        raise DataError(f"openml:{spec} is a sparse table, which is not read; save it as .npz instead")
    columns = tuple(str(column) for column in table.feature_names)
    targets = np.asarray(table.target)
    if targets.dtype.kind not in "biuf":
        if any(value is None for value in targets):
            raise DataError(f"openml:{spec} lacks some targets; save the others as .csv")
        targets = typed_targets([str(value) for value in targets])
    try:
        data = np.asarray(table.data, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"openml:{spec} has features that are no numbers: {error}") from None
    return replace(from_arrays(data, targets, f"openml:{spec}"), columns=columns)


def _fetch(name: str, version: int | str, target: str) -> Any:
    """Return what scikit-learn makes of a data set."""
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of several active versions
            return fetch_openml(
                name, version=version, target_column=target, as_frame=False, parser="liac-arff"
            )
    except OSError as error:  # with urllib's errors
        raise DataError(
            f"openml:{name} cannot be fetched: {reason(error)}; OpenML needs a network the first time"
        ) from None
    except (ValueError, KeyError) as error:
        text = " ".join(str(error).split())[:300]
        raise DataError(f"OpenML has no such data set, {name!r} of version {version}: {text}") from None
