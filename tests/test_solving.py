"""A search for parameters that meet every requirement on every row, or are known not to."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc.cli import main
from pjc.commands.solve import UNSOLVED
from pjc.diagnostics import DiagnosticError
from pjc.dialects import proj
from pjc.driver import Compilation, compile_text
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.runtime.combination import added
from pjc.runtime.emit import Emitter
from pjc.runtime.emit.metric import LEAST, first_metric, moved
from pjc.runtime.emit.parts import project
from pjc.runtime.emit.search import Found, residual
from pjc.search_options import SearchOptions
from pjc.solving import INTERRUPTED, NO_NUMBERS, Asking, _Searching, searched
from pjc.sources import source_of
from pjc.training_data import Asked

WHOLE = """\
input x: f32[batch, 3]
target y: f32[batch, 2]
param w: f32[3, 2] = uniform(-1, 1)
require w in levels(-1, 0, 1)
output z = x @ w
require equal(z, y)
"""
W = np.array([[1, 0], [-1, 1], [0, -1]], np.float32)
X = np.array([[1, 2, 3], [3, -1, 1], [0, 1, -2], [2, 2, 1]], np.float32)
THRESHOLDS = """\
input x: f32[batch, 2]
target y: f32[batch, 1]
param w: f32[2, 3] = normal(1)
param v: f32[3, 1] = normal(1)
h = sign(x @ w, 0.5)
output z = h @ v
require multi_label(z, y, -0.2, 0.3)
"""
SHARED = """\
input x: f32[batch, 3]
target y: class[batch, 3]
param w: f32[3, 4] = normal(1)
param v: f32[4, 3] = normal(1)
require w in ball(1, axis = 0)
h = sum_relu(x @ w)
output z = h @ v
require margin(z, y)
"""


def emitter_of(text: str, solver: str, batch: int) -> Emitter:
    compilation = compile_text(text, Options(solver=solver, batch=batch, level=0))
    return Emitter(only(compilation.at("placed"), proj.ProgramOp))


def test_what_is_solved_is_exact_and_told() -> None:
    looks: list[Any] = []
    solution = pjc.solve(WHOLE, (X, X @ W), restarts=8, seed=3, tell=looks.append)
    assert solution.solved and solution.stopped is None and solution.residual <= 1e-3
    assert set(np.unique(solution.params["w"])) <= {-1, 0, 1}
    np.testing.assert_array_equal(solution.program.apply(solution.params, X), X @ W)
    assert solution.residual == solution.residuals.min() == solution.residuals[solution.restart]
    assert looks[-1].iterations == solution.iterations and looks[-1].residual == solution.residual
    assert "solved" in repr(solution) and len(solution.residuals) == 8
    again = pjc.solve(WHOLE, (X, X @ W), restarts=8, seed=3)
    np.testing.assert_array_equal(again.params["w"], solution.params["w"])
    assert again.restart == solution.restart


def test_what_cannot_be_met_is_told_with_how_far_it_is() -> None:
    x, y = np.ones((2, 3), np.float32), np.array([[0, 0], [3, 0]], np.float32)  # one sum is to be 0 and 3
    solution = pjc.solve(WHOLE, (x, y), restarts=4, iterations=40)
    assert not solution.solved and solution.iterations == 40
    off = np.abs(np.asarray(solution.program.apply(solution.params, x)) - y).max()
    assert solution.residual == pytest.approx(off) and solution.residual >= 1.5


def test_the_residual_is_how_far_a_forward_pass_is_from_what_is_required() -> None:
    run = jax.jit(partial(residual, emitter_of(THRESHOLDS, "rrr", 5)))
    for seed in range(8):
        random = np.random.default_rng(seed)
        x, y = random.normal(size=(5, 2)), random.integers(0, 2, (5, 1))
        w, v = random.normal(size=(2, 3)), random.normal(size=(3, 1))
        sums = x @ w
        z = np.where(sums > 0, 1, -1) @ v
        to_margin = np.maximum(0.5 - np.abs(sums), 0)
        to_label = np.where(y > 0.5, np.maximum(0.3 - z, 0), np.maximum(z + 0.2, 0))
        params = {"w": jnp.asarray(w, jnp.float32), "v": jnp.asarray(v, jnp.float32)}
        found = run(params, {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.float32)})
        assert float(found) == pytest.approx(max(to_margin.max(), to_label.max()), rel=1e-4)


@pytest.mark.parametrize("other", ["box(2, 3)", "fixed_sum(5, axis = 1)"])
def test_a_value_in_none_of_sets_without_a_common_point_solves_nothing(other: str) -> None:
    text = f"""
