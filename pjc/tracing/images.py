"""Convolutions and pools in any layout, between transposes to the language's: channels last."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pjc.tracing.joining import joined, slice_text
from pjc.tracing.pieces import Pieces
from pjc.tracing.refusal import Refused
from pjc.tracing.shaping import padded, spread
from pjc.tracing.text import tuple_text
from pjc.tracing.values import Constant, Function, Tensor, Value, constant
from pjc.tracing.views import indexed, is_settled, reshaped, transposed
from pjc.tracing.walk import Walk, computed, handles

Pairs = Sequence[tuple[int, int]]


@handles("conv_general_dilated", becomes="conv2d, in any layout")
def convolution(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    params = eqn.params
    x, weight = (walk.floats(each) for each in given)
    if params["batch_group_count"] != 1:
        raise Refused("it groups the batch")
    spatial = len(x.shape) - 2
    if spatial not in (1, 2):
        raise Refused(f"it is a convolution along {spatial} axes", "along one or two there is one")
    numbers = params["dimension_numbers"]
    image, window, result = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    for axis, apart in zip(image[2:], params["lhs_dilation"], strict=True):
        x = spread(walk, x, axis, int(apart) - 1) if apart != 1 else x
    a = transposed(x, [image[0], *image[2:], image[1]])
    w = transposed(weight, [*window[2:], window[1], window[0]])
    strides, dilation = list(params["window_strides"]), list(params["rhs_dilation"])
    around = [(int(low), int(high)) for low, high in params["padding"]]
    _require_no_cut(around)
    if spatial == 1:
        a = reshaped(a, (a.shape[0], 1, *a.shape[1:]))
        w = reshaped(w, (1, *w.shape))
        strides, dilation, around = [1, *strides], [1, *dilation], [(0, 0), *around]
    text = f"conv2d({a.text}, {w.text}{_options(strides, dilation, around, params['feature_group_count'])})"
    out = tuple(eqn.outvars[0].aval.shape)
    placed = [out[axis] for axis in (result[0], *result[2:], result[1])]
    full = placed if spatial == 2 else [placed[0], 1, *placed[1:]]
    made = walk.text.bind("conv", text, full, fed=x.fed or weight.fed)
    made = reshaped(made, tuple(placed))
    own = [result[0], *result[2:], result[1]]
    return transposed(made, [own.index(axis) for axis in range(len(out))])


def _options(strides: Sequence[int], dilation: Sequence[int], around: Pairs, groups: int) -> str:
    options = ["padding = " + (tuple_text(map(tuple_text, around)) if any(map(any, around)) else "VALID")]
    if list(strides) != [1, 1]:
        options.append(f"strides = {tuple_text(strides)}")
    if list(dilation) != [1, 1]:
        options.append(f"dilation = {tuple_text(dilation)}")
    if groups != 1:
        options.append(f"groups = {groups}")
    return "".join(f", {each}" for each in options)


@handles("reduce_window_max", becomes="max_pool")
def max_pool(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    return _pool(walk, eqn, walk.floats(given[0]), "max_pool")


@handles("reduce_window_min", becomes="max_pool of the negative")
def min_pool(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x = walk.floats(given[0])
    negative = walk.tensor(Function(x, Pieces().scaled(-1.0), x.shape))
    made = _pool(walk, eqn, negative, "max_pool")
    return Function(made, Pieces().scaled(-1.0), made.shape)


@handles("reduce_window_sum", becomes="avg_pool, times the size of the window")
def sum_pool(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    if isinstance(given[0], Constant):
        return _counted(eqn, given[0])
    made = _pool(walk, eqn, walk.floats(given[0]), "avg_pool")
    size = float(prod(eqn.params["window_dimensions"]))
    return Function(made, Pieces().scaled(size), made.shape)


def _counted(eqn: Any, value: Constant) -> Constant:
    """Return the sums over windows of a constant that may repeat itself along open axes."""
    params = eqn.params
    shape = list(value.shape)
    for axis, size in enumerate(shape):
        if not is_settled(size):
            if params["window_dimensions"][axis] != 1 or value.array.shape[axis] != 1:
                raise Refused("it pools along an axis that is open", "give that dimension a number")
            shape[axis] = 1
    (found,) = computed(eqn, [np.broadcast_to(value.array, shape)])
    return constant(np.asarray(found), eqn.outvars[0].aval.shape)


def _pool(walk: Walk, eqn: Any, x: Tensor, function: str) -> Tensor:
    """Return the windows' largest entries or means, along at most two axes."""
    params = eqn.params
    windows, strides = list(params["window_dimensions"]), list(params["window_strides"])
    dilations, around = (
        list(params["window_dilation"]),
        [(int(low), int(high)) for low, high in params["padding"]],
    )
    if any(each != 1 for each in params["base_dilation"]):
        raise Refused("it spreads its input")
    _require_no_cut(around)
    out = tuple(eqn.outvars[0].aval.shape)
    around = [
        (low, min(high, _reached(out[at], windows[at], strides[at], dilations[at]) - x.shape[at] - low))
        if high
        else (low, high)
        for at, (low, high) in enumerate(around)
    ]
    active = [
        axis for axis in range(len(x.shape)) if windows[axis] != 1 or strides[axis] != 1 or any(around[axis])
    ]
    if not active:
        return x
    if len(active) > 2:
        raise Refused("it pools along more than two axes")
    if function == "max_pool":
        x = _with_borders(walk, x, around, windows, dilations)
    else:
        x = padded(walk, x, around)
    order, spatial = _order(len(x.shape), active)
    rows = transposed(x, order)
    image = _as_image(walk, rows, len(order) - len(spatial), spatial)
    numbers = [
        [1] * (2 - len(spatial)) + [each[a] for a in spatial] for each in (windows, strides, dilations)
    ]
    text = f"{function}({image.text}, {tuple_text(numbers[0])}, {tuple_text(numbers[1])}"
    text += ")" if numbers[2] == [1, 1] else f", dilation = {tuple_text(numbers[2])})"
    shape = (image.shape[0], *([1] if len(spatial) == 1 else []), *(out[a] for a in spatial), image.shape[-1])
    made = walk.text.bind(function, text, shape, fed=x.fed)
    made = reshaped(made, tuple(out[axis] for axis in order))
    return transposed(made, [order.index(axis) for axis in range(len(out))])


