"""Views: the same entries in another shape or order, or some of them. They cost no copies."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import TypeAlias

from pjc.builder.place import Axes, Place, several
from pjc.builder.values import LoopIndex, Names, Tensor
from pjc.dialects import shapes, view
from pjc.dialects.loops import AtOp
from pjc.dialects.shapes import Shape, ShapeError

One: TypeAlias = int | slice | LoopIndex
"""What stands in an index for one axis."""
Item: TypeAlias = One | EllipsisType
"""What stands in an index for one axis, or for all that are left."""


class Views(Place):
    """Builds views; each returns the operand itself where nothing would change."""

    def reshape(self, x: Tensor, shape: Axes) -> Tensor:
        """Return the entries in another shape, of which one size may be -1."""
        target = shapes.reshape(x.shape, several(shape))
        if target == x.shape:
            return x
        return self.op(view.ReshapeOp(x.ssa, target), _kept(x, target))

    def flatten(self, x: Tensor) -> Tensor:
        """Return all axes but the first as one."""
        if x.rank < 2:
            raise ShapeError(f"flatten joins all axes but the first, and {x} has rank {x.rank}")
        return self.reshape(x, (x.shape[0], -1))

    def transpose(self, x: Tensor, permutation: Sequence[int] | None = None) -> Tensor:
        """Return the axes in another order, by default the reverse one."""
        if permutation is None:
            permutation = range(x.rank)[::-1]
        if x.rank and all(-x.rank <= axis < x.rank for axis in permutation):
            permutation = [axis % x.rank for axis in permutation]
        shapes.transpose(x.shape, permutation)
        if list(permutation) == list(range(x.rank)):
            return x
        names = tuple(x.names[axis] for axis in permutation)
        return self.op(view.TransposeOp(x.ssa, permutation), names)

    def broadcast(self, x: Tensor, shape: Axes, names: Names | None = None) -> Tensor:
        """Repeat to the shape, aligned at the right."""
        shape = shapes.checked(several(shape))
        if x.shape == shape:
            return x
        if len(shape) < x.rank:
            raise ShapeError(f"cannot broadcast {shapes.show(x.shape)} to {shapes.show(shape)}")
        skipped = len(shape) - x.rank
        dims = range(skipped, len(shape))
        fits = [
            name if x.shape[axis] == size else None
            for axis, (name, size) in enumerate(zip(x.names, shape[skipped:], strict=True))
        ]
        kept = names or (*[None] * skipped, *fits)
        return self.op(view.BroadcastOp(x.ssa, shape, dims), kept)

    def expand(self, x: Tensor, axis: int) -> Tensor:
        """Return the tensor with a new axis of size 1."""
        at = shapes.axis_of(axis, x.rank + 1)
        result = self.reshape(x, (*x.shape[:at], 1, *x.shape[at:]))
        return Tensor(result.ssa, (*x.names[:at], None, *x.names[at:]))

    def squeeze(self, x: Tensor, axis: Axes | None = None) -> Tensor:
        """Return the tensor without axes of size 1: those that are named, or all."""
        if axis is None:
            gone: Sequence[int] = [i for i, size in enumerate(x.shape) if size == 1]
        else:
            gone = shapes.axes_of(several(axis), x.rank)
        for i in gone:
            if x.shape[i] != 1:
                raise ShapeError(f"squeeze removes axes of size 1, but axis {i} of {x} is {x.shape[i]}")
        kept = [i for i in range(x.rank) if i not in gone]
        result = self.reshape(x, [x.shape[i] for i in kept])
        return Tensor(result.ssa, tuple(x.names[i] for i in kept))

    def slice(
        self, x: Tensor, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int]
    ) -> Tensor:
        """Return every ``strides[i]``-th entry of axis i, from ``starts[i]`` to before ``limits[i]``."""
        target = shapes.slice_(x.shape, starts, limits, strides)
        if target == x.shape:
            return x
        return self.op(view.SliceOp(x.ssa, starts, limits, strides), _equal(x, target))

    def pad(self, x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
        """Return the tensor with zeros before and after each axis."""
        if len(widths) != x.rank:
            raise ShapeError(f"pad needs a pair for each axis of {x}, found {len(widths)}")
        low, high = [before for before, _ in widths], [after for _, after in widths]
        target = shapes.pad(x.shape, low, high)
        if target == x.shape:
            return x
        return self.op(view.PadOp(x.ssa, low, high), _equal(x, target))

    def patches(
        self,
        x: Tensor,
        axes: Sequence[int],
        window: Sequence[int],
        strides: Sequence[int],
        dilation: Sequence[int] = (),
    ) -> Tensor:
        """Return windows that slide along axes; the window's own axes follow the last of them.

        Entries of a window are ``dilation`` apart, side by side where that is left out.
        """
        op = view.PatchesOp(x.ssa, axes, window, strides, dilation)
        names = tuple(None if axis in axes else name for axis, name in enumerate(x.names))
        behind = max(axes) + 1
        return self.op(op, (*names[:behind], *[None] * len(window), *names[behind:]))

    def concat(self, *inputs: Tensor, axis: int = -1) -> Tensor:
        """Return tensors joined along an axis."""
        at_least("concat", inputs, 1)
        if len(inputs) == 1:
            shapes.axis_of(axis, inputs[0].rank)
            return inputs[0]
        op = view.ConcatOp([each.ssa for each in inputs], axis)
        joined = op.axis.value.data
        names = (None if i == joined else name for i, name in enumerate(inputs[0].names))
        return self.op(op, tuple(names))

    def stack(self, *inputs: Tensor, axis: int = 0) -> Tensor:
        """Return tensors of equal shape along a new axis."""
        at_least("stack", inputs, 1)
        for x in inputs[1:]:
            if x.shape != inputs[0].shape:
                raise ShapeError(f"stack needs tensors of equal shape, found {inputs[0]} and {x}")
        return self.concat(*[self.expand(x, axis) for x in inputs], axis=axis)

    def gather(self, table: Tensor, indices: Tensor) -> Tensor:
        """Return the rows of a table that an input of integers names."""
        op = view.GatherOp(table.ssa, indices.ssa)
        return self.op(op, (*indices.names, *table.names[1:]))

    def index(self, x: Tensor, *items: Item) -> Tensor:
        """Return ``x[items]`` as NumPy does; the index of a loop takes the entry that an iteration reads.

        First the loops take theirs, then the tensor is sliced, then the axes go that an integer indexes.
        """
        given = _spread(x, items)
        x = self._followed(x, given)
        starts, limits, strides, kept = [], [], [], []
        for axis, item in enumerate(item for item in given if not isinstance(item, LoopIndex)):
            size = x.shape[axis]
            if isinstance(item, int):
                if not -size <= item < size:
                    raise ShapeError(f"index {item} is out of range for axis {axis} of {x}")
                start = item % size
                limit, step = start + 1, 1
            else:
                step = step_of(item)
                start, limit, _ = item.indices(size)
                if start >= limit:
                    raise ShapeError(f"the slice of axis {axis} of {x} is empty")
                kept.append(axis)
            starts.append(start)
            limits.append(limit)
            strides.append(min(step, size))
        cut = self.slice(x, starts, limits, strides)
        result = self.reshape(cut, [cut.shape[axis] for axis in kept])
        return Tensor(result.ssa, tuple(cut.names[axis] for axis in kept))

    def _followed(self, x: Tensor, given: Sequence[One]) -> Tensor:
        """Return the entry that an iteration reads, of the outermost loop first."""
        axes = {axis: item for axis, item in enumerate(given) if isinstance(item, LoopIndex)}
        loops = list(self.emitter.loops)
        for item in axes.values():
            if item.body not in loops:
                raise ShapeError(f"{item} indexes tensors in the body of its loop alone")
        order = sorted(axes, key=lambda axis: loops.index(axes[axis].body))
        if len({axes[axis].body for axis in order}) < len(order):
            raise ShapeError("one axis of a tensor can follow a loop, found two")
        for at, axis in enumerate(order):
            gone = sum(before < axis for before in order[:at])
            x = self._at(x, axis - gone, axes[axis])
        return x

    def _at(self, x: Tensor, axis: int, item: LoopIndex) -> Tensor:
        """Return the entry of an axis that an iteration of a loop reads."""
        if self.emitter.made_in(x.ssa, item.body):
            raise ShapeError(
                f"'{item.name}' indexes tensors from above the loop; {x} is made in it",
                "a loop carries what an iteration needs of the one before",
            )
        last = item.first + (item.count - 1) * item.step
        if item.first < 0 or last >= x.shape[axis]:
            raise ShapeError(f"the loop reads entries {item.first} to {last} of axis {axis} of {x}")
        names = (*x.names[:axis], *x.names[axis + 1 :])
        return self.op(AtOp(x.ssa, axis, item.first, item.step), names, block=item.body)


def at_least(name: str, inputs: Sequence[Tensor], count: int, hint: str | None = None) -> None:
    """Raise ShapeError unless there are so many inputs, one or two."""
    if len(inputs) < count:
        wanted, found = ("one input", "two inputs")[count - 1], ("none", "one")[len(inputs)]
        raise ShapeError(f"{name} takes at least {wanted}, got {found}", hint)


def step_of(item: slice) -> int:
    """Return the step of a slice, or raise ShapeError if it is not positive."""
    step = 1 if item.step is None else int(item.step)
    if step < 1:
        raise ShapeError(f"the step of a slice must be positive, found {step}")
    return step


def _spread(x: Tensor, items: Sequence[Item]) -> list[One]:
    """Return one item for each axis."""
    given = [item for item in items if not isinstance(item, EllipsisType)]
    if len(items) - len(given) > 1:
        raise ShapeError("an index may hold '...' once")
    if len(given) > x.rank:
        raise ShapeError(f"{len(given)} indices are too many for {x}, of rank {x.rank}")
    before = items.index(...) if ... in items else len(given)
    whole = [slice(None)] * (x.rank - len(given))
    return [*given[:before], *whole, *given[before:]]


def _equal(x: Tensor, target: Shape) -> Names:
    """Return the names of the axes whose size stays."""
    same = zip(x.names, x.shape, target, strict=True)
    return tuple(name if old == new else None for name, old, new in same)


def _kept(x: Tensor, target: Shape) -> Names:
    """Return the names that a reshape keeps: those of the first and the last equal sizes."""
    names: list[str | None] = [None] * len(target)
    old = x.shape
    first = 0
    while first < min(len(old), len(target)) and old[first] == target[first]:
        names[first] = x.names[first]
        first += 1
    last = 1
    while last <= min(len(old), len(target)) - first and old[-last] == target[-last]:
        names[-last] = x.names[-last]
        last += 1
    return tuple(names)
