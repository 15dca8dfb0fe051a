"""From an ONNX model to a text in the language, and the values that its parameters start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import onnx

from pjc.builder.emitter import MAX_OPS
from pjc.diagnostics import Diagnostic, DiagnosticError, code_of
from pjc.dialects.ops import LOSSES as LOSS_OPS
from pjc.dialects.ops import operator_of
from pjc.dialects.shapes import ShapeError
from pjc.frontends.reserved import tuple_text
from pjc.onnx import elementwise, images, products, quantizers, recurrent, views  # noqa: F401  they enter their handlers
from pjc.onnx.asked import Asked
from pjc.onnx.constants import (
    ELEMENTWISE,
    MAX_TOTAL,
    REPEATING,
    FoldError,
    Static,
    TooLarge,
    as_static,
    can_fold,
    fold,
    is_open,
)
from pjc.onnx.graph import HANDLERS, Graph, Node, Unsupported, Value
from pjc.onnx.images import folded_normalization
from pjc.onnx.quantizers import dequantized, levels_of
from pjc.onnx.reading import (
    FLOATS,
    INTEGERS,
    MAX_MESSAGE,
    NUMBERS,
    SMALL_FLOATS,
    array_of,
    check_total,
    dense,
    folders_of,
    narrowed,
    one_line,
    read_model,
    refuse,
)
from pjc.onnx.sizes import SizeError, Sizes
from pjc.onnx.types import check_whole_numbers, type_of_result
from pjc.reading import reading
from pjc.standins import standin_in_onnx

NOTHING = Asked()
ABSORBED = {"Softmax", "LogSoftmax"}
"""As the last node they are left to the loss: the network gives logits."""
MAX_REPORTED = 50
MAX_LISTED = 12
"""How many names a message lists."""


@dataclass(frozen=True)
class Imported:
    """A model as a network: its text, and the first values of the text's parameters by name."""

    text: str
    parameters: Mapping[str, Static]
    assumed: bool = False
    """Whether the model gives the batch a number, which the text lets be another."""
    fixed: str = ""
    """Why the text takes no batch of another size than the model says; empty where it does."""
    number: int | None = None
    """The number that the model gives its batch, where it is the first size of all inputs."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the model calls inputs and outputs that the text calls otherwise, by their names in the text."""


def import_file(path: Path, asked: Asked = NOTHING, *, assume: bool = True) -> Imported:
    """Return the network of an ``.onnx`` file; with a loss asked for, a target and that requirement.

    ``assume`` as in :func:`import_model`.

    Raises:
        DiagnosticError: if the file is no valid model, or naming every node that is not supported.
    """
    with reading(path, "an ONNX model", refuse):
        return import_model(read_model(path), path.name, folders_of(path), asked, assume=assume)


def import_model(
    model: onnx.ModelProto,
    name: str,
    folders: Sequence[Path] = (),
    asked: Asked = NOTHING,
    *,
    assume: bool = True,
) -> Imported:
    """Return the network of a model that :func:`pjc.onnx.reading.checked` has let pass.

    With ``assume``, a first dimension that is the same number in every input is taken for the batch, as long
    as the model allows that; it can then be chosen when the network is compiled. External data are read from
    ``folders``.

    Raises:
        DiagnosticError: as :func:`import_file`.
    """
    number = _fixed_batch(model.graph)
    why = ""
    if assume and number is not None:
        try:
            return _Importer(model, name, folders, asked, number).run()
        except DiagnosticError as error:
            why = error.diagnostics[0].message
    found = _Importer(model, name, folders, asked, None).run()
    return replace(found, fixed=(why or found.fixed) if found.fixed else "", number=number)


def import_block(path: Path) -> Imported:
    """Return a library with the network of an ``.onnx`` file as its one block, ``network``.

    Raises:
        DiagnosticError: as :func:`import_file`.
    """
    with reading(path, "an ONNX model", refuse):
        model, folders = read_model(path), folders_of(path)
        fixed = _fixed_batch(model.graph)
        if fixed is not None:
            try:
                return _Importer(model, path.name, folders, NOTHING, fixed, block=True).run()
            except DiagnosticError:
                pass
        return _Importer(model, path.name, folders, NOTHING, None, block=True).run()


