"""Sweeps: what they tend to, that no optimization changes them, and what their programs say."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loop_networks import LOOPS
from quick import some_quick
from random_networks import RandomNetwork
from sweep_networks import NETWORKS
from xdsl.parser import Parser

import pjc
from pjc.dialects.forms import TREATMENTS
from pjc.driver import compile_text
from pjc.options import Options
from pjc.runtime.program import Program, ProgramError
from pjc.runtime.projections.cross_entropy import CrossEntropy
from pjc.universe import context

BATCH = 4
COUNT, QUICK = 100, 8
SEEDS = [pytest.param(seed, marks=() if seed < QUICK else pytest.mark.slow) for seed in range(COUNT)]


class Smooth(RandomNetwork):
    """A random network without jumps, with cross-entropy."""

    def choices(self) -> list[Any]:
        return [each for each in super().choices() if each.__name__ != "quantize"]


@pytest.fixture(autouse=True)
def doubles() -> Any:
    with jax.enable_x64(True):
        yield


def compiled(text: str, **options: Any) -> Program:
    return pjc.compile(text, solver="sweep", dtype="f64", **options)


def batch_of(program: Program, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    specs = (*program.inputs, *program.targets)
    return [
        generator.normal(size=spec.shape)
        if spec.classes is None
        else generator.integers(0, spec.classes, spec.shape)
        for spec in specs
    ]


def drawn(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Return parameters of a program, without compiling how it draws its own."""
    generator = np.random.default_rng(seed + 1)
    shapes = jax.eval_shape(lambda: program.init(0))
    return {name: generator.normal(0, 0.7, each.shape) for name, each in sorted(shapes.items())}


def displaced(program: Program, seed: int = 0, **more: Any) -> dict[str, np.ndarray]:
    params = drawn(program, seed)
    found, _ = program.displacement(params, *batch_of(program, seed), **more)
    return {name: np.asarray(value) for name, value in found.items()}


def apart(one: dict[str, Any], other: dict[str, Any], least: float = 1e-12) -> float:
    """Return the largest difference of a displacement, relative to the size of the other or ``least``."""
    assert one.keys() == other.keys()
    return max(
        float(np.linalg.norm(one[name] - other[name]) / max(np.linalg.norm(other[name]), least))
        for name in one
    )


def derivative(program: Program, seed: int = 0) -> dict[str, Any]:
    """Return the transposed derivative of the forward pass, applied to what the loss demands."""
    params, (*inputs, y) = drawn(program, seed), batch_of(program, seed)
    logits, back = jax.vjp(lambda params: program.apply(params, *inputs), params)
    (demand,) = CrossEntropy(1.0).demand((logits,), jnp.asarray(y))
    return {name: value / program.batch for name, value in back(demand)[0].items()}


MANNERS = [pytest.param(each, marks=() if each == "power" else pytest.mark.slow) for each in TREATMENTS]
LIGHT: dict[str, Any] = {"weight": 1e-6, "value_weight": 1e-8, "demand": "plain"}


@pytest.mark.parametrize("name", some_quick(NETWORKS, 3, first=1))
def test_as_values_get_light_a_sweep_tends_to_the_derivative(name: str) -> None:
    program = compiled(NETWORKS[name], batch=BATCH, **LIGHT)
    assert apart(displaced(program), derivative(program)) < 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_so_it_does_on_random_networks(seed: int) -> None:
    network = Smooth(seed, loss="cross_entropy(logits, y)")
    program = compiled(network.text, batch=3, **LIGHT)
    assert apart(displaced(program, seed), derivative(program, seed), least=1e-3) < 1e-3


@pytest.mark.parametrize("demand", MANNERS)
@pytest.mark.parametrize("name", some_quick(NETWORKS, 3))
def test_all_copies_and_no_copies_give_the_same(name: str, demand: str) -> None:
    fused, plain = (compiled(NETWORKS[name], batch=BATCH, demand=demand, level=n) for n in (2, 0))
    assert apart(displaced(fused), displaced(plain)) < 1e-10


def from_its_text(network: str, demand: str) -> float:
    """Return how far the displacement of a network is from that of its text without loops."""
    loop, text = (compiled(network, batch=BATCH, demand=demand, unroll=each) for each in (False, True))
    assert 'proj.for "' in loop.ir("proj") and 'proj.for "' not in text.ir("proj")
    return apart(displaced(loop), displaced(text))


@pytest.mark.parametrize("demand", MANNERS)
@pytest.mark.parametrize("name", some_quick(["recurrent", "two carried", "nested", "deep", "context"]))
def test_a_loop_equals_its_steps_written_one_by_one(name: str, demand: str) -> None:
    assert from_its_text(NETWORKS[name], demand) < 1e-12


