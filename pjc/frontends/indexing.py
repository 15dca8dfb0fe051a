"""``x[0, 1:3]``: slices and indices of tensors and of tuples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

from pjc.dialects.loops import AtOp
from pjc.frontends.emitter import Site
from pjc.frontends.values import LoopIndex, Mistake, Tensor, Value


@dataclass(frozen=True)
class Range:
    """``start:stop:step``; None where the file says nothing."""

    start: int | None
    stop: int | None
    step: int | None


Item: TypeAlias = int | Range | LoopIndex | EllipsisType


def index_tuple(value: tuple[Value, ...], items: Sequence[Item]) -> Value:
    """Return an entry or a part of a tuple."""
    if len(items) != 1 or items[0] is ...:
        raise Mistake("a tuple takes one index")
    item = items[0]
    if isinstance(item, LoopIndex):
        raise Mistake("a loop cannot index a tuple", "stack its tensors and index the result")
    if isinstance(item, int):
        if not -len(value) <= item < len(value):
            raise Mistake(f"index {item} is out of range for a tuple of {len(value)}")
        return value[item]
    assert isinstance(item, Range)
    return value[slice(item.start, item.stop, _step(item))]


def index_tensor(site: Site, x: Tensor, items: Sequence[Item]) -> Tensor:
    """Take a loop's slice, then slice the tensor, then drop the axes that an integer indexes."""
    given = _spread(x, items)
    x = _followed(site, x, given)
    starts, limits, strides, kept = [], [], [], []
    for axis, item in enumerate(item for item in given if not isinstance(item, LoopIndex)):
        size = x.shape[axis]
        if isinstance(item, int):
            if not -size <= item < size:
                raise Mistake(f"index {item} is out of range for axis {axis} of {x}")
            start = item % size
            limit, step = start + 1, 1
        else:
            step = _step(item)
            start, limit, _ = slice(item.start, item.stop, step).indices(size)
            if start >= limit:
                raise Mistake(f"the slice of axis {axis} of {x} is empty")
            kept.append(axis)
        starts.append(start)
        limits.append(limit)
        strides.append(min(step, size))
    cut = site.slice(x, starts, limits, strides)
    result = site.reshape(cut, [cut.shape[axis] for axis in kept])
    return Tensor(result.ssa, tuple(cut.names[axis] for axis in kept))


def _followed(site: Site, x: Tensor, given: Sequence[int | Range | LoopIndex]) -> Tensor:
    """Return the slice that an iteration reads, of the outermost loop first."""
    axes = {axis: item for axis, item in enumerate(given) if isinstance(item, LoopIndex)}
    loops = list(site.emitter.loops)
    order = sorted(axes, key=lambda axis: loops.index(axes[axis].body))
    if len({axes[axis].body for axis in order}) < len(order):
        raise Mistake("one axis of a tensor can follow a loop, found two")
    for at, axis in enumerate(order):
        gone = sum(before < axis for before in order[:at])
        x = _at(site, x, axis - gone, axes[axis])
    return x


def _at(site: Site, x: Tensor, axis: int, item: LoopIndex) -> Tensor:
    """Return the slice of a tensor that an iteration of a loop reads."""
    if site.emitter.made_in(x.ssa, item.body):
        raise Mistake(f"'{item.name}' indexes tensors from above the loop; {x} is made in it",
                      "a loop carries what an iteration needs of the one before")  # fmt: skip
    last = item.first + (item.count - 1) * item.step
    if item.first < 0 or last >= x.shape[axis]:
        raise Mistake(f"the loop reads entries {item.first} to {last} of axis {axis} of {x}")
    names = (*x.names[:axis], *x.names[axis + 1 :])
    return site.op(AtOp(x.ssa, axis, item.first, item.step), names, block=item.body)


def _step(item: Range) -> int:
    step = 1 if item.step is None else item.step
    if step < 1:
        raise Mistake(f"the step of a slice must be positive, found {step}")
    return step


def _spread(x: Tensor, items: Sequence[Item]) -> list[int | Range | LoopIndex]:
    """Return one item for each axis."""
    given = [item for item in items if not isinstance(item, EllipsisType)]
    if len(items) - len(given) > 1:
        raise Mistake("an index may hold '...' once")
    if len(given) > x.rank:
        raise Mistake(f"{len(given)} indices are too many for {x}, of rank {x.rank}")
    before = items.index(...) if ... in items else len(given)
    whole = [Range(None, None, None)] * (x.rank - len(given))
    return [*given[:before], *whole, *given[before:]]
