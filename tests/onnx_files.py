"""Compares pjc with onnxruntime on every ONNX file that the installed packages ship, and on the repository's.

``python tests/onnx_files.py [-o FOLDER]``: the tests of the onnx package, whose inputs and outputs come with
them, and all other ``.onnx`` files, with inputs drawn at random. What is done is kept in the folder, line by
line, so that a run that was stopped goes on; at the end the counts are written into docs/onnx.md. Where a
test feeds what pjc must know when it reads a model, it is tried again with that as an initializer; a model of
an older opset is tried as onnx's converter makes it a newer one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator
from onnx_nodes import DOC, KNOWN, array_of

import pjc
from pjc.diagnostics import PjcError
from pjc.onnx.reading import OLDEST_OPSET

MARKS = "<!-- files -->", "<!-- end of files -->"
SECONDS = 60
"""How long a file may take; what takes longer counts as a failure."""
KINDS = ("light", "pytorch-converted", "pytorch-operator", "real", "simple")
"""The folders of models in the onnx package."""
OUTCOMES = ("equal", "refused", "other")
ENDS = {"Softmax", "LogSoftmax"}
"""As last nodes they are left to the loss."""
NEWER = 18
"""The opset that older models are brought to."""
OPEN = 3
"""The size of open dimensions."""


@dataclass
class File:
    """A model, from the folder or the package ``group``; with inputs and outputs where it has some."""

    group: str
    name: str
    model: onnx.ModelProto
    inputs: list[Any] | None = None
    outputs: list[Any] | None = None


def files() -> Iterator[File]:
    """Return all files, in the same order each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test import loader

        for case in loader.load_model_tests(kind="node"):
            yield _of_test("node", case.name, case)
    data = Path(loader.DATA_DIR)
    for kind in KINDS:
        for path in sorted((data / kind).glob("**/*.onnx")):
            yield _of_path(kind, path)
    places = (
        ("site-packages", Path(onnx.__file__).parent.parent),
        ("tests/onnx", DOC.parent.parent / "tests"),
    )
    for group, place in places:
        for path in sorted(place.glob("**/*.onnx")):
            if data not in path.parents:
                yield _of_path(group, path)


def _of_test(group: str, name: str, case: Any) -> File:
    if case.model_dir is not None:
        return _of_path(group, Path(case.model_dir) / "model.onnx")
    inputs, outputs = ([array_of(each) for each in part] for part in case.data_sets[0])
    return File(group, name, case.model, inputs, outputs)


def _of_path(group: str, path: Path) -> File:
    model, given = onnx.load(path), []
    for kind, declared in (("input", model.graph.input), ("output", model.graph.output)):
        data = [path.parent / "test_data_set_0" / f"{kind}_{index}.pb" for index in range(len(declared))]
        given.append([_read(each) for each in data if each.exists()])
    inputs, outputs = given if given[1] else (None, None)
    name = path.stem if path.stem != "model" else path.parent.name
    return File(group, name, model, inputs, outputs)


def _read(path: Path) -> Any:
    return array_of(onnx.TensorProto.FromString(path.read_bytes()))


def outcome(file: File) -> tuple[str, str]:
    """Return which of OUTCOMES became of a file, and a word on it."""
    found, said = _compared(file.model, file.inputs, file.outputs)
    versions = [each.version for each in file.model.opset_import if each.domain in ("", "ai.onnx")]
    if versions and versions[0] < OLDEST_OPSET:
        with suppress(Exception):  # which the converter cannot do with all
            return _compared(version_converter.convert_version(file.model, NEWER), file.inputs, file.outputs)
    if found != "refused" or len(file.model.graph.node) != 1 or file.inputs is None:
        return found, said
    known, inputs = _with_known(file.model, file.inputs)
    return (found, said) if known is None else _compared(known, inputs, file.outputs)