@pytest.mark.parametrize("demand", MANNERS)
@pytest.mark.parametrize("name", some_quick(LOOPS, 5))
def test_so_does_one_whose_steps_read_carry_and_share_parts_of_values(name: str, demand: str) -> None:
    assert from_its_text(LOOPS[name], demand) < 1e-12


@pytest.mark.parametrize("name", NETWORKS)
def test_the_program_of_a_sweep_is_a_source(name: str) -> None:
    module = compile_text(NETWORKS[name], Options(solver="sweep", batch=BATCH)).at("proj")
    text = str(module)
    again = Parser(context(), text).parse_module()
    again.verify()
    assert str(again) == text


HEADS = """
input x: f32[batch, 6, 3]
target y: class[batch, 3]
param w: f32[6, 3, 4] = he_normal
param v: f32[6, 4, 3] = he_normal
h = clip(reshape(x, (batch, 6, 1, 3)) @ w, 0, 2)
output logits = mean(h @ v, axis = (1, 2))
require cross_entropy(logits, y)
"""


@pytest.mark.parametrize("text", [NETWORKS["skips"], NETWORKS["convolution"], HEADS])
def test_samples_that_weigh_nothing_are_not_there(text: str) -> None:
    program, smaller = (compiled(text, batch=size) for size in (6, 4))
    params, (x, y) = program.init(0), batch_of(program)
    found, _ = program.displacement(params, x, y, sample_weight=np.array([1, 0, 1, 1, 0, 1.0]))
    expected, _ = smaller.displacement(params, x[[0, 2, 3, 5]], y[[0, 2, 3, 5]])
    assert apart(found, expected) < 1e-12


def test_the_scale_of_all_weights_does_not_matter() -> None:
    program = compiled(NETWORKS["skips"], batch=4)
    weights = np.array([1, 2, 0.5, 1])
    one, two = (displaced(program, sample_weight=size * weights) for size in (1, 3))
    assert apart(one, two) < 1e-12


@pytest.mark.parametrize("size", [1e38, 1e39, 1e-46])
def test_nor_does_one_that_floats_of_the_network_do_not_have(size: float) -> None:
    program = pjc.compile(NETWORKS["skips"], batch=4, solver="sweep")
    params, (x, y), weights = program.init(0), batch_of(program), np.array([1, 2, 0.5, 1])
    data = x.astype(np.float32), y
    one, other = (program.displacement(params, *data, sample_weight=w)[0] for w in (weights, size * weights))
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-5, atol=1e-7)


def test_a_sample_counts_as_often_as_it_weighs_if_demands_are_plain() -> None:
    program, larger = (compiled(NETWORKS["skips"], batch=size, demand="plain") for size in (3, 4))
    params, (x, y) = program.init(0), batch_of(program)
    found, _ = program.displacement(params, x, y, sample_weight=np.array([1, 2, 1.0]))
    twice = [0, 1, 1, 2]
    expected, _ = larger.displacement(params, x[twice], y[twice])
    assert apart(found, expected) < 5e-2  # a response is not quite in proportion to its demand


def test_what_a_requirement_on_parameters_alone_asks_is_not_divided() -> None:
    text = """
input x: f32[batch, 3]
target y: f32[batch, 2]
param w: f32[3, 2] = normal(1)
param v: f32[4] = normal(1)
output z = x @ w
require squared_error(z, y)
require 2 * v in box(-0.1, 0.1)
"""
    moved = [displaced(compiled(text, batch=size))["v"] for size in (2, 8)]
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-12)
    product = text.replace("2 * v", "full((2, 4), 2) @ reshape(v, (4, 1))")
    weighted = displaced(compiled(product, batch=2), sample_weight=np.array([0, 1.0]))["v"]
    np.testing.assert_allclose(weighted, displaced(compiled(product, batch=3))["v"], rtol=1e-12)
    program = compiled(text, batch=2)
    v = np.asarray(drawn(program)["v"])
    np.testing.assert_allclose(moved[0], 2 * (np.clip(2 * v, -0.1, 0.1) - 2 * v), rtol=1e-12)


