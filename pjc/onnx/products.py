"""Matrix products and what stands on them: MatMul, Gemm, and the recurrent cell."""

from __future__ import annotations

from collections.abc import Sequence

from pjc.dialects import shapes
from pjc.onnx.elementwise import number
from pjc.onnx.graph import Graph, Node, Unsupported, Value, handles


@handles("MatMul")
def matmul(graph: Graph, node: Node) -> Value:
    _declare(graph, node.input(1))
    a, b = graph.plain(node.input(0)), graph.plain(node.input(1))
    if not a.rank or not b.rank or a.shape[-1] != b.shape[max(0, b.rank - 2)] or a.integer or b.integer:
        raise Unsupported(f"it multiplies {list(a.shape)} by {list(b.shape)}")
    lead = shapes.broadcast_sizes([a.shape[:-2], b.shape[:-2]])
    shape = (*lead, *a.shape[-2:-1], *(b.shape[-1:] if b.rank > 1 else ()))
    return graph.bind(f"{a.text} @ {b.text}", shape)


def _declare(graph: Graph, weight: str) -> None:
    """Declare a parameter whose second to last axis counts inputs."""
    array = graph.initial.get(weight)
    if array is not None and array.ndim > 1 and weight not in graph.values:
        graph.values[weight] = graph.parameter(weight, array, fan_in=array.shape[-2])


@handles("Gemm")
def gemm(graph: Graph, node: Node) -> Value:
    if not node.get("transB", 0):
        _declare(graph, node.input(1))
    a, b = graph.plain(node.input(0)), graph.plain(node.input(1))
    if a.rank != 2 or b.rank != 2:
        raise Unsupported(f"it multiplies {list(a.shape)} by {list(b.shape)}")
    left, right = a.shape, b.shape
    left_text, right_text = a.text, b.text
    if node.get("transA", 0):
        left, left_text = left[::-1], f"transpose({a.text})"
    if node.get("transB", 0):
        right, right_text = right[::-1], f"transpose({b.text})"
    if left[1] != right[0]:
        raise Unsupported(f"it multiplies {list(left)} by {list(right)}")
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    shape = left[0], right[1]
    text = f"{left_text} @ {right_text}"
    if alpha == 0:
        raise Unsupported("its alpha is 0")
    if alpha != 1:
        text = f"{number(alpha)} * ({text})"
    if node.input(2) and beta != 0:
        c = graph.plain(node.input(2))
        if shapes.broadcast_sizes([c.shape, shape]) != shape:
            raise Unsupported(f"it adds {list(c.shape)} to {list(shape)}")
        text = f"{text} + {c.text}" if beta == 1 else f"{text} + {number(beta)} * {c.text}"
    return graph.bind(text, shape)


@handles("RNN")
def rnn(graph: Graph, node: Node) -> Sequence[Value]:
    """``h = relu(x[t] @ W' + h @ R' + b)``, as a loop of the language."""
    activations = [each.decode() if isinstance(each, bytes) else each for each in node.get("activations", [])]
    if [each.lower() for each in activations] != ["relu"]:
        found = ", ".join(activations) or "Tanh"
        raise Unsupported(
            f"its activation is {found}", "Relu has a projection: torch.nn.RNN(.., nonlinearity='relu')"
        )
    if node.get("direction", "forward") != "forward" or node.get("clip") or node.input(4):
        raise Unsupported("it runs backwards, clips, or takes sequences of several lengths")
    names = [node.input(index) for index in (0, 1, 2)]
    x, weight, recurrent = (graph.plain(name) for name in names)
    layout = node.get("layout", 0)
    time, batch = (x.shape[1], x.shape[0]) if layout else (x.shape[0], x.shape[1])
    hidden = recurrent.shape[-1]
    state = (batch, hidden)
    if graph.sizes.is_open(time):
        raise Unsupported("the number of its time steps is open", "give that dimension a fixed size")
    h = graph.name(f"{graph.title or 'h'}_state")
    if node.input(5):
        start = graph.plain(node.input(5)).text + ("[:, 0]" if layout else "[0]")
    else:
        start = f"full({graph.sizes.shape(state)}, 0)"
    step, y = graph.name("t"), graph.name(graph.title or "y")
    graph.line(f"{h} = {start}")
    terms = [
        f"{x.text}[{':, ' if layout else ''}{step}] @ transpose({weight.text}[0])",
        f"{h} @ transpose({recurrent.text}[0])",
    ]
    if node.input(3):
        bias = graph.plain(node.input(3)).text
        terms += [f"{bias}[0, :{hidden}]", f"{bias}[0, {hidden}:]"]
    graph.line(f"for {step} in 0..{time} {{")
    graph.line(f"  {h} = sum_relu({', '.join(terms)})")
    graph.line(f"  {y} = {h}")
    graph.line("}")
    # y is [time, batch, hidden]; the model has an axis for the directions.
    every, last = (time, 1, *state), (1, *state)
    rows = Value(y, (time, *state))
    graph.title = f"{y}_all"
    if layout:
        every, last = (batch, time, 1, hidden), (batch, 1, hidden)
        rows = Value(f"transpose({y}, (1, 0, 2))", (batch, time, hidden))
    return [graph.reshaped(rows, every), graph.reshaped(Value(h, state), last)]
