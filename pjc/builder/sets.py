"""The arguments of a set, as Python gives them: checked, and with the defaults of ``dialects/sets.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pjc.builder.place import entries, one_number, several
from pjc.dialects.set_kinds import Argument, Kind
from pjc.dialects.sets import SETS
from pjc.dialects.shapes import ShapeError


def arguments(kind: str, given: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a set by name, given in their order or by name; raises ShapeError."""
    if kind not in SETS:
        raise ShapeError(f"there is no set '{kind}'", f"known are {', '.join(SETS)}")
    wanted = {argument.name: argument for argument in SETS[kind].arguments}
    if "sets" in wanted:
        given = (given,)
    found = {**dict(zip(wanted, given, strict=False)), **named}
    missing = [name for name, argument in wanted.items() if argument.required and name not in found]
    if missing or set(found) - set(wanted) or len(found) < len(given) + len(named):
        known = ", ".join(wanted) or "no arguments"
        raise ShapeError(f"'{kind}' takes {known}; found {[*given, *named]}")
    return {name: _converted(wanted[name], value) for name, value in found.items()}


def _converted(argument: Argument, value: Any) -> Any:
    """Return an argument as ``dialects/sets.py`` takes it."""
    try:
        match argument.kind:
            case Kind.NUMBER | Kind.POSITIVE:
                return one_number(value)
            case Kind.COUNT | Kind.WHOLE if not isinstance(value, int):
                raise TypeError
            case Kind.LEVELS:
                return [one_number(each) for each in value]
            case Kind.AXES:
                return None if value is None else several(value)
            case Kind.ENTRIES | Kind.ARRAY:
                return entries(value)
            case Kind.SETS:
                return [(name, arguments(name, given, {})) for name, *given in value]
    except (TypeError, ValueError):
        raise ShapeError(f"'{argument.name}' must be {argument.kind.value}, found {value!r}") from None
    return value
