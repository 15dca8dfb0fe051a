"""Meshes of devices: the same parameters as one device, and no more communication than there must be.

JAX takes its number of devices when it starts, so that what needs eight runs in a process of its own.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from mesh_cases import NETWORKS
from quick import some_quick
from safetensors.numpy import load_file
from xdsl.parser import Parser

from pjc import cli
from pjc.diagnostics import DiagnosticError
from pjc.dialects import proj
from pjc.dialects.view import shape_of
from pjc.driver import compile_text
from pjc.mesh import factorizations, parse_mesh, show
from pjc.options import Options
from pjc.passes.analysis.assignment import assign
from pjc.passes.analysis.graph import only
from pjc.runtime.collectives import iteration_collectives
from pjc.universe import context

FOLDER = Path(__file__).resolve().parent
DEVICES = 8
TOLERANCE = 1e-5
Case = tuple[str, str, str, str]
QUICK: list[Case] = [
    ("mlp", "dr", "sample=2,feature=2,stack=2", "f32"),
    ("deep", "ap", "stack=8", "f32"),
    ("unlike", "ap", "sample=2,stack=4", "f64"),
]
ALL: list[Case] = [
    (network, solver, show(mesh), dtype)
    for network, solver, mesh, dtype in product(
        NETWORKS, ("ap", "dr"), factorizations(DEVICES), ("f32", "f64")
    )
]


def on_eight_devices(cases: list[Case]) -> list[dict[str, Any]]:
    """Return what mesh_cases.py gives for each case."""
    command = [sys.executable, str(FOLDER / "mesh_cases.py"), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(found: dict[str, Any]) -> None:
    """What every case must hold."""
    scale = max(1.0, found["largest"])
    assert found["moved"] > 0.1, "the parameters did not move, so that nothing was compared"
    rounding = 10 * found["one_bit"]  # what another rounding of the parameters does to one device
    allowed = TOLERANCE if found["case"][3] == "f64" else max(TOLERANCE * scale, rounding)
    assert found["difference"] <= allowed
    assert found["gaps"][0] == pytest.approx(found["gaps"][1], rel=1e-3)
    assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-3) and found["losses"][0] > 0
    collectives = iteration_collectives(found["hlo"])
    expected = collectives_of(base64.b64decode(found["module"]))
    assert sorted((each.kind, each.bytes) for each in collectives) == sorted(expected)
    check_stack(found["hlo"], found["proj"])


@cache
def of(case: Case) -> dict[str, Any]:
    """Return what mesh_cases.py gives for one case."""
    (found,) = on_eight_devices([case])
    return found


@pytest.mark.parametrize("case", some_quick(QUICK, each=3, first=1), ids=" ".join)
def test_a_mesh_gives_the_parameters_of_one_device(case: Case) -> None:
    check(of(case))


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("solver", ["ap", "dr"])
def test_every_mesh_gives_the_parameters_of_one_device(network: str, solver: str) -> None:
    cases = [case for case in ALL if case[:2] == (network, solver)]
    assert len(cases) == 20
    results = on_eight_devices(cases)
    assert [tuple(found["case"]) for found in results] == cases
    for found in results:
        check(found)


def check_stack(hlo: str, annotated: str) -> None:
    """No all-gather gives a whole tensor that the stack axis splits, in any order of its dimensions.

    But in the branch for sites that lose digits, whose rows each device goes through.
    """
    whole = set(whole_stacked(annotated))
    usual = "\n".join(line for line in hlo.splitlines() if "/cond/branch_1_fun/" not in line)
    for shapes in re.findall(r"= (.*?) all-gather(?:-start)?\(", usual):
        for sizes in re.findall(r"[a-z]+\d+\[([\d,]*)\]", shapes):
            assert tuple(sorted(map(int, filter(None, sizes.split(","))))) not in whole, shapes


def whole_stacked(annotated: str) -> Iterator[tuple[int, ...]]:
    """Yield the sizes of every stacked tensor on a device, were it not for the stack axis."""
    (program,) = Parser(context(), annotated).parse_module().ops
    assert isinstance(program, proj.ProgramOp) and program.mesh is not None
    sizes = program.mesh.sizes()
    for op in program.walk():
        if (
            isinstance(op, proj.SHARDED)
            and op.sharding is not None
            and op.sharding.where("stack") is not None
        ):
            shape = shape_of(op.sharded_type())
            for split in (("sample",), ("sample", "feature")):
                pieces = [prod(sizes[axis] for axis in axes if axis in split) for axes in op.sharding.axes()]
                local = [size // piece for size, piece in zip(shape, pieces, strict=True)]
                yield tuple(sorted(local))


def test_a_stack_mesh_has_stacked_tensors_and_no_gather_of_one() -> None:
    found = of(QUICK[1])
    assert len(set(whole_stacked(found["proj"]))) >= 2
    assert "all-gather" not in found["hlo"]
    kinds = {each.kind for each in iteration_collectives(found["hlo"])}
    assert "collective-permute" in kinds


# The compiled module once more, as XLA's protocol buffers rather than as text.

OPCODES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
ELEMENT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 2, 8: 4, 9: 8, 10: 2, 11: 4, 12: 8, 16: 2}
"""By XLA's PrimitiveType: PRED, S8..S64, U8..U64, F16, F32, F64, BF16."""


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protocol buffer message: numbers, or bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, varint()
        elif wire == 2:
            length = varint()
            yield number, data[at : at + length]
            at += length
        else:
            length = {1: 8, 5: 4}[wire]
            yield number, data[at : at + length]
            at += length


