"""A .pjx file is data: what it may hold, how much of it is read, and what it can never do."""

from __future__ import annotations

import hashlib
import json
import signal
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bytecode import claiming
from jax import export as jax_export

import pjc
from pjc.runtime.artifact import ArtifactError
from pjc.runtime.exported import _READER, PLATFORMS

TEXT = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = he_normal
z = x @ w
output z
require w in rank(2)
require cross_entropy(z, y)
"""
W = jax.ShapeDtypeStruct((4, 3), "float32")
X = jax.ShapeDtypeStruct((2, 4), "float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "net.pjx"
    pjc.compile(TEXT, batch=2).save(path)
    return path


def signed(saved: Path, target: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> Path:
    """Return a copy of a file with changed members, whose hashes are made again."""
    with zipfile.ZipFile(saved) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    manifest["members"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            new.writestr(name, data)
    return target


def exported(function: Callable[..., Any], *arguments: Any, allowed: tuple[str, ...] = ()) -> bytes:
    checks = [jax_export.DisabledSafetyCheck.custom_call(name) for name in allowed]
    made = jax_export.export(jax.jit(function), platforms=PLATFORMS, disabled_checks=checks)(*arguments)
    return bytes(made.serialize())


def calling(target: str) -> Callable[..., Any]:
    def apply(params: Any, data: Any) -> Any:
        z = data["x"] @ params["w"]
        return {"z": jax.ffi.ffi_call(target, jax.ShapeDtypeStruct(z.shape, z.dtype))(z)}

    return apply


def in_a_loop(params: Any, data: Any) -> Any:
    """A call in a nested region."""
    call = jax.ffi.ffi_call("xla_ffi_python_cpu_callback", jax.ShapeDtypeStruct((2, 3), "float32"))
    return {"z": jax.lax.fori_loop(0, 3, lambda _, z: call(z), data["x"] @ params["w"])}


def of_wrong_sizes(params: Any, data: Any) -> Any:
    """A decomposition with room for one number, into which LAPACK would write many."""
    one = jax.ShapeDtypeStruct((1, 1), "float32")
    shapes = (one, jax.ShapeDtypeStruct((1,), "float32"), one, one, jax.ShapeDtypeStruct((), "int32"))
    found = jax.ffi.ffi_call("lapack_sgesdd_ffi", shapes)(params["w"], mode=np.uint8(65))
    return {"z": data["x"] @ params["w"] + found[0][0, 0]}


@pytest.mark.parametrize(
    ("function", "allowed", "message"),
    [
        (calling("xla_python_cpu_callback"), ("xla_python_cpu_callback",), "asks for checks to be left out"),
        (calling("cu_threefry2x32_ffi"), (), "calls 'cu_threefry2x32_ffi'.* only the custom calls that pjc"),
        (calling("tpu_custom_call"), (), "calls 'tpu_custom_call'"),
        (calling("lapack_spotrf_ffi"), (), "calls 'lapack_spotrf_ffi'"),
        (in_a_loop, ("xla_ffi_python_cpu_callback",), "asks for checks|xla_ffi_python_cpu_callback"),
        (of_wrong_sizes, (), "results of other sizes"),
    ],
)
def test_code_outside_of_the_file_is_refused_when_it_is_loaded(
    saved: Path, tmp_path: Path, function: Callable[..., Any], allowed: tuple[str, ...], message: str
) -> None:
    def change(members: dict[str, bytes], _: Any) -> None:
        data = exported(function, {"w": W}, {"x": X}, allowed=allowed)
        members["stablehlo/apply.bin"] = data

    with pytest.raises(ArtifactError, match=message):
        pjc.load(signed(saved, tmp_path / "evil.pjx", change))


@pytest.mark.parametrize(
    "target", ["xla_python_cpu_callback", "xla_ffi_python_cpu_callback", "hip_callback_x"]
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_call_that_hides_from_the_checks_of_jax_is_refused(
    saved: Path, tmp_path: Path, target: str, nested: bool
) -> None:
    """The module's bytes say it alone: nothing in the rest of the file asks for it."""
    stands_in = "Qr" + "x" * (len(target) - 2)
    function = calling(stands_in)

    def looped(params: Any, data: Any) -> Any:
        return {"z": jax.lax.fori_loop(0, 2, lambda _, z: z + function(params, data)["z"], jnp.zeros((2, 3)))}

    def change(members: dict[str, bytes], _: Any) -> None:
        made = jax_export.export(
            jax.jit(looped if nested else function),
            platforms=PLATFORMS,
            disabled_checks=[jax_export.DisabledSafetyCheck.custom_call(stands_in)],
        )({"w": W}, {"x": X})
        object.__setattr__(made, "disabled_safety_checks", ())
        members["stablehlo/apply.bin"] = bytes(made.serialize()).replace(stands_in.encode(), target.encode())

    with pytest.raises(ArtifactError, match=f"calls '{target}', code outside"):
        pjc.load(signed(saved, tmp_path / "evil.pjx", change))


