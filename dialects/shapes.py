"""The shape rules of the operations: pure functions on tuples of sizes, shared by frontends and verifiers.

Every rule raises :class:`ShapeError` with what was found and what was expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pjc.diagnostics import PjcError

Shape = tuple[int, ...]

MAX_ENTRIES = 2**36
"""Tensors with more entries than this are refused: no machine holds one, and sizes stay in int64."""


class ShapeError(PjcError, ValueError):
    """Operands whose shapes do not fit an operation. ``hint`` says what to do, if that is known."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {hint}")


def show(shape: Sequence[int]) -> str:
    """Return the shape as the user writes it: ``[128, 64]``."""
    return "[" + ", ".join(map(str, shape)) + "]"


def checked(shape: Sequence[int]) -> Shape:
    """Return the shape as a tuple, or raise if a size is not positive or the whole is too large."""
    shape = tuple(shape)
    for size in shape:
        if size < 1:
            raise ShapeError(f"every dimension must be at least 1, found {show(shape)}")
    if prod(shape) > MAX_ENTRIES:
        raise ShapeError(
            f"a tensor of shape {show(shape)} has {prod(shape):.3g} entries, "
            f"more than the {MAX_ENTRIES:.3g} that are allowed"
        )
    return shape


def axis_of(axis: int, rank: int) -> int:
    """Return the axis counted from the front, for an axis that may be negative."""
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} is out of range for a tensor of rank {rank}")
    return axis % rank


