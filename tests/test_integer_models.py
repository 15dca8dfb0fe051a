"""Networks of few bits as ONNX models of whole numbers: the same bits in onnxruntime as in ``apply``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import pjc
from pjc.onnx.graph import Node
from pjc.onnx.quantizers import levels_of
from pjc.runtime.projections.multiples import Multiples, fitted, whole
from pjc.runtime.projections.rounding import quotient, scaled

NETWORKS = {
    "dense of ternary digits": """\
input x: f32[batch, 20]
param w: f32[20, 16] = uniform(-1, 1)
param b: f32[16] = uniform(-1, 1)
param v: f32[16, 5] = uniform(-1, 1)
param c: f32[5] = uniform(-1, 1)
require w in levels(-1, 0, 1)
require v in levels(-1, 0, 1)
q = quantize(x, bits = 4, scale = 0.1)
h = sign(q @ w + b)
output z = 0.3 * (h @ v) + c
""",
    "scaled columns and a residual": """\
input x: f32[batch, 12]
param w: f32[12, 12] = uniform(-1, 1)
param v: f32[12, 12] = uniform(-1, 1)
param u: f32[12, 4] = uniform(-1, 1)
param b: f32[12] = uniform(-1, 1)
require w in scaled_levels((-1, 0, 1), axis = 0)
require v in scaled_levels((-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7), axis = 0)
require u in scaled_levels((-1, 1))
q = quantize(x, bits = 8, scale = 1 / 37)
h = quantize(relu(q @ w + b), bits = 2, scale = 0.7, signed = 0)
r = h + quantize(h @ v, bits = 3, scale = 0.3)
output z = quantize(relu(r + b), bits = 6, scale = 0.11, signed = 0) @ u
""",
    "a convolution": """\
input x: f32[batch, 8, 8, 2]
param k: f32[3, 3, 2, 4] = uniform(-1, 1)
param b: f32[4] = uniform(-1, 1)
param l: f32[3, 3, 4, 4] = uniform(-1, 1)
param v: f32[64, 3] = uniform(-1, 1)
require k in scaled_levels((-3, -2, -1, 0, 1, 2, 3), axis = (0, 1, 2))
require l in levels(-1, 0, 1)
require v in levels(-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75)
q = quantize(x, bits = 5, scale = 0.07)
h = quantize(relu(conv2d(q, k, padding = ((1, 1), (1, 1))) + b), bits = 4, scale = 0.21, signed = 0)
p = max_pool(h, 2)
m = quantize(relu(conv2d(p, l, padding = ((1, 1), (1, 1)))), bits = 4, scale = 0.5, signed = 0)
output z = reshape(m, (-1, 64)) @ v
""",
    "a loop": """\
input x: f32[batch, 6]
param u: f32[6, 10] = uniform(-1, 1)
require u in levels(-1, 0, 1)
h = quantize(quantize(x, bits = 4, scale = 0.3) @ u, bits = 3, scale = 0.9)
for i in 0..4 {
  param w: f32[10, 10] = uniform(-1, 1)
  param b: f32[10] = uniform(-1, 1)
  require w in scaled_levels((-2, -1, 0, 1, 2), axis = 0)
  h = quantize(h @ w + b, bits = 3, scale = 0.9)
}
output z = h @ transpose(u)
""",
    "powers of two": """\
input x: f32[batch, 9]
param w: f32[9, 7] = uniform(-1, 1)
param v: f32[7, 7] = uniform(-1, 1)
require w in powers_of_two(-3, 0)
require v in powers_of_two(-2, 1)
q = quantize(x, bits = 8, scale = 0.0625)
h = relu(q @ w)
output z = step(h, 0.5) @ v + expand(sum(h, axis = 1), 1)
""",
    "16 bits": """\
input x: f32[batch, 9]
param w: f32[9, 7] = uniform(-1, 1)
require w in levels(-1, 0, 1)
q = quantize(x, bits = 16, scale = 0.001)
r = quantize(x, bits = 12, scale = 0.01)
output z = q @ w + r @ w
""",
    "learned steps": """\
