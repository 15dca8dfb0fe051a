"""Sets in the IR: their fields, made of arguments and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, prod
from typing import Any

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.set_kinds import Argument, Kind, Values
from pjc.dialects.sets import SETS
from pjc.dialects.shapes import Shape, ShapeError, axes_of, require_counted, show


def described(kind: str, given: Values, shape: Shape) -> dict[str, Attribute]:
    """Return the fields of a set of tensors of a shape, from its arguments by name.

    Raises:
        ShapeError: if the arguments do not fit the tensor.
    """
    values: dict[str, Any] = {}
    for argument in SETS[kind].arguments:
        value = given.get(argument.name, argument.default)
        match argument.kind:
            case Kind.AXES:
                if not shape:
                    raise ShapeError(
                        "a set of vectors needs a tensor of rank 1 or more, found a single number"
                    )
                values["axes"] = axes_of(range(len(shape)) if value is None else value, len(shape))
            case Kind.ENTRIES | Kind.ARRAY:
                values.update(zip(argument.fields, value, strict=True))
            case Kind.SETS:
                values["sets"] = [
                    {"kind": StringAttr(name), **described(name, own, shape)} for name, own in value
                ]
            case _:
                values[argument.name] = value
    problem = _problem(kind, values, shape)
    if problem is not None:
        raise ShapeError(problem)
    return {name: _attribute(name, value) for name, value in values.items()}


def _attribute(name: str, value: Any) -> Attribute:
    """Return what holds the value of a field in the IR."""
    if name == "sets":
        return ArrayAttr([DictionaryAttr(each) for each in value])
    if name in ("axes", "shape") or name.endswith("_shape"):
        return DenseArrayBase.from_list(i64, list(value))
    if isinstance(value, int):
        return IntegerAttr(value, i64)
    if isinstance(value, float):
        return FloatAttr(value, f64)
    return DenseArrayBase.from_list(f64, [float(each) for each in value])


def verify_set(kind: str, fields: Mapping[str, Attribute], shape: Shape) -> None:
    """Raise VerifyException unless there is such a set of tensors of the shape."""
    if kind not in SETS:
        raise VerifyException(f"there is no set '{kind}'; known are {', '.join(SETS)}")
    wanted = SETS[kind].fields()
    if set(fields) != set(wanted):
        raise VerifyException(
            f"the fields of '{kind}' are {', '.join(wanted) or 'none'}; found {', '.join(fields) or 'none'}"
        )
    for name, own in inner(fields):
        verify_set(name, own, shape)
    values = {name: _value(name, attribute) for name, attribute in fields.items()}
    problem = _problem(kind, values, shape) or _uncounted(kind, values, shape)
    if problem is not None:
        raise VerifyException(f"set '{kind}': {problem}")


def inner(fields: Mapping[str, Attribute]) -> list[tuple[str, dict[str, Attribute]]]:
    """Return the sets that a set is made of, each with its fields; raises VerifyException for others."""
    sets = fields.get("sets")
    if sets is None:
        return []
    found: list[tuple[str, dict[str, Attribute]]] = []
    for each in sets if isinstance(sets, ArrayAttr) else [sets]:
        known = each.data if isinstance(each, DictionaryAttr) else {}
        kind = known.get("kind")
        if not isinstance(kind, StringAttr):
            raise VerifyException(f"field 'sets' must be an array of sets, each with its kind, found {sets}")
        found.append((kind.data, {name: own for name, own in known.items() if name != "kind"}))
    return found


def lifted(fields: Mapping[str, Attribute], lift: int) -> dict[str, Attribute]:
    """Return the fields of a set of tensors that got so many axes in front."""
    found = dict(fields)
    axes = fields.get("axes")
    if isinstance(axes, DenseArrayBase):
        found["axes"] = _attribute("axes", [axis + lift for axis in axes.get_values()])
    if "sets" in fields:
        found["sets"] = _attribute(
            "sets", [{"kind": StringAttr(name), **lifted(own, lift)} for name, own in inner(fields)]
        )
    return found


def _value(name: str, attribute: Attribute) -> Any:
    match attribute:
        case DenseArrayBase():
            return tuple(attribute.get_values())
        case FloatAttr() | IntegerAttr():
            return attribute.value.data
        case ArrayAttr() if name == "sets":
            return inner({"sets": attribute})
    raise VerifyException(f"field '{name}' must be a number or an array of numbers, found {attribute}")


def _problem(kind: str, values: Values, shape: Shape) -> str | None:
    """Return what is wrong with the fields' values for a tensor of the shape, if anything."""
    for argument in SETS[kind].arguments:
        if argument.kind is Kind.SETS:
            continue
        for name in argument.fields:
            numbers = values[name] if isinstance(values[name], tuple | list) else (values[name],)
            if not all(map(isfinite, numbers)):
                return f"{name} must be finite"
        problem = _wrong(argument, values, shape)
        if problem is not None:
            return problem
    if "sets" in values:
        return _not_convex([name if isinstance(name, str) else name.data for name in _names(values["sets"])])
    return SETS[kind].check(values, shape)


def _uncounted(kind: str, values: Values, shape: Shape) -> str | None:
    """Return what is wrong with axes that are right, but not written as those of the IR are."""
    try:
        for argument in SETS[kind].arguments:
            if argument.kind is Kind.AXES:
                require_counted(values["axes"], len(shape))
    except ShapeError as error:
        return str(error)
    return None


def _names(sets: Sequence[Any]) -> list[Any]:
    return [each["kind"] if isinstance(each, dict) else each[0] for each in sets]


def _not_convex(names: Sequence[str]) -> str | None:
    if len(names) < 2:
        return "intersection takes two sets or more"
    wrong = next((name for name in names if not SETS[name].convex), None)
    return None if wrong is None else f"intersection takes convex sets, and {wrong} is not"


def _wrong(argument: Argument, values: Values, shape: Shape) -> str | None:
    """Return what is wrong with one argument."""
    value = values[argument.fields[0]]
    match argument.kind:
        case Kind.POSITIVE | Kind.COUNT if not value > 0:
            return f"{argument.name} must be positive, found {value}"
        case Kind.LEVELS if not value or any(a >= b for a, b in pairwise(value)):
            return f"levels must be strictly increasing, found {list(value)}"
        case Kind.AXES:
            try:
                axes_of(value, len(shape))
            except ShapeError as error:
                return str(error)
            return None if value or not shape else "at least one axis is needed"
        case Kind.ARRAY:
            own = tuple(values[argument.fields[1]])
            return (
                None
                if len(value) == prod(own)
                else f"{argument.name} needs {prod(own)} entries for {show(own)}"
            )
        case Kind.ENTRIES:
            own = tuple(values["shape"])
            if len(value) != prod(own):
                return f"there must be {prod(own)} entries for the shape {show(own)}"
            if own and shape[-len(own) :] != own:
                noun = "mask" if argument.name == "entries" else argument.name
                return f"the {noun} has the shape {show(own)}, which is not the end of that of {show(shape)}"
    return None
