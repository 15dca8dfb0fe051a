"""Convolutions, pooling and batch normalization.

What they give has its channels last in the text, whatever the model's order: see graph.Value.order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import prod

import numpy as np

from pjc.frontends.reserved import tuple_text
from pjc.onnx.constants import Static
from pjc.onnx.elementwise import number, reduced
from pjc.onnx.graph import FIX, Graph, Node, Unsupported, Value, handles
from pjc.onnx.sizes import Open
from pjc.onnx.views import edge_padded, zero_padded

CHANNELS_LAST = (0, 2, 3, 1)
VOLUME_LAST = (0, 2, 3, 4, 1)
WEIGHT_ORDER = (2, 3, 1, 0)
"""Height, width, inputs, outputs of a weight that a model gives as outputs, inputs, height, width."""

Pairs = list[tuple[int, int]]


def image(graph: Graph, name: str, *, volumes: bool = False) -> tuple[Value, bool]:
    """Return a tensor of [batch, channels, height, width], and whether it had no height.

    With ``volumes`` also one with a depth before the height.

    Raises:
        Unsupported: if it has more axes.
    """
    x = graph.tensor(name)
    if volumes and x.rank == 5 and not x.integer:
        return graph.in_order(x, VOLUME_LAST), False
    if x.rank not in (3, 4) or x.integer:
        raise Unsupported(f"it takes a tensor of rank {x.rank}", "images and sequences are known")
    if x.rank == 3:
        x = graph.reshaped(x, (*x.shape[:2], 1, x.shape[2]))
        return graph.in_order(x, CHANNELS_LAST), True
    return graph.in_order(x, CHANNELS_LAST), False


MAX_WINDOW = 2**12
"""The largest kernel, stride, dilation or padding along an axis."""
MAX_ENTRIES = 2**10
"""The most entries of a window over height and width: the compiler takes them one by one."""
MAX_COUNTED = 2**14
"""The most windows along an axis that are looked at one by one."""


def windows(node: Node, kernel: Sequence[int], size: Sequence[int]) -> tuple[list[int], list[int], Pairs]:
    """Return strides, dilations and padding for height and width, or for depth, height and width."""
    rank = len(kernel)

    def both(name: str, default: int) -> list[int]:
        found = list(node.get(name) or [default] * rank)
        return [1] * (2 - rank) + found

    kernel = [1] * (2 - rank) + list(kernel)
    numbers = [*kernel, *both("strides", 1), *both("dilations", 1), *(node.get("pads") or [])]
    if max(numbers) > MAX_WINDOW or min(numbers) < 0 or 0 in numbers[: 3 * len(kernel)]:
        raise Unsupported(f"its window has the numbers {numbers}")
    if prod(kernel[-2:]) > MAX_ENTRIES:
        raise Unsupported(f"its window has {prod(kernel[-2:]):,} entries, more than {MAX_ENTRIES:,}")
    strides, dilations = both("strides", 1), both("dilations", 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        around = []
        for n, k, s in zip(size, reach, strides, strict=True):
            if isinstance(n, Open) and s > 1:
                raise Unsupported("how far it pads depends on an open dimension", FIX)
            total = max((-(-n // s) - 1) * s + k - n, 0)
            small, large = total // 2, total - total // 2
            around.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return strides, dilations, around
    given = list(node.get("pads") or [0] * (2 * rank)) if auto == "NOTSET" else [0] * (2 * rank)
    low, high = [0] * (2 - rank) + given[:rank], [0] * (2 - rank) + given[rank:]
    return strides, dilations, list(zip(low, high, strict=True))


def count(size: int, around: tuple[int, int], reach: int, stride: int) -> int:
    """Return the number of positions of a window."""
    return (size + sum(around) - reach) // stride + 1


@handles("Conv")
def conv(graph: Graph, node: Node) -> Value:
    x, flat = image(graph, node.input(0))
    weight = graph.plain(node.input(1))
    graph.require_one_sample("adds up", *x.shape[1:], *weight.shape)
    kernel = weight.shape[2:]
    shape4 = (*weight.shape[:2], *[1] * (4 - weight.rank), *kernel)
    held = graph.reshaped(weight, shape4)
    size = x.shape[2:]
    strides, dilations, around = windows(node, kernel, size)
    groups = node.get("group", 1)
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise Unsupported(f"its weight {list(weight.shape)} does not fit {x.shape[1]} channels")
    reach = [(k - 1) * d + 1 for k, d in zip(shape4[2:], dilations, strict=True)]
    out = [count(*each) for each in zip(size, around, reach, strides, strict=True)]
    _check_positive(out)
    options = [f"transpose({held.text}, {tuple_text(WEIGHT_ORDER)})"]
    if strides != [1, 1]:
        options.append(f"strides = {tuple_text(strides)}")
    options.append(
        "padding = " + ("VALID" if around == [(0, 0)] * 2 else tuple_text([*map(tuple_text, around)]))
    )
    if dilations != [1, 1]:
        options.append(f"dilation = {tuple_text(dilations)}")
    if groups != 1:
        options.append(f"groups = {groups}")
    text = f"conv2d({', '.join([x.text, *options])})"
    if node.input(2):
        text = f"{text} + {graph.plain(node.input(2)).text}"
    result = graph.bind(text, (x.shape[0], weight.shape[0], *out), CHANNELS_LAST)
    return graph.reshaped(result, (*result.shape[:2], out[1])) if flat else result


def _check_positive(out: Sequence[int]) -> None:
    if min(out) < 1:
        raise Unsupported("its window is larger than its input")


@handles("MaxPool", "AveragePool")
def pool(graph: Graph, node: Node) -> Value:
    if len(node.proto.output) > 1 and node.proto.output[1]:
        raise Unsupported("the places of the largest are asked for", "leave out the second output")
    x, flat = image(graph, node.input(0), volumes=True)
    kernel = [1] * (2 - len(node.get("kernel_shape"))) + list(node.get("kernel_shape"))
    size = x.shape[2:]
    graph.require_one_sample("has windows over", *size)
    strides, dilations, around = windows(node, node.get("kernel_shape"), size)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    out = [_positions(node, *each) for each in zip(size, around, reach, strides, strict=True)]
    _check_positive(out)
    # What the last windows need behind the padding that was asked for; perhaps less than that.
    ends = [
        high if isinstance(length, Open) else max(0, (n - 1) * s + k - length - low)
        for n, s, k, length, (low, high) in zip(out, strides, reach, size, around, strict=True)
    ]
    filled = [(0, 0), *((low, end) for (low, _), end in zip(around, ends, strict=True)), (0, 0)]
    own = Value(x.text, x.own_shape())
    if node.op == "MaxPool":
        for axis, (k, dilation) in enumerate(zip(kernel, dilations, strict=True)):
            if dilation > 1 or max(filled[1 + axis]) >= k:
                _counts(size[axis], around[axis], k, dilation, strides[axis], out[axis])
        # An entry of a window that stands in it twice does not change its largest.
        own = edge_padded(graph, own, filled, (1, *dilations, 1))
    else:
        own = zero_padded(graph, own, filled)
    pooled = _pooled(graph, node, own, (kernel, strides, dilations), out)
    result = Value(pooled.text, (*x.shape[:2], *out), x.order)
    if node.op == "AveragePool":
        result = _counted(graph, node, result, kernel, dilations, strides, around, size)
    return graph.reshaped(result, (*result.shape[:2], out[1])) if flat else result


Window = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""The kernel, the strides and the dilations."""


