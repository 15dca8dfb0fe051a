"""A traced network computes what its function does, or says that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import pjc
from pjc.runtime.program import ProgramError
from pjc.tracing.specs import f32, i32
from tests.tracing import Case, check

SPEC = f32["batch", 4]


def looped(count: int, place: Any) -> Any:
    """Return a function whose loop reads weights by what is made of the number of its iteration."""
    return lambda p, x: lax.fori_loop(0, count, lambda i, h: jax.nn.relu(h @ p[place(i)]) + x, x)


def nested(outer: int, inner: int, place: Any) -> Any:
    """Return a function of two loops, the inner one of which does what is made of both numbers."""
    return lambda p, x: lax.fori_loop(
        0, outer, lambda i, h: lax.fori_loop(0, inner, lambda j, g: place(i, j, g, p), h), x
    )


def other(i: Any, j: Any, h: Any, p: Any) -> Any:
    return jnp.where(i == j, h, h @ p)


def counting_otherwise(p: Any, x: Any) -> Any:
    """Carry a number through an inner loop that is that of the outer one."""

    def outer(i: Any, h: Any) -> Any:
        return lax.fori_loop(0, 3, lambda j, kept: (i + 1, jax.nn.relu(kept[1] @ p[kept[0]])), (0, h))[1]

    return lax.fori_loop(0, 3, outer, x)


def collecting(count: int) -> Any:
    """Return a function whose inner loop of so many iterations collects the number of the outer one."""

    def step(p: Any, h: Any, i: Any) -> Any:
        numbers = lax.scan(lambda kept, j: (kept, i), None, jnp.arange(count))[1]
        return jax.nn.relu(h @ p[numbers[0]]), None

    return lambda p, x: lax.scan(lambda h, i: step(p, h, i), x, jnp.arange(3))[0]


REFUSED = {
    "places of loops of one length": (SPEC, (4, 4), nested(3, 3, other), "in some iterations"),
    "places of loops of other lengths": (SPEC, (4, 4), nested(3, 4, other), "in some iterations"),
    "counter of the outer loop": (SPEC, (4, 4, 4), counting_otherwise, "does not count by 1"),
    "collected places": (SPEC, (3, 4, 4), collecting(3), "collects the number of an outer iteration"),
    "fewer collected places": (SPEC, (3, 4, 4), collecting(2), "collects the number of an outer iteration"),
    "least of no number": (SPEC, (4, 4), lambda p, x: jnp.minimum(x @ p, jnp.nan), "compares with nan"),
    "clipped by no number": (SPEC, (4, 4), lambda p, x: jnp.clip(x @ p, jnp.nan, 1), "compares with nan"),
    "clipped to infinity": (SPEC, (4, 4), lambda p, x: jnp.clip(x @ p, jnp.inf), "compares with inf"),
    "clamped to infinity": (
        SPEC,
        (4, 4),
        lambda p, x: lax.clamp(jnp.float32(jnp.inf), x @ p, jnp.float32(1)),
        "compares with inf",
    ),
    "column behind the last": (
        i32["batch"],
        (5, 4),
        lambda p, k: p.at[k, 7].get(mode="fill"),
        "there are none of",
    ),
    "clamped rows": (i32["batch"], (7, 4), lambda p, t: p[lax.clamp(0, t, 3)], "whole numbers"),
    "clipped rows": (i32["batch"], (7, 4), lambda p, t: p[jnp.clip(t, 0, 3)], "whole numbers"),
    "short rows": (i32["batch"], (7, 4), lambda p, t: p[t.astype(jnp.int8)], "makes int8 of an input"),
    "clamped places": (SPEC, (3, 4, 4), looped(3, lambda i: lax.clamp(1, i, 2)), "leaves that range"),
    "least places": (SPEC, (3, 4, 4), looped(3, lambda i: jnp.minimum(i, 1)), "leaves that range"),
    "capped places": (SPEC, (3, 4, 4), looped(5, lambda i: lax.clamp(0, i, 2)), "leaves that range"),
    "short places": (
        SPEC,
        (3, 4, 4),
        looped(3, lambda i: (i * 100).astype(jnp.int8) // 100),
        "makes numbers of another type",
    ),
    "places behind the last": (SPEC, (3, 4, 4), looped(5, lambda i: i), "read entries 0 to 4 of 3"),
    "places before the first": (SPEC, (3, 4, 4), looped(3, lambda i: 1 - i), "in some iterations"),
    "places by two": (SPEC, (3, 4, 4), looped(3, lambda i: 2 * i), "read entries 0 to 4 of 3"),
    "long way back": (SPEC, (2000, 4, 4), looped(2000, lambda i: 1999 - i), "more than 1,024"),
    "float8": (
        SPEC,
        (4, 3),
        lambda p, x: x.astype("float8_e4m3fn").astype("float32") @ p,
        "rounds to float8_e4m3fn",
    ),
    "float8 weights": (
        SPEC,
        (4, 3),
        lambda p, x: x @ p.astype("float8_e5m2").astype("float32"),
        "rounds to float8_e5m2",
    ),
    "few bits": (SPEC, (4, 3), lambda p, x: lax.reduce_precision(x, 5, 2) @ p, "rounds to 2 bits"),
    "no bits": (SPEC, (4, 3), lambda p, x: x @ lax.reduce_precision(p, 8, 0), "rounds to 0 bits"),
    "complex": (SPEC, (4, 3), lambda p, x: jnp.real(x * (1 + 2j)) @ p, "complex numbers"),
    "complex weights": (SPEC, (4, 3), lambda p, x: x @ jnp.abs(p * 1j), "complex numbers"),
    "fourier": (SPEC, (4, 3), lambda p, x: jnp.abs(jnp.fft.fft(x)) @ p, "complex numbers"),
    "long loop": (SPEC, (4, 4), lambda p, x: lax.fori_loop(0, 10**9, lambda i, h: h @ p, x), "iterations"),
    "compared loop": (
        SPEC,
        (4, 4),
        lambda p, x: lax.fori_loop(0, 10**9, lambda i, h: jnp.where(i < 0, h, h @ p), x),
        "1,000,000,000 iterations",
    ),
    "no loop": (
        SPEC,
        (0, 4),
        lambda p, x: lax.scan(lambda h, w: (h + w, None), x, p)[0],
        "it has 0 iterations",
    ),
    "huge constant": (
        SPEC,
        (4, 4),
        lambda p, x: x @ p + (jnp.ones((10**5, 10**5)) @ jnp.ones((10**5, 4)))[0],
        "a constant of 10,000,400,000 numbers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_another_value_is_refused_with_its_line(name: str) -> None:
    spec, sizes, fn, message = REFUSED[name]
    with pytest.raises(pjc.DiagnosticError, match=message) as caught:
        pjc.trace(fn, np.zeros(sizes, "float32"), spec)
    assert "test_traced_exactly.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "fn"),
    [
        ((4, 10**9), lambda p, x: x @ p.at[0].set(0.0)[:, :3]),
        ((4, 10**9), lambda p, x: x @ p[:, np.array([3, 1])]),
        ((4, 10**9), lambda p, x: x @ p[:, ::-1][:, :3]),
        ((4, 10**9), lambda p, x: x @ p.at[:, 5].add(1.0)[:, :3]),
    ],
)
def test_entries_of_huge_tensors_are_not_counted_one_by_one(sizes: tuple[int, ...], fn: Any) -> None:
    with pytest.raises(pjc.DiagnosticError, match=r"one by one in 4,000,000,000|at more than 1,024 places"):
        pjc.trace(fn, jax.ShapeDtypeStruct(sizes, "float32"), SPEC)


def test_constants_that_cannot_be_computed_are_refused() -> None:
    def failing(p: Any, x: Any) -> Any:
        def raised(z: Any) -> Any:
            raise ValueError("not today")

        return x * jax.pure_callback(raised, jax.ShapeDtypeStruct((), "float32"), jnp.ones(()))

    with pytest.raises(pjc.DiagnosticError, match=r"pure_callback, .*it cannot be computed: "):
        pjc.trace(failing, {}, SPEC)


SAME = {
    "places of two loops that are always in order": (
        (4, 4),
        nested(3, 2, lambda i, j, h, p: jnp.where(j < i + 2, h @ p, h)),
    ),
    "clamped between bounds that cross": ((4, 4), lambda p, x: lax.clamp(1.0, x @ p, 0.5)),
    "clamped by values": ((4, 4), lambda p, x: lax.clamp(x - 1, x @ p, x + 1)),
    "clamped by a number and a value": ((4, 4), lambda p, x: lax.clamp(jnp.zeros_like(x), x @ p, x * x)),
    "clamped from below alone": ((4, 4), lambda p, x: lax.clamp(0.25, x @ p, jnp.float32(jnp.inf))),
    "clamped in range": ((3, 4, 4), looped(3, lambda i: lax.clamp(0, i, 2))),
    "clipped in range": ((3, 4, 4), looped(3, lambda i: jnp.clip(i, 0, 2))),
    "places below the least": ((3, 4, 4), looped(2, lambda i: jnp.maximum(2, i))),
    "places above the most": ((3, 4, 4), looped(3, lambda i: jnp.minimum(2 - i, 5) + jnp.maximum(-i, 0))),
    "clamped from above": ((3, 4, 4), looped(2, lambda i: lax.clamp(0, 1 + i, 2))),
    "places from the end": ((3, 4, 4), looped(3, lambda i: -i - 1)),
    "places counting down": ((3, 4, 4), looped(3, lambda i: 2 - i)),
    "places counting down by two": ((7, 4, 4), looped(3, lambda i: 5 - 2 * i)),
    "one place counting down": ((1, 4, 4), looped(1, lambda i: -i)),
    "columns counting down": (
        (4, 3),
        lambda p, x: lax.fori_loop(0, 3, lambda i, h: h + x @ p[:, 2 - i], jnp.zeros(x.shape[0])),
    ),
    "entries of an input counting down": (
        (4, 4),
        lambda p, x: lax.fori_loop(0, 4, lambda i, h: jax.nn.relu(h @ p) * x[:, 3 - i, None], x),
    ),
    "slices counting down": (
        (3, 4, 4),
        lambda p, x: lax.fori_loop(
            0, 3, lambda i, h: h @ lax.dynamic_index_in_dim(p, 2 - i, 0, keepdims=False), x
        ),
    ),
    "nested places counting down": (
        (3, 2, 4, 4),
        lambda p, x: lax.fori_loop(
            0, 3, lambda i, h: lax.fori_loop(0, 2, lambda j, g: jax.nn.relu(g @ p[2 - i, 1 - j]), h), x
        ),
    ),
    "remat": ((4, 4), lambda p, x: jax.checkpoint(lambda z: jax.nn.relu(z @ p))(x)),
    "own precision": ((4, 4), lambda p, x: lax.reduce_precision(x @ p, 8, 23)),
    "known parts of complex numbers": ((4,), lambda p, x: x * p * jnp.abs(jnp.fft.fft(jnp.arange(4.0)))),
    "sum of nothing": ((4, 3), lambda p, x: x[:, :3] + p[:0].sum() + x[:, :0].sum(1, keepdims=True)),
    "product of nothing": ((4, 3), lambda p, x: x[:, :0] @ p[:0] + x @ p),
    "mean of ones": ((4, 3), lambda p, x: (x @ p) * jnp.ones((5, 3)).mean(0)),
    "whole weights": ((4, 3), lambda p, x: x @ p * jnp.arange(3) + np.int64(3)),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_value_is_compiled(name: str) -> None:
    sizes, fn = SAME[name]
    check(Case(name, fn, sizes, (SPEC,)))


def test_parameters_without_entries_are_kept_as_they_are() -> None:
    given = {"w": np.zeros((0, 3), "float32"), "v": np.ones((4, 3), "float32")}
    program = pjc.trace(
        lambda p, x: x @ p["v"] + x[:, :0] @ p["w"], given, SPEC, loss=pjc.squared_error(), batch=2
    )
    x = np.ones((2, 4), "float32")
    state, _ = program.step(program.start(given), x, np.zeros((2, 3), "float32"))
    assert state.params["w"].shape == (0, 3) and np.any(state.params["v"] != 1)


@pytest.mark.parametrize(
    ("fn", "is_used"),
    [
        (lambda p, x: x @ p["w"], False),
        (lambda p, x: x @ p["w"] + 0 * jnp.float32(len("ab")), False),
        (lambda p, x: x @ p["w"] * p["count"].astype(jnp.float32), True),
    ],
)
def test_a_constant_that_nothing_reads_may_be_another(fn: Callable[..., Any], is_used: bool) -> None:
    given = {"w": np.ones((3, 2), np.float32), "count": np.int32(2)}
    prog = pjc.trace(fn, given, pjc.f32["batch", 3])
    other, x = {**given, "count": np.int32(5)}, np.ones((4, 3), np.float32)
    if is_used:
        with pytest.raises(ProgramError, match="'count' is a constant of the network"):
            prog.apply(other, x)
    else:
        np.testing.assert_allclose(prog.apply(other, x), fn(other, x), rtol=1e-6)
