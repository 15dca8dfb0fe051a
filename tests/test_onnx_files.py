"""Every ONNX file at hand gives onnxruntime's result, or is refused; so is arithmetic that differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import TensorProto, helper
from test_onnx import made, run

import pjc
from pjc.diagnostics import DiagnosticError

node = helper.make_node


@pytest.mark.slow
def test_the_table_of_files_is_what_the_document_says(tmp_path: Path) -> None:
    records = onnx_files.run(tmp_path)
    assert [record for record in records if record["outcome"] == "other"] == []
    assert len(records) > 500
    shipped = [record for record in records if record["group"] != "site-packages"]  # which differ by machine
    rows = set(onnx_files.table(shipped).splitlines()[:-1])
    assert rows <= set(onnx_files.written().splitlines())


def typed(model: onnx.ModelProto, kind: int) -> onnx.ModelProto:
    """Return a model whose inputs and outputs are of another type."""
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.elem_type = kind
    return model


WHOLE = {
    "quotient of int32": (["x", "two"], "Div", TensorProto.INT32, np.int32, "leaves out the fraction"),
    "quotient of int64": (["x", "two"], "Div", TensorProto.INT64, np.int64, "leaves out the fraction"),
    "mean of int32": (["x"], "ReduceMean", TensorProto.INT32, np.int32, "leaves out the fraction"),
    "difference of uint8": (["x", "two"], "Sub", TensorProto.UINT8, np.uint8, "uint8, which wrap"),
    "product of int8": (["x", "two"], "Mul", TensorProto.INT8, np.int8, "int8, which wrap"),
    "sum of int16": (["x", "x"], "Add", TensorProto.INT16, np.int16, "int16, which wrap"),
    "difference of uint64": (["x", "two"], "Sub", TensorProto.UINT64, np.uint64, "uint64, which wrap"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_that_would_be_cut_off_or_wrap_are_refused(name: str, tmp_path: Path) -> None:
    inputs, op, kind, dtype, said = WHOLE[name]
    two = {"two": np.array([2], dtype)} if "two" in inputs else {}
    path = tmp_path / "model.onnx"
    onnx.save(typed(made([node(op, inputs, ["z"])], {"x": (2, 3)}, **two), kind), path)
    with pytest.raises(DiagnosticError, match=said):
        pjc.compile(path)


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Min", "Sub"])
def test_whole_numbers_of_32_bits_are_computed_with(op: str, tmp_path: Path) -> None:
    x = np.arange(-3, 3, dtype=np.int32).reshape(2, 3)
    model = typed(made([node(op, ["x", "two"], ["z"])], {"x": (2, 3)}, two=x[:1] + 2), TensorProto.INT32)
    onnx.save(model, tmp_path / "model.onnx")
    program = pjc.compile(tmp_path / "model.onnx")
    found = program.apply(program.init(0), x.astype(np.float32))
    np.testing.assert_array_equal(np.asarray(found), run(model, x)[0])


def test_types_that_round_or_hold_fewer_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(made([node("Cast", ["x"], ["z"], to=TensorProto.BFLOAT16)], {"x": (2, 3)}), path)
    with pytest.raises(DiagnosticError, match="rounds to bfloat16"):
        pjc.compile(path)
    for kind in (TensorProto.INT8, TensorProto.UINT8, TensorProto.BOOL):
        nodes = [
            node("Cast", ["x"], ["n"], to=kind),
            node("Cast", ["n"], ["i"], to=TensorProto.INT64),
            node("Gather", ["table", "i"], ["z"]),
        ]
        model = made(nodes, {"x": (2,)}, table=np.ones((300, 2), np.float32))
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
        onnx.save(model, path)
        with pytest.raises(DiagnosticError, match="another range of the rows"):
            pjc.compile(path)


@pytest.mark.parametrize(
    "given",
    [
        node("MaxPool", ["x"], ["z"], kernel_shape=[60, 80]),
        node("AveragePool", ["x"], ["z"], kernel_shape=[33, 32]),
        node("Conv", ["x", "w"], ["z"]),
    ],
    ids=lambda each: str(each.op_type),
)
def test_windows_of_very_many_entries_are_refused(given: onnx.NodeProto, tmp_path: Path) -> None:
    weights = {"w": np.ones((1, 1, 64, 64), np.float32)} if given.op_type == "Conv" else {}
    onnx.save(made([given], {"x": (1, 1, 100, 100)}, **weights), tmp_path / "model.onnx")
    with pytest.raises(DiagnosticError, match=r"its window has .* entries, more than 1,024"):
        pjc.compile(tmp_path / "model.onnx")
