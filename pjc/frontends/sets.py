"""The sets of ``require w in box(-1, 1)`` as functions of the language: their arguments, as numbers.

What sets there are, and what describes them, stands in ``dialects/sets.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pjc.dialects.set_kinds import Kind, SetKind
from pjc.dialects.sets import SETS as KINDS
from pjc.frontends.builtins import Converter
from pjc.frontends.convert import entries, integer, integers, levels, number, positive
from pjc.frontends.values import Function, Given, Mistake, Slot


def _several(rest: Sequence[Given]) -> list[float]:
    """Strictly increasing numbers, or one tuple of them."""
    if len(rest) == 1:
        return levels(rest[0])
    return levels(Given(None, tuple(each.value for each in rest), rest[0].span))


CONVERTERS: dict[Kind, Converter] = {
    Kind.NUMBER: number,
    Kind.POSITIVE: positive,
    Kind.COUNT: integer,
    Kind.WHOLE: integer,
    Kind.LEVELS: _several,
    Kind.AXES: integers,
    Kind.ENTRIES: entries,
    Kind.ARRAY: entries,
}


def _nothing(rest: Sequence[Given]) -> list[float]:
    """Sets are no values: they are read where they are asked for."""
    raise Mistake("expected sets", span=rest[0].span if rest else None)


CONVERTERS[Kind.SETS] = _nothing


def _function(name: str, kind: SetKind) -> Function:
    """Return the function of a set; its value are the arguments, by name."""
    several = [argument.name for argument in kind.arguments if argument.kind is Kind.LEVELS]
    slots = tuple(
        Slot(
            argument.name,
            required=argument.required,
            rest=argument.kind in (Kind.LEVELS, Kind.SETS),
            named=bool(several) and argument.kind is not Kind.LEVELS,
        )
        for argument in kind.arguments
    )
    converters = {argument.name: CONVERTERS[argument.kind] for argument in kind.arguments}

    def build(site: object, *rest: float, **given: Any) -> dict[str, Any]:
        return {**dict.fromkeys(several, rest), **given}

    return Function(name, slots, converters, build)


def takes_sets(name: str) -> bool:
    """Return whether the arguments of a set are sets themselves."""
    return any(argument.kind is Kind.SETS for argument in KINDS[name].arguments)


SETS: dict[str, Function] = {name: _function(name, kind) for name, kind in KINDS.items()}
