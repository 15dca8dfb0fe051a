"""What operations take and give: tensors, targets, and the index of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from xdsl.dialects.builtin import i32
from xdsl.ir import Block, SSAValue

from pjc.dialects.shapes import Shape, ShapeError
from pjc.dialects.view import element_of, shape_of

Names: TypeAlias = tuple[str | None, ...]
"""For each axis the name of its size, if it has one."""


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
class Target:
    """A target: losses compare with it, nothing else reads it."""

    name: str
    ssa: SSAValue
    names: Names
    classes: int | None

    @property
    def shape(self) -> Shape:
        return shape_of(self.ssa)

    def __str__(self) -> str:
        if self.classes is None:
            return f"{element_of(self.ssa)}{show_shape(self.shape, self.names)}"
        return f"class{show_shape((*self.shape, self.classes), (*self.names, None))}"


@dataclass(frozen=True)
class LoopIndex:
    """The iteration of a loop, or ``step`` times it plus a number; ``first`` is its value at the start.

    ``body`` is that of the loop, which has ``count`` iterations. ``t + 1``, ``t - 1`` and ``2 * t`` are
    indices too; any other arithmetic raises ShapeError.
    """

    name: str
    first: int
    body: Block = field(compare=False)
    count: int
    step: int = 1

    def __str__(self) -> str:
        return f"an index that follows '{self.name}'"

    def moved(self, operator: str, by: int) -> LoopIndex:
        """Return an index that follows the loop in other steps, or from elsewhere."""
        match operator:
            case "+":
                return replace(self, first=self.first + by)
            case "-":
                return replace(self, first=self.first - by)
            case "*" if by > 0:
                return replace(self, first=self.first * by, step=self.step * by)
        raise ShapeError(
            f"'{operator} {by}' of {self} is no index", "an index follows a loop as t, t + 1, t - 1 or 2 * t"
        )

    def __add__(self, by: int) -> LoopIndex:
        return self.moved("+", by)

    def __sub__(self, by: int) -> LoopIndex:
        return self.moved("-", by)

    def __mul__(self, by: int) -> LoopIndex:
        return self.moved("*", by)

    __radd__, __rmul__ = __add__, __mul__


def show_shape(shape: Sequence[int], names: Names) -> str:
    """Return ``[batch=128, 64]``."""
    sizes = [f"{name}={size}" if name else str(size) for size, name in zip(shape, names, strict=True)]
    return "[" + ", ".join(sizes) + "]"
