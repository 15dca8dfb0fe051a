"""pjc.train with weights of samples and classes, and the factored dots that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc import holding
from pjc.callbacks import Callback, TrainingRun
from pjc.runtime.data import class_weights, from_arrays, load, split
from pjc.runtime.train import Run
from pjc.runtime.train import train as run_training

NET = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = he_normal
output logits = x @ w
require cross_entropy(logits, y)
"""
NUMBERS = """
input x: f32[batch, 4]
target y: f32[batch, 1]
param w: f32[4, 1] = he_normal
output z = x @ w
require squared_error(z, y)
"""
NAMES = np.array(["ash", "elm", "oak"])

pytestmark = pytest.mark.filterwarnings("ignore::pjc.TrainingWarning")


def samples(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 4)), np.arange(count) % 7 % 3


@pytest.fixture(scope="module")
def program() -> pjc.Program:
    return pjc.compile(NET, batch=8)


def by_hand(program: pjc.Program, x: Any, y: Any, weights: Any) -> Any:
    """Return the parameters that training gives for a dataset that has weights."""
    data = replace(from_arrays(x, y, "mine"), weights=weights)
    return run_training(program, data, Run(epochs=3, seed=1)).params["w"]


class Column:
    """What a column of pandas has, as far as it is asked for."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape = values, values.shape

    def to_numpy(self) -> Any:
        return self.values


@pytest.mark.parametrize("make", [np.asarray, list, jnp.asarray, Column, lambda w: w * 1e300])
def test_samples_count_by_their_weights(program: pjc.Program, make: Callable[[Any], Any]) -> None:
    x, y = samples(40)
    weights = np.random.default_rng(3).integers(0, 4, 40).astype(float)
    fit = pjc.train(program, (x, y), epochs=3, seed=1, sample_weight=make(weights))
    np.testing.assert_array_equal(fit.params["w"], by_hand(program, x, y, weights))
    assert not np.array_equal(fit.params["w"], by_hand(program, x, y, None))


def test_weights_multiply_with_those_of_the_data(program: pjc.Program) -> None:
    x, y = samples(40)
    one, other = (2.0 ** np.random.default_rng(seed).integers(0, 3, 40) for seed in (1, 2))
    data = replace(from_arrays(x, y, "mine"), weights=one)
    fit = pjc.train(program, data, epochs=3, seed=1, sample_weight=other)
    np.testing.assert_array_equal(fit.params["w"], by_hand(program, x, y, one * other))


@pytest.mark.parametrize(
    ("weights", "same"),
    [
        ("balanced", "balanced"),
        ({"ash": 4, "oak": 0.5}, {0: 4, 2: 0.5}),
        ({"elm": 0}, {1: 0}),
        ({np.str_("oak"): np.float32(8)}, {2: 8}),
    ],
)
def test_classes_count_by_their_weights(program: pjc.Program, weights: Any, same: Any) -> None:
    x, y = samples(40)
    wanted = by_hand(program, x, y, class_weights(y, same))
    for labels, given in ((NAMES[y], weights), (y, same)):
        fit = pjc.train(program, (x, labels), epochs=3, seed=1, class_weight=given)
        np.testing.assert_array_equal(fit.params["w"], wanted)
    own = 2.0 ** np.random.default_rng(1).integers(0, 3, 40)
    both = pjc.train(program, (x, y), epochs=3, seed=1, class_weight=same, sample_weight=own)
    np.testing.assert_array_equal(
        both.params["w"], by_hand(program, x, y, class_weights(y, same) * own / own.max())
    )


def test_scores_count_weights_of_samples_and_not_of_classes(program: pjc.Program) -> None:
    x, y = samples(60)
    weights = np.random.default_rng(3).random(60)
    fit = pjc.train(program, (x, y), epochs=2, sample_weight=weights, class_weight={0: 100}, test=0.5)
    _, test = split(replace(from_arrays(x, y, "mine"), weights=weights), 0.5, "test")
    assert test.weights is not None
    right = fit.predict(test.x) == test.y
    assert fit.score == pytest.approx(float(right @ test.weights / test.weights.sum()))
    assert fit.score != pytest.approx(float(right.mean()))


def test_a_file_has_a_column_of_weights(program: pjc.Program, tmp_path: Path) -> None:
    x, y = samples(40)
    weights = np.arange(40) % 5
    lines = [",".join(map(str, [*row, NAMES[k], w])) for row, k, w in zip(x, y, weights, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,d,kind,often", *lines]) + "\n")
    fit = pjc.train(
        program,
        str(tmp_path / "t.csv"),
        target="kind",
        epochs=3,
        seed=1,
        sample_weight="often",
        class_weight={"oak": 2},
    )
    wanted = by_hand(program, x, y, weights * class_weights(y, {2: 2}))
    np.testing.assert_allclose(fit.params["w"], wanted, rtol=1e-5)
    loaded = load(str(tmp_path / "t.csv"), "kind", weights="often")
    fit = pjc.train(program, loaded, epochs=3, seed=1, class_weight="balanced")
    np.testing.assert_allclose(
        fit.params["w"], by_hand(program, x, y, weights * class_weights(y, "balanced")), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"sample_weight": np.ones(7)}, r"40 samples, but weights of shape \[7\]"),
        ({"sample_weight": np.ones((40, 1))}, r"but weights of shape \[40, 1\]"),
        ({"sample_weight": [1] * 39 + [-2]}, "the weight of sample 39 .* is -2"),
        ({"sample_weight": [np.nan] * 40}, "the weight of sample 0 .* is nan"),
        ({"sample_weight": np.zeros(40)}, "are all 0"),
        ({"sample_weight": ["a"] * 40}, "are no numbers"),
        ({"sample_weight": [[1], [1, 2]]}, "sample_weight"),
        ({"sample_weight": "often"}, "names a column of a file"),
        ({"class_weight": "even"}, "there are no class weights 'even'"),
        ({"class_weight": {"oak": 2}}, "names? the class 'oak', which no sample has"),
        ({"class_weight": {3: 2}}, "names? the class 3, which no sample has"),
        ({"class_weight": {0: -1}}, "weights are finite numbers from 0"),
        ({"class_weight": {0: "many"}}, "is no number"),
        ({"class_weight": [1, 2, 3]}, "a dict of a weight for each class, found list"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "are all 0"),
    ],
)
def test_weights_that_are_none_are_told_of(
    program: pjc.Program, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(pjc.PjcError, match=told):
        pjc.train(program, samples(40), epochs=1, **arguments)


def test_what_has_no_weights_says_so(program: pjc.Program, tmp_path: Path) -> None:
    x, y = samples(40)
    for name in ("sample_weight", "class_weight"):
        with pytest.raises(pjc.PjcError, match=f"{name} sets how often samples come, and batches are taken"):
            pjc.train(program, [(x[:8], y[:8]), (x[8:16], y[8:16])], epochs=1, **{name: [1] * 16})
    with pytest.raises(pjc.PjcError, match="class_weight is for targets of one class each"):
        pjc.train(NUMBERS, (x, y), epochs=1, batch=8, class_weight="balanced")
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(
        pjc.PjcError, match="sample_weight of a source is the name of a column, found ndarray"
    ):
        pjc.train(program, str(tmp_path / "a.npz"), epochs=1, sample_weight=np.ones(40))
    with pytest.raises(pjc.PjcError, match="--weights"):
        pjc.train(program, str(tmp_path / "a.npz"), epochs=1, sample_weight="often")


# --- factored dots that are held ----------------------------------------------------------------------

DEEP = """
input x: f32[batch, 4]
target y: class[batch, 3]
param a: f32[4, 6] = he_normal
param b: f32[6, 3] = he_normal
output logits = relu(x @ a) @ b
require cross_entropy(logits, y)
"""
ITERATING: dict[str, Any] = {"solver": "dr", "iterations": 3, "batch": 8, "memory": "1K"}


class Stop(Callback):
    def epoch(self, training: TrainingRun) -> None:
        if training.epoch == 1:
            training.stop()


@pytest.mark.slow
def test_dots_whose_multiplier_is_large_are_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(holding, "LARGE_MULTIPLIER", 0.0)
    program = pjc.compile(DEEP, **ITERATING)
    program.save(tmp_path / "n.pjx")
    data = samples(16)
    with pytest.warns(pjc.TrainingWarning, match=r"\|t\| reached .*; it is held from now on"):
        fit = pjc.train(program, data, epochs=3)
    assert fit.result.held and fit.history["largest_t"][0] > 0
    assert fit.history["largest_t"][1:] == [None, None]
    again = pjc.train(pjc.load(tmp_path / "n.pjx"), data, epochs=3)
    assert again.result.held == fit.result.held
    part = pjc.train(program, data, epochs=3, callbacks=[Stop()])
    rest = pjc.train(program, data, epochs=3, resume=part)
    for name, value in fit.params.items():
        np.testing.assert_allclose(again.params[name], value, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(rest.params[name], value)


def test_forms_that_were_asked_for_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "LARGE_MULTIPLIER", 0.0)
    program = pjc.compile(DEEP, copies="factored", **ITERATING)
    with pytest.warns(pjc.TrainingWarning, match='compiling with copies=".*=held" would be exact') as told:
        fit = pjc.train(program, samples(16), epochs=3)
    assert fit.result.held == () and None not in fit.history["largest_t"]
    assert len({str(each.message) for each in told}) == len(told)  # of each dot once
    monkeypatch.setattr(holding, "LARGE_MULTIPLIER", 1e9)
    assert pjc.train(pjc.compile(DEEP, **ITERATING), samples(16), epochs=1).result.held == ()
