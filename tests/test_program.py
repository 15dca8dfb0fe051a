"""The compiled solver from Python: its functions, its errors, its file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.runtime.artifact import ArtifactError
from pjc.runtime.combination import added, combined, is_zero
from pjc.runtime.program import Program, ProgramError

NETWORK = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 5] = he_normal
param b: f32[5] = constant(0.5)
param v: f32[5, 3] = 2 * glorot_uniform
param unused: f32[2] = uniform(-1, 1)
h = relu(x @ w + b)
output logits = h[:, 0:3] + h @ v
output extra = unused + unused
require cross_entropy(logits, y, strength = 2)
"""


@pytest.fixture(scope="module")
def program() -> Program:
    return pjc.compile(NETWORK, batch=6, solver="dr", iterations=3)


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(6, 4)).astype(np.float32), generator.integers(0, 3, 6)


def equal(one: dict[str, jax.Array], other: dict[str, jax.Array]) -> bool:
    return sorted(one) == sorted(other) and all(np.array_equal(one[k], other[k]) for k in one)


def test_init_depends_on_the_key_and_the_name_alone(program: Program) -> None:
    params = program.init(jax.random.key(1))
    assert {name: value.shape for name, value in params.items()} == {
        "w": (4, 5),
        "b": (5,),
        "v": (5, 3),
        "unused": (2,),
    }
    assert equal(params, program.init(1))
    assert not np.array_equal(params["w"], program.init(2)["w"])
    assert np.all(params["b"] == 0.5)
    assert np.all(np.abs(params["v"]) <= 2 * np.sqrt(6 / 8))
    other = pjc.compile(
        NETWORK.replace("param b: f32[5] = constant(0.5)", "param b: f32[5] = zeros"), batch=6
    )
    assert np.array_equal(other.init(1)["w"], params["w"])


def test_he_normal_has_its_standard_deviation() -> None:
    wide = pjc.compile(
        "input x: f32[batch, 400]\nparam w: f32[400, 300] = 0.1 * he_normal\noutput z = x @ w\n", batch=1
    )
    assert np.std(wide.init(0)["w"]) == pytest.approx(0.1 * np.sqrt(2 / 400), rel=0.01)


def test_apply_takes_any_batch(program: Program, batch: tuple[np.ndarray, np.ndarray]) -> None:
    params = program.init(0)
    whole = program.apply(params, batch[0])
    assert sorted(whole) == ["extra", "logits"]
    for size in (1, 4):
        part = program.apply(params, batch[0][:size])
        np.testing.assert_allclose(part["logits"], whole["logits"][:size], rtol=1e-5, atol=1e-6)


