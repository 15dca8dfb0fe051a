"""Comma-separated text: a line of column names, then one sample a line."""

from __future__ import annotations

import csv
import difflib
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import MAX_BYTES, DataError, Dataset, from_arrays, reason, require_file

_MAX_TEXT = MAX_BYTES // 4
"""The longest file read, in bytes: text such as "0," grows fourfold in memory."""


def load_csv(path: Path, target: str | None) -> Dataset:
    """Return the dataset in a UTF-8 CSV file whose column ``target`` holds the targets.

    All other columns are features, ``x`` float64 ``[n, columns - 1]`` in the file's order. Targets
    that are all whole numbers are class numbers; if any is not a number, all are names of classes,
    numbered in sorted order; else they are numeric. Raises DataError, with the line, for a missing
    column, a line of the wrong length, or a feature that is not a finite number.
    """
    if require_file(path) > _MAX_TEXT:
        raise DataError(f"{path} is larger than {_MAX_TEXT >> 30} GiB; save it as .npz instead")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            try:
                return _read(reader, path, target)
            except csv.Error as error:
                raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); convert it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from None


def _read(reader: Any, path: Path, target: str | None) -> Dataset:
    """Return the dataset that a csv.reader yields."""
    header = [name.strip() for name in next(reader, [])]
    column = _target_column(header, path, target)
    features, targets = array("d"), list[str]()
    for row in reader:
        if not row:
            continue
        where = f"{path}:{reader.line_num}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} columns, expected {len(header)} as in line 1")
        targets.append(row.pop(column).strip())
        if not targets[-1] or "\0" in targets[-1]:
            wrong = "holds a NUL byte" if targets[-1] else "is empty"
            raise DataError(f"{where}: the target {header[column]!r} {wrong}")
        try:
            features.extend(map(float, row))
        except ValueError:
            _refuse_row(row, header[:column] + header[column + 1 :], where)
    if not targets:
        raise DataError(f"{path} has column names but no samples")
    x = np.frombuffer(features, np.float64).reshape(len(targets), -1)
    columns = tuple(header[:column] + header[column + 1 :])
    return replace(from_arrays(x, typed_targets(targets), str(path)), columns=columns)


def _target_column(header: list[str], path: Path, target: str | None) -> int:
    """Return the index of the target column."""
    if not any(header):
        raise DataError(f"{path}:1: the first line must name the columns")
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}:1: two columns are called {name!r}; give each its own name")
    shown = ", ".join(header[:12]) + (", ..." if len(header) > 12 else "")
    if target is None:
        raise DataError(
            f"{path}: name the column that holds the targets with --target; the columns are {shown}"
        )
    if target not in header:
        near = difflib.get_close_matches(target, header, 1)
        advice = f"did you mean {near[0]!r}?" if near else f"the columns are {shown}"
        raise DataError(f"{path}:1: there is no column {target!r}; {advice}")
    if len(header) == 1:
        raise DataError(f"{path}:1: there is no column besides the target {target!r}")
    return header.index(target)


def _refuse_row(row: list[str], names: list[str], where: str) -> None:
    """Raise DataError for the first entry of ``row`` that is not a number."""
    for name, text in zip(names, row, strict=True):
        try:
            float(text)
        except ValueError:
            raise DataError(f"{where}: column {name!r} holds {text[:40]!r}, which is not a number") from None


def typed_targets(texts: list[str]) -> NDArray[Any]:
    """Return class numbers, numbers or strings, the first that fits all the targets."""
    for kind, dtype in ((int, np.int64), (float, np.float64)):
        try:
            return np.array([kind(text) for text in texts], dtype)
        except (ValueError, OverflowError):
            continue
    return np.array(texts)
