"""Loops: all iterations at once give the iterates of the unrolled network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from quick import some_quick

import pjc
from pjc.dialects import ops, proj
from pjc.driver import Compilation, compile_text
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.passes.roll import RollPass
from pjc.passes.unroll import UnrollPass
from pjc.runtime.emit import Emitter, entry_points
from pjc.runtime.program import ProgramError
from pjc.universe import context

HEAD = """
input x: f32[batch, 5, 2]
target y: class[batch, 3]
def dense(x, width) {
    param weight: f32[x.shape[-1], width] = he_normal
    return x @ weight
}
def relu(x) {
    param bias: f32[x.shape[-1]] = normal(0.1)
    return sum_relu(bias, x)
}
cell = dense
out = dense
"""
TABLE = """
input tokens: int[batch, 5]
param table: f32[4, 3] = normal(1)
param mix: f32[3, 3] = normal(1)
h = full((batch, 3), 0.5)
"""
BODIES = {
    "a recurrent cell": """
h = full((batch, 3), 0)
for t in 0..5 {
    h = relu(cell(concat(x[:, t], h), 3))
}
output logits = out(h, 3)
""",
    "a cell that is read in every step, and its weight outside too": """
h = full((batch, 3), 0.5)
for t in 0..4 {
    h = relu(cell(concat(x[:, t + 1], h), 3))
    z = out(h, 3)
}
output logits = sum(z, axis = 0) + out(relu(dense(x[:, 0], 3)), 3)
""",
    "parameters of each iteration": """
h = dense(x[:, 0], 3)
for layer in 0..4 {
    h = relu(dense(h, 3))
}
output logits = out(h, 3)
""",
    "a residual block in each iteration": """
h = dense(x[:, 0], 3)
for layer in 0..3 {
    h = identity(h) + dense(relu(dense(h, 4)), 3)
}
output logits = out(h, 3)
""",
    "two carried values, one delayed by two steps": """
h = full((batch, 3), 0)
before = full((batch, 3), 0)
for t in 0..5 {
    new = relu(cell(concat(x[:, t], before), 3))
    before = h
    h = new
}
output logits = out(concat(h, before), 3)
""",
    "a window that moves through views": """
h = full((batch, 2, 3), 1)
for t in 0..4 {
    new = relu(cell(concat(x[:, t], h[:, 0], h[:, 1]), 3))
    h = stack(h[:, 1], new, axis = 1)
}
output logits = out(h[:, 1], 3)
""",
    "overlapping windows of one value": """
e = relu(dense(x, 3))
h = full((batch, 3), 0)
for t in 0..3 {
    h = relu(cell(concat(e[:, t], e[:, t + 1], h), 3))
}
output logits = out(h, 3)
""",
    "every second step": """
h = full((batch, 3), 0)
for t in 1..3 {
    h = maximum(cell(concat(x[:, 2 * t], h), 3), identity(h))
}
output logits = out(h, 3)
""",
    "a part of what a step of few reads": """
h = full((batch, 3), 0)
for t in 0..3 {
    h = relu(cell(concat(x[:, t, 0:1], h), 3))
}
output logits = out(h, 3)
""",
    "what a step reads, transposed": """
param v: f32[3, 4, 3] = normal(1)
h = x[:, 0, 0:1] + full((batch, 3), 0)
for t in 0..4 {
    h = relu(h @ transpose(v[:, t], (1, 0)))
}
output logits = out(h, 3)
""",
    "a convolution over what is carried": """
h = x
param kernel: f32[3, 1, 2, 2] = normal(1)
for t in 0..3 {
    z = conv2d(expand(h, 2), kernel)
    h = relu(squeeze(z, 2))
}
output logits = out(flatten(h), 3)
""",
    "one iteration": """
h = full((batch, 3), 0)
for t in 4..5 {
    h = relu(cell(concat(x[:, t], h), 3))
}
output logits = out(h, 3)
""",
    "two loops, one over what the other gives": """
h = full((batch, 3), 0)
for t in 0..5 {
    h = relu(cell(concat(x[:, t], h), 3))
    seen = h
}
g = full((batch, 3), 0)
for t in 0..5 {
    g = relu(out(concat(seen[t], g), 3))
}
output logits = dense(g, 3)
""",
    "layers in a loop over time": """
h = full((batch, 3), 0)
for t in 0..5 {
    inside = concat(x[:, t], h)
    for layer in 0..2 {
        inside = concat(x[:, t], relu(dense(inside, 3)))
    }
    h = inside[:, 2:]
}
output logits = out(h, 3)
""",
    "a loop over time in layers": """
