"""Equations that move entries: they become views, which constrain nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pjc.tracing.joining import MAX_PARTS, check_parts, is_size, joined, moved, slice_text
from pjc.tracing.pieces import Pieces
from pjc.tracing.refusal import Refused
from pjc.tracing.text import tuple_text
from pjc.tracing.values import Columns, Constant, Function, Place, Size, Tensor, Value, Wrap, constant
from pjc.tracing.views import broadcast, indexed, is_settled, reshaped, transposed
from pjc.tracing.walk import Walk, handles, permuted, seen


def _shape(eqn: Any) -> tuple[Any, ...]:
    return tuple(eqn.outvars[0].aval.shape)


@handles("broadcast_in_dim", becomes="broadcast, a view, or nothing where sums repeat it")
def broadcast_in_dim(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    (value, *_), shape = given, _shape(eqn)
    dims = eqn.params["broadcast_dimensions"]
    if isinstance(value, Size):
        return value
    if isinstance(value, Wrap):
        return Wrap(broadcast(value.rows, shape, dims), shape, value.added)
    if isinstance(value, Place):
        if all(size == 1 for size in shape):
            return Place(value.loop, value.count, value.factor, value.offset, shape)
        raise Refused("it repeats the number of an iteration")
    return seen(walk, value, lambda of: broadcast(of, shape, dims))


@handles("reshape", "squeeze", becomes="reshape, a view")
def reshape(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    order, shape = eqn.params.get("dimensions"), _shape(eqn)
    value = given[0] if order is None else permuted(given[0], order)
    if isinstance(value, Place):
        return Place(value.loop, value.count, value.factor, value.offset, shape)
    if isinstance(value, Constant) and value.number is not None:
        return constant(value.array.reshape(-1)[:1].reshape((1,) * len(shape)), shape)
    return seen(walk, value, lambda of: reshaped(of, shape))


@handles("transpose", becomes="transpose, a view")
def transpose(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    return permuted(given[0], eqn.params["permutation"])


@handles("slice", becomes="a view")
def slice_(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    starts, stops = eqn.params["start_indices"], eqn.params["limit_indices"]
    steps = eqn.params["strides"] or [1] * len(starts)
    value = given[0]
    if isinstance(value, Constant):
        # Along an axis that repeats itself its one entry stands for all.
        own = [
            slice(None) if size == 1 else slice(start, stop, step)
            for size, start, stop, step in zip(value.array.shape, starts, stops, steps, strict=True)
        ]
        return constant(value.array[tuple(own)], _shape(eqn))
    texts = [slice_text(*each) for each in zip(starts, stops, steps, value.shape, strict=True)]
    return seen(walk, value, lambda of: indexed(of, texts, _shape(eqn)))


@handles("split", becomes="views")
def split(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    x, axis, at = moved(walk, given[0]), eqn.params["axis"], 0
    found: list[Value] = []
    for size in eqn.params["sizes"]:
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        found.append(indexed(x, [":"] * axis + [slice_text(at, at + size, 1, x.shape[axis])], shape))
        at += size
    return found


@handles("unstack", becomes="views")
def unstack(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    x, axis = moved(walk, given[0]), eqn.params["axis"]
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [indexed(x, [":"] * axis + [str(at)], shape) for at in range(len(eqn.outvars))]


@handles("concatenate", becomes="concat, a view")
def concatenate(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    axis = eqn.params["dimension"]
    if _are_columns(given, axis):
        return Columns(tuple(given), _shape(eqn))
    return joined(walk, [each for each in given if not is_size(each.shape[axis], 0)], axis)


@handles("stack", becomes="stack, a view")
def stack(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    parts, axis = [moved(walk, each) for each in given], eqn.params["axis"]
    check_parts(parts)
    if len(parts) == 1:
        return reshaped(parts[0], _shape(eqn))
    text = f"stack({', '.join(part.text for part in parts)}, axis = {axis})"
    return walk.text.bind("stack", text, _shape(eqn), fed=any(p.fed for p in parts), whole=parts[0].whole)


def _are_columns(given: Sequence[Value], axis: int) -> bool:
    """Whether what is joined are numbers of entries, one for each axis of something."""
    kinds = [
        isinstance(each, Place) or (isinstance(each, Tensor) and each.whole) or _is_whole(each)
        for each in given
    ]
    last = axis == len(given[0].shape) - 1 and all(is_size(each.shape[axis], 1) for each in given)
    return last and all(kinds) and any(isinstance(each, Constant | Place) for each in given)


def _is_whole(value: Value) -> bool:
    return isinstance(value, Constant) and value.is_whole


@handles("tile", becomes="views")
def tile(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x, counts = moved(walk, given[0]), eqn.params["reps"]
    split: list[Any] = []
    whole: list[Any] = []
    for size, count in zip(x.shape, counts, strict=True):
        split += [size] if is_size(count, 1) else [1, size]
        whole += [size] if is_size(count, 1) else [count, size]
    found = reshaped(x, split)
    return reshaped(broadcast(found, whole, range(len(whole))), _shape(eqn))


@handles("dim_as_value", becomes="nothing: sizes that are open are no numbers")
def dim_as_value(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    return Size()


@handles("pad", becomes="pad, a view")
def pad(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    value, filler = given
    widths = [tuple(map(int, each)) for each in eqn.params["padding_config"]]
    if not (isinstance(filler, Constant) and filler.number is not None):
        raise Refused("it pads with a value that is not known")
    x = moved(walk, value)
    for axis, (_, _, between) in enumerate(widths):
        if between:
            x = spread(walk, x, axis, between, float(filler.number))
    widths = [(low, high, 0) for low, high, _ in widths]
    cut = [
        slice_text(max(0, -low), size - max(0, -high), 1, size)
        for (low, high, _), size in zip(widths, x.shape, strict=True)
    ]
    around = [(max(0, low), max(0, high)) for low, high, _ in widths]
    inner = [
        size - max(0, -low) - max(0, -high) for (low, high, _), size in zip(widths, x.shape, strict=True)
    ]
    inside, outside = indexed(x, cut, inner), float(filler.number)
    if outside == 0:
        return padded(walk, inside, around)
    if not np.isfinite(outside):
        raise Refused("it pads with infinity", "max pools pad by themselves: padding='SAME'")
    lower = walk.tensor(Function(inside, Pieces().shifted(-outside), inside.shape))
    made = padded(walk, lower, around)
    return Function(made, Pieces().shifted(outside), made.shape)


def spread(walk: Walk, x: Tensor, axis: int, between: int, filler: float = 0.0) -> Tensor:
    """Return a tensor with a number of fillers between the entries along an axis."""
    size = settled_size(x.shape[axis])
    if size < 2:
        return x
    front, behind = x.shape[:axis], x.shape[axis + 1 :]
    apart = reshaped(x, (*front, size, 1, *behind))
    rest = (*front, size, between, *behind)
    fillers = walk.text.constant(constant(np.full((1,) * len(rest), filler, np.float32), rest))
    both = reshaped(joined(walk, [apart, fillers], axis + 1), (*front, size * (1 + between), *behind))
    last = size * (1 + between) - between
    return indexed(both, [":"] * axis + [slice_text(0, last, 1, both.shape[axis])], (*front, last, *behind))


def padded(walk: Walk, x: Tensor, around: Sequence[tuple[int, int]]) -> Tensor:
    """Return a tensor with zeros around it."""
    if not any(map(any, around)):
        return x
    shape = tuple(size + low + high for size, (low, high) in zip(x.shape, around, strict=True))
    (found,), order = walk.aligned([x])
    assert isinstance(found, Tensor), "a tensor is aligned to one"
    own = list(range(len(around))) if order is None else sorted(range(len(around)), key=lambda at: order[at])
    text = f"pad({found.text}, {tuple_text(tuple_text(around[at]) for at in own)})"
    made = walk.text.bind("pad", text, [shape[at] for at in own], fed=x.fed, whole=x.whole)
    return made if order is None else transposed(made, order)


@handles("rev", becomes="views, entry by entry")
def rev(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x = moved(walk, given[0])
    for axis in eqn.params["dimensions"]:
        x = reversed_(walk, x, axis)
    return x


def reversed_(walk: Walk, x: Tensor, axis: int) -> Tensor:
    """Return a tensor with the entries along an axis in the other order."""
    return taken(walk, x, axis, range(settled_size(x.shape[axis]) - 1, -1, -1))


def settled_size(size: Any) -> int:
    if not is_settled(size):
        raise Refused("it moves entries along an axis that is open", "give that dimension a number")
    return int(size)


def taken(walk: Walk, x: Tensor, axis: int, places: Sequence[int]) -> Tensor:
    """Return the slices of a tensor at known places along an axis."""
    runs: list[tuple[int, int, int]] = []
    for place in places:
        start, last, step = runs[-1] if runs else (0, 0, 0)
        if runs and (place - last == step if step else place > last):
            runs[-1] = (start, place, place - last)
        else:
            runs.append((place, place, 0))
        if len(runs) > MAX_PARTS:
            raise Refused(f"it takes entries at more than {MAX_PARTS:,} places in no order")
    parts: list[Value] = []
    for start, last, step in runs:
        count = (last - start) // step + 1 if step else 1
        text = slice_text(start, last + 1, step or 1, x.shape[axis])
        parts.append(indexed(x, [":"] * axis + [text], (*x.shape[:axis], count, *x.shape[axis + 1 :])))
    return joined(walk, parts, axis)
