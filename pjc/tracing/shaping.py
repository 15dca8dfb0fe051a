"""Equations that move entries: they become views, which constrain nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pjc.tracing.arithmetic import numbers_of
from pjc.tracing.refusal import Refused
from pjc.tracing.text import number, size_text, tuple_text
from pjc.tracing.values import Constant, Place, Tensor, Test, Value, Wrap, constant
from pjc.tracing.walk import Walk, handles

MAX_PARTS = 1024
"""The most slices that one equation becomes."""


def moved(walk: Walk, value: Value) -> Tensor:
    """Return what a view is of; numbers of rows may be moved too."""
    return walk.tensor(numbers_of(value))


def _shape(eqn: Any) -> tuple[Any, ...]:
    return tuple(eqn.outvars[0].aval.shape)


@handles("broadcast_in_dim", becomes="a view")
def broadcast_in_dim(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    (value, *_), shape = given, _shape(eqn)
    dims = eqn.params["broadcast_dimensions"]
    if isinstance(value, Wrap):
        return Wrap(moved_rows(walk, value, shape, dims), shape, value.added)
    if isinstance(value, Place):
        if all(size == 1 for size in shape):
            return Place(value.loop, value.count, value.factor, value.offset, shape)
        raise Refused("it repeats the number of an iteration")
    if isinstance(value, Test):
        made = walk.broadcast(value.of, shape, dims)
        return Test(made, value.pieces, shape)
    return walk.broadcast(moved(walk, value), shape, dims)


def moved_rows(walk: Walk, value: Wrap, shape: Sequence[Any], dims: Sequence[int]) -> Tensor:
    """Return rows that are to be counted from the end, broadcast."""
    return walk.broadcast(value.rows, tuple(shape), dims)


@handles("reshape", "squeeze", "expand_dims", becomes="a view")
def reshape(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    value, shape = given[0], _shape(eqn)
    if isinstance(value, Place):
        return Place(value.loop, value.count, value.factor, value.offset, shape)
    if isinstance(value, Constant) and value.number is not None:
        return constant(value.array.reshape(-1)[:1].reshape((1,) * len(shape)), shape)
    return walk.reshaped(moved(walk, value), shape)


@handles("transpose", becomes="a view")
def transpose(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    value, permutation = given[0], eqn.params["permutation"]
    if isinstance(value, Constant):
        return constant(value.array.transpose(permutation), _shape(eqn))
    return walk.transposed(moved(walk, value), permutation)


def indexed(x: Tensor, indices: Sequence[str], shape: Sequence[Any]) -> Tensor:
    """Return entries of a tensor, by one text for each axis."""
    found = list(indices)
    while found and found[-1] == ":":
        found.pop()
    if not found:
        return x
    return Tensor(f"{x.text}[{', '.join(found)}]", tuple(shape), x.fed, x.whole)


def slice_text(start: Any, stop: Any, step: int, size: Any) -> str:
    """Return a slice as the language has it."""
    if step == 1 and _is(start, 0) and _is(stop, size):
        return ":"
    text = f"{'' if _is(start, 0) else size_text(start)}:{'' if _is(stop, size) else size_text(stop)}"
    return text if step == 1 else f"{text}:{step}"


def _is(size: Any, other: Any) -> bool:
    return bool(size == other)


@handles("slice", becomes="a view")
def slice_(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    starts, stops = eqn.params["start_indices"], eqn.params["limit_indices"]
    steps = eqn.params["strides"] or [1] * len(starts)
    value = given[0]
    if isinstance(value, Constant) and value.number is not None:
        return constant(value.array.reshape(-1)[:1].reshape((1,) * len(starts)), _shape(eqn))
    x = moved(walk, value)
    texts = [slice_text(*each) for each in zip(starts, stops, steps, x.shape, strict=True)]
    return indexed(x, texts, _shape(eqn))


@handles("split", becomes="views")
def split(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    x, axis, at = moved(walk, given[0]), eqn.params["axis"], 0
    found: list[Value] = []
    for size in eqn.params["sizes"]:
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        found.append(indexed(x, [":"] * axis + [slice_text(at, at + size, 1, x.shape[axis])], shape))
        at += size
    return found


@handles("concatenate", becomes="a view")
def concatenate(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    parts = [moved(walk, each) for each in given]
    return joined(parts, eqn.params["dimension"], _shape(eqn))


def joined(parts: Sequence[Tensor], axis: int, shape: Sequence[Any]) -> Tensor:
    """Return tensors one after another along an axis."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) > MAX_PARTS:
        raise Refused(f"it joins {len(parts):,} parts, more than {MAX_PARTS:,}")
    if len({part.whole for part in parts}) > 1:
        raise Refused("it joins numbers of rows with numbers")
    text = f"concat({', '.join(part.text for part in parts)}, axis = {axis})"
    return Tensor(text, tuple(shape), any(part.fed for part in parts), parts[0].whole)


@handles("pad", becomes="pad, a view")
def pad(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    value, filler = given
    widths = [tuple(map(int, each)) for each in eqn.params["padding_config"]]
    if any(inner for _, _, inner in widths):
        raise Refused("it pads between entries")
    x = moved(walk, value)
    if isinstance(filler, Constant) and filler.number is not None:
        offset = float(filler.number)
    else:
        raise Refused("it pads with a value that is not known")
    cut = [
        slice_text(max(0, -low), size - max(0, -high), 1, size)
        for (low, high, _), size in zip(widths, x.shape, strict=True)
    ]
    around = [(max(0, low), max(0, high)) for low, high, _ in widths]
    inner = [
        size - max(0, -low) - max(0, -high) for (low, high, _), size in zip(widths, x.shape, strict=True)
    ]
    x = indexed(x, cut, inner)
    if not any(map(any, around)):
        return x
    shape, pairs = _shape(eqn), tuple_text(map(tuple_text, around))
    if offset == 0:
        return Tensor(f"pad({x.text}, {pairs})", shape, x.fed, x.whole)
    moved_by = f"{x.text} {'+' if offset < 0 else '-'} {number(abs(offset))}"
    text = f"pad({moved_by}, {pairs}) {'-' if offset < 0 else '+'} {number(abs(offset))}"
    return walk.text.bind("pad", text, shape, fed=x.fed)


@handles("rev", becomes="views, entry by entry")
def rev(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x = moved(walk, given[0])
    for axis in eqn.params["dimensions"]:
        x = reversed_(x, axis)
    return x


def reversed_(x: Tensor, axis: int) -> Tensor:
    """Return a tensor with the entries along an axis in the other order."""
    return taken(x, axis, range(_settled(x.shape[axis]) - 1, -1, -1))


def _settled(size: Any) -> int:
    if not isinstance(size, int | np.integer):
        raise Refused("it moves entries along an axis that is open", "give that dimension a number")
    return int(size)


def taken(x: Tensor, axis: int, places: Sequence[int]) -> Tensor:
    """Return the slices of a tensor at known places along an axis."""
    shape = (*x.shape[:axis], len(places), *x.shape[axis + 1 :])
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    steps = {b - a for a, b in itertools.pairwise(places)}
    if len(places) > 2 and len(steps) == 1 and min(steps) > 1:
        text = slice_text(places[0], places[-1] + 1, steps.pop(), x.shape[axis])
        return indexed(x, [":"] * axis + [text], shape)
    parts = [
        indexed(
            x,
            [":"] * axis + [slice_text(start, stop, 1, x.shape[axis])],
            (*x.shape[:axis], stop - start, *x.shape[axis + 1 :]),
        )
        for start, stop in runs
    ]
    return joined(parts, axis, shape)
