"""What a traced function calls its values, and what the text does: losses go by the function's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import pjc
from pjc.runtime.projections import REGISTERED

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def ones(**shapes: Any) -> dict[str, Any]:
    return {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}


def coded(params: Any, x: Array) -> Any:
    code = jnp.maximum(x @ params["code"], 0)
    return {"back": code @ params["back"], "y": {"label": code @ params["label"]}}


def test_a_loss_names_an_output_as_the_function_does() -> None:
    losses = {"back": pjc.squared_error(target="x"), "y.label": pjc.cross_entropy()}
    params = ones(code=(6, 3), back=(3, 6), label=(3, 2))
    prog = pjc.trace(coded, params, pjc.f32["batch", 6], loss=losses, batch=4)
    assert [target.name for target in prog.targets] == ["y"]
    found = prog.apply(params, X)
    np.testing.assert_allclose(found["back"], coded(params, X)["back"], rtol=1e-5)
    with pytest.raises(pjc.DiagnosticError, match=r"has no output 'label'\n.*it has back, y\.label"):
        pjc.trace(coded, params, pjc.f32["batch", 6], loss={"label": pjc.cross_entropy()})


def test_a_target_names_an_input_as_the_function_does() -> None:
    def same(w: Any, input: Array) -> Array:
        return input @ w

    prog = pjc.trace(same, np.eye(6, dtype="f"), pjc.f32["batch", 6], loss=pjc.squared_error(target="input"))
    assert (
        prog.targets == ()
        and float(prog.displacement(np.eye(6, dtype="f"), np.ones((64, 6), "f"))[1]["demand"]) == 0
    )


@pytest.mark.parametrize("name", ["y", "in", "z"])
def test_losses_of_one_target_share_it(name: str) -> None:
    def two(params: Any, x: Array) -> Any:
        return x @ params["y"], x @ params["v"]

    losses = [pjc.cross_entropy(target=name), pjc.hinge(target=name)]
    prog = pjc.trace(two, ones(y=(6, 2), v=(6, 2)), pjc.f32["batch", 6], loss=losses, batch=4)
    assert len(prog.targets) == 1


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(REGISTERED)
    yield
    REGISTERED.clear()
    REGISTERED.update(before)


@pytest.mark.usefixtures("registry")
def test_an_own_operator_is_called_in_a_function_and_outside() -> None:
    def project(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        move = (z - x - y) / 3
        return x + move, y + move, z - move

    plus = pjc.operator("plus", "[], [] -> []", function=lambda x, y: x + y, projection=project)
    assert isinstance(plus(), plus)

    def summed(params: Any, x: Array) -> Array:
        return plus(x @ params["a"], x @ params["b"])

    params = ones(a=(6, 2), b=(6, 2))
    np.testing.assert_allclose(summed(params, X), X @ params["a"] + X @ params["b"], rtol=1e-5)
    prog = pjc.trace(summed, params, pjc.f32["batch", 6], loss=pjc.cross_entropy(), batch=4)
    assert 'op.apply "plus"' in prog.ir("feas")
    np.testing.assert_allclose(prog.apply(params, X), summed(params, X), rtol=1e-5)
    jitted = jax.jit(lambda params, x: summed(params, x) * 2)
    np.testing.assert_allclose(jitted(params, X), 2 * summed(params, X), rtol=1e-5)
