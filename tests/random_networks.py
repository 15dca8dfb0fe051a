"""Random small networks: the text of each and the same function written in jax.numpy."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax import Array

Values = dict[str, Array]
BATCH = 3
LEVELS = (-1.0, 0.5, 2.0)


def quantized(x: Array) -> Array:
    return jnp.where(x > 1.25, 2.0, jnp.where(x > -0.25, 0.5, -1.0)).astype(x.dtype)


@dataclass
class RandomNetwork:
    """A network of up to six operations, as text and as steps on a dict of values."""

    seed: int
    loss: str = "margin(logits, y)"
    lines: list[str] = field(default_factory=list)
    steps: list[tuple[str, Callable[[Values], Array]]] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.width = self.rng.randint(1, 5)
        self.shapes["x"] = (BATCH, self.width)
        for _ in range(self.rng.randint(1, 6)):
            self.rng.choice(self.choices())()
        self.finish()

    @property
    def text(self) -> str:
        head = [f"input x: f32[batch, {self.width}]", "target y: class[batch, 3]"]
        return "\n".join([*head, *self.lines, f"require {self.loss}", ""])

    def evaluate(self, params: Values, x: Array) -> Array:
        values = {**params, "x": x}
        for name, step in self.steps:
            values[name] = step(values)
        return values["logits"]

    def choices(self) -> list[Callable[[], None]]:
        return [
            self.dense,
            self.dense,
            self.relu,
            self.add,
            self.sum_relu,
            self.maximum,
            self.concat,
            self.quantize,
            self.identity,
            self.slice,
            self.pad,
            self.transpose_twice,
            self.stacked_max,
            self.reduced_sum,
            self.gram,
            self.weighted_sum,
            self.minimum,
            self.product,
            self.absolute,
            self.mean,
            self.scaled,
            self.shifted,
            self.mixed,
        ]

    def value(self) -> str:
        return self.rng.choice(list(self.shapes))

    def same_shape(self, name: str) -> str:
        return self.rng.choice([n for n, s in self.shapes.items() if s == self.shapes[name]])

    def emit(self, text: str, shape: tuple[int, ...], step: Callable[[Values], Array]) -> str:
        name = f"v{len(self.steps)}"
        self.lines.append(f"{name} = {text}")
        self.steps.append((name, step))
        self.shapes[name] = shape
        return name

    def param(self, *shape: int) -> str:
        known = [n for n, s in self.parameters.items() if s == shape]
        if known and self.rng.random() < 0.3:
            return self.rng.choice(known)
        name = f"p{len(self.parameters)}"
        self.parameters[name] = shape
        self.lines.append(f"param {name}: f32{list(shape)} = normal(1)")
        return name

    def dense(self) -> None:
        a = self.value()
        w = self.param(self.shapes[a][1], width := self.rng.randint(1, 5))
        self.emit(f"{a} @ {w}", (BATCH, width), lambda v: v[a] @ v[w])

    def relu(self) -> None:
        a = self.value()
        self.emit(f"relu({a})", self.shapes[a], lambda v: jnp.maximum(v[a], 0))

    def add(self) -> None:
        a = self.value()
        b = self.same_shape(a)
        self.emit(f"{a} + {b}", self.shapes[a], lambda v: v[a] + v[b])

    def sum_relu(self) -> None:
        a = self.value()
        bias = self.param(self.shapes[a][1])
        self.emit(f"sum_relu({bias}, {a})", self.shapes[a], lambda v: jnp.maximum(v[bias] + v[a], 0))

    def maximum(self) -> None:
        a = self.value()
        b = self.same_shape(a)
        self.emit(f"maximum({a}, {b})", self.shapes[a], lambda v: jnp.maximum(v[a], v[b]))

    def concat(self) -> None:
        a, b = self.value(), self.value()
        width = self.shapes[a][1] + self.shapes[b][1]
        if width <= 10:
            step = lambda v: jnp.concatenate([v[a], v[b]], axis=1)  # noqa: E731
            self.emit(f"concat({a}, {b})", (BATCH, width), step)

    def quantize(self) -> None:
        a = self.value()
        self.emit(f"quantize({a}, levels = {LEVELS})", self.shapes[a], lambda v: quantized(v[a]))

    def identity(self) -> None:
        a = self.value()
        self.emit(f"identity({a})", self.shapes[a], lambda v: v[a])

    def slice(self) -> None:
        a = self.value()
        start = self.rng.randrange(self.shapes[a][1])
        step = self.rng.randint(1, 2)
        width = len(range(start, self.shapes[a][1], step))
        self.emit(f"{a}[:, {start}::{step}]", (BATCH, width), lambda v: v[a][:, start::step])

    def pad(self) -> None:
        a = self.value()
        low, high = self.rng.randint(0, 2), self.rng.randint(0, 2)
        width = self.shapes[a][1] + low + high
        step = lambda v: jnp.pad(v[a], ((0, 0), (low, high)))  # noqa: E731
        self.emit(f"pad({a}, ((0, 0), ({low}, {high})))", (BATCH, width), step)

    def transpose_twice(self) -> None:
        a = self.value()
        w = self.param(BATCH, BATCH)
        step = lambda v: (v[a].T @ v[w]).T  # noqa: E731
        self.emit(f"transpose(transpose({a}) @ {w})", self.shapes[a], step)

    def stacked_max(self) -> None:
        a = self.value()
        b = self.same_shape(a)
        step = lambda v: jnp.max(jnp.stack([v[a], v[b]]), axis=0)  # noqa: E731
        self.emit(f"max(stack({a}, {b}, axis = 0), axis = 0)", self.shapes[a], step)

    def reduced_sum(self) -> None:
        a = self.value()
        step = lambda v: jnp.sum(v[a], axis=1)[:, None]  # noqa: E731
        self.emit(f"expand(sum({a}, axis = 1), 1)", (BATCH, 1), step)

    def gram(self) -> None:
        a = self.value()
        self.emit(f"{a} @ transpose({a})", (BATCH, BATCH), lambda v: v[a] @ v[a].T)

    def weighted_sum(self) -> None:
        a = self.value()
        b = self.same_shape(a)
        step = lambda v: 0.5 * v[a] - v[b] + 0.25  # noqa: E731
        self.emit(f"{a} / 2 - {b} + 0.25", self.shapes[a], step)

    def minimum(self) -> None:
        a = self.value()
        b = self.same_shape(a)
        self.emit(f"minimum({a}, {b})", self.shapes[a], lambda v: jnp.minimum(v[a], v[b]))

    def product(self) -> None:
        a = self.value()
        b = self.same_shape(a)
        self.emit(f"{a} * {b}", self.shapes[a], lambda v: v[a] * v[b])

    def absolute(self) -> None:
        a = self.value()
        self.emit(f"abs({a})", self.shapes[a], lambda v: jnp.abs(v[a]))

    def mean(self) -> None:
        a = self.value()
        step = lambda v: jnp.mean(v[a], axis=1, keepdims=True)  # noqa: E731
        self.emit(f"expand(mean({a}, axis = 1), 1)", (BATCH, 1), step)

    def array(self, *shape: int) -> np.ndarray:
        """Return numbers that a text shows exactly, some of them 0."""
        size = int(np.prod(shape))
        return np.array([self.rng.randint(-6, 6) / 4 for _ in range(size)]).reshape(shape)

    def scaled(self) -> None:
        a = self.value()
        c = self.array(self.shapes[a][1])
        self.emit(f"{a} * array({c.tolist()})", self.shapes[a], lambda v: v[a] * c)

    def shifted(self) -> None:
        a = self.value()
        c = self.array(*self.shapes[a])
        self.emit(f"array({c.tolist()}) - {a}", self.shapes[a], lambda v: c - v[a])

    def mixed(self) -> None:
        a = self.value()
        c = self.array(self.shapes[a][1], width := self.rng.randint(1, 5))
        self.emit(f"{a} @ array({c.tolist()})", (BATCH, width), lambda v: v[a] @ c)

    def finish(self) -> None:
        a = list(self.shapes)[-1]
        w = self.param(self.shapes[a][1], 3)
        self.lines.append(f"output logits = {a} @ {w}")
        self.steps.append(("logits", lambda v: v[a] @ v[w]))
