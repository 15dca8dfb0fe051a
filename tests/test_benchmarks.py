"""The benchmarks: that what sweeps are compared with is the gradient, and that the scripts do not rot."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc.commands.shared import precision
from pjc.driver import compile_text
from pjc.options import Options
from pjc.runtime.data.dataset import from_arrays
from pjc.runtime.data.prepare import Parts
from pjc.runtime.projections import REGISTERED, operator

sys.path.append(
    str(Path(__file__).resolve().parent.parent / "benchmarks")
)  # scripts, which import each other
accuracy, adam, report, commands, compared, device, disturbances, gradients, iterations, networks, runs = map(
    import_module,
    (
        "accuracy",
        "adam",
        "accuracy_report",
        "commands",
        "compared",
        "device",
        "disturbances",
        "gradients",
        "iterations",
        "networks",
        "runs",
    ),
)

JUMPING = """
input x: f32[batch, 6]
target y: f32[batch, 3]
param a: f32[6, 8] = normal(0.3)
param b: f32[8, 8] = normal(0.5)
param c: f32[8, 3] = normal(1)
require c in levels(-1, 0, 1)
h = quantize(x @ a, (-1, 0, 1))
for t in 0..3 { h = sign(h @ b) }
output z = h @ c
require squared_error(z, y)
"""
"""Jumps, a loop and a set: what straight-through gradients are for."""


def batch(program: Any, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    specs = (*program.inputs, *program.targets)
    return [rng.integers(0, s.classes, s.shape) if s.classes else rng.normal(size=s.shape) for s in specs]


def test_a_sweep_of_light_values_goes_where_the_gradient_does_jumps_loops_and_sets_included() -> None:
    with precision("f64"):
        options = Options(
            solver="sweep", weight=1e-6, value_weight=1e-8, demand="plain", batch=5, dtype="f64"
        )
        compilation = compile_text(JUMPING, options)
        sweep, slope = compilation.program(), gradients.program_of(compilation)
        params, data = sweep.init(0), batch(sweep)
        asked, _ = sweep.displacement(params, *data)
        down, _ = slope.displacement(params, *data)
        # The prox of half a square goes half the way that the gradient points to.
        for name in params:
            assert np.abs(down[name]).max() > 1e-3
            np.testing.assert_allclose(asked[name], down[name] / 2, rtol=1e-3, atol=1e-6)


def test_values_are_the_operators_and_slopes_those_of_their_bridges_inside_of_the_context_alone() -> None:
    before, x = dict(REGISTERED), jnp.array([-2.0, -0.3, 0.4, 3.0])
    fields: Mapping[str, Any] = {"edges": (0.0,), "slopes": (0.0, 0.0), "offsets": (-1.0, 1.0)}
    with gradients.straight_through():
        sign, square = operator("piecewise", **fields), operator("product")
        value, by = jax.jvp(sign.forward, (x,), (jnp.ones(4),))
        assert value.tolist() == [-1, -1, 1, 1]
        assert by.tolist() == [0, 1, 1, 0]
        assert jax.grad(lambda x: square.forward(x, x).sum())(x).tolist() == pytest.approx([-4, -0.6, 0.8, 6])
    assert before == REGISTERED
    assert jax.grad(lambda x: operator("piecewise", **fields).forward(x).sum())(x).tolist() == [0, 0, 0, 0]


def test_losses_are_those_required_by_their_relative_strengths_and_sets_half_the_square_distance() -> None:
    text = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = normal(1)
output z = x @ w
require cross_entropy(z, y, strength = 4)
require hinge(2 * z, y, strength = 2)
require z in box(-0.5, 0.5)
require 2 * w in nonneg
"""
    compilation = compile_text(text, Options(solver="sweep", batch=5))
    program = gradients.program_of(compilation)
    params, (x, y) = program.init(0), batch(program)

    def loss(w: Any) -> Any:
        z = x @ w
        told = -jax.nn.log_softmax(z)[jnp.arange(5), y].mean()
        sign = jnp.where(jax.nn.one_hot(y, 3) > 0, 1, -1)
        hinge = jax.nn.relu(1 - sign * 2 * z).sum(axis=1).mean()
        outside = 0.5 * (jax.nn.relu(jnp.abs(z) - 0.5) ** 2).sum(axis=1).mean()
        return told + hinge / 2 + outside + 0.5 * (jax.nn.relu(-2 * w) ** 2).sum()

    found, info = program.displacement(params, x, y)
    np.testing.assert_allclose(found["w"], -jax.grad(loss)(params["w"]), rtol=1e-5, atol=1e-6)
    assert info["demand"] == pytest.approx(float(loss(params["w"])), rel=1e-5)


