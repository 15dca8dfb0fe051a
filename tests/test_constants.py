"""Constant tensors of many numbers: as they are written, what training does with them, and how they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import pjc
from pjc.builder import Network
from pjc.dialects import net as net_dialect
from pjc.dialects import ops
from pjc.dialects.shapes import ShapeError
from pjc.ir_text import parse_ir
from pjc.passes.analysis.graph import only

HEAD = "input x: f32[batch, 3]\ntarget y: f32[batch, 2]\nparam w: f32[3, 2] = normal(0.5)\n"
TAIL = "\nrequire squared_error(z, y)\n"
MIX = np.array([[1, 0.5], [-2, 0], [0, 3]])
ROW = np.array([2, -0.5])
NETWORKS = {
    "output z = (x @ w) * array((2, -0.5))": lambda x, w: (x @ w) * ROW,
    "output z = x @ w + array((2, -0.5))": lambda x, w: x @ w + ROW,
    "output z = array((2, -0.5)) - x @ w": lambda x, w: ROW - x @ w,
    "output z = x @ w + x @ array(((1, 0.5), (-2, 0), (0, 3)))": lambda x, w: x @ w + x @ MIX,
    "output z = x @ array(((1, 0.5), (-2, 0), (0, 3))) @ transpose(w) @ w": lambda x, w: x @ MIX @ w.T @ w,
    "output z = x @ w + array((2, -0.5, 1)) @ w": lambda x, w: x @ w + np.array([2, -0.5, 1]) @ w,
    "output z = maximum(x @ w, array([2, -0.5]))": lambda x, w: np.maximum(x @ w, ROW),
}


def data(count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, 3)), generator.normal(size=(count, 2))


@pytest.fixture(autouse=True)
def doubles() -> Any:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("solver", ["sweep", "dr"])
@pytest.mark.parametrize("text", NETWORKS)
def test_constants_are_computed_with_and_only_parameters_move(text: str, solver: str) -> None:
    x, y = data()
    found = []
    for level in (0, 2):
        program = pjc.compile(HEAD + text + TAIL, batch=4, solver=solver, dtype="f64", level=level)
        params = program.init(0)
        assert list(params) == ["w"]
        expected = NETWORKS[text](x, np.asarray(params["w"]))
        np.testing.assert_allclose(program.apply(params, x), expected, rtol=1e-12, atol=1e-12)
        if solver == "sweep":
            moved = program.displacement(params, x, y)[0]["w"]
            after = {"w": params["w"] + 1e-3 * moved}
        else:
            after = program.update(params, x, y, iterations=30)[0]
        losses = [float(np.sum((program.apply(each, x) - y) ** 2)) for each in (params, after)]
        assert losses[1] < losses[0]
        found.append(after["w"])
    if solver == "sweep":
        np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["u + array((3, -2)) * v", "array((3, -2)) * v + u"])
def test_the_whole_demand_on_a_product_goes_to_what_can_move(form: str) -> None:
    """By light values ``z = u + c v`` moves v by c times the demand on z, and u by the demand."""
    text = (
        "input x: f32[batch, 2]\ntarget y: f32[batch, 2]\nparam u: f32[2] = normal(1)\n"
        f"param v: f32[2] = normal(1)\noutput z = {form} + x\nrequire squared_error(z, y)\n"
    )
    light: dict[str, Any] = {"weight": 1e-6, "value_weight": 1e-8, "demand": "plain"}
    program = pjc.compile(text, batch=4, dtype="f64", solver="sweep", **light)
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(2, 4, 2))
    moved, _ = program.displacement(program.init(0), x, y)
    np.testing.assert_allclose(moved["v"], np.array([3, -2]) * moved["u"], rtol=1e-4)
    assert np.min(np.abs(moved["u"])) > 1e-3


@pytest.mark.parametrize("solver", ["sweep", "dr", "cp"])
@pytest.mark.parametrize(
    "body",
    [
        "h = h * rows[t]",
        "h = h * rows[t] + array((1, 2, 3))",
        "h = rows[t] + h @ rows",
        "h = h * rows[t] @ rows",
    ],
)
def test_iterations_read_constants_whole_and_by_entries(body: str, solver: str) -> None:
    rows = np.array([[1, 2, 0.5], [0.5, -1, 1], [2, 1, -0.25]])
    text = f"""input x: f32[batch, 3]
target y: f32[batch, 3]
param w: f32[3] = normal(1)
rows = array({rows.tolist()})
h = x + w
for t in 0..3 {{
  {body}
}}
output h
require squared_error(h, y)
"""
    x, _ = data()
    found = []
    for unroll in (False, True):
        program = pjc.compile(text, batch=4, solver=solver, dtype="f64", unroll=unroll)
        params = program.init(0)
        found.append(np.asarray(program.apply(params, x)))
    h = x + np.asarray(params["w"])
    for t in range(3):
        h = eval(
            body[4:].replace("array((1, 2, 3))", "np.array((1, 2, 3))"),
            {"np": np, "h": h, "rows": rows, "t": t},
        )
    np.testing.assert_allclose(found[0], h, rtol=1e-12)
    np.testing.assert_allclose(found[1], h, rtol=1e-12)


@pytest.mark.parametrize("given", ["param", "input", "array"])
def test_steps_that_read_a_value_whole_and_by_entries_read_the_right_one(given: str) -> None:
    rows = np.arange(9.0).reshape(3, 3) / 4 - 1
    declared = {"param": "param rows: f32[3, 3] = normal(1)", "input": "input rows: f32[3, 3]"}
    text = f"""input x: f32[batch, 3]