def numbers(values: list[Any]) -> list[int]:
    """Return repeated numbers, packed or not."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        number = shift = 0
        for byte in value:
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                found.append(number)
                number = shift = 0
    return found


def shape_bytes(shape: bytes) -> int:
    """Return the bytes of a ShapeProto: element_type = 2, dimensions = 3, tuple_shapes = 4."""
    parts = list(fields(shape))
    inner = [value for number, value in parts if number == 4]
    if inner:
        return sum(map(shape_bytes, inner))
    kind = next(value for number, value in parts if number == 2)
    return ELEMENT_BYTES[kind] * prod(numbers([value for number, value in parts if number == 3]))


def collectives_of(module: bytes) -> list[tuple[str, int]]:
    """Return the collectives in the loop whose body holds an iteration, with the bytes of their operands."""
    computations: dict[int, list[dict[str, Any]]] = {}
    entry = next(value for number, value in fields(module) if number == 6)
    for number, computation in fields(module):
        if number == 3:
            parts = list(fields(computation))
            identity = next(value for key, value in parts if key == 5)
            computations[identity] = [instruction(value) for key, value in parts if key == 2]

    def below(identity: int) -> Iterator[dict[str, Any]]:
        for each in computations[identity]:
            yield each
            for called in each["called"]:
                yield from below(called)

    def loop(identity: int) -> int | None:
        for each in computations[identity]:
            if each["opcode"] == "while":
                for called in each["called"]:
                    if any("/iterate/" in inner["source"] for inner in below(called)):
                        return called
            else:
                for called in each["called"]:
                    found = loop(called)
                    if found is not None:
                        return found
        return None

    body = loop(entry)
    assert body is not None
    sizes = {each["id"]: each["bytes"] for ops in computations.values() for each in ops}
    return [
        (each["opcode"].removesuffix("-start"), sum(sizes[operand] for operand in each["operands"]))
        for each in below(body)
        if each["opcode"].removesuffix("-start") in OPCODES
    ]


def instruction(data: bytes) -> dict[str, Any]:
    """Read an HloInstructionProto."""
    parts = list(fields(data))
    one = dict(parts)
    metadata = dict(fields(one.get(7, b"")))
    return {
        "opcode": one[2].decode(),
        "bytes": shape_bytes(one[3]),
        "id": one[35],
        "operands": numbers([value for number, value in parts if number == 36]),
        "called": numbers([value for number, value in parts if number == 38]),
        "source": metadata.get(2, b"").decode(),
    }


# What is asked for, and what is said where it cannot be had.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("samples=4", "unknown mesh axis 'samples'; known are sample, feature, stack"),
        ("sample=0", "mesh axis 'sample' takes a whole number from 1, found 0"),
        ("sample=-2", "mesh axis 'sample' takes a whole number from 1, found '-2'"),
        ("sample=two", "mesh axis 'sample' takes a whole number from 1, found 'two'"),
        ("sample=2,sample=2", "mesh axis 'sample' is given twice"),
        ("sample", "'sample' is no axis of a mesh"),
        ("", "'' is no axis of a mesh"),
        ({"stack": True}, "mesh axis 'stack' takes a whole number from 1, found True"),
        (8, "a mesh is a text or a mapping, found int"),
    ],
)
def test_a_wrong_mesh_is_named(given: Any, message: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        Options(mesh=given)
    assert caught.value.diagnostics[0].message == message


def test_a_mesh_is_a_text_or_a_mapping() -> None:
    assert parse_mesh("feature=2, sample=4") == parse_mesh({"sample": 4, "feature": 2})
    assert parse_mesh("stack=3") == {"sample": 1, "feature": 1, "stack": 3}


def test_there_are_ten_meshes_of_eight_devices() -> None:
    assert len(factorizations(8)) == 10
    assert all(prod(mesh.values()) == 8 for mesh in factorizations(8))


def test_too_few_devices_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "net.pjn"
    source.write_text(NETWORKS["mlp"])
    assert cli.main([str(source), "--mesh", "sample=64"]) == 1
    error = capsys.readouterr().err
    assert "mesh sample=64 is for 64 devices, and there are" in error
    assert "--devices 64" in error


MIXING = """
input x: f32[batch, 4]
target y: class[batch, 4]
param w: f32[4, 4] = he_normal
"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("z = x @ w\noutput z\nrequire margin(z, y)", None),
        ("z = (x @ transpose(x)) @ (x @ w)\noutput z\nrequire margin(z, y)", "multiplies samples by samples"),
        ("z = x @ w\ns = sum(z, axis = 0)\noutput z\nrequire margin(z + s, y)", "reduces over samples"),
        ("z = x @ w\noutput z\nrequire margin(concat(z[1:], z[:1], axis = 0), y)", "takes samples apart"),
    ],
)
def test_samples_are_split_only_where_nothing_mixes_them(body: str, reason: str | None) -> None:
    options = Options(batch=8, mesh="sample=2", solver="ap")
    compilation = compile_text(MIXING + body, options)
    program = only(compilation.at("placed"), proj.ProgramOp)
    split = [op.sharding.where("sample") for op in program.walk() if isinstance(op, proj.SHARDED)]
    assert any(axis is not None for axis in split) == (reason is None)
    notes = compilation.mesh_plan.partition().notes
    assert notes == [] if reason is None else any(reason in note for note in notes), notes


