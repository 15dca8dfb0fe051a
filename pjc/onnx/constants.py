"""Nodes that depend on constants and shapes alone, computed by onnx's reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from pjc.onnx.reading import array_of, dense
from pjc.onnx.sizes import Open

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
    if any(is_open(each) for each in given):
        return fold_open(node, given, opset)
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
            return array_of(attribute.t, ())
        if attribute.name == "sparse_value":
            return dense(attribute.sparse_tensor, ())
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), np.int64)
    raise FoldError("its value is no tensor of numbers")


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
    value = next((array_of(a.t, ()) for a in node.attribute if a.name == "value"), np.zeros(1, np.float32))
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


# Sizes that depend on open dimensions stand in arrays of objects

MOVING = {"Identity": (0,), "Flatten": (0,), "Gather": (0,), "Reshape": (0,), "Slice": (0,), "Split": (0,),
          "Squeeze": (0,), "Transpose": (0,), "Unsqueeze": (0,), "Where": (1, 2)}  # fmt: skip
"""Nodes that move entries and compute nothing, with the inputs whose entries they move; Concat moves all."""
WHOLE = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
MAX_OPEN = 2**12
"""The most sizes that a node computes with where some are open."""


def as_static(sizes: Sequence[int]) -> Static:
    """Return sizes as a value of the model."""
    return _settled(np.array([*sizes], object))


def is_open(array: Static) -> bool:
    """Whether an array holds sizes that depend on open dimensions."""
    return array.dtype == object


def _settled(array: Static) -> Static:
    """Return an array of numbers where no entry is open."""
    return array if any(isinstance(each, Open) for each in array.flat) else array.astype(np.int64)


def fold_open(node: onnx.NodeProto, inputs: Sequence[Static], opset: int) -> list[Static]:
    """Return the results of a node that computes with sizes of open dimensions.

    Raises:
        FoldError: unless they are exact for every size that the dimensions may have.
    """
    op = node.op_type
    if sum(each.size for each in inputs) > MAX_OPEN:
        raise TooLarge
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    places = range(len(inputs)) if op == "Concat" else MOVING.get(op, ())
    if places and not any(is_open(each) for at, each in enumerate(inputs) if at not in places):
        return _moved(node, inputs, places, opset)
    if op == "Cast" and attributes["to"] in WHOLE:
        return [inputs[0]]
    whole = [each.astype(object) for each in inputs if is_open(each) or each.dtype.kind in "iu"]
    if len(whole) == len(inputs) and op in COMPUTED:
        found = np.frompyfunc(COMPUTED[op], 2, 1)(*whole)
        made = np.array(found, object)
        return [made.astype(np.bool_) if op == "Equal" else _settled(made)]
    if op == "ReduceProd":
        axes = attributes.get("axes") or (inputs[1].tolist() if len(inputs) > 1 else None)
        keep = bool(attributes.get("keepdims", 1))
        found = np.prod(inputs[0], axis=tuple(axes) if axes else None, keepdims=keep)
        return [_settled(np.array(found, object))]
    raise FoldError(f"{OPEN}; give that dimension a fixed size")


OPEN = "it computes with a size that depends on an open dimension"


def _moved(node: onnx.NodeProto, inputs: Sequence[Static], places: Sequence[int], opset: int) -> list[Static]:
    """Let the evaluator move the places of entries, and return the entries from there."""
    entries: list[object] = []
    given = list(inputs)
    for at in places:
        array = inputs[at].astype(object)
        given[at] = np.arange(len(entries), len(entries) + array.size).reshape(array.shape)
        entries += list(array.flat)
    found = []
    for places_of in fold(node, given, opset):
        made = np.empty(places_of.shape, object)
        for index, place in np.ndenumerate(places_of):
            made[index] = entries[int(place)]
        found.append(_settled(made))
    return found


def _divided(a: int, b: int) -> int:
    """Return a quotient of whole numbers, cut towards 0."""
    if not b:
        raise FoldError("it divides by 0")
    if isinstance(a, Open) or isinstance(b, Open):
        return a // b
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _equal(a: int, b: int) -> bool:
    """Return whether sizes are equal, whatever the open dimensions are, which are at least 1."""
    difference = a - b
    if not isinstance(difference, Open):
        return difference == 0
    terms = difference.terms
    if terms is not None and (min(terms.values()) > 0 or max(terms.values()) < 0):
        return False
    raise FoldError(f"{OPEN}; give that dimension a fixed size")


COMPUTED = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _divided,
    "Equal": _equal,
}