def _with_known(model: onnx.ModelProto, inputs: list[Any]) -> tuple[onnx.ModelProto | None, list[Any]]:
    """Return a test's model with initializers for what pjc must know, and the inputs that are left."""
    changed, left = onnx.ModelProto.FromString(model.SerializeToString()), []
    node = model.graph.node[0]
    for declared, array in zip(model.graph.input, inputs, strict=False):
        place = list(node.input).index(declared.name) if declared.name in node.input else -1
        if place in KNOWN.get(node.op_type, ()) and isinstance(array, np.ndarray | np.generic):
            changed.graph.initializer.append(numpy_helper.from_array(np.asarray(array), declared.name))
            changed.graph.input.remove(declared)
        else:
            left.append(array)
    return (changed if len(left) < len(inputs) else None), left


def _compared(model: onnx.ModelProto, inputs: list[Any] | None, outputs: list[Any] | None) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model.SerializeToString())
        jax.config.update("jax_enable_x64", _is_double(model))
        try:
            program = pjc.compile(path, dtype="f64" if _is_double(model) else "f32")
            if inputs is None:
                inputs = _drawn(model)
            own = dict(zip(_inputs(model), inputs, strict=False))
            given = [np.asarray(own[each]) for each in _inputs(model)]
            given = [each.astype(spec.dtype) for each, spec in zip(given, program.inputs, strict=True)]
            applied = program.apply(program.init(0), *given)
        except PjcError as error:
            return "refused", str(error).splitlines()[0]
        except Exception:
            return "other", traceback.format_exc()
    expected = _expected(model, own, outputs)
    if expected is None:
        return "other", "nothing to compare with"
    several = isinstance(applied, dict)
    values = [applied[each.name] for each in program.outputs] if several else [applied]
    return _judged(model, values, expected)


def _inputs(model: onnx.ModelProto) -> list[str]:
    known = {each.name for each in model.graph.initializer}
    return [each.name for each in model.graph.input if each.name not in known]


def _is_double(model: onnx.ModelProto) -> bool:
    return any(each.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE for each in model.graph.input)


def _drawn(model: onnx.ModelProto) -> list[Any]:
    rng = np.random.default_rng(0)
    declared = {each.name: each.type.tensor_type for each in model.graph.input}
    shapes = {name: [dim.dim_value or OPEN for dim in declared[name].shape.dim] for name in _inputs(model)}
    kinds = {name: onnx.helper.tensor_dtype_to_np_dtype(declared[name].elem_type) for name in shapes}
    return [np.asarray(rng.normal(size=shape)).astype(kinds[name]) for name, shape in shapes.items()]


def _expected(
    model: onnx.ModelProto, inputs: Mapping[str, Any], outputs: list[Any] | None
) -> dict[str, Any] | None:
    """Return what onnxruntime gives; where it takes no such model, the test, or onnx's evaluator."""
    names = [each.name for each in model.graph.output]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        data = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(None, dict(inputs)), strict=True))
    except Exception:  # operators and types that it does not have
        if outputs:
            return dict(zip(names, outputs, strict=True))
    try:
        return dict(zip(names, ReferenceEvaluator(model).run(None, dict(inputs)), strict=True))
    except Exception:
        return None


def _judged(model: onnx.ModelProto, applied: Sequence[Any], expected: Mapping[str, Any]) -> tuple[str, str]:
    """Compare outputs; labels beside numbers, and masks, are left out of programs."""
    if len(applied) < len(expected):
        expected = {name: each for name, each in expected.items() if np.asarray(each).dtype.kind not in "iub"}
    if len(applied) != len(expected):
        return "other", f"{len(applied)} outputs where {len(expected)} are expected"
    for name, value in zip(expected, applied, strict=True):
        found, wanted = _finished(model, name, np.asarray(value)), _plain(expected[name])
        if found.shape != wanted.shape:
            return "other", f"'{name}' has the shape {found.shape}, expected {wanted.shape}"
        if not np.allclose(found, wanted, rtol=1e-3, atol=1e-5, equal_nan=True):
            return "other", f"'{name}' is {found.ravel()[:5]}, expected {wanted.ravel()[:5]}"
    return "equal", ""