def weighted(work: dict[str, int], edges: dict[tuple[str, str], int]) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.Graph()
    for node, each in work.items():
        graph.add_node(node, work=each)
    for (one, other), size in edges.items():
        graph.add_edge(one, other, bytes=size)
    return graph


def test_constraints_are_assigned_in_balance_where_the_cut_is_small() -> None:
    chain = weighted(
        dict.fromkeys("abcdef", 10),
        {("a", "b"): 9, ("b", "c"): 9, ("c", "d"): 1, ("d", "e"): 9, ("e", "f"): 9},
    )
    found = assign(chain, 2)
    assert found.devices == (("a", "b", "c"), ("d", "e", "f"))
    assert (found.cut, found.total, found.balance) == (1, 37, 1.0)


def test_a_constraint_moves_to_the_device_that_it_talks_to() -> None:
    work = {"a": 10, "b": 10, "c": 10, "light": 1, "d": 29}
    edges = {("a", "b"): 5, ("b", "c"): 5, ("a", "light"): 8, ("c", "d"): 1, ("light", "d"): 50}
    found = assign(weighted(work, edges), 2)
    assert found.devices == (("a", "b", "c"), ("light", "d"))
    assert found.cut == 9


def test_more_devices_than_constraints_leave_some_without_any() -> None:
    found = assign(weighted({"a": 3, "b": 3}, {("a", "b"): 1}), 4)
    assert sorted(found.loads) == [0, 0, 3, 3]


def test_distinct_layers_of_a_network_are_assigned_and_stacked_ones_are_not() -> None:
    options = Options(batch=16, solver="dr")
    found = compile_text(NETWORKS["mlp"], options).mesh_plan.assignment(2)
    assert found.devices[0][0] == "dense_0.matmul" and found.devices[1][-1] == "cross_entropy"
    assert 1 <= found.balance < 1.3
    labels = [
        label
        for each in compile_text(NETWORKS["deep"], options).mesh_plan.assignment(2).devices
        for label in each
    ]
    assert labels == ["cell.matmul", "relu_0.sum_relu", "out.matmul", "cross_entropy"]


@pytest.mark.slow
def test_the_command_line_explains_and_trains_on_a_mesh(tmp_path: Path) -> None:
    source = tmp_path / "net.pjn"
    source.write_text(NETWORKS["mlp"])
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 16)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=generator.integers(0, 8, 64))

    def pjc(*words: str) -> str:
        command = [sys.executable, "-m", "pjc.cli", *words]
        environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    words = ["--mesh", "sample=2,feature=2", "--devices", "4", "--batch", "16", "--solver", "dr"]
    explained = pjc(str(source), "--explain", *words)
    assert "mesh sample=2,feature=2" in explained and "[sample], [feature]" in explained
    assert re.search(r"\d+ collectives of [\d,]+ bytes a device in an iteration", explained)
    training = ["train", str(source), "--data", "data.npz", "--epochs", "2", "--batch", "16"]
    training += ["--solver", "dr"]
    pjc(*training, "-o", "one")
    pjc(*training, *words[:4], "-o", "split")
    one, split = (load_file(tmp_path / f"{name}.params.safetensors") for name in ("one", "split"))
    for name, value in one.items():
        np.testing.assert_allclose(split[name], value, rtol=0, atol=1e-3, err_msg=name)
