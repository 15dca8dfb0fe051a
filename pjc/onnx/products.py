"""Matrix products and what stands on them: MatMul and Gemm."""

from __future__ import annotations

from pjc.dialects import shapes
from pjc.onnx.elementwise import number
from pjc.onnx.graph import Graph, Node, Unsupported, Value, handles


@handles("MatMul")
def matmul(graph: Graph, node: Node) -> Value:
    _declare(graph, node.input(1))
    a, b = graph.plain(node.input(0)), graph.plain(node.input(1))
    if not a.rank or not b.rank or a.shape[-1] != b.shape[max(0, b.rank - 2)] or a.integer or b.integer:
        raise Unsupported(f"it multiplies {list(a.shape)} by {list(b.shape)}")
    graph.require_one_sample("adds up", a.shape[-1])
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
    graph.require_one_sample("adds up", left[1])
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
