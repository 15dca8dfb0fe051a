"""What a mesh adds to emission, and that one device has none of it; test_mesh.py has meshes of eight."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from mesh_cases import NETWORKS

from pjc.dialects import proj
from pjc.dialects.axes import MESH_AXES
from pjc.driver import Options, compile_text
from pjc.passes.analysis.graph import only
from pjc.passes.partition import PartitionPass
from pjc.runtime.emit import Emitter, entry_points
from pjc.runtime.placement import ONE_DEVICE, AssignedPlacement, MeshPlacement, placement_on
from pjc.universe import context

EMIT = Path(__file__).parent.parent / "runtime" / "emit"


def annotated(
    network: str, sizes: tuple[int, int, int] | None, words: tuple[str, ...] = ()
) -> proj.ProgramOp:
    """Return a program that says how a mesh of such sizes splits it, and by ``words`` who projects what."""
    module = compile_text(NETWORKS[network], Options(batch=16, solver="dr", dtype="f32")).at("proj").clone()
    if sizes is not None:
        PartitionPass(*sizes, words).apply(context(), module)
        module.verify()
    return only(module, proj.ProgramOp)


def arguments(emitter: Emitter) -> tuple[Any, Any, Any]:
    generator = np.random.default_rng(0)
    data = {"x": generator.normal(size=(16, 16)).astype(np.float32), "y": np.arange(16, dtype=np.int32) % 8}
    return emitter.init(jax.random.key(0)), data, np.int32(3)


def lowered(emitter: Emitter) -> Any:
    return jax.jit(entry_points(emitter)["update"]).lower(*arguments(emitter))


def run(emitter: Emitter) -> Any:
    quickly_compiled = lowered(emitter).compile(compiler_options={"xla_backend_optimization_level": 0})
    return quickly_compiled(*arguments(emitter))


@pytest.mark.parametrize("network", ["mlp", "deep", "unlike"])
def test_one_device_has_no_use_for_what_a_program_says_of_a_mesh(network: str) -> None:
    programs = [annotated(network, None), annotated(network, (2, 2, 2))]
    assert "sharded" in str(programs[1]) and "sharded" not in str(programs[0])
    emitters = [Emitter(program, ONE_DEVICE) for program in programs]
    plain, ignoring = (lowered(each).as_text() for each in emitters)
    assert plain == ignoring
    assert not re.search("all_reduce|collective|[Ss]harding", plain)


@pytest.mark.parametrize(
    ("network", "words", "kind"),
    [
        ("mlp", (), MeshPlacement),
        ("deep", (), MeshPlacement),
        ("unlike", ("dense.matmul=0",), AssignedPlacement),
    ],
)
def test_a_mesh_of_one_device_does_what_the_device_does(
    network: str, words: tuple[str, ...], kind: type[MeshPlacement]
) -> None:
    program = annotated(network, (1, 1, 1), words)
    mesh = jax.make_mesh((1, 1, 1), MESH_AXES, axis_types=(AxisType.Auto,) * 3, devices=jax.devices()[:1])
    placement = placement_on(mesh, program)
    assert type(placement) is kind and not placement.alone and ONE_DEVICE.alone
    one, meshed = Emitter(program), Emitter(program, placement)
    params, _, _ = arguments(one)
    expected, told = run(one)
    found, told_on_mesh = run(meshed)
    assert not np.array_equal(expected["out.weight"], params["out.weight"])
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(told_on_mesh["gap"], told["gap"], rtol=1e-5)
    assert set(told_on_mesh["t"]) == set(told["t"])


def test_what_evaluates_knows_of_no_mesh() -> None:
    """Only the placement speaks of devices to JAX: whatever is evaluated asks it."""
    words = "psum|pmean|pmax|ppermute|axis_index|shard_map|with_sharding_constraint|PartitionSpec|Mesh\\b"
    files = sorted(EMIT.glob("*.py"))
    assert len(files) > 8
    for path in files:
        assert not re.search(words, path.read_text()), path
