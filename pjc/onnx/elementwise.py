"""Operators that work entry by entry, and reductions along axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from pjc.dialects import shapes
from pjc.dialects.ops import FUNCTIONS, ElementwiseOp, operator_of
from pjc.frontends.reserved import tuple_text
from pjc.onnx.constants import is_open, uniform
from pjc.onnx.graph import Graph, Handler, Node, Unsupported, Value, handles, single
from pjc.onnx.reading import FLOATS, SMALL_FLOATS

ROWS = {TensorProto.INT32, TensorProto.INT64}
"""Types that hold the number of every row."""
TINY = 1e-30
"""sign is 0 from minus this to this."""


def number(value: float) -> str:
    """Return a number as the language writes it: one that float32 holds by the fewest digits that name it."""
    held = single(value)
    if not np.isfinite(held):
        raise Unsupported(f"it computes with {value:g}, which float32 does not hold as a finite number")
    return str(np.float32(held)).removesuffix(".0") if held == value else f"{value:.9g}"


def unary(graph: Graph, node: Node, text: str) -> Value:
    """Return a function of the first input, entry by entry; ``{x}`` in the text is that input."""
    x = graph.tensor(node.input(0))
    if x.integer:
        raise Unsupported("it computes with an input of whole numbers")
    return graph.bind(text.format(x=x.text), x.shape, x.order)


@handles("Relu")
def relu(graph: Graph, node: Node) -> Value:
    return unary(graph, node, "relu({x})")


@handles("Abs")
def abs_(graph: Graph, node: Node) -> Value:
    return unary(graph, node, "abs({x})")


@handles("Neg")
def neg(graph: Graph, node: Node) -> Value:
    return unary(graph, node, "-{x}")


@handles("LeakyRelu")
def leaky_relu(graph: Graph, node: Node) -> Value:
    return unary(graph, node, f"leaky_relu({{x}}, {number(node.get('alpha', 0.01))})")


@handles("Sign")
def sign(graph: Graph, node: Node) -> Value:
    return unary(graph, node, f"piecewise({{x}}, (-{TINY}, {TINY}), (0, 0, 0), (-1, 0, 1))")


def _same(kind: type[ElementwiseOp]) -> Handler:
    """Return what imports an ONNX operator that is one of the language's functions."""
    return lambda graph, node: unary(graph, node, f"{operator_of(kind)}({{x}})")


for _kind in FUNCTIONS:
    if _kind.ONNX is not None:
        handles(_kind.ONNX)(_same(_kind))


@handles("Identity")
def identity(graph: Graph, node: Node) -> Value:
    return graph.tensor(node.input(0))


