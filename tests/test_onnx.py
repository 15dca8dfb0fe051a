"""ONNX models: import, training, export, and files that are broken."""

from __future__ import annotations

import itertools
import random
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_nodes
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from random_networks import BATCH, RandomNetwork
from safetensors.numpy import save_file

import pjc
from pjc.cli import main
from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_file
from pjc.onnx.importer import import_model
from pjc.onnx.reading import checked
from pjc.options import Options
from pjc.runtime.data import load, split
from pjc.runtime.evaluate import evaluate
from pjc.runtime.program import Program, ProgramError
from pjc.runtime.train import Run, train
from pjc.sources import open_source

MODELS = Path(__file__).resolve().parent / "onnx"
Array = NDArray[Any]


def made(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str]],
    outputs: Sequence[str] = ("z",),
    opset: int = 18,
    **initializers: Array,
) -> onnx.ModelProto:
    """Return a model written by hand."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    for output in model.graph.output:
        output.type.tensor_type.shape.dim.extend([])  # the checker wants a shape, if only an empty one
        output.type.tensor_type.shape.SetInParent()
    return model


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def run(model: onnx.ModelProto | Path, *inputs: Array) -> list[Any]:
    """Return what onnxruntime computes."""
    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return list(session.run(None, dict(zip(names, inputs, strict=True))))


def compiled(model: onnx.ModelProto, folder: Path, **options: Any) -> Program:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return pjc.compile(path, **options)


def check_both_ways(model: onnx.ModelProto, folder: Path, *inputs: Array) -> None:
    """Import a model and compare with onnxruntime; export it, and compare again."""
    expected = run(model, *inputs)[0]
    program = compiled(model, folder)
    params = program.init(0)
    found = program.apply(params, *inputs)
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    program.to_onnx(params, folder / "out.onnx")
    np.testing.assert_allclose(run(folder / "out.onnx", *inputs)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_table_of_node_tests_is_what_the_document_says() -> None:
    assert onnx_nodes.table() == onnx_nodes.written()


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_models_of_other_software_compute_what_onnxruntime_does(path: Path, tmp_path: Path) -> None:
    program = pjc.compile(path)
    (spec,) = program.inputs
    x = drawn(7, *spec.shape[1:])
    params = program.init(0)
    logits = np.asarray(program.apply(params, x))
    expected = run(path, x)[-1]
    if isinstance(expected, list):  # scikit-learn's probabilities, by class
        expected = np.array([list(each.values()) for each in expected])
    program.to_onnx(params, tmp_path / "out.onnx")
    np.testing.assert_allclose(run(tmp_path / "out.onnx", x)[0], logits, rtol=1e-5, atol=1e-5)
    shifted = logits - logits.max(axis=1, keepdims=True)
    scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    own = {"sklearn_mlp": np.exp(scores)}.get(path.stem, scores if "cnn" in path.stem else logits)
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", range(13, onnx.defs.onnx_opset_version() + 1))
def test_every_opset_from_13(opset: int, tmp_path: Path) -> None:
    """Axes and numbers of parts moved between attributes and inputs over the years."""
    axes = [] if opset < 18 else ["axes"]
    given = {"axes": [1]} if opset < 18 else {}
    parts = {} if opset < 18 else {"num_outputs": 2}
    nodes = [
        helper.make_node("Split", ["x"], ["p", "q"], axis=2, **parts),
        helper.make_node("ReduceMean", ["p", *axes], ["m"], keepdims=0, **given),
        helper.make_node("ReduceMax", ["q", *axes], ["n"], keepdims=0, **given),
        helper.make_node("ReduceSum", ["q", "axes"], ["s"], keepdims=0),
        helper.make_node("Clip", ["s", "low", "high"], ["c"]),
        helper.make_node("Sum", ["m", "n", "c"], ["h"]),
        helper.make_node("Dropout", ["h"], ["d"]),
        helper.make_node("Pad", ["d", "widths"], ["w"]),
        helper.make_node("Unsqueeze", ["w", "axes"], ["u"]),
        helper.make_node("Reshape", ["u", "shape"], ["z"]),
    ]
    lists = {"axes": integers(1), "widths": integers(0, 1, 0, 1), "shape": integers(-1, 2, 2)}
    bounds = {"low": np.float32(-1), "high": np.float32(2)}
    model = made(nodes, {"x": ["n", 3, 4]}, opset=opset, **lists, **bounds)
    x = drawn(5, 3, 4)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    program = compiled(model, tmp_path)
    np.testing.assert_allclose(program.apply({}, x), expected, rtol=1e-5, atol=1e-6)


def test_layers_may_be_wide_where_the_batch_is_open(tmp_path: Path) -> None:
    """As wide as those of real networks: what stands for an open dimension is a large number."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Add", ["r", "x"], ["s"]),
        helper.make_node("Reshape", ["s", "shape"], ["t"]),
        helper.make_node("Expand", ["t", "sizes"], ["e"]),
        helper.make_node("MatMul", ["e", "v"], ["m"]),
        helper.make_node("Mul", ["m", "e"], ["z"]),
    ]
    shapes = {"shape": np.array([-1, 1, 16, 16], np.int64), "sizes": np.array([1, 3, 16, 16], np.int64)}
    weights = {"w": 0.1 * drawn(256, 256), "b": drawn(256), "v": drawn(16, 16)}
    check_both_ways(made(nodes, {"x": ["n", 256]}, **weights, **shapes), tmp_path, drawn(5, 256))


GEMMS = [(a, b, alpha, beta) for a in (0, 1) for b in (0, 1) for alpha, beta in ((1.0, 1.0), (0.5, 2.0))]


