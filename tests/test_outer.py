"""The outer step: against optax by hand, its schedules, patterns and state, and the options for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from displacing import BATCH, program

import pjc
from pjc import cli
from pjc.diagnostics import DiagnosticError
from pjc.options import ITERATIONS, Options
from pjc.passes import solvers
from pjc.runtime.artifact import ArtifactError, load, save
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
from pjc.runtime.outer_settings import RATE, RATES, STEPS
from pjc.runtime.program import ProgramError

START = {"a": jnp.arange(6.0).reshape(2, 3) - 2, "b.v": jnp.array([1.0, -3.0, 0.5]), "b.w": jnp.ones((3, 2))}
GOAL = {"a": jnp.ones((2, 3)), "b.v": jnp.zeros(3), "b.w": -jnp.ones((3, 2))}
NAMES = {name: (name,) for name in START}


def displacement(params: dict[str, Any]) -> dict[str, Any]:
    """Return the negative gradient of half the squared distance to the goal."""
    return {name: GOAL[name] - value for name, value in params.items()}


def moved(made: optax.GradientTransformation, steps: int, sign: float = -1.0) -> dict[str, Any]:
    """Return the parameters after some steps of a transformation."""

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        asked = {name: sign * each for name, each in displacement(params).items()}
        moves, state = made.update(asked, state, params)
        return optax.apply_updates(params, moves), state

    params, state = START, made.init(START)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def close(one: Any, other: Any) -> bool:
    return set(one) == set(other) and all(np.allclose(one[k], other[k], rtol=2e-6, atol=1e-7) for k in one)


usual = optax.cosine_decay_schedule(7e-3, 10)
"""The default rate over 10 steps, of adam and adamw, by optax."""
rate = optax.cosine_decay_schedule(1e-3, 10)
"""That of the others."""


BY_HAND: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": lambda: optax.adam(usual, eps=1e-8),
    "adamw": lambda: optax.adamw(usual, eps=1e-8, weight_decay=0.1),
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
        assert np.allclose(after[name] - START[name], RATES["adam"] * np.sign(asked), atol=1e-6)
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
        moves.append(jax.jit(made.update)(params, made.init(params), params)[0])
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
            moves, state = jax.jit(made.update)(each, state, params)
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
            pjc.compile(TEXT, batch=2, solver="dr", **each)
        Options(solver=once, **each).require_used_by(Once())
    with pytest.raises(
        DiagnosticError, match="it is for solvers that make a displacement: sweep, stream, once"
    ):
        pjc.compile(TEXT, batch=2, solver="dr", rate=1.0)


def test_iterations_are_of_solvers_that_iterate(once: str) -> None:
    with pytest.raises(
        DiagnosticError,
        match="iterations does not apply to the solver once, which goes once through the network\n"
        "hint: it is for ap, ar, dr, rrr, dm, cp, cdr",
    ):
        pjc.compile(TEXT, batch=2, solver=once, iterations=ITERATIONS)
    assert (Options().repeats, Options(iterations=3).repeats) == (ITERATIONS, 3)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"outer": "adagrad"}, "unknown outer 'adagrad'\nhint: known are adam, adamw, sgd, lion, muon, none"),
    ({"rate": 0}, "rate: expected a number above 0, or PATTERN=RATE, found 0"),
    ({"rate": {"a": -1}}, "rate: expected"),
    ({"rate": ["1", "2"]}, "rate is given twice for all parameters"),
    ({"rate": [0.1, "a*=x"]}, "rate: expected"),
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
        Options(outer="adam", rate=RATES["adam"], schedule="cosine", iterations=50).compared()
        == Options().compared()
    )
    assert Options(rate=1e-2).compared() != Options().compared()
    assert outer_of(Options(rate={"a": 1.0})).rate == {"": RATES["adam"], "a": 1.0}
    assert outer_of(Options(outer="lion", rate={"a": 1.0})).rate == {"": RATE, "a": 1.0}


# --- programs -----------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(BATCH, 64)).astype(np.float32)
Y = np.arange(BATCH) % 10


def test_a_step_is_that_of_optax_on_the_displacement() -> None:
    made = program(Outer("adam"))
    state = made.start(3, steps=10)
    params = made.init(3)
    by_hand = optax.adam(usual, eps=1e-8)
    remembered = by_hand.init(params)
    for _ in range(3):
        asked, told = made.displacement(params, X, Y)
        assert set(asked) == {"b", "out.w", "layer0.w", "layer1.w"}
        moves, remembered = by_hand.update({n: -v for n, v in asked.items()}, remembered, params)
        params = optax.apply_updates(params, moves)
        state, info = made.step(state, X, Y)
        assert float(info["demand"]) == pytest.approx(float(told["demand"]), rel=1e-5)
    assert set(state.params) == {"b", "out.w", "layers"} and int(state.steps) == 10
    assert close(made.separate(state.params), params)


def test_steps_can_be_made_within_the_callers_jit() -> None:
    made = program(Outer("lion", accumulate=2))
    state = made.start(made.init(0), steps=4)
    eager = made.step(made.step(state, X, Y)[0], X, Y)[0]
    staged = jax.jit(lambda state: made.step(made.step(state, X, Y)[0], X, Y)[0])(state)
    assert all(map(np.allclose, jax.tree.leaves(staged), jax.tree.leaves(eager)))
    assert jax.tree.structure(staged) == jax.tree.structure(state)


def test_a_step_keeps_parameters_near_their_sets() -> None:
    made = program(Outer("sgd", {"": 100.0}), box=0.2)
    state, _ = made.step(made.start(0), X, Y)
    assert float(jnp.abs(state.params["out.w"]).max()) == pytest.approx(0.22)
    assert float(jnp.abs(made.finish(state.params)["out.w"]).max()) == pytest.approx(0.2)


def test_samples_have_weights() -> None:
    made = program(Outer("adam"))
    params = made.init(0)
    first = np.where(np.arange(BATCH) < 8, 1.0, 0.0)
    other = np.where(np.arange(BATCH)[:, None] < 8, X, -X)
    one, two = (made.displacement(params, x, Y, sample_weight=first)[0] for x in (X, other))
    assert close(one, two) and not close(one, made.displacement(params, X, Y)[0])
    state = made.start(0)
    ones = made.step(state, X, Y, sample_weight=np.ones(BATCH))[0]
    assert all(map(np.allclose, jax.tree.leaves(ones), jax.tree.leaves(made.step(state, X, Y)[0])))
    for wrong, message in (
        (np.ones(3), r"sample_weight has shape \(3,\), expected \(32,\)"),
        (-np.ones(BATCH), "sample_weight: expected finite numbers from 0"),
        (np.full(BATCH, np.nan), "sample_weight: expected finite numbers from 0"),
    ):
        with pytest.raises(ProgramError, match=message):
            made.step(state, X, Y, sample_weight=wrong)


def test_methods_of_the_other_kind_of_solver_are_a_sentence() -> None:
    made, state = program(Outer("adam")), program(Outer("adam")).start(0)
    for call in (lambda: made.update(made.init(0), X, Y), lambda: made.gap(made.init(0), X, Y)):
        with pytest.raises(
            ProgramError,
            match="'displacing' was compiled with the solver once, which trains by displacement, start and "
            r"step; (update|gap) is of programs with the solvers several, many",
        ):
            call()
    other = pjc.compile(TEXT, batch=2, solver="dr")
    data = np.zeros((2, 2)), [0, 1]
    for call in (
        lambda: other.step(state, *data),
        lambda: other.start(0),
        lambda: other.displacement(other.init(0), *data),
    ):
        with pytest.raises(
            ProgramError, match=r"which trains by update and gap; (step|start|displacement) is"
        ):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda made: made.step(made.init(0), X, Y), "step takes a state, as start gives it, found dict"),
        (lambda made: made.start(0, steps=0), "steps: expected a whole number from 1, or None, found 0"),
        (lambda made: made.start(0, steps=1.5), "steps: expected"),
        (lambda made: made.start("a"), "init takes a seed"),
        (lambda made: made.start({}), "parameter 'b' of shape .* is missing"),
        (lambda made: made.step(made.start(0), X), "expected 2 arrays"),
        (lambda made: made.step(made.start(0)._replace(optimizer={}), X, Y), "are of another one: outer/"),
        (lambda made: made.step(program(Outer("lion")).start(0), X, Y), "are of another one: outer/"),
    ],
)
def test_wrong_calls_of_a_step_are_sentences(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((ProgramError, OuterError), match=message):
        call(program(Outer("adam")))


@pytest.mark.slow
def test_a_file_holds_a_step_that_is_known_by_name(tmp_path: Path) -> None:
    made = program(Outer("adam", warmup=2), box=0.2)
    save(made, tmp_path / "a.pjx", {})
    loaded = load(tmp_path / "a.pjx")
    assert set(loaded.entries()) == set(made.entries()) and loaded.sweeps and loaded.main_entry == "step"
    assert loaded.signature == made.signature
    states = [each.start(0, steps=7) for each in (made, loaded)]
    for _ in range(3):
        states = [each.step(state, X, Y)[0] for each, state in zip((made, loaded), states, strict=True)]
    ours, theirs = (jax.tree.leaves(state) for state in states)
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert all(np.allclose(*each, rtol=1e-4, atol=1e-7) for each in zip(ours, theirs, strict=True))
    weights = np.ones(BATCH)
    assert set(loaded.step(states[1], X, Y, sample_weight=weights)[1]) == {"demand", "requirements"}
    assert loaded.jitted("step").eval_shape(*loaded.abstract_arguments("step"))
    with pytest.raises(OuterError, match="are of another one"):
        loaded.step(program(Outer("sgd")).start(0), X, Y)


@pytest.mark.slow
def test_a_step_of_ones_own_is_passed_again(tmp_path: Path) -> None:
    own = Outer("custom", own=optax.sgd(0.5))
    made = program(own)
    save(made, tmp_path / "a.pjx", {}, ("start", "step", "step_weighted"))
    loaded = load(tmp_path / "a.pjx")
    assert loaded.displacement(loaded.init(0), X, Y)[1].keys() == {"demand", "requirements"}
    for call in (lambda: loaded.start(0), lambda: loaded.step(made.start(0), X, Y)):
        with pytest.raises(ProgramError, match=r"a file does not hold; pass it again, as in pjc.load\("):
            call()
    again = load(tmp_path / "a.pjx", outer=lambda _: Outer().with_own(optax.sgd(0.5)))
    ours, theirs = (each.step(each.start(0), X, Y)[0] for each in (made, again))
    assert close(theirs.params, ours.params)
    pjc.compile(TEXT, batch=2, solver="dr").save(tmp_path / "b.pjx")
    with pytest.raises(ArtifactError, match="dr, has no outer step; load it without one"):
        pjc.load(tmp_path / "b.pjx", outer=optax.sgd(0.5))
    with pytest.raises(DiagnosticError, match="load takes an optax transformation as outer, found str"):
        pjc.load(tmp_path / "b.pjx", outer="adam")


def test_a_program_of_displacements_says_what_it_is() -> None:
    assert "solver: once>" in str(program(Outer()))
    iterating = pjc.compile(TEXT, batch=2, solver="dr")
    assert program(None).main_entry == "displacement" and iterating.main_entry == "update"
    assert "stablehlo" in program(Outer()).stablehlo()
    program(Outer()).trace()


# --- from the compiler on, with a displacement of our own ----------------------------------------------

DIGITS = """
input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, 10] = glorot_uniform
param b: f32[10] = zeros
output z = x @ w + b
require cross_entropy(z, y)
"""


@pytest.fixture
def emitted(once: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a solver whose programs have the displacement of a fit by the slope of the loss."""

    def entry_points(
        emitter: Any, products: str = "f32", on_mesh: Any = None, tells: bool = False
    ) -> dict[str, Any]:
        def loss(params: Any, data: Any) -> Any:
            told = jax.nn.log_softmax(emitter.apply(params, {"x": data["x"]})["z"])
            return -told[jnp.arange(len(told)), data["y"]].mean()

        def displacement(params: Any, data: Any) -> Any:
            asked, slope = jax.value_and_grad(loss)(params, data)
            return {n: -v for n, v in slope.items()}, {"demand": asked, "requirements": {}}

        def init(key_data: Any) -> Any:
            return emitter.init(jax.random.wrap_key_data(key_data))

        return {"init": init, "apply": emitter.apply, "displacement": displacement}

    monkeypatch.setattr("pjc.runtime.emit.entry_points", entry_points)
    return once


