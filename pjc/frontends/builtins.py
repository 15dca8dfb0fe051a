"""The functions of the language: a name, what its arguments are, what it builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

from pjc.dialects import ops, shapes
from pjc.frontends import convert
from pjc.frontends.binding import Given, Slot
from pjc.frontends.convert import integer, integers, number, operands, tensor, widths
from pjc.frontends.emitter import Site
from pjc.frontends.values import Mistake, Padding, Tensor

Converter = Callable[[Any], Any]
Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Function:
    """A builtin function; ``build`` gets the site and the converted arguments by name."""

    name: str
    slots: tuple[Slot, ...]
    converters: Mapping[str, Converter]
    build: Callable[..., Any]

    def __call__(self, site: Site, found: Mapping[str, Sequence[Given]]) -> Any:
        """Convert the arguments and build; raise Mistake or ShapeError."""
        arguments = {}
        for slot in self.slots:
            if slot.name in found:
                given = found[slot.name]
                arguments[slot.name] = self.converters[slot.name](given if slot.rest else given[0])
        return self.build(site, **arguments)


SAME = Padding("SAME")

FUNCTIONS: dict[str, Function] = {}


def entry(table: dict[str, Function], name: str, /, **converters: Converter) -> Callable[[Builder], Builder]:
    """Return a decorator that enters a builder; its defaults say which arguments are optional."""

    def enter(build: Builder) -> Builder:
        parameters = inspect.signature(build).parameters
        slots: list[Slot] = []
        for argument, converter in converters.items():
            required = parameters[argument].default is inspect.Parameter.empty
            rest = converter is operands
            named = any(slot.rest for slot in slots)
            slots.append(Slot(argument, required, rest, named))
        table[name] = Function(name, tuple(slots), converters, build)
        return build

    return enter


def _at_least_two(name: str, xs: Sequence[Tensor], hint: str | None = None) -> None:
    if len(xs) < 2:
        raise Mistake(f"{name} takes at least two inputs, got {('none', 'one')[len(xs)]}", hint)


def _at_least_one(name: str, xs: Sequence[Tensor]) -> None:
    if not xs:
        raise Mistake(f"{name} takes at least one input, got none")


# Arithmetic


@entry(FUNCTIONS, "matmul", a=tensor, b=tensor)
@entry(FUNCTIONS, "dot", a=tensor, b=tensor)
def _matmul(site: Site, a: Tensor, b: Tensor) -> Tensor:
    return site.matmul(a, b)


@entry(FUNCTIONS, "add", inputs=operands)
def _add(site: Site, inputs: list[Tensor]) -> Tensor:
    _at_least_two("add", inputs)
    return site.reduce(ops.SumOp, inputs)


@entry(FUNCTIONS, "sum", inputs=operands, axis=integers)
def _sum(site: Site, inputs: list[Tensor], axis: Sequence[int] = ()) -> Tensor:
    _at_least_one("sum", inputs)
    if len(inputs) == 1 and not axis:
        raise Mistake("sum of one tensor needs an axis", "write sum(x, axis = 0)")
    return site.reduce(ops.SumOp, inputs, axis)


@entry(FUNCTIONS, "relu", x=tensor)
def _relu(site: Site, x: Tensor) -> Tensor:
    return site.reduce(ops.SumReluOp, [x])


@entry(FUNCTIONS, "sum_relu", inputs=operands, axis=integers)
def _sum_relu(site: Site, inputs: list[Tensor], axis: Sequence[int] = ()) -> Tensor:
    _at_least_one("sum_relu", inputs)
    return site.reduce(ops.SumReluOp, inputs, axis)


@entry(FUNCTIONS, "max", x=tensor, axis=integers)
def _max(site: Site, x: Tensor, axis: Sequence[int] = ()) -> Tensor:
    if not axis:
        raise Mistake(
            "max of one tensor needs an axis",
            "write max(x, axis = 0); maximum(a, b) compares tensors entry by entry",
        )
    return site.reduce(ops.MaxOp, [x], axis)


@entry(FUNCTIONS, "maximum", inputs=operands)
def _maximum(site: Site, inputs: list[Tensor]) -> Tensor:
    _at_least_two("maximum", inputs, "max(x, axis = 0) is the largest along an axis")
    return site.reduce(ops.MaxOp, inputs)


@entry(FUNCTIONS, "min", x=tensor, axis=integers)
def _min(site: Site, x: Tensor, axis: Sequence[int] = ()) -> Tensor:
    if not axis:
        raise Mistake(
            "min of one tensor needs an axis",
            "write min(x, axis = 0); minimum(a, b) compares tensors entry by entry",
        )
    return site.reduce(ops.MinOp, [x], axis)


@entry(FUNCTIONS, "minimum", inputs=operands)
def _minimum(site: Site, inputs: list[Tensor]) -> Tensor:
    _at_least_two("minimum", inputs, "min(x, axis = 0) is the least along an axis")
    return site.reduce(ops.MinOp, inputs)


@entry(FUNCTIONS, "mean", x=tensor, axis=integers)
def _mean(site: Site, x: Tensor, axis: Sequence[int] | None = None) -> Tensor:
    gone = shapes.axes_of(range(x.rank) if axis is None else axis, x.rank)
    if not gone:
        raise Mistake("mean needs an axis of its tensor, found none", "write mean(x, axis = 0)")
    return site.weighted([x], [1 / prod(x.shape[i] for i in gone)], axes=gone)


@entry(FUNCTIONS, "abs", x=tensor)
def _abs(site: Site, x: Tensor) -> Tensor:
    return site.piecewise("abs", x, (0.0,), (-1.0, 1.0), (0.0, 0.0))


@entry(FUNCTIONS, "leaky_relu", x=tensor, slope=number)
def _leaky_relu(site: Site, x: Tensor, slope: float = 0.01) -> Tensor:
    return site.piecewise("leaky_relu", x, (0.0,), (slope, 1.0), (0.0, 0.0))


@entry(FUNCTIONS, "clip", x=tensor, low=number, high=number)
def _clip(site: Site, x: Tensor, low: float, high: float) -> Tensor:
    if low >= high:
        raise Mistake(f"clip needs low < high, found low = {low:g} and high = {high:g}")
    return site.piecewise("clip", x, (low, high), (0.0, 1.0, 0.0), (low, 0.0, high))


@entry(FUNCTIONS, "sign", x=tensor, margin=number)
def _sign(site: Site, x: Tensor, margin: float = 0.0) -> Tensor:
    return site.piecewise("sign", x, (0.0,), (0.0, 0.0), (-1.0, 1.0), margin)


@entry(FUNCTIONS, "step", x=tensor, threshold=number, margin=number)
def _step(site: Site, x: Tensor, threshold: float = 0.0, margin: float = 0.0) -> Tensor:
    return site.piecewise("step", x, (threshold,), (0.0, 0.0), (0.0, 1.0), margin)


@entry(
    FUNCTIONS, "piecewise",
    x=tensor, edges=convert.levels, slopes=convert.numbers, offsets=convert.numbers, margin=number,
)  # fmt: skip
def _piecewise(
    site: Site,
    x: Tensor,
    edges: Sequence[float],
    slopes: Sequence[float],
    offsets: Sequence[float],
    margin: float = 0.0,
) -> Tensor:
    if not len(edges) + 1 == len(slopes) == len(offsets):
        raise Mistake(
            f"piecewise needs a slope and an offset for each of the {len(edges) + 1} pieces between "
            f"{len(edges)} edges, found {len(slopes)} slopes and {len(offsets)} offsets"
        )
    return site.piecewise("piecewise", x, edges, slopes, offsets, margin)


@entry(FUNCTIONS, "round", x=tensor)
def _round(site: Site, x: Tensor) -> Tensor:
    return site.op(ops.RoundOp(x.ssa), x.names)


@entry(FUNCTIONS, "identity", x=tensor)
def _identity(site: Site, x: Tensor) -> Tensor:
    return site.op(ops.IdentityOp(x.ssa), x.names)


@entry(FUNCTIONS, "quantize", x=tensor, levels=convert.levels)
def _quantize(site: Site, x: Tensor, levels: Sequence[float] = (-1.0, 1.0)) -> Tensor:
    return site.op(ops.QuantizeOp(x.ssa, levels), x.names)


@entry(FUNCTIONS, "full", shape=integers, value=number)
def _full(site: Site, shape: Sequence[int], value: float = 0.0) -> Tensor:
    return site.constant(shape, value)


# Views


@entry(FUNCTIONS, "reshape", x=tensor, shape=integers)
def _reshape(site: Site, x: Tensor, shape: Sequence[int]) -> Tensor:
    return site.reshape(x, shape)


@entry(FUNCTIONS, "transpose", x=tensor, permutation=integers)
def _transpose(site: Site, x: Tensor, permutation: Sequence[int] | None = None) -> Tensor:
    if permutation is None:
        permutation = range(x.rank)[::-1]
    if x.rank and all(-x.rank <= axis < x.rank for axis in permutation):
        permutation = [axis % x.rank for axis in permutation]
    return site.transpose(x, permutation)


@entry(FUNCTIONS, "concat", inputs=operands, axis=integer)
def _concat(site: Site, inputs: list[Tensor], axis: int = -1) -> Tensor:
    _at_least_one("concat", inputs)
    return site.concat(inputs, axis)


@entry(FUNCTIONS, "stack", inputs=operands, axis=integer)
def _stack(site: Site, inputs: list[Tensor], axis: int = 0) -> Tensor:
    _at_least_one("stack", inputs)
    for x in inputs[1:]:
        if x.shape != inputs[0].shape:
            raise Mistake(f"stack needs tensors of equal shape, found {inputs[0]} and {x}")
    return site.concat([_expand(site, x, axis) for x in inputs], axis)


@entry(FUNCTIONS, "broadcast", x=tensor, shape=integers)
def _broadcast(site: Site, x: Tensor, shape: Sequence[int]) -> Tensor:
    return site.broadcast(x, shapes.checked(shape))


@entry(FUNCTIONS, "expand", x=tensor, axis=integer)
def _expand(site: Site, x: Tensor, axis: int) -> Tensor:
    at = shapes.axis_of(axis, x.rank + 1)
    result = site.reshape(x, (*x.shape[:at], 1, *x.shape[at:]))
    return Tensor(result.ssa, (*x.names[:at], None, *x.names[at:]))


@entry(FUNCTIONS, "squeeze", x=tensor, axis=integers)
def _squeeze(site: Site, x: Tensor, axis: Sequence[int] | None = None) -> Tensor:
    if axis is None:
        gone: Sequence[int] = [i for i, size in enumerate(x.shape) if size == 1]
    else:
        gone = shapes.axes_of(axis, x.rank)
    for i in gone:
        if x.shape[i] != 1:
            raise Mistake(f"squeeze removes axes of size 1, but axis {i} of {x} is {x.shape[i]}")
    kept = [i for i in range(x.rank) if i not in gone]
    result = site.reshape(x, [x.shape[i] for i in kept])
    return Tensor(result.ssa, tuple(x.names[i] for i in kept))


@entry(FUNCTIONS, "pad", x=tensor, widths=widths)
def _pad(site: Site, x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    if len(widths) != x.rank:
        raise Mistake(f"pad needs a pair for each axis of {x}, found {len(widths)}")
    return site.pad(x, [low for low, _ in widths], [high for _, high in widths])


@entry(FUNCTIONS, "embedding", table=tensor, indices=tensor)
@entry(FUNCTIONS, "gather", table=tensor, indices=tensor)
def _gather(site: Site, table: Tensor, indices: Tensor) -> Tensor:
    return site.gather(table, indices)


@entry(FUNCTIONS, "flatten", x=tensor)
def _flatten(site: Site, x: Tensor) -> Tensor:
    if x.rank < 2:
        raise Mistake(f"flatten joins all axes but the first, and {x} has rank {x.rank}")
    return site.reshape(x, (x.shape[0], -1))


# Images: [batch, height, width, channels]


def _check_image(name: str, x: Tensor) -> None:
    if x.rank != 4:
        raise Mistake(f"{name} takes a tensor of [batch, height, width, channels], found {x}")


def _margins(
    padding: Padding | Sequence[tuple[int, int]], shape: Sequence[int], window: Sequence[int],
    strides: Sequence[int]
) -> list[tuple[int, int]]:  # fmt: skip
    """Return what is put before and after height and width.

    SAME makes ``ceil(size / stride)`` positions, with the odd zero at the end.
    """
    if not isinstance(padding, Padding):
        return list(padding)
    if padding.name == "VALID":
        return [(0, 0), (0, 0)]
    found = []
    for size, reach, stride in zip(shape, window, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found.append((total // 2, total - total // 2))
    return found


def _windows(
    site: Site, x: Tensor, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """Return ``[batch, rows, columns, height, width, channels]``: every ``dilation``-th entry of a window."""
    reach = _reach(window, dilation)
    cut = site.patches(x, (1, 2), reach, strides)
    steps = (1, 1, 1, *dilation, 1)
    return site.slice(cut, (0,) * 6, cut.shape, steps)


def _reach(window: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Return the height and width that a window covers."""
    return tuple((size - 1) * step + 1 for size, step in zip(window, dilation, strict=True))