h = transpose(x, (1, 0, 2))
for layer in 0..2 {
    state = full((batch, 2), 0)
    one = dense
    for t in 0..5 {
        state = relu(one(concat(h[t], state), 2) + dense(x[:, t], 2))
        states = state
    }
    h = states
}
output logits = out(h[4], 3)
""",
    "a bound block with a loop in it": """
def deep(x) {
    h = x
    for layer in 0..3 {
        h = relu(dense(h, 2))
    }
    return h
}
both = deep
output logits = out(both(x[:, 0]) + both(x[:, 1]), 3)
""",
    "rows by number, read outside too": TABLE
    + """
for t in 0..4 {
    h = relu(cell(concat(embedding(table, tokens[:, t]), h), 3))
}
output logits = out(h + sum(table @ mix, axis = 0), 3)
""",
    "rows by number of two steps": TABLE
    + """
e = embedding(table, tokens)
for t in 0..4 {
    h = relu(cell(concat(e[:, t + 1], h[:, :2], e[:, t]), 3))
}
output logits = out(h, 3)
""",
    "rows by number of what is carried": TABLE
    + """
for t in 0..2 {
    h = relu(cell(concat(embedding(h, tokens[:, t]), x[:, t]), 3))
}
output logits = out(h, 3)
""",
}
LOSS = "require margin(logits, y)\n"


def unrolled(compilation: Compilation) -> Compilation:
    UnrollPass().apply(context(), compilation.at("net"))
    return compilation


def iterates(compilation: Compilation, counts: tuple[int, ...] = (1, 2, 7)) -> list[dict[str, Any]]:
    """Return the parameters after updates of several lengths, from fixed parameters and data."""
    generator = np.random.default_rng(0)
    emitter = Emitter(only(compilation.at("proj"), proj.ProgramOp))
    shapes = jax.eval_shape(emitter.init, jax.random.key(0))
    params = {name: generator.normal(size=shapes[name].shape) for name in sorted(shapes)}
    data = {"x": generator.normal(size=(2, 5, 2)), "y": generator.integers(0, 3, 2).astype(np.int32)}
    data["tokens"] = np.array([[1, 0, 1, 1, 0], [1, 1, 0, 0, 1]], np.int32)
    lowered = jax.jit(entry_points(emitter)["update"]).lower(params, data, 0)
    update = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    return [params, *(update(params, data, count)[0] for count in counts)]


@pytest.mark.parametrize("name", some_quick(BODIES, 4))
@pytest.mark.parametrize(
    "solver", ["ap", *(pytest.param(s, marks=pytest.mark.slow) for s in ("dr", "dm", "cp"))]
)
def test_iterates_equal_those_of_the_unrolled_network(name: str, solver: str) -> None:
    options = Options(solver=solver, batch=2, dtype="f64", level=0)
    with jax.enable_x64(True):
        together = iterates(compile_text(HEAD + BODIES[name] + LOSS, options))
        apart = iterates(unrolled(compile_text(HEAD + BODIES[name] + LOSS, options)))
    for one, other in zip(together, apart, strict=True):
        assert sorted(one) == sorted(other)
        for key in one:
            np.testing.assert_allclose(one[key], other[key], rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", some_quick(BODIES, 4, 2))
@pytest.mark.parametrize("solver", [pytest.param("ap", marks=pytest.mark.slow), "dr"])
def test_optimized_loops_equal_the_oracle(name: str, solver: str) -> None:
    with jax.enable_x64(True):
        results = [
            iterates(compile_text(HEAD + BODIES[name] + LOSS, Options(
                solver=solver, batch=2, dtype="f64", level=level)))
            for level in (0, 1)
        ]  # fmt: skip
    for one, other in zip(*results, strict=True):
        for key in one:
            np.testing.assert_allclose(one[key], other[key], rtol=0, atol=1e-9, err_msg=key)


def test_what_can_be_a_family_is_one_and_the_rest_is_unrolled() -> None:
    options = Options(solver="ap", batch=2)
    rows = compile_text(HEAD + BODIES["rows by number of two steps"] + LOSS, options)
    assert str(rows.at("proj")).count("for 4 apart") >= 2
    carried = compile_text(HEAD + BODIES["rows by number of what is carried"] + LOSS, options)
    mixed = (
        HEAD
        + """