def test_a_gradient_moves_latent_values_as_the_options_of_the_outer_step_say() -> None:
    with precision("f64"):
        options = Options(solver="sweep", batch=5, dtype="f64", outer="sgd", rate={"": 1e-1, "a": 1e-3})
        program = gradients.program_of(compile_text(JUMPING, options))
        state, data = program.start(0), batch(program)
        down, _ = program.displacement(state.params, *data)
        after, _ = program.step(state, *data)
        np.testing.assert_allclose(after.params["a"], state.params["a"] + 1e-3 * down["a"], atol=1e-12)
        np.testing.assert_allclose(
            after.params["c"], np.clip(state.params["c"] + 1e-1 * down["c"], -1.5, 1.5), atol=1e-12
        )
        assert set(np.unique(program.finish(after.params)["c"])) <= {-1, 0, 1}


def test_gradients_take_the_place_of_sweeps_alone() -> None:
    with pytest.raises(ValueError, match="compile with sweep, not dr"):
        gradients.program_of(compile_text(JUMPING, Options(solver="dr")))


@pytest.mark.parametrize("comparison", compared.EVERY.values(), ids=lambda each: each.name)
def test_the_command_of_every_network_that_is_compared_can_be_taken_over(comparison: Any) -> None:
    words = comparison.words(None)
    given = commands.asked([word for word in words if word != "--operators" and not word.endswith(".py")])
    assert Path(given.arguments.model).is_file()
    assert given.options.method.outer
    assert given.options.iterations is None


def test_a_command_for_sweeps_keeps_what_is_not_of_other_solvers() -> None:
    def swept(text: str) -> str:
        return " ".join(commands.swept(text.split()))

    other = "train a.pjn --solver rrr --step 0.5 --iterations 9 --epochs 4 --weight 2"
    assert swept(other) == "train a.pjn --epochs 4 --solver sweep"
    own = "train a.pjn --solver sweep --demand cap --rate 1e-2"
    assert swept(own) == "train a.pjn --demand cap --rate 1e-2 --solver sweep"


def test_data_are_found_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    found = commands.located(["text:a.txt", "b.npz", "examples/x.csv"], tmp_path)
    assert found == [f"text:{tmp_path / 'a.txt'}", "b.npz", str(commands.ROOT / "examples" / "x.csv")]


def test_a_name_that_is_not_compared_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"nothing called 'sgn' is compared; known are .*, sign"):
        compared.chosen(["sgn"])
    assert [each.name for each in compared.chosen(["outliers", "jumps", "sign"])] == [
        "outliers",
        *(each.name for each in compared.JUMPS),
    ]


def small_parts(count: int = 100) -> Parts:
    rng = np.random.default_rng(0)
    made = [from_arrays(rng.random((count, 4), np.float32), rng.integers(0, 5, count), "some") for _ in "abc"]
    return Parts(*made)


def test_disturbances_change_what_they_say() -> None:
    parts = small_parts()
    x, y = np.array(parts.train.x[:]), np.array(parts.train.y[:])
    times = disturbances.outliers(parts).train.x / x
    assert sorted(set(times.ravel().round(3))) == [1, 300]
    assert (times[:, 0] > 2).sum() == 2
    labels = disturbances.random_labels(parts).train.y
    assert 15 <= (labels != y).sum() <= 30
    assert labels.max() < 5
    raw = disturbances.raw_pixels(parts)
    np.testing.assert_allclose(raw.test.x[:], 255 * np.array(parts.test.x[:]), rtol=1e-6)
    assert np.array_equal(parts.train.x, x)
    assert np.array_equal(raw.test.y, parts.test.y)


def run(method: str, rate: float, seed: int, score: float, seconds: float = 2.0, **more: Any) -> Any:
    """Return a run as it is filed."""
    told = {"validated": score, "score": score, "seconds": [1.0, seconds], "test": [0.5, score]}
    about = {"metric": "accuracy", "validation": [0.5, score], "solver": "sweep", "device": "cpu"}
    return {"method": method, "rate": rate, "seed": seed, **told, **about, **more}


QUICK = """
input x: f32[batch, {}]
target y: class[batch, 10]
param w: f32[x.shape[-1], 10] = normal(0.1)
output z = x @ w
require hinge(z, y)
"""
"""A network that takes little time to compile."""

FILED = [
    run("sweep", 1e-3, 0, 0.96, 3.0),
    run("sweep", 1e-3, 1, 0.98, 5.0),
    run("adam", 1e-3, 0, 0.94),
    run("adam", 1e-3, 1, 0.96),
    run("adam", 1e-2, 0, 0.99, validated=0.1),
    {"method": "adam", "rate": 1e-1, "seed": 0, "error": "training diverged", "device": "cpu"},
]


