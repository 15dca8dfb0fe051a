"""From a network and its parameters to an ONNX model of standard operators.

The net dialect is walked with its loops unrolled. What convolutions and pools became, products and
reductions of patches, is written as the operators that they came from; other views of patches as Gather.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from pjc.dialects import net, ops, view
from pjc.dialects.view import element_of, shape_of
from pjc.onnx.exactness import differing
from pjc.onnx.integers import Fitted, Integers
from pjc.onnx.reading import refuse
from pjc.passes.analysis.graph import only
from pjc.passes.analysis.multiples import multiples_in
from pjc.passes.analysis.windows import Convolution, Pool, as_convolution, as_pool

OPSET = 18
IR_VERSION = 9
TYPES = {"f32": TensorProto.FLOAT, "f64": TensorProto.DOUBLE, "i32": TensorProto.INT64}
NUMPY = {"f32": np.float32, "f64": np.float64}


class Affine(Protocol):
    """A scale and an offset for each column."""

    @property
    def scale(self) -> Sequence[float]: ...
    @property
    def offset(self) -> Sequence[float]: ...


class Asks(Protocol):
    """How whole numbers are written: the opset, if one is asked for, and how columns are fitted."""

    @property
    def opset(self) -> int | None: ...
    @property
    def fitted(self) -> Fitted: ...


@dataclass(frozen=True)
class Exported:
    """A model, and why its results may differ from those of ``apply`` in the last bits; nothing if not."""

    model: onnx.ModelProto
    why: tuple[str, ...]


Writer = Callable[["_Exporter", Any], str]
WRITERS: dict[type[Operation], Writer] = {}


def writes(*kinds: type[Operation]) -> Callable[[Writer], Writer]:
    """Return a decorator that enters what writes ops of these kinds."""

    def enter(writer: Writer) -> Writer:
        for kind in kinds:
            WRITERS[kind] = writer
        return writer

    return enter


def export_model(
    module: ModuleOp,
    params: Mapping[str, NDArray[Any]],
    name: str,
    batch: int | None,
    units: Mapping[str, Affine],
    names: Mapping[str, str],
    integers: Asks,
) -> Exported:
    """Return the model of a network without loops.

    Args:
        module: the net module.
        params: the parameters, by name.
        name: the model's name.
        batch: the size that stands for an open batch, and divides no other size; None if there is none.
        names: what inputs and outputs are called in the model, where that is not their own name.
        units: what outputs are multiplied by, and what is added, in each column; by name.
        integers: how whole numbers are written.

    Raises:
        DiagnosticError: naming what the model cannot hold: operators of the user's own.
    """
    network = only(module, net.NetworkOp)
    labels = {op.label.data for op in network.body.block.ops if isinstance(op, ops.OutputOp)}
    whole = any(isinstance(op, ops.QuantizeLinearOp) or _is_marked(op) for op in network.body.block.ops)
    opset = integers.opset or (max(OPSET, 21) if whole else OPSET)
    exporter = _Exporter(params, batch, labels, units, names)
    exporter.integers = Integers(exporter, multiples_in(network.body.block), opset, integers.fitted)
    missing = sorted(
        {
            op.operator
            for op in network.body.block.ops
            if isinstance(op, ops.OperationOp) and not _is_known(op)
        }
    )
    if missing:
        found = ", ".join(missing)
        raise refuse(
            f"ONNX has no operator {found}", "only networks of the language's own operators are exported"
        )
    for op in network.body.block.ops:
        exporter.write(op)
    why = differing(network.body.block, exporter.integers, set(units))
    return Exported(exporter.model(name, opset), tuple(why))


def _is_marked(op: Operation) -> bool:
    return isinstance(op, ops.DotOp) and op.units is not None


def _is_known(op: ops.OperationOp) -> bool:
    """Whether an operation has a counterpart in ONNX."""
    return type(op) in WRITERS or (isinstance(op, ops.ElementwiseOp) and op.ONNX is not None)


class _Exporter:
    """The nodes so far, and the names of values."""

    def __init__(
        self,
        params: Mapping[str, NDArray[Any]],
        batch: int | None,
        outputs: set[str],
        units: Mapping[str, Affine],
        renamed: Mapping[str, str],
    ) -> None:
        self.params, self.batch, self.units, self.renamed = params, batch, units, renamed
        self.ends = {renamed.get(each, each) for each in (*outputs, *renamed)}
        self.integers: Integers
        self.names: dict[SSAValue, str] = {}
        self.taken: set[str] = {*params, *self.ends}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.transposed: dict[str, tuple[str, tuple[int, ...]]] = {}
        """What a value is a transpose of, so that two transposes cancel."""
        self.reshaped: dict[str, tuple[str, tuple[int, ...]]] = {}
        """What a value is a reshape of, and that one's shape."""

    def write(self, op: Operation) -> None:
        match op:
            case ops.InputOp() | ops.IndexOp():
                label = self.renamed.get(op.label.data, op.label.data)
                self.names[op.result] = self.fresh(label, exact=True)
                self.inputs.append(self._info(label, op.result))
            case ops.ParameterOp():
                label = op.label.data
                own = self.fresh(label) if label in self.ends else label
                array = np.asarray(self.params[label], NUMPY[str(element_of(op.result))], order="C")
                self.hint = own
                whole = self.integers.parameter(op, own, array)
                if whole is None:
                    self.initializers[own] = numpy_helper.from_array(array, own)
                self.names[op.result] = whole or own
            case ops.OutputOp():
                self._output(op)
            case ops.TargetOp() | ops.LossOp() | ops.SetOp():
                pass
            case _:
                self.hint = op.results[0].name_hint or op.name.split(".")[1]
                self.names[op.results[0]] = self.value(op)

    def value(self, op: Any) -> str:
        """Write the nodes that give an op's value; return their name."""
        if isinstance(op, ops.ElementwiseOp) and op.ONNX is not None:
            return self.node(op.ONNX, self.operands(op))
        return WRITERS[type(op)](self, op)

    def model(self, name: str, opset: int) -> onnx.ModelProto:
        """Return the model, without nodes that no output needs."""
        wanted = {each.name for each in self.outputs}
        kept: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        tensors = [tensor for own, tensor in self.initializers.items() if own in wanted]
        graph = helper.make_graph(kept[::-1], name, self.inputs, self.outputs, tensors)
        opsets = [helper.make_opsetid("", opset)]
        version = max(IR_VERSION, helper.find_min_ir_version_for(opsets))
        made = helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name="pjc")
        onnx.checker.check_model(made, full_check=True)
        return made

    def _output(self, op: ops.OutputOp) -> None:
        made, own = self.names[op.value], op.label.data
        label = self.renamed.get(own, own)
        if own in self.units:
            self.hint = label
            stretched = self.node("Mul", [made, self.array(self.units[own].scale, op.value)])
            made = self.node("Add", [stretched, self.array(self.units[own].offset, op.value)])
        if made != label:
            self.nodes.append(helper.make_node("Identity", [made], [label]))
        self.outputs.append(self._info(label, op.value))

    def _info(self, label: str, value: SSAValue) -> onnx.ValueInfoProto:
        sizes = [self.size(size) for size in shape_of(value)]
        dims = [("batch" if size == -1 else f"batch_{-size}") if size < 0 else size for size in sizes]
        return helper.make_tensor_value_info(label, TYPES[str(element_of(value))], dims)

    def size(self, size: int) -> int:
        """Return a size; minus k for k times the batch."""
        return -(size // self.batch) if self.batch is not None and size % self.batch == 0 else size

    def fresh(self, hint: str, *, exact: bool = False) -> str:
        name, number = hint, 2
        while name in self.taken and not exact:
            name, number = f"{hint}_{number}", number + 1
        self.taken.add(name)
        return name

    # What writers use

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of one output; return its name."""
        output = self.fresh(self.hint)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def array(self, values: Any, like: SSAValue | None = None) -> str:
        """Return the name of an initializer; of the element type of a value, or of integers."""
        kind = np.int64 if like is None else NUMPY[str(element_of(like))]
        array = np.asarray(values, kind)
        shown = "_".join(map(str, array.reshape(-1)[:6]))
        name = self.fresh(f"const_{shown}".replace("-", "m"))
        for known, tensor in self.initializers.items():
            if known.startswith("const_") and numpy_helper.to_array(tensor).dtype == array.dtype:
                found = numpy_helper.to_array(tensor)
                if found.shape == array.shape and np.array_equal(found, array):
                    return known
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def operands(self, op: Operation) -> list[str]:
        return [self.names[value] for value in op.operands]

    def shape(self, shape: Sequence[int]) -> str:
        """Return the name of a tensor with the sizes of a shape, computed where the batch is among them."""
        sizes = [self.size(size) for size in shape]
        if all(size >= 0 for size in sizes):
            return self.array(sizes)
        source, axis = next(
            (given.name, axis)
            for given in self.inputs
            for axis, dim in enumerate(given.type.tensor_type.shape.dim)
            if dim.dim_param == "batch"
        )
        batch = self.node("Shape", [source], start=axis, end=axis + 1)
        parts: list[str] = []
        for size in sizes:
            if size >= 0:
                parts.append(self.array([size]))
            else:
                parts.append(batch if size == -1 else self.node("Mul", [batch, self.array([-size])]))
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=0)

    def transpose(self, name: str, permutation: Sequence[int]) -> str:
        """Return a transpose; two in a row become one or none."""
        source, whole = name, tuple(permutation)
        if name in self.transposed:
            source, first = self.transposed[name]
            whole = tuple(first[axis] for axis in permutation)
        if whole == tuple(range(len(whole))):
            return source
        made = self.node("Transpose", [source], perm=list(whole))
        self.transposed[made] = source, whole
        return made

    def reshape(self, name: str, old: Sequence[int], new: Sequence[int]) -> str:
        """Return a reshape; one that takes another back is none."""
        source, before = self.reshaped.get(name, (name, tuple(old)))
        if before == tuple(new):
            return source
        sizes = [self.size(size) for size in new]
        if sum(size < 0 for size in sizes) > 1:
            target = self.shape(new)
        else:
            target = self.array([max(size, -1) for size in sizes])
        made = self.node("Reshape", [source, target])
        self.reshaped[made] = source, before
        return made


# Views


@writes(view.ReshapeOp)
def _reshape(out: _Exporter, op: view.ReshapeOp) -> str:
    return out.reshape(out.names[op.operand], shape_of(op.operand), shape_of(op.result))


@writes(view.TransposeOp)
def _transpose(out: _Exporter, op: view.TransposeOp) -> str:
    return out.transpose(out.names[op.operand], op.permutation.get_values())


@writes(view.BroadcastOp)
def _broadcast(out: _Exporter, op: view.BroadcastOp) -> str:
    name, old, new = out.names[op.operand], shape_of(op.operand), shape_of(op.result)
    dims = op.dims.get_values()
    if _aligned(op):
        return out.node("Expand", [name, out.shape(new)])
    wide = [old[dims.index(axis)] if axis in dims else 1 for axis in range(len(new))]
    return out.node("Expand", [out.reshape(name, old, wide), out.shape(new)])


def _aligned(op: view.BroadcastOp) -> bool:
    """Whether NumPy's rule would broadcast alike."""
    rank, skipped = len(shape_of(op.result)), len(shape_of(op.result)) - len(shape_of(op.operand))
    return list(op.dims.get_values()) == list(range(skipped, rank))


@writes(view.SliceOp)
def _slice(out: _Exporter, op: view.SliceOp) -> str:
    shape = shape_of(op.operand)
    lists = [each.get_values() for each in (op.starts, op.limits, op.strides)]
    cut = [
        (start, np.iinfo(np.int64).max if limit == size else limit, axis, stride)
        for axis, (start, limit, stride, size) in enumerate(zip(*lists, shape, strict=True))
        if (start, limit, stride) != (0, size, 1)
    ]
    return out.node("Slice", [out.names[op.operand], *(out.array(each) for each in zip(*cut, strict=True))])


@writes(view.PadOp)
def _pad(out: _Exporter, op: view.PadOp) -> str:
    widths = [*op.low.get_values(), *op.high.get_values()]
    return out.node("Pad", [out.names[op.operand], out.array(widths)])


@writes(view.ConcatOp)
def _concat(out: _Exporter, op: view.ConcatOp) -> str:
    return out.node("Concat", out.operands(op), axis=op.axis.value.data)


@writes(view.GatherOp)
def _gather(out: _Exporter, op: view.GatherOp) -> str:
    return out.node("Gather", [out.names[op.table], out.names[op.indices]], axis=0)


@writes(view.PatchesOp)
def _patches(out: _Exporter, op: view.PatchesOp) -> str:
    """Take the windows along one axis after another, and bring their own axes behind the last that slid."""
    name, shape = out.names[op.operand], list(shape_of(op.operand))
    step = op.step(0)
    axes = step.axes
    numbers = zip(axes, step.window, step.strides, step.apart, step.reach, strict=True)
    for done, (axis, window, stride, apart, reach) in enumerate(numbers):
        starts = np.arange(0, shape[axis + done] - reach + 1, stride)
        places = starts[:, None] + apart * np.arange(window)
        name = out.node("Gather", [name, out.array(places)], axis=axis + done)
        shape[axis + done : axis + done + 1] = [len(starts), window]
    # The axes now are those of the operand, each one that slid followed by its window.
    slid, own, at = [], [], 0
    for axis in range(len(shape_of(op.operand))):
        slid.append(at)
        if axis in axes:
            own.append(at + 1)
        at += 2 if axis in axes else 1
    behind = max(axes) + 1
    return out.transpose(name, [*slid[:behind], *own, *slid[behind:]])


# Arithmetic


@writes(ops.ConstantOp)
def _constant(out: _Exporter, op: ops.ConstantOp) -> str:
    if op.number is None:
        values = np.reshape(np.array(op.entries, NUMPY[str(element_of(op.result))]), shape_of(op.result))
        return out.node("Constant", [], value=numpy_helper.from_array(values))
    return out.node("Expand", [out.array(op.number, op.result), out.shape(shape_of(op.result))])


@writes(ops.IdentityOp)
def _identity(out: _Exporter, op: ops.IdentityOp) -> str:
    return out.names[op.operand]


@writes(ops.ProductOp)
def _product(out: _Exporter, op: ops.ProductOp) -> str:
    return out.node("Mul", [_unspread(out, value) for value in op.operands])


def _unspread(out: _Exporter, value: SSAValue) -> str:
    """Return an operand, without the broadcast that the operator does itself."""
    owner = value.owner
    if isinstance(owner, view.BroadcastOp) and _aligned(owner):
        return out.names[owner.operand]
    return out.names[value]


@writes(ops.DotOp)
def _matmul(out: _Exporter, op: ops.DotOp) -> str:
    found = as_convolution(op.lhs, op.rhs)
    lhs, rhs = (op.lhs, op.rhs) if found is None else (found.image, found.weight)
    hint = out.hint
    factors = out.integers.factors(op, lhs, rhs)
    first, second = (out.names[lhs], out.names[rhs]) if factors is None else factors[:2]
    out.hint = hint
    made = out.node("MatMul", [first, second]) if found is None else _convolve(out, op, found, first, second)
    if factors is None:
        return made
    made = out.node("Round", [made])
    return made if np.all(factors[2] == 1) else out.node("Mul", [made, out.array(factors[2], op.result)])


def _convolve(out: _Exporter, op: ops.DotOp, found: Convolution, image: str, weight: str) -> str:
    image = out.transpose(image, (0, 3, 1, 2))
    weight = out.transpose(weight, (3, 2, 0, 1))
    pads = [*found.low, *found.high]
    made = out.node(
        "Conv",
        [image, weight],
        kernel_shape=list(found.window),
        strides=list(found.strides),
        dilations=list(found.dilation),
        pads=pads,
    )
    last = out.transpose(made, (0, 2, 3, 1))
    shape = (*found.shape[:3], shape_of(found.weight)[3])
    return out.reshape(last, shape, shape_of(op.result))


@writes(ops.MaxOp, ops.MinOp)
def _extreme(out: _Exporter, op: ops.MaxOp | ops.MinOp) -> str:
    found = as_pool(op) if isinstance(op, ops.MaxOp) else None
    if found is not None:
        return _pool(out, found, "MaxPool")
    kind = "Max" if isinstance(op, ops.MaxOp) else "Min"
    name = out.node(kind, out.operands(op)) if len(op.operands) > 1 else out.names[op.operands[0]]
    return _along(out, f"Reduce{kind}", name, op.axes.get_values())


def _pool(out: _Exporter, found: Pool, kind: str) -> str:
    image = out.transpose(out.names[found.image], (0, 3, 1, 2))
    more = {} if tuple(found.dilation) == (1, 1) else {"dilations": list(found.dilation)}
    made = out.node(kind, [image], kernel_shape=list(found.window), strides=list(found.strides), **more)
    return out.transpose(made, (0, 2, 3, 1))


def _along(out: _Exporter, kind: str, name: str, axes: Sequence[int]) -> str:
    return out.node(kind, [name, out.array(list(axes))], keepdims=0) if len(axes) else name


@writes(ops.SumOp, ops.SumReluOp)
def _sum(out: _Exporter, op: ops.SumOp | ops.SumReluOp) -> str:
    weights = op.each_weight()
    quantized = out.integers.scaled(op) if isinstance(op, ops.SumOp) else None
    if quantized is not None:
        return quantized
    found = as_pool(op)
    like = op.results[0]
    if found is not None and tuple(found.dilation) == (1, 1):
        name = _scaled(out, _pool(out, found, "AveragePool"), weights[0] * prod(found.window), like)
    else:
        name = _added(out, op, weights)
        name = _along(out, "ReduceSum", name, op.axes.get_values())
    if op.offset is not None:
        name = out.node("Add", [name, out.array(op.offset.value.data, like)])
    return out.node("Relu", [name]) if isinstance(op, ops.SumReluOp) else name


def _added(out: _Exporter, op: ops.SumOp | ops.SumReluOp, weights: Sequence[float]) -> str:
    """Return the weighted sum of the terms; one at least has the whole shape."""
    values = list(op.operands)
    terms = [_unspread(out, value) for value in values]
    whole = shape_of(values[0])
    shapes = [
        shape_of(value.owner.operand)
        if isinstance(value.owner, view.BroadcastOp) and _aligned(value.owner)
        else whole
        for value in values
    ]
    if np.broadcast_shapes(*shapes) != whole:
        terms[0] = out.names[values[0]]
    name = _scaled(out, terms[0], weights[0], op.results[0])
    for term, weight in zip(terms[1:], weights[1:], strict=True):
        if weight == -1:
            name = out.node("Sub", [name, term])
        else:
            name = out.node("Add", [name, _scaled(out, term, weight, op.results[0])])
    return name


def _scaled(out: _Exporter, name: str, weight: float, like: SSAValue) -> str:
    if abs(weight - 1) < 1e-12:
        return name
    return out.node("Neg", [name]) if weight == -1 else out.node("Mul", [name, out.array(weight, like)])


@writes(ops.QuantizeLinearOp)
def _quantize_linear(out: _Exporter, op: ops.QuantizeLinearOp) -> str:
    return out.integers.quantizer(op)


@writes(ops.QuantizeOp)
def _quantize(out: _Exporter, op: ops.QuantizeOp) -> str:
    levels = list(op.levels.get_values())
    edges = np.array([a / 2 + b / 2 for a, b in pairwise(levels)], NUMPY[str(element_of(op.operand))])
    for index in op.even_ups():  # what is above the number before an edge is at the edge or above it
        edges[index] = np.nextafter(edges[index], -np.inf)
    return out.node("Gather", [out.array(levels, op.result), _piece(out, op.operand, edges.tolist())])


@writes(ops.PiecewiseOp)
def _piecewise(out: _Exporter, op: ops.PiecewiseOp) -> str:
    edges, slopes, offsets = (list(each.get_values()) for each in (op.edges, op.slopes, op.offsets))
    x, like = out.names[op.operand], op.result
    whole = out.integers.clipped(op)
    if whole is not None:
        return whole
    match edges, slopes, offsets:
        case [0.0], [-1.0, 1.0], [0.0, 0.0]:
            return out.node("Abs", [x])
        case [0.0], [slope, 1.0], [0.0, 0.0]:
            return out.node("LeakyRelu", [x], alpha=slope)
        case [low, high], [0.0, 1.0, 0.0], [first, 0.0, last] if (first, last) == (low, high):
            return out.node("Clip", [x, out.array(low, like), out.array(high, like)])
    piece = _piece(out, op.operand, edges)
    value = out.node("Gather", [out.array(offsets, like), piece])
    if any(slopes):
        steepness = out.node("Gather", [out.array(slopes, like), piece])
        value = out.node("Add", [out.node("Mul", [steepness, x]), value])
    return value


def _piece(out: _Exporter, operand: SSAValue, edges: Sequence[float]) -> str:
    """Return the number of edges that each entry lies above."""
    name, rank = out.names[operand], len(shape_of(operand))
    wide = out.node("Unsqueeze", [name, out.array([rank])])
    above = out.node("Cast", [out.node("Greater", [wide, out.array(edges, operand)])], to=TensorProto.INT64)
    return out.node("ReduceSum", [above, out.array([rank])], keepdims=0)