def test_a_compiled_program_has_the_outer_step_of_its_options(emitted: str, tmp_path: Path) -> None:
    made = pjc.compile(
        DIGITS, solver=emitted, rate={"b": 0.5}, schedule="constant", outer="sgd", freeze=["w"]
    )
    assert (made.iterations, made.frozen) == (1, ("w",)) and made.signature.others == solvers.of_kind(
        outer=False
    )
    x, y = np.ones((64, 64), np.float32), np.arange(64) % 10
    state, info = made.step(made.start(0), x, y)
    asked, _ = made.displacement(made.init(0), x, y)
    assert np.array_equal(state.params["w"], made.init(0)["w"]) and float(info["demand"]) > 0
    assert np.allclose(state.params["b"], 0.5 * asked["b"])
    made.save(tmp_path / "a.pjx")
    loaded = pjc.load(tmp_path / "a.pjx")
    assert np.allclose(loaded.step(loaded.start(0), x, y)[0].params["b"], state.params["b"], atol=1e-6)
    assert loaded.frozen == ("w",)
    other = pjc.load(tmp_path / "a.pjx", outer=optax.sgd(2.0))
    assert np.allclose(other.step(other.start(0), x, y)[0].params["b"], 2 * asked["b"], atol=1e-6)
    with pytest.raises(DiagnosticError, match=r"freeze: no parameter matches 'v\*'"):
        pjc.compile(DIGITS, solver=emitted, freeze=["v*"])