input x: f32[batch, 8]
param w: f32[8, 10] = uniform(-1, 1)
param v: f32[10, 7] = uniform(-1, 1)
param r: f32[10] = uniform(0.5, 2)
param s: f32[1] = uniform(0.5, 2)
require w in scaled_levels((-1, 0, 1), axis = 0)
require v in scaled_levels((-1, 0, 1), axis = 0)
h = quantize(r * (quantize(x, bits = 8, scale = 0.02) @ w), bits = 4)
output z = s * (h @ v)
""",
    "ternary activations": """\
input x: f32[batch, 9]
param w: f32[9, 7] = uniform(-1, 1)
param v: f32[7, 7] = uniform(-1, 1)
param g: f32[7] = uniform(0.1, 1)
require w in scaled_levels((-1, 0, 1), axis = 0)
require v in levels(-2, -1, 0, 1)
h = quantize(quantize(x, bits = 8, scale = 0.02, signed = 0) @ w, (-1, 0, 1))
output z = (h @ v) * g + g
""",
}
"""Each takes samples x of the shape of its input."""


def drawn(program: pjc.Program, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Parameters in their sets, and inputs."""
    params = {name: 2 * np.asarray(each) for name, each in program.init(0).items()}
    shape = program.inputs[0].shape[1:]
    x = np.random.default_rng(1).standard_normal((count, *shape)).astype(np.float32)
    return {name: np.asarray(each) for name, each in program.finish(params).items()}, x


def kinds(path: Path) -> set[str]:
    """The types of a model's weights: of what has axes, but for the biases of a loop's layers."""
    tensors = [each for each in onnx.load(path).graph.initializer if len(each.dims) > 1 and each.name != "b"]
    return {onnx.TensorProto.DataType.Name(each.data_type) for each in tensors}


def compare(name: str, opset: int | None, count: int, folder: Path) -> None:
    program = pjc.compile(NETWORKS[name], batch=8)
    params, x = drawn(program, count)
    assert program.to_onnx(params, folder / "whole.onnx", opset) == ()
    session = onnxruntime.InferenceSession(folder / "whole.onnx")
    (found,) = session.run(None, {"x": x})
    expected = np.asarray(program.apply(params, x))
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(found, expected)
    assert kinds(folder / "whole.onnx") <= {"INT2", "INT4", "INT8"}


def test_the_levels_of_a_loop_are_written_once(tmp_path: Path) -> None:
    """Its layers each show their own slice of them."""
    program = pjc.compile(NETWORKS["a loop"], batch=8)
    program.to_onnx(drawn(program, 1)[0], tmp_path / "loop.onnx")
    tensors = onnx.load(tmp_path / "loop.onnx").graph.initializer
    assert [each.name for each in tensors if len(each.dims) > 2] == ["w_levels"]


def test_networks_of_few_bits_give_the_same_bits(tmp_path: Path) -> None:
    compare("scaled columns and a residual", None, 500, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, None, 25])
@pytest.mark.parametrize("name", NETWORKS)
def test_10_000_inputs_give_the_same_bits(name: str, opset: int | None, tmp_path: Path) -> None:
    compare(name, opset, 10_000, tmp_path)


@pytest.mark.slow
def test_steps_that_are_learned_come_to_those_that_made_the_targets() -> None:
    text = """\
input x: f32[batch, 8]
target y: f32[batch, 3]
param w: f32[8, 10] = normal(0.3)
param r: f32[10] = ones
param v: f32[10, 3] = normal(0.3)
output z = quantize(r * (x @ w), bits = 4, scale = 0.5) @ v
require squared_error(z, y)
"""
    random = np.random.default_rng(0)
    program = pjc.compile(text, batch=64, rate=2e-2, freeze=("w", "v"))
    first, x = dict(program.init(0)), random.normal(size=(64, 8)).astype(np.float32)
    wanted = random.uniform(0.5, 2, 10).astype(np.float32)
    y = program.apply({**first, "r": wanted}, x)
    state = program.start(first, steps=200)
    for _ in range(200):
        state, _ = program.step(state, x, y)
    found = np.asarray(program.finish(state.params)["r"])
    # 64 samples tell a step to about a tenth: within it no value changes its level.
    assert np.abs(wanted - 1).max() > 0.7 and np.abs(found - wanted).max() < 0.15


