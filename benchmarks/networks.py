"""The networks that the benchmarks measure, and the work that they are measured against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from pjc.runtime.outer import ADAM_EPS
from pjc.runtime.outer_settings import RATE

INPUTS, WIDTH, CLASSES = 784, 128, 10


class Case(Protocol):
    """What the benchmarks need of a network."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int:
        """Samples in a batch."""

    @property
    def levels(self) -> tuple[int, ...]:
        """The optimization levels that fit into the memory and the time there is."""

    def text(self) -> str: ...
    def batch(self) -> tuple[Array, Array]: ...
    def weights(self, key: Array) -> list[Array]: ...
    def bare_products(self, weights: list[Array], x: Array, iterations: int) -> Any: ...
    def adam(self) -> tuple[Callable[[Any], Any], Callable[..., Any]]: ...


@dataclass(frozen=True)
class Mlp:
    """A perceptron whose output layer reads all hidden layers, concatenated.

    Attributes:
        layers: hidden ones.
        size: samples in a batch.
        width: units of a hidden layer; with it the name says how wide it is, if not as the others.
    """

    layers: int
    size: int = 256
    width: int = WIDTH

    @property
    def levels(self) -> tuple[int, ...]:
        """With 32 layers the copies take 5 GB in each state, with 8 a second an iteration."""
        return (0, 1, 2) if self.layers <= 2 else (2,)

    def batch(self) -> tuple[Array, Array]:
        """Return random images and classes: time does not depend on what they show."""
        return _images(self.size, (INPUTS,)), _classes((self.size,), CLASSES)

    @property
    def name(self) -> str:
        """The name in tables."""
        wide = "" if self.width == WIDTH else f"-wide-{self.width}"
        return f"mlp-{self.layers}{wide}"

    def text(self) -> str:
        """Return the network in pjc's language."""
        hidden = [f"h{index}" for index in range(self.layers)]
        body = "\n".join(
            f"{name} = relu(dense({previous}, {self.width}))"
            for previous, name in zip(["x", *hidden], hidden, strict=False)
        )
        return f"""
input x: f32[batch, {INPUTS}]
target y: class[batch, {CLASSES}]
def dense(x, width) {{
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}}
def relu(x) {{
  param bias: f32[x.shape[-1]] = zeros
  return sum_relu(bias, x)
}}
{body}
output logits = dense(concat({", ".join(hidden)}), {CLASSES})
require cross_entropy(logits, y, strength = 1.0)
"""

    def shapes(self) -> list[tuple[int, int]]:
        """Return the shapes of the weights, the output layer's last."""
        hidden = [(INPUTS if index == 0 else self.width, self.width) for index in range(self.layers)]
        return [*hidden, (self.layers * self.width, CLASSES)]

    def weights(self, key: Array) -> list[Array]:
        """Return weights drawn as he_normal does."""
        keys = jax.random.split(key, len(self.shapes()))
        return [
            jnp.sqrt(2 / shape[0]) * jax.random.normal(key, shape)
            for key, shape in zip(keys, self.shapes(), strict=True)
        ]

    def bare_products(self, weights: list[Array], x: Array, iterations: int) -> list[Array]:
        """Run nothing but the products of an iteration: forward, dW and dA; no dA for the data.

        Each layer's products read the layer before and the weights that the last iteration wrote, so that
        none can be left out or moved out of the loop; what joins them is elementwise.
        """

        def iterate(_: Array, weights: list[Array]) -> list[Array]:
            *hidden, output = weights
            values = [x]
            for weight in hidden:
                values.append(values[-1] @ weight)
            joined = jnp.concatenate(values[1:], axis=1)
            back = (joined @ output) * 1e-3
            new = [output + 1e-6 * (joined.T @ back)]
            parts = jnp.split(back @ output.T, self.layers, axis=1)
            back = parts[-1]
            for index in reversed(range(self.layers)):
                new.append(hidden[index] + 1e-6 * (values[index].T @ back))
                if index:
                    back = parts[index - 1] + back @ hidden[index].T
            return new[::-1]

        return jax.lax.fori_loop(0, iterations, iterate, weights)

    def adam(self) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
        """Return (start, run): the state for weights, and so many steps of optax's Adam on one batch."""

        def logits(weights: Any, x: Array) -> Array:
            *hidden, (output, _) = weights
            values = [x]
            for weight, bias in hidden:
                values.append(jax.nn.relu(values[-1] @ weight + bias))
            return jnp.concatenate(values[1:], axis=1) @ output

        return _adam(logits)


