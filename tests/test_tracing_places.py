"""Traced functions that take entries by number, run along axes, or have constants for factors."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from quick import some_quick

import pjc
from pjc import f32, i32
from tests.tracing import BATCH, Case, Cases, compare, data, drawn

CODES, STEPS, FACTORS = Cases(), Cases(), Cases()
MASK = np.array([1, 1, 0, 0], np.float32)
SCALES = np.array([[0.5, -2.0, 3.0]], np.float32).T
ORDER = np.array([3, 0, 2, 1])


@CODES(i32["batch", 3], w=(5, 4))
def code_by_table(p, k):
    return jax.nn.one_hot(k, 5) @ p["w"]


@CODES(i32["batch"], w=(4, 5))
def table_by_code(p, k):
    return (p["w"] @ jax.nn.one_hot(k, 5).T).T


@CODES(i32["batch", 3], w=(2, 5, 4))
def code_by_einsum(p, k):
    return jnp.einsum("btv,hvd->bthd", (k[..., None] == jnp.arange(5)).astype(float), p["w"])


@CODES(f32["batch", 5], i32["batch"], w=(10, 5))
def code_beside_numbers(p, x, k):
    h = jnp.concatenate([x, jax.nn.one_hot(k, 5)], axis=-1) @ p["w"]
    return jnp.where(jax.nn.one_hot(k, 5, dtype=bool), h, x)


@CODES(f32["batch", 5], i32["batch", 2], w=(5, 5))
def entries_along_an_axis(p, x, k):
    return jnp.take_along_axis(x @ p["w"], k, axis=1)


@CODES(f32["batch", 5, 3, 2], i32["batch", 3], w=(2, 4))
def entries_in_the_middle(p, x, k):
    return jnp.take_along_axis(x @ p["w"], k[:, None, :, None], axis=1)[:, 0]


@CODES(f32["batch", 5, 4], i32["batch"], w=(4, 3))
def entries_of_samples(p, x, k):
    return jax.vmap(lambda a, i: a[i])(x @ p["w"], k)


@CODES(f32["batch", 3, 5, 4], i32["batch", 3], w=(4, 3))
def entries_of_steps(p, x, k):
    take = jax.vmap(jax.vmap(lambda a, i: lax.dynamic_index_in_dim(a, i, 0, keepdims=False)))
    return take(x @ p["w"], k)


@STEPS(f32["batch", 4], w=(4, 7))
def sums_so_far(p, x):
    return jnp.cumsum(x @ p["w"], axis=1)


@STEPS(f32["batch", 6, 2], w=(2, 2))
def sums_backwards(p, x):
    return lax.cumsum(x @ p["w"], axis=1, reverse=True)


@STEPS(f32["batch", 5], w=(5, 5))
def largest_so_far(p, x):
    h = x @ p["w"]
    return lax.cummax(h, axis=1) + lax.cummin(h, axis=1, reverse=True)


@STEPS(f32["batch", 3], w=(3, 3))
def products_so_far(p, x):
    return jnp.cumprod(x @ p["w"], axis=-1)


@STEPS(f32["batch", 5], w=(5, 5))
def joined_in_a_tree(p, x):
    return lax.associative_scan(jnp.add, x @ p["w"], axis=1)


@STEPS(f32["batch", 4, 2], w=(2, 3))
def apart(p, x):
    return lax.pad(x @ p["w"], 0.5, [(0, 0, 0), (1, -1, 2), (0, 0, 1)])


@STEPS(f32["batch", 4, 4, 2], k=(3, 3, 2, 3))
def transposed_convolution(p, x):
    return lax.conv_transpose(x, p["k"], (2, 2), "SAME")


@STEPS(f32["batch", 2, 5], k=(3, 2, 2))
def transposed_convolution_in_a_line(p, x):
    numbers = ("NCW", "WIO", "NCW")
    return lax.conv_transpose(x, p["k"], (3,), "VALID", dimension_numbers=numbers)


@FACTORS(f32["batch", 4], w=(4, 4))
def mask(p, x):
    return (x @ p["w"]) * MASK


@FACTORS(f32["batch", 3, 2], w=(2, 4))
def scales_of_an_axis(p, x):
    return SCALES * (x @ p["w"])


@FACTORS(f32["batch", 4], w=(4, 4))
def chosen_by_a_mask(p, x):
    return jnp.select([MASK > 0, ORDER > 1], [x @ p["w"], 2 * x], 1.0)


@FACTORS(f32["batch", 3, 4], w=(4, 4))
def mean_by_a_product(p, x):
    return jnp.einsum("bij,j->ib", x @ p["w"], jnp.full(4, 0.25))


@FACTORS(f32["batch", 4], w=(4, 4))
def ones_on_the_left(p, x):
    return (jnp.ones((2, 4)) @ (x @ p["w"]).T).T


@FACTORS(f32["batch", 3, 4], w=(4, 4))
def permutation(p, x):
    return -2 * jnp.eye(4)[ORDER] @ (x @ p["w"])[..., None].squeeze(-1).swapaxes(1, 2)


@FACTORS(f32["batch", 4], w=(4, 4))
def some_columns(p, x):
    return (x @ p["w"]) @ jnp.eye(4)[:, [2, 2, 0]]


@CODES(f32["batch", 5], i32["batch"], w=(5, 5))
def code_in_a_loop_and_behind_it(p, x, k):
    code = jax.nn.one_hot(k, 5)
    h = lax.fori_loop(0, 3, lambda i, h: jax.nn.relu(h @ p["w"]) + code, x)
    return h + 2 * code + code.sum(-1, keepdims=True)


@CODES(f32["batch", 4], i32["batch"], w=(5, 4))
def rows_in_a_loop_and_behind_it(p, x, k):
    code = jax.nn.one_hot(k, 5)
    return lax.fori_loop(0, 2, lambda i, h: jax.nn.relu(h + code @ p["w"]), x) - code @ p["w"]


@CODES(f32["batch", 4], i32["batch", 3], u=(4, 4), w=(5, 4))
def code_of_each_step(p, x, k):
    def step(h, t):
        return jax.nn.relu(h @ p["u"] + jax.nn.one_hot(t, 5) @ p["w"]), None

    return lax.scan(step, x, k.T)[0]


ALL = {case.name: case for case in (*CODES.found, *STEPS.found, *FACTORS.found)}


def traced(case: Case, **options: Any) -> tuple[Any, Any]:
    params = drawn(case.params)
    options = {"batch": BATCH + 2} | options
    return pjc.trace(case.fn, params, *case.inputs, loss=pjc.squared_error(), **options), params


@pytest.mark.parametrize("name", some_quick(ALL))
def test_networks_are_what_their_functions_are(name: str) -> None:
    case = ALL[name]
    program, params = traced(case)
    compare(case.fn, params, data(case.inputs, case.rows), program)
    arrays = data(case.inputs, case.rows, program.batch)
    wanted = jnp.ones_like(case.fn(params, *arrays))
    asked, info = program.displacement(params, *arrays, wanted)
    text = pjc.compile(program.to_pjn(), batch=program.batch)
    expected, _ = text.displacement(program.named(params), *arrays, wanted)
    assert float(info["demand"]) > 0
    for name, found in program.named(asked).items():
        assert np.any(expected[name] != 0)
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [case.name for case in FACTORS.found])
def test_constant_factors_are_no_operands(name: str) -> None:
    _, text = traced(ALL[name])[0].to_pjn().split("\n", 1)
    assert "product" not in text and "array" not in text


@pytest.mark.parametrize("name", ["code_by_table", "table_by_code", "code_by_einsum"])
def test_codes_of_tables_are_rows(name: str) -> None:
    text = traced(ALL[name])[0].to_pjn()
    assert "gather(" in text and "@" not in text


def test_a_mean_by_a_product_is_that_of_the_language() -> None:
    w, x = drawn((4, 3)), f32["batch", 4]
    spelled = pjc.trace(lambda w, x: (x @ w) @ jnp.full(3, 0.5), w, x, loss=pjc.squared_error())
    plain = pjc.trace(lambda w, x: 0.5 * jnp.sum(x @ w, axis=1), w, x, loss=pjc.squared_error())
    assert spelled.to_pjn().split("\n", 1)[1] == plain.to_pjn().split("\n", 1)[1]


def test_wide_codes_are_refused_but_not_where_they_take_rows() -> None:
    w = np.ones((300, 2), np.float32)
    assert pjc.trace(lambda w, k: jax.nn.one_hot(k, 300) @ w, w, i32["batch"]).apply(w, [1]).shape == (1, 2)
    with pytest.raises(pjc.DiagnosticError, match="300 wide, more than 256"):
        pjc.trace(lambda w, k: jax.nn.one_hot(k, 300).sum(0) @ w, w, i32["batch"])


@pytest.mark.parametrize("rows", [[0, -1, 1], [5, 0, 0], [-5, 2, 2]])
@pytest.mark.parametrize("name", ["code_by_table", "code_beside_numbers", "entries_along_an_axis"])
def test_numbers_without_a_place_in_the_code_are_refused(name: str, rows: list[int]) -> None:
    program, params = traced(ALL[name])
    arrays = data(ALL[name].inputs, 5)
    arrays[-1] = jnp.broadcast_to(jnp.array(rows).reshape(-1, *[1] * (arrays[-1].ndim - 1)), arrays[-1].shape)
    with pytest.raises(pjc.PjcError, match="they must be from 0 to 4"):
        program.apply(params, *arrays)


def test_a_product_with_more_columns_than_an_equation_has_parts_is_one() -> None:
    columns = np.random.default_rng(0).permutation(np.tile(np.eye(4, dtype=np.float32), 1500).T).T
    w, x = drawn((4, 4)), drawn((3, 4), 1)
    program = pjc.trace(lambda w, x: (x @ w) @ columns, w, f32["batch", 4])
    np.testing.assert_allclose(program.apply(w, x), (x @ w) @ columns, rtol=1e-5, atol=1e-6)