input x: f32[batch, 3]
target y: f32[batch, 3]
param w: f32[3, 3] = normal(1)
z = x @ w
require z in intersection(box(0, 1), {other})
output z
require equal(z, y)
"""
    met = 2.0 if "box" in other else 5 / 3  # what the last of the sets, and the target, leave alone
    found = pjc.solve(text, (np.eye(3), np.full((3, 3), met)), restarts=2, iterations=60)
    assert not found.solved
    assert found.residual > 0.6


def test_weights_enter_the_means_of_what_copies_agree_on() -> None:
    """Part A's consensus on w is the mean of its readers, each neuron of the product with its weight."""
    emitter = emitter_of(SHARED, "rrr{step=0.5 metric=0.1}", 2)
    params = emitter.init(jax.random.key(0))
    data = {"x": jnp.ones((2, 3)), "y": jnp.zeros(2, jnp.int32)}
    begun, fixed = emitter.start(params, data)
    random = np.random.default_rng(0)
    state = {name: jnp.asarray(random.normal(size=each.shape), jnp.float32) for name, each in begun.items()}
    moving = emitter.first(state)
    first = next(name for name, weight in moving.metric.items() if weight.shape == (1, 4, 1))
    product, ball = first.rpartition(".")[0] + ".1", "w.ball.0"
    weights = {
        name: jnp.asarray(random.uniform(0.2, 3, each.shape), jnp.float32)
        for name, each in moving.metric.items()
    }
    part = next(iter(emitter.program.part_ops().values()))
    after = project(part, emitter.variables, state, fixed, None, weights)
    copies, own = np.asarray(state[product]), np.asarray(state[ball])  # [2, 4, 3] and [3, 4]
    neuron, of_set = np.asarray(weights[product])[0, :, 0], np.asarray(weights[ball]).reshape(())
    expected = (copies.mean(0).T * neuron + own * of_set) / (neuron + of_set)
    np.testing.assert_allclose(added(after[emitter.variables.slots["w"]]), expected, rtol=1e-5, atol=1e-6)


REDUCED = """\
input x: f32[batch, 6, 3]
target y: f32[batch, 4]
param w: f32[3, 4] = normal(1)
h = x @ w
s = sum(h, axis = 1)
output z = s + max(h, axis = 1)
require equal(z, y)
"""


def test_weights_lie_along_the_neurons_of_what_is_reduced() -> None:
    emitter = emitter_of(REDUCED, "rrr{step=0.5 metric=0.1}", 2)
    variables = emitter.variables
    shapes = {name: each.shape for name, each in first_metric(emitter.program, variables).items()}
    by_node = {variables.by_name[name].node.data: shape for name, shape in shapes.items()}
    assert by_node["sum"] == by_node["max"] == (1, 1, 4)
    assert by_node["matmul"] == (1, 4, 1)


def test_weights_follow_the_gaps() -> None:
    gaps = {"a": jnp.array([[1.0, 3.0]] * 4), "b": jnp.full((2, 5), 2.0)}
    metric = {"a": jnp.ones((1, 2)), "b": jnp.ones((1, 1))}
    found = moved(metric, gaps, 0.25)
    mean = (1 + 9 + 4) / 3
    np.testing.assert_allclose(found["a"], [[0.75 + 0.25 / mean, 0.75 + 0.25 * 9 / mean]], rtol=1e-6)
    assert float(jnp.sum(found["a"]) + found["b"][0, 0]) == pytest.approx(3)
    still = moved(metric, {name: jnp.zeros_like(each) for name, each in gaps.items()}, 0.25)
    np.testing.assert_array_equal(still["a"], metric["a"])
    for _ in range(50):
        metric = moved(metric, {"a": jnp.array([[0.0, 1.0]] * 4), "b": jnp.zeros((2, 5))}, 0.25)
    assert float(metric["a"][0, 0]) == pytest.approx(LEAST)