@dataclass(frozen=True)
class Cnn:
    """Two 3 x 3 convolutions of 16 channels on 28 x 28 images, both max-pooled over space, concatenated."""

    name: str = "cnn"
    size: int = 64
    levels: tuple[int, ...] = (2,)
    channels: int = 16

    def text(self) -> str:
        """Return the network in pjc's language."""
        return f"""
input x: f32[batch, 28, 28, 1]
target y: class[batch, {CLASSES}]
def conv(x) {{
  param weight: f32[3, 3, x.shape[-1], {self.channels}] = he_normal
  param bias: f32[{self.channels}] = zeros
  return sum_relu(conv2d(x, weight), bias)
}}
a = conv(x)
b = conv(a)
param out: f32[{2 * self.channels}, {CLASSES}] = he_normal
output logits = concat(max(a, axis = (1, 2)), max(b, axis = (1, 2))) @ out
require cross_entropy(logits, y)
"""

    def batch(self) -> tuple[Array, Array]:
        """Return random images and classes."""
        return _images(self.size, (28, 28, 1)), _classes((self.size,), CLASSES)

    def weights(self, key: Array) -> list[Array]:
        """Return weights drawn as he_normal does."""
        shapes = [
            (3, 3, 1, self.channels),
            (3, 3, self.channels, self.channels),
            (2 * self.channels, CLASSES),
        ]
        keys = jax.random.split(key, len(shapes))
        return [
            jnp.sqrt(2 / prod(shape[:-1])) * jax.random.normal(key, shape)
            for key, shape in zip(keys, shapes, strict=True)
        ]

    def bare_products(self, weights: list[Array], x: Array, iterations: int) -> list[Array]:
        """Run the convolutions of an iteration: forward, by weight and by input; no input of the first.

        All have their channels last, the layout in which XLA's CPU compiler is fast inside of a loop.
        """

        def iterate(_: Array, weights: list[Array]) -> list[Array]:
            first, second, output = weights
            a = _convolved(x, first)
            b = _convolved(a, second) * 1e-3
            back = _convolved(b, jnp.swapaxes(second[::-1, ::-1], 2, 3)) + a * 1e-3
            return [first + 1e-6 * _by_weight(x, back), second + 1e-6 * _by_weight(a, b), output]

        return jax.lax.fori_loop(0, iterations, iterate, weights)

    def adam(self) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
        """As :meth:`Mlp.adam`."""

        def logits(weights: Any, x: Array) -> Array:
            *hidden, (output, _) = weights
            values = [x]
            for weight, bias in hidden:
                values.append(jax.nn.relu(_convolved(values[-1], weight) + bias))
            return jnp.concatenate([each.max(axis=(1, 2)) for each in values[1:]], axis=1) @ output

        return _adam(logits)


