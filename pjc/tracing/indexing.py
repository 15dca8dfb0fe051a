"""Equations that take entries by number: known ones, those of an iteration, or rows that an input names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from pjc.tracing.arithmetic import product
from pjc.tracing.joining import MAX_PARTS, moved, slice_text
from pjc.tracing.places import numbered, placed, replaced, require_whole, settled
from pjc.tracing.products import picked
from pjc.tracing.refusal import Refused
from pjc.tracing.values import Columns, Constant, OneHot, Place, Tensor, Value, constant, floating
from pjc.tracing.views import indexed, is_settled, named, reshaped, transposed
from pjc.tracing.walk import Walk, computed, handles

MAX_TURNS = 16
"""How many updates of one entry become as many sums, or products."""


@handles("dynamic_slice", becomes="a view, at known places or those of an iteration")
def dynamic_slice(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x, sizes = moved(walk, given[0]), eqn.params["slice_sizes"]
    starts = given[1 : 1 + len(sizes)]
    texts, kept = [], []
    loop = _loop(walk, starts)
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        length = x.shape[axis]
        if isinstance(start, Constant) and start.number is not None:
            first = _within(int(start.number), size, length)
            texts.append(slice_text(first, first + size, 1, length))
            kept.append(size)
        elif isinstance(start, Place) and bool(size == 1):
            x, text = _at_place(walk, x, axis, start, loop)
            texts.append(text)
        elif isinstance(start, Place):
            raise Refused(
                "it takes several entries at the number of an iteration", "take one, or reshape first"
            )
        else:
            raise Refused("it takes entries at a place that is not known")
    return reshaped(indexed(x, texts, kept), tuple(sizes))


@handles("gather", becomes="views, at known places or those of an iteration, or gather, by an input")
def gather(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    table, rows = given
    numbers, sizes = eqn.params["dimension_numbers"], list(eqn.params["slice_sizes"])
    x, axes = moved(walk, table), list(numbers.start_index_map)
    if isinstance(rows, Constant):
        return _known(walk, x, rows, eqn)
    if numbers.operand_batching_dims:
        return _of_samples(walk, x, rows, eqn)
    parts = dict(zip(axes, rows.parts if isinstance(rows, Columns) else [rows], strict=False))
    texts = [":"] * len(sizes)
    for axis, part in parts.items():
        if isinstance(part, Constant) and part.number is not None:
            first = _within(int(part.number), sizes[axis], x.shape[axis])
            if first != int(part.number) and eqn.params["mode"] == lax.GatherScatterMode.FILL_OR_DROP:
                raise Refused("it takes entries that there are none of")
            texts[axis] = slice_text(first, first + sizes[axis], 1, x.shape[axis])
            axes.remove(axis)
    x = indexed(
        x, texts, [sizes[at] if at in parts and at not in axes else x.shape[at] for at in range(len(sizes))]
    )
    if (
        any(not bool(size == 1) for axis, size in enumerate(sizes) if axis in axes)
        or len(parts) < len(numbers.start_index_map)
        or any(not bool(size == x.shape[axis]) for axis, size in enumerate(sizes) if axis not in axes)
    ):
        raise Refused("it takes windows at places that are not known", "take rows, one by one")
    found = [parts[axis] for axis in axes]
    if all(isinstance(each, Place) for each in found):
        return _at_iterations(walk, x, dict(zip(axes, found, strict=True)), tuple(eqn.outvars[0].aval.shape))
    if len(axes) != 1 or not (isinstance(found[0], Tensor) and found[0].whole):
        raise Refused(
            "it takes entries at places that are not known",
            "rows of a table can be taken by an input of whole numbers, along one axis",
        )
    return _rows(walk, x, found[0], axes[0], eqn)


def _within(first: int, size: Any, length: Any) -> int:
    """Return where JAX begins to take so many entries of an axis: where there are as many."""
    if bool(size == length):
        return 0
    return max(0, min(first, length - size)) if is_settled(length) else first


def _of_samples(walk: Walk, x: Tensor, rows: Value, eqn: Any) -> Tensor:
    """Return other entries along an axis for each place along other axes, by the numbers in an input."""
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    shared = list(map(int, numbers.operand_batching_dims))
    starts = list(map(int, numbers.start_index_map))
    parts = dict(zip(starts, rows.parts if isinstance(rows, Columns) else [rows], strict=False))
    # An axis that is taken whole starts at 0, whatever is asked.
    axes = [at for at in starts if not bool(sizes[at] == x.shape[at])] or starts[:1]
    number = parts.get(axes[0])
    rest = [at for at in range(len(sizes)) if at not in (*shared, *axes)]
    if (
        len(axes) != 1
        or not (isinstance(number, Tensor) and number.whole)
        or not bool(sizes[axes[0]] == 1)
        or any(not bool(sizes[at] == x.shape[at]) for at in rest)
    ):
        raise Refused(
            "it takes other entries for each sample",
            "one entry along an axis can be taken for each, by an input of whole numbers",
        )
    if x.whole:
        raise Refused("it takes numbers of rows by others", "rows of a table can be taken by them")
    index = reshaped(number, number.shape[:-1])
    own = [int(at) for at in numbers.start_indices_batching_dims]
    code = OneHot(index, len(index.shape), (*index.shape, x.shape[axes[0]]))
    made = picked(walk, x, code, axes[0], (own, shared))
    # Made of the shared axes, the other axes of the numbers, the other axes of x.
    places = [*own, *(at for at in range(len(index.shape)) if at not in own)]
    out, offsets = tuple(eqn.outvars[0].aval.shape), list(numbers.offset_dims)
    window = [at for at in range(len(sizes)) if at not in (*numbers.collapsed_slice_dims, *shared)]
    made = reshaped(made, (*made.shape[: len(places)], *(sizes[at] for at in window)))
    others = [at for at in range(len(out)) if at not in offsets]
    source = {others[place]: at for at, place in enumerate(places)}
    source |= {place: len(places) + at for at, place in enumerate(offsets)}
    return transposed(made, [source[at] for at in range(len(out))])


def _at_iterations(walk: Walk, x: Tensor, places: Mapping[int, Value], out: Sequence[Any]) -> Tensor:
    """Return the entries at the numbers of iterations."""
    texts, loop = [":"] * len(x.shape), _loop(walk, list(places.values()))
    for axis, place in places.items():
        assert isinstance(place, Place), "iterations are counted by places"
        x, texts[axis] = _at_place(walk, x, axis, place, loop)
    return reshaped(indexed(x, texts, [size for at, size in enumerate(x.shape) if at not in places]), out)


def _loop(walk: Walk, places: Sequence[Value]) -> str:
    """Return the outermost of the loops that places count with; nothing where there is none."""
    loops = {each.loop for each in places if isinstance(each, Place)}
    return walk.text.outermost(loops) if loops else ""


def _at_place(walk: Walk, x: Tensor, axis: int, place: Place, loop: str) -> tuple[Tensor, str]:
    """Return a tensor with a name above a loop, and the text of an iteration's place along an axis.

    Where places count down it is the tensor with its entries in the other order.
    """
    size, ends = x.shape[axis], place.ends
    if not is_settled(size):
        raise Refused("it takes entries along an axis that is open", "give that dimension a number")
    if min(ends) < 0 or max(ends) >= size:
        raise Refused(
            f"its iterations read entries {min(ends)} to {max(ends)} of {size}",
            "JAX takes the nearest entry for one that there is not; read those that there are",
        )
    above = partial(walk.text.above, loop=loop)
    x = named(x, above)
    if place.factor >= 0:
        return x, place.text()
    if size > MAX_PARTS:
        raise Refused(f"it counts down along {size:,} entries, more than {MAX_PARTS:,}")
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    parts = [
        indexed(x, [":"] * axis + [slice_text(at, at + 1, 1, size)], shape) for at in range(size - 1, -1, -1)
    ]
    text = f"concat({', '.join(part.text for part in parts)}, axis = {axis})"
    turned = above(x if size == 1 else Tensor(text, x.shape, x.fed, x.whole))
    return turned, Place(place.loop, place.count, -place.factor, size - 1 - place.offset).text()


def _rows(walk: Walk, x: Tensor, rows: Tensor, axis: int, eqn: Any) -> Tensor:
    """Return rows of a table by the numbers in an input."""
    numbers, out = eqn.params["dimension_numbers"], tuple(eqn.outvars[0].aval.shape)
    index = reshaped(rows, rows.shape[:-1])
    first = transposed(x, [axis, *(at for at in range(len(x.shape)) if at != axis)])
    text = f"gather({first.text}, {index.text})"
    made = walk.text.bind("rows", text, (*index.shape, *first.shape[1:]), fed=True, whole=first.whole)
    window = [
        size for at, size in enumerate(eqn.params["slice_sizes"]) if at not in numbers.collapsed_slice_dims
    ]
    batch, places = len(index.shape), list(numbers.offset_dims)
    others = [at for at in range(len(out)) if at not in places]
    source = {place: batch + at for at, place in enumerate(places)} | {
        place: at for at, place in enumerate(others)
    }
    made = reshaped(made, (*index.shape, *window))
    return transposed(made, [source[at] for at in range(len(out))])


def _known(walk: Walk, x: Tensor, rows: Constant, eqn: Any) -> Tensor:
    """Return entries at known places."""
    sizes, mapped = eqn.params["slice_sizes"], eqn.params["dimension_numbers"].operand_batching_dims
    require_whole([x.shape[at] if at in mapped else size for at, size in enumerate(sizes)], x)
    own = tuple(size if is_settled(size) else 1 for size in sizes)
    whole = np.broadcast_to(rows.array, settled(rows.shape))
    (places,) = computed(eqn, [numbered(x.shape), whole], slice_sizes=own, fill_value=-1)
    places = np.asarray(places)
    if (places < 0).any():
        raise Refused("it takes entries that there are none of")
    return placed(walk, x, places, tuple(eqn.outvars[0].aval.shape))


@handles(
    "scatter",
    "scatter-add",
    "scatter-sub",
    "scatter-mul",
    becomes="views, at known places, and a sum or a product",
)
def scatter(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x, rows, updates = given
    if not isinstance(rows, Constant):
        raise Refused(
            "it puts entries at places that are not known",
            "return rows from jax.lax.scan, or concatenate them",
        )
    numbers, kind = eqn.params["dimension_numbers"], eqn.primitive.name
    inserted = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    window = iter(numbers.update_window_dims)
    sizes = [1 if at in inserted else updates.shape[next(window)] for at in range(len(x.shape))]
    require_whole(sizes, x)
    shape, own, held = settled(x.shape), settled(updates.shape), numbered(x.shape)
    whole = np.broadcast_to(rows.array, settled(rows.shape))

    def put(how: Callable[..., Array], operand: Any, new: Any) -> np.ndarray[Any, Any]:
        with jax.ensure_compile_time_eval():
            arrays = [jnp.asarray(each) for each in (operand, whole, new)]
            return np.asarray(how(*arrays, numbers, mode=eqn.params["mode"]))

    if kind == "scatter":
        return replaced(walk, x, updates, put(lax.scatter, held, numbered(updates.shape, prod(shape))))
    neutral = 1 if kind == "scatter-mul" else 0
    others: list[Value]
    if isinstance(updates, Constant):
        how = lax.scatter_mul if neutral else lax.scatter_add
        new = floating(np.broadcast_to(updates.array, own))
        others = [constant(put(how, np.full(shape, neutral, new.dtype), new), x.shape)]
    else:
        base = constant(np.full((1,) * len(x.shape), neutral, np.float32), x.shape)
        put_largest = partial(put, lax.scatter_max, np.zeros(shape, np.int32))
        others = [replaced(walk, base, updates, places) for places in _in_turns(put_largest, held, own)]
    for other in others:
        x = product(walk, x, other, x.shape) if neutral else _added(walk, x, other, kind == "scatter-sub")
    return x


def _added(walk: Walk, x: Value, other: Value, is_taken_away: bool) -> Value:
    sign = "-" if is_taken_away else "+"
    return walk.join("sum", [x, other], x.shape, lambda a, b: f"{a} {sign} {b}")


def _in_turns(put_largest: Callable[[Any], Any], held: Any, own: tuple[int, ...]) -> Iterator[Any]:
    """Yield places in a tensor or, behind them, in updates, so that each update has its turn once.

    Of the updates of one entry the last is first. ``held`` are the places in the tensor; ``put_largest`` puts
    numbers there, of which the largest stays.

    Raises:
        Refused: if an entry has more than :data:`MAX_TURNS` updates.
    """
    left, turns = numbered(own, 1), 0
    while (found := put_largest(left)).any():
        turns += 1
        if turns > MAX_TURNS:
            raise Refused(f"it puts more than {MAX_TURNS} entries at one place, which would be as many sums")
        yield np.where(found > 0, found - 1 + prod(held.shape), held)
        left = np.where(np.isin(left, found), 0, left)


@handles("dynamic_update_slice", becomes="views, at known places")
def dynamic_update_slice(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x, updates, *starts = given
    require_whole(updates.shape, x)
    firsts = []
    for start, size in zip(starts, x.shape, strict=True):
        if not is_settled(size):
            firsts.append(0)
        elif isinstance(start, Constant) and start.number is not None:
            firsts.append(int(start.number))
        else:
            raise Refused(
                "it puts entries at a place that is not known",
                "return rows from jax.lax.scan, or concatenate",
            )
    count = prod(settled(x.shape))
    (places,) = computed(eqn, [numbered(x.shape), numbered(updates.shape, count), *map(np.int32, firsts)])
    return replaced(walk, x, updates, np.asarray(places))
