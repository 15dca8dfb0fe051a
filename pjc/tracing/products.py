"""Contractions: dots of any axes, as matrix products between views."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pjc.tracing.refusal import Refused
from pjc.tracing.values import Tensor, Value, constant
from pjc.tracing.views import is_moved, reshaped, transposed
from pjc.tracing.walk import Walk, handles


@handles("dot_general", becomes="matmul of the operands, their axes in order")
def dot_general(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    contracting, batch = eqn.params["dimension_numbers"]
    if any(given[0].shape[axis] == 0 for axis in contracting[0]):
        shape = tuple(eqn.outvars[0].aval.shape)
        return constant(np.zeros((1,) * len(shape), np.float32), shape)  # a sum of nothing
    lhs, rhs = (walk.floats(each) for each in given)
    if contracting[0]:
        walk.note_contracted(lhs, rhs)
    else:
        walk.note_factor(lhs)
        walk.note_factor(rhs)
    # The sum runs along several axes in the order of the weights', which are then not moved.
    pairs = sorted(zip(*contracting, strict=True), key=lambda pair: pair[0] if rhs.fed else pair[1])
    axes = [[int(a) for a, _ in pairs], [int(b) for _, b in pairs], *(list(map(int, each)) for each in batch)]
    if (rhs.fed, lhs.fed) == (True, False) or (
        rhs.fed == lhs.fed
        and _moves(rhs, lhs, axes[1::-1], axes[:1:-1]) < _moves(lhs, rhs, axes[:2], axes[2:])
    ):
        # The weights stand second, or what is moved less first: the result's axes are in the other order.
        made = _matmul(walk, rhs, lhs, (axes[1], axes[0]), (axes[3], axes[2]))
        return _exchanged(made, rhs, lhs, len(axes[2]), len(axes[1]), eqn)
    return _named(_matmul(walk, lhs, rhs, (axes[0], axes[1]), (axes[2], axes[3])), eqn)


def _named(made: Tensor, eqn: Any) -> Tensor:
    return reshaped(made, tuple(eqn.outvars[0].aval.shape))


def _exchanged(made: Tensor, first: Tensor, second: Tensor, batch: int, contracted: int, eqn: Any) -> Tensor:
    """Return a product whose operands were exchanged, with the axes in the order that was asked for."""
    own = len(first.shape) - batch - contracted
    other = len(second.shape) - batch - contracted
    axes = [*range(batch), *range(batch + own, batch + own + other), *range(batch, batch + own)]
    return _named(transposed(made, axes), eqn)


Axes = Sequence[int]


def _free(x: Tensor, others: Axes) -> list[int]:
    return [axis for axis in range(len(x.shape)) if axis not in others]


def _operands(lhs: Tensor, rhs: Tensor, contracting: Sequence[Axes], batch: Sequence[Axes]) -> list[Tensor]:
    """Return the operands with their axes in the order of a matrix product."""
    free = [_free(x, [*contracting[side], *batch[side]]) for side, x in enumerate((lhs, rhs))]
    return [
        transposed(lhs, [*batch[0], *free[0], *contracting[0]]),
        transposed(rhs, [*batch[1], *contracting[1], *free[1]]),
    ]


def _moves(lhs: Tensor, rhs: Tensor, contracting: Sequence[Axes], batch: Sequence[Axes]) -> int:
    """Return how many of the operands are moved for a matrix product."""
    return sum(map(is_moved, _operands(lhs, rhs, contracting, batch)))


def _matmul(
    walk: Walk, lhs: Tensor, rhs: Tensor, contracting: tuple[Axes, Axes], batch: tuple[Axes, Axes]
) -> Tensor:
    """Return ``[batch.., free axes of lhs.., free axes of rhs..]``."""
    free = [_free(x, [*contracting[side], *batch[side]]) for side, x in enumerate((lhs, rhs))]
    if not contracting[0]:
        return _outer(walk, lhs, rhs, free, batch)
    a, b = _operands(lhs, rhs, contracting, batch)
    count = len(batch[0])
    shared = tuple(a.shape[:count])
    inner = prod(a.shape[count + len(free[0]) :])
    left, right = tuple(a.shape[count : count + len(free[0])]), tuple(b.shape[count + len(contracting[1]) :])
    # Without batch axes NumPy's rule takes all free axes of the first operand as they are.
    rows = left if not shared else (prod(left),) if len(left) != 1 else left
    a = reshaped(a, (*shared, *rows, inner))
    b = reshaped(b, (*shared, inner, prod(right)))
    if not shared and not rows:
        a = reshaped(a, (1, inner))
        rows = (1,)
    made = walk.text.bind(
        "dot", f"{a.text} @ {b.text}", (*shared, *rows, prod(right)), fed=lhs.fed or rhs.fed
    )
    return reshaped(made, (*shared, *left, *right))


def _outer(walk: Walk, lhs: Tensor, rhs: Tensor, free: Sequence[Axes], batch: tuple[Axes, Axes]) -> Tensor:
    """Return products of all pairs of entries, which no axis is summed over."""
    if len(free[0]) + len(free[1]) + len(batch[0]) > 6:
        raise Refused("it multiplies tensors of too many axes")
    a = transposed(lhs, [*batch[0], *free[0]])
    b = transposed(rhs, [*batch[1], *free[1]])
    count = len(batch[0])
    left, right = tuple(a.shape[count:]), tuple(b.shape[count:])
    shape = (*a.shape[:count], *left, *right)
    a = reshaped(a, (*a.shape[:count], *left, *[1] * len(right)))
    b = reshaped(b, (*b.shape[:count], *[1] * len(left), *right))
    return walk.text.bind("product", f"{a.text} * {b.text}", shape, fed=lhs.fed or rhs.fed)