@dataclass(frozen=True)
class Rnn:
    """A recurrent cell of 64 units on 65 characters, 32 steps."""

    name: str = "rnn"
    size: int = 32
    levels: tuple[int, ...] = (2,)
    steps: int = 32
    units: int = 64
    characters: int = 65

    def text(self) -> str:
        """Return the network in pjc's language."""
        return f"""
input x: f32[batch, {self.steps}, {self.characters}]
target y: class[{self.steps}, batch, {self.characters}]
def cell(x, width) {{
  param weight: f32[x.shape[-1], width] = he_normal
  param bias: f32[width] = zeros
  return sum_relu(x @ weight, bias)
}}
def linear(x, width) {{
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}}
advance = cell
out = linear
h = full((batch, {self.units}), 0)
for t in 0..{self.steps} {{
  h = advance(concat(x[:, t], h), {self.units})
  z = out(h, {self.characters})
}}
output logits = z
require cross_entropy(logits, y)
"""

    def batch(self) -> tuple[Array, Array]:
        """Return random characters, one of them 1 in each row, and the ones to predict."""
        chosen = _classes((self.size, self.steps), self.characters)
        return jax.nn.one_hot(chosen, self.characters), _classes((self.steps, self.size), self.characters)

    def weights(self, key: Array) -> list[Array]:
        """Return weights drawn as he_normal does."""
        shapes = [(self.characters + self.units, self.units), (self.units, self.characters)]
        keys = jax.random.split(key, len(shapes))
        return [
            jnp.sqrt(2 / shape[0]) * jax.random.normal(key, shape)
            for key, shape in zip(keys, shapes, strict=True)
        ]

    def bare_products(self, weights: list[Array], x: Array, iterations: int) -> list[Array]:
        """Run the products of an iteration over all steps at once: forward, dW and dA of cell and readout."""
        rows = x.shape[0] * x.shape[1]
        data = jnp.concatenate([x.reshape(rows, -1), jnp.zeros((rows, self.units))], axis=1)

        def iterate(_: Array, weights: list[Array]) -> list[Array]:
            cell, output = weights
            h = data @ cell
            z = (h @ output) * 1e-3
            back = z @ output.T
            state = back + (back @ cell.T)[:, self.characters :]
            return [cell + 1e-6 * (data.T @ state), output + 1e-6 * (h.T @ z)]

        return jax.lax.fori_loop(0, iterations, iterate, weights)

    def adam(self) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
        """As :meth:`Mlp.adam`: backpropagation through time, one step after another."""

        def logits(weights: Any, x: Array) -> Array:
            (cell, bias), (output, _) = weights

            def advance(h: Array, now: Array) -> tuple[Array, Array]:
                h = jax.nn.relu(jnp.concatenate([now, h], axis=1) @ cell + bias)
                return h, h @ output

            return jax.lax.scan(advance, jnp.zeros((x.shape[0], self.units)), x.swapaxes(0, 1))[1]

        return _adam(logits)


@dataclass(frozen=True)
class Chain:
    """Equal layers, one on another, and a readout of the last."""

    layers: int
    size: int = 64

    @property
    def name(self) -> str:
        """The name in tables."""
        return f"chain-{self.layers}"

    def text(self) -> str:
        """Return the network in pjc's language, a line for each layer."""
        lines = [f"h{index + 1} = layer(h{index})" for index in range(self.layers)]
        return f"""
input x: f32[batch, {WIDTH}]
target y: class[batch, {CLASSES}]
def layer(x) {{
  param weight: f32[x.shape[-1], {WIDTH}] = he_normal
  param bias: f32[{WIDTH}] = zeros
  return sum_relu(x @ weight, bias)
}}
h0 = x
{chr(10).join(lines)}
param out: f32[{WIDTH}, {CLASSES}] = he_normal
output logits = h{self.layers} @ out
require cross_entropy(logits, y)
"""


def _adam(logits: Callable[[Any, Array], Array]) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """Return what starts Adam from weights, each with a bias of zeros, and what runs steps of it."""
    optimizer = optax.adam(RATE, eps=ADAM_EPS)

    def loss(weights: Any, x: Array, y: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits(weights, x), y).mean()

    def start(weights: list[Array]) -> Any:
        pairs = [(weight, jnp.zeros(weight.shape[-1])) for weight in weights]
        return pairs, optimizer.init(pairs)

    def run(state: Any, x: Array, y: Array, iterations: int) -> Any:
        def step(_: Array, state: Any) -> Any:
            weights, moments = state
            updates, moments = optimizer.update(jax.grad(loss)(weights, x, y), moments)
            return optax.apply_updates(weights, updates), moments

        return jax.lax.fori_loop(0, iterations, step, state)

    return start, run


def _convolved(x: Array, kernel: Array, padding: Any = "SAME") -> Array:
    """Return the convolution of images with a kernel, zeros outside."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jnp.asarray(jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=layout))


def _by_weight(x: Array, z: Array) -> Array:
    """Return what a convolution's result z gives by its 3 x 3 kernel, for the images x."""
    made = _convolved(x.transpose(3, 1, 2, 0), z.transpose(1, 2, 0, 3), [(1, 1), (1, 1)])
    return made.transpose(1, 2, 0, 3)


def _images(size: int, shape: tuple[int, ...]) -> Array:
    rng = np.random.default_rng(0)
    x = rng.random((size, *shape), np.float32) * (rng.random((size, *shape)) < 0.2)
    return jnp.asarray(x, jnp.float32)


def _classes(shape: tuple[int, ...], count: int) -> Array:
    return jnp.asarray(np.random.default_rng(1).integers(0, count, shape), jnp.int32)
