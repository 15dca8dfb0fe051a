"""Units of targets: what training standardizes, everybody else has in the data's own numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
import optax
import pytest
from safetensors.numpy import load_file

import pjc
from pjc import cli
from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_text
from pjc.options import Options
from pjc.runtime.data import Dataset
from pjc.runtime.data.normalize import Moments
from pjc.runtime.evaluate import evaluate
from pjc.runtime.history import read_parameters, read_units
from pjc.runtime.program import Program
from pjc.runtime.standardize import standardized
from pjc.runtime.train import Run, train
from pjc.runtime.units import Units, UnitsError

HEAD = "use nn\ninput x: f32[batch, 4]\ntarget y: f32[batch, 3]\n"
NET = HEAD + "output z = nn.linear(nn.dense(x, 8), 3)\nrequire squared_error(z, y)\n"
UNITS = Units((100.0, 2.0, 0.5), (1000.0, -3.0, 0.0))
SOLVERS = ["sweep", "dr"]


def compiled(text: str = NET, solver: str = "sweep", **more: Any) -> Program:
    return pjc.compile(text, solver=solver, **{"batch": 6, **more})


def drawn(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 4)).astype(np.float32)
    y = np.concatenate([x[:, :1] * 100 + 1000, x[:, 1:2] * 2 - 3, x[:, 2:3] / 2], axis=1)
    return x, (y + 0.1 * generator.normal(size=y.shape) * [100, 2, 0.5]).astype(np.float32)


def close(one: Any, other: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


# --- which targets ------------------------------------------------------------------------------------

DENSE = "h = nn.dense(x, 8)\n"
BIAS = "param b: f32[3] = zeros\nparam w: f32[8, 3] = he_normal\n"
NARROW = HEAD.replace("batch, 3", "batch")


@pytest.mark.parametrize(
    "text",
    [
        NET,
        HEAD + DENSE + "output z = nn.readout(h, 3)\nrequire squared_error(z, y, strength = 3)\n",
        HEAD + "output z = nn.linear(x, 3)\nrequire squared_error(z, y)\n",
        HEAD + DENSE + BIAS + "output z = 2 * (h @ w) - b + 1\nrequire squared_error(z, y)\n",
        HEAD + DENSE + BIAS + "output z = h @ w + nn.linear(x, 3) + b\nrequire squared_error(z, y)\n",
        NARROW + DENSE + "output z = reshape(nn.linear(h, 1), (batch,))\nrequire squared_error(z, y)\n",
        NARROW + DENSE + "output z = nn.linear(h, 1)\nrequire squared_error(reshape(z, (batch,)), y)\n",
        HEAD.replace("batch, 3", "batch, 5, 3").replace("batch, 4", "batch, 5, 4")
        + DENSE
        + "output z = nn.linear(h, 3)\nrequire squared_error(z, y)\n",
        HEAD + "h = nn.linear(x, 8)\noutput z = nn.readout(h, 3) + nn.linear(relu(h), 3)\n"
        "require squared_error(z, y)\n",
        HEAD + "h = x\nfor t in 0..3 { h = nn.dense(h, 4) }\noutput z = nn.linear(h, 3)\n"
        "require squared_error(z, y)\n",
    ],
    ids=["linear", "readout", "affine", "weighted", "two", "flat", "unflat", "sequence", "odd cycle", "deep"],
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_targets_that_may_have_units(text: str, solver: str) -> None:
    assert [each.output for each in compiled(text, solver).targets] == ["z"]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + DENSE + "output z = nn.linear(h, 3)\nrequire equal(z, y)\n",
        HEAD + DENSE + "output z = nn.linear(h, 3)\nrequire multi_label(z, y, -1, 1)\n",
        HEAD + DENSE + "z = nn.linear(h, 3)\noutput h\nrequire squared_error(z, y)\n",
        HEAD + DENSE + "output z = nn.dense(h, 3)\nrequire squared_error(z, y)\n",
        HEAD + DENSE + "output z = nn.linear(h, 3)\noutput s = z + z\nrequire squared_error(z, y)\n",
        HEAD + DENSE + "output z = nn.linear(h, 3)\noutput s = z\nrequire squared_error(z, y)\n",
        HEAD + DENSE + "output z = nn.linear(h, 3)\nrequire z in box(0, 1)\nrequire squared_error(z, y)\n",
        HEAD + DENSE + "output z = nn.linear(h, 3)\nrequire squared_error(z, y)\n"
        "require squared_error(nn.linear(x, 3), y)\n",
        HEAD + "param w: f32[4, 3] = he_normal\noutput z = x @ w\nrequire squared_error(z, y)\n",
        HEAD + DENSE + BIAS + "require w in nonneg\noutput z = h @ w + b\nrequire squared_error(z, y)\n",
        HEAD + BIAS + "require b in nonneg\noutput z = nn.linear(x, 8) @ w + b\nrequire b in box(0, 1)\n"
        "require squared_error(z, y)\n",
        HEAD + "output z = x[:, 0:3] + nn.linear(nn.dense(x, 8), 3)\nrequire squared_error(z, y)\n",
    ],
    ids=[
        *("equality", "labels", "hidden", "rectified", "read", "twice", "set", "two losses", "origin"),
        *("weights in a set", "bias in a set", "beside data"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_targets_that_are_taken_as_they_are(text: str, solver: str) -> None:
    program = compiled(text, solver)
    assert [each.output for each in program.targets] == [None]
    with pytest.raises(UnitsError, match=r"target 'y' of network '.*' is taken as it is: units are for"):
        program.rescaled({"y": UNITS})
    assert standardized(program, Dataset(*drawn(), None, "few")) is program


def test_an_autoencoder_is_untouched() -> None:
    program = compiled(
        "use nn\ninput x: f32[batch, 4]\noutput z = nn.linear(x, 4)\nrequire squared_error(z, x)"
    )
    assert not program.targets and standardized(program, Dataset(*drawn(), None, "few")) is program


def test_each_of_several_targets_has_its_own() -> None:
    program = compiled(
        HEAD + "target n: f32[batch]\nh = nn.dense(x, 8)\noutput z = nn.linear(h, 3)\n"
        "output m = reshape(nn.linear(h, 1), (batch,))\n"
        "require squared_error(z, y)\nrequire squared_error(m, n)\n"
    )
    assert [each.output for each in program.targets] == ["z", "m"]
    x, y = drawn()
    other = program.rescaled({"n": Units((7.0,), (5.0,))})
    params = program.init(0)
    raw, made = program.apply(params, x), other.apply(params, x)
    close(made, {"z": raw["z"], "m": raw["m"] * 7 + 5})
    asked, _ = program.displacement(params, x, y, np.ones(6, np.float32))
    close(other.displacement(params, x, y, np.full(6, 12.0, np.float32))[0], asked)


# --- what a program in units does ---------------------------------------------------------------------


def test_apply_and_update_are_those_of_the_network_inside() -> None:
    raw = compiled(solver="dr", iterations=3)
    program = raw.rescaled({"y": UNITS})
    assert "units: y: scale [100.0, 2.0, 0.5], offset [1000.0, -3.0, 0.0]\n" in str(program)
    assert program.units == {"y": UNITS} and raw.units == {} and program.rescaled({"y": UNITS}) is program
    x, y = drawn()
    params = program.init(1)
    inside = (y - np.array(UNITS.offset)) / np.array(UNITS.scale)
    scale, offset = (np.array(each, np.float32) for each in (UNITS.scale, UNITS.offset))
    close(program.apply(params, x), raw.apply(params, x) * scale + offset)
    close(program.apply(params, x[:2]), raw.apply(params, x[:2]) * scale + offset)
    close(program.update(params, x, y)[0], raw.update(params, x, inside)[0])
    close(program.gap(params, x, y)["gap"], raw.gap(params, x, inside)["gap"])


def test_displacement_and_step_take_the_datas_own_numbers() -> None:
    raw = compiled()
    program = raw.rescaled({"y": UNITS})
    x, y = drawn()
    inside = (y - np.array(UNITS.offset)) / np.array(UNITS.scale)
    state = raw.start(0, 10)
    for weights in (None, np.arange(6.0, dtype=np.float32)):
        both = [
            each.displacement(state.params, x, numbers, sample_weight=weights)
            for each, numbers in ((program, y), (raw, inside))
        ]
        close(*both)
        close(
            program.step(state, x, y, sample_weight=weights)[0].params,
            raw.step(state, x, inside, sample_weight=weights)[0].params,
        )
    jitted = jax.jit(program.step)(state, x, y)[0].params
    close(jitted, program.step(state, x, y)[0].params)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"y": Units((1.0,), (0.0,))}, "target 'y' has 3 columns, found units of 1"),
        ({"t": UNITS}, "has no target 't' to have units; its targets are y"),
    ],
)
def test_units_that_do_not_fit(units: dict[str, Units], message: str) -> None:
    with pytest.raises(UnitsError, match=message):
        compiled().rescaled(units)


def test_other_units_are_refused() -> None:
    program = compiled().rescaled({"y": UNITS})
    for other in ({}, {"y": replace(UNITS, offset=(1000.0, -3.0, 0.5))}):
        with pytest.raises(UnitsError, match=r"units already, y: scale \[100.0, 2.0, 0.5\], offset \[1000.0"):
            program.rescaled(other)


@pytest.mark.parametrize(
    ("scale", "offset", "message"),
    [
        ((1.0,), (), "as many scales as offsets, from 1, found 1 and 0"),
        ((), (), "found 0 and 0"),
        ((0.0,), (0.0,), "positive scales and finite offsets"),
        ((float("inf"),), (0.0,), "positive scales and finite offsets"),
        ((1.0,), (float("nan"),), "positive scales and finite offsets"),
    ],
)
def test_numbers_that_are_no_units(scale: Any, offset: Any, message: str) -> None:
    with pytest.raises(UnitsError, match=message):
        Units(scale, offset)


def test_units_are_measured_by_columns() -> None:
    y = drawn(500)[1]
    found = Units.of(y)
    inside = found.inside(y)
    np.testing.assert_allclose(inside.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(inside.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose(found.outside(inside), y, rtol=1e-5, atol=1e-6)
    assert Units.of(y.reshape(50, 10, 3)) == found
    assert len(Units.of(y[:, 0]).scale) == 1 and Units.of(y[:, 0]).offset[0] == pytest.approx(y[:, 0].mean())


@pytest.mark.parametrize("value", [0.0, 0.1, -123456.789])
def test_a_column_that_does_not_vary_is_only_shifted(value: float) -> None:
    found = Units.of(np.full((777, 1), value, np.float32))
    assert found.scale == (1.0,) and found.offset[0] == pytest.approx(float(np.float32(value)), rel=1e-12)
    assert Moments.of(np.full((777, 1), value)).spread == [1.0]


# --- training from Python -----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_training_and_its_scores_are_in_the_datas_own_units(solver: str) -> None:
    data = Dataset(*drawn(240), None, "few")
    options = {"rate": 1e-2} if solver == "sweep" else {"iterations": 20}
    raw = compiled(solver=solver, batch=24, **options)
    program = standardized(raw, data)
    assert program.units == {"y": Units.of(data.y)}
    result = train(program, data, Run(epochs=20, validation=data))
    error = np.sqrt(np.square(program.apply(result.params, data.x) - data.y).mean())
    assert evaluate(program, result.params, data) == pytest.approx(error, rel=1e-4)
    assert result.history[-1].validation == pytest.approx(error, rel=1e-4)
    assert error < 0.5 * np.sqrt(np.square(data.y - data.y.mean(0)).mean())
    inside = replace(data, y=np.asarray(program.units["y"].inside(data.y), np.float32))
    same = train(raw, inside, Run(epochs=20)).params
    for name, value in result.params.items():
        np.testing.assert_allclose(value, same[name], rtol=1e-3, atol=1e-4)


# --- files --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_file_has_the_units(tmp_path: Path) -> None:
    x, y = drawn()
    program = compiled().rescaled({"y": UNITS})
    params = program.init(0)
    program.save(tmp_path / "a.pjx")
    loaded = pjc.load(tmp_path / "a.pjx")
    assert loaded.units == {"y": UNITS} and loaded.signature == program.signature
    for count in (6, 2):
        close(loaded.apply(params, x[:count]), program.apply(params, x[:count]))
    state = program.start(0)
    close(loaded.step(state, x, y)[0].params, program.step(state, x, y)[0].params)
    other = pjc.load(tmp_path / "a.pjx", outer=optax.sgd(0.1))
    asked = program.displacement(params, x, y)[0]
    moved = other.step(other.start(params), x, y)[0].params
    close(moved, jax.tree.map(lambda p, d: p + 0.1 * d, program.stacked(params), program.stacked(asked)))


def test_a_loaded_program_takes_units_and_keeps_them(tmp_path: Path) -> None:
    x, _ = drawn()
    compiled().save(tmp_path / "raw.pjx")
    program = pjc.load(tmp_path / "raw.pjx").rescaled({"y": UNITS})
    program.save(tmp_path / "b.pjx")
    again = pjc.load(tmp_path / "b.pjx")
    params = program.init(0)
    assert again.units == {"y": UNITS} and again.entries() == program.entries()
    close(again.apply(params, x), compiled().rescaled({"y": UNITS}).apply(params, x))
    assert pjc.load(tmp_path / "raw.pjx").units == {}


@pytest.mark.parametrize(
    "text",
    [NET, NARROW + DENSE + "output z = nn.linear(h, 1)\nrequire squared_error(reshape(z, (batch,)), y)\n"],
)
def test_an_exported_model_gives_the_datas_own_numbers(tmp_path: Path, text: str) -> None:
    program = compiled(text)
    units = UNITS if program.targets[0].shape == (6, 3) else Units((50.0,), (-7.0,))
    program = program.rescaled({"y": units})
    params = program.init(3)
    program.to_onnx(params, tmp_path / "z.onnx")
    x, _ = drawn(9)
    session = onnxruntime.InferenceSession(tmp_path / "z.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    np.testing.assert_allclose(found, program.apply(params, x), rtol=1e-4, atol=1e-4)
    kinds = [node.op_type for node in onnx.load(tmp_path / "z.onnx").graph.node]
    assert kinds[-3:] == ["Mul", "Add", "Identity"]


def test_a_dump_says_which_output_a_target_is_of(tmp_path: Path) -> None:
    dump, path = compiled(solver="dr").ir("proj"), tmp_path / "net.mlir"
    path.write_text(dump)
    assert pjc.compile(path).targets[0].output == "z"
    line = 'proj.target "y" of "z" : tensor<6x3xf32>'
    assert line in dump
    path.write_text(dump.replace(line, line.replace('"z"', '"logits"')))
    with pytest.raises(
        DiagnosticError, match=r"target 'y' of program '.*' is of the output 'logits', which there"
    ):
        pjc.compile(path)
    path.write_text(dump.replace(line, line.replace("6x3", "6x2")))
    with pytest.raises(
        DiagnosticError, match="'y' is declared as tensor<6x2xf32>, and read as tensor<6x3xf32>"
    ):
        pjc.compile(path)


# --- the command line ---------------------------------------------------------------------------------

Go = Callable[..., tuple[int, str, str]]


@pytest.fixture
def go(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Return a function that trains net.pjn on data.csv in an empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text(NET)
    x, y = drawn(300)
    with open("data.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*"abcd", *"pqr"])
        writer.writerows(np.concatenate([x, y], axis=1).tolist())

    def call(*arguments: object, model: str = "net.pjn") -> tuple[int, str, str]:
        given = ["--solver", "sweep", "--data", "data.csv", "--target", "p,q,r", "--batch", "24"]
        given += [] if "--resume" in arguments else ["--force"]
        code = cli.main(["train", model, *given, *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_what_train_writes_is_in_the_datas_own_units(go: Go) -> None:
    code, out, err = go("--epochs", 3)
    assert code == 0, err
    assert "targets are standardized for training; outputs and scores are in the data's own units" in out
    program, params = pjc.load("net.pjx"), read_parameters(Path("net.params.safetensors"))
    units = read_units(Path("net.params.safetensors"))
    assert program.units == units and units["y"].offset[0] == pytest.approx(1000, abs=30)
    x, y = drawn(300)
    told = float(out.split("test rms error: ")[1])
    error = np.sqrt(np.square(program.apply(params, x) - y).mean())
    assert told == pytest.approx(float(error), rel=0.4)
    assert cli.main(["export", "net.pjx", "net.params.safetensors", "-o", "a.onnx"]) == 0
    assert cli.main(["export", "net.pjn", "net.params.safetensors", "-o", "b.onnx"]) == 0
    for name in ("a.onnx", "b.onnx"):
        session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(
            session.run(None, {"x": x})[0], program.apply(params, x), rtol=1e-4, atol=1e-3
        )


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_its_units(go: Go) -> None:
    constant = ("--schedule", "constant")
    assert go(*constant, "--epochs", 4, "-o", "whole")[0] == 0
    assert go(*constant, "--epochs", 2)[0] == 0
    assert go(*constant, "--epochs", 4, "--resume")[0] == 0
    whole, found = load_file("whole.params.safetensors"), load_file("net.params.safetensors")
    assert {"units/y/scale", "units/y/offset"} < whole.keys()
    jax.tree.map(np.testing.assert_array_equal, found, whole)
    code, _, err = go(*constant, "--epochs", 5, "--resume", "--normalize-targets", "none")
    assert code == 1 and "were trained on standardized targets, so they do not go with" in err


@pytest.mark.slow
def test_parameters_bring_their_units(go: Go) -> None:
    assert go("--epochs", 3, "-o", "first")[0] == 0
    assert go("--epochs", 3, "-o", "raw", "--normalize-targets", "none")[0] == 0
    first, raw = (Path(f"{name}.params.safetensors") for name in ("first", "raw"))
    assert read_units(raw) == {} and pjc.load("raw.pjx").units == {}
    assert go("--epochs", 1, "--params", first, "--split", "0.4,0.3,0.3")[0] == 0
    assert read_units(Path("net.params.safetensors")) == read_units(first)
    assert go("--epochs", 1, "--params", raw)[0] == 0
    assert read_units(Path("net.params.safetensors")) == {}
    code, _, err = go("--epochs", 1, "--params", raw, "--normalize-targets", "standard")
    assert code == 1 and "were trained on targets as they are" in err
    code, _, err = go("--epochs", 1, "--params", first, "--normalize-targets", "none")
    assert code == 1 and "were trained on standardized targets" in err
    assert cli.main(["export", "first.pjx", str(raw), "-o", "c.onnx"]) == 1
    assert not Path("c.onnx").exists()


def test_standard_is_refused_where_it_means_nothing(go: Go) -> None:
    Path("net.pjn").write_text(NET.replace("squared_error", "equal"))
    code, _, err = go("--epochs", 1, "--normalize-targets", "standard")
    assert code == 1 and "does not go with this network: units are for numbers that one squared_error" in err
    code, out, err = go("--epochs", 1)
    assert code == 0 and "standardized" not in out, err


@pytest.mark.slow
def test_a_model_with_parameters_keeps_its_units(go: Go) -> None:
    program = compiled().rescaled({"y": UNITS})
    program.to_onnx(program.init(0), "m.onnx")
    loss = ("--loss", "squared_error", "--epochs", 1)
    code, out, err = go(*loss, model="m.onnx")
    assert code == 0 and "standardized" not in out, err
    assert pjc.load("m.pjx").units == {}


def test_a_program_with_dots_held_is_in_the_units_of_the_run() -> None:
    compilation = compile_text(NET, Options(solver="dr", batch=6))
    (dot, *_) = (each.label for each in compilation.explain())
    program = compilation.program().rescaled({"y": UNITS}).holding((dot,))
    assert program is not None and program.units == {"y": UNITS}


@pytest.mark.slow
def test_features_of_very_different_sizes_are_told_of(go: Go) -> None:
    assert "very different sizes" not in go("--epochs", 1)[1]
    lines = Path("data.csv").read_text().splitlines()
    table = np.array([line.split(",") for line in lines[1:]], float) * [1, 1000, 1, 1, 1, 1, 1]
    table[:, 3] = 5
    np.savetxt("data.csv", table, delimiter=",", header=lines[0], comments="")
    out = go("--epochs", 1)[1]
    assert re.search(
        r"warning: .* of very different sizes: 'b' is about .*, and '[ac]' varies by (0\.9|1)", out
    )
    assert "--normalize standard brings them to one" in out
    assert "very different sizes" not in go("--epochs", 1, "--normalize", "standard")[1]


@pytest.mark.slow
def test_a_network_learns_make_regression_with_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2 on the test part is within 0.03 of Ridge's: what a new user tries first."""
    from sklearn.datasets import make_regression
    from sklearn.linear_model import Ridge

    from pjc.runtime.data.prepare import Request, prepare

    monkeypatch.chdir(tmp_path)
    x, y = make_regression(2000, 40, random_state=0)
    y += 0.1 * y.std() * np.random.default_rng(0).normal(size=len(y))
    np.savetxt(
        "r.csv",
        np.c_[x, y],
        delimiter=",",
        header=",".join([*(f"x{i}" for i in range(40)), "y"]),
        comments="",
    )
    for last in ("nn.linear(h, 1)", "nn.readout(h, 1, scale = 1)"):
        Path("r.pjn").write_text(
            "use nn\ninput x: f32[batch, 40]\ntarget y: f32[batch, 1]\n"
            f"h = nn.dense(x, 64)\noutput z = {last}\nrequire squared_error(z, y)\n"
        )
        given = ["--data", "r.csv", "--target", "y", "--solver", "sweep", "--epochs", "100", "--force"]
        assert cli.main(["train", "r.pjn", *given]) == 0
        program, params = pjc.load("r.pjx"), read_parameters(Path("r.params.safetensors"))
        parts = prepare(Request("r.csv", target="y"), program.inputs[0], program.targets[0])
        assert parts.test is not None
        ridge = Ridge().fit(parts.train.x, parts.train.y).predict(parts.test.x)
        found = np.asarray(program.apply(params, parts.test.x))
        ours, theirs = (
            1 - np.square(np.reshape(each, (-1, 1)) - parts.test.y).mean() / np.var(parts.test.y)
            for each in (found, ridge)
        )
        assert theirs > 0.98 and ours > theirs - 0.03
