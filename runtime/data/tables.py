"""Features of tables: categories become features of 0 and 1, the same ones in every part and file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .rows import Rows, blocks

Levels = Mapping[str, tuple[str, ...]]
"""The categories of the columns that hold such, by the columns' names."""
_DENSE = 64 << 20
"""Features of 0 and 1 that take more bytes than this are made batch by batch."""


def feature_name(column: str, level: str) -> str:
    """Return what the feature of a category is called."""
    return f"{column}={level}"


def feature_names(columns: Sequence[str], levels: Levels) -> tuple[str, ...]:
    """Return the names of a table's features: a column's own, or one for each of its categories."""
    return tuple(
        name
        for column in columns
        for name in (
            [feature_name(column, level) for level in levels[column]] if column in levels else [column]
        )
    )


def categories(levels: Levels) -> list[str]:
    """Return the names of the features that are categories."""
    return [name for column in levels for name in feature_names([column], levels)]


def encoded(x: NDArray[Any], columns: Sequence[str], levels: Levels) -> NDArray[Any] | Rows:
    """Return the features of columns ``x`` ``[n, columns]``, where categories stand as their numbers.

    A category's number is its place in ``levels``; it becomes a row of 0 with a single 1, NaN one of NaN.
    """
    if not levels:
        return x
    starts = np.cumsum([0, *(len(levels[column]) if column in levels else 1 for column in columns)])
    named = np.array([column in levels for column in columns])
    numbers, codes = np.flatnonzero(~named), np.flatnonzero(named)
    width = int(starts[-1])

    def read(indices: NDArray[Any]) -> NDArray[Any]:
        rows = x[indices]
        found = np.zeros((len(rows), width))
        found[:, starts[numbers]] = rows[:, numbers]
        for column in codes:
            code, start, end = rows[:, column], starts[column], starts[column + 1]
            lacking = np.isnan(code)
            at = np.flatnonzero(~lacking)
            found[at, start + code[at].astype(np.int64)] = 1
            found[lacking, start:end] = np.nan
        return found

    made = Rows((len(x), width), np.dtype(np.float64), read)
    return made[:] if made.size * 8 <= _DENSE else made


def releveled(data: Dataset, columns: Sequence[str], levels: Levels, reference: str) -> Dataset:
    """Return a table with the features ``columns``, of categories ``levels``, as another one has them.

    Both are as :meth:`Dataset.notes` keeps them with parameters; ``reference`` names that table in messages.
    Raises DataError for other columns, or the same in another order; for a category that the other table
    does not have; and for a column that holds names in one table and numbers in the other.
    """
    if (data.columns, dict(data.levels)) == (tuple(columns), dict(levels)):
        return data
    ours, theirs = columns_of(data.columns, data.levels), columns_of(columns, levels)
    if ours != theirs:
        raise DataError(f"the columns of {data.name} are not those of {reference}, in the same order")
    for column in ours:
        strange = [level for level in data.levels.get(column, ()) if level not in levels.get(column, ())]
        if column in levels and strange:
            raise DataError(
                f"column {column!r} of {data.name} holds {strange[0][:40]!r}, which it does not hold in "
                f"{reference}: there it is {_shown(levels[column])}"
            )
        if (column in levels) != (column in data.levels) and not _is_empty(data, column):
            held, other = ("names", "numbers") if column in data.levels else ("numbers", "names")
            raise DataError(
                f"column {column!r} of {data.name} holds {held}, but in {reference} it holds {other}; "
                "--categorical says which columns hold names"
            )
    return _gathered(data, tuple(columns), levels)


def _gathered(data: Dataset, columns: tuple[str, ...], levels: Levels) -> Dataset:
    """Return a table with other features of the same columns; those it lacks are 0, or NaN where all are."""
    place = {name: at for at, name in enumerate(data.columns)}
    source, known = [], []
    for column in columns_of(columns, levels):
        own = feature_names([column], data.levels)
        for name in feature_names([column], levels):
            source.append(place.get(name, place[own[0]]))
            known.append(name in place)
    mask = np.array(known)

    def move(block: NDArray[Any]) -> NDArray[Any]:
        found = block[:, source]
        found[:, ~mask] *= 0  # NaN stays
        return found

    moved = data.x.map(move, (len(source),), data.x.dtype) if isinstance(data.x, Rows) else move(data.x)
    return replace(data, x=moved, columns=columns, levels=levels)


def with_columns(data: Dataset, columns: Sequence[str]) -> Dataset:
    """Return a table with these of its columns, in this order."""
    place = {name: at for at, name in enumerate(data.columns)}
    levels = {column: own for column, own in data.levels.items() if column in columns}
    names = feature_names(columns, levels)
    if names == data.columns:
        return data
    order = [place[name] for name in names]
    x = data.x
    moved = x.map(lambda rows: rows[:, order], (len(order),), x.dtype) if isinstance(x, Rows) else x[:, order]
    return replace(data, x=moved, columns=names, levels=levels)


def described(data: Dataset) -> str:
    """Return how many features a table has, column by column, as it stands in a sentence."""
    names = columns_of(data.columns, data.levels)
    shown = [f"{name} ({len(data.levels[name])})" if name in data.levels else name for name in names[:20]]
    more = ", ..." if len(names) > 20 else ""
    encoding = " once categories are features of their own" if data.levels else ""
    return f"{data.name} has {len(data.columns)} features{encoding}: {', '.join(shown)}{more}"


def columns_of(features: Sequence[str], levels: Levels) -> list[str]:
    """Return the columns of a table that features are of, in their order."""
    owner = {feature_name(column, level): column for column, own in levels.items() for level in own}
    return list(dict.fromkeys(owner.get(name, name) for name in features))


def _is_empty(data: Dataset, column: str) -> bool:
    """Return whether a column of numbers has none: then it may as well hold names."""
    if column in data.levels:
        return False
    at = data.columns.index(column)
    return all(bool(np.isnan(block[:, at]).all()) for _, block in blocks(data.x))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:12]) + (", ..." if len(names) > 12 else "")