@pytest.mark.parametrize(("trans_a", "trans_b", "alpha", "beta"), GEMMS)
def test_gemm(trans_a: int, trans_b: int, alpha: float, beta: float, tmp_path: Path) -> None:
    node = helper.make_node(
        "Gemm", ["x", "w", "b"], ["z"], transA=trans_a, transB=trans_b, alpha=alpha, beta=beta
    )
    shape = (4, 5) if trans_a else (5, 4)
    model = made([node], {"x": shape}, w=drawn(3, 4) if trans_b else drawn(4, 3), b=drawn(3))
    check_both_ways(model, tmp_path, drawn(*shape))


CONVOLUTIONS = {
    "plain": ({}, (4, 3, 3, 3), (2, 3, 7, 6)),
    "strides and padding": ({"strides": [2, 1], "pads": [1, 0, 2, 1]}, (4, 3, 3, 2), (2, 3, 7, 6)),
    "same upper": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (4, 3, 2, 2), (2, 3, 7, 5)),
    "same lower": ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (4, 3, 2, 2), (2, 3, 7, 5)),
    "dilated": ({"dilations": [2, 3], "pads": [2, 3, 2, 3]}, (4, 3, 3, 2), (2, 3, 7, 6)),
    "groups": ({"group": 2}, (6, 2, 3, 3), (2, 4, 7, 6)),
    "depthwise, dilated, strided": (
        {"group": 3, "strides": [2, 2], "dilations": [2, 1]}, (6, 1, 2, 3), (2, 3, 7, 6)
    ),
    "a sequence": ({"strides": [2], "pads": [1, 2]}, (4, 3, 3), (2, 3, 9)),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str, tmp_path: Path) -> None:
    attributes, weight, image = CONVOLUTIONS[name]
    node = helper.make_node("Conv", ["x", "w", "b"], ["z"], **attributes)
    model = made([node], {"x": ["n", *image[1:]]}, w=drawn(*weight), b=drawn(weight[0]))
    check_both_ways(model, tmp_path, drawn(*image))


def pool(kind: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, ["x"], ["z"], kernel_shape=[3, 2], **attributes)


POOLS = {
    "strided": {"strides": [2, 2]},
    "padded": {"strides": [2, 1], "pads": [1, 0, 2, 1]},
    "ceiling": {"strides": [2, 2], "ceil_mode": 1},
    "ceiling, padded": {"strides": [3, 2], "pads": [1, 1, 1, 0], "ceil_mode": 1},
    "same": {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "AveragePool with padding"])
def test_pools(kind: str, name: str, tmp_path: Path) -> None:
    more = {"count_include_pad": 1} if kind.endswith("padding") else {}
    node = pool(kind.split()[0], **POOLS[name], **more)
    check_both_ways(made([node], {"x": ["n", 3, 8, 7]}), tmp_path, drawn(2, 3, 8, 7) - 3)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pools_of_volumes_and_dilated_ones(kind: str, tmp_path: Path) -> None:
    given = {"kernel_shape": [2, 3, 2], "strides": [1, 2, 1], "pads": [1, 1, 0, 0, 1, 1]}
    node = helper.make_node(kind, ["x"], ["z"], **given)
    check_both_ways(made([node], {"x": ["n", 3, 5, 6, 4]}), tmp_path, drawn(2, 3, 5, 6, 4) - 3)
    if kind == "MaxPool":
        node = pool("MaxPool", dilations=[3, 2], pads=[2, 1, 2, 0], strides=[2, 1])
        check_both_ways(made([node], {"x": ["n", 3, 8, 7]}), tmp_path, drawn(2, 3, 8, 7) - 3)
    # An open dimension is pooled as long as no window stands over an edge of it.
    node = helper.make_node(kind, ["x"], ["h"], kernel_shape=[3, 2], strides=[2, 2])
    mean = helper.make_node("GlobalAveragePool", ["h"], ["z"])
    program = compiled(made([node, mean], {"x": ["n", 3, "h", 8]}), tmp_path, defines={"h": 9})
    x = drawn(2, 3, 9, 8)
    np.testing.assert_allclose(program.apply({}, x), run(tmp_path / "model.onnx", x)[0], atol=1e-5)
    node = helper.make_node(kind, ["x"], ["z"], kernel_shape=[3, 2], pads=[1, 0, 1, 0])
    padded = made([node], {"x": ["n", 3, "h", 8]})
    if kind == "AveragePool":
        assert "give that dimension a fixed size" in refusal(padded)
        return
    program = compiled(padded, tmp_path, defines={"h": 9})
    np.testing.assert_array_equal(program.apply({}, x), run(padded, x)[0])