def test_the_rate_that_validates_best_counts_and_the_table_tells_means_spreads_and_ratios() -> None:
    row = report.row_of("net", FILED)
    assert row.adam.rate == 1e-3
    line = report.table([row]).splitlines()[2]
    assert line == "| `net` | 97.00 ± 1.41 (0.001) | 95.00 ± 1.41 (0.001) | +2.00 | 4.0 | 2.0 | 2.00 |"


def test_sweeps_have_one_rate_for_all_feed_forward_networks_and_one_for_recurrent_ones() -> None:
    scores = {"a": (0.9, 0.7), "b": (0.5, 0.6), "char_rnn": (0.1, 0.2)}
    filed = {
        name: [run("sweep", 1e-3, 0, one), run("sweep", 1e-2, 0, other), run("adam", 1e-3, 0, 0.5)]
        for name, (one, other) in scores.items()
    }
    filed["error"] = [run("sweep", 1.0, 0, 0.1, metric="rms error"), run("adam", 1.0, 0, 0.1)]
    rates = {row.name: row.sweep.rate for row in report.rows_of(filed)}
    assert rates == {"a": 1e-3, "b": 1e-3, "char_rnn": 1e-2, "error": 1.0}


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.plot([report.row_of("net", FILED)], tmp_path / "net.png")
    assert (tmp_path / "net.png").stat().st_size > 1000


def test_seconds_are_told_without_those_of_compiling_and_the_first_best_epoch_is_found() -> None:
    curve = runs.Curve("accuracy", [5.0, 6.0, 7.0], [0.5, 0.9, 0.9])
    assert (curve.steady, curve.best()) == ([1.0, 2.0, 3.0], 1)
    assert runs.Curve("rms error", [1.0], [0.3]).best() == 0


def test_a_comparison_trains_by_both_methods_and_does_not_repeat_what_is_filed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, path = tmp_path / "net.pjn", tmp_path / "out.json"
    network.write_text(f"# pjc train {network} --data digits --batch 32 --solver ap\n{QUICK.format(64)}")
    chosen = compared.Comparison("net", network, rates=(1e-2,))
    done = accuracy.compare(accuracy.Subject(chosen, None, 5), accuracy.Store(path), [0])
    row = report.row_of("net", done)
    assert min(row.sweep.mean, row.adam.mean) > 0.5
    filed = json.loads(path.read_text())["runs"]
    assert [each["method"] for each in filed.values()] == ["sweep", "adam"]
    monkeypatch.setattr(accuracy.Subject, "run", None)
    again = accuracy.compare(accuracy.Subject(chosen, None, 5), accuracy.Store(path), [0])
    assert again == done


def test_the_command_for_gradients_prints_scores_of_each_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tmp_path / "net.pjn"
    network.write_text(QUICK.format(64))
    words = f"{network} --data digits --epochs 2 --seeds 3,4 --outer sgd --rate 0.1 --rate w=0.2 --solver dr"
    curves = adam.main(words.split())
    assert [len(curve.seconds) for curve in curves] == [2, 2]
    said = capsys.readouterr().out
    assert "gradients, sgd at rate 0.1, w=0.2, cosine, batches of 64" in said
    tested = [curve.test[-1] for curve in curves]
    assert f"test accuracy: {tested[1]:.4f}, seed 4" in said
    assert f"mean over 2 seeds: {np.mean(tested):.4f}" in said


def test_a_sweep_is_timed_beside_adam_and_the_bare_products() -> None:
    class Case(networks.Mlp):  # type: ignore[name-defined, misc]
        def text(self) -> str:
            return QUICK.format(networks.INPUTS)

    case = Case(1, size=4)
    variants = [*iterations.other_variants(case), iterations.sweep_variant(case)]
    rows = iterations.measure(variants, 1)
    assert [row.name for row in rows] == ["bare products", "optax Adam step", "sweep"]
    assert rows[0].ratio_to_products == rows[1].ratio_to_adam == 1
    assert iterations.table(rows).row_count == 3


def test_a_chain_is_one_loop_however_long() -> None:
    program = pjc.compile(networks.Chain(20).text(), solver="sweep", batch=4)
    assert program.ir("proj").count("proj.evaluate") < 10


def test_the_command_for_a_device_names_what_there_was_no_time_for(tmp_path: Path) -> None:
    found = device.main(["--seconds", "0", "-o", str(tmp_path / "out")])
    assert "time of mlp-2" in found.left_out
    assert json.loads((tmp_path / "out.json").read_text())["left_out"] == found.left_out
    assert "Left out: time of mlp-2" in (tmp_path / "out.md").read_text()
