"""The sets that values can be required to be in: ``net.require_in(w, sets.box(-1, 1))``.

``axis`` names the axes of the vectors that a set is of; by default the whole tensor is one vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, IntegerType, f64, i64
from xdsl.ir import Attribute

from pjc.builder.place import Axes, several
from pjc.builder.values import Tensor
from pjc.dialects import shapes
from pjc.dialects.shapes import ShapeError

Fields = Mapping[str, Attribute]


@dataclass(frozen=True)
class Set:
    """A set by its name, and what describes it among tensors like the one that is given."""

    name: str
    fields: Callable[[Tensor], Fields]


def box(low: float, high: float) -> Set:
    """Entries from ``low`` to ``high``."""
    if low > high:
        raise ShapeError(f"box needs low <= high, found low = {low:g} and high = {high:g}")
    return Set("box", lambda x: {"low": _number(low), "high": _number(high)})


def nonneg() -> Set:
    """Entries of at least 0."""
    return Set("nonneg", lambda x: {})


def ball(radius: float = 1.0, axis: Axes | None = None) -> Set:
    """Vectors of Euclidean norm at most ``radius``."""
    return Set("ball", lambda x: {"radius": _number(radius), "axes": _along(axis, x)})


def sphere(radius: float = 1.0, axis: Axes | None = None) -> Set:
    """Vectors of Euclidean norm ``radius``."""
    return Set("sphere", lambda x: {"radius": _number(radius), "axes": _along(axis, x)})


def simplex(total: float = 1.0, axis: Axes | None = None) -> Set:
    """Vectors of entries of at least 0 whose sum is ``total``."""
    return Set("simplex", lambda x: {"total": _number(total), "axes": _along(axis, x)})


def sparse(k: int, axis: Axes | None = None) -> Set:
    """Vectors of at most ``k`` entries that are not 0."""

    def fields(x: Tensor) -> Fields:
        axes = _along(axis, x)
        size = prod(x.shape[each] for each in axes.get_values())
        if not 1 <= k <= size:
            raise ShapeError(f"sparse needs a k from 1 to {size}, the entries of a vector of {x}; found {k}")
        return {"k": IntegerAttr(k, i64), "axes": axes}

    return Set("sparse", fields)


def levels(*values: float, rate: float = 100.0) -> Set:
    """Entries that are one of some numbers, which increase; ``rate`` is how fast training insists on it."""
    return Set("levels", lambda x: {"levels": _floats(values), "rate": _number(rate)})


def mask(entries: Sequence[float], shape: Sequence[int] = ()) -> Set:
    """Tensors that are 0 where the entries, of a shape that the tensor's ends with, are 0."""
    return Set("mask", lambda x: _fitted("the mask", entries, shape, x))


def equal(entries: Sequence[float], shape: Sequence[int] = ()) -> Set:
    """The one tensor of these entries, of a shape that the tensor's ends with."""
    return Set("equal", lambda x: _fitted("the value", entries, shape, x))


def rank(rank: int) -> Set:
    """Matrices of at most a rank, along the last two axes."""

    def fields(x: Tensor) -> Fields:
        if x.rank < 2:
            raise ShapeError(f"a rank is one of matrices, found {x}")
        if not 1 <= rank <= min(x.shape[-2:]):
            raise ShapeError(f"rank needs a number from 1 to {min(x.shape[-2:])} for {x}, found {rank}")
        return {"rank": IntegerAttr(rank, i64)}

    return Set("rank", fields)


SETS = {
    made.__name__: made for made in (box, nonneg, ball, sphere, simplex, sparse, levels, mask, equal, rank)
}
"""What makes each set, by its name."""


def _number(value: float) -> Attribute:
    return FloatAttr(float(value), f64)


def _floats(values: Sequence[float]) -> Attribute:
    return DenseArrayBase.from_list(f64, [float(value) for value in values])


def _fitted(what: str, entries: Sequence[float], shape: Sequence[int], x: Tensor) -> Fields:
    if shape and x.shape[-len(shape) :] != tuple(shape):
        raise ShapeError(f"{what} has the shape {shapes.show(shape)}, which is not the end of that of {x}")
    return {"entries": _floats(entries), "shape": DenseArrayBase.from_list(i64, list(shape))}


def _along(axis: Axes | None, x: Tensor) -> DenseArrayBase[IntegerType]:
    """Return the axes of the vectors that a set is of: all of them if none are named."""
    if not x.rank:
        raise ShapeError("a set of vectors needs a tensor of rank 1 or more, found a single number")
    axes = shapes.axes_of(range(x.rank) if axis is None else several(axis), x.rank)
    return DenseArrayBase.from_list(i64, list(axes))
