"""Functions that work entry by entry: what equations on one tensor become computes what they do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc import f32
from pjc.tracing import pieces
from pjc.tracing.pieces import Edge, Pieces

GRID = np.arange(-40, 41) / 8
"""Numbers on which sums and products of quarters are exact: functions are compared at their very edges."""


def value(of: Pieces, x: float) -> float:
    """Return what a function is at a number, by its definition."""
    at = sum(edge.at < x or (edge.at == x and edge.after) for edge in of.edges)
    return of.slopes[at] * x + of.offsets[at]


def some(rng: np.random.Generator, *, conditions: bool = False) -> Pieces:
    """Return a function with edges on the grid, that jumps or not."""
    count = int(rng.integers(0, 4))
    found = tuple(sorted({Edge(int(at) / 4, bool(rng.integers(2))) for at in rng.integers(-8, 9, count)}))
    sizes = (0, 1) if conditions else (-8, 9)
    slopes = tuple(float(each) / 4 for each in rng.integers(*sizes, len(found) + 1))
    offsets = rng.integers(0, 2, len(found) + 1) if conditions else rng.integers(-8, 9, len(found) + 1) / 4
    return Pieces(found, slopes, tuple(map(float, offsets)))


PAIRS: dict[str, tuple[Callable[..., Pieces], Callable[[float, float], float]]] = {
    "sum": (pieces.added, lambda a, b: a + b),
    "difference": (lambda a, b: pieces.added(a, b, -1.0), lambda a, b: a - b),
    "largest": (pieces.largest, max),
    "least": (pieces.least, min),
    "gt": (lambda a, b: pieces.compared(a, b, "gt"), lambda a, b: a > b),
    "ge": (lambda a, b: pieces.compared(a, b, "ge"), lambda a, b: a >= b),
    "lt": (lambda a, b: pieces.compared(a, b, "lt"), lambda a, b: a < b),
    "le": (lambda a, b: pieces.compared(a, b, "le"), lambda a, b: a <= b),
    "eq": (lambda a, b: pieces.compared(a, b, "eq"), lambda a, b: a == b),
    "ne": (lambda a, b: pieces.compared(a, b, "ne"), lambda a, b: a != b),
}


@pytest.mark.parametrize("name", PAIRS)
def test_of_two_functions(name: str) -> None:
    make, wanted = PAIRS[name]
    rng = np.random.default_rng(3)
    for _ in range(300):
        a, b = some(rng), some(rng)
        made = make(a, b)
        assert list(made.edges) == sorted(set(made.edges))
        for x in GRID:
            assert abs(value(made, x) - float(wanted(value(a, x), value(b, x)))) < 1e-9, (a, b, x)


def test_of_conditions() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        a, b = some(rng, conditions=True), some(rng, conditions=True)
        p, q = some(rng), some(rng)
        for x in GRID:
            first, second = value(a, x), value(b, x)
            assert value(pieces.both(a, b), x) == (first and second)
            assert value(pieces.opposite(a), x) == 1 - first
            assert value(pieces.chosen(a, p, q), x) == value(q if first else p, x)


STEPS: list[Callable[[Any, float], Any]] = [
    lambda x, c: x + c,
    lambda x, c: x - c,
    lambda x, c: c - x,
    lambda x, c: 2 * x,
    lambda x, c: x / 2,
    lambda x, c: -x,
    lambda x, c: jax.nn.relu(x),
    lambda x, c: jnp.clip(x, -abs(c), 1 + abs(c)),
    lambda x, c: jnp.abs(x),
    lambda x, c: jax.nn.leaky_relu(x, 0.25),
    lambda x, c: jax.nn.relu6(x),
    lambda x, c: jax.nn.hard_tanh(x),
    lambda x, c: jnp.maximum(x, c),
    lambda x, c: jnp.minimum(x, c),
    lambda x, c: jnp.maximum(x, c - x),
    lambda x, c: x + jax.nn.relu(x - c),
    lambda x, c: jnp.where(x > c, x, 0.5 * x),
    lambda x, c: jnp.where(x >= c, x, -x),
    lambda x, c: jnp.where(x < c, 1.0, x),
    lambda x, c: jnp.where(x <= c, c, 2.0),
    lambda x, c: jnp.where(x == c, 2.0, x),
    lambda x, c: jnp.where(x != c, x, 2.0),
    lambda x, c: jnp.where((x > c) & (x < c + 1), x, 0.0),
    lambda x, c: jnp.where((x <= c) | ~(x < c + 1), x, 0.25),
    lambda x, c: x * (x > c),
    lambda x, c: jnp.sign(x),
    lambda x, c: (x > c).astype(jnp.float32) - (x < -c).astype(jnp.float32),
]


@pytest.mark.parametrize("seed", range(24))
def test_random_compositions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = [
        (STEPS[int(at)], int(c) / 4)
        for at, c in zip(rng.integers(0, len(STEPS), 4), rng.integers(-4, 5, 4), strict=True)
    ]

    def network(p, x):
        for step, c in steps:
            x = step(x, c)
        return x

    x = jnp.asarray(GRID[None], jnp.float32)
    try:
        program = pjc.trace(network, {}, f32["batch", len(GRID)])
    except pjc.DiagnosticError as error:
        # Of a function that is one number everywhere nothing is left.
        assert len(set(np.asarray(network({}, x)).flat)) == 1, error
        return
    np.testing.assert_allclose(program.apply({}, x), network({}, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("at", [0.0, 0.5, -0.75, 1e-3])
@pytest.mark.parametrize("relation", ["gt", "ge", "lt", "le", "eq", "ne"])
def test_conditions_beside_their_edge(at: float, relation: str) -> None:
    compare = {
        "gt": jnp.greater,
        "ge": jnp.greater_equal,
        "lt": jnp.less,
        "le": jnp.less_equal,
        "eq": jnp.equal,
        "ne": jnp.not_equal,
    }[relation]
    held = np.float32(at)
    beside = [held, *(np.nextafter(held, np.float32(to)) for to in (-9, 9)), held - 1, held + 1]
    if at == 0:
        beside[1:3] = [-np.finfo(np.float32).tiny, np.finfo(np.float32).tiny]
    x = jnp.asarray(beside, jnp.float32)[None]

    def network(p, x):
        return jnp.where(compare(x, at), x + 3, x)

    program = pjc.trace(network, {}, f32["batch", 5])
    np.testing.assert_array_equal(program.apply({}, x), network({}, x))


def test_equal_chains_are_one_function() -> None:
    def network(p, x):
        h = jnp.maximum(x, -1.0)
        h = jnp.minimum(h, 1.0)
        return 3 * h + 1

    text = pjc.trace(network, {}, f32["batch", 4]).to_pjn()
    assert text.count(" = ") == len(["piecewise", "logits"])
    assert list(itertools.islice((line for line in text.splitlines() if "piecewise" in line), 1))
