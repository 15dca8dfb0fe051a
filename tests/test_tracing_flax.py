"""Layers and models of Flax (nnx), as its users write them: the network computes what the model does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import pjc
from pjc import f32, i32
from tests.tracing import compare, data

nnx = pytest.importorskip("flax.nnx")


def function_of(model: Any) -> tuple[Callable[..., Any], Any]:
    """Return a model as a function of its parameters, and these."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def apply(params, *inputs):
        return nnx.merge(graph, params, rest)(*inputs)

    return apply, params


def check_with_keys(model: Any, *inputs: Any) -> Any:
    """Compare a model whose layers hold keys: they go in beside the parameters, as ``nnx`` asks for."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def apply(state, *inputs):
        return nnx.merge(graph, *state)(*inputs)

    program = pjc.trace(apply, (params, rest), *inputs)
    compare(apply, (params, rest), data(inputs, 5), program)
    return program


def check(model: Any, *inputs: Any, rows: int = 5) -> Any:
    fn, params = function_of(model)
    program = pjc.trace(fn, params, *inputs)
    compare(fn, params, data(inputs, rows), program)
    return program


def seeded() -> Any:
    return nnx.Rngs(0)


def moved_norm(features: int) -> Any:
    """Return a BatchNorm in inference, with statistics as after training."""
    norm = nnx.BatchNorm(features, use_running_average=True, rngs=seeded())
    norm.mean[...] = jnp.linspace(-0.5, 0.5, features)
    norm.var[...] = jnp.linspace(0.5, 2.0, features)
    norm.scale[...] = jnp.linspace(1.0, 1.5, features)
    norm.bias[...] = jnp.linspace(0.1, -0.1, features)
    return norm


LAYERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "Linear": (lambda: nnx.Linear(4, 3, rngs=seeded()), f32["batch", 4]),
    "Linear_sequence": (lambda: nnx.Linear(4, 3, rngs=seeded()), f32["batch", 5, 4]),
    "Linear_without_bias": (lambda: nnx.Linear(4, 3, use_bias=False, rngs=seeded()), f32["batch", 4]),
    "LinearGeneral": (lambda: nnx.LinearGeneral(4, (2, 3), rngs=seeded()), f32["batch", 5, 4]),
    "LinearGeneral_axes": (
        lambda: nnx.LinearGeneral((2, 3), 4, axis=(-2, -1), rngs=seeded()),
        f32["batch", 5, 2, 3],
    ),
    "Einsum": (lambda: nnx.Einsum("btd,dhk->bthk", (4, 2, 3), (2, 3), rngs=seeded()), f32["batch", 5, 4]),
    "Conv": (lambda: nnx.Conv(2, 3, (3, 3), rngs=seeded()), f32["batch", 6, 6, 2]),
    "Conv_valid": (lambda: nnx.Conv(2, 3, (3, 2), padding="VALID", rngs=seeded()), f32["batch", 6, 6, 2]),
    "Conv_strides": (lambda: nnx.Conv(2, 3, (3, 3), strides=(2, 1), rngs=seeded()), f32["batch", 6, 5, 2]),
    "Conv_dilated": (lambda: nnx.Conv(2, 3, (3, 3), kernel_dilation=2, rngs=seeded()), f32["batch", 6, 6, 2]),
    "Conv_groups": (
        lambda: nnx.Conv(4, 6, (3, 3), feature_group_count=2, rngs=seeded()),
        f32["batch", 6, 6, 4],
    ),
    "Conv_padding": (
        lambda: nnx.Conv(2, 3, (3, 3), padding=((1, 0), (2, 1)), rngs=seeded()),
        f32["batch", 6, 6, 2],
    ),
    "Conv_circular": (
        lambda: nnx.Conv(2, 3, (3, 3), padding="CIRCULAR", rngs=seeded()),
        f32["batch", 5, 5, 2],
    ),
    "Conv_one": (lambda: nnx.Conv(2, 3, 3, rngs=seeded()), f32["batch", 7, 2]),
    "Conv_causal": (lambda: nnx.Conv(2, 3, (3,), padding="CAUSAL", rngs=seeded()), f32["batch", 7, 2]),
    "Embed": (lambda: nnx.Embed(5, 4, rngs=seeded()), i32["batch", 3]),
    "BatchNorm": (lambda: moved_norm(4), f32["batch", 4]),
    "BatchNorm_image": (lambda: moved_norm(3), f32["batch", 4, 4, 3]),
    "Dropout": (lambda: nnx.Dropout(0.5, deterministic=True, rngs=seeded()), f32["batch", 4]),
    "Dropout_of_0": (lambda: nnx.Dropout(0.0, rngs=seeded()), f32["batch", 4]),
    "PReLU": (lambda: nnx.PReLU(0.1), f32["batch", 4]),
    "LoRA": (lambda: nnx.LoRALinear(4, 3, lora_rank=2, rngs=seeded()), f32["batch", 4]),
    "Sequential": (
        lambda: nnx.Sequential(
            nnx.Linear(4, 6, rngs=seeded()),
            moved_norm(6),
            nnx.relu,
            nnx.Dropout(0.1, deterministic=True, rngs=seeded()),
            nnx.Linear(6, 2, rngs=seeded()),
        ),
        f32["batch", 4],
    ),
    "convolutional": (
        lambda: nnx.Sequential(
            nnx.Conv(1, 2, (3, 3), rngs=seeded()),
            nnx.relu,
            partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2)),
            nnx.Conv(2, 3, (3, 3), strides=2, rngs=seeded()),
            moved_norm(3),
            nnx.relu,
            lambda x: x.mean(axis=(1, 2)),
        ),
        f32["batch", 8, 8, 1],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, inputs = LAYERS[name]
    check(make(), inputs)


POOLS = {
    "max_pool": partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2)),
    "max_pool_same": partial(nnx.max_pool, window_shape=(3, 3), strides=(2, 2), padding="SAME"),
    "max_pool_overlapping": partial(nnx.max_pool, window_shape=(3, 3)),
    "min_pool": partial(nnx.min_pool, window_shape=(2, 2), strides=(2, 2)),
    "avg_pool": partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2)),
    "avg_pool_same": partial(nnx.avg_pool, window_shape=(3, 3), strides=(2, 2), padding="SAME"),
    "avg_pool_counted": partial(
        nnx.avg_pool, window_shape=(3, 3), strides=(2, 2), padding="SAME", count_include_pad=False
    ),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str) -> None:
    fn = POOLS[name]
    inputs = (f32["batch", 5, 6, 2],)
    compare(lambda p, x: fn(x), {}, data(inputs, 5), pjc.trace(lambda p, x: fn(x), {}, *inputs))


class CNN(nnx.Module):
    """The model of the introductory tutorial, with a parameter for its sizes."""

    def __init__(self, size: int = 28, channels: tuple[int, int] = (32, 64), hidden: int = 256, *, rngs: Any):
        first, second = channels
        self.conv1 = nnx.Conv(1, first, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm1 = nnx.BatchNorm(first, rngs=rngs)
        self.dropout1 = nnx.Dropout(rate=0.025)
        self.conv2 = nnx.Conv(first, second, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm2 = nnx.BatchNorm(second, rngs=rngs)
        self.avg_pool = partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))
        self.linear1 = nnx.Linear((size // 4) ** 2 * second, hidden, rngs=rngs)
        self.dropout2 = nnx.Dropout(rate=0.025)
        self.linear2 = nnx.Linear(hidden, 10, rngs=rngs)

    def __call__(self, x, rngs: Any = None):
        x = self.avg_pool(nnx.relu(self.batch_norm1(self.dropout1(self.conv1(x), rngs=rngs))))
        x = self.avg_pool(nnx.relu(self.batch_norm2(self.conv2(x))))
        x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.dropout2(self.linear1(x), rngs=rngs))
        return self.linear2(x)


def test_the_model_of_the_tutorial() -> None:
    model = CNN(8, (3, 4), 6, rngs=seeded())
    model.eval()
    program = check(model, f32["batch", 8, 8, 1])
    assert "transpose" not in program.to_pjn()


@pytest.mark.slow
def test_the_model_of_the_tutorial_in_its_size() -> None:
    model = CNN(rngs=seeded())
    model.eval()
    check(model, f32["batch", 28, 28, 1])


def test_a_recurrent_layer() -> None:
    cell = nnx.SimpleCell(3, 4, activation_fn=nnx.relu, rngs=seeded())
    program = check_with_keys(nnx.RNN(cell), f32["batch", 5, 3])
    assert program.to_pjn().count("for ") == 1


def test_a_recurrent_layer_from_the_end() -> None:
    cell = nnx.SimpleCell(3, 4, activation_fn=nnx.relu, rngs=seeded())
    check_with_keys(nnx.RNN(cell, reverse=True, keep_order=True), f32["batch", 5, 3])


def test_a_bidirectional_layer() -> None:
    cells = [nnx.SimpleCell(3, 4, activation_fn=nnx.relu, rngs=nnx.Rngs(seed)) for seed in (0, 1)]
    check_with_keys(nnx.Bidirectional(*map(nnx.RNN, cells)), f32["batch", 5, 3])


class Block(nnx.Module):
    """A layer of attention with relu for the softmax, as a user writes it."""

    def __init__(self, width: int, heads: int, *, rngs: Any):
        self.heads = heads
        self.qkv = nnx.LinearGeneral(width, (3, heads, width // heads), rngs=rngs)
        self.out = nnx.LinearGeneral((heads, width // heads), width, axis=(-2, -1), rngs=rngs)
        self.up, self.down = nnx.Linear(width, 2 * width, rngs=rngs), nnx.Linear(2 * width, width, rngs=rngs)

    def __call__(self, x):
        q, k, v = jnp.moveaxis(self.qkv(x), 2, 0)
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", nnx.relu(scores) / x.shape[1], v)
        x = x + self.out(mixed)
        return x + self.down(nnx.relu(self.up(x)))


def test_a_layer_of_attention() -> None:
    check(Block(4, 2, rngs=seeded()), f32["batch", 3, 4])


class Stack(nnx.Module):
    """Equal layers, made by vmap and run by scan."""

    def __init__(self, *, rngs: Any):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def make(rngs):
            return Block(4, 2, rngs=rngs)

        self.blocks = make(rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def forward(block, x):
            return block(x)

        return forward(self.blocks, x)


def test_equal_layers_by_scan() -> None:
    program = check(Stack(rngs=seeded()), f32["batch", 3, 4])
    assert program.to_pjn().count("for ") == 1


def test_remat() -> None:
    class Model(nnx.Module):
        def __init__(self, *, rngs: Any):
            self.layer = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x):
            return nnx.remat(lambda layer, x: nnx.relu(layer(x)))(self.layer, x)

    check(Model(rngs=seeded()), f32["batch", 4])


def test_attend_shares_a_table() -> None:
    class Model(nnx.Module):
        def __init__(self, *, rngs: Any):
            self.embed = nnx.Embed(5, 4, rngs=rngs)

        def __call__(self, n):
            return self.embed.attend(nnx.relu(self.embed(n)))

    check(Model(rngs=seeded()), i32["batch", 3])


def test_a_model_with_jit() -> None:
    class Model(nnx.Module):
        def __init__(self, *, rngs: Any):
            self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(3)])

        @nnx.jit
        def __call__(self, x):
            for layer in self.layers:
                x = jax.nn.relu(layer(x))
            return x

    check(Model(rngs=seeded()), f32["batch", 4])