@pytest.mark.parametrize(
    "read",
    [
        "full((batch, 5), 0.5) @ v",
        "relu(w) @ v",
        "w @ v + full((batch, 3), 1)",
        "reshape(v[0:1], (3)) + full((batch, 3), 1)",
        "abs(reshape(v[1:2], (3))) * full((batch, 3), 0.5)",
        "w @ v\nrequire logits in box(-100, 100)",
    ],
)
def test_what_samples_ask_of_a_value_that_no_data_give_is_a_mean(read: str) -> None:
    text = f"""
target y: class[batch, 3]
param v: f32[5, 3] = normal(1)
param w: f32[batch, 5] = normal(1)
output logits = {read}
require cross_entropy(logits, y)
"""
    program = compiled(text, batch=5, **LIGHT)
    assert apart(displaced(program), derivative(program)) < 1e-3


def test_weights_as_many_as_samples_are_still_weights_that_all_share() -> None:
    text = """
input x: f32[batch, 4]
target y: class[batch, 4]
param w: f32[4, 4] = normal(1)
param b: f32[4] = normal(1)
g = abs(w) @ w
output logits = relu(x @ g + abs(b)) @ g
require cross_entropy(logits, y)
"""
    few, many = (compiled(text, batch=size) for size in (4, 8))
    params, (x, y) = drawn(few), batch_of(few)
    found, _ = few.displacement(params, x, y)
    expected, _ = many.displacement(params, np.tile(x, (2, 1)), np.tile(y, 2))
    assert apart(found, expected) < 1e-12


def test_losses_inside_and_sets_on_values_ask_too() -> None:
    text = """
input x: f32[batch, 3]
target y: f32[batch, 2]
target inner: f32[batch, 4]
param w: f32[3, 4] = normal(1)
param v: f32[4, 2] = normal(1)
h = x @ w
output z = h @ v
output hidden = h
require squared_error(z, y)
require squared_error(h, inner)
require h in box(-0.5, 0.5)
"""
    program = compiled(text, batch=4, **LIGHT)
    params, (x, y, inner) = program.init(0), batch_of(program)
    found, info = program.displacement(params, x, y, inner)
    assert len(info["requirements"]) == 3
    h = x @ params["w"]
    asked = (y - h @ params["v"]) / 2
    total = asked @ params["v"].T + (inner - h) / 2 + (np.clip(h, -0.5, 0.5) - h)
    np.testing.assert_allclose(found["v"], h.T @ asked / 4, rtol=1e-3)
    np.testing.assert_allclose(found["w"], x.T @ total / 4, rtol=1e-3)


SETS = """
input x: f32[batch, 3]
target y: class[batch, 2]
param w: f32[3, 2] = normal(1)
output logits = x @ w
require cross_entropy(logits, y)
require w in levels(-1, 0, 1)
"""


def test_parameters_in_sets_are_projected_before_they_are_used() -> None:
    program = compiled(SETS, batch=4)
    latent, data = {"w": np.array([[0.9, -0.2], [0.4, 1.3], [-0.7, 0.6]])}, batch_of(program)
    inside = program.finish(latent)
    np.testing.assert_array_equal(inside["w"], np.round(np.clip(latent["w"], -1, 1)))
    one, info = program.displacement(latent, *data)
    other, _ = program.displacement(inside, *data)
    np.testing.assert_array_equal(one["w"], other["w"])
    away = np.sqrt(np.mean((latent["w"] - inside["w"]) ** 2))
    assert float(next(iter(info["violation"].values()))) == pytest.approx(away)


def test_a_jump_passes_on_what_is_asked_of_it() -> None:
    text = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 16] = normal(1)
param v: f32[16, 3] = normal(1)
output logits = sign(x @ w) @ v
require cross_entropy(logits, y)
"""
    found = displaced(compiled(text, batch=8))
    assert float(np.linalg.norm(found["w"])) > 1e-2


@pytest.mark.parametrize("part", [1e-7, 1e-20])
def test_small_demands_reach_the_first_layer_in_single_precision(part: float) -> None:
    loss = "cross_entropy(logits, y"
    text = NETWORKS["skips"].replace(loss, f"{loss}, strength = {part}")
    options = {"batch": BATCH, "demand": "plain", "solver": "sweep"}
    program, exact = pjc.compile(text, **options), pjc.compile(text, dtype="f64", **options)
    params, (x, y) = program.init(0), batch_of(program)
    one, _ = program.displacement(params, x.astype(np.float32), y)
    other, _ = exact.displacement(params, x.astype(np.float32), y)
    assert apart({name: np.asarray(value, float) for name, value in one.items()}, dict(other)) < 1e-4


def test_a_sweep_has_no_update_and_says_what_it_has() -> None:
    program = compiled(NETWORKS["skips"], batch=4)
    for name in ("update", "gap"):
        with pytest.raises(ProgramError, match=r"displacement, start and step.*dr"):
            getattr(program, name)(program.init(0), *batch_of(program))