@entry(
    FUNCTIONS, "conv2d",
    x=tensor, weight=tensor, strides=convert.pair, padding=convert.padding, dilation=convert.pair,
    groups=integer,
)  # fmt: skip
def _conv2d(
    site: Site,
    x: Tensor,
    weight: Tensor,
    strides: tuple[int, int] = (1, 1),
    padding: Padding | Sequence[tuple[int, int]] = SAME,
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    _check_image("conv2d", x)
    if groups < 1 or x.shape[3] % groups:
        raise Mistake(f"conv2d needs groups that divide the {x.shape[3]} channels of {x}, found {groups}")
    channels = x.shape[3] // groups
    if weight.rank != 4 or weight.shape[2] != channels or weight.shape[3] % groups:
        multiple = "channels" if groups == 1 else f"a multiple of {groups}"
        raise Mistake(
            f"conv2d takes a weight of [height, width, {channels}, {multiple}] for {x}, found {weight}"
        )
    *window, _, out = weight.shape
    (top, bottom), (left, right) = _margins(padding, x.shape[1:3], _reach(window, dilation), strides)
    padded = site.pad(x, (0, top, left, 0), (0, bottom, right, 0))
    cut = _windows(site, padded, window, strides, dilation)
    entries = prod(window) * channels
    if groups == 1:
        rows = site.reshape(cut, (-1, entries))
        product = site.matmul(rows, site.reshape(weight, (entries, out)))
    else:
        split = site.reshape(cut, (prod(cut.shape[:3]), prod(window), groups, channels))
        rows = site.reshape(site.transpose(split, (2, 0, 1, 3)), (groups, -1, entries))
        columns = site.transpose(site.reshape(weight, (entries, groups, out // groups)), (1, 0, 2))
        product = site.transpose(site.matmul(rows, columns), (1, 0, 2))
    result = site.reshape(product, (*cut.shape[:3], out))
    return Tensor(result.ssa, (x.names[0], None, None, weight.names[3]))


@entry(FUNCTIONS, "max_pool", x=tensor, window=convert.pair, strides=convert.pair, dilation=convert.pair)
def _max_pool(
    site: Site,
    x: Tensor,
    window: tuple[int, int],
    strides: tuple[int, int] | None = None,
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    _check_image("max_pool", x)
    return site.reduce(ops.MaxOp, [_windows(site, x, window, strides or window, dilation)], (3, 4))


@entry(FUNCTIONS, "avg_pool", x=tensor, window=convert.pair, strides=convert.pair, dilation=convert.pair)
def _avg_pool(
    site: Site,
    x: Tensor,
    window: tuple[int, int],
    strides: tuple[int, int] | None = None,
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    _check_image("avg_pool", x)
    cut = _windows(site, x, window, strides or window, dilation)
    return site.weighted([cut], [1 / prod(window)], axes=(3, 4))