def test_update_works_inside_the_callers_jit(program: Program, batch: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = batch
    params = program.init(0)

    @jax.jit
    def twice(params: dict[str, jax.Array]) -> dict[str, jax.Array]:
        params, _ = program.update(params, x, y)
        return program.update(params, x, y, iterations=3)[0]

    first, info = program.update(params, x, y)
    second, _ = program.update(first, x, y)
    jitted = twice(params)
    for name in params:
        np.testing.assert_allclose(jitted[name], second[name], rtol=1e-5, atol=1e-6)
    assert info["gap"].shape == () and float(info["gap"]) > 0
    assert np.array_equal(first["unused"], params["unused"])


def test_no_iterations_change_nothing(program: Program, batch: tuple[np.ndarray, np.ndarray]) -> None:
    params = program.init(0)
    assert equal(program.update(params, *batch, iterations=0)[0], params)


@pytest.mark.parametrize("solver", ["ap", "dr"])
def test_two_iterations_a_turn_do_what_one_does(
    solver: str, batch: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    with jax.enable_x64(True):
        single = pjc.compile(NETWORK, batch=6, solver=solver, dtype="f64")
        params = single.init(0)
        expected = [single.update(params, *batch, iterations=count) for count in range(6)]
        monkeypatch.setattr("pjc.runtime.emit.iterate.PAIRED_BYTES", 0)
        paired = pjc.compile(NETWORK, batch=6, solver=solver, dtype="f64")
        for count, (after, info) in enumerate(expected):
            found, found_info = paired.update(params, *batch, iterations=count)
            for name, value in after.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(found_info["gap"], info["gap"], rtol=1e-12, atol=1e-14)


def test_equal_terms_of_sums_cancel_before_they_are_added() -> None:
    x, y = jnp.ones(3), jnp.full(3, 2.0)
    reflected = combined((2, -1), (y, x))
    assert combined((1, 1, -1), (reflected, x, y)) is y
    np.testing.assert_array_equal(added(reflected), 3 * np.ones(3))
    nothing = combined((1, -1), (reflected, reflected))
    assert is_zero(nothing)
    with pytest.raises(ValueError, match="no shape"):
        added(nothing)
    assert not is_zero(combined((1, -1), (x, jnp.ones(3))))  # the same numbers, but another array


def test_training_lowers_the_gap(program: Program, batch: tuple[np.ndarray, np.ndarray]) -> None:
    params = program.init(0)
    before = program.gap(params, *batch)
    for _ in range(20):
        params, _ = program.update(params, *batch, iterations=20)
    after = program.gap(params, *batch)
    assert float(after["gap"]) < 0.5 * float(before["gap"])
    assert "cross_entropy" in after["nodes"]


def test_dumps(program: Program) -> None:
    assert "net.network" in program.ir("net")
    assert "feas.problem" in program.ir("feas")
    assert "proj.program" in program.ir("proj")
    for entry in ("init", "apply", "update", "gap"):
        assert "stablehlo" in program.stablehlo(entry)
    with pytest.raises(ProgramError, match="there is no stage 'hlo'"):
        program.ir("hlo")
    with pytest.raises(ProgramError, match="no entry point 'train'; it has init, apply, update, gap"):
        program.stablehlo("train")


def test_constraint_names_reach_the_compiled_program(program: Program) -> None:
    assert "cross_entropy" in program.lowered("update").compile().as_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, x, y: (p, x), r"expected 2 arrays \(x \[6, 4\], y \[6\]\), found 1"),
        (lambda p, x, y: (p, x[:, :3], y), r"'x' has shape \(6, 3\), expected \(6, 4\)"),
        (lambda p, x, y: ({}, x, y), "parameter 'b' of shape .* is missing"),
        (lambda p, x, y: ({**p, "u": x}, x, y), "has no parameter 'u'"),
        (lambda p, x, y: ({**p, "w": x}, x, y), r"parameter 'w' has shape \(6, 4\), expected \(4, 5\)"),
    ],
)
def test_wrong_arguments_are_named(
    program: Program, batch: tuple[np.ndarray, np.ndarray], change: Callable, message: str
) -> None:
    params, *data = change(program.init(0), *batch)
    with pytest.raises(ProgramError, match=message):
        program.update(params, *data)


