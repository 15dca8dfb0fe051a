"""Reads what runs wrote of their epochs, as columns by name, for whoever draws or compares them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pjc.numerals import decimal
from pjc.reading import MAX_TEXT_BYTES, measured, reading

from .data.errors import DataError

PARTS = ("validation", "training", "test")
"""The parts of the data that a column may score: its name is PART_METRIC."""
MEASURES = ("loss", "gap", "demand")
"""What a batch is told of: its loss, and ``Stepper.measure``."""


@dataclass(frozen=True)
class Curves:
    """The columns of a history, or of a table of runs, in its order: NaN where a row says nothing."""

    path: Path
    columns: Mapping[str, tuple[float, ...]]

    @property
    def epochs(self) -> int:
        """How many rows there are: none before the end of the first epoch, or run."""
        return len(self.columns["epoch"])

    @property
    def has_runs(self) -> bool:
        """Whether it is a table of runs, of which each row is one."""
        return {"seed", "epochs"} <= self.columns.keys()

    def told(self, column: str) -> bool:
        """Return whether any row says a finite number in a column."""
        return any(map(math.isfinite, self.columns.get(column, ())))


def read_curves(path: Path) -> Curves:
    """Return the columns of a ``.history.csv``, or of a ``.runs.csv``.

    Raises:
        DataError: for any other file, with the line and the column of what is wrong.
    """
    measured(path, MAX_TEXT_BYTES, DataError)
    with reading(path, "a history of pjc train", DataError):
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), strict=True))
    header = lines[0] if lines else []
    if "epoch" not in header or len(set(header)) != len(header):
        raise DataError(
            f"{path} is no history of a run: its first line should name the columns epoch, seconds and more; "
            "pjc train writes such files, MODEL.history.csv, and of several runs MODEL.runs.csv"
        )
    rows = [(number, row) for number, row in enumerate(lines[1:], 2) if row]
    columns: dict[str, list[float]] = {name: [] for name in header}
    for number, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}:{number}: expected {len(header)} values, found {len(row)}")
        for name, text in zip(header, row, strict=True):
            columns[name].append(_number(text, f"{path}:{number}: the column {name!r}"))
    if not all(map(math.isfinite, columns["epoch"])):
        raise DataError(f"{path} is no history of a run: some of its rows have no epoch")
    return Curves(path, {name: tuple(values) for name, values in columns.items()})


def _number(text: str, where: str) -> float:
    if not text.strip():
        return math.nan
    try:
        return decimal(text)
    except ValueError:
        raise DataError(f"{where}: expected a number, found {text[:40]!r}") from None
