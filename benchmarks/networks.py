"""The networks that the benchmarks measure, and the work that they are measured against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

INPUTS, WIDTH, CLASSES = 784, 128, 10


@dataclass(frozen=True)
class Mlp:
    """A perceptron whose output layer reads all hidden layers, concatenated."""

    layers: int

    @property
    def name(self) -> str:
        """The name in tables."""
        return f"mlp-{self.layers}"

    def text(self) -> str:
        """Return the network in pjc's language."""
        hidden = [f"h{index}" for index in range(self.layers)]
        body = "\n".join(
            f"{name} = relu(dense({previous}, {WIDTH}))"
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
        hidden = [(INPUTS if index == 0 else WIDTH, WIDTH) for index in range(self.layers)]
        return [*hidden, (self.layers * WIDTH, CLASSES)]

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

    def adam(self) -> tuple[Callable[[Any, Array], Any], Callable[..., Any]]:
        """Return (start, run): the state for weights, and so many steps of optax's Adam on one batch."""
        optimizer = optax.adam(1e-3)

        def loss(weights: Any, x: Array, y: Array) -> Array:
            *hidden, (output, _) = weights
            values = [x]
            for weight, bias in hidden:
                values.append(jax.nn.relu(values[-1] @ weight + bias))
            logits = jnp.concatenate(values[1:], axis=1) @ output
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        def start(weights: list[Array]) -> Any:
            pairs = [(weight, jnp.zeros(weight.shape[1])) for weight in weights]
            return pairs, optimizer.init(pairs)

        def run(state: Any, x: Array, y: Array, iterations: int) -> Any:
            def step(_: Array, state: Any) -> Any:
                weights, moments = state
                updates, moments = optimizer.update(jax.grad(loss)(weights, x, y), moments)
                return optax.apply_updates(weights, updates), moments

            return jax.lax.fori_loop(0, iterations, step, state)

        return start, run


def batch(size: int) -> tuple[Array, Array]:
    """Return a batch of random images and classes: time does not depend on what they show."""
    rng = np.random.default_rng(0)
    x = rng.random((size, INPUTS), np.float32) * (rng.random((size, INPUTS)) < 0.2)
    return jnp.asarray(x, jnp.float32), jnp.asarray(rng.integers(0, CLASSES, size), jnp.int32)
