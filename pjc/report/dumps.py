"""The text of a stage, with the operation of each line: its place in the source, and its node."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

from xdsl.dialects.builtin import FileLineColLoc, ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.printer import Printer

from pjc.dialects.variables import VariableOp

Place = tuple[str, int]
"""A file and a line of it, from 1."""


@dataclass(frozen=True)
class Line:
    """A line, from 0, on which an operation begins: its place and the label of its node, where known."""

    number: int
    place: Place | None
    label: str | None


@dataclass(frozen=True)
class Dump:
    """The text of a module, and the operations of its lines."""

    text: str
    lines: tuple[Line, ...]


def dump(module: ModuleOp) -> Dump:
    """Return the text of a module, which is ``str(module)``, with what stands on its lines."""
    stream = _Counting()
    printer = _Noting(stream)
    printer.print_op(module)
    variables = {op.sym_name.data: op.node.data for op in module.walk() if isinstance(op, VariableOp)}
    lines = tuple(Line(number, place_of(op), _label(op, variables)) for number, op in printer.begun)
    return Dump(stream.getvalue(), lines)


class _Counting(StringIO):
    """A stream that knows how many lines were begun behind the first."""

    line = 0

    def write(self, text: str) -> int:
        self.line += text.count("\n")
        return super().write(text)


class _Noting(Printer):
    """Prints operations, and notes the line that each begins on."""

    def __init__(self, stream: _Counting) -> None:
        super().__init__(stream)
        self.counting = stream
        self.begun: list[tuple[int, Operation]] = []

    def print_op(self, op: Operation) -> None:
        self.begun.append((self.counting.line, op))
        super().print_op(op)


def place_of(op: Operation) -> Place | None:
    """Return the file and line that an operation comes from; None if that is not known."""
    place = op.location
    return (place.filename.data, place.line.data) if isinstance(place, FileLineColLoc) else None


def _label(op: Operation, variables: dict[str, str]) -> str | None:
    """Return the label of the node that an operation is, works for, or reads a variable of."""
    for field in ("label", "node"):
        found = op.properties.get(field)
        if isinstance(found, StringAttr):
            return found.data
    found = op.properties.get("variable")
    return variables.get(found.data) if isinstance(found, StringAttr) else None
