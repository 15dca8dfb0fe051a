"""Entries taken from known places, and put there: every way of indexing by constants becomes views.

Places are numbers of entries in row-major order, of a tensor whose open axes count as axes of size 1: what is
taken takes those axes whole.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pjc.tracing.arithmetic import product
from pjc.tracing.joining import joined, moved, slice_text
from pjc.tracing.refusal import Refused
from pjc.tracing.shaping import taken
from pjc.tracing.values import Constant, Shape, Tensor, Value, constant, floating
from pjc.tracing.views import broadcast, indexed, is_settled, reshaped, transposed
from pjc.tracing.walk import MAX_FOLDED, Walk

Places = np.ndarray[Any, Any]


def settled(shape: Shape) -> tuple[int, ...]:
    """Return sizes, with 1 for those that are open."""
    return tuple(int(size) if is_settled(size) else 1 for size in shape)


def numbered(shape: Shape, first: int = 0) -> Places:
    """Return the place of each entry of a shape, counted from a number.

    Raises:
        Refused: if there are too many.
    """
    held = settled(shape)
    if prod(held) > MAX_FOLDED:
        raise Refused(f"it takes or puts entries one by one in {prod(held):,} numbers", "slices are views")
    return np.arange(first, first + prod(held), dtype=np.int32).reshape(held)


def placed(walk: Walk, x: Tensor, places: Places, out: Shape) -> Tensor:
    """Return the entries of a tensor at places.

    Args:
        walk: the walk.
        x: the tensor.
        places: for each entry of the result its place in the tensor.
        out: the shape of the result; its open axes are those of the tensor, in their order.
    """
    where = dict(enumerate(np.unravel_index(places, settled(x.shape))))
    runs = {axis: _varies(where[axis]) for axis, size in enumerate(x.shape) if is_settled(size) and size > 1}
    texts = [str(int(where[axis].flat[0])) if runs.get(axis) == [] else ":" for axis in range(len(x.shape))]
    kept = [axis for axis, text in enumerate(texts) if text == ":"]
    x = indexed(x, texts, [x.shape[axis] for axis in kept])
    readers = Counter(each for found in runs.values() for each in found)
    alone = {axis: found[0] for axis, found in runs.items() if len(found) == 1 and readers[found[0]] == 1}
    opens = [at for at, size in enumerate(out) if not is_settled(size)]
    labels: list[int | None] = []
    for at, axis in enumerate(kept):
        if axis in alone:
            wanted = [int(each) for each in _along(where[axis], [alone[axis]])]
            if wanted != list(range(x.shape[at])):
                x = taken(walk, x, at, wanted)
        labels.append(alone.get(axis) if is_settled(x.shape[at]) else opens.pop(0))
    joint = [at for at, axis in enumerate(kept) if runs.get(axis) and axis not in alone]
    if joint:
        x, labels = _jointly(walk, x, [where[kept[at]] for at in joint], joint, labels, out)
    return _in_order(x, labels, out)


def _varies(numbers: Places) -> list[int]:
    """Return the axes along which numbers vary."""
    return [at for at in range(numbers.ndim) if bool((numbers != numbers.take([0], at)).any())]


def _along(numbers: Places, axes: Sequence[int]) -> Places:
    """Return numbers along the axes that they vary along."""
    return numbers[tuple(slice(None) if at in axes else 0 for at in range(numbers.ndim))]


def _jointly(
    walk: Walk, x: Tensor, where: Sequence[Places], joint: list[int], labels: list[int | None], out: Shape
) -> tuple[Tensor, list[int | None]]:
    """Take entries along several axes at once, as along one that is made of them."""
    others = [at for at in range(len(x.shape)) if at not in joint]
    lengths = [x.shape[at] for at in joint]
    axes = sorted({axis for each in where for axis in _varies(each)})
    first = [x.shape[at] for at in others]
    x = reshaped(transposed(x, [*others, *joint]), [*first, prod(lengths)])
    flat = np.ravel_multi_index([_along(each, axes) for each in where], lengths)
    x = taken(walk, x, len(others), [int(each) for each in flat.reshape(-1)])
    x = reshaped(x, [*first, *(out[axis] for axis in axes)])
    return x, [*(labels[at] for at in others), *axes]


def _in_order(x: Tensor, labels: Sequence[int | None], out: Shape) -> Tensor:
    """Return a tensor with its axes where they are in the result, repeated along the others."""
    known = {label: at for at, label in enumerate(labels) if label is not None}
    rest = [at for at, label in enumerate(labels) if label is None]
    x = transposed(x, [*(known[label] for label in sorted(known)), *rest])
    x = reshaped(x, [size if at in known else 1 for at, size in enumerate(out)])
    return broadcast(x, out, range(len(out)))


def replaced(walk: Walk, value: Value, updates: Value, places: Places) -> Value:
    """Return a value with other entries at some places.

    Args:
        walk: the walk.
        value: the value.
        updates: the other entries.
        places: for each entry of the result its place in the value, or, from the value's number of entries
            on, in the updates.
    """
    count = prod(settled(value.shape))
    new = places >= count
    if not new.any():
        return value
    axis = next((at for at in range(new.ndim) if _varies(new) in ([], [at])), None)
    if axis is not None:
        return _replaced_along(walk, value, updates, places, axis)
    if isinstance(updates, Constant):
        held = np.broadcast_to(updates.array, settled(updates.shape)).reshape(-1)
        filled = floating(np.where(new, held[np.where(new, places - count, 0)], 0))
        kept = product(walk, value, constant((~new).astype(np.float32), value.shape), value.shape)
        if not filled.any():
            return kept
        return walk.join("sum", [kept, constant(filled, value.shape)], value.shape, "{} + {}".format)
    parts = [_flat(moved(walk, each)) for each in (value, updates)]
    opens = [size for size in value.shape if not is_settled(size)]
    both = joined(walk, parts, len(opens))
    shape = [*opens, *(size for size in value.shape if is_settled(size))]
    found = taken(walk, both, len(opens), [int(each) for each in places.reshape(-1)])
    labels = [at for at, size in enumerate(value.shape) if not is_settled(size)]
    labels += [at for at, size in enumerate(value.shape) if is_settled(size)]
    return _in_order(reshaped(found, shape), labels, value.shape)


def _flat(x: Tensor) -> Tensor:
    """Return a tensor with its open axes in front, and the others as one."""
    opens = [at for at, size in enumerate(x.shape) if not is_settled(size)]
    x = transposed(x, [*opens, *(at for at in range(len(x.shape)) if at not in opens)])
    return reshaped(x, [*x.shape[: len(opens)], prod(settled(x.shape))])


def _replaced_along(walk: Walk, value: Value, updates: Value, places: Places, axis: int) -> Value:
    """Return a value of which whole slices along an axis are others."""
    count = prod(settled(value.shape))
    new = _along(places >= count, [axis])
    edges = [0, *(int(at) + 1 for at in np.flatnonzero(new[1:] != new[:-1])), len(new)]
    parts: list[Value] = []
    for start, stop in itertools.pairwise(edges):
        shape = (*value.shape[:axis], stop - start, *value.shape[axis + 1 :])
        if not is_settled(value.shape[axis]):
            shape = value.shape
        if not new[start]:
            text = slice_text(start, stop, 1, value.shape[axis])
            parts.append(indexed(moved(walk, value), [":"] * axis + [text], shape))
        elif isinstance(updates, Constant) and updates.number is not None:
            parts.append(constant(updates.array.reshape(-1)[:1].reshape((1,) * len(shape)), shape))
        else:
            own = places.take(range(start, stop), axis) - count
            parts.append(placed(walk, moved(walk, updates), own, shape))
    return joined(walk, parts, axis)


def require_whole(sizes: Sequence[Any], x: Value) -> None:
    """Raise Refused unless open axes are taken whole."""
    for size, whole in zip(sizes, x.shape, strict=True):
        if not is_settled(whole) and not bool(size == whole):
            raise Refused("it takes entries along an axis that is open", "give that dimension a number")