def test_dilated_max_pools_are_exported_as_such(tmp_path: Path) -> None:
    node = pool("MaxPool", dilations=[2, 1], strides=[1, 2])
    check_both_ways(made([node], {"x": ["n", 3, 8, 7]}), tmp_path, drawn(2, 3, 8, 7))
    assert [each.op_type for each in onnx.load(tmp_path / "out.onnx").graph.node].count("MaxPool") == 1


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("start", [False, True])
def test_recurrent_layers(layout: int, start: bool, tmp_path: Path) -> None:
    names = ["x", "w", "r", "b", "", "h"] if start else ["x", "w", "r", "b"]
    shape = (2, 5, 3) if layout else (5, 2, 3)
    state = {"h": (2, 1, 4) if layout else (1, 2, 4)} if start else {}
    made_by = helper.make_node("RNN", names, ["y", "z"], hidden_size=4, activations=["Relu"], layout=layout)
    inputs = {"x": shape, **state}
    weights = {"w": drawn(1, 4, 3), "r": 0.5 * drawn(1, 4, 4), "b": drawn(1, 8)}
    given = [drawn(*each) for each in inputs.values()]
    for output in ("y", "z"):
        model = made([made_by], inputs, [output], **weights)
        if layout:  # which onnxruntime does not have: compare with the other layout
            program = compiled(model, tmp_path)
            found = np.asarray(program.apply(program.init(0), *given))
            turned = [np.swapaxes(each, 0, 1) for each in given]
            other = helper.make_node("RNN", names, ["y", "z"], hidden_size=4, activations=["Relu"])
            shapes = {name: each.shape for name, each in zip(inputs, turned, strict=True)}
            expected = run(made([other], shapes, [output], **weights), *turned)[0]
            order = (2, 0, 1, 3) if output == "y" else (1, 0, 2)
            np.testing.assert_allclose(found, expected.transpose(order), rtol=1e-5, atol=1e-6)
        else:
            check_both_ways(model, tmp_path, *given)


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("output", ["y", "z"])
def test_directions_of_recurrent_layers(direction: str, output: str, tmp_path: Path) -> None:
    ways = 2 if direction == "bidirectional" else 1
    names = ["x", "w", "r", "b", "lengths", "h"]
    activations = ["Relu"] * ways
    node = helper.make_node(
        "RNN", names, ["y", "z"], hidden_size=4, activations=activations, direction=direction
    )
    weights = {"w": drawn(ways, 4, 3), "r": 0.5 * drawn(ways, 4, 4), "b": drawn(ways, 8)}
    inputs = {"x": (5, 2, 3), "h": (ways, 2, 4)}
    lengths = np.full(2, 5, np.int32)
    model = made([node], inputs, [output], lengths=lengths, **weights)
    check_both_ways(model, tmp_path, *(drawn(*shape) for shape in inputs.values()))
    lengths[0] = 4
    assert "sequences of several lengths" in refusal(
        made([node], inputs, [output], lengths=lengths, **weights)
    )


def test_normalization_goes_into_the_layer_before_it(tmp_path: Path) -> None:
    statistics = {
        "scale": 1 + 0.1 * drawn(4), "shift": drawn(4, seed=1), "mean": drawn(4, seed=2), "var": drawn(4) ** 2
    }  # fmt: skip
    normalize_ = helper.make_node("BatchNormalization", ["h", *statistics], ["z"])
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1)
    model = made([gemm, normalize_], {"x": ["n", 3]}, w=drawn(4, 3), b=drawn(4, seed=5), **statistics)
    check_both_ways(model, tmp_path, drawn(6, 3))
    assert sorted(pjc.compile(tmp_path / "model.onnx").init(0)) == ["b", "w"]
    # A batch that must stay as it is, a layer without a bias, and a name that is taken.
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"]),
        helper.make_node("BatchNormalization", ["h", *statistics], ["n"]),
        helper.make_node("Add", ["n", "w_bias"], ["s"]),
        helper.make_node("Reshape", ["s", "shape"], ["z"]),
    ]
    shape = np.array([3, 8], np.int64)
    model = made(nodes, {"x": [6, 3]}, w=drawn(3, 4), w_bias=drawn(4, seed=6), shape=shape, **statistics)
    check_both_ways(model, tmp_path, drawn(6, 3))
    alone = helper.make_node("BatchNormalization", ["x", *statistics], ["z"])
    check_both_ways(made([alone], {"x": ["n", 4, 3]}, **statistics), tmp_path, drawn(6, 4, 3))


def test_quantizers(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["h"]),
        helper.make_node("DequantizeLinear", ["w", "scales"], ["v"], axis=1),
        helper.make_node("MatMul", ["h", "v"], ["z"]),
    ]
    weights = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
    values = {"scale": np.float32(0.25), "zero": np.uint8(100), "w": weights, "scales": abs(drawn(4))}
    model = made(nodes, {"x": ["n", 3]}, **values)
    check_both_ways(model, tmp_path, 20 * drawn(6, 3))
    program = pjc.compile(tmp_path / "model.onnx")
    np.testing.assert_allclose(program.init(0)["v"], weights * values["scales"])


def test_quantizers_with_scales_along_an_axis_and_in_blocks(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scales", "zeros"], ["q"], axis=1),
        helper.make_node("DequantizeLinear", ["q", "scales", "zeros"], ["h"], axis=1),
        helper.make_node("DequantizeLinear", ["w", "steps"], ["v"], axis=0, block_size=2),
        helper.make_node("MatMul", ["h", "v"], ["z"]),
    ]
    weights = np.arange(-6, 6).astype(ml_dtypes.int4).reshape(4, 3)
    values = {
        "scales": np.float32([0.25, 0.25, 0.5, 2]), "zeros": np.uint8([100, 100, 100, 7]),
        "w": weights, "steps": abs(drawn(2, 3)),
    }  # fmt: skip
    model = made(nodes, {"x": ["n", 4]}, opset=21, **values)
    check_both_ways(model, tmp_path, 20 * drawn(6, 4))
    small = helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["z"])
    levels = {"one": np.float32(1), "zero": np.zeros((), ml_dtypes.float8_e4m3fn)}
    program = compiled(made([small], {"x": ["n", 4]}, opset=21, **levels), tmp_path)
    x = 300 * drawn(50, 4)
    expected = np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    np.testing.assert_array_equal(program.apply({}, x), expected)


