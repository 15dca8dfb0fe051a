"""Functions that cannot be compiled: one error names each primitive, its lines, how often, and a stand-in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import pjc
from pjc import f32, i32
from tests.tracing import drawn

X = f32["batch", 4]


def refusal(fn: Callable[..., Any], params: Any = None, *inputs: Any) -> str:
    """Return the error of a function that cannot be compiled."""
    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.trace(fn, drawn(params or {}), *(inputs or (X,)))
    return str(caught.value)


def line_of(fn: Callable[..., Any], below: int = 0) -> str:
    """Return how an error names a line of a function."""
    return f"test_tracing_refusals.py:{fn.__code__.co_firstlineno + below}"


def gru(x):
    z, r = jax.nn.sigmoid(x), jax.nn.sigmoid(2 * x)
    return z * jnp.tanh(r * x)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "gelu": (jax.nn.gelu, "gelu", "hard_swish"),
    "gelu_exact": (lambda x: jax.nn.gelu(x, approximate=False), "gelu", "hard_swish"),
    "softmax": (jax.nn.softmax, "softmax", "cross_entropy"),
    "log_softmax": (jax.nn.log_softmax, "log_softmax", "cross_entropy"),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, axis=-1), "logsumexp", "cross_entropy"),
    "tanh": (jnp.tanh, "tanh", "hard_tanh"),
    "sigmoid": (jax.nn.sigmoid, "sigmoid", "hard_sigmoid"),
    "silu": (jax.nn.silu, "silu", "hard_swish"),
    "swish": (jax.nn.swish, "silu", "hard_swish"),
    "elu": (jax.nn.elu, "elu", "leaky_relu"),
    "selu": (jax.nn.selu, "elu", "leaky_relu"),
    "celu": (jax.nn.celu, "elu", "leaky_relu"),
    "softplus": (jax.nn.softplus, "softplus", "relu"),
    "mish": (jax.nn.mish, "mish", "hard_swish"),
    "glu": (jax.nn.glu, "sigmoid", "hard_sigmoid"),
    "standardize": (jax.nn.standardize, "layer_norm", "BatchNorm"),
    "exp": (jnp.exp, "exp", "piecewise linear"),
    "log": (lambda x: jnp.log(x + 2), "log", "piecewise linear"),
    "sqrt": (lambda x: jnp.sqrt(jnp.abs(x)), "sqrt", "constants"),
    "norm": (lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True), "norm", "ball"),
    "divide": (lambda x: 1 / x, "div", "multiply"),
    "power": (lambda x: x**0.5, "pow", "x * x"),
    "fifth power": (lambda x: x**5, "power 5", "x * x"),
    "max pool that cuts": (
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2), (1, 2), ((0, 0), (-1, 1))),
        "it cuts its input off",
        "slice it before",
    ),
    "sum pool that cuts": (
        lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2), (1, 2), ((0, 0), (-1, 1))),
        "it cuts its input off",
        "slice it before",
    ),
    "sin": (jnp.sin, "sin", "constants"),
    "floor": (jnp.floor, "floor", "pjc.round"),
    "sort": (lambda x: jnp.sort(x, axis=-1), "sort", "jnp.max"),
    "argsort": (lambda x: jnp.argsort(x, axis=-1), "sort", "jnp.max"),
    "top_k": (lambda x: lax.top_k(x, 2)[0], "sort", "jnp.max"),
    "argmax": (lambda x: jnp.argmax(x, axis=-1), "argmax", "scores"),
    "cumsum": (lambda x: jnp.cumsum(x, axis=0), "cumsum", "fixed size"),
    "while": (lambda x: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x), "while", "fori_loop"),
    "cond": (lambda x: lax.cond(x.sum() > 0, lambda y: y, lambda y: -y, x), "cond", "jnp.where"),
    "prod": (lambda x: jnp.prod(x, axis=-1), "reduce_prod", ""),
    "fft": (lambda x: jnp.abs(jnp.fft.rfft(x)), "fft", ""),
    "where_infinite": (lambda x: jnp.where(jnp.arange(4) > 1, -jnp.inf, x), "select_n", "relu of the scores"),
    "conditions": (lambda x: jnp.where((x > 0) & (x[:, ::-1] > 0), x, 0.0), "and", "nest jnp.where"),
    "mean_of_batch": (lambda x: x.mean(axis=0), "div", "batch"),
    "gru": (gru, "sigmoid", "hard_sigmoid"),
    "many_at_one_place": (lambda x: x.at[:, [0] * 17].add(jnp.tile(x, 5)[:, :17]), "more than 16", "concat"),
    "map_over_samples": (lambda x: lax.map(lambda row: row[::-1], x), "open dimension batch", "vmap"),
}
"""What is refused: what the error names, and what it says to use."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    of, named, instead = FUNCTIONS[name]

    def network(p, x):
        return of(x @ p["w"])

    told = refusal(network, {"w": (4, 4)})
    assert named in told
    assert instead in told
    assert "test_tracing_refusals.py:" in told
    assert "Traceback" not in told


