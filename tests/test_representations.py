"""Every representation of copies against all copies held: the unfused lowering is the oracle."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from quick import some_quick
from random_networks import BATCH, RandomNetwork
from test_golden import NAMES

import pjc
from pjc.driver import Compilation, compile_text
from pjc.options import Options
from pjc.runtime.data import load
from pjc.runtime.projections.bilinear import transposed
from pjc.runtime.projections.dot import Dot
from pjc.runtime.projections.dot_halfway import Factors, Held, project_factored, project_held
from pjc.runtime.projections.dot_shared import multiplier, project_shared

GOLDEN = Path(__file__).parent / "golden"
ITERATIONS = 50
JUMPING = ("max(", "maximum(", "quantize(")
"""What jumps at ties: Douglas-Rachford reaches such ties, and rounding then decides."""


def seeds(count: int, quick: int, without: tuple[str, ...] = ()) -> list[tuple[int, bool]]:
    """Return ``count`` seeds of networks without the operations named, and whether each is a quick one."""
    found = (s for s in itertools.count() if not any(word in RandomNetwork(s).text for word in without))
    return [(seed, n < quick) for n, seed in enumerate(itertools.islice(found, count))]


def cases(solver: str, chosen: list[tuple[int, bool]]) -> list[Any]:
    """Return a solver's cases in both types; quick seeds have one quick type each, in turn."""
    return [
        pytest.param(solver, seed, *kind, marks=() if quick and n % 2 == m else pytest.mark.slow)
        for n, (seed, quick) in enumerate(chosen)
        for m, kind in enumerate([("float64", 1e-10), ("float32", 1e-5)])
    ]


CASES = [
    *cases("ap", seeds(100, 8)),
    *cases("cp", seeds(20, 4)),
    *cases("dr", seeds(50, 8, JUMPING)),
]


def draw(network: RandomNetwork, dtype: str) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """Return parameters and a batch for a random network."""
    generator = np.random.default_rng(network.seed)
    params = {
        name: generator.normal(size=shape).astype(dtype) / np.sqrt(shape[0])
        for name, shape in network.parameters.items()
    }
    x = generator.normal(size=(BATCH, network.width)).astype(dtype)
    return params, (x, generator.integers(0, 3, BATCH).astype(np.int32))


def updating(compilation: Compilation, params: Any, data: Any, iterations: int = ITERATIONS) -> Any:
    """Return what gives the parameters after an update of any, compiled without XLA's slower passes."""
    program = compilation.program()
    named = {spec.name: array for spec, array in zip((*program.inputs, *program.targets), data, strict=True)}
    lowered = program.jitted("update").lower(params, named, np.int32(iterations))
    run = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    return lambda start: run(start, named, np.int32(iterations))[0]


def updated(compilation: Compilation, params: Any, data: Any) -> Any:
    """Return the parameters after an update."""
    return updating(compilation, params, data)(params)


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the largest distance of two parameters, relative to the norm of the first."""
    return max(
        float(np.linalg.norm(one[name] - other[name]) / max(np.linalg.norm(one[name]), 1e-6)) for name in one
    )


@pytest.mark.parametrize(("solver", "seed", "dtype", "tolerance"), CASES)
def test_exact_forms_change_nothing(solver: str, seed: int, dtype: str, tolerance: float) -> None:
    """Reflections can blow rounding up: by dr, -O0 may be as far from itself, started one bit away."""
    network = RandomNetwork(seed)
    with jax.enable_x64(dtype == "float64"):
        params, data = draw(network, dtype)
        short = {"float64": "f64", "float32": "f32"}[dtype]
        exact, fused = (
            compile_text(network.text, Options(solver=solver, batch=BATCH, dtype=short, level=level))
            for level in (0, 2)
        )
        oracle = updated(exact, params, data)
        found = distance(oracle, updated(fused, params, data))
        if solver == "dr" and found > tolerance:
            starts = [one_bit_off(params, dtype, seed) for seed in range(4)]
            tolerance = 10 * max(distance(oracle, updated(exact, start, data)) for start in starts)
        assert found <= tolerance


def one_bit_off(params: dict[str, Any], dtype: str, seed: int) -> dict[str, Any]:
    """Return parameters whose entries are changed in the last place."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, value in params.items():
        array = np.asarray(value, dtype)
        signs = generator.choice([-1, 1], array.shape).astype(dtype)
        found[name] = array * (1 + np.finfo(dtype).eps * signs)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_exact_forms_are_as_near_as_one_bit_of_the_start(seed: int) -> None:
    network = RandomNetwork(seed)
    params, data = draw(network, "float32")
    options = {"solver": ("ap", "cp", "dr")[seed % 3], "batch": BATCH}
    exact, fused = (
        updating(compile_text(network.text, Options(level=level, **options)), params, data)
        for level in (0, 1)
    )
    oracle = exact(params)
    off = [distance(oracle, exact(one_bit_off(params, "float32", start))) for start in range(8)]
    assert distance(oracle, fused(params)) <= 20 * max(*off, float(np.finfo(np.float32).eps))


