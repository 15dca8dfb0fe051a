"""The values of losses: what they are, and that training tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import pjc
from pjc.runtime.history import Checkpoint, Result, Row, read_checkpoint, write_checkpoint
from pjc.runtime.projections import LOSSES, loss

DRAWN = np.random.default_rng(0)
LOGITS = DRAWN.normal(0, 2, (5, 4)).astype("f")
CLASSES = np.array([0, 1, 2, 3, 3])
FUNCTIONS = {"cross_entropy", "hinge", "squared_error"}


def target_of(name: str) -> np.ndarray:
    """Return targets of the kind that a loss takes."""
    if name in ("squared_error", "equal"):
        return DRAWN.normal(0, 1, LOGITS.shape).astype("f")
    return (LOGITS > 0.3).astype("f") if name == "multi_label" else CLASSES


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("strength", [0.3, 2.0])
def test_the_prox_descends_the_value(name: str, strength: float) -> None:
    """What a function demands is its slope where the prox ends; what a set demands that of the distance."""
    one, target = loss(name, **({"strength": strength} if name in FUNCTIONS else {})), target_of(name)
    with jax.enable_x64(True):
        logits = LOGITS.astype(float)
        demand = np.asarray(one.demand((logits,), target)[0])
        at = logits + demand if name in FUNCTIONS else logits
        slope = np.empty_like(at)
        for where in np.ndindex(at.shape):
            by = np.zeros_like(at)
            by[where] = 1e-5
            ends = (float(one.value((at + each,), target).sum()) for each in (by, -by))
            slope[where] = np.subtract(*ends) / 2e-5
        values = np.asarray(one.value((logits,), target))
    # At the kink of a hinge there are many slopes.
    smooth = ~np.isclose(np.abs(at), 1) if name == "hinge" else np.full(at.shape, True)
    assert smooth.sum() >= 10 and np.abs(demand[smooth]).max() > 0.1
    np.testing.assert_allclose(-demand[smooth], slope[smooth], atol=1e-6)
    assert values.shape == target.shape and float(values.min()) >= 0


def test_values_are_those_of_the_field() -> None:
    logits, y = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1e4, -1e4, 0.0]], "f"), np.array([0, 1, 2])
    expected = [np.log(np.exp(logits[0]).sum()) - 2, np.log(3), 1e4]
    np.testing.assert_allclose(loss("cross_entropy").value((logits,), y), expected, rtol=1e-6)
    np.testing.assert_allclose(loss("hinge", strength=0.5).value((logits,), y), [0.5, 1.5, 5001], rtol=1e-6)
    value, target = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([[0.0, 0.0], [0.5, 1.0]])
    expected = [[1.5, 6.0], [0, 6.0]]
    np.testing.assert_allclose(loss("squared_error", strength=3.0).value((value,), target), expected)
    np.testing.assert_allclose(loss("margin").value((logits[:2],), y[:2]), [0, 0.5])


NET = """
input x: f32[batch, 3]
target y: class[batch, 4]
param w: f32[3, 4] = he_normal
param b: f32[4] = zeros
output logits = x @ w + b
require {}
"""
X, Y = DRAWN.normal(0, 1, (8, 3)).astype("f"), np.arange(8) % 4


def logits_of(program: Any, params: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(program.apply(params, x))


@pytest.mark.parametrize("solver", ["sweep", "dr", "cp"])
@pytest.mark.parametrize("asked", ["cross_entropy(logits, y, 2)", "margin(logits, y)", "hinge(logits, y)"])
def test_a_batch_tells_the_loss_that_it_began_with(solver: str, asked: str) -> None:
    program = pjc.compile(NET.format(asked), batch=8, solver=solver)
    params = program.init(1)
    if solver == "sweep":
        _, info = program.displacement(params, X, Y)
    else:
        _, info = program.update(params, X, Y, iterations=3)
    name = asked.partition("(")[0]
    one = loss(name, **({"strength": 2.0} if "2" in asked else {}))
    expected = float(np.mean(one.value((logits_of(program, params, X),), Y)))
    assert expected > 0.1 and float(info["loss"]) == pytest.approx(expected, rel=1e-5)


def test_samples_count_by_their_weights() -> None:
    program = pjc.compile(NET.format("cross_entropy(logits, y)"), batch=8)
    params, weights = program.init(1), np.array([0, 1, 2, 0, 5, 0, 0.5, 1])
    _, info = program.displacement(params, X, Y, sample_weight=weights)
    each = np.asarray(loss("cross_entropy").value((logits_of(program, params, X),), Y))
    assert float(info["loss"]) == pytest.approx(float(each @ weights / weights.sum()), rel=1e-5)


def test_losses_of_a_network_are_added_and_sets_have_none() -> None:
    both = pjc.compile(NET.format("cross_entropy(logits, y)\nrequire margin(logits, y)"), batch=8)
    params = both.init(1)
    outputs = (logits_of(both, params, X),)
    expected = sum(float(np.mean(loss(name).value(outputs, Y))) for name in ("cross_entropy", "margin"))
    assert float(both.displacement(params, X, Y)[1]["loss"]) == pytest.approx(expected, rel=1e-5)
    alone = NET.replace("target y: class[batch, 4]\n", "").format("logits in box(-0.1, 0.1)")
    assert "loss" not in pjc.compile(alone, batch=8).displacement(params, X)[1]


@pytest.mark.filterwarnings("ignore:training accuracy")
def test_an_epoch_tells_the_mean_of_its_batches() -> None:
    program = pjc.compile(NET.format("cross_entropy(logits, y)"), batch=4)
    fit = pjc.train(program, (X, Y), epochs=2, seed=3)
    assert fit.history.columns[:4] == ("epoch", "seconds", "demand", "loss")
    state, found = program.start(program.init(3), 4), []
    for epoch in range(2):
        order = np.random.default_rng([3, epoch]).permutation(8)
        for rows in (order[:4], order[4:]):
            state, info = program.step(state, X[rows], Y[rows])
            found.append(float(info["loss"]))
    expected = [np.mean(found[:2]), np.mean(found[2:])]
    assert fit.history["loss"] == pytest.approx(expected, rel=1e-4) and found[0] != found[1]


def test_a_checkpoint_keeps_the_losses(tmp_path: Path) -> None:
    rows = (Row(1, 1.0, 0.5, None, loss=0.25), Row(2, 2.0, 0.5, None))
    result = Result({"w": np.zeros(1, "f")}, rows, 2, 1, loss_sum=1.5)
    write_checkpoint(tmp_path / "a.safetensors", Checkpoint(result), {})
    found = read_checkpoint(tmp_path / "a.safetensors").result
    assert (found.history, found.loss_sum) == (rows, 1.5)
    assert rows[0].told("gap") == "gap 0.5, loss 0.25" and rows[1].told("gap") == "gap 0.5"