target y: f32[batch, 3]
{declared.get(given, f"rows = array({rows.tolist()})")}
h = x
for t in 0..3 {{
  h = relu(h * rows[t] + rows[1] @ rows)
}}
output h
require squared_error(h, y)
"""
    program = pjc.compile(text, batch=4, dtype="f64", solver="sweep")
    h, _ = data()
    inputs = [h, rows] if given == "input" else [h]
    params = {"rows": rows} if given == "param" else {}
    found = program.apply(params, *inputs)
    for t in range(3):
        h = np.maximum(h * rows[t] + rows[1] @ rows, 0)
    np.testing.assert_allclose(found, h, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("array((1, (2, 3)))", "a number or nested tuples of numbers"),
        ("array(((1, 2), (3,)))", "nested tuples of equal lengths"),
        ("array((1, x))", "a number or nested tuples of numbers"),
        ("array(())", "every dimension must be at least 1"),
        ("array((1, 1e39))", "too large for f32"),
        ("array(1, 2)", "array takes"),
        ("array((" + "0, " * 2**16 + "1))", "65,536 numbers"),
    ],
)
def test_what_is_no_array_is_refused_at_its_place(text: str, said: str) -> None:
    with pytest.raises(pjc.DiagnosticError, match=r"<string>:\d+:\d+") as caught:
        pjc.compile(f"input x: f32[batch, 2]\n\noutput z = x + {text}\n", batch=2)
    assert said in str(caught.value)


@pytest.mark.parametrize("values", [np.eye(3), np.array([True, False, True]), [1, 2, 3.5]])
def test_networks_are_built_with_arrays(values: Any) -> None:
    net = Network("n", batch=2, dtype="f64")
    net.output("z", net.matmul(net.input("x", (2, 3)), net.array(values)))
    program = pjc.compile(net)
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(program.apply({}, x), x @ np.asarray(values, float))


@pytest.mark.parametrize(
    "values", [[[1], [2, 3]], "12", [np.nan, 1], np.arange(2**16 + 1), ["a"], [], [None]]
)
def test_what_is_no_array_is_refused_by_the_builder(values: Any) -> None:
    with pytest.raises(ShapeError):
        Network("n").array(values)


@pytest.mark.parametrize("count", [2, 64, 65, 4000])
def test_numbers_print_and_are_read_back_bit_by_bit(count: int) -> None:
    numbers = [each * 1e-30 for each in np.random.default_rng(count).normal(size=count).tolist()]
    net = Network("n", dtype="f64")
    net.output("z", net.add(net.input("x", (count,)), net.array(numbers)))
    again = only(parse_ir(str(net.module()), "n"), net_dialect.NetworkOp)
    (found,) = [op for op in again.walk() if isinstance(op, ops.ConstantOp)]
    assert list(found.entries) == numbers


@pytest.mark.parametrize(
    "wrong", ["[1.0, 2.0, 3.0]", '"0x00"', '"0x000000000000F03F"', "[]", "[1.0, 0x7FF0000000000000]"]
)
def test_wrong_numbers_in_ir_are_refused(wrong: str) -> None:
    text = f"""net.network @n {{
  %c = op.constant {wrong} : tensor<2xf32>
  op.output "z" %c : tensor<2xf32>
}}"""
    with pytest.raises(pjc.DiagnosticError):
        pjc.compile(text)


def test_equal_layers_with_equal_constants_are_a_loop_and_with_others_none() -> None:
    head = "input x: f32[batch, 3]\nparam w: f32[3, 3] = normal(1)\nh0 = x\n"
    same, others = (
        head
        + "".join(f"h{i + 1} = relu(h{i} @ w * array((1, 2, {c})))\n" for i, c in enumerate(last))
        + "output h12\n"
        for last in ([3] * 12, range(3, 15))
    )
    x, _ = data()
    for text, looped in ((same, True), (others, False)):
        program = pjc.compile(text, batch=4, dtype="f64")
        assert ('loop = #feas.loop<"layer"' in program.ir("feas")) is looped
        params = program.init(0)
        h = x
        for i in range(12):
            h = np.maximum(h @ np.asarray(params["w"]) * np.array([1, 2, 3 if looped else 3 + i]), 0)
        np.testing.assert_allclose(program.apply(params, x), h, rtol=1e-12)


def test_saved_programs_and_onnx_models_keep_constants(tmp_path: Path) -> None:
    with jax.enable_x64(False):
        text = HEAD + "output z = (x @ w) * array((2, -0.5)) + x @ array(((1, 0.5), (-2, 0), (0, 3)))" + TAIL
        program = pjc.compile(text, batch=4)
        params = program.init(0)
        x = data()[0].astype(np.float32)
        program.save(tmp_path / "n.pjx")
        expected = program.apply(params, x)
        np.testing.assert_array_equal(pjc.load(tmp_path / "n.pjx").apply(params, x), expected)
        program.to_onnx(params, tmp_path / "n.onnx")
        again = pjc.compile(tmp_path / "n.onnx")
        assert list(again.init(0)) == ["w"]
        np.testing.assert_allclose(again.apply(again.init(0), x), expected, rtol=1e-5, atol=1e-6)