def _pooled(graph: Graph, node: Node, x: Value, window: Window, out: Sequence[int]) -> Value:
    """Pool a tensor with its channels last; with a depth in two steps.

    The largest of the largest of each slice is the largest, and so for means.
    """
    if x.rank == 5:
        batch, depth, *_, channels = x.shape
        flat = graph.reshaped(x, (batch * depth, *x.shape[2:]))
        inner = _pooled(graph, node, flat, (window[0][1:], window[1][1:], window[2][1:]), out[1:])
        columns = graph.reshaped(inner, (batch, depth, out[1] * out[2], channels))
        first = tuple((each[0], 1) for each in window)
        outer = _pooled(graph, node, columns, (first[0], first[1], first[2]), (out[0], out[1] * out[2]))
        return graph.reshaped(outer, (batch, *out, channels))
    kernel, strides, dilations = window
    function = "max_pool" if node.op == "MaxPool" else "avg_pool"
    more = "" if list(dilations) == [1, 1] else f", dilation = {tuple_text(dilations)}"
    text = f"{function}({x.text}, {tuple_text(kernel)}, {tuple_text(strides)}{more})"
    return graph.bind(text, (x.shape[0], *out, x.shape[3]))


def _positions(node: Node, size: int, around: tuple[int, int], reach: int, stride: int) -> int:
    """Return the number of windows; with ceil_mode also one that starts inside and reaches out."""
    whole = count(size, around, reach, stride)
    auto = node.get("auto_pad", "NOTSET")
    if not node.get("ceil_mode", 0) or auto in ("SAME_UPPER", "SAME_LOWER"):
        return whole
    if isinstance(size, Open) and stride > 1:
        raise Unsupported("the number of its windows depends on an open dimension", FIX)
    more = -(-(size + sum(around) - reach) // stride) + 1
    return more if (more - 1) * stride < size + around[0] else more - 1


def _counts(
    size: int,
    around: tuple[int, int],
    kernel: int,
    dilation: int,
    stride: int,
    windows: int,
    counted: tuple[int, int] = (0, 0),
) -> list[int]:
    """Return how many entries of each window along an axis count: those inside, and ``counted`` around it.

    The list is empty where that is all of them without a look.

    Raises:
        Unsupported: if a window has none.
    """
    if isinstance(size, Open):
        if around in ((0, 0), counted):
            return []
        raise Unsupported("it pads an axis that is open", FIX)
    reach = (windows - 1) * stride + (kernel - 1) * dilation + 1
    if around[0] == 0 and reach <= size:
        return []
    if windows > MAX_COUNTED:
        raise Unsupported("it pads an axis that is open or too long", "give that dimension a fixed size")
    starts = np.arange(windows) * stride - around[0]
    places = starts[:, None] + np.arange(kernel) * dilation
    counts = ((places >= -counted[0]) & (places < size + counted[1])).sum(axis=1)
    if np.any(counts == 0):
        raise Unsupported("a window lies in the padding alone")
    return [int(each) for each in counts]


def _counted(
    graph: Graph,
    node: Node,
    result: Value,
    kernel: Sequence[int],
    dilations: Sequence[int],
    strides: Sequence[int],
    around: Pairs,
    size: Sequence[int],
) -> Value:
    """Scale means of whole windows to means over the entries that count, which are fewer at the borders."""
    for axis in range(len(kernel)):
        counted = around[axis] if node.get("count_include_pad", 0) else (0, 0)
        counts = _counts(
            size[axis], around[axis], kernel[axis], dilations[axis], strides[axis], result.shape[2 + axis],
            counted,
        )  # fmt: skip
        runs = [(key, len(list(group))) for key, group in groupby(counts)]
        if not runs or runs == [(kernel[axis], len(counts))]:
            continue
        parts, at = [], 0
        for entries, length in runs:
            index = "[" + ":, " * (1 + axis) + f"{at}:{at + length}]"
            factor = kernel[axis] / entries
            parts.append(
                f"{number(factor)} * {result.text}{index}" if factor != 1 else f"{result.text}{index}"
            )
            at += length
        text = parts[0] if len(parts) == 1 else f"concat({', '.join(parts)}, axis = {1 + axis})"
        result = graph.bind(text, result.shape, result.order)
    return result


@handles("GlobalMaxPool", "GlobalAveragePool")
def global_pool(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    if x.rank < 3:
        raise Unsupported(f"it takes a tensor of rank {x.rank}")
    function = "max" if node.op == "GlobalMaxPool" else "mean"
    return reduced(graph, function, x, range(2, x.rank), keep=True)


@handles("BatchNormalization")
def batch_normalization(graph: Graph, node: Node) -> Value:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias``: one factor and one term for each channel."""
    if node.get("training_mode", 0) or sum(1 for name in node.proto.output if name) > 1:
        raise Unsupported("it is in training mode", "export the model for inference")
    what = ("scale", "bias", "mean", "variance")
    x = graph.tensor(node.input(0))
    known = [graph.static(node.input(index), name) for index, name in enumerate(what, 1)]
    if x.rank < 2 or any(each.shape != x.shape[1:2] for each in known):
        raise Unsupported(f"its statistics do not fit {list(x.shape)}")
    scale, bias, mean, variance = (each.astype(np.float64) for each in known)
    with np.errstate(all="ignore"):  # what is not finite is refused as a parameter
        factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
        shift = bias - mean * factor
    stem = node.input(1)
    last = x.order is not None and x.order[-1] == 1
    shape = factor.shape if last or x.rank == 2 else (len(factor), *[1] * (x.rank - 2))
    a = graph.parameter(graph.unused(f"{stem}_factor"), factor.reshape(shape), start="ones").text
    b = graph.parameter(graph.unused(f"{stem}_shift"), shift.reshape(shape), start="zeros").text
    if not last:
        x = graph.in_order(x, None)
    return graph.bind(f"{x.text} * {a} + {b}", x.shape, x.order)


def folded_normalization(
    weight: Static, bias: Static | None, statistics: Sequence[Static], epsilon: float, axis: int
) -> tuple[Static, Static]:
    """Return weight and bias of a layer that also does the normalization that follows it.

    ``axis`` is the weight's axis of outputs; ``statistics`` are scale, bias, mean and variance.
    """
    scale, shift, mean, variance = (each.astype(np.float64) for each in statistics)
    shape = [1] * weight.ndim
    shape[axis] = prod(scale.shape)
    moved = (0.0 if bias is None else bias) - mean
    with np.errstate(all="ignore"):  # what is not finite is refused as a parameter
        factor = scale / np.sqrt(variance + epsilon)
        folded = weight * factor.reshape(shape), moved * factor + shift
        return folded[0].astype(weight.dtype), folded[1].astype(weight.dtype)
