"""The sets that values can be required to be in: their names, and the fields that describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, prod

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.shapes import Shape, ShapeError, axes_of, show

FIELDS: dict[str, tuple[str, ...]] = {
    "box": ("low", "high"),
    "nonneg": (),
    "ball": ("radius", "axes"),
    "sphere": ("radius", "axes"),
    "simplex": ("total", "axes"),
    "sparse": ("k", "axes"),
    "levels": ("levels", "rate"),
    "mask": ("entries", "shape"),
    "rank": ("rank",),
    "equal": ("entries", "shape"),
}
"""Each set and its fields. ``axes`` are those along which the entries are one vector."""

Numbers = float | int | tuple[float, ...]


def verify_set(kind: str, fields: Mapping[str, Attribute], shape: Shape) -> None:
    """Raise VerifyException unless there is such a set of tensors of the shape."""
    if kind not in FIELDS:
        raise VerifyException(f"there is no set '{kind}'; known are {', '.join(FIELDS)}")
    if set(fields) != set(FIELDS[kind]):
        wanted = ", ".join(FIELDS[kind]) or "none"
        raise VerifyException(f"the fields of '{kind}' are {wanted}; found {', '.join(fields) or 'none'}")
    values = {name: _value(name, attribute) for name, attribute in fields.items()}
    problem = _problem(kind, values, shape)
    if problem is not None:
        raise VerifyException(f"set '{kind}': {problem}")


def _value(name: str, attribute: Attribute) -> Numbers:
    match attribute:
        case DenseArrayBase():
            return tuple(attribute.get_values())
        case FloatAttr() | IntegerAttr():
            return attribute.value.data
    raise VerifyException(f"field '{name}' must be a number or an array of numbers, found {attribute}")


def _problem(kind: str, values: Mapping[str, Numbers], shape: Shape) -> str | None:
    """Return what is wrong with the fields' values, if anything."""
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(map(isfinite, numbers)):
            return f"{name} must be finite"
    for name in ("radius", "total", "k", "rank", "rate"):
        if name in values and not values[name] > 0:  # type: ignore[operator]
            return f"{name} must be positive, found {values[name]}"
    if kind == "box" and values["low"] > values["high"]:  # type: ignore[operator]
        return f"low must be at most high, found {values['low']} and {values['high']}"
    if kind == "rank" and len(shape) < 2:
        return f"a rank needs matrices, and the tensor's shape is {show(shape)}"
    if "axes" in values:
        return _axes_problem(values["axes"], shape)  # type: ignore[arg-type]
    if kind == "levels":
        levels: Sequence[float] = values["levels"]  # type: ignore[assignment]
        if not levels or any(a >= b for a, b in pairwise(levels)):
            return f"levels must be strictly increasing, found {list(levels)}"
    if "entries" in values:
        own: Shape = values["shape"]  # type: ignore[assignment]
        if len(values["entries"]) != prod(own):  # type: ignore[arg-type]
            return f"there must be {prod(own)} entries for the shape {show(own)}"
        if own and shape[-len(own) :] != own:
            return f"its shape {show(own)} must be the end of the tensor's, {show(shape)}"
    return None


def _axes_problem(axes: tuple[int, ...], shape: Shape) -> str | None:
    try:
        axes_of(axes, len(shape))
    except ShapeError as error:
        return str(error)
    return None if axes or not shape else "at least one axis is needed"
