"""Where operations are built: what the classes that build them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Block, Operation

from pjc.builder.emitter import Emitter
from pjc.builder.values import Names, Tensor
from pjc.diagnostics import Span
from pjc.dialects import ops, shapes
from pjc.dialects.shapes import ShapeError

Axes = int | Sequence[int]
"""One axis or several; negative ones count from the last."""


@dataclass(eq=False)
class Place:
    """A part of a network, whose labels begin with ``scope``, and a place in a file, if there is one."""

    emitter: Emitter = field(default_factory=Emitter)
    scope: str = ""
    span: Span | None = None

    def label(self, name: str) -> str:
        """Return the dotted name of something that belongs to this scope."""
        return f"{self.scope}.{name}" if self.scope else name

    def op(
        self, op: Operation, names: Names, written: str | None = None, block: Block | None = None
    ) -> Tensor:
        """Append an op and return its result; it is labelled as it was written, or by its kind.

        It goes to another block than the current one if one is given.
        """
        label = self.label(written or op.name.split(".")[1])
        result = self.emitter.add(op, label, self.span, block)
        assert result is not None
        return Tensor(result, names)

    def full(self, shape: Axes, value: float = 0.0) -> Tensor:
        """Return a tensor of one number."""
        sizes = shapes.checked(several(shape))
        kind = TensorType(self.emitter.element, sizes)
        return self.op(ops.ConstantOp(value, kind), (None,) * len(sizes))

    def array(self, values: Any) -> Tensor:
        """Return a constant tensor of the numbers in an array, or in nested sequences.

        It is put above all loops, so that iterations can read it whole, or one entry of an axis each.
        """
        if getattr(getattr(values, "dtype", None), "kind", "") == "b":  # a mask
            values = values.astype(float)
        try:
            numbers, sizes = entries(values)
        except (TypeError, ValueError):
            shown = " ".join(repr(values).split())[:80]
            raise ShapeError(
                f"array takes numbers in nested sequences of equal lengths, found {shown}"
            ) from None
        kind = TensorType(self.emitter.element, shapes.checked(sizes))
        if all(number == numbers[0] for number in numbers):
            held: float | list[float] = numbers[0]
        elif len(numbers) > ops.MAX_ENTRIES:
            raise ShapeError(ops.too_many(len(numbers)))
        else:
            held = numbers
        return self.op(ops.ConstantOp(held, kind), (None,) * len(sizes), block=self.emitter.top)


def entries(value: Any) -> tuple[list[float], list[int]]:
    """Return the numbers in an array or nested sequences, and their shape; raises TypeError or ValueError."""
    shape: list[int] = []
    rows = [value.tolist() if hasattr(value, "tolist") else value]
    while rows and isinstance(rows[0], Sequence) and not isinstance(rows[0], str | bytes):
        if len({len(row) for row in rows}) > 1:
            raise ValueError
        shape.append(len(rows[0]))
        rows = [each for row in rows for each in row]
    return [one_number(row) for row in rows], shape


def one_number(value: Any) -> float:
    """Return a number as a float; raises TypeError for texts, of which float would take some."""
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return float(value)


def several(numbers: Axes) -> tuple[int, ...]:
    """Return one number, or several, as a tuple."""
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)
