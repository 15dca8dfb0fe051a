"""Compressed forms of a dot at numbers where norms and multipliers lose digits, against 120 digits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pjc.runtime.projections.bilinear import MATRIX, Bilinear, Convolution
from pjc.runtime.projections.dot import Dot, solved
from pjc.runtime.projections.dot_halfway import Factors, Held, project_factored, project_held
from pjc.runtime.projections.dot_shared import project_shared

DIGITS = 120
STEPS = 300


def nearest(a: np.ndarray, b: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the nearest point of a site's graph: Lagrange's conditions, by bisection for the multiplier."""
    with localcontext() as context:
        context.prec = DIGITS
        a, b, z = [Decimal(float(x)) for x in a], [Decimal(float(x)) for x in b], Decimal(float(z))
        low, high = Decimal(-1), Decimal(1)
        for _ in range(STEPS):
            t = (low + high) / 2
            over = 1 / (1 - t * t)
            one = [(x + t * y) * over for x, y in zip(a, b, strict=True)]
            other = [(y + t * x) * over for x, y in zip(a, b, strict=True)]
            below = sum(x * y for x, y in zip(one, other, strict=True)) < z - t
            low, high = (t, high) if below else (low, t)
        return np.array(one, np.float64), np.array(other, np.float64), float(z - t)