def _names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all values of a model."""
    made = {str(name) for node in graph.node for name in (*node.input, *node.output)}
    return made | _initial_names(graph) | {each.name for each in (*graph.input, *graph.output)}


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    known = _initial_names(graph)
    return [each for each in graph.input if each.name not in known]


def _initial_names(graph: onnx.GraphProto) -> set[str]:
    sparse = {each.values.name for each in graph.sparse_initializer}
    return {tensor.name for tensor in graph.initializer} | sparse


def _fixed_batch(graph: onnx.GraphProto) -> int | None:
    """Return the first size of all inputs, where that is the same number."""
    firsts = {
        each.type.tensor_type.shape.dim[0].dim_value if each.type.tensor_type.shape.dim else 0
        for each in _inputs(graph)
    }
    size = firsts.pop() if len(firsts) == 1 else 0
    return size if size > 0 else None


class _Importer:
    """One walk through the nodes; ``mistakes`` are what cannot be imported."""

    def __init__(
        self,
        model: onnx.ModelProto,
        name: str,
        folders: Sequence[Path],
        asked: Asked,
        batch: int | None,
        *,
        block: bool = False,
    ) -> None:
        self.block = block
        self.model, self.file, self.folders, self.batch = model, name, folders, batch
        self.loss, self.trainable = asked.loss, asked.trainable
        self.opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
        self.graph = Graph(
            Sizes(),
            {},
            used=_names(model.graph),
            assumed=batch or 0,
            indent="  " if block else "",
        )
        self.indices = _indices(model.graph.node)
        self.open: dict[str, str] = {}
        """How the text writes each open dimension of the model; the batch's name is empty."""
        self.batches: set[str] = set()
        """What the model calls the first dimensions of its inputs."""
        self.softmax: dict[str, Node] = {}
        """The nodes that are left to the loss, by the outputs that they make."""
        self.names: dict[str, str] = {}
        """What the model calls its inputs and outputs, by their names in the text."""
        self.mistakes: list[tuple[str, str, str | None, str | None]] = []
        """Where each is, what it is, and what could be done."""
        self.folded = 0
        """How many numbers the nodes of constants have given."""
        self.failed: set[str] = set()
        """Values that nodes which cannot be imported would make."""

    def run(self) -> Imported:
        heads = self._inputs()
        nodes = [Node(node, index, self.opset) for index, node in enumerate(self.model.graph.node, 1)]
        _name_directly(nodes, _initial_names(self.model.graph))
        outputs = self._outputs(nodes)
        needed = _needed(nodes, [name for _, name in outputs])
        read = {name for node in nodes if node.index in needed for name in node.inputs}
        self._initializers(read.union(name for _, name in outputs))
        kept = {name for output in outputs for name in output}
        self._fold_normalizations([node for node in nodes if node.index in needed], kept)
        for node in nodes:
            if node.index in needed:
                self._node(node)
        self._require_trained()
        tails = self._tails(outputs) if not self.mistakes else []
        if self.mistakes:
            raise DiagnosticError(self._report())
        if len(heads) + len(self.graph.lines) > MAX_OPS:
            raise refuse(f"{self.file} needs more than {MAX_OPS:,} operations", "is a loop unrolled in it?")
        title = f"# From the ONNX model {one_line(self.file, 200)}"
        text = "\n".join([title, "", *heads, *([] if self.block else [""]), *self.graph.lines, "", *tails])
        names = {own: name for own, name in self.names.items() if own != name}
        fixed = "" if self.graph.batch is not None else "the first dimensions of its inputs are numbers"
        return Imported(text + "\n", self.graph.parameters, self.batch is not None, names=names, fixed=fixed)

    # Heads: initializers and inputs

    def _initializers(self, read: Set[str]) -> None:
        """Read the initializers that are among ``read``; numbers without axes are constants."""
        graph = self.model.graph
        tensors = [each for each in graph.initializer if each.name in read]
        sparse = [each for each in graph.sparse_initializer if each.values.name in read]
        check_total(tensors, sparse, self.file, self.folders)
        known = [(each, array_of(each, self.folders)) for each in tensors]
        known += [(each.values, dense(each, self.folders)) for each in sparse]
        self.graph.trained = self._matching(known)
        for tensor, array in known:
            self.graph.kinds[tensor.name] = tensor.data_type
            if tensor.data_type in FLOATS | SMALL_FLOATS:
                array = narrowed(array, tensor.name, self.file)
                is_parameter = array.ndim > 0 or tensor.name in self.graph.trained
                held = self.graph.initial if is_parameter else self.graph.statics
                held[tensor.name] = array
            else:
                self.graph.statics[tensor.name] = array

    def _matching(self, known: Sequence[tuple[onnx.TensorProto, Static]]) -> set[str]:
        """Return the names of the numbers that are asked to be parameters.

        Raises:
            DiagnosticError: for a pattern that no number's name matches.
        """
        names = [
            str(tensor.name)
            for tensor, array in known
            if array.size == 1 and tensor.data_type in FLOATS | SMALL_FLOATS
        ]
        for pattern in self.trainable:
            if not any(fnmatchcase(name, pattern) for name in names):
                shown = ", ".join([*names[:MAX_LISTED], *([".."] if len(names) > MAX_LISTED else [])])
                raise refuse(
                    f"trainable: no initializer of one number in {self.file} matches '{pattern}'",
                    f"there are {shown}" if names else "it has none; others are parameters as they are",
                )
        return {name for name in names if any(fnmatchcase(name, pattern) for pattern in self.trainable)}

    def _require_trained(self) -> None:
        """Note the numbers that should be parameters, and no node has made into one."""
        for name in sorted(self.graph.trained - self.graph.declared) if not self.mistakes else []:
            found = "it is asked to be trainable, and the nodes that read it need a number that is known"
            self._mistake(f"initializer '{one_line(name)}'", found, "leave it out of --trainable")

    def _inputs(self) -> list[str]:
        """Return the declarations of the inputs, and the batch's where it is a number."""
        heads = [] if self.batch is None or self.block else [f"const batch = {self.batch}"]
        for each in _inputs(self.model.graph):
            try:
                heads.append(self._input(each))
            except (Unsupported, SizeError) as error:
                self.failed.add(each.name)
                self._mistake(f"input '{one_line(each.name)}'", str(error), code=code_of(error))
        if self.block:
            given = [
                self.graph.values[each.name].text
                for each in _inputs(self.model.graph)
                if each.name in self.graph.values
            ]
            return [f"def network({', '.join(given)}) {{"]
        return heads

    def _input(self, given: onnx.ValueInfoProto) -> str:
        """Return the declaration of an input."""
        kind = given.type.tensor_type
        if not given.type.HasField("tensor_type") or not kind.HasField("shape"):
            raise Unsupported("it is no tensor of a known rank")
        if kind.elem_type not in NUMBERS:
            raise Unsupported("it is no tensor of numbers")
        own = self.graph.name(given.name)
        shape = tuple(self._size(own, axis, dim) for axis, dim in enumerate(kind.shape.dim))
        integer = kind.elem_type in INTEGERS and given.name in self.indices
        dims = ", ".join(self.graph.sizes.show(size) for size in shape)
        self.graph.values[given.name] = Value(own, shape, None, integer)
        self.graph.kinds[given.name] = kind.elem_type
        self.names[own] = given.name
        return f"input {own}: {'int' if integer else 'f32'}[{dims}]"

    def _size(self, own: str, axis: int, dim: onnx.TensorShapeProto.Dimension) -> int:
        fixed = dim.HasField("dim_value")
        if axis == 0 and (self.batch is not None or not fixed):
            self.batches.add(dim.dim_param)
            self.graph.batch = self._open("", own, axis)
            return self.graph.batch
        if not fixed:
            known = dim.dim_param in self.batches - {""}
            return self._open("" if known else dim.dim_param or f"{own}_{axis}", own, axis)
        if not 0 < dim.dim_value < 2**31:
            raise SizeError(f"axis {axis} has the size {dim.dim_value}")
        return int(dim.dim_value)

    def _open(self, name: str, own: str, axis: int) -> int:
        """Return what stands for an open dimension, an axis of an input; an empty name is the batch."""
        if name not in self.open:
            written = self.graph.name(name) if name and not self.block else "batch"
            self.open[name] = f"{own}.shape[{axis}]" if self.block else written
        return self.graph.sizes.open(self.open[name])

    # Outputs

    def _outputs(self, nodes: Sequence[Node]) -> list[tuple[str, str]]:
        """Return each output's name, and the value it is: of a softmax at the end, its input.

        Labels, which are whole numbers, are left out where the model has other outputs.
        """
        made_by = {str(name): node for node in nodes for name in node.proto.output}
        floats: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        for output in self.model.graph.output:
            value = output.name
            while (node := made_by.get(value)) is not None and (
                (node.op in ABSORBED and output.name not in self.softmax)
                or (
                    node.op in ("Identity", "Cast", "ZipMap", "Normalizer")
                    and _leads_to_softmax(node, made_by)
                )
            ):
                if node.op in ABSORBED:
                    self.softmax[output.name] = node
                value = node.input(0)
            kind = output.type.tensor_type.elem_type if output.type.HasField("tensor_type") else 0
            is_label = kind in INTEGERS or (kind not in FLOATS and value == output.name)
            (others if is_label else floats).append((output.name, value))
        return floats or others

    def _tails(self, outputs: Sequence[tuple[str, str]]) -> list[str]:
        """Return the declarations of the outputs, and of the loss."""
        lines = []
        for label, name in outputs:
            self.graph.title = label
            try:
                convolved = self.graph.tensor(name).order is not None
                value = self.graph.plain(name)
            except (Unsupported, SizeError) as error:
                self._mistake(
                    f"output '{one_line(label)}'", str(error), getattr(error, "hint", None), code_of(error)
                )
                continue
            if self.block:
                lines.append(value.text)
                continue
            own = self.graph.name(label) if value.text != label else label
            self.names[own] = label
            lines.append(f"output {own}" if own == value.text else f"output {own} = {value.text}")
            if self.loss is None:
                continue
            if len(outputs) > 1:
                shown = ", ".join(each for each, _ in outputs)
                self._mistake("outputs", f"a loss needs one, and the model has {shown}")
                return []
            if label in self.softmax and not self._by_class():
                self._mistake(
                    f"output '{one_line(label)}'",
                    f"{self.loss} compares with numbers, and the {self.softmax[label].op} at the end is left "
                    "to the loss, so it would compare what goes into it",
                    f"take the model without its {self.softmax[label].op}, or --loss cross_entropy",
                )
                return []
            axis = self.softmax[label].get("axis", -1) if label in self.softmax else None
            if axis is None and convolved and value.rank > 2 and self._by_class():
                found = (
                    f"it has the shape {list(value.shape)} and no Softmax that says which axis counts classes"
                )
                self._mistake(
                    f"output '{one_line(label)}'", found, "end the model with a Softmax over that axis"
                )
            else:
                lines += self._required(value, own, -1 if axis is None else axis)
        return [f"  return {', '.join(lines)}", "}"] if self.block else lines

    def _by_class(self) -> bool:
        """Whether the loss compares with classes."""
        return not any(each.NUMERIC for each in LOSS_OPS if operator_of(each) == self.loss)

    def _required(self, value: Value, output: str, axis: int) -> list[str]:
        """Return the lines of the loss; with classes along an axis of the output's."""
        target = self.graph.name("y")
        numeric = not self._by_class()
        if not numeric and value.rank < 2:
            found = f"{self.loss} needs an output of [batch, classes], found rank {value.rank}"
            self._mistake(f"output '{one_line(output)}'", found)
            return []
        kind = "f32" if numeric else "class"
        shape, scores = list(value.shape), output
        axis = axis if axis < 0 else axis - value.rank
        if not numeric and -value.rank <= axis and self.graph.counts_samples(shape[axis]):
            self._mistake(f"output '{one_line(output)}'", "its samples would be taken for classes")
            return []
        if not numeric and axis != -1:
            if not -value.rank < axis < 0:
                found = f"its Softmax is over axis {axis + value.rank}, which is not an axis of classes"
                self._mistake(f"output '{one_line(output)}'", found)
                return []
            own = axis + value.rank
            rest = [each for each in range(value.rank) if each != own]
            shape = [shape[each] for each in (*rest, own)]
            scores = f"transpose({output}, {tuple_text([*rest, own])})"
            if all(size == 1 for size in shape[1:-1]):
                shape = [shape[0], shape[-1]]
                scores = f"reshape({output}, {self.graph.sizes.shape(shape)})"
        dims = ", ".join(self.graph.sizes.show(size) for size in shape)
        return [f"target {target}: {kind}[{dims}]", f"require {self.loss}({scores}, {target})"]

    # Nodes

    def _fold_normalizations(self, nodes: Sequence[Node], kept: Set[str]) -> None:
        """Do the normalization after a convolution or a product in the layer's own weights.

        ``nodes`` are all that are imported; what outputs give, ``kept``, stays as it is.
        """
        readers = Counter(name for node in nodes for name in node.inputs)
        readers.update(kept)
        made_by = {str(name): node for node in nodes for name in node.proto.output}
        for node in nodes:
            layer = made_by.get(node.input(0)) if node.op == "BatchNormalization" else None
            if layer is None or readers[node.input(0)] > 1:
                continue
            self._fold_normalization(layer, node, readers)

    def _fold_normalization(self, layer: Node, node: Node, readers: Mapping[str, int]) -> None:
        initial = self.graph.initial
        statistics = [initial.get(node.input(index)) for index in range(1, 5)]
        weight, bias = layer.input(1), layer.input(2)
        fits = layer.op == "Conv" or (
            layer.op == "Gemm" and layer.get("alpha", 1.0) == layer.get("beta", 1.0) == 1.0
        )
        if not fits or node.get("training_mode", 0) or len(node.proto.output) > 1:
            return
        if (
            weight not in initial
            or readers[weight] > 1
            or (bias and (bias not in initial or readers[bias] > 1))
        ):
            return
        known = [each for each in statistics if each is not None]
        axis = 0 if layer.op == "Conv" or layer.get("transB", 0) else 1
        outputs = initial[weight].shape[axis]
        if len(known) < 4 or any(each.shape != (outputs,) for each in known):
            return
        if bias and initial[bias].shape != (outputs,):
            return
        own = bias or self.graph.unused(f"{weight}_bias")
        initial[weight], initial[own] = folded_normalization(
            initial[weight], initial[bias] if bias else None, known, node.get("epsilon", 1e-5), axis
        )
        if not bias:
            layer.inputs = [*layer.inputs[:2], own]
        node.op = "Identity"

    def _node(self, node: Node) -> None:
        """Make the statements of a node, or note why there are none."""
        names = [name for name in node.inputs if name]
        outputs = [str(name) for name in node.proto.output if name]
        if self.failed.intersection(names):
            self.failed.update(outputs)
            return
        self.graph.title = outputs[0] if outputs else ""
        try:
            self._import(node, names)
        except (Unsupported, FoldError, SizeError, ShapeError) as error:
            self.failed.update(outputs)
            self._mistake(node.title, str(error), getattr(error, "hint", None), code_of(error))
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
            # Attributes of kinds and lengths that the operator does not have.
            self.failed.update(outputs)
            found = f"it is not as {one_line(node.op)} should be: {error}"
            self._mistake(node.title, found)

    def _import(self, node: Node, names: Sequence[str]) -> None:
        graph, proto = self.graph, node.proto
        statics = graph.statics
        foldable = can_fold(proto) and not node.has_graph and not graph.trained.intersection(names)
        if foldable and node.op in ("Shape", "Size") and names and names[0] not in statics:
            held = graph.initial.get(names[0])
            shape = graph.tensor(names[0]).shape if held is None else held.shape
            start, end = node.get("start", 0), node.get("end", None)
            whole = node.op == "Size"
            sizes = as_static([prod(shape)]).reshape(()) if whole else as_static(shape[start:end])
            statics[str(proto.output[0])] = sizes
            return
        if foldable and node.op == "ConstantOfShape" and names[0] in statics and is_open(statics[names[0]]):
            one = fold(proto, [np.ones(1, np.int64)], self.opset)[0]
            graph.values[str(proto.output[0])] = graph.full(list(statics[names[0]]), float(one[0]))
            return
        if self._folded(node, names):
            return
        if node.op == "DequantizeLinear" and all(name in statics or name in graph.initial for name in names):
            self._dequantize(node)
            return
        kind = node.op if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{node.op}"
        handler = HANDLERS.get(kind)
        if handler is None:
            raise Unsupported(f"operator {kind} is not supported", standin_in_onnx(node.op))
        check_whole_numbers(graph, node)
        made = handler(graph, node)
        values = [made] if isinstance(made, Value) else list(made)
        for name, value in zip(proto.output, values, strict=False):
            graph.require_apart(value.shape)
            if name:
                graph.values[str(name)] = value
                graph.kinds[str(name)] = type_of_result(graph, node)
        if foldable and names and len(proto.output) == 1 and all(graph.is_known(name) for name in names):
            graph.recipes[str(proto.output[0])] = partial(self._recipe, node)

    def _folded(self, node: Node, names: Sequence[str]) -> bool:
        """Compute a node of constants, or one that computes with initializers, if that can be done now."""
        graph = self.graph
        if not can_fold(node.proto) or node.has_graph or not all(graph.is_known(name) for name in names):
            return False
        if graph.trained.intersection(names):
            return False
        constants = all(name in graph.statics for name in names)
        if not constants and (node.op not in ELEMENTWISE or node.op == "Identity"):
            return False
        if node.op == "Expand" and is_open(graph.statics[names[-1]]):
            return False
        try:
            self._fold(node)
        except TooLarge:
            if node.op not in HANDLERS or (constants and graph.statics[names[0]].dtype.kind != "f"):
                raise
            return False
        return True

    def _recipe(self, node: Node) -> Static:
        """Return what a node of initializers gives at their first values."""
        return self._computed(node)[0]

    def _computed(self, node: Node) -> list[Static]:
        inputs = [self.graph.known(name) if name else None for name in node.inputs]
        found = fold(node.proto, inputs, self.opset)
        if node.op not in REPEATING:
            self.folded += sum(each.size for each in found)
        if self.folded > MAX_TOTAL:
            raise FoldError("the model computes too much with constants")
        return found

    def _fold(self, node: Node) -> None:
        """Compute a node of constants."""
        found = self._computed(node)
        if isinstance(tensor := node.get("value"), onnx.TensorProto):
            self.graph.kinds[str(node.proto.output[0])] = tensor.data_type
        self.graph.statics.update(zip(map(str, node.proto.output), found, strict=False))

    def _dequantize(self, node: Node) -> None:
        """Weights that are stored as whole numbers become the numbers they mean."""
        known = {**self.graph.initial, **self.graph.statics}
        inputs = [known[name] if name else None for name in node.inputs]
        x, scale, zero = [*inputs, None][:3]
        assert x is not None
        assert scale is not None  # the checker knows how many inputs there are
        own = str(node.proto.output[0])
        self.graph.initial[own] = dequantized(node, x, scale, zero)
        described = levels_of(node, x, scale, zero) if self.loss is not None else None
        if described is not None:
            self.graph.sets[own] = described

    def _mistake(self, place: str, message: str, hint: str | None = None, code: str | None = None) -> None:
        self.mistakes.append((place, message, hint, code))

    def _report(self) -> list[Diagnostic]:
        """Return a diagnostic for each mistake; of very many, the last are named in one."""
        shown = [
            Diagnostic(f"{self.file}: {place}: {one_line(message, MAX_MESSAGE)}", None, hint, code)
            for place, message, hint, code in self.mistakes[:MAX_REPORTED]
        ]
        more = self.mistakes[MAX_REPORTED:]
        if more:
            places = ", ".join(place for place, _, _, _ in more)
            shown.append(Diagnostic(f"{self.file}: and {len(more)} more, not supported either: {places}"))
        return shown


