"""ONNX models: sizes, axes, names and constants that are easily wrong in silence, and what is not read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import pjc
from pjc.cli import main
from pjc.diagnostics import DiagnosticError, PjcError
from pjc.onnx.sizes import PRIMES, Open, SizeError, Sizes
from pjc.options import Options

onnxruntime = pytest.importorskip("onnxruntime")
Array = NDArray[Any]
node = helper.make_node


def drawn(*shape: int) -> Array:
    return np.random.default_rng([0, *shape]).normal(size=shape).astype(np.float32)


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    x: list[int | str],
    *,
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("z",),
    **initializers: Any,
) -> Path:
    """Write a model; return where it is."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers.items()]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, x) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in outputs],
        tensors,
    )
    for each in graph.output:
        each.type.tensor_type.ClearField("shape")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=9))
    for each in model.graph.output:
        each.type.tensor_type.shape.SetInParent()
    path.write_bytes(model.SerializeToString())
    return path


def expected(path: Path, *inputs: Array) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return np.asarray(session.run(None, dict(zip(names, inputs, strict=True)))[0])


def check(path: Path, *inputs: Array, **options: Any) -> pjc.Program:
    """Compare what a model gives with onnxruntime; return the program."""
    program = pjc.compile(path, **options)
    found = np.asarray(program.apply(program.init(0), *inputs))
    wanted = expected(path, *inputs)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    return program


# Sizes that are open