e = relu(dense(x, 3))
h = full((batch, 3), 0)
for t in 0..3 {
    h = relu(cell(concat(e[:, t], e[:, 1], h), 3))
}
output logits = out(h, 3)
"""
    )
    overlapping = compile_text(mixed + LOSS, options)
    asked = compile_text(HEAD + BODIES["a recurrent cell"] + LOSS, replace(options, unroll=True))
    for unrolled in (carried, overlapping, asked):
        assert "loop<" not in str(unrolled.at("feas"))


@pytest.mark.slow
def test_a_program_has_the_parameters_of_all_iterations_as_one(tmp_path: Path) -> None:
    program = pjc.compile(HEAD + BODIES["parameters of each iteration"] + LOSS, batch=2, solver="dr")
    params = program.init(0)
    assert {name: value.shape for name, value in params.items()} == {
        "dense_0.weight": (2, 3),
        "dense_1.weight": (4, 3, 3),
        "relu_0.bias": (4, 3),
        "out.weight": (3, 3),
    }
    assert not np.allclose(params["dense_1.weight"][0], params["dense_1.weight"][1])
    x, y = np.ones((2, 5, 2), np.float32), np.zeros(2, np.int32)
    after, info = program.update(params, x, y)
    assert np.isfinite(info["gap"])
    program.save(tmp_path / "deep.pjx")
    again = pjc.load(tmp_path / "deep.pjx")
    np.testing.assert_allclose(again.apply(after, x), program.apply(after, x))
    assert again.apply(after, x[:1]).shape == (1, 3)


def test_each_parameter_of_a_family_starts_as_one_by_itself_would() -> None:
    body = "param w: f32[400, 10] = he_normal\n  z = x @ w"
    text = f"input x: f32[4, 400]\nfor t in 0..3 {{\n  {body}\n}}\noutput z\n"
    params = pjc.compile(text).init(0)
    np.testing.assert_allclose(np.std(params["w"], axis=(1, 2)), np.sqrt(2 / 400), rtol=0.1)


DEEP = """
input x: f32[batch, 5, 2]
target y: class[batch, 3]
h = dense(reshape(x, (batch, 10)), 4)
""" + "h = identity(h) + dense(relu(dense(h, 3)), 4)\n" * 5 + "output logits = dense(h, 3)\n"  # fmt: skip


@pytest.mark.slow
def test_layers_that_are_written_one_after_another_become_a_loop() -> None:
    blocks = HEAD[HEAD.index("def dense") :]
    text = DEEP.replace("h = dense(resh", blocks + "h = dense(resh", 1) + LOSS
    with jax.enable_x64(True):
        apart, rolled = (
            pjc.compile(text, solver="ap", batch=2, dtype="f64", level=level) for level in (0, 1)
        )
        assert apart.ir("feas").count("op.dot") == 12
        assert rolled.ir("feas").count("op.dot") == 4
        params = apart.init(3)
        again = rolled.init(3)
        assert {name: value.shape for name, value in again.items()} == {
            name: value.shape for name, value in params.items()
        }
        for name, value in params.items():
            np.testing.assert_array_equal(again[name], value, err_msg=name)
        generator = np.random.default_rng(0)
        x, y = generator.normal(size=(2, 5, 2)), np.array([0, 2])
        one, other = (program.update(params, x, y, iterations=20)[0] for program in (apart, rolled))
        for name, value in one.items():
            np.testing.assert_allclose(other[name], value, rtol=0, atol=1e-9, err_msg=name)


STEPS = (
    HEAD
    + """
