"""The sets that values can be required to be in: what each is called, what describes it, and when that fits.

Each is declared once: the language has a function with these arguments, the IR these fields, and the class of
the same name in ``pjc.runtime.projections`` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from math import isfinite, prod
from typing import Any

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, f64, i64
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.shapes import Shape, ShapeError, axes_of, show


class Kind(Enum):
    """What an argument of a set is, and the fields that it has in the IR."""

    NUMBER = "a number"
    POSITIVE = "a number above 0"
    COUNT = "a whole number from 1"
    LEVELS = "strictly increasing numbers"
    AXES = "the axes along which all entries are one vector; all axes if none are named"
    ENTRIES = "a number, or nested tuples of numbers, which broadcast from the right"


@dataclass(frozen=True)
class Argument:
    """An argument of a set; without a ``default`` it must be given, and None stands for nothing given."""

    name: str
    kind: Kind
    default: Any = ...

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is ...

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the IR that hold it."""
        match self.kind:
            case Kind.AXES:
                return ("axes",)
            case Kind.ENTRIES:
                return ("entries", "shape")
        return (self.name,)


Values = Mapping[str, Any]


@dataclass(frozen=True)
class SetKind:
    """A set of tensors.

    Attributes:
        arguments: what describes it.
        entrywise: whether each entry is in a set of its own, whatever the others are.
        check: returns what is wrong with the fields' values for a tensor of a shape; None if nothing is.
    """

    arguments: tuple[Argument, ...] = ()
    entrywise: bool = False
    check: Callable[[Values, Shape], str | None] = lambda values, shape: None

    def fields(self) -> tuple[str, ...]:
        """Return the names of the fields, in their order."""
        return tuple(name for argument in self.arguments for name in argument.fields)


def _box(values: Values, shape: Shape) -> str | None:
    if values["low"] > values["high"]:
        return f"box needs low <= high, found low = {values['low']:g} and high = {values['high']:g}"
    return None


def _sparse(values: Values, shape: Shape) -> str | None:
    size = prod(shape[axis] for axis in values["axes"])
    if not 1 <= values["k"] <= size:
        return (
            f"sparse needs a k from 1 to {size}, the entries of a vector of {show(shape)}; "
            f"found {values['k']}"
        )
    return None


def _rank(values: Values, shape: Shape) -> str | None:
    if len(shape) < 2:
        return f"a rank is one of matrices, and the tensor's shape is {show(shape)}"
    if not 1 <= values["rank"] <= min(shape[-2:]):
        return f"rank needs a number from 1 to {min(shape[-2:])} for {show(shape)}, found {values['rank']}"
    return None


_AXES = Argument("axis", Kind.AXES, None)

SETS: dict[str, SetKind] = {
    "box": SetKind((Argument("low", Kind.NUMBER), Argument("high", Kind.NUMBER)), True, _box),
    "nonneg": SetKind(entrywise=True),
    "ball": SetKind((Argument("radius", Kind.POSITIVE, 1.0), _AXES)),
    "sphere": SetKind((Argument("radius", Kind.POSITIVE, 1.0), _AXES)),
    "simplex": SetKind((Argument("total", Kind.POSITIVE, 1.0), _AXES)),
    "sparse": SetKind((Argument("k", Kind.COUNT), _AXES), check=_sparse),
    "levels": SetKind((Argument("levels", Kind.LEVELS), Argument("rate", Kind.POSITIVE, 100.0)), True),
    "mask": SetKind((Argument("entries", Kind.ENTRIES),)),
    "rank": SetKind((Argument("rank", Kind.COUNT),), check=_rank),
    "equal": SetKind((Argument("value", Kind.ENTRIES),)),
}
"""The sets, by name."""


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
            case Kind.ENTRIES:
                values["entries"], values["shape"] = value
            case _:
                values[argument.name] = value
    problem = _problem(kind, values, shape)
    if problem is not None:
        raise ShapeError(problem)
    return {name: _attribute(name, value) for name, value in values.items()}


def _attribute(name: str, value: Any) -> Attribute:
    """Return what holds the value of a field in the IR."""
    if name in ("axes", "shape"):
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
    values = {name: _value(name, attribute) for name, attribute in fields.items()}
    problem = _problem(kind, values, shape)
    if problem is not None:
        raise VerifyException(f"set '{kind}': {problem}")


def _value(name: str, attribute: Attribute) -> Any:
    match attribute:
        case DenseArrayBase():
            return tuple(attribute.get_values())
        case FloatAttr() | IntegerAttr():
            return attribute.value.data
    raise VerifyException(f"field '{name}' must be a number or an array of numbers, found {attribute}")


def _problem(kind: str, values: Values, shape: Shape) -> str | None:
    """Return what is wrong with the fields' values for a tensor of the shape, if anything."""
    for argument in SETS[kind].arguments:
        for name in argument.fields:
            numbers = values[name] if isinstance(values[name], tuple | list) else (values[name],)
            if not all(map(isfinite, numbers)):
                return f"{name} must be finite"
        problem = _wrong(argument, values, shape)
        if problem is not None:
            return problem
    return SETS[kind].check(values, shape)


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
        case Kind.ENTRIES:
            own = tuple(values["shape"])
            if len(value) != prod(own):
                return f"there must be {prod(own)} entries for the shape {show(own)}"
            if own and shape[-len(own) :] != own:
                noun = "mask" if argument.name == "entries" else argument.name
                return f"the {noun} has the shape {show(own)}, which is not the end of that of {show(shape)}"
    return None
