"""Wrong arguments of ``pjc.trace`` and of what it takes: one sentence each, and no other kind of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc.tracing.specs import f32

SPEC = f32["batch", 4]
W = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
X = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")


def linear(p: Any, x: Any) -> Any:
    return x @ p["w"]


def of(**asked: Any) -> Callable[[], Any]:
    """Return what traces a linear function with arguments."""
    params, *specs = asked.pop("params", {"w": W}), *asked.pop("specs", (SPEC,))
    return lambda: pjc.trace(asked.pop("fn", linear), params, *specs, **asked)


def deleted() -> jax.Array:
    array = jnp.array(W)
    array.delete()
    return array


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pjc.squared_error(target=3), "a target has a name, found 3"),
        (lambda: pjc.cross_entropy(target=""), "a target has a name, found ''"),
        (lambda: pjc.hinge(target='a b\n"'), "a target has a name"),
        (of(loss=pjc.cross_entropy(strength=float("nan"))), "take numbers: it computes with nan"),
        (of(loss=pjc.cross_entropy(strength=np.float32("inf"))), "take numbers: it computes with inf"),
        (of(sets={"w": pjc.levels(0, np.nan)}), "take numbers: it computes with nan"),
        (of(sets={"w": pjc.mask(W.astype("complex64"))}), "take real numbers, found complex64"),
        (of(sets={"w": pjc.mask(np.full((4, 3), "a"))}), "take real numbers, found <U1"),
        (of(sets=[pjc.nonneg()]), "by the paths of parameters, found list"),
        (of(sets=pjc.nonneg()), "by the paths of parameters, found Set"),
        (of(sets={3: pjc.nonneg()}), "by the paths of parameters, found int"),
        (of(specs=(jax.random.key(0),)), "input 1 holds key<"),
        (of(specs=(np.zeros(3, [("a", "f4")]),)), r"input 1 holds \[\('a'"),
        (of(specs=(f32["batch", "max", 4],)), r"the sizes \[batch, max, 4\], which JAX cannot read"),
        (of(specs=(f32["batch", "mod"],)), "which JAX cannot read"),
        (of(specs=(f32[4, "batch"],)), "the first size of an input is that of the batch"),
        (of(specs=(f32[4, 3, "batch"], f32[4])), "the first size of an input is that of the batch"),
        (of(params={"w": W.astype("complex64")}), "hold complex64 at w"),
        (of(params={"w": np.array([[None] * 3] * 4)}), "hold object at w"),
        (of(params={"a\nb": [np.array(["a"])]}), r"hold <U1 at a\\nb\[0\]"),
        (of(params={"w": 10**400}), "hold a whole number at w that int32 does not"),
        (of(params={"w": -(2**31) - 1}), "hold a whole number at w that int32 does not"),
        (of(params={1: W, "1": W}), "the parameters are no tree: ValueError"),
        (lambda: of(params={"w": deleted()})(), "the parameter at w has no values: it was deleted"),
        (lambda: jax.jit(lambda w: of(params={"w": w})())(W), "the parameter at w has no values: JAX traces"),
        (
            lambda: jax.vmap(lambda w: of(params=[w])())(W),
            r"the parameter at \[0\] has no values: JAX traces",
        ),
        (of(name=3), "a network's name is a text of one line, found 3"),
        (of(name="a\nparam q: f32[3] = zeros"), "a network's name is a text of one line"),
        (lambda: pjc.sign(X, margin=float("nan")), "the margin of sign is a finite number, found nan"),
        (lambda: pjc.sign(X, margin="a"), "the margin of sign is a number that is known, found str"),
        (lambda: pjc.step(X, float("inf")), "the threshold of step is a finite number, found inf"),
        (lambda: pjc.step(X, 0, margin=None), "the margin of step is a number that is known"),
        (lambda: pjc.quantize(X, (0, float("nan"))), "a level is a finite number, found nan"),
        (lambda: pjc.quantize(X, 3), "levels are numbers, found int"),
        (lambda: jax.jit(pjc.step)(X, 0.5), "the threshold of step is a number that is known"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(pjc.DiagnosticError, match=message):
        make()


def _raised(fn: Callable[..., Any]) -> str:
    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.trace(fn, {"w": W}, SPEC)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fn", "hint"),
    [
        (lambda p, x: x @ p["w"] if x.sum() > 0 else x[:, :3], "jnp.where on a comparison"),
        (lambda p, x: x * float(p["w"][0, 0]), "by a closure"),
        (lambda p, x: [x][int(p["w"][0, 0] > 0)], "by a closure"),
        (lambda p, x: np.maximum(x @ p["w"], 0), "jax.numpy in place of numpy"),
        (lambda p, x: x * np.asarray(p["w"])[0], "jax.numpy in place of numpy"),
    ],
)
def test_what_asks_for_values_while_it_is_traced_is_told_what_to_do(fn: Any, hint: str) -> None:
    told = _raised(fn)
    assert hint in told and "test_traced_arguments.py:" in told


@pytest.mark.parametrize(
    "fn", [lambda p: p["w"], lambda p, x, z: x, lambda p, x: "text", lambda p, x: {"a": x, "b": object()}]
)
def test_what_a_library_raises_is_told_with_the_line_of_the_function(fn: Any) -> None:
    assert f"at test_traced_arguments.py:{fn.__code__.co_firstlineno}: TypeError" in _raised(fn)


def test_a_target_and_an_input_of_one_name_are_told_apart() -> None:
    def residual(p: Any, x: Any, y: Any) -> Any:
        return x @ p["w"] + y

    given = residual, {"w": W}, SPEC, f32["batch", 3]
    for loss in (pjc.squared_error(), pjc.cross_entropy(strength=2)):
        with pytest.raises(pjc.DiagnosticError, match="is called y, and so is an input of the function"):
            pjc.trace(*given, loss=loss)
    assert not pjc.trace(*given, loss=pjc.squared_error(target="y"), batch=3).targets
    assert len(pjc.trace(*given, loss=pjc.squared_error(target="z"), batch=3).targets) == 1


def test_losses_by_name_may_leave_outputs_without_one() -> None:
    program = pjc.trace(
        lambda p, x: {"a": x @ p["w"], "b": x}, {"w": W}, SPEC, loss={"a": None, "b": pjc.squared_error()}
    )
    assert [target.shape[1] for target in program.targets] == [4]


@pytest.mark.parametrize("name", ["w", "x", "dot_1", "logits"])
def test_sizes_may_have_the_names_of_values(name: str) -> None:
    given = f32["batch", name, 4]
    program = pjc.trace(linear, {"w": W}, given, loss=pjc.squared_error(), batch=2, defines={name: 3})
    x = np.random.default_rng(2).normal(size=(5, 3, 4)).astype("float32")
    np.testing.assert_allclose(program.apply({"w": W}, x), x @ W, rtol=1e-5, atol=1e-5)


def test_paths_and_outputs_are_shown_in_one_line() -> None:
    program = pjc.trace(lambda p, x: {"o\nut": x @ p["a\nb"]}, {"a\nb": W}, SPEC)
    assert r"a\nb  " in "\n".join(row.place + "  " for row in program.traced.rows)
    with pytest.raises(pjc.DiagnosticError, match=r"it has o\\nut"):
        pjc.trace(lambda p, x: {"o\nut": x @ p["w"]}, {"w": W}, SPEC, loss={"out": pjc.squared_error()})