w = 0
param input_weight: f32[2, 3] = he_normal
param recurrent_weight: f32[3, 3] = he_normal
h = full((batch, 3), 0.5)
"""
)
UNROLLED = {
    "steps": ([0, 1, 2, 3, 4], "", 1),
    "every second step": ([0, 2, 4, 6, 8], "", 1),
    "one step many times": ([2, 2, 2, 2, 2], "", 1),
    "steps backwards": ([4, 3, 2, 1, 0], "", 0),
    "steps in no order": ([0, 1, 3, 4, 5], "", 0),
    "the same entries of what each makes": ([0, 1, 2, 3, 4], " + (h @ recurrent_weight)[:, 1:2]", 1),
    "an inner state that is read later": ([0, 1, 2, 3, 4, 5, 6], "\nz{t} = h", 1),
}


@pytest.mark.parametrize("solver", ["ap", pytest.param("dr", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", some_quick(UNROLLED, 3))
def test_steps_that_are_written_one_after_another_become_a_loop(name: str, solver: str) -> None:
    steps, more, loops = UNROLLED[name]
    term, _, after = more.partition("\n")
    body = "".join(
        f"h = relu(x[:, {t}] @ input_weight + h @ recurrent_weight{term})\n{after.format(t=t)}\n"
        for t in steps
    )
    read = "h + z1" if "z" in more else "h"
    text = STEPS.replace("f32[batch, 5, 2]", "f32[batch, 9, 2]")
    text += body + f"output logits = out({read}, 3)\n" + LOSS
    with jax.enable_x64(True):
        apart, rolled = (
            pjc.compile(text, solver=solver, batch=2, dtype="f64", level=level, copies="exact")
            for level in (0, 1)
        )
        found = rolled.ir("feas").count("loop<")
        assert (found > 0) == (loops > 0)
        params = apart.init(3)
        generator = np.random.default_rng(0)
        x, y = generator.normal(size=(2, 9, 2)), np.array([0, 2])
        one, other = (program.update(params, x, y, iterations=15)[0] for program in (apart, rolled))
        for key, value in one.items():
            np.testing.assert_allclose(other[key], value, rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.slow
def test_parameters_of_equal_layers_are_taken_stacked_too(tmp_path: Path) -> None:
    blocks = HEAD[HEAD.index("def dense") :]
    text = DEEP.replace("h = dense(resh", blocks + "h = dense(resh", 1) + LOSS
    program = pjc.compile(text, solver="ap", batch=2)
    program.save(tmp_path / "deep.pjx")
    params = program.init(0)
    x, y = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32"), np.array([0, 2])
    expected = program.update(params, x, y, iterations=3)[0]
    for taken in (program, pjc.load(tmp_path / "deep.pjx")):
        stacked = taken.stacked(params)
        assert len(stacked) < len(params)
        assert taken.stacked(stacked).keys() == stacked.keys()
        found = taken.update(stacked, x, y, iterations=3)[0]
        assert found.keys() == stacked.keys()
        separate = taken.separate(found)
        assert separate.keys() == params.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(separate[name], value, err_msg=name)
        np.testing.assert_array_equal(taken.apply(stacked, x), taken.apply(params, x))
    few = {name: value for name, value in stacked.items() if name in params} | dict([stacked.popitem()])
    with pytest.raises(ProgramError, match="is missing"):
        program.update(few, x, y)


ALTERNATING = {
    "three constraints a layer": ("h = abs(dense(h, 4)) - bias{n}", 4, 2),
    "of an odd number the last is left": ("h = abs(dense(h, 4)) - bias{n}", 5, 2),
    "skips": ("h = h + relu(dense(h, 4)) + bias{n}", 4, 2),
    "sums that become one": ("h = h + dense(x0, 4) + bias{n}", 5, 0),
}


def alternating(name: str) -> str:
    """Return a network of equal layers whose constraints cannot be in the same parts in each."""
    layer, count, _ = ALTERNATING[name]
    biases = "".join(f"param bias{n}: f32[4] = normal(0.1)\n" for n in range(count))
    body = "".join(layer.format(n=n) + "\n" for n in range(count))
    start = "x0 = reshape(x, (batch, 10))\nh = dense(x0, 4)\n"
    return HEAD + biases + start + body + "output logits = out(h, 3)\n" + LOSS


@pytest.mark.parametrize("name", ALTERNATING)
def test_layers_that_alternate_between_the_parts_are_taken_in_pairs(name: str) -> None:
    found = str(compile_text(alternating(name), Options(solver="dr", batch=2)).at("feas"))
    steps = {int(each) for each in re.findall(r'#feas.loop<"layer" (\d+)>', found)}
    assert steps == ({ALTERNATING[name][2]} if ALTERNATING[name][2] else set())
    assert "op.identity" not in found


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["ap", "dr"])
@pytest.mark.parametrize("name", ALTERNATING)
def test_their_iterates_are_the_same_at_all_levels(name: str, solver: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 5, 2)), np.array([0, 2])
    with jax.enable_x64(True):
        apart, rolled = (
            pjc.compile(alternating(name), solver=solver, batch=2, dtype="f64", level=level, copies="exact")
            for level in (0, 1)
        )
        params = apart.init(3)
        one, other = (program.update(params, x, y, iterations=15)[0] for program in (apart, rolled))
        for key, value in one.items():
            np.testing.assert_allclose(other[key], value, rtol=0, atol=1e-9, err_msg=key)


def moved(program: pjc.Program, params: Any, x: Any, y: Any, iterations: int) -> Any:
    """Return the displacement of a sweep, or the parameters after an update of other solvers."""
    if program.sweeps:
        return program.displacement(params, x, y)[0]
    return program.update(params, x, y, iterations=iterations)[0]


READ_LATER = {
    "side by side": ("concat({all})", 1),
    "every second": ("concat({odd})", 1),
    "backwards": ("concat({back})", 1),
    "one of them, and the last": ("h3 + h{last}", 1),
    "by dots of their own": ("dense(h2, 3) + dense(h4, 3) + dense(concat({all}), 3)", 1),
}


def read_later(name: str, layers: int) -> str:
    """Return a network whose output reads what inner layers give."""
    values = [f"h{index}" for index in range(layers)]
    body = "".join(
        f"{value} = relu(dense({before}, 3))\n" for before, value in zip(["h", *values], values, strict=False)
    )
    names = {"all": values, "odd": values[1::2], "back": values[::-1]}
    read, _ = READ_LATER[name]
    read = read.format(last=layers - 1, **{key: ", ".join(each) for key, each in names.items()})
    return HEAD + "h = reshape(x, (batch, 10))\n" + body + f"output logits = out({read}, 3)\n" + LOSS


@pytest.mark.parametrize(
    "solver", ["sweep", *(pytest.param(each, marks=pytest.mark.slow) for each in ("ap", "dr"))]
)
@pytest.mark.parametrize("name", some_quick(READ_LATER, 4))
def test_layers_that_the_output_reads_become_a_loop(name: str, solver: str) -> None:
    text = read_later(name, 16 if solver == "sweep" else 6)
    x, y = np.random.default_rng(0).normal(size=(2, 5, 2)), np.array([0, 2])
    with jax.enable_x64(True):
        apart, rolled = (
            pjc.compile(text, solver=solver, batch=2, dtype="f64", level=level) for level in (0, 1)
        )
        assert rolled.ir("net").count(" net.for ") == READ_LATER[name][1]
        params = apart.init(3)
        one, other = (moved(program, params, x, y, 15) for program in (apart, rolled))
        for key, value in one.items():
            np.testing.assert_allclose(other[key], value, rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", ["side by side", "every second"])
def test_the_layers_that_the_output_reads_are_not_counted_in_operations(name: str) -> None:
    few, many = (len(list(compile_text(read_later(name, n)).at("net").walk())) for n in (20, 40))
    assert few == many


@pytest.mark.parametrize(("solver", "loops"), [("sweep", 0), ("stream", 1), ("dr", 1)])
def test_a_sweep_leaves_few_layers_apart(solver: str, loops: int) -> None:
    text = read_later("side by side", 6).replace("concat(h0, h1, h2, h3, h4, h5)", "h5")
    found = str(compile_text(text, Options(solver=solver, batch=2)).at("net"))
    assert found.count(" net.for ") == loops


def test_rolling_up_and_unrolling_gives_the_parameters_back() -> None:
    blocks = HEAD[HEAD.index("def dense") :]
    module = compile_text(DEEP.replace("h = dense(resh", blocks + "h = dense(resh", 1) + LOSS).start.module

    def parameters() -> list[str]:
        return [str(op.label.data) for op in module.walk() if isinstance(op, ops.ParameterOp)]

    before = parameters()
    RollPass().apply(context(), module)
    assert len(parameters()) == 5
    UnrollPass().apply(context(), module)
    module.verify()
    assert sorted(parameters()) == sorted(before)


@pytest.mark.parametrize("carried", ["x[:, t]", "x[:, t, 0:3]", "reshape(x[:, t], (batch, 3))"])
@pytest.mark.parametrize("solver", ["dr", "ap", "sweep"])
def test_what_a_loop_carries_may_be_a_slice_of_what_stands_above(carried: str, solver: str) -> None:
    """It is the state that is shifted on, and of two states one may be the other's."""
    text = f"""
input x: f32[batch, 4, 3]
target y: f32[batch, 3]
param w: f32[3, 3] = normal(1)
h = full((batch, 3), 0)
g = full((batch, 3), 1)
for t in 0..4 {{
  s = h @ w + g
  g = h
  h = {carried}
}}
output z = sum(s, axis = 0) + h
require squared_error(z, y)
"""
    rolled, apart = (pjc.compile(text, batch=5, solver=solver, unroll=unroll) for unroll in (False, True))
    params = rolled.init(0)
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    y = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(rolled.apply(params, x), apart.apply(params, x), rtol=1e-5)
    one, other = (moved(program, params, x, y, 3) for program in (rolled, apart))
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], atol=1e-5)
