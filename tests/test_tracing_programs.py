"""Programs of traced functions: the caller's trees and transformations, files, losses, sets, operators."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import some_quick

import pjc
from pjc.tracing.asks import ASKS
from pjc.tracing.program import TracedProgram

SPEC = pjc.f32["batch", 6]
X = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
Y = np.array([0, 1, 2, 1])


def normal(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return (np.random.default_rng(seed).normal(size=shape) / 3).astype("float32")


def mlp(p: Any, x: jax.Array) -> jax.Array:
    return jax.nn.relu(x @ p["w"] + p["b"]) @ p["v"]


def linear(p: Any, x: jax.Array) -> jax.Array:
    return x @ p["w"]


PARAMS = {"w": normal(6, 8), "b": normal(8), "v": normal(8, 3)}


@pytest.fixture(scope="module")
def program() -> TracedProgram:
    return pjc.trace(mlp, PARAMS, SPEC, loss=pjc.cross_entropy(), batch=4, rate=1e-2)


@pytest.fixture(scope="module")
def loaded(program: TracedProgram, tmp_path_factory: pytest.TempPathFactory) -> pjc.Program:
    path = tmp_path_factory.mktemp("programs") / "mlp.pjx"
    program.save(path)
    return pjc.load(path)


def alike(ours: Any, theirs: Any, **how: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 1e-4, "atol": 1e-6} | how))


# --- the caller's transformations ---------------------------------------------------------------------


def recurrent(p: Any, x: jax.Array) -> jax.Array:
    steps = jnp.moveaxis(x.reshape(x.shape[0], 3, 2), 1, 0)
    first = jnp.zeros((x.shape[0], 8))
    h, _ = jax.lax.scan(lambda h, now: (jax.nn.relu(now @ p["w"][:2] + h @ p["w"][2:10]), ()), first, steps)
    return h @ p["v"]


def convolved(p: Any, x: jax.Array) -> jax.Array:
    image = x.reshape(x.shape[0], 2, 3, 1)
    numbers = ("NHWC", "HWIO", "NHWC")
    h = jax.lax.conv_general_dilated(image, p["k"], (1, 1), "SAME", dimension_numbers=numbers)
    return jax.nn.relu(h).reshape(x.shape[0], -1) @ p["v"]


EXPLICIT = {
    "mlp": (mlp, PARAMS),
    "recurrent": (recurrent, {"w": normal(10, 8), "v": normal(8, 3)}),
    "convolved": (convolved, {"k": normal(2, 2, 1, 4), "v": normal(24, 3)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", some_quick(EXPLICIT, 3))
def test_meshes_with_explicit_axes(name: str) -> None:
    fn, params = EXPLICIT[name]
    program = pjc.trace(fn, params, SPEC, loss=pjc.cross_entropy(), batch=4)
    state = program.start(params)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    split, whole = (jax.NamedSharding(mesh, jax.P(*each)) for each in (("data",), ()))
    x, y, placed = jax.device_put(X, split), jax.device_put(Y, split), jax.device_put(state, whole)
    alike(program.step(placed, x, y), program.step(state, X, Y))
    alike(jax.jit(program.step)(placed, x, y), program.step(state, X, Y))
    alike(program.displacement(params, x, y), program.displacement(params, X, Y))
    assert jax.jit(program.apply)(params, x).sharding.spec[0] == "data"
    with jax.set_mesh(mesh):
        found, _ = jax.lax.scan(lambda s, at: program.step(s, x, y), placed, None, length=2)
    alike(found, program.step(program.step(state, X, Y)[0], X, Y)[0])


@pytest.mark.slow
def test_updates_on_meshes_with_explicit_axes() -> None:
    program = pjc.trace(mlp, PARAMS, SPEC, loss=pjc.cross_entropy(), batch=4, solver="dr", iterations=3)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    split = jax.NamedSharding(mesh, jax.P("data"))
    x, y = jax.device_put(X, split), jax.device_put(Y, split)
    alike(program.update(PARAMS, x, y), program.update(PARAMS, X, Y))
    columns = jax.device_put(PARAMS["v"], jax.NamedSharding(mesh, jax.P(None, "data")))
    moved, _ = program.update(PARAMS | {"v": columns}, x, y)
    assert moved["v"].sharding.spec == jax.P(None, "data")


def both(program: Any, loaded: Any) -> list[Any]:
    return [program, loaded]


@pytest.mark.parametrize("at", [0, 1], ids=["traced", "loaded"])
def test_steps_are_mapped_over_seeds(program: Any, loaded: Any, at: int) -> None:
    one = both(program, loaded)[at]
    states = [one.start({**PARAMS, "w": normal(6, 8, seed=seed)}) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    after, info = jax.vmap(one.step, in_axes=(0, None, None))(stacked, X, Y)
    for seed, state in enumerate(states):
        expected, told = one.step(state, X, Y)
        alike(jax.tree.map(lambda leaf, seed=seed: leaf[seed], after), expected)
        np.testing.assert_allclose(info["demand"][seed], told["demand"], rtol=1e-5)
    keys = jax.random.split(jax.random.key(0), 3)
    begun = jax.vmap(one.start)(keys)
    alike(jax.tree.map(lambda leaf: leaf[2], begun), one.start(keys[2]))


@pytest.mark.parametrize("at", [0, 1], ids=["traced", "loaded"])
def test_steps_are_jitted_and_scanned_over_batches(program: Any, loaded: Any, at: int) -> None:
    one = both(program, loaded)[at]
    xs, ys = np.stack([X, X + 1, -X]), np.stack([Y, Y[::-1], Y])
    start = one.start(dict(PARAMS))
    after, infos = jax.lax.scan(lambda state, batch: one.step(state, *batch), start, (xs, ys))
    expected = start
    for x, y in zip(xs, ys, strict=True):
        expected, _ = jax.jit(one.step)(expected, x, y)
    alike(after, expected)
    assert infos["demand"].shape == (3,)
    mapped = jax.vmap(one.apply, in_axes=(None, 0))(dict(PARAMS), xs)
    np.testing.assert_allclose(mapped[1], mlp(PARAMS, xs[1]), atol=1e-5)


def test_apply_has_derivatives(program: TracedProgram) -> None:
    ours = jax.grad(lambda p: jnp.sum(program.apply(p, X) ** 2))(PARAMS)
    alike(ours, jax.grad(lambda p: jnp.sum(mlp(p, X) ** 2))(PARAMS), atol=1e-4)


SHARDED = """
import jax, numpy as np, pjc
from jax.sharding import NamedSharding, PartitionSpec, Mesh
assert len(jax.devices()) == 8
generator = np.random.default_rng(0)
shapes = {"w": (6, 8), "v": (8, 3)}
params = {name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}
program = pjc.trace(lambda p, x: jax.nn.relu(x @ p["w"]) @ p["v"], params, pjc.f32["batch", 6],
                    loss=pjc.cross_entropy(), batch=16)
