"""The arguments of a set, as Python gives them, to those that ``dialects/sets.py`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pjc.builder.place import several
from pjc.dialects.sets import SETS, Argument, Kind
from pjc.dialects.shapes import ShapeError


def arguments(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a set, each of its kind; raises ShapeError."""
    if kind not in SETS:
        raise ShapeError(f"there is no set '{kind}'", f"known are {', '.join(SETS)}")
    known = {argument.name: argument for argument in SETS[kind].arguments}
    for name in given:
        if name not in known:
            raise ShapeError(f"{kind} has no argument '{name}'", f"it has {', '.join(known) or 'none'}")
    for name, argument in known.items():
        if argument.required and name not in given:
            raise ShapeError(f"{kind} needs the argument '{name}', {argument.kind.value}")
    return {name: _converted(known[name], value) for name, value in given.items()}


def _converted(argument: Argument, value: Any) -> Any:
    try:
        match argument.kind:
            case Kind.NUMBER | Kind.POSITIVE:
                return float(value)
            case Kind.COUNT if not isinstance(value, int):
                raise TypeError
            case Kind.LEVELS:
                return [float(each) for each in value]
            case Kind.AXES:
                return None if value is None else several(value)
            case Kind.ENTRIES:
                return _entries(value)
    except (TypeError, ValueError):
        raise ShapeError(f"'{argument.name}' must be {argument.kind.value}, found {value!r}") from None
    return value


def _entries(value: Any) -> tuple[list[float], list[int]]:
    """Return the numbers in nested sequences, and their shape; raises TypeError or ValueError."""
    shape: list[int] = []
    rows = [value.tolist() if hasattr(value, "tolist") else value]  # an array
    while rows and isinstance(rows[0], Sequence):
        if len({len(row) for row in rows}) > 1:
            raise ValueError
        shape.append(len(rows[0]))
        rows = [each for row in rows for each in row]
    return [float(row) for row in rows], shape
