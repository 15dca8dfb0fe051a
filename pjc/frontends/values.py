"""What expressions evaluate to, and how error messages call it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.ir import Block as IrBlock

from pjc.diagnostics import Span
from pjc.dialects.ops import InitAttr
from pjc.dialects.shapes import Shape
from pjc.dialects.view import element_of, shape_of
from pjc.frontends import ast

if TYPE_CHECKING:
    from pjc.frontends.builtins import Function

Names: TypeAlias = tuple[str | None, ...]
"""For each axis the name of its size, if it has one."""


class Poison(Enum):
    """The value of an expression that was already complained of; whatever reads it says nothing."""

    POISON = "poison"


POISON = Poison.POISON


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the network."""

    ssa: SSAValue
    names: Names

    @property
    def shape(self) -> Shape:
        return shape_of(self.ssa)

    @property
    def rank(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        element = "int" if self.is_index else element_of(self.ssa)
        return f"{element}{show_shape(self.shape, self.names)}"

    @property
    def is_index(self) -> bool:
        """Whether it holds numbers of rows, which only gathers and views take."""
        return element_of(self.ssa) == i32


@dataclass(frozen=True, eq=False)
class TargetValue:
    """A target: losses compare with it, nothing else reads it."""

    name: str
    ssa: SSAValue
    names: Names
    classes: int | None

    def __str__(self) -> str:
        shape: Sequence[int] = shape_of(self.ssa)
        if self.classes is None:
            return f"{element_of(self.ssa)}{show_shape(shape, self.names)}"
        return f"class{show_shape((*shape, self.classes), (*self.names, None))}"


@dataclass(frozen=True)
class LoopIndex:
    """The name of a loop, or ``step`` times it plus a number; ``first`` is its value at the start.

    ``body`` is that of the loop, which has ``count`` iterations.
    """

    name: str
    first: int
    body: IrBlock = field(compare=False)
    count: int
    step: int = 1

    def __str__(self) -> str:
        return f"an index that follows '{self.name}'"


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


Value: TypeAlias = (
    "int | float | tuple[Value, ...] | Tensor | LoopIndex | Padding | TargetValue | Init | InitName"
    " | LossName | Block | Instance | Library | Function | Poison"
)


def show_shape(shape: Sequence[int], names: Names) -> str:
    """Return ``[batch=128, 64]``."""
    sizes = [f"{name}={size}" if name else str(size) for size, name in zip(shape, names, strict=True)]
    return "[" + ", ".join(sizes) + "]"


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
        case TargetValue():
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
MAX_TUPLE_DEPTH = 8


def joined(items: Iterable[Value]) -> tuple[Value, ...]:
    """Return a tuple; raise if it is so large or deep that walking over it could take long."""
    made = tuple(items)
    weight, depth = _extent(made)
    if weight > MAX_TUPLE:
        raise Mistake(f"a tuple may hold {MAX_TUPLE} values")
    if depth > MAX_TUPLE_DEPTH:
        raise Mistake(f"tuples may be nested {MAX_TUPLE_DEPTH} deep")
    return made


def _extent(value: Value) -> tuple[int, int]:
    """Return how many values a value holds, itself included, and how deep it is."""
    if not isinstance(value, tuple):
        return 1, 0
    below = [_extent(item) for item in value]
    return 1 + sum(weight for weight, _ in below), 1 + max((d for _, d in below), default=0)


MAX_NUMBER = 2**62


def finite(value: int | float) -> int | float:
    """Return the number, or raise if it is not finite or too large."""
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise Mistake("this integer is too large", "sizes are 64-bit integers")
    if not math.isfinite(value):
        raise Mistake(f"this number is not finite: {value}")
    return value