def _name_directly(nodes: Sequence[Node], initial: Set[str]) -> None:
    """Let nodes read initializers themselves where they stand behind Identity."""
    source: dict[str, str] = {}
    for node in nodes:
        node.inputs = [source.get(name, name) for name in node.inputs]
        if node.op == "Identity" and node.input(0) in initial:
            source[str(node.proto.output[0])] = node.input(0)


KEEPING_NUMBERS = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice")


def _indices(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Return the values that a Gather takes rows by, and those that they are made of."""
    found: set[str] = set()
    for node in reversed(nodes):
        if node.op_type == "Gather":
            found.update(node.input[1:2])
        elif node.op_type in KEEPING_NUMBERS and found.intersection(node.output):
            found.update(node.input[:1])
    return found


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> set[int]:
    """Return the numbers of the nodes that the outputs depend on."""
    wanted, found = set(outputs), set()
    for node in reversed(nodes):
        if wanted.intersection(node.proto.output):
            found.add(node.index)
            wanted.update(name for name in node.inputs if name)
    return found


def _leads_to_softmax(node: Node, made_by: Mapping[str, Node]) -> bool:
    """Whether a node that keeps its input's order stands behind a softmax."""
    seen = 0
    found: Node | None = node
    while found is not None and seen < 8:
        if found.op in ABSORBED:
            return True
        found, seen = made_by.get(found.input(0)), seen + 1
    return False
