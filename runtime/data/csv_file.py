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

from pjc.numerals import decimal, whole
from pjc.reading import reading

from .dataset import MAX_BYTES, Dataset, from_arrays
from .errors import DataError, require_file

_MAX_TEXT = MAX_BYTES // 4
"""The longest file read, in bytes: text such as "0," grows fourfold in memory."""


def load_csv(path: Path, target: str | None, labelled: bool = True) -> Dataset:
    """Return the dataset in a UTF-8 CSV file whose column ``target`` holds the targets.

    ``target`` may name several columns, with commas between; their targets are numbers. All other columns
    are features, ``x`` float64 ``[n, columns - 1]`` in the file's order. Targets that are all whole numbers
    are class numbers; if any is not a number, all are names of classes, numbered in sorted order; else they
    are numeric. Unless ``labelled``, targets need not be there and are not looked at; they are zeros then.
    Raises DataError, with the line, for a missing column, a line of the wrong length, or a
    feature that is not a finite number.
    """
    if require_file(path) > _MAX_TEXT:
        raise DataError(f"{path} is larger than {_MAX_TEXT >> 30} GiB; save it as .npz instead")
    try:
        with reading(path, "a CSV file", DataError), path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            try:
                return _read(reader, path, target, labelled)
            except csv.Error as error:
                raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    except DataError as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            where = error.__cause__.start
            raise DataError(f"{path} is not UTF-8 text (byte {where}); convert it") from None
        raise


def _read(reader: Any, path: Path, target: str | None, labelled: bool) -> Dataset:
    """Return the dataset that a csv.reader yields."""
    header = [name.strip() for name in next(reader, [])]
    _require_names(header, path)
    chosen = _target_columns(header, path, target) if labelled else _targets_there(header, target)
    apart = set(chosen)
    chosen = chosen if labelled else []
    names = [name for index, name in enumerate(header) if index not in apart]
    # A number for each target: its text stands once, however many lines have it.
    features, numeric, codes, known = array("d"), array("d"), array("q"), dict[str, int]()
    several = len(chosen) != 1
    for row in reader:
        if not row:
            continue
        where = f"{path}:{reader.line_num}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} columns, expected {len(header)} as in line 1")
        texts = [row[index].strip() for index in chosen]
        for index, text in zip(chosen, texts, strict=True):
            if not text or "\0" in text:
                wrong = "holds a NUL byte" if text else "is empty"
                raise DataError(f"{where}: the target {header[index]!r} {wrong}")
        if several:
            numeric.extend(_numbers(texts, [header[index] for index in chosen], where))
        codes.append(0 if several else known.setdefault(texts[0], len(known)))
        rest = [text for index, text in enumerate(row) if index not in apart]
        features.extend(_numbers(rest, names, where))
    if not codes:
        raise DataError(f"{path} has column names but no samples")
    x = np.frombuffer(features, np.float64).reshape(len(codes), -1)
    y: NDArray[Any]
    if not labelled:
        y = np.zeros(len(codes), np.int64)
    elif several:
        y = np.frombuffer(numeric, np.float64).reshape(len(codes), -1)
    else:
        y = typed_targets(list(known))[np.frombuffer(codes, np.int64)]
    return replace(from_arrays(x, y, str(path)), columns=tuple(names))


def _require_names(header: list[str], path: Path) -> None:
    """Raise DataError unless every column has a name of its own."""
    if not any(header):
        raise DataError(f"{path}:1: the first line must name the columns")
    seen = set[str]()
    for place, name in enumerate(header):
        if not name:
            raise DataError(
                f"{path}:1: column {place + 1} has no name; name it, or remove it (pandas writes its index "
                "so, unless it gets index=False)"
            )
        if name in seen:
            raise DataError(f"{path}:1: two columns are called {name!r}; give each its own name")
        seen.add(name)


def _targets_there(header: list[str], target: str | None) -> list[int]:
    """Return the indices of those of the target columns that there are."""
    wanted = () if target is None else [target] if target in header else target.split(",")
    return [header.index(name.strip()) for name in wanted if name.strip() in header]


def _target_columns(header: list[str], path: Path, target: str | None) -> list[int]:
    """Return the indices of the target columns."""
    shown = ", ".join(header[:12]) + (", ..." if len(header) > 12 else "")
    if target is None:
        raise DataError(
            f"{path}: name the column that holds the targets with --target; the columns are {shown}"
        )
    wanted = [target] if target in header else [name.strip() for name in target.split(",")]
    for name in wanted:
        if name not in header:
            near = difflib.get_close_matches(name, header, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"the columns are {shown}"
            raise DataError(f"{path}:1: there is no column {name!r}; {advice}")
        if wanted.count(name) > 1:
            raise DataError(f"--target names the column {name!r} twice")
    if len(header) == len(wanted):
        raise DataError(f"{path}:1: there is no column besides the target {target!r}")
    return [header.index(name) for name in wanted]


def _numbers(row: list[str], names: list[str], where: str) -> list[float]:
    """Return the entries of ``row`` as numbers, or raise DataError for the first that is none."""
    try:
        return list(map(decimal, row))
    except ValueError:
        pass
    for name, text in zip(names, row, strict=True):
        try:
            decimal(text)
        except ValueError:
            raise DataError(f"{where}: column {name!r} holds {text[:40]!r}, which is not a number") from None
    raise AssertionError("one of them is no number")


def typed_targets(texts: list[str]) -> NDArray[Any]:
    """Return class numbers, numbers or strings, the first that fits all the targets."""
    for kind, dtype in ((whole, np.int64), (decimal, np.float64)):
        try:
            return np.array([kind(text) for text in texts], dtype)
        except (ValueError, OverflowError):
            continue
    return np.array(texts)
