"""The sets of ``require w in box(-1, 1)`` as functions of the language: their arguments, as numbers.

What sets there are, and what describes them, stands in ``dialects/sets.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pjc.dialects.sets import SETS as KINDS
from pjc.dialects.sets import Kind, SetKind
from pjc.frontends.builtins import Converter
from pjc.frontends.convert import fail, integer, integers, levels, number, positive
from pjc.frontends.values import Function, Given, Slot, Value, describe


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


def _several(rest: Sequence[Given]) -> list[float]:
    """Strictly increasing numbers, or one tuple of them."""
    if len(rest) == 1:
        return levels(rest[0])
    return levels(Given(None, tuple(each.value for each in rest), rest[0].span))


CONVERTERS: dict[Kind, Converter] = {
    Kind.NUMBER: number,
    Kind.POSITIVE: positive,
    Kind.COUNT: integer,
    Kind.LEVELS: _several,
    Kind.AXES: integers,
    Kind.ENTRIES: _entries,
}


def _function(name: str, kind: SetKind) -> Function:
    """Return the function of a set; its value are the arguments, by name."""
    several = [argument.name for argument in kind.arguments if argument.kind is Kind.LEVELS]
    slots = tuple(
        Slot(
            argument.name,
            required=argument.required,
            rest=argument.kind is Kind.LEVELS,
            named=bool(several) and argument.kind is not Kind.LEVELS,
        )
        for argument in kind.arguments
    )
    converters = {argument.name: CONVERTERS[argument.kind] for argument in kind.arguments}

    def build(site: object, *rest: float, **given: Any) -> dict[str, Any]:
        return {**dict.fromkeys(several, rest), **given}

    return Function(name, slots, converters, build)


SETS: dict[str, Function] = {name: _function(name, kind) for name, kind in KINDS.items()}