@pytest.mark.parametrize("solver", ["ap", "cp", "dr"])
@pytest.mark.parametrize("name", some_quick(sorted(path.stem for path in GOLDEN.glob("*.npz")), 3))
def test_exact_forms_reproduce_the_reference(name: str, solver: str) -> None:
    golden = dict(np.load(GOLDEN / f"{name}.npz"))
    if f"out/{solver}/20/{next(k for k in golden if k.startswith('in/'))[3:]}" not in golden:
        pytest.skip(f"the reference has no {solver} for {name}")
    with jax.enable_x64(True):
        program = pjc.compile(
            GOLDEN / f"{name}.pjn", batch=len(golden["x"]), dtype="f64", solver=solver, level=1
        )
        before = {name: golden[f"in/{NAMES.get(name, name)}"] for name in program.init(0)}
        after, _ = program.update(before, golden["x"], golden["y"], iterations=20)
        for key, value in after.items():
            expected = golden[f"out/{solver}/20/{NAMES.get(key, key)}"]
            np.testing.assert_allclose(value, expected, rtol=0, atol=1e-9)


DEEP = """
const inner = 1.0
const outer = 1.0
input x: f32[batch, 64]
target y: class[batch, 10]
def dense(x, width, scale) {
  param weight: f32[x.shape[-1], width] = scale * he_normal
  return x @ weight
}
def relu(x) {
  param bias: f32[x.shape[-1]] = zeros
  return sum_relu(bias, x)
}
out = dense
h0 = relu(dense(x, 128, inner))
h1 = relu(dense(h0, 128, inner))
output logits = out(concat(h0, h1), 10, outer)
require cross_entropy(logits, y, strength = 1.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("inner", "outer"), [(1.0, 1.0), (0.1, 10.0)])
def test_factored_hidden_layers_agree_with_all_copies(inner: float, outer: float) -> None:
    digits = load("digits")
    data = (digits.x[:256], digits.y[:256].astype(np.int32))
    chosen = {"batch": 256, "defines": {"inner": inner, "outer": outer}}
    oracle, fused = (pjc.compile(DEEP, level=level, **chosen) for level in (0, 2))
    before = oracle.init(0)
    expected, _ = oracle.update(before, *data, iterations=ITERATIONS)
    after, _ = fused.update(before, *data, iterations=ITERATIONS)
    flat = [np.concatenate([np.ravel(p[name]) for name in sorted(p)]) for p in (expected, after)]
    assert np.linalg.norm(flat[0] - flat[1]) <= 2e-3 * np.linalg.norm(flat[0])
    scores = [float(np.mean(np.argmax(fused.apply(p, data[0]), -1) == data[1])) for p in (expected, after)]
    assert scores[0] == pytest.approx(scores[1], abs=0.005)


def random_dot(seed: int, batch: tuple[int, ...] = ()) -> tuple[Array, Array, Array]:
    """Return operands and target values of a dot, of sizes that differ."""
    rng = np.random.default_rng(seed)
    a, w = rng.normal(size=(*batch, 5, 7)), rng.normal(size=(*batch, 7, 3))
    return jnp.asarray(a), jnp.asarray(w), jnp.asarray(a @ w + 2 * rng.normal(size=(*batch, 5, 3)))


ROW = 2 * 3 * 7 * 8
"""The bytes of the copies in a row of two of those dots."""


@pytest.mark.parametrize(("batch", "block"), [((), 2**17), ((2,), 2**17), ((), ROW // 2), ((2,), ROW)])
def test_a_first_step_is_the_projection_of_all_copies(
    batch: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pjc.runtime.projections.dot_halfway.BLOCK_BYTES", block)
    with jax.enable_x64(True):
        a, w, z = random_dot(0, batch)
        shape = (*batch, 5, 3, 7)
        copies = (
            jnp.broadcast_to(a[..., :, None, :], shape),
            jnp.broadcast_to(transposed(w)[..., None, :, :], shape),
        )
        (new_a, new_w), value = Dot().project(copies, z)
        means = (jnp.mean(new_a, axis=-2), transposed(jnp.mean(new_w, axis=-3)))
        nothing, none = jnp.zeros_like(z), jnp.zeros(shape)
        shared = project_shared(a, w, z, (0, 1))
        held = project_held((a, w), Held(a, w, none, none), z, (0, 1))
        factored = project_factored((a, w), Factors(a, w, a, w, nothing, nothing, a @ w), z, (0, 1))
        for found_means, found_value in (shared, (held.means, held.value), (factored.means, factored.value)):
            np.testing.assert_allclose(found_value, value, rtol=1e-12, atol=1e-12)
            for found, expected in zip(found_means, means, strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("block", [2**17, ROW // 2])
def test_held_copies_are_those_of_the_iteration_written_out(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pjc.runtime.projections.dot_halfway.BLOCK_BYTES", block)
    with jax.enable_x64(True):
        (c, d, z), (c_new, d_new, _) = random_dot(1), random_dot(2)
        rng = np.random.default_rng(3)
        sigma, delta = jnp.asarray(rng.normal(size=(2, 5, 3, 7)))
        agreed = (c_new[:, None, :] + 0 * sigma, transposed(d_new)[None] + 0 * sigma)
        total, difference = (
            c[:, None, :] + transposed(d)[None] + sigma,
            c[:, None, :] - transposed(d)[None] + delta,
        )
        before = ((total + difference) / 2, (total - difference) / 2)
        reflected = tuple(2 * new - old for new, old in zip(agreed, before, strict=True))
        projected, value = jax.jit(Dot().project)(reflected, z)
        after = [p + x - a for p, x, a in zip(projected, before, agreed, strict=True)]
        found = jax.jit(project_held, static_argnums=3)((c_new, d_new), Held(c, d, sigma, delta), z, (0, 1))
        assert isinstance(found.held, Held)
        np.testing.assert_allclose(found.held.sigma, after[0] + after[1] - agreed[0] - agreed[1], atol=1e-10)
        np.testing.assert_allclose(found.held.delta, after[0] - after[1] - agreed[0] + agreed[1], atol=1e-10)
        np.testing.assert_allclose(found.value, value, atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_multiplier_solves_its_equation(dtype: str, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    t = np.sign(rng.normal(size=10**5)) * 10.0 ** rng.uniform(-5, -0.05, 10**5)
    plus, minus = 10.0 ** rng.uniform(-3, 3, (2, 10**5))
    w = np.abs(t) / (1 - np.abs(t))
    big, small = np.where(t > 0, plus, minus), np.where(t > 0, minus, plus)
    r = w * (big * (2 + w) + small * (2 + 3 * w) / (1 + 2 * w) ** 2 + 1 / (1 + w))
    with jax.enable_x64(dtype == "float64"):
        # p counts only in z - p, so that it can be zero here and cost no digits.
        arrays = [jnp.asarray(each, dtype) for each in (0 * r, plus, minus, np.sign(t) * r)]
        found = np.asarray(jax.jit(multiplier)(*arrays), np.float64)
        found = found / (1 + np.abs(found))
    np.testing.assert_allclose(found, t, rtol=tolerance, atol=0)


@pytest.mark.parametrize("z", [0.0, 0.5, -0.5, 3.0, -3.0, 1e30])
def test_dead_units_give_numbers(z: float) -> None:
    zeros, target = jnp.zeros((2, 4)), jnp.full((2, 3), z, jnp.float32)
    means, value = jax.jit(project_shared, static_argnums=3)(zeros, jnp.zeros((4, 3)), target, (0, 1))
    assert all(np.all(np.isfinite(each)) for each in (*means, value))
    if abs(z) <= 1:
        np.testing.assert_allclose(value, 0, atol=1e-6)


def test_a_dot_that_a_loss_reads_is_held_where_another_of_its_size_is_factored() -> None:
    text = """