def _require_no_cut(around: Pairs) -> None:
    """Raise Refused for pads that are negative."""
    if any(low < 0 or high < 0 for low, high in around):
        raise Refused("it cuts its input off at the border", "slice it before")


def _reached(count: int, window: int, stride: int, dilation: int) -> int:
    """Return how many entries some windows reach over."""
    return (count - 1) * stride + (window - 1) * dilation + 1


def _order(rank: int, active: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the axes in the order of an image, and its axes of places, which are two if there is room."""
    spatial = list(active)
    if rank == 4 and len(spatial) == 1:
        # An image's other axis of places, so that it stays an image.
        near = 1 if spatial[0] == 2 else 2
        spatial = sorted([spatial[0], near if spatial[0] in (1, 2) else 2 if spatial[0] == 3 else near])
    others = [axis for axis in range(rank) if axis not in spatial]
    return ([others[0], *spatial, *others[1:]] if others else spatial), spatial


def _as_image(walk: Walk, x: Tensor, others: int, spatial: Sequence[int]) -> Tensor:
    """Return a tensor as ``[batch, height, width, channels]``."""
    shape = x.shape
    first = shape[:1] if others else (1,)
    at = 1 if others else 0
    places = shape[at : at + len(spatial)]
    channels = shape[at + len(spatial) :]
    places = (1, *places) if len(spatial) == 1 else places
    return reshaped(x, (*first, *places, prod(channels) if channels else 1))


def _with_borders(
    walk: Walk, x: Tensor, around: Pairs, windows: Sequence[int], dilations: Sequence[int]
) -> Tensor:
    """Return a tensor with its own border around it, which changes no window's largest entry."""
    for axis, (low, high) in enumerate(around):
        if not low and not high:
            continue
        if dilations[axis] != 1 or max(low, high) >= windows[axis]:
            raise Refused("it pads windows with holes, or wider than they are", "pad before")
        size = x.shape[axis]
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        first, last = (
            indexed(x, [":"] * axis + [slice_text(at, at + 1, 1, size)], shape) for at in (0, size - 1)
        )
        x = joined(walk, [first] * low + [x] + [last] * high, axis)
    return x