def test_a_network_without_a_requirement_only_applies() -> None:
    program = pjc.compile("input x: f32[batch, 2]\noutput z = relu(x)\n", batch=2)
    assert program.apply({}, jnp.array([[1.0, -1.0]])).tolist() == [[1.0, 0.0]]
    with pytest.raises(ProgramError, match="has no 'require'"):
        program.update({}, jnp.zeros((2, 2)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "adam"}, "unknown solver 'adam'"),
        ({"dtype": "f16"}, "unknown dtype 'f16'"),
        ({"relaxation": 0}, "relaxation: expected a number above 0, at most 1, found 0"),
        ({"solver": "dm", "beta": 0}, "beta: expected a number .* other than 0, found 0"),
        ({"batch": 0}, "batch: expected a whole number from 1, found 0"),
        ({"iterations": 0}, "iterations: expected a whole number from 1, found 0"),
        ({"epochs": 3}, "unknown option 'epochs'"),
        ({"dtype": "f64"}, "dtype f64 needs JAX's 64-bit mode"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(pjc.DiagnosticError, match=message):
        pjc.compile(NETWORK, **options)


@pytest.fixture(scope="module")
def saved(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "net.pjx"
    program.save(path)
    return path


def test_a_loaded_program_does_the_same(
    program: Program, saved: Path, batch: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    loaded = pjc.load(saved)
    assert loaded.signature == program.signature
    assert equal(loaded.init(3), program.init(3))
    params = program.init(3)
    one, other = program.update(params, *batch)[0], loaded.update(params, *batch)[0]
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6)
    assert loaded.ir("feas") == program.ir("feas")
    assert loaded.apply(params, batch[0][:2])["logits"].shape == (2, 3)
    loaded.save(tmp_path / "again.pjx")
    assert (tmp_path / "again.pjx").read_bytes() == saved.read_bytes()


def test_saving_twice_gives_the_same_file(program: Program, saved: Path, tmp_path: Path) -> None:
    program.save(tmp_path / "net.pjx")
    assert (tmp_path / "net.pjx").read_bytes() == saved.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["net.pjx"]


def test_every_truncation_is_an_error(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    path = tmp_path / "cut.pjx"
    for length in range(0, len(data), max(1, len(data) // 50)):
        path.write_bytes(data[:length])
        with pytest.raises(ArtifactError, match="compile the network again"):
            pjc.load(path)


def test_flipped_bytes_are_an_error_or_change_nothing(saved: Path, tmp_path: Path, program: Program) -> None:
    data = saved.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "flipped.pjx"
    refused = 0
    for position in generator.integers(0, len(data), 150):
        changed = bytearray(data)
        changed[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(changed)
        try:
            loaded = pjc.load(path)
        except ArtifactError:
            refused += 1
        else:  # a byte of the archive that says nothing, such as a time stamp
            assert loaded.signature == program.signature and loaded.ir("proj") == program.ir("proj")
    assert refused > 120


def rewritten(saved: Path, target: Path, change: Callable[[dict], None]) -> Path:
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(data)
                change(manifest)
                data = json.dumps(manifest).encode()
            new.writestr(name, data)
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=99), "has format 99, this pjc reads format 2; upgrade pjc"),
        (lambda m: m.update(format=1), "has format 1, this pjc reads format 2; compile the network again"),
        (lambda m: m.update(format="new"), "has format new"),
        (lambda m: m.pop("format"), "its manifest cannot be read"),
        (lambda m: m.pop("signature"), "its manifest has no signature"),
        (lambda m: m["signature"].pop("inputs"), "read: 'inputs'"),
        (lambda m: m.update(members=3), "lists no members"),
        (lambda m: m["members"].update({"other.bin": {}}), "member other.bin is missing"),
        (lambda m: m["members"]["ir/net.mlir"].update(sha256="0"), "member ir/net.mlir was altered"),
        (lambda m: m["members"].pop("ir/net.mlir"), "read: 'ir/net.mlir'|says nothing"),
    ],
)
def test_a_wrong_manifest_is_named(
    saved: Path, tmp_path: Path, change: Callable[[dict], None], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        pjc.load(rewritten(saved, tmp_path / "wrong.pjx", change))


def test_other_files_are_no_pjx(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"there is no file .*missing\.pjx"):
        pjc.load(tmp_path / "missing.pjx")
    with pytest.raises(ArtifactError, match="is a directory"):
        pjc.load(tmp_path)
    path = tmp_path / "other.pjx"
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"not a whole \.pjx file"):
        pjc.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello", "world")
    with pytest.raises(ArtifactError, match="holds no manifest"):
        pjc.load(path)


def test_a_folder_is_no_place_for_a_program(program: Program, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        program.save(tmp_path)


@pytest.mark.slow
def test_factored_dots_report_their_multipliers_and_what_they_drop() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 5)).astype(np.float32), rng.integers(0, 3, 8)
    text = """
input x: f32[batch, 5]
target y: class[batch, 3]
param w: f32[5, 6] = he_normal
param v: f32[6, 3] = he_normal
h = relu(x @ w)
output z = h @ v
require cross_entropy(z, y, strength = 1.0)
"""
    weak = text.replace("strength = 1.0", "strength = 0.1")
    program = pjc.compile(weak, batch=8, solver="dr", copies="factored")
    params = program.init(0)
    found = program.gap(params, x, y, iterations=20)
    assert sorted(found["t"]) == sorted(found["dropped"]) == ["matmul", "matmul_1"]
    assert all(0 < float(t) < np.inf for t in found["t"].values())
    assert all(0 < float(size) < np.inf for size in found["dropped"].values())
    _, info = program.update(params, x, y, iterations=20)
    assert {label: float(t) for label, t in info["t"].items()} == {
        label: float(t) for label, t in found["t"].items()
    }
    assert pjc.compile(text, batch=8, solver="dr", copies="held").update(params, x, y)[1]["t"] == {}


def test_apply_has_the_gradient_of_the_network() -> None:
    """Other optimizers can train a compiled network: JAX differentiates its forward pass."""
    program = pjc.compile(Path(__file__).parent.parent / "examples" / "digits_mlp.pjn", batch=5)
    params = program.init(0)
    x = jax.random.normal(jax.random.key(1), (5, 64))

    def plain(params: Any) -> Any:
        hidden = jnp.maximum(x @ params["hidden_layer.weight"] + params["relu_0.bias"], 0)
        return jnp.sin(hidden @ params["out.weight"]).sum()

    found = jax.jit(jax.grad(lambda given: jnp.sin(program.apply(given, x)).sum()))(params)
    for name, wanted in jax.grad(plain)(params).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)