input x: f32[batch, 64]
target y: class[batch, 100]
param v: f32[64, 100] = he_normal
param w: f32[100, 100] = he_normal
output logits = relu(x @ v) @ w
require cross_entropy(logits, y)
"""
    found = compile_text(text, Options(batch=512, solver="dr")).explain()
    assert [each.choice.form for each in found] == ["factored", "held"]
    assert "a loss reads it" in found[1].choice.reason
    small = compile_text(text, Options(batch=512, solver="dr", memory=2**29)).explain()
    assert [each.choice.form for each in small] == ["factored", "factored"]
    assert "do not fit in 32 MiB, a sixteenth of the device's memory" in small[1].choice.reason


@pytest.mark.parametrize(
    "read",
    ["h @ w + b", "sum_relu(b, h @ w)", "2 * (h @ w) - b", "clip(abs(h @ w), 0, 3)"],
)
def test_a_dot_that_a_loss_reads_through_other_nodes_is_held_too(read: str) -> None:
    text = f"""
input x: f32[batch, 64]
target y: class[batch, 100]
param v: f32[64, 100] = he_normal
param w: f32[100, 100] = he_normal
param b: f32[100] = zeros
h = relu(x @ v)
output logits = {read}
require cross_entropy(logits, y)
"""
    found = compile_text(text, Options(batch=512, solver="dr")).explain()
    assert [each.choice.form for each in found] == ["factored", "held"]
    assert "a loss reads it" in found[1].choice.reason