@handles("Cast")
def cast(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    if node.get("to") == graph.kinds.get(node.input(0)):
        return x
    if node.get("to") == TensorProto.BFLOAT16:
        raise Unsupported("it rounds to bfloat16, which holds three digits", "leave the numbers as they are")
    if node.get("to") in SMALL_FLOATS:
        raise Unsupported("it rounds to a type of few bits", "QuantizeLinear does that, to a scale")
    if node.get("to") not in FLOATS and not x.integer:
        raise Unsupported("it makes whole numbers of others", "round(x) is an operator of the language")
    if node.get("to") in FLOATS and x.integer:
        raise Unsupported("it makes numbers of the rows that an input names")
    if x.integer and node.get("to") not in ROWS:
        raise Unsupported("it makes numbers of another range of the rows that an input names")
    return x


@handles("Dropout")
def dropout(graph: Graph, node: Node) -> list[Value]:
    """The input as it is, and a mask that keeps everything."""
    training = node.input(2) and bool(graph.static(node.input(2), "mode").any())
    drops = not node.input(1) or uniform(graph.static(node.input(1), "ratio")) != 0
    if training and drops:
        raise Unsupported("it is in training mode", "export the model for inference")
    x = graph.tensor(node.input(0))
    return [x, Value(f"full({graph.sizes.shape(x.shape)}, 1)", x.shape)]


@handles("Clip")
def clip(graph: Graph, node: Node) -> Value:
    bounds = []
    for index, (what, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        name = node.input(index)
        found = uniform(graph.static(name, what)) if name else default
        assert found is not None  # the checker lets only single numbers pass
        bounds.append(float(found))
    low, high = bounds
    if low >= high:
        x = graph.plain(node.input(0))
        return Value(f"full({graph.sizes.shape(x.shape)}, {number(high)})", x.shape)
    if low > -3e38 and high < 3e38:
        return unary(graph, node, f"clip({{x}}, {number(low)}, {number(high)})")
    if low > -3e38:
        return unary(graph, node, f"piecewise({{x}}, ({number(low)},), (0, 1), ({number(low)}, 0))")
    if high < 3e38:
        return unary(graph, node, f"piecewise({{x}}, ({number(high)},), (1, 0), (0, {number(high)}))")
    return graph.tensor(node.input(0))


@handles("Add", "Sub")
def add(graph: Graph, node: Node) -> Value:
    sign = "+" if node.op == "Add" else "-"
    names = node.input(0), node.input(1)
    numbers = [graph.scalar(name) for name in names]
    (a, b), shape, order = graph.together(names)
    _numeric(a, b)
    for index, (value, other) in enumerate(((a, b), (b, a))):
        known = numbers[index]
        if known is not None and shapes.broadcast_sizes([value.shape, other.shape]) == other.shape:
            if index == 1:
                return graph.bind(f"{other.text} {sign} {signed(known)}", shape, order)
            return graph.bind(f"{number(known)} {sign} {other.text}", shape, order)
    return graph.bind(f"{a.text} {sign} {b.text}", shape, order)


def signed(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


@handles("Mul")
def mul(graph: Graph, node: Node) -> Value:
    names = node.input(0), node.input(1)
    numbers = [graph.scalar(name) for name in names]
    (a, b), shape, order = graph.together(names)
    _numeric(a, b)
    for known, own, other in zip(numbers, (a, b), (b, a), strict=True):
        if known and shapes.broadcast_sizes([own.shape, other.shape]) == other.shape:
            return graph.bind(f"{number(known)} * {other.text}", shape, order)
    return graph.bind(f"{a.text} * {b.text}", shape, order)


@handles("Div")
def div(graph: Graph, node: Node) -> Value:
    """By a number as it is; by other constants a product with a parameter that starts from their inverses."""
    divisor = node.input(1)
    known = graph.scalar(divisor)
    if known is None:
        if divisor not in graph.inverses:
            is_trained = divisor in graph.trained
            array = graph.known(divisor) if is_trained else graph.static(divisor, "divisor")
            array = array.astype(np.float64)
            if not array.all():
                raise Unsupported("it divides by 0")
            inverse = graph.unused(f"{divisor}_inverse")
            graph.values[inverse] = graph.parameter(inverse, 1 / array, start="ones")
            graph.inverses[divisor] = inverse
            graph.declared.add(divisor)
        (a, b), shape, order = graph.together((node.input(0), graph.inverses[divisor]))
        _numeric(a)
        return graph.bind(f"{a.text} * {b.text}", shape, order)
    if not known:
        raise Unsupported("it divides by 0")
    (a, _), shape, _ = graph.together((node.input(0), divisor))
    _numeric(a)
    if shape != a.shape:
        a = Value(f"broadcast({graph.in_order(a, None).text}, {graph.sizes.shape(shape)})", shape)
    return graph.bind(f"{a.text} / {signed(known)}", shape, a.order)


@handles("ai.onnx.ml.Scaler")
def scaler(graph: Graph, node: Node) -> Value:
    """``(x - offset) * scale`` for each feature, which scikit-learn's scalers become."""
    x = graph.plain(node.input(0))
    _numeric(x)
    offset, scale = (np.asarray(node.get(name, [default]), np.float64) for name, default in SCALING)
    if not x.rank or any(each.size not in (1, x.shape[-1]) for each in (offset, scale)):
        raise Unsupported(f"its {offset.size} offsets and {scale.size} scales do not fit {list(x.shape)}")
    stem = node.proto.name or "scaler"
    a = graph.parameter(graph.unused(f"{stem}_factor"), scale, start="ones").text
    b = graph.parameter(graph.unused(f"{stem}_shift"), -offset * scale, start="zeros").text
    return graph.bind(f"{x.text} * {a} + {b}", x.shape)


SCALING = (("offset", 0.0), ("scale", 1.0))


def _numeric(*values: Value) -> None:
    if any(value.integer for value in values):
        raise Unsupported("it computes with an input of whole numbers")


@handles("Sum", "Max", "Min")
def variadic(graph: Graph, node: Node) -> Value:
    names = node.inputs
    if len(names) == 1:
        return graph.tensor(names[0])
    if node.op == "Max" and len(names) == 2:
        for name, other in (names, names[::-1]):
            zero = None if name in graph.trained else graph.settled(name)
            if zero is None or is_open(zero) or uniform(zero) != 0 or graph.is_known(other):
                continue
            x = graph.tensor(other)
            if shapes.broadcast_sizes([zero.shape, x.shape]) == x.shape and not x.integer:
                return graph.bind(f"relu({x.text})", x.shape, x.order)
    if node.op != "Sum":
        for name in names:
            graph.constant(name)
    values, shape, order = graph.together(names)
    _numeric(*values)
    function = {"Sum": "add", "Max": "maximum", "Min": "minimum"}[node.op]
    return graph.bind(f"{function}({', '.join(value.text for value in values)})", shape, order)


@handles("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
def reduce(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    _numeric(x)
    axes = node.get("axes")
    if node.input(1):
        axes = graph.integers(node.input(1), "list of axes")
    if not axes:
        if node.get("noop_with_empty_axes", 0):
            return x
        axes = range(x.rank)
    gone = sorted({axis % x.rank for axis in axes}) if x.rank else []
    if not gone:
        return x
    if any(x.shape[axis] == 0 for axis in gone):
        raise Unsupported("it reduces an axis of size 0")
    function = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max", "ReduceMin": "min"}[node.op]
    return reduced(graph, function, x, gone, keep=bool(node.get("keepdims", 1)))


def reduced(graph: Graph, function: str, x: Value, gone: Sequence[int], *, keep: bool) -> Value:
    """Reduce a value along axes of the model's."""
    graph.require_one_sample("reduces", *(x.shape[axis] for axis in gone))
    own = [index for index, axis in enumerate(x.order or range(x.rank)) if axis in gone]
    rest = [axis for axis in x.order or range(x.rank) if axis not in gone]
    left = sorted(rest)
    order = tuple(left.index(axis) for axis in rest)
    shape = tuple(x.shape[axis] for axis in left)
    text = f"{function}({x.text}, axis = {own[0] if len(own) == 1 else tuple_text(own)})"
    value = graph.bind(text, shape, order if order != tuple(range(len(order))) else None)
    kept = [1 if axis in gone else size for axis, size in enumerate(x.shape)]
    return graph.reshaped(value, kept) if keep else value