def test_a_transformation_is_given_to_compile(emitted: str, tmp_path: Path) -> None:
    made = pjc.compile(DIGITS, solver=emitted, outer=optax.sgd(0.25))
    x, y = np.ones((64, 64), np.float32), np.arange(64) % 10
    asked, _ = made.displacement(made.init(0), x, y)
    after = made.step(made.start(0), x, y)[0].params["b"]
    assert np.allclose(after, 0.25 * asked["b"])
    made.save(tmp_path / "a.pjx")
    with pytest.raises(ProgramError, match="pass it again"):
        pjc.load(tmp_path / "a.pjx").start(0)
    loaded = pjc.load(tmp_path / "a.pjx", outer=optax.sgd(0.25))
    assert np.allclose(loaded.step(loaded.start(0), x, y)[0].params["b"], after, atol=1e-6)
    assert loaded.apply(loaded.init(0), x[:3]).shape == (3, 10)


def test_a_source_behind_the_choice_of_the_solver_has_the_options_of_its_own(
    emitted: str, tmp_path: Path
) -> None:
    (tmp_path / "net.proj.mlir").write_text(pjc.compile(DIGITS, solver=emitted).ir("proj"))
    assert pjc.compile(tmp_path / "net.proj.mlir", rate=0.5).sweeps
    with pytest.raises(
        DiagnosticError, match="iterations does not apply to the solver once, which goes once"
    ):
        pjc.compile(tmp_path / "net.proj.mlir", iterations=3)


def test_the_command_trains_by_outer_steps(
    emitted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.pjn").write_text(DIGITS)
    command = ["train", str(tmp_path / "net.pjn"), "--data", "digits", "--solver", emitted, "-o"]
    two = [*command, f"{tmp_path}/two/", "--rate", "1e-2", "--epochs"]
    assert cli.main([*two, "2"]) == 0
    out = capsys.readouterr().out
    assert "epoch 2/2: demand " in out and "warning" not in out
    assert (tmp_path / "two/net.history.csv").read_text().startswith("epoch,seconds,demand,")
    assert cli.main([*two, "3", "--resume"]) == 0 and "epoch 3/3: demand " in capsys.readouterr().out
    for change, message in (
        (["--rate", "b=1e-3"], "its rate was 0.01, now it is 0.01 b=0.001"),
        (["--outer", "lion"], "its outer was adam, now it is lion"),
        (["--schedule", "linear"], "its schedule was cosine, now it is linear"),
    ):
        assert cli.main([*two, "3", "--resume", *change]) == 1
        assert message in capsys.readouterr().err
