"""What separates the columns of a table that is text, as its first lines show."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import IO, Any

from pjc.numerals import decimal

from .errors import DataError

SAMPLE = 1 << 16
"""How much of a file is looked at, in characters."""
NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""What may separate columns without being asked for."""
_SAID = re.compile(r"sep=(.)\r?\n")
"""A first line by which Excel is told what separates columns."""


def reader_of(stream: IO[str], delimiter: str) -> Any:
    """Return a csv.reader of a text; blanks after a delimiter do not count. Raises DataError."""
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise DataError(f"--delimiter is {delimiter!r}; expected one character, such as ';'")
    return csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)


def said_delimiter(sample: str) -> str | None:
    """Return what a first line such as ``sep=;`` names; None where there is no such line."""
    found = _SAID.match(sample)
    return found[1] if found else None


def delimiter_of(sample: str, is_whole: bool, where: str) -> str:
    """Return the delimiter of the text that ``sample`` is the beginning of, or all of.

    It is the one that gives every line as many columns as the first, at least two; of several, the one by
    which every entry is a number, or a text without the others in it. Raises DataError, which begins with
    ``where`` and names the option, where that does not tell.
    """
    tables = {each: table for each in NAMES if len((table := _rows(sample, is_whole, each))[0]) > 1}
    even = {each: rows for each, rows in tables.items() if all(len(row) == len(rows[0]) for row in rows)}
    if len(even) > 1:
        even = {each: rows for each, rows in even.items() if _is_clean(rows, set(even) - {each})} or even
    # Where lines are of different lengths the reader says which; that needs the right delimiter too.
    found = list(even or tables)
    if len(found) > 1:
        names = " or ".join(NAMES[each] for each in found)
        raise DataError(f"{where}: the columns may be separated by {names}; say which with --delimiter")
    return found[0] if found else ","


def _rows(sample: str, is_whole: bool, delimiter: str) -> list[list[str]]:
    """Return the rows of a sample by a delimiter; of one that was cut off without the last."""
    rows = list(_parsed(sample, delimiter))
    return (rows if is_whole or len(rows) < 2 else rows[:-1]) or [[]]


def _parsed(sample: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows before the first that is no CSV."""
    try:
        yield from (row for row in reader_of(io.StringIO(sample, newline=""), delimiter) if row)
    except csv.Error:
        return


def _is_clean(rows: list[list[str]], others: set[str]) -> bool:
    """Return whether entries are numbers, or texts without what else may be a delimiter."""
    return all(_is_number(entry) or not others & set(entry) for row in rows for entry in row)


def _is_number(entry: str) -> bool:
    try:
        decimal(entry.replace(",", ".", 1) if "." not in entry else entry)
    except ValueError:
        return False
    return True