def test_scalers_of_features(tmp_path: Path) -> None:
    values = {"offset": [1.0, 2.0, 0.0], "scale": [0.5, 2.0, -1.0]}
    scaler = helper.make_node("Scaler", ["x"], ["h"], domain="ai.onnx.ml", **values)
    model = made([scaler, helper.make_node("Relu", ["h"], ["z"])], {"x": ["n", 3]})
    check_both_ways(model, tmp_path, drawn(6, 3))


def test_division_by_constants_and_dropout_of_nothing(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Div", ["x", "deviations"], ["h"]),
        helper.make_node("Dropout", ["h", "ratio", "training"], ["z"]),
    ]
    arrays = {"ratio": np.float32(0), "training": np.array(True)}
    model = made(nodes, {"x": ["n", 3]}, deviations=np.float32([1, 2, 4]), **arrays)
    check_both_ways(model, tmp_path, drawn(6, 3))
    zero = made(nodes, {"x": ["n", 3]}, deviations=np.float32([1, 0, 4]), **arrays)
    assert "it divides by 0" in refusal(zero)
    arrays["ratio"] = np.float32(0.5)
    assert "training mode" in refusal(made(nodes, {"x": ["n", 3]}, deviations=np.float32(1), **arrays))


def test_shapes_are_computed_where_the_batch_is_open(tmp_path: Path) -> None:
    """As PyTorch writes ``x.view(x.shape[0], -1)`` and ``x.view(-1, 2, 6)``."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "first"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Mul", ["n1", "two"], ["twice"]),
        helper.make_node("Concat", ["twice", "six"], ["shape2"], axis=0),
        helper.make_node("Reshape", ["flat", "shape2"], ["z"]),
    ]
    numbers = {"zero": 0, "first": [0], "rest": [-1], "two": [2], "six": [6]}
    arrays = {name: np.asarray(value, np.int64) for name, value in numbers.items()}
    model = made(nodes, {"x": ["n", 3, 4]}, **arrays)
    for batch in (1, 5):
        check_both_ways(model, tmp_path, drawn(batch, 3, 4))


def test_open_dimensions_keep_their_names(tmp_path: Path) -> None:
    """The batch is the first, whatever the model calls it and others."""
    nodes = [helper.make_node("MatMul", ["x", "y"], ["z"])]
    model = made(nodes, {"x": ["n", "batch", 3], "y": ["n", 3, "some-size"]})
    program = compiled(model, tmp_path, defines={"batch_2": 4, "some_size": 5}, batch=2)
    assert [spec.shape for spec in program.inputs] == [(2, 4, 3), (2, 3, 5)]
    x, y = drawn(2, 4, 3), drawn(2, 3, 5)
    np.testing.assert_allclose(program.apply({}, x, y), x @ y, rtol=1e-5, atol=1e-6)


def test_a_batch_that_is_a_number_may_be_another(tmp_path: Path) -> None:
    gemm = helper.make_node("Gemm", ["x", "w"], ["z"])
    program = compiled(made([gemm], {"x": [1, 3]}, w=drawn(3, 2)), tmp_path)
    assert program.batch == 1
    assert np.shape(program.apply(program.init(0), drawn(7, 3))) == (7, 2)
    shape = np.array([2, 6], np.int64)
    fixed = made([helper.make_node("Reshape", ["x", "shape"], ["z"])], {"x": [4, 3]}, shape=shape)
    program = compiled(fixed, tmp_path)
    assert program.batch is None
    assert np.shape(program.apply({}, drawn(4, 3))) == (2, 6)


@pytest.mark.slow
def test_a_pretrained_network_is_trained_back(tmp_path: Path) -> None:
    data, test = split(load("digits"), 0.2, "test")
    program = pjc.compile(MODELS / "sklearn_mlp.onnx", solver="dr", loss="cross_entropy", batch=64)
    params = program.init(0)
    before = evaluate(program, params, test)
    noise = np.random.default_rng(0)
    worse = {
        name: value + np.std(value) * noise.normal(size=value.shape).astype("float32")
        for name, value in params.items()
    }
    assert evaluate(program, worse, test) < before - 0.1
    program.initial = worse
    result = train(program, data, Run(epochs=3, seed=0))
    after = evaluate(program, result.params, test)
    assert after > before - 0.01
    program.save(tmp_path / "trained.pjx")
    again = pjc.load(tmp_path / "trained.pjx")
    again.to_onnx(result.params, tmp_path / "trained.onnx")
    scores = run(tmp_path / "trained.onnx", test.x.astype("float32"))[0]
    assert np.mean(scores.argmax(1) == test.y) == pytest.approx(after)


@pytest.mark.slow
def test_artifacts_hold_what_parameters_start_from(tmp_path: Path) -> None:
    program = pjc.compile(MODELS / "torch_mlp.onnx", loss="squared_error", batch=8)
    program.save(tmp_path / "model.pjx")
    loaded = pjc.load(tmp_path / "model.pjx")
    for name, value in program.init(0).items():
        np.testing.assert_array_equal(loaded.init(1)[name], value)
    fresh = pjc.compile(MODELS / "torch_mlp.onnx", reinit=True).init(0)
    assert fresh.keys() == program.init(0).keys()
    assert not np.array_equal(fresh["v0_weight"], program.init(0)["v0_weight"])
    deviation = float(np.std(fresh["v0_weight"]))
    assert deviation == pytest.approx(np.sqrt(2 / 12), rel=0.15)  # twelve inputs


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_are_exported(seed: int, tmp_path: Path) -> None:
    program = pjc.compile(RandomNetwork(seed).text, batch=BATCH)
    params = program.init(seed)
    inputs = [drawn(*spec.shape, seed=seed) for spec in program.inputs]
    program.to_onnx(params, tmp_path / "out.onnx")
    expected = program.apply(params, *inputs)
    values = list(expected.values()) if isinstance(expected, dict) else [expected]
    for found, value in zip(run(tmp_path / "out.onnx", *inputs), values, strict=True):
        np.testing.assert_allclose(found, value, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("levels", ["-1, 0, 1", "-2, -1, 0, 1", "-1, 1", "0, 0.25, 0.5, 0.75", "-1, 0, 2"])
def test_quantizers_are_exported_with_their_ties(levels: str, tmp_path: Path) -> None:
    program = pjc.compile(f"input x: f32[batch, 33]\noutput z = quantize(x, ({levels}))\n", batch=1)
    x = (np.arange(33, dtype=np.float32)[None] - 16) / 8
    program.to_onnx({}, tmp_path / "out.onnx")
    np.testing.assert_array_equal(run(tmp_path / "out.onnx", x)[0], program.apply({}, x))


@pytest.mark.parametrize(
    ("bits", "scale", "signed", "kind"),
    [(4, 0.25, 1, "INT4"), (8, 0.125, 1, "INT8"), (8, 0.5, 0, "UINT8"), (2, 1.0, 0, "")],
)
def test_numbers_of_bits_are_those_of_quantize_linear(
    bits: int, scale: float, signed: int, kind: str, tmp_path: Path
) -> None:
    least, largest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    text = f"output z = quantize(x, bits = {bits}, scale = {scale}, signed = {signed})\n"
    program = pjc.compile("input x: f32[batch, 1025]\n" + text, batch=1)
    x = (np.arange(1025, dtype=np.float32)[None] - 512) * np.float32(scale / 2)
    wanted = np.clip(np.rint(x / np.float32(scale)), least, largest) * np.float32(scale)
    if kind:
        zero = helper.make_tensor("o", getattr(onnx.TensorProto, kind), [], [0])
        step = helper.make_tensor("s", onnx.TensorProto.FLOAT, [], [scale])
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s", "o"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "o"], ["z"]),
        ]
        ends = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, [1, 1025]) for each in "xz"]
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [zero, step])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        wanted = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    found = np.asarray(program.apply({}, x))
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(pjc.quantize(x, bits=bits, scale=scale, signed=bool(signed)), wanted)
    program.to_onnx({}, tmp_path / "out.onnx")
    np.testing.assert_array_equal(run(tmp_path / "out.onnx", x)[0], found)


@pytest.mark.slow
def test_a_model_is_a_library_with_one_block(tmp_path: Path) -> None:
    """Shared by two calls, in a loop, and with another batch than the program's."""
    for name in ("torch_mlp", "torch_cnn"):
        (tmp_path / f"{name}.onnx").write_bytes((MODELS / f"{name}.onnx").read_bytes())
    own = helper.make_node("Gemm", ["x", "w"], ["z"])
    onnx.save(made([own], {"x": [1, 4]}, w=drawn(4, 4)), tmp_path / "square.onnx")
    (tmp_path / "both.pjn").write_text(
        """
use torch_mlp
use torch_cnn
use square
input x: f32[batch, 12]
input images: f32[2 * batch, 1, 12, 12]
target y: class[batch, 4]
shared = torch_mlp.network
h = shared(concat(x[:, :8], shared(x)))
for layer in 0..3 {
    h = square.network(h)
}
output logits = h + broadcast(torch_cnn.network(images)[:1, :1], (batch, 4))
require cross_entropy(logits, y)
""".replace("shared(shared(", "shared(")
    )
    program = pjc.compile(tmp_path / "both.pjn", batch=3)
    params = program.init(0)
    mlp = pjc.compile(MODELS / "torch_mlp.onnx").init(0)
    for name, value in mlp.items():
        np.testing.assert_array_equal(params[f"shared.{name}"], value)
    x, images = drawn(3, 12), drawn(6, 1, 12, 12)
    first = run(MODELS / "torch_mlp.onnx", x)[0]
    second = run(MODELS / "torch_mlp.onnx", np.concatenate([x[:, :8], first], axis=1))[0]
    cube = np.linalg.matrix_power(drawn(4, 4), 3)
    logits = pjc.compile(MODELS / "torch_cnn.onnx")
    expected = second @ cube + np.asarray(logits.apply(logits.init(0), images))[0, 0]
    np.testing.assert_allclose(program.apply(params, x, images), expected, rtol=1e-4, atol=1e-4)
    program.save(tmp_path / "both.pjx")
    loaded = pjc.load(tmp_path / "both.pjx")
    np.testing.assert_array_equal(loaded.apply(loaded.init(0), x, images), program.apply(params, x, images))


