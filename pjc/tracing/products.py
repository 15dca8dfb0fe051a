"""Contractions: dots of any axes, as matrix products between views."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pjc.tracing.arithmetic import reduced
from pjc.tracing.pieces import Pieces
from pjc.tracing.refusal import Refused
from pjc.tracing.shaping import taken
from pjc.tracing.values import Constant, Function, OneHot, Tensor, Value, constant
from pjc.tracing.views import broadcast, is_moved, is_settled, reshaped, transposed
from pjc.tracing.walk import Walk, handles


@handles(
    "dot_general",
    becomes="matmul of the operands, their axes in order; of some constants sums or entries, of a code rows",
)
def dot_general(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    contracting, batch = eqn.params["dimension_numbers"]
    if any(given[0].shape[axis] == 0 for axis in contracting[0]):
        shape = tuple(eqn.outvars[0].aval.shape)
        return constant(np.zeros((1,) * len(shape), np.float32), shape)  # a sum of nothing
    found = _by_constant(walk, eqn, given) or _by_code(walk, eqn, given)
    if found is not None:
        return found
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


def _by_constant(walk: Walk, eqn: Any, given: Sequence[Value]) -> Value | None:
    """Return a product with a constant that is a multiple of a sum, or of entries; None if it is neither."""
    contracting, batch = eqn.params["dimension_numbers"]
    for side in (0, 1):
        known, other = given[side], given[1 - side]
        if not isinstance(known, Constant) or isinstance(other, Constant):
            continue
        axes = list(map(int, contracting[1 - side]))
        number = known.number
        if number is not None and axes:
            x = walk.floats(other)
            order = [*map(int, batch[1 - side]), *_free(x, [*axes, *batch[1 - side]])]
            kept = sorted(order)
            total = transposed(reduced(walk, "sum", x, axes), [kept.index(axis) for axis in order])
            return _spread(total, float(number), len(batch[0]), side, eqn)
        if not batch[0] and len(axes) == 1:
            return _chosen(walk, known, walk.floats(other), axes[0], int(contracting[side][0]), side, eqn)
    return None


def _spread(total: Tensor, number: float, batch: int, side: int, eqn: Any) -> Value:
    """Return a multiple of a sum, which is the same along the free axes of the constant."""
    shape = tuple(eqn.outvars[0].aval.shape)
    own = len(total.shape) - batch
    rest = range(len(shape) - own, len(shape)) if side == 0 else range(batch, batch + own)
    wide = broadcast(total, shape, [*range(batch), *rest])
    return Function(wide, Pieces().scaled(number), shape)


def _chosen(walk: Walk, known: Constant, x: Tensor, axis: int, own: int, side: int, eqn: Any) -> Value | None:
    """Return a product with a matrix each column of which holds one number, always the same, and zeros."""
    if not is_settled(x.shape[axis]) or not all(map(is_settled, known.shape)):
        return None
    matrix = np.moveaxis(np.broadcast_to(known.array, known.shape), own, 0)
    free = matrix.shape[1:]
    matrix = matrix.reshape(matrix.shape[0], -1)
    where = matrix.argmax(0) if matrix.max(initial=0) > 0 else matrix.argmin(0)
    numbers = matrix[where, np.arange(matrix.shape[1])]
    if (np.count_nonzero(matrix, axis=0) != 1).any() or (numbers != numbers[:1]).any():
        return None
    last = transposed(x, [*_free(x, [axis]), axis])
    try:
        found = taken(walk, last, len(last.shape) - 1, [int(each) for each in where])
    except Refused:
        return None  # it has more slices than one equation may become: a product with the matrix is one
    if side == 0:
        found = transposed(found, [len(found.shape) - 1, *range(len(found.shape) - 1)])
        found = reshaped(found, (*free, *last.shape[:-1]))
    else:
        found = reshaped(found, (*last.shape[:-1], *free))
    return Function(_named(found, eqn), Pieces().scaled(float(numbers[0])), tuple(eqn.outvars[0].aval.shape))


def _by_code(walk: Walk, eqn: Any, given: Sequence[Value]) -> Value | None:
    """Return a product with a code of numbers of rows: those rows of the other operand."""
    contracting, batch = eqn.params["dimension_numbers"]
    for side in (0, 1):
        code = given[side]
        if not isinstance(code, OneHot) or batch[0] or list(contracting[side]) != [code.axis]:
            continue
        table = walk.floats(given[1 - side])
        axis = int(contracting[1 - side][0])
        first = transposed(table, [axis, *_free(table, [axis])])
        rows, rest = code.rows.shape, first.shape[1:]
        made = walk.text.bind("rows", f"gather({first.text}, {code.rows.text})", (*rows, *rest), fed=True)
        if side == 1:
            made = transposed(made, [*range(len(rows), len(made.shape)), *range(len(rows))])
        return made
    return None


def picked(walk: Walk, x: Tensor, code: OneHot, axis: int, batch: tuple[Axes, Axes]) -> Tensor:
    """Return entries along an axis by a code's numbers, others for each place along batch axes.

    Args:
        walk: the walk.
        x: what entries are taken of.
        code: the numbers, as a code whose last axis is that of the places.
        axis: the axis of x.
        batch: the axes that both share, of the code and of x.

    Returns:
        A tensor of the batch axes, the other axes of the numbers, the other axes of x.
    """
    return _matmul(walk, walk.tensor(code), x, ([code.axis], [axis]), batch)