def test_products_are_exact_unless_bfloat16_is_asked_for(tmp_path: Path) -> None:
    """By JAX's default, GPUs and TPUs would round the factors."""
    text = "input x: f32[batch, 3]\ntarget y: class[batch, 2]\nparam w: f32[3, 2] = he_normal\n"
    text += "output logits = x @ w\nrequire margin(logits, y)\n"
    for entry, solver in (("apply", "sweep"), ("update", "dr"), ("displacement", "sweep")):
        exact = pjc.compile(text, batch=4, solver=solver).stablehlo(entry)
        assert "dot_general" in exact and exact.count("dot_general") == exact.count("HIGHEST, HIGHEST")
        rounded = pjc.compile(text, batch=4, solver=solver, products="bf16").stablehlo(entry)
        products = [line for line in rounded.splitlines() if "dot_general" in line]
        assert any("lhs_precision_type = bf16" in line for line in products)
        # What only copies entries stays exact: see runtime/projections/dot_halfway.py.
        assert all("lhs_precision_type = bf16" in line or "HIGHEST" in line for line in products)
    pjc.compile(text, batch=4, products="bf16").save(tmp_path / "net.pjx")
    params = pjc.load(tmp_path / "net.pjx").init(0)
    assert np.shape(pjc.load(tmp_path / "net.pjx").apply(params, np.ones((4, 3)))) == (4, 2)
    for wrong in ({"products": "f16"}, {"products": "bf16", "dtype": "f64"}):
        with pytest.raises(DiagnosticError, match="products"):
            pjc.compile(text, **wrong)


@pytest.mark.parametrize("value", [1e300, -1e223, 1e39])
def test_inputs_that_the_type_does_not_hold_are_refused(value: float, program: Program) -> None:
    x = np.zeros((6, 4))
    x[1, 2] = value
    for given in (x, x.tolist()):
        with pytest.raises(ProgramError, match=r"'x' holds .* too large for float32"):
            program.apply(program.init(0), given)
    x[1, 2] = 3e38
    assert program.apply(program.init(0), x)["logits"].shape == (6, 3)