def test_nodes_of_a_model_that_is_used_are_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Tanh", ["x"], ["h"]), helper.make_node("Erf", ["x"], ["e"])]
    model = made([*nodes, helper.make_node("Add", ["h", "e"], ["z"])], {"x": ["n", 3]})
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "net.pjn").write_text("use model\ninput x: f32[batch, 3]\noutput model.network(x)\n")
    with pytest.raises(DiagnosticError) as caught:
        pjc.compile(tmp_path / "net.pjn")
    text = str(caught.value)
    assert "net.pjn:1:5: error[PJC0702]: model.onnx: node (Tanh, number 1)" in text
    assert "node (Erf, number 2)" in text


def test_the_text_of_a_model_is_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    path = MODELS / "torch_residual.onnx"
    assert main([str(path), "--emit", "pjn"]) == 0
    program, whole = pjc.compile(capsys.readouterr().out), pjc.compile(path)
    params, x = whole.init(0), drawn(4, *whole.inputs[0].shape[1:])
    np.testing.assert_array_equal(program.apply(params, x), whole.apply(params, x))


# Refusals


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(DiagnosticError) as caught:
        import_model(checked(model, "model"), "model")
    return str(caught.value)


def test_every_node_that_is_not_supported_is_named() -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Softmax", ["x"], ["c"], name="scores"),
        helper.make_node("Add", ["b", "c"], ["z"]),
        helper.make_node("Erf", ["x"], ["unused"]),
    ]
    text = refusal(made(nodes, {"x": [2, 3]}))
    assert "node 'first' (Tanh, number 1): operator Tanh is not supported" in text
    assert "hint: Clip to -1 and 1 has a projection" in text
    assert "node 'scores' (Softmax, number 3)" in text
    assert text.count("error[") == 2  # not for what reads them, nor for what nothing needs
    many = [helper.make_node("Tanh", ["x"], [f"h{i}"], name=f"tanh{i}") for i in range(500)]
    text = refusal(
        made([*many, helper.make_node("Sum", [f"h{i}" for i in range(500)], ["z"])], {"x": [2, 3]})
    )
    assert all(f"node 'tanh{i}' (Tanh, number {i + 1})" in text for i in range(500))
    assert text.count("error[") == 51
    strange = helper.make_node("Tanh", ["x"], ["z"], name="\x1b[31m\n" + "long" * 1000)
    text = refusal(made([strange], {"x": [2, 3]}))
    assert "\x1b" not in text
    assert len(text) < 500


