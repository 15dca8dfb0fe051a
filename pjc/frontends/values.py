"""What expressions evaluate to, and how error messages call it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.ir import Block as IrBlock

from pjc.builder.network import Site
from pjc.builder.values import LoopIndex, Names, Target, Tensor
from pjc.diagnostics import Span
from pjc.dialects.ops import InitAttr
from pjc.fields import MAX_NUMBER
from pjc.frontends import ast


class Poison(Enum):
    """The value of an expression that was already complained of; whatever reads it says nothing."""

    POISON = "poison"


POISON = Poison.POISON


@dataclass(frozen=True)
class Init:
    """A scaled initializer."""

    kind: str
    arguments: tuple[float, ...] = ()
    scale: float = 1.0


@dataclass(frozen=True)
class InitName:
    """An initializer that takes numbers and was not yet given them: ``normal``."""

    kind: str


@dataclass(frozen=True)
class Padding:
    """``SAME`` or ``VALID``: how far a convolution reaches over the edges."""

    name: str


@dataclass(frozen=True)
class LossName:
    """A loss, which only ``require`` can use."""

    name: str


@dataclass(frozen=True, eq=False)
class Block:
    """A ``def`` with what its body can see: the constants and blocks above it."""

    tree: ast.Def
    visible: Mapping[str, Value]
    defaults: Mapping[str, Value]
    constants: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Library:
    """The blocks and constants of a file that ``use`` names; ``nn.linear`` is one of them."""

    name: str
    values: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class SharedParam:
    """A parameter of a shared instance, to be found again by its later calls."""

    ssa: SSAValue
    type: TensorType[Attribute]
    names: Names
    init: InitAttr
    span: Span
    family: int | None = None
    """How many it is, along a first axis, if it is declared above loops whose iterations have one each."""


@dataclass(frozen=True, eq=False)
class Instance:
    """A block bound to a name: all its calls share these parameters."""

    block: Block
    path: str
    params: dict[str, SharedParam] = field(default_factory=dict)
    home: IrBlock | None = None
    """Where its parameters are declared: beside the loop, if it is bound above one and called in it."""
    own: tuple[IrBlock, ...] = ()
    """The loops between its home and where it is bound, whose iterations have parameters of their own."""


@dataclass(frozen=True)
class Slot:
    """A parameter of a function or a block; ``rest`` takes all positional arguments, ``named`` takes none."""

    name: str
    required: bool = True
    rest: bool = False
    named: bool = False


@dataclass(frozen=True)
class Given:
    """An argument as the call gives it."""

    name: str | None
    value: Value
    span: Span


@dataclass(frozen=True, eq=False)
class Function:
    """A builtin function; ``build`` gets the site and the converted arguments by name, ``rest`` by place."""

    name: str
    slots: tuple[Slot, ...]
    converters: Mapping[str, Callable[[Any], Any]]
    build: Callable[..., Any]

    def __call__(self, site: Site, found: Mapping[str, Sequence[Given]]) -> Any:
        """Convert the arguments and build; raise Mistake or ShapeError."""
        rest: Sequence[Any] = ()
        arguments = {}
        for slot in self.slots:
            if slot.name in found:
                given = found[slot.name]
                if slot.rest:
                    rest = self.converters[slot.name](given)
                else:
                    arguments[slot.name] = self.converters[slot.name](given[0])
        return self.build(site, *rest, **arguments)


Value: TypeAlias = (
    "int | float | tuple[Value, ...] | Tensor | LoopIndex | Padding | Target | Init | InitName"
    " | LossName | Block | Instance | Library | Function | Poison"
)


def describe(value: Value) -> str:
    """Return what a message calls the value: ``a tensor f32[batch=128, 64]``."""
    match value:
        case int() | float():
            return f"the number {value}"
        case tuple():
            return f"a tuple of {len(value)}"
        case Tensor():
            return f"indices {value}" if value.is_index else f"a tensor {value}"
        case LoopIndex():
            return str(value)
        case Padding():
            return f"the padding {value.name}"
        case Target():
            return f"the target '{value.name}'"
        case Init() | InitName():
            return f"the initializer '{value.kind}'"
        case LossName():
            return f"the loss '{value.name}'"
        case Block():
            return f"the block '{value.tree.name.id}'"
        case Instance():
            return f"the block '{value.path}'"
        case Library():
            return f"the library '{value.name}'"
        case Poison():
            return "a value with a mistake"
    return f"the function '{value.name}'"


def is_poisoned(value: Value) -> bool:
    """Return whether the value, or a part of a tuple, was complained of."""
    return value is POISON or (isinstance(value, tuple) and any(map(is_poisoned, value)))


def tensors_in(value: Value) -> list[Tensor]:
    """Return the tensors of a value, those inside tuples too."""
    if isinstance(value, tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    return [value] if isinstance(value, Tensor) else []


class Mistake(Exception):
    """An expression that has no value; ``span`` is that of the whole expression if not given."""

    def __init__(self, message: str, hint: str | None = None, span: Span | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.span = span


MAX_TUPLE = 1000
MAX_NUMBERS = 2**16
"""The most numbers of a tuple that is written out, which is as long as its text."""
MAX_TUPLE_DEPTH = 8


def joined(items: Iterable[Value]) -> tuple[Value, ...]:
    """Return a tuple; raise if it is so large or deep that walking over it could take long."""
    made = tuple(items)
    weight, _, depth = _extent(made)
    if weight > MAX_TUPLE:
        hint = f"one of numbers that are written out may hold {MAX_NUMBERS:,}"
        raise Mistake(f"a tuple may hold {MAX_TUPLE} values", hint)
    return _shallow(made, depth)


def written(numbers: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return a tuple of numbers that was written out; raise if it is so large or deep as no array is."""
    _, count, depth = _extent(numbers)
    if count > MAX_NUMBERS:
        raise Mistake(f"a tuple may hold {MAX_NUMBERS:,} numbers, found {count:,}", "a parameter holds any")
    return _shallow(numbers, depth)


def _shallow(made: tuple[Value, ...], depth: int) -> tuple[Value, ...]:
    if depth > MAX_TUPLE_DEPTH:
        raise Mistake(f"tuples may be nested {MAX_TUPLE_DEPTH} deep")
    return made


def _extent(value: Value) -> tuple[int, int, int]:
    """Return how many values a value holds with itself, how many that are no tuples, and how deep it is."""
    if not isinstance(value, tuple):
        return 1, 1, 0
    below = [_extent(item) for item in value]
    weight, count = (sum(each[index] for each in below) for index in (0, 1))
    return 1 + weight, count, 1 + max((depth for _, _, depth in below), default=0)


def finite(value: int | float) -> int | float:
    """Return the number, or raise if it is not finite or too large."""
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise Mistake("this integer is too large", "sizes are 64-bit integers")
    if not math.isfinite(value):
        raise Mistake(f"this number is not finite: {value}")
    return value