def test_all_of_them_are_named_at_once() -> None:
    def network(p, x):
        h = jnp.tanh(x @ p["w"])
        h = jnp.tanh(h @ p["w"])
        h = jax.nn.gelu(h)
        return jax.nn.softmax(h)

    told = refusal(network, {"w": (4, 4)})
    assert re.search(r"tanh \(2 times\), .*:(\d+) in network, .*:(\d+) in network: ", told)
    assert line_of(network, 1) in told
    assert line_of(network, 2) in told
    assert f"gelu, {line_of(network, 3)} in network" in told
    assert "softmax" in told
    assert line_of(network, 4) in told


@jax.jit
def own_activation(x):
    return jnp.tanh(x) * 2


def test_a_function_that_is_called_from_several_lines() -> None:
    def network(p, x):
        x = own_activation(x)
        x = own_activation(x)
        return own_activation(x)

    told = refusal(network)
    assert "tanh (3 times)" in told
    assert line_of(own_activation.__wrapped__, 2) in told


def test_a_library_called_from_several_lines() -> None:
    def network(p, x):
        x = jax.nn.softmax(x)
        x = 2 * x
        return jax.nn.softmax(x)

    told = refusal(network)
    assert line_of(network, 1) in told
    assert line_of(network, 3) in told


def test_bodies_of_loops_and_maps() -> None:
    def network(p, x):
        def step(h, row):
            return jnp.tanh(h + row), None

        h, _ = lax.scan(step, x, jnp.zeros((3, 4)))
        return jax.vmap(lambda sample: jax.nn.sigmoid(sample))(h)

    told = refusal(network)
    assert f"tanh, {line_of(network, 2)} in step" in told
    assert "sigmoid" in told
    assert line_of(network, 5) in told


def test_what_follows_a_loop_that_fails_is_named_too() -> None:
    def network(p, x):
        h = jnp.tanh(x)
        h, ys = lax.scan(lambda h, _: (jnp.exp(h), h), h, None, length=3)
        return jnp.sort(ys[-1])

    told = refusal(network)
    assert all(each in told for each in ("tanh", "exp", "sort"))


def test_a_random_layer() -> None:
    def network(p, x):
        keep = jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)
        return jnp.where(keep, x, 0.0)

    told = refusal(network)
    assert "random" in told
    assert "inference" in told


def test_rows_of_whole_numbers() -> None:
    told = refusal(lambda p, n: n * 2.0, {}, i32["batch"])
    assert "whole numbers" in told
    told = refusal(lambda p, n: jnp.where(n == 3, 1.0, 2.0), {}, i32["batch"])
    assert "compares numbers of rows" in told
    told = refusal(lambda p, n: jax.nn.one_hot(n, 500) * p["w"], {"w": (500,)}, i32["batch"])
    assert "500 wide" in told
    assert "table[indices]" in told


def test_layers_of_flax() -> None:
    nnx = pytest.importorskip("flax.nnx")
    layers = {
        "layer_norm": lambda: nnx.LayerNorm(4, rngs=nnx.Rngs(0)),
        "rms_norm": lambda: nnx.RMSNorm(4, rngs=nnx.Rngs(0)),
        "group_norm": lambda: nnx.GroupNorm(4, num_groups=2, rngs=nnx.Rngs(0)),
        "softmax": lambda: nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0)),
    }
    for name, make in layers.items():
        graph, params, rest = nnx.split(make(), nnx.Param, ...)

        def network(p, x, graph=graph, rest=rest):
            return nnx.merge(graph, p, rest)(x)

        with pytest.raises(pjc.DiagnosticError) as caught:
            pjc.trace(network, params, f32["batch", 3, 4])
        assert name in str(caught.value)
        assert line_of(network, 1) in str(caught.value)


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_cells_of_flax(name: str) -> None:
    nnx = pytest.importorskip("flax.nnx")
    cell = getattr(nnx, name)(3, 4, rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(nnx.RNN(cell), nnx.Param, ...)

    def network(state, x):
        return nnx.merge(graph, *state)(x)

    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.trace(network, (params, rest), f32["batch", 5, 3])
    told = str(caught.value)
    assert "tanh" in told
    assert "relu(x @ w + h @ u + b)" in told


def test_layers_of_equinox() -> None:
    eqx = pytest.importorskip("equinox")
    key = jax.random.key(0)
    layers = {
        "layer_norm": eqx.nn.LayerNorm(4),
        "rms_norm": eqx.nn.RMSNorm(4),
        "gelu": eqx.nn.MLP(4, 3, 5, 1, activation=jax.nn.gelu, key=key),
        "tanh": eqx.nn.MLP(4, 3, 5, 1, activation=jnp.tanh, key=key),
    }
    for name, layer in layers.items():
        params, static = eqx.partition(layer, eqx.is_array)

        def network(p, x, static=static):
            return jax.vmap(eqx.combine(p, static))(x)

        with pytest.raises(pjc.DiagnosticError) as caught:
            pjc.trace(network, params, X)
        assert name in str(caught.value)
        assert line_of(network, 1) in str(caught.value)