def axes_of(axes: Sequence[int], rank: int) -> Shape:
    """Return distinct axes, counted from the front and in increasing order."""
    found = sorted(axis_of(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise ShapeError(f"axes {show(tuple(axes))} name one axis twice")
    return tuple(found)


def require_counted(axes: Sequence[int], rank: int) -> None:
    """Raise ShapeError unless axes are as the IR writes them: counted from the front, in increasing order."""
    found = axes_of(axes, rank)
    if tuple(axes) != found:
        raise ShapeError(f"axes are counted from the front, in order: {show(found)}, not {show(tuple(axes))}")


def matmul(lhs: Shape, rhs: Shape) -> Shape:
    """``[*batch, K, N] @ [*batch, N, M] -> [*batch, K, M]``, equal batch sizes on both sides."""
    if len(lhs) != len(rhs) or len(lhs) < 2:
        raise ShapeError(
            f"'@' takes two operands of equal rank, at least 2, found {show(lhs)} and {show(rhs)}"
        )
    if lhs[-1] != rhs[-2]:
        raise ShapeError(
            f"'@' needs the last dimension of {show(lhs)} to equal the second to last of "
            f"{show(rhs)}, found {lhs[-1]} and {rhs[-2]}",
            hint="transpose one of the two?" if lhs[-1] == rhs[-1] else None,
        )
    if lhs[:-2] != rhs[:-2]:
        raise ShapeError(f"'@' needs equal leading dimensions, found {show(lhs[:-2])} and {show(rhs[:-2])}")
    return checked((*lhs[:-1], rhs[-1]))


def broadcast_together(shapes: Sequence[Shape]) -> Shape:
    """NumPy's rule: align at the right; sizes must be equal or 1."""
    return checked(broadcast_sizes(shapes))


def broadcast_sizes(shapes: Sequence[Shape]) -> Shape:
    """The same for sizes that may only stand for others, so that their product means nothing."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        larger = {size for size in sizes if size != 1}
        if len(larger) > 1:
            listed = " and ".join(show(shape) for shape in shapes)
            raise ShapeError(f"shapes {listed} do not broadcast together")
        result.append(larger.pop() if larger else 1)
    return tuple(result)


def elementwise(shapes: Sequence[Shape], axes: Sequence[int]) -> Shape:
    """Equal shapes, with the named axes reduced away."""
    if not shapes:
        raise ShapeError("at least one operand is needed, found none")
    for shape in shapes[1:]:
        if shape != shapes[0]:
            raise ShapeError(f"operands must have equal shapes, found {show(shapes[0])} and {show(shape)}")
    reduced = axes_of(axes, len(shapes[0]))
    return tuple(size for axis, size in enumerate(shapes[0]) if axis not in reduced)


def reshape(shape: Shape, target: Shape) -> Shape:
    """The same entries in row-major order; one size of the target may be -1, to be filled in."""
    if target.count(-1) > 1:
        raise ShapeError(f"a shape may leave one dimension open (-1), found {show(target)}")
    if -1 in target:
        known = prod(size for size in target if size != -1)
        if known < 1 or prod(shape) % known:
            raise ShapeError(f"cannot reshape {show(shape)} to {show(target)}")
        target = tuple(prod(shape) // known if size == -1 else size for size in target)
    if prod(shape) != prod(target):
        raise ShapeError(
            f"cannot reshape {show(shape)} ({prod(shape)} entries) to {show(target)} ({prod(target)} entries)"
        )
    return checked(target)


def transpose(shape: Shape, permutation: Sequence[int]) -> Shape:
    """Result axis ``i`` is operand axis ``permutation[i]``."""
    if sorted(permutation) != list(range(len(shape))):
        raise ShapeError(
            f"a transpose of {show(shape)} needs a permutation of its {len(shape)} axes, "
            f"found {show(tuple(permutation))}"
        )
    return tuple(shape[axis] for axis in permutation)


def broadcast(shape: Shape, target: Shape, dims: Sequence[int]) -> Shape:
    """Operand axis ``i`` becomes result axis ``dims[i]``, repeated there if its size is 1."""
    if len(dims) != len(shape) or list(dims) != sorted(set(dims)):
        raise ShapeError(
            f"a broadcast of {show(shape)} needs {len(shape)} increasing axes, found {show(tuple(dims))}"
        )
    for axis, dim in enumerate(dims):
        if not 0 <= dim < len(target) or shape[axis] not in (1, target[dim]):
            raise ShapeError(f"cannot broadcast {show(shape)} to {show(target)} along {show(dims)}")
    return checked(target)


def slice_(shape: Shape, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int]) -> Shape:
    """Entries ``starts[i], starts[i] + strides[i], ... < limits[i]`` of each axis."""
    if not len(starts) == len(limits) == len(strides) == len(shape):
        raise ShapeError(f"a slice of {show(shape)} needs {len(shape)} starts, limits and strides")
    result = []
    for size, start, limit, stride in zip(shape, starts, limits, strides, strict=True):
        if not 0 <= start < limit <= size or stride < 1:
            raise ShapeError(f"a slice {start}:{limit}:{stride} does not fit a dimension of size {size}")
        result.append(-(-(limit - start) // stride))
    return tuple(result)


def pad(shape: Shape, low: Sequence[int], high: Sequence[int]) -> Shape:
    """``low[i]`` entries before and ``high[i]`` after each axis."""
    if len(low) != len(shape) or len(high) != len(shape):
        raise ShapeError(f"a pad of {show(shape)} needs {len(shape)} low and high widths")
    if min((*low, *high), default=0) < 0:
        raise ShapeError(f"pad widths must not be negative, found {show(low)} and {show(high)}")
    return checked([a + size + b for a, size, b in zip(low, shape, high, strict=True)])


def gather(table: Shape, indices: Shape) -> Shape:
    """Rows of a table by number: the shape of the indices, then that of a row."""
    if not table:
        raise ShapeError("a gather takes rows of a table of rank 1 or more, found a scalar")
    return checked((*indices, *table[1:]))


def patches(
    shape: Shape,
    axes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> Shape:
    """Windows that slide along axes: these count positions, and the window's axes follow the last of them.

    Of what a window covers it has every ``dilation``-th entry.
    """
    numbers = (window, strides, dilation)
    if any(len(each) != len(axes) for each in numbers) or list(axes) != sorted(set(axes)):
        raise ShapeError(
            f"patches need a window, a stride and a dilation for each of their axes, found {show(axes)}, "
            f"{show(window)}, {show(strides)} and {show(dilation)}"
        )
    result = list(shape)
    for axis, size, stride, apart in zip(axes, *numbers, strict=True):
        reach = covered(size, apart)
        if not 0 <= axis < len(shape) or min(size, stride, apart) < 1 or reach > shape[axis]:
            gaps = f", dilation {apart}" if apart != 1 else ""
            raise ShapeError(
                f"a window of {size} with stride {stride}{gaps} does not fit axis {axis} of {show(shape)}"
            )
        result[axis] = (shape[axis] - reach) // stride + 1
    behind = max(axes, default=-1) + 1
    return checked((*result[:behind], *window, *result[behind:]))


def covered(window: int, dilation: int) -> int:
    """Return how many entries a window reaches over, whose entries are so far apart."""
    return (window - 1) * dilation + 1


def convolution(
    image: Shape,
    weight: Shape,
    *,
    strides: Sequence[int],
    dilation: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
) -> Shape:
    """``[batch, height, width, N]`` by ``[*window, N, M] -> [batch, P, Q, M]``, zeros around the image."""
    numbers = (strides, dilation, low, high)
    if len(image) != 4 or len(weight) != 4 or image[3] != weight[2] or any(len(n) != 2 for n in numbers):
        raise ShapeError(
            f"a convolution takes [batch, height, width, N] and [height, width, N, M], found {show(image)} "
            f"and {show(weight)}, and two each of strides, dilation, low and high"
        )
    if min(*strides, *dilation) < 1 or min(*low, *high) < 0:
        raise ShapeError(
            f"strides and dilations are at least 1, and pads at least 0, found {show(strides)}, "
            f"{show(dilation)}, {show(low)} and {show(high)}"
        )
    reach = [covered(size, step) for size, step in zip(weight[:2], dilation, strict=True)]
    room = [a + n + b for a, n, b in zip(low, image[1:3], high, strict=True)]
    if any(needed > found for needed, found in zip(reach, room, strict=True)):
        raise ShapeError(f"windows of {show(reach)} do not fit an image of {show(room)}, pads included")
    places = [(n - r) // stride + 1 for n, r, stride in zip(room, reach, strides, strict=True)]
    return checked((image[0], *places, weight[3]))


def concat(shapes: Sequence[Shape], axis: int) -> Shape:
    """Shapes that differ at most along the axis, laid one after another there."""
    if not shapes:
        raise ShapeError("at least one operand is needed, found none")
    first = shapes[0]
    axis = axis_of(axis, len(first))
    for shape in shapes[1:]:
        if len(shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(first, shape, strict=True)) if i != axis
        ):
            raise ShapeError(
                f"a concat along axis {axis} needs shapes that agree elsewhere, "
                f"found {show(first)} and {show(shape)}"
            )
    return checked((*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :]))


def columns(shape: Shape) -> int:
    """Return how many columns numbers have: one for each entry of the last axis, where there is another."""
    return shape[-1] if len(shape) > 1 else 1
