"""Tables that are text: a line of column names, then one sample a line."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import IO

from pjc.reading import reading, reason

from .columns import Numerals
from .csv_header import Header
from .csv_rows import Lines
from .dataset import MAX_BYTES, Dataset
from .delimiters import SAMPLE, delimiter_of, reader_of, said_delimiter
from .encodings import encoding_of
from .errors import DataError, require_file
from .parts import Request

_MAX_TEXT = MAX_BYTES // 4
"""The longest file read, in bytes: text such as "0," grows fourfold in memory."""


def load_csv(
    path: Path, target: str | None, request: Request | None = None, labelled: bool = True
) -> Dataset:
    """Return the dataset in a CSV file whose column ``target`` holds the targets.

    ``target`` may name several columns, with commas between; their targets are numbers. All other columns
    are features, in the file's order, float64: a column of text has one for each of its categories, in sorted
    order, that is 1 where the entry is that category and else 0. Targets that are all whole numbers
    are class numbers; if any is not a number, all are names of classes, numbered in sorted order; else they
    are numeric. Delimiter, decimal mark and encoding are as ``request`` says, or as the file shows; see
    Request for what else it may ask. Values that are missing are NaN where they are to be filled in. Unless
    ``labelled``, targets and weights need not be there and are not looked at; targets are zeros then.

    Raises DataError, with the line, for a missing column, a line of the wrong length, a column of numbers and
    text, an infinite number; and where values are missing, unless they are to be filled in or left out.
    """
    asked = replace(request or Request(str(path)), target=target)
    if require_file(path) > _MAX_TEXT:
        raise DataError(f"{path} is larger than {_MAX_TEXT >> 30} GiB; save it as .npz instead")
    encoding, guess = encoding_of(path, asked.encoding)
    try:
        with reading(path, "a CSV file", DataError), path.open(encoding=encoding, newline="") as stream:
            found = _read(stream, path, asked, labelled)
    except DataError as error:
        if isinstance(error.__cause__, UnicodeError):
            why = reason(error.__cause__)
            raise DataError(f"{path} is not {encoding} text: {why}; --encoding says what it is") from None
        raise
    return replace(found, remarks=(guess, *found.remarks)) if guess else found


def _read(stream: IO[str], path: Path, asked: Request, labelled: bool) -> Dataset:
    """Return the dataset in a text."""
    sample = stream.read(SAMPLE)
    stream.seek(0)
    said = said_delimiter(sample)
    delimiter = (
        asked.delimiter
        if asked.delimiter is not None
        else said or delimiter_of(sample, len(sample) < SAMPLE, str(path))
    )
    reader = reader_of(stream, delimiter)
    try:
        if said:
            next(reader)
        first = [entry.lstrip("\ufeff").strip() for entry in next(reader, [])]
        header = Header.of(first, path, asked, labelled)
        mark = asked.decimal or ("." if delimiter == "," else None)
        lines = Lines(header, Numerals(mark, asked.decimal is not None), path, bool(asked.names))
        if asked.no_header:
            lines.add(first, reader.line_num)
        for row in reader:
            if row:
                lines.add(row, reader.line_num)
        return lines.dataset(asked.missing)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
