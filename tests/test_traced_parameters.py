"""Parameters of traced functions: their types, how those are drawn that have no values, and what is fixed."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import pjc
from pjc.tracing.specs import f32

SPEC = f32["batch", 4]
W = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
X = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
Y = np.random.default_rng(2).normal(size=(3, 3)).astype("float32")


def linear(p: Any, x: Any) -> Any:
    return x @ p["w"] + p["b"]


def program(params: Any, fn: Any = linear, **options: Any) -> Any:
    return pjc.trace(fn, params, SPEC, loss=pjc.squared_error(), batch=3, **options)


def kinds(tree: Any) -> dict[str, str]:
    return {name: str(leaf.dtype) for name, leaf in tree.items()}


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("drawn", [False, True])
def test_parameters_come_back_in_their_own_types(kind: str, drawn: bool) -> None:
    given: Any = {"w": jnp.asarray(W, kind), "b": jnp.zeros(3, "float32")}
    own = kinds(given)
    made = program(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), given))
    made = made if drawn else program(given)
    start = made.start(0 if drawn else given)
    assert kinds(made.params) == kinds(start.params) == kinds(made.finish(given)) == own
    moved, _ = made.displacement(given, X, Y)
    assert kinds(moved) == own and np.any(np.asarray(moved["w"], np.float32) != 0)
    after, _ = lax.scan(lambda state, _: made.step(state, X, Y), start, None, length=2)
    assert kinds(after.params) == own
    assert np.any(np.asarray(after.params["w"]) != np.asarray(start.params["w"]))
    assert kinds(made.tree(made.named(given))) == own
    assert set(kinds(made.named(given)).values()) == {"float32"}
    wide = given["w"].astype("float32")
    np.testing.assert_allclose(made.apply(given, X), X @ wide, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64"])
def test_updates_keep_types_and_others_are_those_that_were_given(kind: str) -> None:
    given: Any = {"w": jnp.asarray(W, "bfloat16"), "b": np.zeros(3, kind)}
    made = program({"w": W, "b": np.zeros(3)}, solver="dr")
    after, _ = made.update(given, X, Y, iterations=2)
    assert kinds(after) == {"w": "bfloat16", "b": "float32" if kind == "float64" else kind}
    assert kinds(made.update({"w": W, "b": np.zeros(3, int)}, X, Y)[0])["b"] == "float32"


def test_parameters_of_both_widths_are_trained_in_the_wider() -> None:
    with jax.enable_x64(True):
        given: Any = {"w": W.astype("float64"), "b": np.zeros(3, "float32")}
        made = pjc.trace(linear, given, pjc.f64["batch", 4], loss=pjc.squared_error(), batch=3)
        after, _ = made.step(made.start(given), X.astype("float64"), Y.astype("float64"))
        assert kinds(after.params) == kinds(made.params) == {"w": "float64", "b": "float32"}


def shape(*sizes: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, "float32")


MEAN, SPREAD = np.arange(4, dtype="float32"), np.full(4, 2.0, "float32")


@pytest.mark.parametrize(
    ("fn", "sizes", "start"),
    [
        (lambda p, x: x + p, (4,), "zeros"),
        (lambda p, x: x * p, (4,), "ones"),
        (lambda p, x: x * p, (), "ones"),
        (lambda p, x: p * jax.nn.relu(x), (1, 4), "ones"),
        (lambda p, x: x[:, None, :] * p[None, None], (4,), "ones"),
        (lambda p, x: jnp.einsum("bi,i->bi", x, p), (4,), "ones"),
        (lambda p, x: jax.vmap(lambda s: s * p)(x), (4,), "ones"),
        (lambda p, x: (x - MEAN) * (lax.rsqrt(SPREAD + 1e-5) * p), (4,), "ones"),
        (lambda p, x: lax.scan(lambda h, s: (h * s, None), x, p)[0], (3, 4), "ones"),
        (lambda p, x: x * (1 + p), (4,), "zeros"),
        (lambda p, x: x * 2 + p * 3, (4,), "zeros"),
        (lambda p, x: jnp.where(x > 0, x, p), (4,), "zeros"),
        (lambda p, x: x @ p, (4,), "he_normal"),
        (lambda p, x: jnp.einsum("bi,i->b", x, p), (4,), "he_normal"),
        (lambda p, x: x @ p, (4, 3), "he_normal"),
        (lambda p, x: x[:, None] * p, (3, 4), "he_normal"),
        (lambda p, x: lax.scan(lambda h, s: (h + s, None), x, p)[0], (3, 4), "he_normal"),
    ],
)
def test_how_parameters_are_drawn_follows_from_what_is_done_with_them(
    fn: Any, sizes: tuple[int, ...], start: str
) -> None:
    made = pjc.trace(fn, shape(*sizes), SPEC, batch=3)
    (found,) = re.findall(r"^param weight: f32\[.*\] = (\w+)$", made.to_pjn(), re.MULTILINE)
    assert found == start
    values = np.asarray(made.init(1))
    if start == "he_normal":
        assert np.std(values) > 0
    else:
        np.testing.assert_array_equal(values, np.full(sizes, float(start == "ones")))


CONSTANTS = {"n": np.arange(3), "flag": np.array([True, False, True]), "key": jax.random.key(3), "two": 2}


def masked(p: Any, x: Any) -> Any:
    shift = jax.random.uniform(p["key"], (3,))
    return x @ p["w"] * p["n"] * p["two"] + jnp.where(p["flag"], 1.0, shift)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("n", np.ones(3, int)),
        ("n", np.arange(4)),
        ("flag", np.ones(3, bool)),
        ("two", 3),
        ("key", jax.random.key(4)),
        ("key", np.zeros(2, "uint32")),
    ],
)
def test_what_is_fixed_cannot_be_given_otherwise(name: str, other: Any) -> None:
    given = {"w": W, **CONSTANTS}
    made = program(given, masked)
    for call in (made.apply, made.displacement):
        with pytest.raises(pjc.PjcError, match=f"'{name}' is a constant of the network, and other than when"):
            call({**given, name: other}, X, *([Y] if call == made.displacement else []))


def test_what_is_fixed_may_be_given_as_it_was() -> None:
    given = {"w": W, **CONSTANTS}
    made = program(given, masked)
    same = {**given, "n": jnp.arange(3), "two": np.int64(2), "key": jax.random.key(3)}
    np.testing.assert_allclose(made.apply(same, X), masked(same, X), rtol=1e-5, atol=1e-5)
    state = made.start(given)
    for step in (jax.jit(made.step), made.step, jax.jit(made.step)):
        state, _ = step(state, X, Y)
    assert jax.tree.structure(state.params) == jax.tree.structure(given)


@pytest.mark.parametrize("other", [7, jax.random.key(4), np.zeros(2, bool)])
def test_what_is_fixed_and_nothing_reads_may_be_given_otherwise(other: Any) -> None:
    given = {"w": W, "drawn": jnp.int32(0)}

    def counting(p: Any, x: Any) -> Any:
        jax.random.fold_in(jax.random.key(0), p["drawn"])
        return x @ p["w"]

    made = program(given, counting)
    state, _ = made.step(made.start({**given, "drawn": other}), X, Y)
    assert state.params["drawn"] is other and np.any(state.params["w"] != W)
    np.testing.assert_array_equal(made.apply({**given, "drawn": other}, X), made.apply(given, X))


@pytest.mark.parametrize("path", ["z", "*", "z*"])
def test_sets_of_parameters_that_nothing_reads_hold_when_training_ends(path: str) -> None:
    given = {"w": W, "b": np.zeros(3, "float32"), "z": -W}
    made = program(given, sets={path: pjc.box(-0.5, 0.25)})
    state, _ = made.step(made.start(given), X, Y)
    np.testing.assert_allclose(made.finish(state.params)["z"], np.clip(-W, -0.5, 0.25), atol=1e-6)
    assert not np.any(made.displacement(given, X, Y)[0]["z"])


@pytest.mark.parametrize(
    ("value", "message"),
    [("a", "holds <U1, expected real numbers"), (2j, "holds complex128"), (None, "are a tree")],
)
def test_leaves_that_are_no_real_numbers_are_refused(value: Any, message: str) -> None:
    made = pjc.trace(lambda p, x: x * p["s"], {"s": 2.0}, SPEC)
    with pytest.raises(pjc.PjcError, match=message):
        made.apply({"s": value}, X)
