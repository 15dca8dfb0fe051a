"""The syntax tree of a .pjn file: what the parser makes and the elaborator reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from pjc.diagnostics import Span


@dataclass(frozen=True)
class Node:
    """A piece of the file, and where it stands."""

    span: Span


# Expressions


@dataclass(frozen=True)
class Number(Node):
    """``3`` or ``0.1``."""

    value: int | float


@dataclass(frozen=True)
class Name(Node):
    """``hidden``."""

    id: str


@dataclass(frozen=True)
class Tuple(Node):
    """``(a, b)``, or a list ``[a, b]``, which means the same."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Negate(Node):
    """``-x``."""

    operand: Node


@dataclass(frozen=True)
class Chain(Node):
    """``a + b - c`` or ``a * b @ c``: operands joined by operators of one precedence."""

    operators: tuple[str, ...]
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Argument(Node):
    """``x`` or ``axis = 1`` in a call."""

    name: str | None
    value: Node


@dataclass(frozen=True)
class Call(Node):
    """``relu(x)``."""

    function: Node
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Slice(Node):
    """``1:3`` or ``::2`` in an index."""

    start: Node | None
    stop: Node | None
    step: Node | None


@dataclass(frozen=True)
class Ellipsis(Node):
    """``...`` in an index: all the axes that the others leave."""


@dataclass(frozen=True)
class Index(Node):
    """``x[0, 1:3]``."""

    base: Node
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Attribute(Node):
    """``x.shape``."""

    base: Node
    name: Name


# Statements


@dataclass(frozen=True)
class Type(Node):
    """``f32[batch, 64]``."""

    element: Name
    dims: tuple[Node, ...]


@dataclass(frozen=True)
class Use(Node):
    """``use nn``."""

    name: Name


@dataclass(frozen=True)
class Const(Node):
    """``const hidden = 128``."""

    name: Name
    value: Node


@dataclass(frozen=True)
class Input(Node):
    """``input x: f32[batch, 64]``."""

    name: Name
    type: Type


@dataclass(frozen=True)
class Target(Node):
    """``target y: class[batch, 10]``."""

    name: Name
    type: Type


@dataclass(frozen=True)
class Param(Node):
    """``param weight: f32[64, hidden] = he_normal``."""

    name: Name
    type: Type
    init: Node


@dataclass(frozen=True)
class Parameter(Node):
    """``x`` or ``scale = 1.0`` in the head of a block."""

    name: Name
    default: Node | None


@dataclass(frozen=True)
class Def(Node):
    """``def dense(x, width) { ... }``."""

    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True)
class For(Node):
    """``for t in 0..16 { ... }``."""

    name: Name
    start: Node
    stop: Node
    body: tuple[Node, ...]


@dataclass(frozen=True)
class Return(Node):
    """``return x``."""

    value: Node


@dataclass(frozen=True)
class Output(Node):
    """``output logits`` or ``output logits = dense(x)``."""

    name: Name | None
    value: Node


@dataclass(frozen=True)
class Require(Node):
    """``require cross_entropy(logits, y)``, or ``require weight in box(-1, 1)``: a value and its set."""

    loss: Node
    within: Node | None = None


@dataclass(frozen=True)
class Assign(Node):
    """``h = relu(x)`` or ``a, b = split(x)``."""

    targets: tuple[Name, ...]
    value: Node


@dataclass(frozen=True)
class Evaluate(Node):
    """An expression that stands alone; nothing uses its value."""

    value: Node


@dataclass(frozen=True)
class File(Node):
    """A whole file. ``source`` is its text as it was parsed, for the lines of error messages."""

    statements: tuple[Node, ...]
    source: str = field(repr=False, compare=False)


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the nodes directly below, each with the name of its field."""
    for each in fields(node):
        value = getattr(node, each.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Node):
                yield each.name, item


def show(tree: Node) -> str:
    """Return the tree as indented text, one node a line: its kind, what it holds, its place."""
    lines: list[str] = []
    stack = [(0, "", tree)]
    while stack:
        depth, label, node = stack.pop()
        lines.append("  " * depth + label + _head(node))
        below = [(depth + 1, f"{name}: ", child) for name, child in children(node)]
        stack += reversed(below)
    return "\n".join(lines)


def _head(node: Node) -> str:
    """Return a node's line: ``Number 0.1 (3:9)``."""
    words = [type(node).__name__]
    for each in fields(node):
        value = getattr(node, each.name)
        if isinstance(value, str) and each.name != "source":
            words.append(value)
        elif each.name == "operators":
            words += value
        elif isinstance(value, int | float):
            words.append(repr(value))
    return " ".join(words) + f" ({node.span.line}:{node.span.column})"
