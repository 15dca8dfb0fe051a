"""The types of the model's values: where whole numbers do not compute as the language's numbers do."""

from __future__ import annotations

import onnx

from pjc.onnx.graph import Graph, Node, Unsupported
from pjc.onnx.reading import BITS, INTEGERS

CUT_OFF = {"Div", "Mean", "ReduceMean", "AveragePool", "GlobalAveragePool"}
"""What they give is a whole number again, without the fraction."""
WRAPPING = {"Abs", "Add", "Gemm", "MatMul", "Mul", "Neg", "ReduceSum", "Sub", "Sum"}
"""What they give may lie outside of the type, and comes in at its other end."""
BELOW_ZERO = {"Gemm", "Neg", "Sub"}
UNSIGNED = {onnx.TensorProto.UINT32, onnx.TensorProto.UINT64}
NARROW = {
    *BITS,
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT16,
    onnx.TensorProto.UINT16,
    onnx.TensorProto.BOOL,
}


def check_whole_numbers(graph: Graph, node: Node) -> None:
    """Refuse arithmetic of whole numbers that differs from that of numbers with fractions.

    In 32 or 64 bits sums and products stay, as all numbers do, exact as far as float32 holds them.

    Raises:
        Unsupported: if the node's result would be cut off, or may wrap in its type.
    """
    alike = node.inputs[:1] if node.op.startswith("Reduce") else node.inputs
    kind = next((graph.kinds[name] for name in alike if graph.kinds.get(name)), 0)
    if kind not in INTEGERS:
        return
    name = onnx.TensorProto.DataType.Name(kind).lower()
    hint = "a Cast to FLOAT before it makes numbers of them"
    if node.op in CUT_OFF:
        raise Unsupported(f"it divides numbers of the type {name}, and leaves out the fraction", hint)
    if node.op in WRAPPING and (kind in NARROW or (kind in UNSIGNED and node.op in BELOW_ZERO)):
        raise Unsupported(f"it computes with numbers of the type {name}, which wrap", hint)


def type_of_result(graph: Graph, node: Node) -> int:
    """Return ONNX's type of a node's first result; 0 where it is not known."""
    if node.op == "Cast":
        return int(node.get("to", 0))
    if node.op == "QuantizeLinear":
        return graph.kinds.get(node.input(2)) or node.get("output_dtype") or onnx.TensorProto.UINT8
    if node.op == "DequantizeLinear":
        return graph.kinds.get(node.input(1), onnx.TensorProto.FLOAT)
    if node.op == "Scaler":
        return onnx.TensorProto.FLOAT
    return graph.kinds.get(node.input(0), 0)
