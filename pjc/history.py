"""The history of a training run as a table: rows by number, columns by name."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from pjc.diagnostics import PjcError
from pjc.runtime.files import replace_file
from pjc.runtime.history import Row, history_text


class History(Sequence[dict[str, Any]]):
    """A table with a row for each epoch: ``history[-1]["demand"]``, or ``history["demand"]`` for a column.

    A number that is not known is None. A notebook shows it as a table.

    Attributes:
        columns: the names of the columns, as in the CSV file that ``pjc train`` writes.
    """

    def __init__(self, rows: Sequence[Row], metric: str, measure: str) -> None:
        self._text = history_text(rows, metric, measure)
        self.columns, *table = (tuple(each) for each in csv.reader(io.StringIO(self._text)))
        self._rows = tuple(
            {name: _number(cell) for name, cell in zip(self.columns, row, strict=True)} for row in table
        )

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> list[dict[str, Any]]: ...
    @overload
    def __getitem__(self, at: str) -> list[Any]: ...
    def __getitem__(self, at: int | slice | str) -> Any:
        """Return a row by its number from 0, several as a slice, or a column by its name.

        Raises:
            IndexError: if there is no such row.
            KeyError: if there is no such column; it says which there are.
        """
        if not isinstance(at, str):
            return list(self._rows[at]) if isinstance(at, slice) else dict(self._rows[at])
        if at not in self.columns:
            raise KeyError(f"there is no column {at!r}; columns are {', '.join(self.columns)}")
        return [row[at] for row in self._rows]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(row) for row in self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @property
    def _shown(self) -> list[str]:
        """The columns that say something."""
        return [
            name
            for name in self.columns
            if not self._rows or any(row[name] is not None for row in self._rows)
        ]

    def __repr__(self) -> str:
        cells = [self._shown, *([_told(row[name]) for name in self._shown] for row in self._rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self._shown)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_told(row[name]))}</td>" for name in self._shown) + "</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def to_csv(self, path: str | Path | None = None) -> str | None:
        """Write the table as CSV; without a path, return it as text.

        Raises:
            WriteError: if the file cannot be written.
        """
        if path is None:
            return self._text
        replace_file(Path(path), lambda temporary: temporary.write_text(self._text, encoding="utf-8"))
        return None

    def plot(self, *columns: str, ax: Any = None) -> Any:
        """Draw columns over the epochs; without any named, what is told of batches, and scores.

        Args:
            columns: their names.
            ax: the axes of matplotlib to draw on; those of a new figure if None.

        Returns:
            The axes.

        Raises:
            PjcError: if matplotlib is missing.
            KeyError: if there is no such column.
        """
        try:
            from matplotlib import pyplot
        except ImportError:
            raise PjcError("plot needs matplotlib, which is not installed: pip install matplotlib") from None
        if ax is None:
            ax = pyplot.figure().add_subplot()
        rest = [name for name in self._shown if name not in ("epoch", "seconds", "largest_t", "violation")]
        for name in columns or rest:
            ax.plot(self["epoch"], [math.nan if each is None else each for each in self[name]], label=name)
        ax.set_xlabel("epoch")
        ax.legend()
        return ax


def _number(cell: str) -> int | float | None:
    return None if not cell else int(cell) if cell.isdecimal() else float(cell)


def _told(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"
