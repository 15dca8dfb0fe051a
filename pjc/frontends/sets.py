"""The sets of ``require w in box(-1, 1)``: a name, what its arguments are, and what makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pjc.builder import sets
from pjc.builder.sets import Set
from pjc.frontends.builtins import Converter, function
from pjc.frontends.convert import fail, integer, integers, levels, number, positive
from pjc.frontends.values import Function, Given, Value, describe


def _entries(given: Given) -> tuple[list[float], list[int]]:
    """A number, or nested tuples of numbers, all of one shape; its entries and its shape."""
    shape: list[int] = []
    rows: list[Value] = [given.value]
    while rows and isinstance(rows[0], tuple):
        size = len(rows[0])
        if any(not isinstance(row, tuple) or len(row) != size for row in rows):
            raise fail(given, "nested tuples of equal lengths", "tuples of different ones")
        shape.append(size)
        rows = [item for row in rows if isinstance(row, tuple) for item in row]
    for row in rows:
        if not isinstance(row, int | float):
            raise fail(given, "a number or nested tuples of numbers", describe(row))
    return [float(row) for row in rows if isinstance(row, int | float)], shape


def several(rest: Sequence[Given]) -> list[float]:
    """Strictly increasing numbers, or one tuple of them."""
    if len(rest) == 1:
        return levels(rest[0])
    return levels(Given(None, tuple(each.value for each in rest), rest[0].span))


def _set(make: Callable[..., Set], **converters: Converter) -> Function:
    """Return a function that makes a set, for which the site does not matter."""
    made = function(make.__name__, make, **converters)
    return replace(made, build=lambda site, *rest, **given: make(*rest, **given))


def mask(entries: tuple[list[float], list[int]]) -> Set:
    return sets.mask(*entries)


def equal(value: tuple[list[float], list[int]]) -> Set:
    return sets.equal(*value)


_ALL = (
    _set(sets.box, low=number, high=number),
    _set(sets.nonneg),
    _set(sets.ball, radius=positive, axis=integers),
    _set(sets.sphere, radius=positive, axis=integers),
    _set(sets.simplex, total=positive, axis=integers),
    _set(sets.sparse, k=integer, axis=integers),
    _set(sets.levels, values=several, rate=positive),
    _set(mask, entries=_entries),
    _set(equal, value=_entries),
    _set(sets.rank, rank=integer),
)

SETS: dict[str, Function] = {each.name: each for each in _ALL}