def swap(one: str, other: str) -> Callable[[dict[str, bytes], Any], None]:
    def change(members: dict[str, bytes], _: Any) -> None:
        members[f"stablehlo/{one}.bin"] = members[f"stablehlo/{other}.bin"]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap("apply", "init"), "entry point apply takes other arguments"),
        (swap("init", "finish"), "entry point init takes other arguments"),
        (swap("finish", "start"), "entry point finish gives other results"),
        (swap("more", "init"), "its entry points, .*more"),
        (lambda m, _: m.pop("stablehlo/init.bin"), "its entry points"),
        (lambda m, _: m.update({"notes.txt": b"hello"}), "holds 'notes.txt'"),
        (lambda m, _: m.update({"stablehlo/init.bin": b"no module"}), "not a whole .pjx file"),
        (lambda _, o: o["signature"]["inputs"][0].update(shape=[2, 5]), "apply takes other arguments"),
        (lambda _, o: o["signature"]["outputs"][0].update(shape=[2, 5]), "apply gives other results"),
        (lambda _, o: o["signature"].update(trainable=False), "its entry points"),
    ],
)
def test_entry_points_are_those_that_the_manifest_tells_of(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        pjc.load(signed(saved, tmp_path / "changed.pjx", change))


@pytest.mark.parametrize(
    "key", ["name", "inputs", "targets", "parameters", "batch", "iterations", "families"]
)
@pytest.mark.parametrize("value", [-1, 1.5, [1], {"a": 1}, "text", [[]], [{"name": "x"}], {"a": ["b", "b"]}])
def test_records_of_other_types_are_refused_when_a_file_is_loaded(
    saved: Path, tmp_path: Path, key: str, value: Any
) -> None:
    if key == "name" and isinstance(value, str):
        value = None

    def change(_: Any, manifest: dict[str, Any]) -> None:
        manifest["signature"][key] = value

    with pytest.raises(ArtifactError, match=r"not a whole \.pjx file"):
        pjc.load(signed(saved, tmp_path / "changed.pjx", change))


def test_a_small_file_takes_little_memory(saved: Path, tmp_path: Path) -> None:
    def large(members: dict[str, bytes], _: Any) -> None:
        members.update({f"ir/{n}.mlir": bytes(2**26) for n in range(3)})

    def deep(_: Any, manifest: dict[str, Any]) -> None:
        manifest["source"] = {"text": [[] for _ in range(2**18)]}

    def long(_: Any, manifest: dict[str, Any]) -> None:
        manifest["source"] = {"text": "x" * 2**24}

    def wide(_: Any, manifest: dict[str, Any]) -> None:
        manifest["signature"]["parameters"][0]["shape"] = [2**40, 2**40]

    for change, message in (
        (large, "its members claim .* bytes, and a file of"),
        (deep, "its manifest has more than 262144 values"),
        (long, "its manifest has more than 16777216 bytes"),
        (wide, "more numbers than any computer holds"),
    ):
        with pytest.raises(ArtifactError, match=message):
            pjc.load(signed(saved, tmp_path / "small.pjx", change))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_starts_from_parameters_that_are_not_finite(value: float, tmp_path: Path) -> None:
    program = pjc.compile(TEXT, batch=2)
    params = {"w": program.init(0)["w"].at[1, 1].set(value)}
    for call in (lambda: program.start(params), lambda: program.to_onnx(params, tmp_path / "m.onnx")):
        with pytest.raises(pjc.runtime.program.ProgramError, match="'w' has numbers that are not finite"):
            call()


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_what_trains_says_when_it_returns_what_is_not_finite(value: float) -> None:
    text = "input x: f32[batch, 2]\ntarget y: f32[batch, 1]\nparam w: f32[2, 1] = zeros\n"
    text += "output z = x @ w\nrequire squared_error(z, y)\n"
    x, y = np.full((2, 2), value, np.float32), np.full((2, 1), 3e38, np.float32)
    iterating = pjc.compile(text, batch=2, solver="dr")
    with pytest.warns(RuntimeWarning, match="update of network .* not finite"):
        iterating.update(iterating.init(0), x, y, iterations=5)
    sweeping = pjc.compile(text, batch=2)
    with pytest.warns(RuntimeWarning, match="displacement of network .* not finite"):
        sweeping.displacement(sweeping.init(0), x, y)
    with pytest.warns(RuntimeWarning, match="step of network .* not finite"):
        sweeping.step(sweeping.start(0), x, y)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_what_the_reader_of_modules_does_not_survive_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    crash = f"import os, sys; sys.stdin.buffer.read(); os.kill(os.getpid(), {int(number)})"
    monkeypatch.setattr("pjc.runtime.exported._READER", crash)
    with pytest.raises(ArtifactError, match="that MLIR's reader does not survive"):
        pjc.load(saved)


@pytest.mark.parametrize(
    ("what", "count"),
    [("strings", 2**27), ("dialects", 2**28), ("attributes and types", 2**26), ("values of a region", 2**27)],
)
def test_a_module_that_claims_more_than_it_holds_takes_no_memory(
    saved: Path, tmp_path: Path, what: str, count: int
) -> None:
    """Each would take more than a gigabyte, and be refused after that, or not at all."""

    def change(members: dict[str, bytes], _: Any) -> None:
        name = "stablehlo/apply.bin"
        good = jax_export.deserialize(bytearray(members[name]))
        changed = claiming(good.mlir_module_serialized, what, count)
        members[name] = bytes(replace(good, mlir_module_serialized=changed).serialize())

    with pytest.raises(ArtifactError, match=r"damaged: reading them takes more than 51[0-9] MB"):
        pjc.load(signed(saved, tmp_path / "claims.pjx", change))


@pytest.mark.slow
def test_modules_are_not_read_for_long(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = _READER.replace("while given:", "while given: pass\nwhile given:")
    monkeypatch.setattr("pjc.runtime.exported._READER", endless)
    monkeypatch.setattr("pjc.runtime.exported._CPU", 1)
    with pytest.raises(ArtifactError, match="damaged: reading them takes more than 1 s"):
        pjc.load(saved)


@pytest.mark.parametrize("shape", [(), (1,), (2, 0)])
def test_initial_parameters_keep_their_rank(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from pjc.runtime.program import Program, Signature, TensorSpec

    spec = TensorSpec("s", shape, "float32")
    functions = {"init": lambda _: {"s": jnp.zeros(shape)}, "apply": lambda params, _: {"z": params["s"]}}
    signature = Signature("n", (), (), (TensorSpec("z", shape, "float32"),), (spec,), None, 1, False)
    from pjc.runtime.artifact import load, save

    initial = {"s": np.full(shape, 2.0, np.float32)}
    save(Program(signature, functions, {}, initial=initial), tmp_path / "s.pjx", {})
    found = load(tmp_path / "s.pjx").init(0)["s"]
    assert found.shape == shape and np.all(np.asarray(found) == 2.0)


@pytest.mark.parametrize("solver", ["sweep", "dr", "cp"])
def test_networks_of_double_precision_are_files_too(tmp_path: Path, solver: str) -> None:
    """Where JAX has whole numbers of 64 bits, the platform's number is one."""
    path = tmp_path / "net.pjx"
    with jax.enable_x64(True):
        program = pjc.compile(TEXT, batch=2, dtype="f64", solver=solver)
        program.save(path)
        loaded, params = pjc.load(path), program.init(0)
        x = np.arange(8.0).reshape(2, 4) / 3
        found = loaded.apply(params, x)
        assert found.dtype == "float64"
        np.testing.assert_array_equal(found, program.apply(params, x))
