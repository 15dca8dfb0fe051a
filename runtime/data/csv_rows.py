"""The lines of a table that is text, as they come, and the dataset that they make."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.numerals import whole

from .columns import Column, Labels, Numerals, Reads
from .csv_header import Header, unnamed
from .dataset import Dataset, from_arrays, require_finite
from .errors import DataError
from .missing import Lack, kept
from .tables import encoded, feature_names

_CELLS = 1 << 16
"""About as many entries are turned into numbers at once."""


class Lines:
    """Takes the lines of a file, and turns them into numbers some at a time.

    Numbers and the numbers of categories are kept in one array, line by line: eight bytes an entry.
    """

    def __init__(self, header: Header, numerals: Numerals, path: Path, named: bool = False) -> None:
        self.header = header
        self.numerals = numerals
        self.path = path
        names = header.names
        self.columns = [
            Column(names[place], numerals, place in header.categorical) for place in header.features
        ]
        self.several = len(header.targets) != 1
        self.labels = Labels("" if self.several else names[header.targets[0]], numerals, named)
        self.targets: Sequence[Reads] = (
            [Column(names[place], numerals, numeric=True) for place in header.targets]
            if self.several
            else [self.labels]
        )
        self.weights = Column("", numerals, numeric=True)
        self.waiting: list[Sequence[str]] = []
        self.waiting_lines: list[int] = []
        self.lines = array("q")
        self.x, self.y, self.weight, self.index = array("d"), array("d"), array("d"), array("d")

    def add(self, row: Sequence[str], line: int) -> None:
        """Take a row, which ends in ``line``; raises DataError, perhaps of an earlier one."""
        if len(row) != len(self.header.names):
            raise DataError(
                f"{self.path}:{line}: {len(row)} columns, expected {len(self.header.names)} as in line 1"
            )
        self.waiting.append(row)
        self.waiting_lines.append(line)
        if len(self.waiting) * len(row) >= _CELLS:
            self.flush()

    def flush(self) -> None:
        """Turn the rows that wait into numbers."""
        if not self.waiting:
            return
        entries = list(zip(*self.waiting, strict=True))
        lines, where, header = self.waiting_lines, str(self.path), self.header

        def numbers(columns: Sequence[Reads], places: Sequence[int]) -> bytes:
            pairs = zip(columns, places, strict=True)
            found = np.array([column.read(entries[place], lines, where) for column, place in pairs])
            return found.T.tobytes()

        for place in header.nameless:
            if any(map(str.strip, entries[place])):
                raise unnamed(self.path, place)
        if header.index is not None:
            self.index.extend(self._numbering(entries[header.index]))
        self.y.frombytes(numbers(self.targets, header.targets))
        self.x.frombytes(numbers(self.columns, header.features))
        if header.weights is not None:
            self.weights.name = header.names[header.weights]
            self.weight.frombytes(numbers([self.weights], [header.weights]))
        self.lines.extend(lines)
        self.waiting, self.waiting_lines = [], []

    def _numbering(self, entries: Sequence[str]) -> list[float]:
        """Return the entries of a column without a name, if it can number the rows; NaN where it is empty."""
        try:
            return [float(whole(entry)) if entry.strip() else math.nan for entry in entries]
        except (ValueError, OverflowError):
            raise unnamed(self.path, 0) from None

    def dataset(self, missing: str) -> Dataset:
        """Return what all lines make, where ``missing`` is one of MISSING; raises DataError."""
        self.flush()
        if not self.lines:
            raise DataError(f"{self.path} has column names but no samples")
        self.numerals.require_sure(str(self.path))
        remarks = [*self.header.remarks, *self._without_nameless()]
        x = np.frombuffer(self.x).reshape(len(self.lines), -1)
        y, lacks = self._targets()
        weights = np.frombuffer(self.weight) if self.header.weights is not None else None
        if weights is not None:
            lacks.append(Lack("the weights", np.isnan(weights), filled=False))
        for place, column in enumerate(self.columns):
            x[: column.numbers_from, place] = np.nan
            lacks.append(Lack(f"column {column.name!r}", np.isnan(x[:, place])))
        rows, said = kept(lacks, np.frombuffer(self.lines, np.int64), missing, str(self.path))
        if rows is not None:
            x, y = x[rows], y[rows]
            weights = None if weights is None else weights[rows]
        require_finite(x, f"the samples of {self.path}", lacks=True)
        return self._encoded(x, y, weights, (*remarks, *said))

    def _encoded(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None, remarks: tuple[str, ...]
    ) -> Dataset:
        """Return the dataset of numbers and the numbers of categories."""
        names = [column.name for column in self.columns]
        levels = {
            column.name: _ranked(x[:, place], known)
            for place, column in enumerate(self.columns)
            if (known := column.names()) is not None
        }
        features = feature_names(names, levels)
        if len(set(features)) < len(features):
            twice = next(name for name in features if features.count(name) > 1)
            raise DataError(f"{self.path}: two features would be called {twice!r}; rename a column")
        made = from_arrays(np.zeros((len(y), 1)), y, str(self.path))
        return replace(
            made,
            x=encoded(x, names, levels),
            columns=features,
            levels=levels,
            weights=weights,
            lacks=bool(np.isnan(x).any()),
            remarks=remarks,
        )

    def _without_nameless(self) -> list[str]:
        """Return what is said of the columns without a name; raise DataError where the first is of use."""
        empty, index, said = list(self.header.nameless), self.header.index, []
        if index is not None:
            found = np.frombuffer(self.index)
            if np.isnan(found).all():
                empty.insert(0, index)
            elif not found.min() >= 0 or len(np.unique(found)) < len(found):  # NaN is not
                raise unnamed(self.path, index)
            else:
                said = [f"{self.path}: the first column is left out: it has no name, and numbers the rows"]
        for place in empty:
            said.append(f"{self.path}: column {place + 1} is left out: it has no name, and is empty")
        return said

    def _targets(self) -> tuple[NDArray[Any], list[Lack]]:
        """Return the targets, and which of them are missing."""
        names = [self.header.names[place] for place in self.header.targets]
        if not names:
            return np.zeros(len(self.lines), np.int64), []
        numbers = np.frombuffer(self.y).reshape(len(self.lines), -1)
        if self.several:
            lacks = [Lack(f"the target {name!r}", np.isnan(numbers[:, at])) for at, name in enumerate(names)]
            return numbers, [replace(lack, filled=False) for lack in lacks]
        codes = numbers[:, 0].astype(np.int64)
        typed, lacking = self.labels.typed(str(self.path))
        return typed[codes], [Lack(f"the target {names[0]!r}", lacking[codes], filled=False)]


def _ranked(codes: NDArray[Any], known: Sequence[str]) -> tuple[str, ...]:
    """Return the categories that occur, in sorted order, and number ``codes`` in that order, in place."""
    present = ~np.isnan(codes)
    used = [known[int(code)] for code in np.unique(codes[present])]
    order = {name: rank for rank, name in enumerate(sorted(used))}
    table = np.array([order.get(name, 0) for name in known], np.float64)
    codes[present] = table[codes[present].astype(np.int64)]
    return tuple(sorted(used))