def test_sizes_know_where_they_come_from() -> None:
    sizes = Sizes()
    n, m = sizes.open("batch"), sizes.open("m")
    assert sizes.show(12 * n // 4) == "3 * batch"
    assert (n - n, n // n, 6 * n % 3, (n + 5) - n) == (0, 1, 0, 5)
    assert all(isinstance(each, Open) for each in (n // 600, n % 2, n - m, 7 % n, -(-n // 2)))
    assert n - m != PRIMES[0] - PRIMES[1]
    for each in (n + 1, n // 2, n - m):
        with pytest.raises(SizeError):
            sizes.show(each)
    shown = f"{[n, n // 2, n + 1]} {n:,} {n!s}"
    assert shown == "[batch, ?, batch + 1] batch batch"


def _from_size(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [
        node("Shape", ["x"], ["s"], start=0, end=1),
        node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        *nodes,
        node("Mul", ["x", "q"], ["z"]),
    ]


LEAKS = {
    "sqrt": _from_size(node("Sqrt", ["f"], ["q"])),
    "reciprocal": _from_size(node("Reciprocal", ["f"], ["q"])),
    "quotient": _from_size(node("Div", ["f", "big"], ["q"])),
    "least": _from_size(node("Min", ["f", "big"], ["q"])),
    "itself": _from_size(node("Identity", ["f"], ["q"])),
    "equal": _from_size(node("Equal", ["s", "four"], ["e"]), node("Cast", ["e"], ["q"], to=1)),
    "part": _from_size(node("Div", ["s", "four"], ["d"]), node("Cast", ["d"], ["q"], to=1)),
    "remainder": _from_size(node("Mod", ["s", "four"], ["d"]), node("Cast", ["d"], ["q"], to=1)),
}


@pytest.mark.parametrize("name", LEAKS)
def test_open_sizes_are_no_numbers_and_fixed_ones_are(name: str, tmp_path: Path) -> None:
    numbers = {"big": np.float32(600), "four": np.array([4])}
    path = saved(tmp_path / "open.onnx", LEAKS[name], ["n", 3], **numbers)
    with pytest.raises(DiagnosticError, match="depends on an open dimension") as caught:
        pjc.compile(path)
    assert not any(str(prime) in str(caught.value) for prime in PRIMES)
    check(saved(tmp_path / "fixed.onnx", LEAKS[name], [4, 3], **numbers), drawn(4, 3))


def test_what_is_exact_for_every_size_is_computed(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Equal", ["s", "minus"], ["e"]),
        node("Where", ["e", "ones", "s"], ["w"]),
        node("Gather", ["w", "zero"], ["n"]),
        node("Mul", ["n", "three"], ["n3"]),
        node("Div", ["n3", "three"], ["n1"]),
        node("Concat", ["n1", "rest"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["z"]),
    ]
    constants = {"minus": [-1, -1, -1], "ones": [1, 1, 1], "zero": [0], "three": [3], "rest": [-1]}
    given = {name: np.array(each, np.int64) for name, each in constants.items()}
    check(saved(tmp_path / "m.onnx", nodes, ["n", 3, 2], **given), drawn(5, 3, 2), batch=5)


def test_slices_of_open_axes_count_from_their_ends(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"], start=1, end=2),
        node("Sub", ["s", "one"], ["e"]),
        node("Slice", ["x", "one", "e", "one"], ["z"]),
    ]
    path = saved(tmp_path / "m.onnx", nodes, ["n", "t", 2], one=np.array([1]))
    check(path, drawn(2, 6, 2), batch=2, defines={"t": 6})


@pytest.mark.parametrize("sizes", [[2, -1], [1, -1], [4, -1]])
def test_a_batch_that_leaves_the_front_is_the_models_own(sizes: list[int], tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("Reshape", ["x", "t"], ["z"])], [4, 6], t=np.array(sizes))
    program = check(path, drawn(4, 6))
    assert (program.batch is None) == (sizes[0] != 4) or sizes[0] == 4


# The axis of a softmax at the end

SOFTMAXES = {
    "segmentation": ([2, 3, 4, 5], 1, (2, 4, 5), 3),
    "pooled": ([2, 5, 1, 1], 1, (2,), 5),
    "negative": ([2, 3, 4], -2, (2, 4), 3),
    "last": ([2, 3, 4], 2, (2, 3), 4),
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_classes_are_along_the_axis_of_the_softmax(name: str, tmp_path: Path) -> None:
    shape, axis, target, classes = SOFTMAXES[name]
    nodes = [node("Mul", ["x", "w"], ["a"]), node("Softmax", ["a"], ["z"], axis=axis)]
    path = saved(tmp_path / "m.onnx", nodes, ["n", *shape[1:]], w=drawn(*shape[1:]))
    program = pjc.compile(path, loss="cross_entropy", batch=2)
    assert (program.targets[0].shape, program.targets[0].classes) == (target, classes)
    assert np.shape(program.apply(program.init(0), drawn(*shape))) == tuple(shape)


def test_axes_that_count_no_classes_are_refused(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "w"], ["a"]), node("Softmax", ["a"], ["z"], axis=0)]
    path = saved(tmp_path / "m.onnx", nodes, ["n", 3], w=drawn(3))
    with pytest.raises(DiagnosticError, match="axis 0"):
        pjc.compile(path, loss="cross_entropy")
    conv = saved(tmp_path / "c.onnx", [node("Conv", ["x", "w"], ["z"])], ["n", 2, 4, 4], w=drawn(3, 2, 2, 2))
    with pytest.raises(DiagnosticError, match="no Softmax that says which axis"):
        pjc.compile(conv, loss="cross_entropy")


def test_one_softmax_is_left_to_the_loss(tmp_path: Path) -> None:
    nodes = [node("LogSoftmax", ["x"], ["a"]), node("Softmax", ["a"], ["b"]), node("Softmax", ["b"], ["z"])]
    with pytest.raises(DiagnosticError, match="Softmax is not supported"):
        pjc.compile(saved(tmp_path / "m.onnx", nodes, ["n", 3]))


# Names

NAMES = [
    ("input", "output"),
    ("x.1", "1234"),
    ("in/put:0", "StatefulPartitionedCall:0"),
    ("x", "y"),
    ("w", "x_2"),
]


@pytest.mark.parametrize(("given", "made"), NAMES)
def test_inputs_and_outputs_keep_their_names(given: str, made: str, tmp_path: Path) -> None:
    nodes = [node("Conv", [given, "v"], [made])]
    path = saved(
        tmp_path / "m.onnx", nodes, ["n", 2, 4, 4], inputs=(given,), outputs=(made,), v=drawn(3, 2, 2, 2)
    )
    program = pjc.compile(path, batch=2)
    program.save(tmp_path / "m.pjx")
    for each in (program, pjc.load(tmp_path / "m.pjx")):
        each.to_onnx(each.init(0), tmp_path / "out.onnx")
        graph = onnx.load(tmp_path / "out.onnx").graph
        assert [v.name for v in graph.input] == [given] and [v.name for v in graph.output] == [made]
        x = drawn(2, 2, 4, 4)
        np.testing.assert_allclose(
            expected(tmp_path / "out.onnx", x), expected(path, x), rtol=1e-4, atol=1e-5
        )


# Numbers without axes


@pytest.mark.parametrize("kind", ["Mul", "Add", "Sub", "Div", "Max", "Min"])
def test_numbers_without_axes_are_constants(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node(kind, ["x", "c"], ["z"])], ["n", 3], c=np.float32(0.5))
    assert check(path, drawn(4, 3)).parameters == ()


@pytest.mark.parametrize("zero", [np.float32(0), np.zeros(1, np.float32), np.zeros(3, np.float32)])
def test_the_zero_of_a_relu_is_not_trained(zero: Array, tmp_path: Path) -> None:
    for names in (["x", "c"], ["c", "x"]):
        path = saved(tmp_path / "m.onnx", [node("Max", names, ["z"])], ["n", 3], c=zero)
        assert check(path, drawn(4, 3)).parameters == ()


@pytest.mark.parametrize("kind", ["Mul", "Add", "Sub", "Div", "Max", "Min"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_numbers_are_parameters_where_that_is_asked(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    number = np.full(shape, 0.5, np.float32)
    path = saved(tmp_path / "m.onnx", [node(kind, ["x", "c.0"], ["z"])], ["n", 3], **{"c.0": number})
    held = "c_0_inverse" if kind == "Div" else "c_0"
    program = pjc.compile(path, batch=4, loss="squared_error", trainable=["c*"])
    assert [each.name for each in program.parameters] == [held]
    params, x = program.init(0), drawn(4, 3)
    np.testing.assert_allclose(program.apply(params, x), expected(path, x), rtol=1e-6)
    state, _ = program.step(program.start(params), x, drawn(4, 3) + 1)
    assert state.params[held] != params[held]


@pytest.mark.parametrize("names", [["x", "c"], ["c", "x"]])
@pytest.mark.parametrize("zero", [np.float32(0), np.zeros(1, np.float32), np.zeros((1, 1), np.float32)])
def test_the_zero_of_a_relu_is_trained_where_that_is_asked(
    zero: Array, names: list[str], tmp_path: Path
) -> None:
    path = saved(tmp_path / "m.onnx", [node("Max", names, ["z"])], ["n", 3], c=zero)
    program = pjc.compile(path, batch=4, trainable=["c"])
    assert [each.name for each in program.parameters] == ["c"]
    np.testing.assert_allclose(program.apply({"c": zero + 1}, drawn(4, 3)), np.maximum(drawn(4, 3), 1))


def test_only_what_is_asked_for_is_trainable(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "scale"], ["a"]), node("Add", ["a", "shift"], ["z"])]
    path = saved(
        tmp_path / "m.onnx", nodes, ["n", 3], scale=np.float32(2), shift=np.float32(1), unread=np.float32(3)
    )
    for asked, found in [([], []), (["shift"], ["shift"]), (["s*"], ["scale", "shift"])]:
        program = pjc.compile(path, batch=2, trainable=asked)
        assert [each.name for each in program.parameters] == found
        np.testing.assert_allclose(
            program.apply(program.init(0), drawn(2, 3)), 2 * drawn(2, 3) + 1, rtol=1e-6
        )
        program.save(tmp_path / "m.pjx")
        again = pjc.load(tmp_path / "m.pjx")
        assert [each.name for each in again.parameters] == found
        assert again.apply(again.init(0), drawn(5, 3)).shape == (5, 3)  # compiled again, as another batch
    for asked in (["bias"], ["shift", "unread"], ["S*"]):
        with pytest.raises(
            DiagnosticError, match=f"matches '{re.escape(asked[-1])}'\nhint: there are scale, shift"
        ):
            pjc.compile(path, trainable=asked)


WANTED_AS_THEY_ARE: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], str]] = {
    "bounds": ([node("Clip", ["x", "c"], ["z"])], {"c": np.float32(0)}, "its min 'c' is asked to be"),
    "a scale": (
        [node("QuantizeLinear", ["x", "c", "o"], ["q"]), node("DequantizeLinear", ["q", "c", "o"], ["z"])],
        {"c": np.float32(0.1), "o": np.uint8(3)},
        "its scale 'c' is asked to be",
    ),
    "of weights": (
        [node("DequantizeLinear", ["w", "c"], ["q"]), node("Mul", ["x", "q"], ["z"])],
        {"c": np.float32(0.1), "w": np.int8([1, 2, 3])},
        "'c'",
    ),
    "a root": ([node("Sqrt", ["c"], ["r"]), node("Mul", ["x", "r"], ["z"])], {"c": np.float32(4)}, "Sqrt"),
    "under a view": (
        [
            node("Unsqueeze", ["c", "axes"], ["u"]),
            node("Exp", ["u"], ["e"]),
            node("Mul", ["x", "e"], ["z"]),
        ],
        {"c": np.float32(4), "axes": np.int64([0])},
        "Exp",
    ),
}


@pytest.mark.parametrize("case", WANTED_AS_THEY_ARE)
def test_numbers_that_must_be_known_are_not_trainable(case: str, tmp_path: Path) -> None:
    nodes, initializers, message = WANTED_AS_THEY_ARE[case]
    path = saved(tmp_path / "m.onnx", nodes, ["n", 3], **initializers)
    pjc.compile(path)
    with pytest.raises(DiagnosticError, match=message):
        pjc.compile(path, trainable=["c"])


def test_trainable_is_for_models_and_compared_on_resume(tmp_path: Path) -> None:
    with pytest.raises(PjcError, match=r"trainable does not apply to \.pjn files"):
        pjc.compile("input x: f32[batch, 2]\noutput x\n", trainable=["c"])
    compared = [Options(trainable=each).compared()["trainable"] for each in ((), ["a"], ["a", "b*"])]
    assert compared == ["", "a", "a b*"]
    assert Options(**Options(trainable=["a"]).record()).trainable == ("a",)


def test_tensors_without_axes_stay_such(tmp_path: Path) -> None:
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Mul", ["s", "c"], ["z"])]
    program = check(saved(tmp_path / "m.onnx", nodes, [2, 3], c=np.float32(2)), drawn(2, 3))
    program.to_onnx(program.init(0), tmp_path / "out.onnx")
    assert expected(tmp_path / "out.onnx", drawn(2, 3)).shape == ()
    network = "param c: f32[] = zeros\ninput x: f32[batch, 3]\nz = x * c\noutput z\n"
    own = pjc.compile(network, batch=2)
    params = {"c": np.float32(3)}
    own.to_onnx(params, tmp_path / "own.onnx")
    (tensor,) = onnx.load(tmp_path / "own.onnx").graph.initializer
    assert list(tensor.dims) == []
    np.testing.assert_allclose(expected(tmp_path / "own.onnx", drawn(2, 3)), 3 * drawn(2, 3))


# Initializers

FOLDED: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "deviation": (
        [node("Add", ["v", "e"], ["a"]), node("Sqrt", ["a"], ["b"]), node("Div", ["x", "b"], ["z"])],
        {"v": np.array([0.5, 1, 2], np.float32), "e": np.float32(1e-3)},
    ),
    "a view": (
        [
            node("Unsqueeze", ["v", "axes"], ["u"]),
            node("Sqrt", ["u"], ["a"]),
            node("Reciprocal", ["a"], ["b"]),
            node("Mul", ["x", "b"], ["z"]),
        ],
        {"v": np.array([0.5, 1, 2], np.float32), "axes": np.array([0])},
    ),
    "a divisor": (
        [node("Identity", ["v"], ["i"]), node("Identity", ["i"], ["j"]), node("Div", ["x", "j"], ["z"])],
        {"v": np.array([0.5, 1, 2], np.float32)},
    ),
    "normalization": (
        [
            node("Identity", ["v"], ["i"]),
            node("Mul", ["v", "v"], ["q"]),
            node("Squeeze", ["m", "axes"], ["n"]),
            node("BatchNormalization", ["x", "i", "v", "n", "q"], ["z"]),
        ],
        {"v": np.array([0.5, 1, 2], np.float32), "m": drawn(1, 3), "axes": np.array([0])},
    ),
    "shared weights": (
        [
            node("Identity", ["w"], ["i"]),
            node("MatMul", ["x", "i"], ["a"]),
            node("MatMul", ["a", "w"], ["z"]),
        ],
        {"w": drawn(3, 3)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_computed_with_initializers_is_known(name: str, tmp_path: Path) -> None:
    nodes, initializers = FOLDED[name]
    program = check(saved(tmp_path / "m.onnx", nodes, ["n", 3], **initializers), drawn(4, 3))
    if name == "shared weights":
        assert [each.name for each in program.parameters] == ["w"]


def _edited(path: Path, edit: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(path, load_external_data=False)
    edit(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_initializers_that_nothing_needs_are_not_read(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["z"]), node("Identity", ["names"], ["unused"])]
    path = saved(tmp_path / "m.onnx", nodes, ["n", 3], w=drawn(3, 2))

    def edit(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(helper.make_tensor("names", TensorProto.STRING, [2], [b"a", b"b"]))
        missing = helper.make_tensor("more", TensorProto.FLOAT, [1], [0.0])
        missing.ClearField("float_data")
        missing.data_location = TensorProto.EXTERNAL
        missing.external_data.add(key="location", value="none.bin")
        model.graph.initializer.append(missing)
        nan = numpy_helper.from_array(np.array([np.nan], np.float32), "nan")
        model.graph.initializer.append(nan)

    program = pjc.compile(_edited(path, edit), batch=4)
    np.testing.assert_allclose(
        program.apply(program.init(0), drawn(4, 3)), drawn(4, 3) @ drawn(3, 2), rtol=1e-5
    )


@pytest.mark.parametrize("flat", [True, False])
def test_sparse_initializers(flat: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("MatMul", ["x", "w"], ["z"])], ["n", 3], w=drawn(3, 2))
    places = np.array([1, 4]) if flat else np.array([[0, 1], [2, 0]])

    def sparse(model: onnx.ModelProto, indices: Array = places, dims: tuple[int, int] = (3, 2)) -> None:
        model.graph.ClearField("initializer")
        values = numpy_helper.from_array(np.array([2.0, 5.0], np.float32), "w")
        tensor = helper.make_sparse_tensor(values, numpy_helper.from_array(indices, "i"), dims)
        model.graph.ClearField("sparse_initializer")
        model.graph.sparse_initializer.append(tensor)

    program = pjc.compile(_edited(path, sparse), batch=4)
    whole = np.array([[0, 2], [0, 0], [5, 0]], np.float32)
    np.testing.assert_allclose(program.apply(program.init(0), drawn(4, 3)), drawn(4, 3) @ whole, rtol=1e-5)
    for broken in (lambda m: sparse(m, places + 9), lambda m: sparse(m, dims=(2**20, 2**9))):
        with pytest.raises(DiagnosticError, match=r"m\.onnx|sparse"):
            pjc.compile(_edited(path, broken))


@pytest.mark.parametrize("kind", ["FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT8E4M3FNUZ"])
def test_parameters_of_eight_bits(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("Cast", ["w"], ["v"], to=1), node("MatMul", ["x", "v"], ["z"])],
                 ["n", 2], w=drawn(2, 2))  # fmt: skip

    def edit(model: onnx.ModelProto) -> None:
        model.graph.ClearField("initializer")
        values = [0.5, -1.0, 2.0, 0.25]
        model.graph.initializer.append(helper.make_tensor("w", getattr(TensorProto, kind), [2, 2], values))

    program = pjc.compile(_edited(path, edit), batch=4)
    assert [each.name for each in program.parameters] == ["w"]
    np.testing.assert_array_equal(program.init(0)["w"], [[0.5, -1.0], [2.0, 0.25]])


# Numbers that are none


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (3, 3)])
def test_numbers_that_are_not_finite_are_refused(
    value: float, shape: tuple[int, ...], tmp_path: Path
) -> None:
    kind = "MatMul" if len(shape) == 2 else "Mul"
    nodes = [node("Cast", ["w"], ["v"], to=1), node(kind, ["x", "v"], ["z"])]
    held = np.full(shape, value, np.float64)
    with pytest.raises(DiagnosticError, match=r"not finite|too large for float32|as a finite number"):
        pjc.compile(saved(tmp_path / "m.onnx", nodes, ["n", 3], w=held))


def test_bounds_may_be_infinite(tmp_path: Path) -> None:
    nodes = [node("Clip", ["x", "low", "high"], ["z"])]
    check(
        saved(tmp_path / "m.onnx", nodes, ["n", 3], low=np.float32(-np.inf), high=np.float32(0.5)),
        drawn(4, 3),
    )


# Files


def _outside(path: Path, count: int, size: int) -> Path:
    """Write a model whose weights all are the same bytes of another file."""
    nodes = [node("Add", ["x" if not i else f"a{i}", f"w{i}"], [f"a{i + 1}"]) for i in range(count)]
    weights = {f"w{i}": np.zeros(1, np.float32) for i in range(count)}
    saved(path, nodes, ["n", size], outputs=(f"a{count}",), **weights)

    def edit(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            tensor.ClearField("raw_data")
            tensor.ClearField("dims")
            tensor.dims.append(size)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="data.bin")

    (path.parent / "data.bin").write_bytes(np.arange(size, dtype=np.float32).tobytes())
    return _edited(path, edit)


def test_shared_data_are_counted_each_time(tmp_path: Path) -> None:
    assert len(pjc.compile(_outside(tmp_path / "few.onnx", 3, 8), batch=2).parameters) == 3
    with pytest.raises(DiagnosticError, match="more than 4 of them share each"):
        pjc.compile(_outside(tmp_path / "many.onnx", 40, 2**16), batch=2)


def test_models_and_data_may_stand_behind_links(tmp_path: Path) -> None:
    blobs, shown = tmp_path / "blobs", tmp_path / "shown"
    blobs.mkdir()
    shown.mkdir()
    _outside(blobs / "m.onnx", 1, 8)
    (shown / "m.onnx").symlink_to(blobs / "m.onnx")
    assert pjc.compile(shown / "m.onnx", batch=2).init(0)["w0"][3] == 3
    (blobs / "data.bin").rename(blobs / "aa")
    (shown / "data.bin").symlink_to(blobs / "aa")
    assert pjc.compile(shown / "m.onnx", batch=2).init(0)["w0"][3] == 3
    (tmp_path / "link").symlink_to(shown)
    assert pjc.compile(tmp_path / "link" / "m.onnx", batch=2).init(0)["w0"][3] == 3
    (blobs / "aa").rename(tmp_path / "aa")
    (shown / "data.bin").unlink()
    (shown / "data.bin").symlink_to(tmp_path / "aa")
    with pytest.raises(DiagnosticError, match="not beside the model"):
        pjc.compile(shown / "m.onnx", batch=2)


@pytest.mark.parametrize("ending", [".ONNX", ".Onnx", ".onnx"])
def test_suffixes_of_any_case(ending: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"m{ending}", [node("Relu", ["x"], ["z"])], ["n", 3])
    check(path, drawn(4, 3))


def test_whatever_a_file_causes_is_a_sentence_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "m.onnx", [node("Relu", ["x"], ["z"])], ["n", 3])
    for failure in (KeyError("odd"), AssertionError("no"), RecursionError("deep"), MemoryError()):

        def fail(*_: Any, failure: Exception = failure, **__: Any) -> None:
            raise failure

        monkeypatch.setattr("pjc.onnx.importer.import_model", fail)
        with pytest.raises(PjcError, match=r"m\.onnx"):
            pjc.compile(path)


# A batch that has a number


def _constants(**lists: Any) -> dict[str, Array]:
    return {name: np.array(values, np.int64) for name, values in lists.items()}


MIXING: dict[str, tuple[list[int], list[onnx.NodeProto], dict[str, Any]]] = {
    "a maximum": (
        [1, 4],
        [node("ReduceMax", ["x", "a"], ["m"]), node("Sub", ["x", "m"], ["z"])],
        _constants(a=[0]),
    ),
    "a mean of all": ([3, 4], [node("ReduceMean", ["x"], ["z"], keepdims=0)], {}),
    "a sum over several axes": ([2, 4, 3], [node("ReduceSum", ["x", "a"], ["z"])], _constants(a=[-3, 1])),
    "windows": (
        [3, 4, 5],
        [node("Transpose", ["x"], ["t"], perm=[1, 2, 0]), node("MaxPool", ["t"], ["z"], kernel_shape=[2])],
        {},
    ),
    "convolved": (
        [3, 4, 5],
        [node("Transpose", ["x"], ["t"], perm=[1, 2, 0]), node("Conv", ["t", "w"], ["z"])],
        {"w": drawn(2, 5, 2)},
    ),
    "pooled": (
        [3, 4, 5],
        [node("Transpose", ["x"], ["t"], perm=[1, 2, 0]), node("GlobalAveragePool", ["t"], ["z"])],
        {},
    ),
    "a product": (
        [1, 4],
        [node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["t", "x"], ["z"])],
        {},
    ),
    "a Gemm": ([2, 4], [node("Gemm", ["x", "x"], ["z"], transA=1)], {}),
    "pairs by a product": ([1, 4], [node("Gemm", ["x", "x"], ["z"], transB=1)], {}),
    "pairs by broadcasting": (
        [1, 4],
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Sub", ["x", "u"], ["z"])],
        _constants(a=[1]),
    ),
    "joined": ([2, 4], [node("Concat", ["x", "x"], ["z"], axis=0)], {}),
    "padded": ([2, 4], [node("Pad", ["x", "p"], ["z"])], _constants(p=[0, 0, 1, 0])),
    "padded by a number": (
        [2, 4],
        [node("Pad", ["x", "p", "c"], ["z"])],
        {**_constants(p=[1, 0, 0, 0]), "c": np.float32(2)},
    ),
    "rows of several samples": (
        [1, 4],
        [node("Transpose", ["x"], ["t"], perm=[1, 0]), node("Reshape", ["t", "s"], ["z"])],
        _constants(s=[-1, 4]),
    ),
    "moved behind": (
        [2, 6],
        [
            node("Reshape", ["x", "s"], ["a"]),
            node("Transpose", ["a"], ["t"], perm=[1, 0, 2]),
            node("Reshape", ["t", "f"], ["z"]),
        ],
        _constants(s=[-1, 3, 2], f=[6, -1]),
    ),
    "an axis that goes": ([1, 4], [node("Squeeze", ["x"], ["z"])], {}),
    "with a constant": ([1, 4], [node("Concat", ["c", "x"], ["z"], axis=1)], {"c": drawn(1, 2)}),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_samples_keeps_the_models_batch(name: str, tmp_path: Path) -> None:
    shape, nodes, initializers = MIXING[name]
    path = saved(tmp_path / "m.onnx", nodes, list(shape), **initializers)
    assert check(path, drawn(*shape)).batch is None
    assert check(path, drawn(*shape), batch=shape[0]).batch is None
    with pytest.raises(
        DiagnosticError, match=rf"m\.onnx takes batches of {shape[0]} only, and batches of 8 "
    ):
        pjc.compile(path, batch=8)


SEPARATE: dict[str, tuple[list[int], list[onnx.NodeProto], dict[str, Any]]] = {
    "reduced": ([1, 4], [node("ReduceMax", ["x", "a"], ["m"]), node("Sub", ["x", "m"], ["z"])],
                _constants(a=[1])),
    "pooled": ([2, 3, 4, 4], [node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
                              node("GlobalAveragePool", ["p"], ["z"])], {}),
    "joined and padded": ([1, 4], [node("Concat", ["x", "x"], ["c"], axis=1),
                                   node("Pad", ["c", "p"], ["z"])], _constants(p=[0, 1, 0, 2])),
    "turned": ([2, 3, 4], [node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
                           node("Reshape", ["t", "s"], ["r"]), node("MatMul", ["r", "w"], ["m"]),
                           node("Transpose", ["m"], ["z"], perm=[1, 0, 2])],
               {**_constants(s=[3, -1, 4]), "w": drawn(4, 5)}),
    "merged": ([2, 3, 4], [node("Reshape", ["x", "s"], ["r"]), node("MatMul", ["r", "w"], ["m"]),
                           node("Reshape", ["m", "b"], ["z"])],
               {**_constants(s=[-1, 4], b=[-1, 3, 5]), "w": drawn(4, 5)}),
    "views": ([1, 4], [node("Unsqueeze", ["x", "a"], ["u"]), node("MatMul", ["u", "w"], ["m"]),
                       node("Squeeze", ["m", "a"], ["z"])], {**_constants(a=[0]), "w": drawn(4, 5)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SEPARATE)
def test_what_takes_samples_one_by_one_takes_any_batch(name: str, tmp_path: Path) -> None:
    shape, nodes, initializers = SEPARATE[name]
    path = saved(tmp_path / "m.onnx", nodes, list(shape), **initializers)
    check(path, drawn(*shape))
    program, x, count = pjc.compile(path, batch=6), drawn(6, *shape[1:]), shape[0]
    assert program.batch == 6
    wanted = [expected(path, x[at : at + count]) for at in range(0, 6, count)]
    np.testing.assert_allclose(
        program.apply(program.init(0), x), np.concatenate(wanted), rtol=1e-4, atol=1e-5
    )


def test_a_dimension_beside_an_assumed_batch_may_be_reduced(tmp_path: Path) -> None:
    nodes = [node("Slice", ["x", "one", "end", "one"], ["s"]), node("ReduceMean", ["s", "one"], ["z"])]
    path = saved(tmp_path / "m.onnx", nodes, [2, "t", 3], **_constants(one=[1], end=[2**62]))
    assert check(path, drawn(2, 5, 3), defines={"t": 5}).batch == 2
    assert pjc.compile(path, defines={"t": 5}, batch=7).batch == 7


def test_rows_of_samples_are_not_gathered_across_them(tmp_path: Path) -> None:
    def rows(model: onnx.ModelProto) -> None:
        for given, shape in zip(model.graph.input, ([3, 4], [3]), strict=True):
            kind = TensorProto.INT64 if given.name == "t" else TensorProto.FLOAT
            given.CopyFrom(helper.make_tensor_value_info(given.name, kind, shape))

    path = saved(tmp_path / "m.onnx", [node("Gather", ["x", "t"], ["z"])], [3], inputs=("x", "t"))
    program = pjc.compile(_edited(path, rows))
    x, t = drawn(3, 4), np.array([2, 0, 2])
    assert program.batch is None
    np.testing.assert_array_equal(program.apply({}, x, t), x[t])


def test_weights_that_are_given_belong_to_no_sample(tmp_path: Path) -> None:
    """In a recurrent layer of that layout, which onnxruntime does not have."""
    made_by = node("RNN", ["x", "w", "r"], ["", "z"], hidden_size=3, activations=["Relu"], layout=1)
    for names, batch in ((("x", "w", "r"), None), (("x",), 1)):
        weights = {name: drawn(1, 3, 3) for name in ("w", "r") if name not in names}
        path = saved(tmp_path / f"{len(names)}.onnx", [made_by], [1, 3, 3], inputs=names, **weights)
        assert pjc.compile(path, batch=1).batch == batch


def test_a_batch_that_is_fixed_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("Concat", ["c", "x"], ["h"], axis=1), node("Gemm", ["h", "w"], ["z"])]
    path = saved(tmp_path / "m.onnx", nodes, [1, 4], c=drawn(1, 2), w=drawn(6, 3))
    said = (
        r"m\.onnx takes batches of 1 only, and batches of 8 are asked for: m\.onnx: node \(Concat, number 1\)"
    )
    with pytest.raises(PjcError, match=said):
        pjc.compile(path, batch=8)
    assert check(path, drawn(1, 4), batch=1).batch is None
    words = ["train", str(path), "--data", "digits", "--loss", "cross_entropy", "-o", str(tmp_path / "out")]
    for more, message in (
        ([], "cannot be fed with batches"),
        (["--batch", "8"], "batches of 8 are asked for"),
    ):
        assert main([*words, *more]) == 1
        written = capsys.readouterr().err
        assert message in written and "None" not in written and "f32[batch" not in written
    two = saved(tmp_path / "two.onnx", [node("Relu", ["x"], ["z"])], [])
    with pytest.raises(DiagnosticError, match=r"two\.onnx has no batch"):
        pjc.compile(two, batch=2)


# Names that are made beside the model's


STATISTICS = {"s": 1 + drawn(4) ** 2, "b": drawn(4), "m": drawn(4) - 1, "v": 1 + drawn(4) ** 2}
NORMALIZED = ["s", "b", "m", "v"]

CLASHES: dict[str, tuple[list[int | str], list[onnx.NodeProto], dict[str, Any]]] = {
    "an inverse": (
        ["n", 4],
        [node("Mul", ["x", "d_inverse"], ["a"]), node("Div", ["a", "d"], ["z"])],
        {"d": 1 + drawn(4) ** 2, "d_inverse": drawn(4) + 3},
    ),
    "an inverse that is made": (
        ["n", 4],
        [node("Relu", ["x"], ["d_inverse"]), node("Div", ["d_inverse", "d"], ["z"])],
        {"d": 1 + drawn(4) ** 2},
    ),
    "an inverse that is made later": (
        ["n", 4],
        [
            node("Div", ["x", "d"], ["d_inverse"]),
            node("Div", ["d_inverse", "d"], ["e"]),
            node("Mul", ["e", "d"], ["z"]),
        ],
        {"d": 1 + drawn(4) ** 2},
    ),
    "a bias": (
        ["n", 4],
        [
            node("Relu", ["x"], ["w_bias"]),
            node("Gemm", ["w_bias", "w"], ["g"]),
            node("BatchNormalization", ["g", *NORMALIZED], ["z"]),
        ],
        {"w": drawn(4, 4), **STATISTICS},
    ),
    "a bias that is made later": (
        ["n", 4, 5, 5],
        [
            node("Conv", ["x", "w"], ["c"]),
            node("BatchNormalization", ["c", *NORMALIZED], ["w_bias"]),
            node("Relu", ["w_bias"], ["z"]),
        ],
        {"w": drawn(4, 4, 3, 3), **STATISTICS},
    ),
    "a factor": (
        ["n", 4],
        [
            node("BatchNormalization", ["x", *NORMALIZED], ["a"]),
            node("Mul", ["a", "s_factor"], ["c"]),
            node("Add", ["c", "s_shift"], ["z"]),
        ],
        {"s_factor": drawn(4), "s_shift": drawn(4) + 2, **STATISTICS},
    ),
    "a scaler": (
        ["n", 4],
        [
            node("Scaler", ["x"], ["a"], name="p", domain="ai.onnx.ml", offset=[1.0], scale=[2.0]),
            node("Mul", ["a", "p_factor"], ["c"]),
            node("Add", ["c", "p_shift"], ["z"]),
        ],
        {"p_factor": drawn(4), "p_shift": drawn(4) + 2},
    ),
}


@pytest.mark.parametrize("name", CLASHES)
def test_the_models_names_are_its_own(name: str, tmp_path: Path) -> None:
    shape, nodes, initializers = CLASHES[name]
    path = saved(tmp_path / "m.onnx", nodes, shape, **initializers)
    program = check(path, drawn(3, *(int(size) for size in shape[1:])), batch=3)
    for own, array in initializers.items():  # what is a parameter and no weight that something is folded into
        if own in program.init(0) and own != "w":
            np.testing.assert_array_equal(program.init(0)[own], array)


def test_inputs_have_names_that_would_be_made(tmp_path: Path) -> None:
    given = {"w_bias": [node("Gemm", ["w_bias", "w"], ["g"]),
                        node("BatchNormalization", ["g", *NORMALIZED], ["z"])],
             "d_inverse": [node("Div", ["d_inverse", "d"], ["z"])]}  # fmt: skip
    for name, nodes in given.items():
        values = {"w": drawn(4, 4), "d": STATISTICS["s"], **STATISTICS}
        path = saved(tmp_path / "m.onnx", nodes, ["n", 4], inputs=(name,), **values)
        check(path, drawn(3, 4), batch=3)


# Normalization that is not folded

_NORMALIZE = node("BatchNormalization", ["c", *NORMALIZED], ["y"])
SHARED: dict[str, list[onnx.NodeProto]] = {
    "a weight": [
        node("Identity", ["w"], ["t"]),
        node("Conv", ["x", "t"], ["c"]),
        _NORMALIZE,
        node("Conv", ["x", "t"], ["d"]),
        node("Add", ["y", "d"], ["z"]),
    ],
    "a bias": [
        node("Identity", ["bias"], ["t"]),
        node("Conv", ["x", "w", "t"], ["c"]),
        _NORMALIZE,
        node("Conv", ["x", "other", "t"], ["d"]),
        node("Add", ["y", "d"], ["z"]),
    ],
    "behind two": [
        node("Identity", ["w"], ["t"]),
        node("Identity", ["w"], ["u"]),
        node("Conv", ["x", "t"], ["c"]),
        _NORMALIZE,
        node("Conv", ["x", "u"], ["d"]),
        node("Add", ["y", "d"], ["z"]),
    ],
}


@pytest.mark.parametrize("name", SHARED)
def test_shared_weights_are_not_folded_into(name: str, tmp_path: Path) -> None:
    given = {"w": drawn(4, 4, 3, 3), "other": drawn(4, 4, 3, 3) + 1, "bias": drawn(4) + 1}
    check(saved(tmp_path / "m.onnx", SHARED[name], ["n", 4, 5, 5], **given, **STATISTICS), drawn(2, 4, 5, 5))


def test_what_only_unneeded_nodes_share_is_folded_into(tmp_path: Path) -> None:
    nodes = [node("Gemm", ["x", "w"], ["c"]), _NORMALIZE, node("Relu", ["y"], ["z"]),
             node("Gemm", ["x", "w"], ["unread"])]  # fmt: skip
    program = check(saved(tmp_path / "m.onnx", nodes, ["n", 4], w=drawn(4, 4), **STATISTICS), drawn(3, 4))
    assert [each.name for each in program.parameters] == ["w", "w_bias"]


def _check_all(path: Path, outputs: list[str], x: Array) -> pjc.Program:
    """Compare all outputs with onnxruntime; return the program."""
    program = pjc.compile(path, batch=len(x))
    found = program.apply(program.init(0), x)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert sorted(found) == sorted(outputs)
    for name, wanted in zip(outputs, session.run(outputs, {"x": x}), strict=True):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)
    return program


@pytest.mark.parametrize("shown", ["w", "bias", "t"])
def test_weights_that_are_outputs_are_not_folded_into(shown: str, tmp_path: Path) -> None:
    nodes = [
        *([node("Identity", ["w"], ["t"])] if shown == "t" else []),
        node("Gemm", ["x", "w", "bias"], ["c"]),
        _NORMALIZE,
        node("Relu", ["y"], ["z"]),
    ]
    path = saved(tmp_path / "m.onnx", nodes, ["n", 4], outputs=("z", shown), w=drawn(4, 4), bias=drawn(4) + 1,
                 **STATISTICS)  # fmt: skip
    _check_all(path, ["z", shown], drawn(3, 4))


def test_what_a_softmax_at_the_end_reads_is_not_folded_into(tmp_path: Path) -> None:
    nodes = [node("Gemm", ["x", "w"], ["c"]), _NORMALIZE, node("Relu", ["y"], ["z"]),
             node("Softmax", ["c"], ["p"])]  # fmt: skip
    path = saved(tmp_path / "m.onnx", nodes, ["n", 4], outputs=("z", "p"), w=drawn(4, 4), **STATISTICS)
    program = pjc.compile(path, batch=3)
    found = program.apply(program.init(0), drawn(3, 4))
    np.testing.assert_allclose(found["p"], drawn(3, 4) @ drawn(4, 4), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("variance", [0.0, -1.0])
def test_variances_without_a_root_are_refused_without_warnings(variance: float, tmp_path: Path) -> None:
    given = {**STATISTICS, "v": np.full(4, variance, np.float32)}
    normalize = node("BatchNormalization", ["c", *NORMALIZED], ["z"], epsilon=0.0)
    for first in (node("Gemm", ["x", "w"], ["c"]), node("Relu", ["x"], ["c"])):
        path = saved(tmp_path / "m.onnx", [first, normalize], ["n", 4], w=drawn(4, 4), **given)
        with pytest.raises(DiagnosticError, match="not finite"):
            pjc.compile(path)


# Outputs


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_losses_of_numbers_do_not_drop_a_softmax(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("Gemm", ["x", "w"], ["a"]), node(kind, ["a"], ["z"])], ["n", 4],
                 w=drawn(4, 3))  # fmt: skip
    with pytest.raises(DiagnosticError, match=f"squared_error compares with numbers, and the {kind} at"):
        pjc.compile(path, loss="squared_error")
    for loss in ("cross_entropy", "margin"):
        assert pjc.compile(path, loss=loss).targets[0].classes == 3


TABLES = {
    "computed": "output z = gather(e @ w, t[:, 0])",
    "twice": "g = gather(e @ w, t)\noutput z = g[:, 0] + gather(relu(e) @ w, t[:, 1])",
    "an axis": "output z = gather(transpose(e @ w), t[:, 0] )",
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_computed_tables_are_exported(name: str, tmp_path: Path) -> None:
    size = 3 if name == "an axis" else 8
    heads = ["input t: int[batch, 2]", "param e: f32[8, 4] = normal(1)", "param w: f32[4, 3] = normal(1)"]
    program = pjc.compile("\n".join([*heads, TABLES[name], ""]), batch=5)
    params, t = program.init(0), np.random.default_rng(0).integers(0, size, (6, 2))
    program.to_onnx(params, tmp_path / "out.onnx")
    np.testing.assert_allclose(
        expected(tmp_path / "out.onnx", t), program.apply(params, t), rtol=1e-5, atol=1e-6
    )


def test_a_model_that_gathers_from_what_it_computes_goes_back(tmp_path: Path) -> None:
    def rows(model: onnx.ModelProto) -> None:
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("t", TensorProto.INT64, ["n", 2]))

    nodes = [node("Relu", ["e"], ["r"]), node("Gather", ["r", "t"], ["z"], axis=1)]
    path = _edited(saved(tmp_path / "m.onnx", nodes, ["n", 2], inputs=("t",), e=drawn(4, 8)), rows)
    t = np.array([[0, 7], [3, 3], [1, 2]])
    program = check(path, t, batch=3)
    program.to_onnx(program.init(0), tmp_path / "out.onnx")
    np.testing.assert_allclose(expected(tmp_path / "out.onnx", t), expected(path, t), rtol=1e-5)
