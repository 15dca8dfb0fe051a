"""Programs, fits and what goes with them, through pickle; and batches of other sizes than compiled."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from quick import some_quick

import pjc

NET = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = he_normal
require w in ball(3)
output logits = x @ w
require cross_entropy(logits, y)
"""
ITERATING = {"solver": "dr", "iterations": 3}


def batch(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 4)).astype("f"), random.integers(0, 3, count)


def linear(params: Any, x: Any) -> Any:
    return x @ params["w"]


def traced(**options: Any) -> Any:
    params = {"w": np.ones((4, 3), np.float32), "rest": [3]}
    return pjc.trace(linear, params, pjc.f32["batch", 4], loss=pjc.cross_entropy(), batch=8, **options)


def stepped(program: Any, params: Any, count: int = 8) -> Any:
    """Return the parameters after a step, or an update, on a batch."""
    if program.sweeps:
        return program.step(program.start(params), *batch(count))[0].params
    return program.update(params, *batch(count))[0]


@pytest.mark.parametrize("options", [{}, *some_quick([{"schedule": "constant"}, ITERATING], first=1)])
def test_a_program_comes_back_as_it_was(options: dict[str, Any], tmp_path: Path) -> None:
    program = pjc.compile(NET, batch=8, **options)
    again = pickle.loads(pickle.dumps(program))
    assert again.signature == program.signature
    params = program.init(3)
    np.testing.assert_array_equal(again.init(3)["w"], params["w"])
    np.testing.assert_allclose(stepped(again, params)["w"], stepped(program, params)["w"], rtol=1e-5)
    again.save(tmp_path / "again.pjx")
    program.save(tmp_path / "program.pjx")
    assert (tmp_path / "again.pjx").read_bytes() == (tmp_path / "program.pjx").read_bytes()
    twice = pickle.loads(pickle.dumps(again))
    assert twice.signature == program.signature
    assert copy.deepcopy(program) is program and copy.copy(again) is again


@pytest.mark.slow
def test_units_and_first_values_come_back() -> None:
    text = "input x: f32[batch, 2]\ntarget y: f32[batch, 1]\nparam w: f32[2, 1] = he_normal\n"
    text += "param b: f32[1] = zeros\noutput z = x @ w + b\nrequire squared_error(z, y)\n"
    x = np.arange(12.0).reshape(6, 2)
    fit = pjc.train(text, (x, 1000 + x @ [[3.0], [1.0]]), epochs=1, batch=6)
    again = pickle.loads(pickle.dumps(fit))
    assert again.program.units == fit.program.units != {}
    np.testing.assert_array_equal(again.predict(x), fit.predict(x))
    assert again.history == fit.history and repr(again) == repr(fit)
    program = traced()
    again = pickle.loads(pickle.dumps(program))
    np.testing.assert_array_equal(again.params["w"], program.params["w"])


@pytest.mark.slow
def test_a_traced_program_keeps_the_callers_tree() -> None:
    program = traced()
    again = pickle.loads(pickle.dumps(program))
    assert jax.tree.structure(again.params) == jax.tree.structure(program.params)
    assert again.params["rest"] == [3]
    x, _ = batch(8)
    np.testing.assert_allclose(again.apply(program.params, x), linear(program.params, x), rtol=1e-5)
    np.testing.assert_allclose(
        stepped(again, program.params)["w"], stepped(program, program.params)["w"], rtol=1e-5
    )
    assert again.to_pjn() == program.to_pjn()


def test_modules_of_a_class_come_back() -> None:
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.Linear(4, 3, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_array)
    program = pjc.trace(
        lambda params, x: jax.vmap(eqx.combine(params, static))(x),
        params,
        pjc.f32["batch", 4],
        loss=pjc.cross_entropy(),
        batch=8,
    )
    again = pickle.loads(pickle.dumps(program))
    x, _ = batch(8)
    np.testing.assert_allclose(again.apply(params, x), jax.vmap(model)(x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_an_outer_step_of_ones_own_is_refused(tmp_path: Path) -> None:
    own = pjc.compile(NET, batch=8, outer=optax.sgd(0.1))
    pjc.compile(NET, batch=8).save(tmp_path / "n.pjx")
    for program in (own, pjc.load(tmp_path / "n.pjx", outer=optax.sgd(0.1)), traced(outer=optax.sgd(0.1))):
        with pytest.raises(
            pjc.PjcError, match="cannot be pickled: its outer step is an optax transformation"
        ):
            pickle.dumps(program)


# --- batches of other sizes ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, ITERATING])
@pytest.mark.parametrize("count", some_quick([1, 5, 11], 3, first=1))
def test_a_batch_of_another_size_trains_as_if_compiled_for_it(options: dict[str, Any], count: int) -> None:
    program, exact = (pjc.compile(NET, batch=size, **options) for size in (8, count))
    params = program.init(1)
    np.testing.assert_array_equal(stepped(program, params, count)["w"], stepped(exact, params, count)["w"])
    method = "displacement" if program.sweeps else "gap"
    ours, theirs = (getattr(each, method)(params, *batch(count)) for each in (program, exact))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_state_goes_on_over_a_ragged_batch() -> None:
    program = pjc.compile(NET, batch=8)
    state = program.start(0, steps=3)
    step = jax.jit(program.step)
    for count in (8, 8, 5):
        state, info = step(state, *batch(count))
    assert np.isfinite(info["demand"])
    weights = np.ones(5, np.float32)
    plain, _ = program.step(state, *batch(5))
    weighted, _ = program.step(state, *batch(5), sample_weight=weights)
    np.testing.assert_allclose(weighted.params["w"], plain.params["w"], rtol=1e-5)
    with pytest.raises(pjc.PjcError, match=r"sample_weight has shape \(8,\), expected \(5,\)"):
        program.step(state, *batch(5), sample_weight=np.ones(8))
    with pytest.raises(pjc.PjcError, match=r"'y' has shape \(8,\), expected \(5,\)"):
        program.step(state, batch(5)[0], batch(8)[1])


@pytest.mark.slow
def test_what_was_loaded_takes_them_too(tmp_path: Path) -> None:
    program = pjc.compile(NET, batch=8)
    program.save(tmp_path / "n.pjx")
    params = program.init(0)
    expected = stepped(program, params, 5)["w"]
    np.testing.assert_allclose(stepped(pjc.load(tmp_path / "n.pjx"), params, 5)["w"], expected, rtol=1e-5)
    own = pjc.load(tmp_path / "n.pjx", outer=optax.sgd(1.0))
    asked, _ = own.displacement(params, *batch(5))
    np.testing.assert_allclose(
        own.finish(stepped(own, params, 5))["w"],
        own.finish({"w": params["w"] + asked["w"]})["w"],
        rtol=1e-4,
        atol=1e-6,
    )
    tree = traced()
    assert jnp.isfinite(stepped(tree, tree.params, 3)["w"]).all()