def expected(a: np.ndarray, w: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the means of the copies of a and of w, and the new values."""
    (rows, inner), columns = a.shape, w.shape[1]
    one, other = np.zeros((rows, columns, inner)), np.zeros((rows, columns, inner))
    value = np.zeros((rows, columns))
    for k, m in np.ndindex(rows, columns):
        one[k, m], other[k, m], value[k, m] = nearest(a[k], w[:, m], z[k, m])
    return (one / columns).sum(1), (other / rows).sum(0).T, value


@cache
def step(form: str, product: Bilinear = MATRIX) -> Callable[..., Any]:
    """Return what takes a form's step from a state in which all copies agree."""

    def run(a: Any, w: Any, z: Any) -> Any:
        if form == "shared":
            means, value = project_shared(a, w, z, (0, 1), product)
            return (*means, value)
        if form == "held":
            none = jnp.zeros((*z.shape, a.shape[-1]), a.dtype)
            projected = project_held((a, w), Held(a, w, none, none), z, (0, 1))
        else:
            zero, value = jnp.zeros_like(z), product.forward(a, w)
            old = Factors(a, w, a, w, zero, zero, value)
            projected = project_factored((a, w), old, z, (0, 1), product)
        return (*projected.means, projected.value)

    return jax.jit(run)


def found(form: str, *arrays: np.ndarray) -> list[np.ndarray]:
    """Return the means and the value that a form finds."""
    return [np.asarray(each, np.float64) for each in step(form)(*arrays)]


def drawn(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return operands and values of a dot that is hard in some way."""
    rng = np.random.default_rng(sum(map(ord, name)))
    a, w, z = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    kind, _, size = name.partition(" ")
    factor = float(size or 0)
    match kind:
        case "opposite":
            w[:, 1], z[1, 1] = -(1 + factor) * a[1], 30
        case "equal":
            w[:, 0], z[2, 0] = (1 + factor) * a[2], -25
        case "small":
            a, w, z = factor * a, factor * w, 3 * z
        case "large":
            a, w, z = factor * a, factor * w, factor**2 * z if factor < 1e15 else z
        case "uneven":
            a, z = factor * a, factor * z
        case "far":
            z = factor * z
    return tuple(np.asarray(each, np.float32) for each in (a, w, z))


NAMES = [
    *(f"opposite {off}" for off in (1e-1, 1e-2, 1e-4, 1e-6)),
    *(f"equal {off}" for off in (1e-3, 1e-5)),
    *(f"small {size}" for size in (1e-2, 1e-4, 1e-6, 1e-9, 1e-36)),
    *(f"large {size}" for size in (1e4, 1e10, 1e20, 1e38)),
    *(f"uneven {size}" for size in (1e4, 1e20, 1e-20)),
    *(f"far {size}" for size in (1e3, 1e8, 1e30, 1e38)),
]


FORMS = ["shared", "held", "factored"]
UNHELD = {"factored": ("small 1e-09", "small 1e-36", "large 1e+38", "far 1e+30", "far 1e+38")}
"""Where factors would be larger than what they are limited to."""


def off(one: np.ndarray, other: np.ndarray, scale: float) -> float:
    return float(np.abs(one - other).max() / scale)


@pytest.mark.parametrize("form", FORMS)
def test_a_step_is_the_nearest_point_to_a_floats_digits(form: str) -> None:
    for name in NAMES:
        if name in UNHELD.get(form, ()):
            continue
        a, w, z = drawn(name)
        farthest = float(np.abs(z).max())
        scale = max(float(np.abs(a).max()), float(np.abs(w).max()), farthest**0.5, 1.0)
        *means, value = found(form, a, w, z)
        *true_means, true_value = expected(a, w, z)
        assert off(value, true_value, max(1.0, farthest)) <= 1e-6, name
        for one, other in zip(means, true_means, strict=True):
            assert off(one, other, scale) <= 1e-6, name


@pytest.mark.parametrize("size", [3e19, 8e19, 1e25])
@pytest.mark.parametrize("z", [3e38, -3e38, 1e38])
def test_values_near_the_largest_float_are_not_lost(size: float, z: float) -> None:
    a, b = np.float32([size, -size / 2]), np.float32([size / 3, size / 5])
    site = jax.jit(solved)(a, b, np.float32(z))
    m = float(site.scale)
    rest = abs(np.float64(np.float32(z)) / m / m - np.dot(a / m, np.float64(b / m)))
    np.testing.assert_allclose(float(site.r), rest, rtol=1e-5)


@pytest.mark.parametrize("factor", [1, 30, 1e3])
def test_copies_of_different_lengths_meet_their_constraint(factor: float) -> None:
    rng = np.random.default_rng(0)
    a, w = factor * rng.normal(size=(1, 16)), rng.normal(size=(16, 1)) / factor
    given = (a, w, a @ w + 0.1)
    one, other, value = found("held", *(np.asarray(each, np.float32) for each in given))
    assert abs(one @ other - value) <= 1e-5


def test_blocks_of_held_copies_are_each_taken_as_their_numbers_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pjc.runtime.projections.dot_halfway.BLOCK_BYTES", 1)  # a row at a time
    project = step.__wrapped__("held")
    for name in ("far 1e+08", "opposite 0.0001", "large 1e+10"):
        a, w, z = drawn(name)
        z[0] = a[0] @ w + 0.1  # the first row has no site that is far
        *true_means, true_value = expected(a, w, z)
        scale = max(float(np.abs(a).max()), float(np.abs(w).max()), float(np.abs(z).max()) ** 0.5, 1.0)
        *means, value = (np.asarray(each, np.float64) for each in project(a, w, z))
        assert off(value, true_value, max(1.0, float(np.abs(z).max()))) <= 1e-6, name
        for one, other in zip(means, true_means, strict=True):
            assert off(one, other, scale) <= 1e-6, name


def test_a_dot_beside_one_that_loses_digits_is_as_by_itself() -> None:
    together = [drawn("far 1"), drawn("opposite 0.0001")]
    found = jax.jit(jax.vmap(step("shared")))(*(np.stack(each) for each in zip(*together, strict=True)))
    for index, given in enumerate(together):
        for each, alone in zip(found, step("shared")(*given), strict=True):
            np.testing.assert_allclose(each[index], alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", ["shared", "held"])
@pytest.mark.parametrize(("sign", "size"), [(-1, 1.0), (-1, 1e10), (1, 1.0), (-1, 0.0)])
def test_ties_are_broken_as_the_exact_kernel_breaks_them(form: str, sign: int, size: float) -> None:
    a, w, z = drawn("far 30")
    a[1], z[1, 1] = size * a[1], -sign * 30 * max(size, 1) ** 2
    w[:, 1] = sign * a[1]
    shape = (*z.shape, a.shape[1])
    copies = np.broadcast_to(a[:, None], shape), np.broadcast_to(w.T[None], shape)
    (one, other), value = Dot().project(tuple(map(jnp.asarray, copies)), jnp.asarray(z))
    exact = np.mean(one, 1), np.mean(other, 0).T, value
    scale = max(float(np.abs(exact[0]).max()), 1)
    for each, true in zip(found(form, a, w, z), map(np.asarray, exact), strict=True):
        assert off(each, true, scale if true.shape != z.shape else float(np.abs(z).max())) <= 1e-6


@pytest.mark.parametrize("form", ["shared", "factored"])
def test_a_convolution_by_rows_is_its_dot_over_windows(form: str) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(2, 6, 7, 2)), rng.normal(size=(2, 3, 2, 3))
    product = Convolution((6, 7), (2, 3), (2, 1), (1, 2), (0, 1), (0, 1))
    a, w = jnp.asarray(image, jnp.float32), jnp.asarray(kernel, jnp.float32)
    z = np.asarray(product.forward(a, w)) + rng.normal(size=(2, 3, 5, 3)).astype(np.float32)
    compressed = step(form, product)(a, w, z)
    z[0, 0, 0, 0] = 1e25  # which no product gives: all rows are taken by themselves
    by_rows = step(form, product)(a, w, z)
    assert all(np.isfinite(each).all() for each in by_rows)
    # The second image has no site with that value, and shares nothing with the first but the kernel.
    np.testing.assert_allclose(by_rows[0][1], compressed[0][1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_rows[1][..., 1:], compressed[1][..., 1:], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_rows[2][1], compressed[2][1], rtol=1e-5, atol=1e-5)
