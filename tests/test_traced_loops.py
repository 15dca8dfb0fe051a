"""Loops of traced functions: iterations read slices of what is computed before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

import pjc


def relu(x: Array) -> Array:
    return jnp.maximum(x, 0)


def transposed(w: Array, x: Array) -> Array:
    return lax.scan(lambda h, row: (relu(row @ w + h), None), jnp.zeros((x.shape[0], 5)), x.swapaxes(0, 1))[0]


def backwards(w: Array, x: Array) -> Array:
    def cell(h: Array, row: Array) -> tuple[Array, Array]:
        h = relu(row @ w + h)
        return h, h

    start = jnp.zeros((x.shape[0], 5))
    return lax.scan(cell, start, jnp.moveaxis(x, 1, 0), reverse=True)[1].swapaxes(0, 1)


def counted(w: Array, x: Array) -> Array:
    rows = 2 * x.swapaxes(0, 1) + 1
    return lax.fori_loop(0, 6, lambda i, h: relu(rows[i] @ w + h), jnp.zeros((x.shape[0], 5)))


def reshaped(w: Array, x: Array) -> Array:
    rows = x.reshape(-1, 2, 3, 5).transpose(1, 2, 0, 3).reshape(6, -1, 5)
    return lax.scan(lambda h, row: (relu(row @ w + h), None), jnp.zeros((x.shape[0], 5)), rows)[0]


def split(w: Array, x: Array) -> Array:
    rows = x.reshape(-1, 2, 3, 5).transpose(0, 2, 1, 3).reshape(-1, 6, 5)
    start = jnp.zeros((x.shape[0], 5))
    return lax.fori_loop(0, 6, lambda i, h: relu(rows[:, i].reshape(-1, 5) @ w + h), start)


def nested(w: Array, x: Array) -> Array:
    def outer(h: Array, row: Array) -> tuple[Array, None]:
        return lax.scan(lambda g, e: (relu(g @ w + e[:, None]), None), h, row.T)[0], None

    return lax.scan(outer, jnp.zeros((x.shape[0], 5)), x.swapaxes(0, 1))[0]


@pytest.mark.parametrize("fn", [transposed, backwards, counted, reshaped, split, nested])
def test_iterations_read_slices_of_what_is_computed(fn: Callable[..., Any]) -> None:
    random = np.random.default_rng(0)
    w, x = (random.normal(size=size).astype(np.float32) for size in ((5, 5), (4, 6, 5)))
    found = pjc.trace(fn, w, pjc.f32["batch", 6, 5]).apply(w, x)
    np.testing.assert_allclose(found, fn(jnp.asarray(w), jnp.asarray(x)), rtol=1e-5, atol=1e-5)
