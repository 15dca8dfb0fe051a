"""The node tests that the onnx package ships, through pjc's importer.

``python tests/onnx_nodes.py`` writes their table into docs/onnx.md; with ``every``, it counts those of all
operators that the package has.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
from onnx import numpy_helper

from pjc.diagnostics import DiagnosticError
from pjc.dialects import proj
from pjc.driver import compile_text
from pjc.onnx.importer import import_model
from pjc.onnx.reading import checked
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.runtime.emit import Emitter
from pjc.signature import signature_of

OPERATORS = """
MatMul Gemm Add Sub Mul Relu LeakyRelu Clip Sign Abs Max Min Conv MaxPool AveragePool GlobalMaxPool
GlobalAveragePool Flatten Reshape Transpose Concat Split Slice Squeeze Unsqueeze Expand Pad Gather
Identity Constant ConstantOfShape Shape Dropout BatchNormalization ReduceSum ReduceMean ReduceMax Sum RNN
QuantizeLinear DequantizeLinear Softmax
""".split()  # noqa: SIM905

KNOWN = {
    "BatchNormalization": (1, 2, 3, 4),
    "Clip": (1, 2),
    "ConstantOfShape": (0,),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "Gather": (),
    "Pad": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}
"""The inputs that pjc must know when it reads a model; the tests feed them, here they become initializers."""
DOC = Path(__file__).resolve().parent.parent / "docs" / "onnx.md"
MARKS = "<!-- node tests -->", "<!-- end of node tests -->"


@dataclass(frozen=True)
class Outcome:
    """What became of a test: "passed", "wrong", or why it is not supported."""

    name: str
    operator: str
    result: str


def outcomes(*, every: bool = False) -> Iterator[Outcome]:
    """Run the tests of models with one node: of the operators above, or of all that the package has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
    for case in cases:
        model, inputs, outputs = _loaded(case)
        if model is None or not (every or model.graph.node[0].op_type in OPERATORS):
            continue
        yield Outcome(case.name, model.graph.node[0].op_type, _result(case.name, model, inputs, outputs))


def _loaded(case: Any) -> tuple[onnx.ModelProto | None, list[Any], list[Any]]:
    folder = None if case.model_dir is None else Path(case.model_dir)
    model = case.model if folder is None else onnx.load(folder / "model.onnx")
    if len(model.graph.node) != 1:
        return None, [], []
    if folder is None:
        return model, *([array_of(each) for each in part] for part in case.data_sets[0])
    found = []
    for kind, declared in (("input", model.graph.input), ("output", model.graph.output)):
        paths = [folder / "test_data_set_0" / f"{kind}_{index}.pb" for index in range(len(declared))]
        found.append([array_of(onnx.TensorProto.FromString(path.read_bytes())) for path in paths])
    return model, found[0], found[1]


def array_of(value: Any) -> Any:
    """Return a tensor of a test as an array; None for what has none."""
    if not isinstance(value, onnx.TensorProto):
        return value
    try:
        return numpy_helper.to_array(value)
    except Exception:  # sequences and optional values
        return None


def _result(name: str, model: onnx.ModelProto, inputs: list[Any], outputs: list[Any]) -> str:
    node = model.graph.node[0]
    data = []
    for declared, array in zip(list(model.graph.input), inputs, strict=True):
        place = list(node.input).index(declared.name) if declared.name in node.input else -1
        if place in KNOWN.get(node.op_type, ()) and not isinstance(array, list | None):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), declared.name))
            model.graph.input.remove(declared)
        else:
            data.append(array)
    try:
        found = import_model(checked(model, name), name)
        compilation = compile_text(found.text, Options())
    except DiagnosticError as error:
        return _reason(str(error))
    emitter = Emitter(only(compilation.at("proj"), proj.ProgramOp))
    signature = signature_of(only(compilation.at("proj"), proj.ProgramOp), 1)
    params = {**emitter.init(jax.random.key(0)), **found.parameters}
    given = {
        spec.name: np.asarray(array).astype(spec.dtype)
        for spec, array in zip(signature.inputs, data, strict=True)
    }
    results = list(emitter.apply(params, given).values())
    if node.op_type == "Softmax":  # as the last node it is left to the loss
        (axis,) = [each.i for each in node.attribute if each.name == "axis"] or [-1]
        results = [jax.nn.softmax(results[0], axis)]
    if len(results) < len(outputs):  # masks and labels are left out beside numbers
        outputs = [each for each in outputs if np.asarray(each).dtype.kind == "f"]
    right = len(results) == len(outputs) and all(
        np.shape(one) == np.shape(other)
        and np.allclose(one, np.asarray(other, np.float64), rtol=1e-3, atol=1e-5, equal_nan=True)
        for one, other in zip(results, outputs, strict=True)
    )
    return "passed" if right else "wrong"


def _reason(text: str) -> str:
    """Return why a model was refused, without the names in it."""
    first = re.sub(r"^error(\[\w+\])?: ", "", text.splitlines()[0])
    first = re.sub(r"^test_\w+(: | is )", "", first)
    first = re.sub(r"^(node|input|output|initializer) .*?: |^(input|initializer) '\w+' ", "", first)
    first = re.sub(r"^tensor '\w+' of the model ", "a tensor ", first)
    return re.sub(r"axis \d+ has the size 0", "an axis has the size 0", first)


def table() -> str:
    """Return the table of the document: tests passed and not supported by operator, and why."""
    passed: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes():
        if outcome.result == "passed":
            passed[outcome.operator] += 1
        else:
            reasons[outcome.operator][outcome.result] += 1
    lines = ["| operator | passed | not supported | why |", "|---|---:|---:|---|"]
    for operator in OPERATORS:
        why = "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons[operator].items()))
        lines.append(f"| {operator} | {passed[operator]} | {reasons[operator].total()} | {why} |")
    total = sum(reasons[operator].total() for operator in OPERATORS)
    lines.append(f"| all | {passed.total()} | {total} | |")
    return "\n".join(lines)


def written() -> str:
    """Return the table that the document holds."""
    text = DOC.read_text(encoding="utf-8")
    return text[text.index(MARKS[0]) + len(MARKS[0]) : text.index(MARKS[1])].strip()


def counts() -> Counter[str]:
    """Return how many tests of one node there are: passed, refused, wrong; print those that are wrong."""
    found: Counter[str] = Counter()
    for outcome in outcomes(every=True):
        known = outcome.result if outcome.result in ("passed", "wrong") else "refused"
        found[known] += 1
        if known == "wrong":
            sys.stdout.write(f"{outcome.name} {outcome.operator}\n")
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["every"]:
        sys.stdout.write(f"{dict(counts())}\n")
        sys.exit()
    text = DOC.read_text(encoding="utf-8")
    DOC.write_text(text.replace(written(), table()), encoding="utf-8")