def _plain(given: Any) -> Any:
    """Return an output as an array: of a classifier's scores by class, a column for each class."""
    if isinstance(given, list) and given and isinstance(given[0], dict):
        given = [list(each.values()) for each in given]
    return np.asarray(given).astype(np.float64)


def _finished(model: onnx.ModelProto, name: str, value: Any) -> Any:
    """Return an output after the softmax that the model ends with, which pjc leaves to the loss."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    node = made_by.get(name)
    while node is not None and node.op_type in ("Identity", "Cast", "ZipMap", "Normalizer"):
        node = made_by.get(node.input[0])
    if node is None or node.op_type not in ENDS:
        return value
    axis = next((each.i for each in node.attribute if each.name == "axis"), -1)
    shifted = value - value.max(axis, keepdims=True)
    scores = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return scores if node.op_type == "LogSoftmax" else np.exp(scores)


# All files, in processes of their own


def run(folder: Path) -> list[dict[str, str]]:
    """Return what became of all files; what the log in ``folder`` has is not done again."""
    log = folder / "files.jsonl"
    while True:
        done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if done and done[-1]["group"] == "end":
            return done[:-1]
        _run_worker(log, len(done))


def _run_worker(log: Path, first: int) -> None:
    """Let a process go on from a file; where it dies, the file that it died of is an outcome."""
    words = [sys.executable, __file__, "--from", str(first)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    begun: dict[str, str] | None = None
    with (
        log.open("a", encoding="utf-8") as kept,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            record = json.loads(line)
            begun = None if "outcome" in record else record
            if begun is None:
                kept.write(json.dumps(record) + "\n")
                kept.flush()
        code = process.wait()
        if begun is not None:
            said = {"outcome": "other", "said": f"the process ended with {code}"}
            kept.write(json.dumps({**begun, **said}) + "\n")
        elif code:
            raise RuntimeError(f"the worker ended with {code} before it began with a file")


def _work(first: int) -> None:
    """Write a line before a file and one after it."""
    for number, file in enumerate(files()):
        if number < first:
            continue
        record = {"group": file.group, "name": file.name}
        print(json.dumps(record), flush=True)
        signal.alarm(SECONDS)  # ends the process, also while it is in native code
        found, said = outcome(file)
        signal.alarm(0)
        print(json.dumps({**record, "outcome": found, "said": said}), flush=True)
    print(json.dumps({"group": "end", "name": "", "outcome": "", "said": ""}), flush=True)


def table(records: Sequence[Mapping[str, str]]) -> str:
    """Return the table of the document."""
    counts = {record["group"]: Counter[str]() for record in records}
    for record in records:
        counts[record["group"]][record["outcome"]] += 1
    counts["all"] = sum(counts.values(), Counter())
    lines = ["| files of | equal | refused | other |", "|---|---:|---:|---:|"]
    for group, count in counts.items():
        lines.append(f"| {group} | {' | '.join(str(count[each]) for each in OUTCOMES)} |")
    return "\n".join(lines)


def written() -> str:
    """Return the table that the document holds."""
    text = DOC.read_text(encoding="utf-8")
    return text[text.index(MARKS[0]) + len(MARKS[0]) : text.index(MARKS[1])].strip()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, help="the folder of what is done (default: a new one)")
    parser.add_argument("--from", dest="first", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.first is not None:
        _work(given.first)
        return 0
    with tempfile.TemporaryDirectory() as fresh:
        folder = given.output or Path(fresh)
        folder.mkdir(parents=True, exist_ok=True)
        records = run(folder)
    for record in records:
        if record["outcome"] == "other":
            print(f"{record['group']} {record['name']}: {record['said'].splitlines()[-1]}")
    text = DOC.read_text(encoding="utf-8")
    DOC.write_text(text.replace(written(), table(records)), encoding="utf-8")
    print(table(records))
    return int(any(record["outcome"] == "other" for record in records))


if __name__ == "__main__":
    sys.exit(main())
