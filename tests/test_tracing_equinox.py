"""Layers and models of Equinox, as its users write them: the network computes what the model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import pjc
from pjc import f32, i32
from tests.tracing import compare, data

eqx = pytest.importorskip("equinox")
nn = eqx.nn if hasattr(eqx, "nn") else None
KEY = jax.random.key(0)


def function_of(model: Any) -> tuple[Callable[..., Any], Any]:
    """Return a model of single samples as a function of its parameters and a batch, and the parameters."""
    params, static = eqx.partition(model, eqx.is_array)

    def apply(params, *inputs):
        return jax.vmap(eqx.combine(params, static))(*inputs)

    return apply, params


def check(model: Any, *inputs: Any, rows: int = 5) -> Any:
    fn, params = function_of(model)
    program = pjc.trace(fn, params, *inputs)
    compare(fn, params, data(inputs, rows), program)
    return program


LAYERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "Linear": (lambda: nn.Linear(4, 3, key=KEY), f32["batch", 4]),
    "Linear_without_bias": (lambda: nn.Linear(4, 3, use_bias=False, key=KEY), f32["batch", 4]),
    "Linear_scalar": (lambda: nn.Linear(4, "scalar", key=KEY), f32["batch", 4]),
    "Linear_of_scalar": (lambda: nn.Linear("scalar", 4, key=KEY), f32["batch"]),
    "Identity": (lambda: nn.Sequential([nn.Identity(), nn.Linear(4, 3, key=KEY)]), f32["batch", 4]),
    "MLP": (lambda: nn.MLP(4, 3, 5, 2, key=KEY), f32["batch", 4]),
    "MLP_scalar": (lambda: nn.MLP(4, "scalar", 5, 1, key=KEY), f32["batch", 4]),
    "MLP_leaky": (lambda: nn.MLP(4, 3, 5, 1, activation=jax.nn.leaky_relu, key=KEY), f32["batch", 4]),
    "MLP_final": (lambda: nn.MLP(4, 3, 5, 1, final_activation=jax.nn.relu6, key=KEY), f32["batch", 4]),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, key=KEY), f32["batch", 2, 7]),
    "Conv1d_same": (lambda: nn.Conv1d(2, 3, 3, padding="SAME", key=KEY), f32["batch", 2, 7]),
    "Conv1d_dilated": (lambda: nn.Conv1d(2, 3, 3, padding=2, dilation=2, key=KEY), f32["batch", 2, 7]),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3, key=KEY), f32["batch", 2, 6, 5]),
    "Conv2d_strides": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1, key=KEY), f32["batch", 2, 6, 6]),
    "Conv2d_groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, key=KEY), f32["batch", 4, 5, 5]),
    "Conv2d_window": (
        lambda: nn.Conv2d(2, 3, (3, 2), padding=((1, 0), (0, 2)), dilation=(1, 2), key=KEY),
        f32["batch", 2, 6, 6],
    ),
    "Conv2d_without_bias": (lambda: nn.Conv2d(2, 3, 1, use_bias=False, key=KEY), f32["batch", 2, 4, 4]),
    "MaxPool1d": (lambda: nn.MaxPool1d(2, 2), f32["batch", 3, 8]),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, 2), f32["batch", 2, 6, 6]),
    "MaxPool2d_overlapping": (lambda: nn.MaxPool2d(3, 1), f32["batch", 2, 5, 5]),
    "MaxPool2d_padded": (lambda: nn.MaxPool2d(3, 2, padding=1), f32["batch", 2, 6, 6]),
    "MaxPool2d_ceil": (lambda: nn.MaxPool2d(2, 2, use_ceil=True), f32["batch", 2, 5, 5]),
    "AvgPool1d": (lambda: nn.AvgPool1d(2, 2), f32["batch", 3, 8]),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, 2), f32["batch", 2, 6, 6]),
    "AvgPool2d_padded": (lambda: nn.AvgPool2d(3, 2, padding=1), f32["batch", 2, 6, 6]),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(2), f32["batch", 2, 6]),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(2), f32["batch", 2, 6, 6]),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), f32["batch", 2, 6, 6]),
    "Embedding": (lambda: nn.Embedding(5, 4, key=KEY), i32["batch"]),
    "Dropout": (lambda: nn.Dropout(0.5, inference=True), f32["batch", 4]),
    "PReLU": (lambda: nn.PReLU(0.25), f32["batch", 4]),
    "Lambda": (lambda: nn.Lambda(jax.nn.hard_tanh), f32["batch", 4]),
    "Sequential": (
        lambda: nn.Sequential(
            [
                nn.Linear(4, 6, key=KEY),
                nn.Lambda(jax.nn.relu),
                nn.Dropout(0.1, inference=True),
                nn.Linear(6, 2, key=KEY),
            ]
        ),
        f32["batch", 4],
    ),
    "convolutional": (
        lambda: nn.Sequential(
            [
                nn.Conv2d(1, 3, 3, padding=1, key=KEY),
                nn.Lambda(jax.nn.relu),
                nn.MaxPool2d(2, 2),
                nn.Conv2d(3, 4, 3, stride=2, key=KEY),
                nn.Lambda(jax.nn.leaky_relu),
                nn.AvgPool2d(2, 1),
                nn.Lambda(jnp.ravel),
                nn.Linear(16, 2, key=KEY),
            ]
        ),
        f32["batch", 1, 14, 14],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, inputs = LAYERS[name]
    check(make(), inputs)


class CNN(eqx.Module):
    """The model of the tutorial on MNIST, with a parameter for its size, and for how it ends."""

    layers: list[Any]

    def __init__(self, key: Any, size: int = 28, *ends: Callable[..., Any], hidden: int = 512):
        keys = jax.random.split(key, 4)
        side = size - 3 - 1
        self.layers = [
            eqx.nn.Conv2d(1, 3, kernel_size=4, key=keys[0]),
            eqx.nn.MaxPool2d(kernel_size=2),
            jax.nn.relu,
            jnp.ravel,
            eqx.nn.Linear(3 * side * side, hidden, key=keys[1]),
            jax.nn.relu,
            eqx.nn.Linear(hidden, 64, key=keys[2]),
            jax.nn.relu,
            eqx.nn.Linear(64, 10, key=keys[3]),
            *ends,
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_the_model_of_the_tutorial() -> None:
    program = check(CNN(KEY, 9, hidden=8), f32["batch", 1, 9, 9])
    text = program.to_pjn()
    # The input and the window in, the image out once, to be flattened in the order of channels first.
    assert text.count("transpose") <= 5


def test_the_model_of_the_tutorial_as_it_is_there() -> None:
    model = CNN(KEY, 9, jax.nn.log_softmax, hidden=8)
    fn, params = function_of(model)
    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.trace(fn, params, f32["batch", 1, 9, 9])
    told = str(caught.value)
    assert "log_softmax" in told
    assert "cross_entropy" in told
    assert "test_tracing_equinox.py" in told


@pytest.mark.slow
def test_the_model_of_the_tutorial_in_its_size() -> None:
    check(CNN(KEY), f32["batch", 1, 28, 28])


def test_a_recurrent_cell() -> None:
    class Recurrent(eqx.Module):
        inner: Any
        outer: Any

        def __call__(self, rows):
            def step(h, row):
                return jax.nn.relu(self.inner(row) + self.outer(h)), None

            return jax.lax.scan(step, jnp.zeros(4), rows)[0]

    model = Recurrent(nn.Linear(3, 4, key=KEY), nn.Linear(4, 4, key=jax.random.key(1)))
    program = check(model, f32["batch", 5, 3])
    assert program.to_pjn().count("for ") == 1


def test_tokens_in_a_sequence() -> None:
    class Bag(eqx.Module):
        table: Any
        out: Any

        def __call__(self, tokens):
            rows = jax.vmap(self.table)(tokens)
            return self.out(jax.nn.relu(rows).mean(axis=0))

    check(Bag(nn.Embedding(5, 4, key=KEY), nn.Linear(4, 2, key=KEY)), i32["batch", 3])


def test_equal_layers_by_scan() -> None:
    class Stack(eqx.Module):
        layers: Any

        def __init__(self):
            self.layers = eqx.filter_vmap(lambda key: nn.Linear(4, 4, key=key))(jax.random.split(KEY, 3))

        def __call__(self, x):
            arrays, static = eqx.partition(self.layers, eqx.is_array)

            def step(x, layer):
                return x + jax.nn.relu(eqx.combine(layer, static)(x)), None

            return jax.lax.scan(step, x, arrays)[0]

    program = check(Stack(), f32["batch", 4])
    assert program.to_pjn().count("for ") == 1


def test_a_mixer() -> None:
    class Mixer(eqx.Module):
        patches: Any
        tokens: Any
        channels: Any

        def __call__(self, image):
            x = self.patches(image)
            channels, height, width = x.shape
            x = x.reshape(channels, height * width)
            x = x + jax.vmap(self.tokens)(x)
            x = x + jax.vmap(self.channels)(x.T).T
            return jnp.max(x, axis=1)

    keys = jax.random.split(KEY, 3)
    model = Mixer(
        nn.Conv2d(1, 3, 2, stride=2, key=keys[0]),
        nn.MLP(9, 9, 5, 1, key=keys[1]),
        nn.MLP(3, 3, 5, 1, key=keys[2]),
    )
    check(model, f32["batch", 1, 6, 6])


def test_filter_jit() -> None:
    class Model(eqx.Module):
        layer: Any

        @eqx.filter_jit
        def __call__(self, x):
            return jax.nn.relu(self.layer(x))

    check(Model(nn.Linear(4, 3, key=KEY)), f32["batch", 4])


def test_checkpoint() -> None:
    class Model(eqx.Module):
        layer: Any

        def __call__(self, x):
            return eqx.filter_checkpoint(lambda layer, x: jax.nn.relu(layer(x)))(self.layer, x)

    check(Model(nn.Linear(4, 4, key=KEY)), f32["batch", 4])


def test_batch_norm_in_inference() -> None:
    class Model(eqx.Module):
        layer: Any
        norm: Any

        def __call__(self, x, state):
            x, state = self.norm(self.layer(x), state)
            return jax.nn.relu(x), state

    norm = nn.BatchNorm(3, axis_name="batch", mode="batch")
    model, state = eqx.nn.make_with_state(lambda: Model(nn.Linear(4, 3, key=KEY), norm))()
    batch = jax.random.normal(KEY, (16, 4))
    each = jax.vmap(model, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    _, state = each(batch, state)
    params, static = eqx.partition(eqx.nn.inference_mode(model), eqx.is_array)

    def apply(params, x):
        trained = eqx.combine(params, static)
        return jax.vmap(lambda sample: trained(sample, state)[0], axis_name="batch")(x)

    inputs = (f32["batch", 4],)
    compare(apply, params, data(inputs, 5), pjc.trace(apply, params, *inputs))