def qcdq(path: Path, opset: int, channels: bool) -> None:
    """Write a model as Brevitas exports them: QuantizeLinear, Clip and DequantizeLinear, integer weights."""
    generator = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    tensors: dict[str, np.ndarray] = {}

    def quantized(x: str, name: str, scale: float, low: int, high: int, kind: type[np.generic]) -> None:
        tensors.update({f"{name}_s": np.float32(scale), f"{name}_o": kind(0)})
        tensors.update({f"{name}_low": kind(low), f"{name}_high": kind(high)})
        ends = [f"{name}_s", f"{name}_o"]
        nodes.extend(
            [
                helper.make_node("QuantizeLinear", [x, *ends], [f"{name}_q"]),
                helper.make_node("Clip", [f"{name}_q", f"{name}_low", f"{name}_high"], [f"{name}_c"]),
                helper.make_node("DequantizeLinear", [f"{name}_c", *ends], [name]),
            ]
        )

    def weight(name: str, shape: tuple[int, ...], bits: int) -> None:
        top = 2 ** (bits - 1) - 1
        tensors[f"{name}_k"] = generator.integers(-top, top + 1, shape).astype(np.int8)
        count = shape[:1] if channels else ()
        tensors[f"{name}_s"] = np.asarray(generator.uniform(0.01, 0.1, count), np.float32)
        tensors[f"{name}_o"] = np.zeros(count, np.int8)
        names = [f"{name}_k", f"{name}_s", f"{name}_o"]
        nodes.append(helper.make_node("DequantizeLinear", names, [name], axis=0))

    tensors["b"] = generator.standard_normal(4).astype(np.float32)
    tensors["c"] = generator.standard_normal(10).astype(np.float32)
    quantized("x", "a", 0.02, -128, 127, np.int8)
    weight("k", (4, 1, 3, 3), 4)
    nodes.append(helper.make_node("Conv", ["a", "k", "b"], ["f"], pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("Relu", ["f"], ["r"]))
    quantized("r", "h", 0.11, 0, 15, np.uint8)
    nodes.append(helper.make_node("MaxPool", ["h"], ["p"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("Flatten", ["p"], ["flat"]))
    weight("w", (10, 64), 2)
    nodes.append(helper.make_node("Gemm", ["flat", "w", "c"], ["z"], transB=1))
    ends = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 1, 8, 8]),
        helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["n", 10]),
    ]
    held = [onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in tensors.items()]
    graph = helper.make_graph(nodes, "qcdq", ends[:1], ends[1:], held)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