def test_what_is_never_met_is_refused() -> None:
    with pytest.raises(DiagnosticError, match=r"squared_error of .* is a function that can be low"):
        pjc.solve(WHOLE.replace("equal", "squared_error"), (X, X @ W))
    with pytest.raises(DiagnosticError, match="sweep goes once through the network"):
        pjc.solve(WHOLE, (X, X @ W), solver="sweep")
    with pytest.raises(DiagnosticError, match="restarts: expected a whole number from 1, found 0"):
        pjc.solve(WHOLE, (X, X @ W), restarts=0)


def test_batches_are_refused() -> None:
    with pytest.raises(DiagnosticError, match="a search takes all rows at once, without batches"):
        pjc.solve(WHOLE, (X, X @ W), batch=2)


def test_a_look_at_no_numbers_is_not_the_best() -> None:
    compilation = Compilation(source_of(WHOLE), SearchOptions())
    nothing: Any = None
    searching = _Searching(compilation, nothing, nothing, Asking(2, 100))

    def look(*residuals: float) -> None:
        numbers = jnp.array(residuals, jnp.float32)
        searching._look(Found(params={"w": numbers}, residual=numbers, gap=numbers), 1)

    look(np.nan, np.nan)
    assert searching.stopped == NO_NUMBERS and searching.residual == np.inf
    look(np.nan, 2.0)
    assert searching.stopped is None and searching.residual == 2 and searching.restart == 1
    assert list(searching.residuals) == [np.inf, 2]


def test_the_solver_of_a_search_has_a_step_that_can_be_said() -> None:
    assert str(SearchOptions().method) == "rrr{step=0.5}"
    assert str(SearchOptions(step=0.25, metric=0.01).method) == "rrr{step=0.25 metric=0.01}"
    assert str(SearchOptions(solver="rrr").method) == "rrr"


def test_an_end_that_is_asked_for_keeps_the_best() -> None:
    x, y = np.ones((2, 3), np.float32), np.array([[0, 0], [3, 0]], np.float32)
    compilation = Compilation(source_of(WHOLE), SearchOptions())
    found = searched(compilation, Asked((x, y)), Asking(2, 10**6), lambda look: None, lambda: True)
    assert (
        found.stopped == INTERRUPTED and not found.solved and set(np.unique(found.params["w"])) <= {-1, 0, 1}
    )


def test_the_command_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, table = tmp_path / "whole.pjn", tmp_path / "rows.csv"
    model.write_text(WHOLE)
    rows = np.concatenate([X, X @ W], axis=1)
    table.write_text("a,b,c,p,q\n" + "\n".join(",".join(f"{each:g}" for each in row) for row in rows))
    words = [str(model), "--data", str(table), "--target", "p,q", "--restarts", "8", "-o", f"{tmp_path}/"]
    early = ["--print-ir-after", "feas-to-sweep"]
    assert main(["solve", *words, *early]) == 1
    captured = capsys.readouterr()
    assert "no pass 'feas-to-sweep' ran" in captured.err and "searches by" not in captured.out
    assert main(["solve", *words]) == 0
    out = capsys.readouterr().out
    assert re.search(r"solved by restart \d of 8, residual \S+, \d+ iterations", out)
    params = f"{tmp_path}/whole.params.safetensors"
    told = ["evaluate", f"{tmp_path}/whole.pjx", "--params", params, "--data", str(table), "--target", "p,q"]
    assert main(told) == 0 and "rms error: 0" in capsys.readouterr().out
    assert main(["solve", *words]) == 1 and "was written by another run" in capsys.readouterr().err
    with table.open("a") as stream:
        stream.write("\n,1,1,0,0\n")
    assert main(["solve", *words, "--force"]) == 1 and "--missing drop leaves out" in capsys.readouterr().err
    assert main(["solve", *words, "--force", "--missing", "drop"]) == 0
    assert "solved by restart" in capsys.readouterr().out
    table.write_text("a,b,c,p,q\n1,1,1,0,0\n1,1,1,3,0\n")
    assert main(["solve", *words, "--force", "--iterations", "20", "--quiet"]) == UNSOLVED
    assert capsys.readouterr().out.startswith("not solved: the best is restart ")
