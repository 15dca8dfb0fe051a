"""Where operations are built: what the classes that build them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Block, Operation

from pjc.builder.emitter import Emitter
from pjc.builder.values import Names, Tensor
from pjc.diagnostics import Span
from pjc.dialects import ops, shapes

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


def several(numbers: Axes) -> tuple[int, ...]:
    """Return one number, or several, as a tuple."""
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)
