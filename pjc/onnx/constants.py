"""Nodes that depend on constants and shapes alone, computed by onnx's reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from pjc.onnx.reading import array_of

Static = NDArray[Any]

MAX_FOLDED = 2**22
"""The most numbers that a folded node may read."""
MAX_RESULT = 2**24
"""The most that it may give."""
MAX_TOTAL = 2**26
"""The most that all folded nodes of a model may give."""

MAX_AXES = 32

ELEMENTWISE = """
Abs Add And BitShift Ceil Div Equal Exp Floor Greater GreaterOrEqual Identity Less LessOrEqual Log Max Min Mod
Mul Neg Not Or Pow Reciprocal Round Sign Sqrt Sub Sum Where Xor
""".split()  # noqa: SIM905  a list of words
"""Their result has the shape to which the inputs broadcast."""
BOUNDED = """
Cast Concat Flatten Gather ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Shape Size Slice Split
Squeeze Transpose Unsqueeze
""".split()  # noqa: SIM905
"""Their results are no larger than what they read, but for Gather, which is looked at."""

REPEATING = ("Constant", "ConstantOfShape", "Expand")
"""Their results take no more memory than what they read."""


class FoldError(ValueError):
    """A node that cannot be computed when the model is read; the text says why."""


class TooLarge(FoldError):
    """A node with more numbers than are computed with when a model is read."""

    def __init__(self) -> None:
        super().__init__("its inputs are too large to be computed with when the model is read")


def can_fold(node: onnx.NodeProto) -> bool:
    """Whether nodes of this kind are folded."""
    known = (*ELEMENTWISE, *BOUNDED, *REPEATING, "Range", "Tile")
    return node.op_type in known and node.domain in ("", "ai.onnx")


def fold(node: onnx.NodeProto, inputs: Sequence[Static | None], opset: int) -> list[Static]:
    """Return a node's results.

    Raises:
        FoldError: if the results would be too large, or the node does not fit its inputs.
    """
    if node.op_type == "Constant":
        return [constant(node)]
    given = [each for each in inputs if each is not None]
    try:
        if node.op_type in REPEATING:
            return [_repeated(node, given)]
        if any(each.size > MAX_FOLDED for each in given) or _result_size(node, given) > MAX_RESULT:
            raise TooLarge
        names = [name for name, each in zip(node.input, inputs, strict=True) if each is not None]
        evaluator = ReferenceEvaluator(node, opsets={"": opset})
        with np.errstate(all="ignore"):
            found = evaluator.run(None, dict(zip(names, given, strict=True)))
    except FoldError:
        raise
    except Exception as error:  # whatever numpy says of inputs that do not fit
        raise FoldError(f"it does not fit its inputs: {' '.join(str(error).split())[:200]}") from error
    return [np.asarray(each) for each in found]


def constant(node: onnx.NodeProto) -> Static:
    """Return the value of a Constant node."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return array_of(attribute.t, None)
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), np.int64)
    raise FoldError("its value is no dense tensor of numbers")


def _repeated(node: onnx.NodeProto, inputs: Sequence[Static]) -> Static:
    """Return the result of an op that repeats numbers; of one number without the memory for it.

    Raises:
        TooLarge: if it has more than one number and is too large to be looked at.
    """
    if inputs[-1].size > MAX_AXES:
        raise FoldError(f"it makes a tensor of {inputs[-1].size:,} axes")
    sizes = tuple(int(size) for size in inputs[-1].reshape(-1))
    if node.op_type == "Expand":
        shape = np.broadcast_shapes(inputs[0].shape, sizes)
        if inputs[0].size > 1 and np.prod(shape, dtype=np.float64) > MAX_RESULT:
            raise TooLarge
        return np.broadcast_to(inputs[0], shape)
    shape = sizes
    value = next((array_of(a.t, None) for a in node.attribute if a.name == "value"), np.zeros(1, np.float32))
    return np.broadcast_to(value.reshape(()), shape)


def _result_size(node: onnx.NodeProto, inputs: Sequence[Static]) -> int:
    if node.op_type in ELEMENTWISE:
        return int(np.prod(np.broadcast_shapes(*(each.shape for each in inputs)), dtype=np.float64))
    if node.op_type == "Gather":
        return inputs[0].size * max(1, inputs[1].size)
    if node.op_type == "Tile":
        return int(inputs[0].size * np.prod(inputs[1].astype(np.float64)))
    if node.op_type == "Range":
        start, limit, delta = (float(each) for each in inputs)
        return int(abs((limit - start) / delta)) + 1
    return sum(each.size for each in inputs)


def uniform(array: Static) -> float | None:
    """Return the one number of an array that repeats it, else None."""
    if array.size == 0 or array.dtype.kind not in "biuf":
        return None
    if all(stride == 0 or size == 1 for stride, size in zip(array.strides, array.shape, strict=True)):
        return float(array.flat[0])
    first = array.flat[0]
    return float(first) if array.size <= MAX_FOLDED and bool((array == first).all()) else None
