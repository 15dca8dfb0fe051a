"""What describes a set: its arguments, of which kind each is, and what is said and asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pjc.dialects.shapes import Shape


class Kind(Enum):
    """What an argument of a set is, and the fields that it has in the IR."""

    NUMBER = "a number"
    POSITIVE = "a number above 0"
    COUNT = "a whole number from 1"
    WHOLE = "a whole number"
    LEVELS = "strictly increasing numbers"
    AXES = "the axes along which all entries are one vector; all axes if none are named"
    ENTRIES = "a number, or nested tuples of numbers, which broadcast from the right"
    ARRAY = "a number, or nested tuples of numbers, of a shape that the set looks at"
    SETS = "two convex sets or more"


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
            case Kind.ARRAY:
                return (self.name, f"{self.name}_shape")
        return (self.name,)

    def __str__(self) -> str:
        """Return the argument as documents write it."""
        match self.kind:
            case Kind.LEVELS:
                return "-1, 0, 1"
            case Kind.SETS:
                return "box(0, 1), fixed_sum(2)"
        return self.name if self.default in (..., None) else f"{self.name} = {self.default:g}"


Values = Mapping[str, Any]


@dataclass(frozen=True)
class SetKind:
    """A set of tensors: the one place that says what there is of it besides its projection.

    Attributes:
        holds: what is in it, for the table of docs/language.md.
        arguments: what describes it.
        example: arguments in their order, for a tensor that ends in a matrix of 4 x 4.
        entrywise: whether each entry is in a set of its own, whatever the others are.
        convex: whether all between two of its points is in it.
        alike: whether its projection moves equal entries of a vector by the same.
        check: returns what is wrong with the fields' values for a tensor of a shape; None if nothing is.
    """

    holds: str
    arguments: tuple[Argument, ...] = ()
    example: tuple[Any, ...] = ()
    entrywise: bool = False
    convex: bool = True
    alike: bool = False
    check: Callable[[Values, Shape], str | None] = lambda values, shape: None

    def fields(self) -> tuple[str, ...]:
        """Return the names of the fields, in their order."""
        return tuple(name for argument in self.arguments for name in argument.fields)

    def signature(self, name: str) -> str:
        """Return how the set is written, as documents show it."""
        shown = ", ".join(map(str, self.arguments))
        return f"{name}({shown})" if shown else name