@pytest.mark.slow
@pytest.mark.parametrize(("opset", "channels"), [(13, True), (18, False), (21, True)])
def test_quantized_models_come_in_train_and_go_back(opset: int, channels: bool, tmp_path: Path) -> None:
    qcdq(tmp_path / "model.onnx", opset, channels)
    program = pjc.compile(tmp_path / "model.onnx", loss="cross_entropy", batch=32)
    params = program.init(0)
    for name, each in program.finish(params).items():  # which are in their sets already
        np.testing.assert_allclose(each, params[name], rtol=1e-6)
    generator = np.random.default_rng(2)
    x = generator.standard_normal((2000, 1, 8, 8)).astype(np.float32)
    (own,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": x})
    found = np.asarray(program.apply(params, x))
    np.testing.assert_allclose(found, own, atol=0.02)  # the model's own sums are rounded as they come
    y = found.argmax(axis=1)[generator.permutation(32)]
    state = program.start(params, steps=20)
    for _ in range(20):
        state, _ = program.step(state, x[:32], y)
    trained = program.finish(state.params)
    assert not np.array_equal(trained["w"], params["w"])
    assert np.mean(np.asarray(program.apply(trained, x[:32])).argmax(axis=1) == y) > np.mean(
        found[:32].argmax(axis=1) == y
    )
    assert program.to_onnx(trained, tmp_path / "back.onnx") == ()
    (back,) = onnxruntime.InferenceSession(tmp_path / "back.onnx").run(None, {"x": x})
    np.testing.assert_array_equal(back, np.asarray(program.apply(trained, x)))
    written = [node.op_type for node in onnx.load(tmp_path / "back.onnx").graph.node]
    assert written.count("QuantizeLinear") == 2
    assert kinds(tmp_path / "back.onnx") == {"INT4"}
    again = pjc.compile(tmp_path / "back.onnx", batch=32)
    np.testing.assert_allclose(again.apply(again.init(0), x), back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "levels"),
    [
        ([-8, 3, 0], range(-8, 8)),
        ([-7, 3, 0], range(-7, 8)),
        ([-128, 127, 0], range(-128, 128)),
        ([-128, 0, 0], range(-128, 128)),
        ([-127, 1, 0], range(-127, 128)),
        ([-2, 1, 0], range(-2, 2)),
        ([-1, 0, 0], range(-1, 2)),
        ([-1, 1, 1], (-1, 1)),
        ([0, 5, 1], range(8)),
    ],
)
def test_weights_become_levels_of_as_few_bits_as_hold_them(weights: list[int], levels: Iterable[int]) -> None:
    node = Node(helper.make_node("DequantizeLinear", ["w", "s"], ["z"], axis=0), 0, 21)
    found = levels_of(node, np.array([weights], np.int8), np.ones(1, np.float32), None)
    assert found is not None and found.startswith(f"scaled_levels({tuple(levels)}, ")


FLOATS = """\
input x: f32[batch, 9]
param w: f32[9, 7] = uniform(-1, 1)
param v: f32[7, 3] = uniform(-1, 1)
require w in levels(-1, 0, 1)
h = quantize(x @ w, bits = 4, scale = 0.1)
output z = quantize(h, bits = 16, scale = 0.001) @ v
"""


def test_what_is_not_the_same_is_said(tmp_path: Path) -> None:
    program = pjc.compile(FLOATS, batch=2)
    params, _ = drawn(program, 1)
    first, second = program.to_onnx(params, tmp_path / "out.onnx")
    assert first.startswith("'matmul': it adds up products of numbers that are not multiples")
    assert second.startswith("'matmul_1': it adds up products")


def test_sums_beyond_the_numbers_of_float32_are_said(tmp_path: Path) -> None:
    levels = ", ".join(map(str, range(-128, 128)))
    text = f"""\
input x: f32[batch, 9]
param w: f32[9, 1] = uniform(-1, 1)
require w in levels({levels})
output z = quantize(x, bits = 16, scale = 0.001) @ w
"""
    program = pjc.compile(text, batch=2)
    (why,) = program.to_onnx({"w": np.full((9, 1), 100.0, np.float32)}, tmp_path / "out.onnx")
    assert why == "'matmul': its sums may reach 29,491,200, and float32 counts to 16,777,216"
    assert program.to_onnx({"w": np.full((9, 1), 50.0, np.float32)}, tmp_path / "out.onnx") == ()


@pytest.mark.parametrize("opset", [17, 26])
def test_opsets_are_checked(opset: int, tmp_path: Path) -> None:
    program = pjc.compile("input x: f32[batch, 2]\noutput z = sign(x)\n", batch=1)
    with pytest.raises(pjc.PjcError, match=f"an opset from 18 to 25, found {opset}"):
        program.to_onnx({}, tmp_path / "out.onnx", opset)


def test_arithmetic_rounds_once_for_each_operation() -> None:
    """Compilers would add a product without rounding it, and divide by multiplying."""
    x = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    step, weight = np.float32(1 / 37), np.float32(0.3)
    np.testing.assert_array_equal(jax.jit(lambda x: quotient(x, 1 / 37))(x), x / step)
    found = jax.jit(lambda x, y: scaled(x, 0.3) + y)(x, x[::-1].copy())
    np.testing.assert_array_equal(found, x * weight + x[::-1])
    ends = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38], np.float32)
    with np.errstate(over="ignore"):
        expected = ends * np.float32(3) + np.float32(1)
    np.testing.assert_array_equal(jax.jit(lambda x: scaled(x, 3) + 1)(ends), expected)


