"""What a value of a traced function can be to the compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import numpy as np

from pjc.tracing.pieces import Pieces

Shape: TypeAlias = tuple[Any, ...]
"""Sizes: whole numbers, and JAX's symbolic dimensions."""
PREFIX = "pjc:"
"""What the names of calls begin with that tracing knows."""


@dataclass(frozen=True)
class Constant:
    """What depends on neither data nor parameters: numbers that are known now.

    ``array`` has the rank of the value, and along each axis the value's size, or 1 where it repeats itself
    along that axis, which may then be of a symbolic size.
    """

    array: np.ndarray[Any, Any]
    shape: Shape

    @property
    def number(self) -> Any:
        """The one number that the value repeats everywhere; None where there are several."""
        if self.array.size == 1:
            return self.array.reshape(-1)[0]
        first = self.array.reshape(-1)[:1]
        return first[0] if first.size and bool((self.array == first).all()) else None

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers or truth values, rather than numbers with fractions."""
        return self.array.dtype.kind in "biu"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value that the text has a name or an expression for.

    Attributes:
        text: the name or the expression, which needs no brackets.
        shape: its sizes.
        fed: whether it depends on inputs.
        whole: whether it holds numbers of rows.
        source: what it is a view of, if of anything: the same entries in another shape or order.
        order: the axes of the source that are larger than 1, in the view's order; None where the view has the
            source's entries in row-major order, in any shape.
        narrow: of what is repeated, what it was before: of the same rank.
        cut: of entries taken from a tensor, the tensor's text and an index for each of its axes.
    """

    text: str
    shape: Shape
    fed: bool = False
    whole: bool = False
    source: Tensor | None = None
    order: tuple[int, ...] | None = None
    narrow: Tensor | None = None
    cut: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, eq=False)
class Function:
    """A piecewise linear function of a tensor, entry by entry, which the text does not have yet."""

    of: Tensor
    pieces: Pieces
    shape: Shape
    made: list[Tensor] = field(default_factory=list)
    """The tensor, once the text has it."""


@dataclass(frozen=True, eq=False)
class Test:
    """Where a function of a tensor is true: pieces with slope 0 that are 1 there, and 0 elsewhere."""

    of: Tensor
    pieces: Pieces
    shape: Shape


@dataclass(frozen=True)
class Place:
    """A whole number that counts with a loop: ``factor`` times its iteration, and ``offset``."""

    loop: str
    count: int
    factor: int
    offset: int
    shape: Shape = ()

    def text(self) -> str:
        """Return the expression for it."""
        if self.factor == 0:
            return str(self.offset)
        turn = self.loop if self.factor == 1 else f"{self.factor} * {self.loop}"
        sign = "-" if self.offset < 0 else "+"
        return turn if not self.offset else f"{turn} {sign} {abs(self.offset)}"

    def numbers(self) -> list[int]:
        """Return what it is in each iteration."""
        return [self.factor * turn + self.offset for turn in range(self.count)]

    @property
    def ends(self) -> tuple[int, int]:
        """What it is in the first iteration and in the last."""
        return self.offset, self.factor * (self.count - 1) + self.offset

    def map(self, change: Callable[[int], int]) -> Place:
        """Return a linear function of it."""
        zero, one = change(self.offset), change(self.factor + self.offset)
        return Place(self.loop, self.count, one - zero, zero, self.shape)


@dataclass(frozen=True)
class Wrap:
    """A step of how NumPy counts rows from the end: whether rows are below 0, or rows plus the size."""

    rows: Tensor
    shape: Shape
    added: Any = None


@dataclass(frozen=True, eq=False)
class OneHot:
    """1 where a number of rows is the place along an axis, 0 elsewhere: a code, which the text may not need.

    Attributes:
        rows: the numbers, without that axis; they are below its size.
        axis: the axis.
        shape: the sizes of the code.
    """

    rows: Tensor
    axis: int
    shape: Shape
    made: list[Tensor] = field(default_factory=list)
    """The tensor, once the text has it."""


@dataclass(frozen=True)
class Columns:
    """Numbers of entries along several axes: one value for each, along a last axis."""

    parts: tuple[Value, ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Keys:
    """Keys of random numbers, which are known."""

    array: Any
    shape: Shape


@dataclass(frozen=True)
class Size:
    """A size that is open, as a number."""

    shape: Shape = ()


@dataclass(frozen=True)
class Failed:
    """What an equation that cannot be compiled would have made."""

    shape: Shape


Value: TypeAlias = (
    Constant | Tensor | Function | Test | Place | Wrap | OneHot | Columns | Keys | Size | Failed
)


def constant(array: Any, shape: Sequence[Any] | None = None) -> Constant:
    """Return numbers as a constant, of the array's own shape if not of another."""
    found = np.asarray(array)
    return Constant(found, found.shape if shape is None else tuple(shape))


def floating(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers as floats, float32 or a type that holds more where they have one."""
    return array.astype(np.result_type(array.dtype, np.float32))


def known(value: Any, shape: Sequence[Any] | None = None) -> Constant | Keys:
    """Return what is known now: numbers or keys."""
    if jax.numpy.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key):
        return Keys(value, tuple(value.shape))
    found = np.asarray(value)
    return constant(compact(found), found.shape if shape is None else shape)


def compact(found: np.ndarray[Any, Any], most: int = 2**22) -> np.ndarray[Any, Any]:
    """Return an array with an axis of size 1 wherever it repeats itself along the axis."""
    if found.size > most:
        return found
    for axis, size in enumerate(found.shape):
        first = found.take([0], axis) if size > 1 else found
        if size > 1 and bool((found == first).all()):
            found = first
    return found
