"""Functions to trace, each with its parameters and inputs, and how networks are compared with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pjc
from pjc.tracing.specs import Spec

BATCH = 3
"""The batch that networks are run at; they are compiled at another."""


@dataclass(frozen=True)
class Case:
    """A function, the shapes of its parameters (a tree, tuples as leaves), and its inputs."""

    name: str
    fn: Callable[..., Any]
    params: Any
    inputs: tuple[Spec, ...]
    rows: int = 5
    """Inputs of whole numbers are below it."""


@dataclass
class Cases:
    """Cases, by the decorator that enters them."""

    found: list[Case] = field(default_factory=list)

    def __call__(
        self, *inputs: Spec, rows: int = 5, **params: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def enter(fn: Callable[..., Any]) -> Callable[..., Any]:
            self.found.append(Case(fn.__name__, fn, params, inputs, rows))
            return fn

        return enter


def drawn(shapes: Any, seed: int = 0) -> Any:
    """Return numbers of these shapes, of a size that keeps sums near 1."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> jax.Array:
        fan = int(np.prod(shape[:-1])) if len(shape) > 1 else 4
        return jnp.asarray(rng.normal(size=shape) / max(1.0, fan**0.5), jnp.float32)

    return jax.tree.map(draw, shapes, is_leaf=lambda leaf: isinstance(leaf, tuple))


def data(inputs: tuple[Spec, ...], rows: int, batch: int = BATCH, seed: int = 1) -> list[jax.Array]:
    """Return inputs of a batch; numbers include 0, at which functions have edges."""
    rng = np.random.default_rng(seed)
    found = []
    for spec in inputs:
        sizes = [batch if isinstance(each, str) else each for each in spec.dims]
        if spec.dtype == "int32":
            found.append(jnp.asarray(rng.integers(0, rows, sizes), jnp.int32))
        else:
            numbers = np.where(rng.random(sizes) < 0.1, 0.0, rng.normal(size=sizes))
            found.append(jnp.asarray(numbers, spec.dtype))
    return found


def compare(fn: Callable[..., Any], params: Any, arrays: list[Any], program: Any) -> None:
    """Assert that a traced network computes what its function does."""
    wanted, found = fn(params, *arrays), program.apply(params, *arrays)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for have, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert np.shape(have) == np.shape(want)
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


def check(case: Case, options: Mapping[str, Any] | None = None) -> Any:
    """Trace a case, compare it with its function, and return the network."""
    params = drawn(case.params)
    program = pjc.trace(case.fn, params, *case.inputs, **(options or {}))
    compare(case.fn, params, data(case.inputs, case.rows), program)
    return program
