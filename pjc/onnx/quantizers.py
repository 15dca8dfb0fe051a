"""QuantizeLinear and DequantizeLinear: to the numbers that a type of few bits holds, and back.

The text has a piece for each part of a tensor with a scale and a zero point of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import onnx

from pjc.onnx.constants import Static
from pjc.onnx.elementwise import number, signed
from pjc.onnx.graph import Graph, Node, Unsupported, Value, handles
from pjc.onnx.reading import BITS, INTEGERS, SMALL_FLOATS
from pjc.onnx.sizes import Open
from pjc.onnx.views import MAX_PIECES, sliced

Written = Callable[[str, float, float], str]
"""What is written for an expression, its scale and its zero point."""
MAX_BITS = 16


@handles("QuantizeLinear")
def quantize_linear(graph: Graph, node: Node) -> Value:
    kind = graph.kinds.get(node.input(2)) or node.get("output_dtype") or onnx.TensorProto.UINT8
    if kind in SMALL_FLOATS:
        if not node.get("saturate", 1):
            raise Unsupported("it does not saturate")
        levels = ", ".join(number(level) for level in _levels(kind))
        return _in_pieces(graph, node, lambda x, s, _: f"quantize({x} / {number(s)}, ({levels}))")
    low, high = _range(kind)

    def written(x: str, scale: float, zero: float) -> str:
        text = f"quantize_linear({x}, {number(scale)}, {number(low - zero)}, {number(high - zero)})"
        return f"{text} + {number(zero)}" if zero else text

    return _in_pieces(graph, node, written)


@handles("DequantizeLinear")
def dequantize_linear(graph: Graph, node: Node) -> Value:
    def written(x: str, scale: float, zero: float) -> str:
        return f"{number(scale)} * ({x} - {signed(zero)})" if zero else f"{number(scale)} * {x}"

    return _in_pieces(graph, node, written)


def dequantized(node: Node, x: Static, scale: Static, zero: Static | None) -> Static:
    """Return the numbers that weights of few bits mean: ``(x - zero) * scale``."""
    step, offset = (_along(node, x.shape, each) for each in (scale, zero if zero is not None else 0 * scale))
    return ((x.astype(np.float32) - offset.astype(np.float32)) * step).astype(np.float32)


def levels_of(node: Node, x: Static, scale: Static, zero: Static | None) -> str | None:
    """Return the set that weights of few bits are in: those whole numbers times a scale for each channel.

    None for what is no weight of at most eight bits, or whose zero points or blocks differ.
    """
    if x.ndim < 2 or _bits_of(x) > 8 or not (scale > 0).all() or node.get("block_size", 0):
        return None
    if zero is not None and np.ptp(zero.astype(np.int64)) > 0:
        return None
    whole = x.astype(np.int64) - (0 if zero is None else int(zero.reshape(-1)[0]))
    # As few bits as they need: types are wider than what is in them. The least number of a signed type has
    # no opposite, and most quantizers leave it out.
    least, most = int(whole.min()), int(whole.max())
    top = 2 ** max(1, most.bit_length(), (-least - 1).bit_length() if least < 0 else 0) - 1
    low = 0 if least >= 0 else min(-top, least)
    if top == 1 and low == -1 and (whole != 0).all():
        levels = "(-1, 1)"
    else:
        levels = f"({', '.join(map(str, range(low, top + 1)))})"
    axis = node.get("axis", 1) % x.ndim
    axes = [each for each in range(x.ndim) if scale.size == 1 or each != axis]
    written = str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"
    return f"scaled_levels({levels}, axis = {written})"


def _bits_of(x: Static) -> int:
    """Return the bits of an array's whole numbers; those of other numbers are many."""
    name = x.dtype.name
    return int(name.lstrip("uint")) if name.lstrip("uint").isdigit() else 64


def _along(node: Node, shape: tuple[int, ...], array: Static) -> Static:
    """Return scales or zero points in a shape that broadcasts to the tensor's."""
    if array.size == 1:
        return array.reshape(())
    axis, block = node.get("axis", 1) % len(shape), node.get("block_size", 0)
    if block > 0 and array.ndim == len(shape):
        if isinstance(shape[axis], Open):
            raise Unsupported("it has blocks along an open dimension", "give that dimension a fixed size")
        return np.repeat(array, min(block, shape[axis]), axis).take(range(shape[axis]), axis)
    if array.shape != shape[axis : axis + 1]:
        raise Unsupported(f"its scale or zero point {list(array.shape)} does not fit {list(shape)}")
    return array.reshape([-1 if each == axis else 1 for each in range(len(shape))])


def _in_pieces(graph: Graph, node: Node, written: Written) -> Value:
    x = graph.tensor(node.input(0))
    if x.integer:
        raise Unsupported("it computes with an input of whole numbers")
    scale = graph.static(node.input(1), "scale")
    zero = graph.static(node.input(2), "zero point") if node.input(2) else np.zeros_like(scale)
    if not (scale > 0).all():
        raise Unsupported("its scale is not positive")
    if scale.size * zero.size == 1:
        return graph.bind(written(x.text, float(scale.flat[0]), float(zero.flat[0])), x.shape, x.order)
    both = [_along(node, x.shape, each).astype(np.float64) for each in (scale, zero)]
    numbers = np.stack(np.broadcast_arrays(*both), -1)
    x = graph.in_order(x, None)
    if any(size not in (1, own) for size, own in zip(numbers.shape, x.shape, strict=False)):
        raise Unsupported(f"its scale or zero point {list(scale.shape)} does not fit {list(x.shape)}")
    return _pieces(graph, x, numbers, written, [MAX_PIECES])


def _pieces(graph: Graph, x: Value, numbers: Static, written: Written, left: list[int]) -> Value:
    """Return a value whose parts are written with their own ``numbers``, [..., scale and zero point].

    ``left`` counts down how many parts there may still be.
    """
    for axis in range(x.rank):
        rows = np.moveaxis(numbers, axis, 0)
        lengths = [len(list(group)) for _, group in groupby(rows, key=lambda row: row.tobytes())]
        if len(lengths) == 1:
            continue
        parts, at = [], 0
        for length in lengths:
            piece = sliced(graph, x, axis, at, at + length)
            inner = np.moveaxis(rows[at : at + length], 0, axis)
            parts.append(_pieces(graph, piece, inner, written, left).text)
            at += length
        return graph.bind(f"concat({', '.join(parts)}, axis = {axis})", x.shape)
    left[0] -= 1
    if left[0] < 0:
        raise Unsupported(f"it has more than {MAX_PIECES} scales", "quantize a tensor as a whole")
    scale, zero = (float(each) for each in numbers.reshape(-1, 2)[0])
    return graph.bind(written(x.text, scale, zero), x.shape)


def _range(kind: int) -> tuple[int, int]:
    """Return the least and the largest number of a type."""
    name = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).name if kind in INTEGERS else ""
    bits = BITS.get(kind) or int(name.lstrip("uint") or MAX_BITS + 1)
    if bits > MAX_BITS or name == "bool":
        raise Unsupported(f"it quantizes to {name or 'an unknown type'}", "types of up to 16 bits are known")
    return (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _levels(kind: int) -> list[float]:
    """Return the finite numbers that a type of at most eight bits holds, in order."""
    bits = BITS.get(kind, 8)
    codes = np.arange(2**bits, dtype=np.uint8)
    found = codes.view(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))).astype(np.float64)
    return sorted({float(each) for each in found if np.isfinite(each)})