def test_multiples_are_told_however_they_were_rounded() -> None:
    generator = np.random.default_rng(0)
    levels = tuple(float(each) for each in range(-127, 128))
    for axes, shape in (((0,), (2, 400)), ((0, 1, 2), (3, 3, 4, 100))):
        number = generator.integers(-127, 128, shape)
        scale = generator.uniform(1e-3, 10, shape[-1]).astype(np.float32)
        w = (number * scale).astype(np.float32)
        chosen, unit = fitted(jnp.asarray(w), levels, axes)
        assert np.all(np.asarray(chosen) % 1 == 0)
        np.testing.assert_allclose(chosen * unit, w, rtol=1e-6)
    steps = np.arange(-1000, 1001)
    np.testing.assert_array_equal(whole((steps * np.float32(0.07)).astype(np.float32), 0.07), steps)
    latent = generator.uniform(-1, 1, (5, 3)).astype(np.float32)
    np.testing.assert_array_equal(whole(latent, 1.0), latent)
    np.testing.assert_array_equal(fitted(jnp.asarray(latent), (-1.0, 0.0, 1.0), (0,))[0] % 1 != 0, True)
    known = Multiples((0.5, 1.0), (-1.0, 0.0, 1.0))
    found = known.multiplied(jnp.matmul, jnp.ones((1, 5)), jnp.asarray(latent), (-2,))
    np.testing.assert_allclose(found, np.ones((1, 5)) @ latent, rtol=1e-6)


OUTSIDE = """\
input x: f32[batch, 20]
param w: f32[20, 16] = uniform(-1, 1)
param v: f32[16, 5] = uniform(-1, 1)
require w in levels(-1, 0, 1)
require v in levels(-1, 0, 1)
q = quantize(x, bits = 4, scale = 0.5)
h = quantize(q @ w, bits = 4, scale = 0.3)
output z = h @ relu(v)
"""


def test_parameters_outside_of_their_sets_are_written_as_they_are(tmp_path: Path) -> None:
    """Rounding their sums, as those of whole numbers, would change them."""
    program, random = pjc.compile(OUTSIDE, batch=8), np.random.default_rng(0)
    x = random.standard_normal((8, 20)).astype(np.float32)
    params = {
        name: random.uniform(-1, 1, shape).astype(np.float32)
        for name, shape in (("w", (20, 16)), ("v", (16, 5)))
    }
    assert program.to_onnx(params, tmp_path / "out.onnx") == (
        "'matmul': parameter 'w' is not in the set that is required of it",
        "'matmul_1': parameter 'v' is not in the set that is required of it",
    )
    (found,) = onnxruntime.InferenceSession(tmp_path / "out.onnx").run(None, {"x": x})
    q = 0.5 * np.clip(np.round(x / 0.5), -8, 7)
    h = 0.3 * np.clip(np.round(q @ params["w"] / np.float32(0.3)), -8, 7)
    np.testing.assert_allclose(found, h @ np.maximum(params["v"], 0), rtol=1e-5, atol=1e-5)
    inside = {name: np.round(each) for name, each in params.items()}
    assert program.to_onnx(inside, tmp_path / "out.onnx") == ()


def test_sums_of_a_parameter_outside_of_its_set_are_not_said_to_be_the_same(tmp_path: Path) -> None:
    """Neither of numbers between its levels, nor of multiples of their spacing that go far beyond them."""
    text = """\
input x: f32[batch, 4]
param w: f32[4, 6] = uniform(-1, 1)
require w in levels(-1, 0, 1)
output z = x * sum(abs(w), axis = 1)
"""
    program, path = pjc.compile(text, batch=3), tmp_path / "sums.onnx"
    inside = np.round(np.random.default_rng(0).uniform(-1, 1, (4, 6))).astype(np.float32)
    assert program.to_onnx({"w": inside}, path) == ()
    for outside in (inside + np.float32(0.1), inside * 2**23):
        assert program.to_onnx({"w": outside}, path) == (
            "'sum': parameter 'w' is not in the set that is required of it",
        )
