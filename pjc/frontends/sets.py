"""The sets of ``require w in box(-1, 1)``: a name, what its arguments are, what it builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import prod

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, f64, i64
from xdsl.ir import Attribute

from pjc.dialects import ops, shapes
from pjc.frontends.binding import Given, Slot
from pjc.frontends.builtins import Converter, Function
from pjc.frontends.convert import fail, integer, integers, levels, number, positive
from pjc.frontends.values import Mistake, Tensor, Value, describe

Fields = Mapping[str, Attribute]
Description = Callable[[Tensor], Fields]
"""What describes a set of tensors like the one that is given."""

SETS: dict[str, Function] = {}


def set_op(name: str, x: Tensor, describe_set: Description) -> ops.SetOp:
    """Return the op that requires a tensor to be in a set."""
    return ops.SetOp(x.ssa, name, describe_set(x))


def _set(name: str, **converters: Converter) -> Callable[[Callable[..., Description]], None]:
    def enter(build: Callable[..., Description]) -> None:
        parameters = inspect.signature(build).parameters
        rest = several in converters.values()
        slots = tuple(
            Slot(
                each,
                parameters[each].default is inspect.Parameter.empty,
                rest=converter is several,
                named=rest and converter is not several,
            )
            for each, converter in converters.items()
        )
        SETS[name] = Function(name, slots, converters, lambda site, **given: build(**given))

    return enter


def _floats(values: Sequence[float]) -> Attribute:
    return DenseArrayBase.from_list(f64, [float(value) for value in values])


def _whole(values: Sequence[int]) -> Attribute:
    return DenseArrayBase.from_list(i64, list(values))


def _entries(given: Given) -> tuple[list[float], list[int]]:
    """A number, or nested tuples of numbers, all of one shape; its entries and its shape."""
    shape: list[int] = []
    rows: list[Value] = [given.value]
    while rows and isinstance(rows[0], tuple):
        size = len(rows[0])
        if any(not isinstance(row, tuple) or len(row) != size for row in rows):
            raise fail(given, "nested tuples of equal lengths", "tuples of different ones")
        shape.append(size)
        rows = [item for row in rows if isinstance(row, tuple) for item in row]
    for row in rows:
        if not isinstance(row, int | float):
            raise fail(given, "a number or nested tuples of numbers", describe(row))
    return [float(row) for row in rows if isinstance(row, int | float)], shape


def several(rest: Sequence[Given]) -> list[float]:
    """Strictly increasing numbers, or one tuple of them."""
    if len(rest) == 1:
        return levels(rest[0])
    return levels(Given(None, tuple(each.value for each in rest), rest[0].span))


def _fitted(name: str, entries: tuple[list[float], list[int]], x: Tensor) -> Fields:
    values, shape = entries
    if shape and x.shape[-len(shape) :] != tuple(shape):
        raise Mistake(f"{name} has the shape {shapes.show(shape)}, which is not the end of that of {x}")
    return {"entries": _floats(values), "shape": _whole(shape)}


def _along(axis: Sequence[int] | None, x: Tensor) -> Attribute:
    """Return the axes of the vectors that a set is of: all of them if none are named."""
    if not x.rank:
        raise Mistake("a set of vectors needs a tensor of rank 1 or more, found a single number")
    return _whole(shapes.axes_of(range(x.rank) if axis is None else axis, x.rank))


@_set("box", low=number, high=number)
def _box(low: float, high: float) -> Description:
    if low > high:
        raise Mistake(f"box needs low <= high, found low = {low:g} and high = {high:g}")
    return lambda x: {"low": FloatAttr(low, f64), "high": FloatAttr(high, f64)}


@_set("nonneg")
def _nonneg() -> Description:
    return lambda x: {}


@_set("ball", radius=positive, axis=integers)
def _ball(radius: float = 1.0, axis: Sequence[int] | None = None) -> Description:
    return lambda x: {"radius": FloatAttr(radius, f64), "axes": _along(axis, x)}


@_set("sphere", radius=positive, axis=integers)
def _sphere(radius: float = 1.0, axis: Sequence[int] | None = None) -> Description:
    return lambda x: {"radius": FloatAttr(radius, f64), "axes": _along(axis, x)}


@_set("simplex", total=positive, axis=integers)
def _simplex(total: float = 1.0, axis: Sequence[int] | None = None) -> Description:
    return lambda x: {"total": FloatAttr(total, f64), "axes": _along(axis, x)}


@_set("sparse", k=integer, axis=integers)
def _sparse(k: int, axis: Sequence[int] | None = None) -> Description:
    def fields(x: Tensor) -> Fields:
        axes = _along(axis, x)
        assert isinstance(axes, DenseArrayBase)
        size = prod(x.shape[each] for each in axes.get_values())
        if not 1 <= k <= size:
            raise Mistake(f"sparse needs a k from 1 to {size}, the entries of a vector of {x}; found {k}")
        return {"k": IntegerAttr(k, i64), "axes": axes}

    return fields


@_set("levels", values=several, rate=positive)
def _levels(values: Sequence[float], rate: float = 100.0) -> Description:
    return lambda x: {"levels": _floats(values), "rate": FloatAttr(rate, f64)}


@_set("mask", entries=_entries)
def _mask(entries: tuple[list[float], list[int]]) -> Description:
    return lambda x: _fitted("the mask", entries, x)


@_set("equal", value=_entries)
def _equal(value: tuple[list[float], list[int]]) -> Description:
    return lambda x: _fitted("the value", value, x)


@_set("rank", rank=integer)
def _rank(rank: int) -> Description:
    def fields(x: Tensor) -> Fields:
        if x.rank < 2:
            raise Mistake(f"a rank is one of matrices, found {x}")
        if not 1 <= rank <= min(x.shape[-2:]):
            raise Mistake(f"rank needs a number from 1 to {min(x.shape[-2:])} for {x}, found {rank}")
        return {"rank": IntegerAttr(rank, i64)}

    return fields