x, y = generator.normal(size=(16, 6)).astype("float32"), np.arange(16) % 3
mesh = Mesh(np.array(jax.devices()), ("data",))
split, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
start = program.start(params)
expected, _ = program.step(start, x, y)
step = jax.jit(program.step, in_shardings=(whole, split, split), out_shardings=whole)
found, _ = step(start, jax.device_put(x, split), jax.device_put(y, split))
assert len(found.params["w"].sharding.device_set) == 8
for name in params:
    np.testing.assert_allclose(found.params[name], expected.params[name], atol=1e-5)
    assert np.any(np.asarray(found.params[name]) != params[name])
"""


def test_steps_are_split_over_devices_as_the_caller_says() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- files --------------------------------------------------------------------------------------------


def test_a_file_takes_the_parameters_by_their_names(loaded: pjc.Program) -> None:
    given = {"layers": [{"w": normal(6, 3)}], "unused": normal(2)}
    program = pjc.trace(lambda p, x: x @ p["layers"][0]["w"], given, SPEC, loss=pjc.cross_entropy(), batch=4)
    named = program.named(given)
    assert list(named) == ["layers_0_w"] and program.names()["unused"] is None
    back = program.tree(named)
    np.testing.assert_array_equal(back["layers"][0]["w"], given["layers"][0]["w"])
    np.testing.assert_array_equal(back["unused"], given["unused"])
    np.testing.assert_allclose(loaded.apply(loaded.init(0), X), mlp(PARAMS, X), atol=1e-5)


def test_an_exported_model_computes_the_function(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    program = pjc.trace(lambda p, x: {"one": linear(p, x), "two": mlp(p, x)}, PARAMS, SPEC, batch=4)
    program.to_onnx(PARAMS, tmp_path / "m.onnx")
    found = runtime.InferenceSession(tmp_path / "m.onnx").run(["one", "two"], {"x": X})
    np.testing.assert_allclose(found[0], linear(PARAMS, X), atol=1e-5)
    np.testing.assert_allclose(found[1], mlp(PARAMS, X), atol=1e-5)


# --- parameters ---------------------------------------------------------------------------------------


def test_leaves_that_are_no_parameters_stay_as_they_are() -> None:
    given = {
        "w": normal(6, 3),
        "n": None,
        "key": jax.random.key(0),
        "count": np.arange(3),
        "unused": normal(2),
    }
    program = pjc.trace(linear, given, SPEC, loss=pjc.cross_entropy(), batch=4)
    after = program.step(program.start(given), X, Y)[0].params
    assert after["n"] is None and jnp.issubdtype(after["key"].dtype, jax.dtypes.prng_key)
    np.testing.assert_array_equal(after["count"], [0, 1, 2])
    np.testing.assert_array_equal(after["unused"], given["unused"])
    assert np.any(np.asarray(after["w"]) != given["w"])
    moves, _ = program.displacement(given, X, Y)
    np.testing.assert_array_equal(moves["unused"], [0, 0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"v": normal(6, 3)}, r"are a tree \{'w': \*\}, found \{'v': \*\}"),
        ({"w": normal(6, 4)}, r"parameter 'w' has shape \(6, 4\), expected \(6, 3\)"),
        ([normal(6, 3)], r"are a tree \{'w': \*\}, found \[\*\]"),
    ],
)
def test_other_trees_are_refused(params: Any, message: str) -> None:
    program = pjc.trace(linear, {"w": normal(6, 3)}, SPEC, batch=4)
    with pytest.raises(pjc.PjcError, match=message):
        program.apply(params, X)


@pytest.mark.parametrize("leaf", ["text", object(), True])
def test_what_is_no_tree_of_arrays_is_refused(leaf: Any) -> None:
    with pytest.raises(pjc.DiagnosticError, match="the parameters hold"):
        pjc.network(linear, {"w": leaf}, SPEC)


def test_parameters_of_shapes_alone_are_drawn() -> None:
    program = pjc.trace(linear, {"w": jax.ShapeDtypeStruct((6, 300), "float32")}, SPEC, batch=4)
    one, same, other = program.init(0)["w"], program.init(0)["w"], program.init(1)["w"]
    assert 0.5 * np.sqrt(2 / 6) < np.std(one) < 1.5 * np.sqrt(2 / 6)
    np.testing.assert_array_equal(one, same)
    assert np.any(np.asarray(one) != other)


def test_numbers_of_64_bits_are_as_jax_takes_them() -> None:
    wide = {"w": np.random.default_rng(0).normal(size=(6, 3))}
    program = pjc.trace(linear, wide, SPEC, loss=pjc.cross_entropy(), batch=4)
    assert program.init(0)["w"].dtype == "float32"
    assert program.step(program.start(wide), X, Y)[0].params["w"].dtype == "float32"
    with jax.enable_x64(True):
        program = pjc.trace(linear, wide, pjc.f64["batch", 6], loss=pjc.cross_entropy(), batch=4)
        after = program.step(program.start(wide), X.astype("float64"), Y)[0]
        assert after.params["w"].dtype == "float64"


def test_a_solver_that_iterates_updates_the_tree() -> None:
    given = [normal(6, 3)]
    program = pjc.trace(
        lambda p, x: x @ p[0], given, SPEC, loss=pjc.cross_entropy(), batch=4, solver="dr", iterations=5
    )
    after, info = program.update(given, X, Y)
    assert np.any(np.asarray(after[0]) != given[0]) and "gap" in info
    assert np.isfinite(program.gap(after, X, Y)["gap"])


# --- losses and sets ----------------------------------------------------------------------------------


def two(p: Any, x: jax.Array) -> dict[str, jax.Array]:
    return {"a": x @ p["w"], "b": jax.nn.relu(x @ p["v"])}


@pytest.mark.parametrize(
    "loss",
    [
        {"a": pjc.cross_entropy(), "b": pjc.squared_error(target="z")},
        [pjc.cross_entropy(), pjc.squared_error(target="z")],
    ],
)
def test_several_outputs_have_losses_of_their_own(loss: Any) -> None:
    given = {"w": normal(6, 3), "v": normal(6, 2)}
    program = pjc.trace(two, given, SPEC, loss=loss, batch=4)
    _, info = program.step(program.start(given), X, Y, np.zeros((4, 2), "float32"))
    assert set(info["requirements"]) == {"cross_entropy", "squared_error"}
    with pytest.raises(pjc.DiagnosticError, match="has 2 outputs, found one loss"):
        pjc.network(two, given, SPEC, loss=pjc.cross_entropy())


def test_an_input_may_be_the_target() -> None:
    program = pjc.trace(
        lambda p, x: x @ p["w"] @ p["w"].T,
        {"w": normal(6, 3)},
        SPEC,
        loss=pjc.squared_error(target="x"),
        batch=4,
    )
    assert "demand" in program.step(program.start(0), X)[1]


def test_values_inside_are_required_to_be_something() -> None:
    def inside(p: Any, x: jax.Array) -> jax.Array:
        h = pjc.require(x @ p["w"], pjc.box(-1, 1))
        return pjc.require(jax.nn.relu(h), pjc.squared_error(target="h"))

    text = pjc.trace(inside, {"w": normal(6, 3)}, SPEC, batch=4).to_pjn()
    assert "require dot_1 in box(-1, 1)" in text and "require squared_error(relu_1, h)" in text
    np.testing.assert_allclose(inside({"w": normal(6, 3)}, X), jax.nn.relu(X @ normal(6, 3)), atol=1e-6)


def test_sets_are_given_by_paths() -> None:
    given = {"layers": [{"w": normal(6, 3)}, {"w": normal(3, 3)}], "head": normal(3, 3)}
    program = pjc.trace(
        lambda p, x: x @ p["layers"][0]["w"] @ p["layers"][1]["w"] @ p["head"],
        given,
        SPEC,
        loss=pjc.cross_entropy(),
        sets={"layers[*].w": pjc.levels(-1, 0, 1), "head": [pjc.nonneg(), pjc.box(0, 0.1)]},
        batch=4,
    )
    finished = program.finish(given)
    for each in finished["layers"]:
        assert set(np.unique(each["w"])) <= {-1.0, 0.0, 1.0}
    assert np.min(finished["head"]) >= 0 and np.max(finished["head"]) <= 0.1 + 1e-6
    with pytest.raises(pjc.DiagnosticError, match=r"no parameter has the path 'layers\.w'"):
        pjc.network(linear, {"w": normal(6, 3)}, SPEC, sets={"layers.w": pjc.nonneg()})


# --- own operators, and the vocabulary ----------------------------------------------------------------


def _halved(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    new = (4 * x + 2 * z) / 5
    return new, new / 2


def test_own_operators_are_called_on_arrays() -> None:
    halve = pjc.operator("halve_rows", "[n] -> [n]", function=lambda x: x / 2, projection=_halved)
    for call in (halve, jax.jit(halve), jax.vmap(halve)):
        np.testing.assert_allclose(call(X), X / 2)
    np.testing.assert_allclose(jax.grad(lambda x: halve(x).sum())(X), np.full(X.shape, 0.5))
    program = pjc.trace(
        lambda p, x: halve(x @ p["w"]), {"w": normal(6, 3)}, SPEC, loss=pjc.squared_error(), batch=4
    )
    assert "halve_rows(" in program.to_pjn()
    np.testing.assert_allclose(program.apply({"w": normal(6, 3)}, X), X @ normal(6, 3) / 2, atol=1e-6)
    with pytest.raises(pjc.PjcError, match=r"halve_rows: .* needs 1 axes at the end"):
        halve(3.0)
    with pytest.raises(pjc.PjcError, match="takes 1 inputs, found 2"):
        halve(X, X)


VOCABULARY = {
    "sign": (pjc.sign, lambda x: np.where(x > 0, 1, -1)),
    "step": (lambda x: pjc.step(x, 0.2), lambda x: np.where(x > 0.2, 1, 0)),
    "quantize": (lambda x: pjc.quantize(x, (-1, 0, 1)), lambda x: np.clip(np.round(x), -1, 1)),
    "round": (pjc.round, np.round),
    "sum_relu": (lambda x: pjc.sum_relu(x, x), lambda x: np.maximum(2 * x, 0)),
    "require": (lambda x: pjc.require(x, pjc.sphere(1)), lambda x: x),
}


@pytest.mark.parametrize("name", VOCABULARY)
def test_the_vocabulary_is_of_ordinary_functions(name: str) -> None:
    function, expected = VOCABULARY[name]
    for call in (function, jax.jit(function), jax.vmap(function)):
        np.testing.assert_allclose(call(X), expected(X))
    assert jax.grad(lambda x: jnp.sum(function(x)))(X).shape == X.shape
    program = pjc.trace(lambda p, x: function(x * p["w"]), {"w": np.ones(6, "float32")}, SPEC, batch=4)
    np.testing.assert_allclose(program.apply({"w": np.ones(6, "float32")}, X), expected(X), atol=1e-6)


def test_what_a_function_raises_is_told_with_its_line() -> None:
    def broken(p: Any, x: Any) -> Any:
        return x @ p["weight"]

    for params, found in (
        ({"w": jnp.ones((4, 2))}, "KeyError: 'weight'"),
        ({"weight": jnp.ones((3, 2))}, "(4,)"),
    ):
        with pytest.raises(pjc.DiagnosticError, match=r"at test_tracing_programs.py:\d+ in broken") as caught:
            pjc.trace(broken, params, pjc.f32["batch", 4])
        assert found in str(caught.value)
    with pytest.raises(
        pjc.DiagnosticError, match=r"fails while it is traced.*\n.*sizes with a name are symbols"
    ):
        pjc.trace(lambda p, x: p * int(x.shape[0]), jnp.ones(3), pjc.f32["batch", 4])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pjc.box(1), "box needs the argument 'high'"),
        (lambda: pjc.sparse(), "sparse needs the argument 'k'"),
        (lambda: pjc.cross_entropy(strenth=2), "cross_entropy has no argument 'strenth'"),
    ],
)
def test_arguments_of_sets_and_losses_are_looked_at(make: Any, message: str) -> None:
    with pytest.raises(pjc.DiagnosticError, match=message):
        make()


def test_losses_and_sets_of_the_package_are_those_of_the_language() -> None:
    assert {*pjc.LOSSES, *pjc.SETS} == ASKS.keys()
