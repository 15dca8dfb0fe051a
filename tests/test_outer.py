"""The outer step: against optax by hand, its schedules, patterns and state, and the options for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pjc
from pjc import cli
from pjc.diagnostics import DiagnosticError
from pjc.options import ITERATIONS, Options
from pjc.passes import solvers
from pjc.runtime.outer import (
    ADAM_EPS,
    MOMENTUM,
    Outer,
    OuterError,
    flatten_state,
    multiplier,
    outer_of,
    restore_state,
    transformation,
)
from pjc.runtime.outer_settings import STEPS

START = {"a": jnp.arange(6.0).reshape(2, 3) - 2, "b.v": jnp.array([1.0, -3.0, 0.5]), "b.w": jnp.ones((3, 2))}
GOAL = {"a": jnp.ones((2, 3)), "b.v": jnp.zeros(3), "b.w": -jnp.ones((3, 2))}
NAMES = {name: (name,) for name in START}


def displacement(params: dict[str, Any]) -> dict[str, Any]:
    """Return the negative gradient of half the squared distance to the goal."""
    return {name: GOAL[name] - value for name, value in params.items()}


def moved(made: optax.GradientTransformation, steps: int, sign: float = -1.0) -> dict[str, Any]:
    """Return the parameters after some steps of a transformation."""
    params, state = START, made.init(START)
    for _ in range(steps):
        asked = {name: sign * each for name, each in displacement(params).items()}
        moves, state = made.update(asked, state, params)
        params = optax.apply_updates(params, moves)
    return params


def close(one: Any, other: Any) -> bool:
    return set(one) == set(other) and all(np.allclose(one[k], other[k], rtol=2e-6, atol=1e-7) for k in one)


def rate(count: Any) -> Any:
    """Return the default rate over 10 steps, by optax."""
    return optax.cosine_decay_schedule(1e-3, 10)(count)


BY_HAND: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": lambda: optax.adam(rate, eps=1e-8),
    "adamw": lambda: optax.adamw(rate, eps=1e-8, weight_decay=0.1),
    "sgd": lambda: optax.sgd(rate, momentum=0.9),
    "lion": lambda: optax.lion(rate, weight_decay=0.1),
    "muon": lambda: optax.contrib.muon(rate, weight_decay=0.1, adam_weight_decay=0.1),
    "none": lambda: optax.identity(),
}


@pytest.mark.parametrize("name", STEPS)
def test_an_outer_step_is_that_of_optax(name: str) -> None:
    outer = Outer(name, weight_decay=0.1)
    expected = moved(BY_HAND[name](), 4, sign=1.0 if name == "none" else -1.0)
    found = moved(transformation(outer, NAMES, 10), 4)
    assert close(found, expected)
    assert not close(found, START)


def test_without_a_step_parameters_move_by_the_displacement() -> None:
    assert close(moved(transformation(Outer("none"), NAMES), 1), GOAL)


def test_the_first_step_of_adam_is_the_rate() -> None:
    after = moved(_constant("adam"), 1)
    for name, asked in displacement(START).items():
        assert np.allclose(after[name] - START[name], 1e-3 * np.sign(asked), atol=1e-6)
    assert (ADAM_EPS, MOMENTUM) == (1e-8, 0.9)


def _constant(name: str) -> optax.GradientTransformation:
    return transformation(Outer(name, schedule="constant"), NAMES, 10)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", 0, [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]),
        ("cosine", 0, [(1 + np.cos(np.pi * i / 8)) / 2 for i in range(9)]),
        ("constant", 0.5, [0, 1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 1]),
        ("linear", 4, [0, 1 / 4, 2 / 4, 3 / 4, 1, 3 / 4, 2 / 4, 1 / 4, 0]),
        ("cosine", 0.3, [0, 1 / 2, *((1 + np.cos(np.pi * i / 6)) / 2 for i in range(7))]),
    ],
)
def test_what_a_schedule_multiplies_rates_by(schedule: str, warmup: float, expected: list[float]) -> None:
    at = multiplier(Outer(schedule=schedule, warmup=warmup), 8)
    assert np.allclose([at(jnp.int32(i)) for i in range(9)], expected, atol=1e-6)
    assert at(jnp.int32(100)) == pytest.approx(expected[-1], abs=1e-6)


def test_warmup_and_cosine_are_those_of_optax() -> None:
    theirs = optax.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20)
    ours = multiplier(Outer(warmup=5), 20)
    assert np.allclose([ours(jnp.int32(i)) for i in range(21)], [theirs(i) for i in range(21)], atol=1e-6)


@pytest.mark.parametrize("steps", [None, 0])
def test_a_run_of_unknown_length_has_a_constant_rate(steps: int | None) -> None:
    at = multiplier(Outer(warmup=0.5), steps)
    assert [float(at(jnp.int32(i))) for i in (0, 1, 1000)] == [1, 1, 1]
    assert float(multiplier(Outer(warmup=4), steps)(jnp.int32(1))) == 0.25


# --- patterns -----------------------------------------------------------------------------------------


def test_each_parameter_has_the_rate_of_the_last_pattern_that_matches() -> None:
    outer = Outer("sgd", {"": 0.1, "b.*": 0.01, "*.w": 0.5}, "constant")
    after = moved(transformation(outer, NAMES), 1)
    for name, own in (("a", 0.1), ("b.v", 0.01), ("b.w", 0.5)):
        assert np.allclose(after[name], START[name] + own * (GOAL[name] - START[name]))


@pytest.mark.parametrize("name", STEPS)
def test_frozen_parameters_rest_and_are_not_remembered(name: str) -> None:
    outer = Outer(name, {"": 0.1}, weight_decay=0.1, freeze=("b.*",), clip=0.5)
    made = transformation(outer, NAMES)
    after = moved(made, 3)
    assert all(np.array_equal(after[each], START[each]) for each in ("b.v", "b.w"))
    assert not np.allclose(after["a"], START["a"])
    assert not [each for each in flatten_state(made.init(START)) if "b." in each]


def test_what_is_frozen_does_not_count_in_the_norm_that_is_clipped() -> None:
    after = moved(transformation(Outer("none", clip=0.5, freeze=("b.*",)), NAMES), 1)
    assert float(jnp.linalg.norm(after["a"] - START["a"])) == pytest.approx(0.5, rel=1e-5)


def test_equal_layers_that_are_held_as_one_have_rates_of_their_own() -> None:
    params = {"layers": jnp.ones((3, 2, 2)), "out": jnp.ones(2)}
    names = {"layers": ("l0.w", "l1.w", "l2.w"), "out": ("out",)}
    outer = Outer("sgd", {"": 0.1, "l1.*": 0.2}, "constant", freeze=("l2.*",))
    made = transformation(outer, names)
    moves, _ = made.update(jax.tree.map(lambda each: -each, params), made.init(params), params)
    assert np.allclose(moves["layers"][:, 0, 0], [0.1, 0.2, 0]) and np.allclose(moves["out"], 0.1)


def test_muon_takes_equal_layers_as_matrices() -> None:
    one = jax.random.normal(jax.random.key(0), (2, 4, 3))
    stacked, apart = {"w": one}, {"w0": one[0], "w1": one[1]}
    moves = []
    for params, names in ((stacked, {"w": ("w0", "w1")}), (apart, {"w0": ("w0",), "w1": ("w1",)})):
        made = transformation(Outer("muon", schedule="constant"), names)
        moves.append(made.update(params, made.init(params), params)[0])
    assert np.allclose(moves[0]["w"], np.stack([moves[1]["w0"], moves[1]["w1"]]), atol=1e-6)


@pytest.mark.parametrize(
    ("outer", "message"),
    [
        (Outer(freeze=("b.x",)), "freeze: no parameter matches 'b.x'\nhint: did you mean 'b."),
        (
            Outer(freeze=("zzzzzz",)),
            "freeze: no parameter matches 'zzzzzz'\nhint: parameters are a, b.v",
        ),
        (Outer(rate={"": 1.0, "A*": 2.0}), r"rate: no parameter matches 'A\*'"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(outer: Outer, message: str) -> None:
    with pytest.raises(DiagnosticError, match=message):
        transformation(outer, NAMES)


# --- several batches ----------------------------------------------------------------------------------


def test_displacements_of_several_batches_are_averaged_before_a_step() -> None:
    made = transformation(Outer("adam", schedule="linear", accumulate=3), NAMES, 4)
    single = transformation(Outer("adam", schedule="linear"), NAMES, 4)
    params, state, other = START, made.init(START), single.init(START)
    for step in range(2):
        asked = [{n: v * (step + i + 1) for n, v in GOAL.items()} for i in range(3)]
        for i, each in enumerate(asked):
            moves, state = made.update(each, state, params)
            assert i == 2 or all(not np.any(move) for move in moves.values())
        mean = jax.tree.map(lambda *each: sum(each) / 3, *asked)
        expected, other = single.update(mean, other, params)
        assert close(moves, expected)
        params = optax.apply_updates(params, moves)


# --- its state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("more", [{}, {"freeze": ("b.v",), "clip": 1.0, "accumulate": 2}], ids=str)
def test_a_state_goes_through_arrays_by_name(name: str, more: dict[str, Any]) -> None:
    made = transformation(Outer(name, **more), NAMES, 10)
    _, state = made.update(START, made.init(START), START)
    arrays = flatten_state(state)
    assert all(each.startswith("outer/") for each in arrays)
    again = restore_state(jax.eval_shape(made.init, START), {n: np.asarray(v) for n, v in arrays.items()})
    assert jax.tree.structure(again) == jax.tree.structure(state)
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(state)))


def test_a_state_of_another_step_is_refused() -> None:
    adam, sgd = (transformation(Outer(name), NAMES).init(START) for name in ("adam", "sgd"))
    with pytest.raises(OuterError, match=r"are of another one: outer/.* is (missing|none of them)"):
        restore_state(adam, flatten_state(sgd))
    arrays = flatten_state(adam)
    (first,) = [name for name in arrays if name.endswith(".mu['a']")]
    with pytest.raises(OuterError, match=r"mu\['a'\] is float32\[3, 3\], expected float32\[2, 3\]; go on"):
        restore_state(adam, {**arrays, first: jnp.zeros((3, 3))})
    with pytest.raises(OuterError, match="is none of them"):
        restore_state(adam, {**arrays, "outer/more": jnp.zeros(3)})


def test_a_transformation_of_ones_own_that_is_not_there_is_asked_for() -> None:
    with pytest.raises(OuterError, match=r"pass it again, as in pjc.load\(path, outer="):
        transformation(Outer("custom"), NAMES)
    own = outer_of(Options(outer=optax.sgd(0.5), freeze=["a"]))
    assert own.name == "custom" and own.is_given and not replace(own, own=None).is_given
    after = moved(transformation(own, NAMES), 1)
    assert np.allclose(after["b.w"], 0) and np.array_equal(after["a"], START["a"])


# --- options ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Once(solvers.CyclicProjections):
    """A solver that says of itself that it makes a displacement."""

    name = "once"
    outer = True


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(solvers.SOLVERS, "once", Once)
    yield "once"


TEXT = "input x: f32[batch, 2]\ntarget y: class[batch, 2]\nparam w: f32[2, 2] = he_normal\n"
TEXT += "output z = x @ w\nrequire margin(z, y)\n"


def test_options_of_an_outer_step_are_of_solvers_that_have_one(once: str) -> None:
    given: list[dict[str, Any]] = [
        {"outer": "adam"},
        {"rate": 1e-3},
        {"schedule": "cosine"},
        {"warmup": 0},
        {"clip": 1},
        {"accumulate": 1},
        {"freeze": ["w"]},
        {"outer": "lion", "weight_decay": 0},
    ]
    for each in given:
        with pytest.raises(DiagnosticError, match=f"{next(iter(each))} does not apply to the solver dr, "):
            pjc.compile(TEXT, batch=2, **each)
        Options(solver=once, **each).require_used_by(Once())
    with pytest.raises(DiagnosticError, match="it is for solvers that make a displacement: once"):
        pjc.compile(TEXT, batch=2, rate=1.0)


def test_iterations_are_of_solvers_that_iterate(once: str) -> None:
    with pytest.raises(
        DiagnosticError,
        match="iterations does not apply to the solver once, which goes once through the network\n"
        "hint: it is for ap, ar, dr, rrr, dm, cp, cdr",
    ):
        pjc.compile(TEXT, batch=2, solver=once, iterations=ITERATIONS)
    assert (Options(solver=once).repeats, Options().repeats, Options(iterations=3).repeats) == (1, 50, 3)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"outer": "adagrad"}, "unknown outer 'adagrad'\nhint: known are adam, adamw, sgd, lion, muon, none"),
    ({"rate": 0}, "rate: expected a number above 0, or PATTERN=RATE, found 0"),
    ({"rate": {"a": -1}}, "rate: expected"),
    ({"rate": ["1", "2"]}, "rate is given twice for all parameters"),
    ({"schedule": "step"}, "unknown schedule 'step'"),
    ({"warmup": 1.5}, "warmup: expected a part of the run from 0 to below 1, or a whole number of steps"),
    ({"warmup": -0.1}, "warmup: expected"),
    ({"accumulate": 0}, "accumulate: expected a whole number from 1"),
    ({"clip": 0}, "clip: expected a number above 0"),
    ({"freeze": "a"}, "freeze: expected a list of texts"),
    ({"weight_decay": 0.1}, "weight_decay does not go with the outer step adam.*\n.*--outer adamw"),
    ({"outer": "sgd", "weight_decay": 0.1}, "weight_decay does not go with the outer step sgd"),
    ({"outer": "none", "rate": 1.0}, "rate does not go with the outer step none\nhint: the displacement is"),
    ({"outer": "none", "weight_decay": 1.0}, "weight_decay does not go with the outer step none"),
    ({"outer": optax.sgd(1.0), "warmup": 3}, "warmup does not go with the outer step custom\nhint: a transf"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda each: str(each)[:40])
def test_options_of_an_outer_step_that_are_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DiagnosticError, match=message):
        Options(**options)


def test_the_command_line_gives_several_rates(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["net.pjn", "--rate", "1e-3", "--rate", "w=x"]) == 1
    assert "expected a number above 0, or PATTERN=RATE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["net.pjn", "--outer", "custom"])
    assert "unknown outer 'custom'" in capsys.readouterr().err


def test_rates_are_recorded_in_their_order() -> None:
    options = Options(rate={"z*": 1.0, "": 2.0, "a*": 0.1}, freeze=["b"], warmup=0.25, outer="lion")
    assert options.record()["rate"] == ["z*=1.0", "2.0", "a*=0.1"]
    assert Options(**options.record()) == options
    assert Options(outer=optax.sgd(1.0)).record()["outer"] == "custom"


def test_what_is_said_as_it_is_by_default_makes_no_other_run() -> None:
    assert (
        Options(outer="adam", rate=1e-3, schedule="cosine", iterations=50).compared() == Options().compared()
    )
    assert Options(rate=1e-2).compared() != Options().compared()
    assert outer_of(Options(rate={"a": 1.0})).rate == {"": 1e-3, "a": 1.0}