BROKEN = {
    "opset": (lambda m: setattr(m.opset_import[0], "version", 9), "opset 9; pjc takes 13 to"),
    "cycle": (lambda m: m.graph.node[0].input.__setitem__(0, "z"), "no valid model"),
    "missing value": (lambda m: m.graph.node[1].input.__setitem__(0, "nothing"), "no valid model"),
    "absurd shape": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**40), "has the shape"),
    "short tensor": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 7), "448 bytes, and holds 1024"),
    "negative shape": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -1), "has the shape"),
    "no nodes": (lambda m: m.graph.Clear(), "holds no network"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models_are_refused(name: str) -> None:
    change, message = BROKEN[name]
    model = made(
        [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["z"])],
        {"x": [2, 16]},
        w=drawn(16, 16),
    )
    change(model)
    with pytest.raises(DiagnosticError, match=message):
        import_model(checked(model, "model"), "model")


def test_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    whole = (MODELS / "torch_mlp.onnx").read_bytes()
    for data, message in (
        (whole[: len(whole) // 2], "no whole ONNX model"),
        (b"not a model", "is"),
        (b"", "is empty"),
    ):
        path.write_bytes(data)
        assert main([str(path)]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert "internal error" not in error
    assert main([str(tmp_path / "none.onnx")]) == 1
    assert "there is no file" in capsys.readouterr().err
    path.write_bytes(whole)
    assert main(["train", str(path), "--data", "digits"]) == 1
    assert "give --loss" in capsys.readouterr().err


def external(location: str, length: int = 64) -> onnx.ModelProto:
    model = made([helper.make_node("Gemm", ["x", "w"], ["z"])], {"x": ["n", 4]}, w=drawn(4, 4))
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return model


def test_external_data_are_read_beside_the_model_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    weights = drawn(4, 4)
    (folder / "weights.bin").write_bytes(weights.tobytes())
    (tmp_path / "secret.bin").write_bytes(weights.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(b"1234")
    np.testing.assert_array_equal(compiled(external("weights.bin"), folder).init(0)["w"], weights)
    for location, message in (
        ("../secret.bin", "not beside the model"),
        (str(tmp_path / "secret.bin"), "not beside the model"),
        ("link.bin", "not beside the model"),
        ("", "not beside the model"),
        ("none.bin", "is missing"),
        ("short.bin", "too short"),
    ):
        with pytest.raises(DiagnosticError, match=message):
            compiled(external(location), folder)
    with pytest.raises(DiagnosticError, match="expected 64 bytes"):
        compiled(external("weights.bin", 2**40), folder)


def test_huge_constants_are_not_made(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["a"]),
        helper.make_node("Range", ["start", "limit", "delta"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Add", ["x", "c"], ["z"]),
    ]
    numbers = {"shape": [2**40], "start": 0, "limit": 2**40, "delta": 1}
    text = refusal(made(nodes, {"x": [2, 3]}, **{k: np.asarray(v, np.int64) for k, v in numbers.items()}))
    assert "node (Range, number 2): its inputs are too large" in text


REPEATED = {
    "sizes": helper.make_node("Reshape", ["x", "many"], ["z"]),
    "axes": helper.make_node("ReduceSum", ["x", "many"], ["z"]),
    "ends": helper.make_node("Slice", ["x", "many", "many"], ["z"]),
    "rows": helper.make_node("Gather", ["x", "many"], ["z"]),
    "statistics": helper.make_node("BatchNormalization", ["x", "many", "many", "many", "many"], ["z"]),
    "two numbers": helper.make_node("Add", ["x", "pairs"], ["z"]),
    "in all": helper.make_node("Sum", ["x", *(f"t{index}" for index in range(40))], ["z"]),
}


@pytest.mark.parametrize("name", REPEATED)
def test_small_files_do_not_become_huge_lists(name: str) -> None:
    """Each folded node is small enough; what reads it, or all of them, may not be."""
    one = numpy_helper.from_array(integers(1))
    nodes = [
        helper.make_node("ConstantOfShape", ["count"], ["many"], value=one),
        helper.make_node("Expand", ["pair", "counts"], ["pairs"]),
        *(helper.make_node("Tile", ["pair", "times"], [f"t{index}"]) for index in range(40)),
        REPEATED[name],
    ]
    sizes = {"count": integers(2**38), "counts": integers(2**38, 2), "times": integers(2**22)}
    kept = [node for node in nodes if name == "in all" or node.op_type != "Tile"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(made(kept, {"x": [2, 3]}, pair=integers(1, 2), **sizes))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


def nested(depth: int, calls: int, *, recursive: bool = False) -> onnx.ModelProto:
    """Return a model of functions that each call the one before some times."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = []
    for level in range(depth):
        called = f"f{level - 1}" if level else (f"f{depth - 1}" if recursive else "Relu")
        domain = "" if called == "Relu" else "own"
        wires = ["a", *(f"t{call}" for call in range(1, calls)), "b"]
        nodes = [
            helper.make_node(called, [one], [other], domain=domain)
            for one, other in itertools.pairwise(wires)
        ]
        functions.append(helper.make_function("own", f"f{level}", ["a"], ["b"], nodes, opsets))
    call = helper.make_node(f"f{depth - 1}", ["x"], ["z"], domain="own")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "z")]
    graph = helper.make_graph([call], "calls", ends[:1], ends[1:])
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=9)


def test_functions_are_inlined_unless_they_grow(tmp_path: Path) -> None:
    check_both_ways(nested(3, 2), tmp_path, drawn(4, 3))
    for model, message in (
        (nested(60, 2), "nodes, more than"),
        (nested(15, 2), "32,768 nodes, more than"),
        (nested(1000, 1), "nested deeper than"),
        (nested(3, 2, recursive=True), "no valid model"),
    ):
        assert message in refusal(model)


def window(**attributes: Any) -> onnx.NodeProto:
    return helper.make_node("MaxPool", ["x"], ["z"], **attributes)


HUGE = {
    "kernel": window(kernel_shape=[2**30, 1], pads=[2**30, 0, 0, 0]),
    "padding": window(kernel_shape=[3, 3], pads=[2**40, 0, 0, 0]),
    "dilation": window(kernel_shape=[2, 2], dilations=[2**50, 1]),
    "stride of nothing": window(kernel_shape=[2, 2], strides=[0, 1]),
    "mean": helper.make_node("AveragePool", ["x"], ["z"], kernel_shape=[2**30, 1], pads=[2**30, 0, 0, 0]),
    "axes": helper.make_node("Unsqueeze", ["x", "many"], ["z"]),
    "shape": helper.make_node("Expand", ["x", "shape"], ["z"]),
    "pad": helper.make_node("Pad", ["x", "widths"], ["z"]),
    "edge": helper.make_node("Pad", ["x", "widths"], ["z"], mode="edge"),
    "rows": helper.make_node("Gather", ["x", "rows"], ["z"], axis=2),
}


@pytest.mark.parametrize("name", HUGE)
def test_gigantic_attributes_are_refused(name: str, tmp_path: Path) -> None:
    arrays = {
        "many": np.arange(4, 100_000),
        "shape": [2**20, 2**20, 4, 4],
        "widths": [0, 0, 2**35, 0, 0, 0, 2**35, 0],
        "rows": np.arange(100_000) % 3,
    }
    used = {key: np.asarray(arrays[key], np.int64) for key in HUGE[name].input if key in arrays}
    model = made([HUGE[name]], {"x": ["n", 2, 4, 4]}, **used)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(DiagnosticError):
        _ = compile_file(tmp_path / "model.onnx").at("net")


def test_the_export_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, params, out = (tmp_path / name for name in ("model.pjx", "model.safetensors", "out.onnx"))
    program = pjc.compile(MODELS / "torch_mlp.onnx")
    program.save(model)
    values = {name: np.asarray(value) + 1 for name, value in program.init(0).items()}
    save_file({**values, "latent/v0_weight": values["v0_weight"]}, params)
    assert main(["export", str(model), str(params), "-o", str(out)]) == 0
    assert main(["export", str(model), str(params), "-o", str(out)]) == 0  # its own file
    again = tmp_path / "a" / "b" / "out.onnx"
    assert main(["export", str(model), str(params), "-o", str(again)]) == 0 and again.exists()
    (tmp_path / "words").write_text("words")
    (tmp_path / "torch_mlp.onnx").write_bytes((MODELS / "torch_mlp.onnx").read_bytes())
    (tmp_path / "theirs.onnx").write_bytes((MODELS / "torch_mlp.onnx").read_bytes())
    other = onnx.load(out)
    other.graph.name = "other"
    onnx.save(other, tmp_path / "ours.onnx")
    assert f"wrote {out}" in capsys.readouterr().out.replace("\n", "")
    x = drawn(3, 12)
    np.testing.assert_allclose(run(out, x)[0], program.apply(values, x), rtol=1e-5, atol=1e-5)
    for arguments, message in (
        ([model, tmp_path / "none.safetensors"], "there is no file"),
        ([model, model], "not a whole safetensors file"),
        ([MODELS / "torch_cnn.onnx", params, "-o", out], "is missing"),
        ([model, params, "-o", params], "would overwrite"),
        ([model, params, "-o", tmp_path / "words"], "words would be overwritten, which is no ONNX model"),
        ([model, params, "-o", tmp_path / "torch_mlp.onnx"], "which is perhaps the source of"),
        ([model, params, "-o", tmp_path / "theirs.onnx"], "which is a model that pytorch wrote"),
        ([model, params, "-o", tmp_path / "ours.onnx"], "which is a model of 'other'"),
    ):
        assert main(["export", *map(str, arguments)]) == 1
        assert message in capsys.readouterr().err.replace("\n", " ")


def test_own_operators_and_missing_parameters_cannot_be_exported(tmp_path: Path) -> None:
    program = pjc.compile("input x: f32[batch, 3]\nparam w: f32[3, 2] = he_normal\noutput z = x @ w\n")
    with pytest.raises(ProgramError, match="parameter 'w'"):
        program.to_onnx({}, tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Return a file with some bytes changed, taken out or put in."""
    found = bytearray(data)
    for _ in range(generator.choice([1, 1, 2, 4, 16])):
        at = generator.randrange(len(found))
        kind = generator.random()
        if kind < 0.6:
            found[at] = generator.randrange(256)
        elif kind < 0.75:
            del found[at : at + generator.randrange(1, 9)]
        elif kind < 0.9:
            found[at:at] = generator.randbytes(generator.randrange(1, 9))
        else:
            del found[at:]
            break
    return bytes(found) or b"\0"


NUMBERS = [-(2**63), -1, 0, 1, 2, 3, 7, 2**20, 2**31, 2**40, 2**63 - 1]


def rewired(data: bytes, generator: random.Random) -> bytes:
    """Return a file that still is a model, with other operators, attributes, shapes and wires."""
    model = onnx.load_from_string(data)
    graph = model.graph
    names = [*(name for node in graph.node for name in [*node.input, *node.output]), ""]
    for _ in range(generator.choice([1, 1, 2, 3])):
        node = generator.choice(graph.node)
        tensor = generator.choice([*graph.initializer, *(a.t for n in graph.node for a in n.attribute)])
        kind = generator.randrange(8)
        if kind == 0:
            node.op_type = generator.choice(onnx_nodes.OPERATORS)
        elif kind == 1 and node.input:
            node.input[generator.randrange(len(node.input))] = generator.choice(names)
        elif kind == 2 and node.attribute:
            attribute = generator.choice(node.attribute)
            attribute.i = generator.choice(NUMBERS)
            attribute.ints[:] = [generator.choice(NUMBERS) for _ in attribute.ints]
        elif kind == 3 and tensor.dims:
            tensor.dims[generator.randrange(len(tensor.dims))] = generator.choice(NUMBERS[2:])
        elif kind == 4 and tensor.data_type == TensorProto.INT64:
            count = int(np.prod(tensor.dims))
            array = np.array([generator.choice(NUMBERS) for _ in range(count)], np.int64)
            tensor.ClearField("int64_data")
            tensor.raw_data = array.tobytes()
        elif kind == 5:
            node.attribute.append(helper.make_attribute("axis", generator.choice(NUMBERS)))
        elif kind == 6:
            del graph.node[generator.randrange(len(graph.node))]
        elif kind == 7:
            (given,) = graph.input
            dim = generator.choice(given.type.tensor_type.shape.dim)
            dim.dim_value = generator.choice(NUMBERS)
        if not graph.node:
            break
    return bytes(model.SerializeToString())


class _TooSlow(BaseException):
    """Raised where a model takes longer than any should."""


def _stop(*_: object) -> None:
    raise _TooSlow


SECONDS = 60
MOST = 2**20
"""By how much a model may raise the largest memory of the process, in kilobytes."""


def fuzz(count: int, folder: Path) -> int:
    """Import mutated models; return how many still are models. Anything but a diagnostic is a failure."""
    whole = 0
    generator = random.Random(0)
    sources = [path.read_bytes() for path in sorted(MODELS.glob("*.onnx")) if path.stat().st_size < 6000]
    path = folder / "model.onnx"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    old = signal.signal(signal.SIGALRM, _stop)
    try:
        for _ in range(count):
            change = generator.choice([mutated, rewired])
            path.write_bytes(change(generator.choice(sources), generator))
            signal.alarm(SECONDS)
            try:
                _ = compile_file(path, Options(loss=generator.choice([None, "cross_entropy"]))).at("net")
                whole += 1
            except DiagnosticError as error:
                assert len(str(error)) < 100_000
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST
    return whole


def test_mutated_models_are_refused_or_imported(tmp_path: Path) -> None:
    assert 0 < fuzz(150, tmp_path) < 150


@pytest.mark.slow
def test_many_mutated_models_are_refused_or_imported(tmp_path: Path) -> None:
    assert 0 < fuzz(2000, tmp_path) < 2000


def test_ir_of_a_model_says_that_its_numbers_are_elsewhere(tmp_path: Path) -> None:
    model = made([helper.make_node("MatMul", ["x", "w"], ["z"])], {"x": [2, 3]}, w=drawn(3, 4))
    onnx.save(model, tmp_path / "m.onnx")
    told, rest = compile_file(tmp_path / "m.onnx").emit("net").split("builtin.module", 1)
    assert told.startswith("// The first values of the parameters of 'm' are not in this text")
    assert all(line.startswith("//") for line in told.splitlines())
    (tmp_path / "m.mlir").write_text(f"{told}builtin.module{rest}")
    assert not open_source(tmp_path / "m.mlir").start(Options()).initial


def test_a_source_is_kept_as_it_was_read_for_each_loss(tmp_path: Path) -> None:
    model = made([helper.make_node("MatMul", ["x", "w"], ["z"])], {"x": [2, 3]}, w=drawn(3, 4))
    onnx.save(model, tmp_path / "m.onnx")
    source = open_source(tmp_path / "m.onnx")
    for loss in (None, "margin"):
        pjc.compile(source, loss=loss).save(tmp_path / "m.pjx")
        assert pjc.load(tmp_path / "m.pjx").signature.trainable == (loss is not None)
