"""Equations that take entries by number: known ones, those of an iteration, or rows that an input names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pjc.tracing.refusal import Refused
from pjc.tracing.shaping import indexed, moved, slice_text, taken
from pjc.tracing.values import Constant, Place, Tensor, Value
from pjc.tracing.walk import Walk, handles


@handles("dynamic_slice", becomes="a view, at known places or those of an iteration")
def dynamic_slice(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x, sizes = moved(walk, given[0]), eqn.params["slice_sizes"]
    starts = given[1 : 1 + len(sizes)]
    texts, kept = [], []
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        length = x.shape[axis]
        if isinstance(start, Constant) and start.number is not None:
            first = int(start.number) if bool(size != length) else 0
            first = max(0, min(first, length - size)) if isinstance(length, int) else first
            texts.append(slice_text(first, first + size, 1, length))
            kept.append(size)
        elif isinstance(start, Place) and size == 1:
            texts.append(start.text())
        elif isinstance(start, Place):
            raise Refused(
                "it takes several entries at the number of an iteration", "take one, or reshape first"
            )
        else:
            raise Refused("it takes entries at a place that is not known")
    return walk.reshaped(indexed(x, texts, kept), tuple(sizes))


@handles("gather", becomes="rows by number, or views")
def gather(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    table, rows = given
    numbers = eqn.params["dimension_numbers"]
    if numbers.operand_batching_dims:
        raise Refused("it takes other entries for each sample", "jnp.take(table, indices, axis=0) takes rows")
    x, sizes = moved(walk, table), eqn.params["slice_sizes"]
    axes = list(numbers.start_index_map)
    out = tuple(eqn.outvars[0].aval.shape)
    if isinstance(rows, Constant):
        return _known(walk, x, np.broadcast_to(rows.array, rows.shape), eqn)
    if (
        len(axes) != 1
        or tuple(numbers.collapsed_slice_dims) != tuple(axes)
        or not all(
            bool(size == whole)
            for axis, (size, whole) in enumerate(zip(sizes, x.shape, strict=True))
            if axis != axes[0]
        )
    ):
        raise Refused("it takes entries by several numbers at once", "take rows of a reshaped table")
    (axis,) = axes
    if isinstance(rows, Place):
        texts = [":"] * axis + [rows.text()]
        rest = tuple(size for at, size in enumerate(x.shape) if at != axis)
        return walk.reshaped(indexed(x, texts, rest), out)
    if not (isinstance(rows, Tensor) and rows.whole):
        raise Refused("it takes entries at places that are not known")
    index = walk.reshaped(rows, rows.shape[:-1])
    order = [axis, *(at for at in range(len(x.shape)) if at != axis)]
    first = walk.transposed(x, order)
    made = Tensor(f"gather({first.text}, {index.text})", (*index.shape, *first.shape[1:]), True, first.whole)
    batch = len(index.shape)
    places = list(numbers.offset_dims)
    others = [at for at in range(len(out)) if at not in places]
    source = {place: batch + at for at, place in enumerate(places)} | {
        place: at for at, place in enumerate(others)
    }
    return walk.transposed(made, [source[at] for at in range(len(out))])


def _known(walk: Walk, x: Tensor, rows: np.ndarray[Any, Any], eqn: Any) -> Tensor:
    """Return entries at known places: along one axis, or one place along several."""
    numbers, sizes = eqn.params["dimension_numbers"], list(eqn.params["slice_sizes"])
    axes, out = list(numbers.start_index_map), tuple(eqn.outvars[0].aval.shape)
    batch = rows.shape[:-1]
    flat = rows.reshape(-1, rows.shape[-1])
    whole = [at for at in range(len(sizes)) if at not in axes]
    if any(not bool(sizes[at] == x.shape[at]) for at in whole):
        raise Refused("it takes windows at several places")
    if len(flat) == 1:
        return walk.reshaped(_window(x, axes, [int(each) for each in flat[0]], sizes), out)
    if len(axes) > 1:
        x, flat = _merged(walk, x, axes, flat)
        if any(sizes[at] != 1 for at in axes):
            raise Refused("it takes windows at several places")
        axes = [0]
    elif sizes[axes[0]] != 1:
        raise Refused("it takes windows at several places")
    elif len(batch) == 1 and _in_place(eqn, axes[0], len(out)):
        return taken(x, axes[0], _places(flat, int(x.shape[axes[0]])))
    else:
        order = [axes[0], *(at for at in range(len(x.shape)) if at != axes[0])]
        x = walk.transposed(x, order)
    found = taken(x, 0, _places(flat, int(x.shape[0])))
    rest = tuple(found.shape[1:])
    found = walk.reshaped(found, (*batch, *rest))
    offsets = list(numbers.offset_dims)
    kept = [at for at in range(len(sizes)) if at not in numbers.collapsed_slice_dims]
    if len(kept) != len(rest):
        raise Refused("it takes windows at several places")
    others = [at for at in range(len(out)) if at not in offsets]
    source = {place: len(batch) + at for at, place in enumerate(offsets)} | {
        place: at for at, place in enumerate(others)
    }
    return walk.transposed(found, [source[at] for at in range(len(out))])


def _in_place(eqn: Any, axis: int, rank: int) -> bool:
    """Whether entries along an axis are taken, and stay along it."""
    numbers = eqn.params["dimension_numbers"]
    others = [at for at in range(rank) if at not in numbers.offset_dims]
    return others == [axis] and tuple(numbers.collapsed_slice_dims) == (axis,)


def _places(flat: np.ndarray[Any, Any], limit: int) -> list[int]:
    """Return places from 0, once it is known that there are such entries."""
    places = [int(each) + limit if int(each) < 0 else int(each) for each in flat[:, 0]]
    wrong = next((each for each in places if not 0 <= each < limit), None)
    if wrong is not None:
        raise Refused(f"it takes entry {wrong} of {limit}")
    return places


def _window(x: Tensor, axes: Sequence[int], starts: Sequence[int], sizes: Sequence[Any]) -> Tensor:
    firsts = dict(zip(axes, starts, strict=True))
    texts = []
    for axis, (size, length) in enumerate(zip(sizes, x.shape, strict=True)):
        start = firsts.get(axis, 0)
        start = min(start, length - size) if isinstance(length, int) else start
        texts.append(slice_text(start, start + size, 1, length))
    return indexed(x, texts, sizes)


def _merged(
    walk: Walk, x: Tensor, axes: Sequence[int], flat: np.ndarray[Any, Any]
) -> tuple[Tensor, np.ndarray[Any, Any]]:
    """Return a tensor with several axes as its one first axis, and places along it."""
    others = [at for at in range(len(x.shape)) if at not in axes]
    lengths = [x.shape[at] for at in axes]
    if not all(isinstance(each, int) for each in lengths):
        raise Refused("it takes entries along an axis that is open", "give that dimension a number")
    first = walk.transposed(x, [*axes, *others])
    first = walk.reshaped(first, (prod(lengths), *(x.shape[at] for at in others)))
    places = np.ravel_multi_index(tuple(flat.T), tuple(lengths), mode="clip")
    return first, places.reshape(-1, 1)
