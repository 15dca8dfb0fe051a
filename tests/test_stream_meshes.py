"""Streams on meshes of devices: stages are shared along stack, samples along sample."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stream_meshes import BATCH, NETWORKS, PIECES

from pjc.commands.mesh_report import assigned
from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_text
from pjc.mesh_plan import MeshPlan
from pjc.options import Options
from pjc.passes.analysis.cost import MACHINES
from pjc.runtime.collectives import KINDS, _Instruction, _Module, _parsed, size

FOLDER = Path(__file__).resolve().parent
TOLERANCE = 1e-5
TEXT = NETWORKS["beside the loop"]


def on_eight_devices(*cases: tuple[str, str, int, dict[str, Any]]) -> list[dict[str, Any]]:
    command = [sys.executable, str(FOLDER / "stream_meshes.py"), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    """A network of eight layers whose pieces of two samples each go through four stretches of two."""
    (found,) = on_eight_devices(("beside the loop", "sample=2,stack=4", 24, {}))
    return found


def check(found: dict[str, Any], *others: str) -> None:
    assert found["moved"] > 100 * TOLERANCE
    for each in ("params", "held", "told", "finished", "applied", *others):
        assert found[each] < TOLERANCE, each
    for each in ("stepped", "separated", "unused"):
        assert found[each] == 0, each


def test_a_mesh_does_what_one_device_does(quick: dict[str, Any]) -> None:
    check(quick)


def test_a_state_of_other_devices_is_refused_with_what_to_call(quick: dict[str, Any]) -> None:
    assert "is compiled for one device, and the state is that of 4 devices; call unshard of" in quick["said"]


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["stack=8", "sample=2,stack=4"])
def test_so_does_every_mesh_after_200_ticks(mesh: str) -> None:
    (found,) = on_eight_devices(("beside the loop", mesh, 200, {}))
    check(found, "drained", "trained", "on one", "asked")
    assert found["same"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "ticks", "settings"),
    [
        ("nothing at the ends", 24, {"clip": 1.0, "accumulate": 2}),
        ("beside the loop", 24, {"clip": 0.01}),
        ("intersections at the ends", 8, {}),
    ],
)
def test_so_does_every_network(network: str, ticks: int, settings: dict[str, Any]) -> None:
    (found,) = on_eight_devices((network, "sample=2,stack=4", ticks, settings))
    check(found)


# What the compiled program holds.


def body_of_ticks(module: _Module) -> str:
    """Return the computation of a tick: the body of the loop that the step of a batch runs."""
    entry = module.computations[module.entry].values()
    (loop,) = (each for each in entry if each.opcode == "while")
    found = re.search(r"body=%?([\w.\-]+)", loop.attributes)
    assert found is not None
    return found[1]


def within(module: _Module, computation: str) -> list[_Instruction]:
    """Return the instructions of a computation and of those that it calls."""
    found = list(module.computations[computation].values())
    for each in module.computations[computation].values():
        for called in each.called():
            found += within(module, called)
    return found


def collectives(instructions: list[_Instruction]) -> list[_Instruction]:
    return [each for each in instructions if each.opcode.removesuffix("-start") in KINDS]


def groups(instruction: _Instruction) -> set[frozenset[int]]:
    """Return which devices talk to each other."""
    found = re.search(r"(?:replica_groups|source_target_pairs)=\{\{(.*?)\}\}", instruction.attributes)
    assert found is not None, instruction.attributes
    return {frozenset(map(int, group.split(","))) for group in found[1].split("},{")}


def products_in_a_row(module: _Module, computation: str) -> int:
    """Return the most products of a computation of which each waits for the one before."""
    behind: dict[str, int] = {}
    for name, each in module.computations[computation].items():
        before = max((behind.get(operand, 0) for operand in each.operands), default=0)
        target = re.search(r'custom_call_target="([^"]*)"', each.attributes)
        is_product = each.opcode == "dot" or (target is not None and "mat" in target[1])
        inside = max((products_in_a_row(module, called) for called in each.called()), default=0)
        behind[name] = before + (1 if is_product else inside)
    return max(behind.values(), default=0)


SAMPLES = {frozenset({device, device + 4}) for device in range(4)}
"""The devices that have the same stages, of two times four."""


def test_along_the_stack_devices_hand_on_and_ask_and_nothing_else(quick: dict[str, Any]) -> None:
    module = _parsed(quick["hlo"])
    tick = collectives(within(module, body_of_ticks(module)))
    along = [each for each in tick if groups(each) != SAMPLES]
    assert {each.opcode for each in along} == {"collective-permute"}
    pairs = [sorted((min(pair), max(pair)) for pair in groups(each)) for each in along]
    neighbours = [(first, first + 1) for first in (0, 1, 2, 4, 5, 6)]
    assert sorted(pairs) == [
        *[neighbours] * 2,
        *[[(0, 3), (4, 7)]] * 2,
    ]  # up and down; past the loop and back
    piece = 4 * 6 * BATCH // (PIECES * 2)
    assert all(size(each.type) == piece for each in along)
    assert {each.opcode for each in tick if groups(each) == SAMPLES} == {"all-reduce"}


def test_beside_ticks_a_step_adds_up_what_is_told(quick: dict[str, Any]) -> None:
    module = _parsed(quick["hlo"])
    ticks = collectives(within(module, body_of_ticks(module)))
    beside = [each for each in collectives(within(module, module.entry)) if each not in ticks]
    assert {each.opcode for each in beside} == {"all-reduce"}
    numbers = (
        3 * PIECES
    )  # of each piece its loss, what that demands, and how far parameters are from their set
    assert sum(size(each.type) for each in beside) == 4 * numbers


def test_no_product_of_a_device_waits_for_that_of_another_layer(quick: dict[str, Any]) -> None:
    module = _parsed(quick["hlo"])
    assert products_in_a_row(module, body_of_ticks(module)) == 2  # forward, and its response


# What is refused.


def placed(mesh: str, text: str = TEXT, **options: Any) -> str:
    return str(
        compile_text(text, Options(solver="stream", mesh=mesh, **{"batch": BATCH, **options})).at("placed")
    )


@pytest.mark.parametrize(
    ("mesh", "told"),
    [
        (
            "stack=3",
            "the 8 iterations of loop 'i' cannot be shared .* 3 devices along stack; take stack=2 or 4 or 8",
        ),
        ("feature=2", "whose devices each have whole stages; take stack and sample, and no feature"),
        ("sample=3", "in pieces of 4 samples, and 3 devices along sample cannot share one evenly"),
        ("sample=4", "two samples or more to each"),
    ],
)
def test_a_mesh_that_cannot_share_evenly_is_refused(mesh: str, told: str) -> None:
    with pytest.raises(DiagnosticError, match=told):
        placed(mesh)


def test_a_set_on_a_view_of_what_devices_share_is_refused() -> None:
    text = TEXT.replace("require w in", "require w[0:3] in")
    placed("sample=2", text)
    with pytest.raises(DiagnosticError, match="is a set on a view of a parameter of the loop"):
        placed("stack=2", text)


# What is predicted.


def plan(**options: Any) -> MeshPlan:
    given = {"batch": BATCH, **options}
    return compile_text(TEXT, Options(solver="stream", **given)).mesh_plan


def sizes(**given: int) -> dict[str, int]:
    return {"sample": 1, "feature": 1, "stack": 1, **given}


def test_the_messages_of_a_tick_are_those_that_the_compiled_one_sends(quick: dict[str, Any]) -> None:
    predicted = plan().predict(sizes(sample=2, stack=4), MACHINES["cpu"])
    module = _parsed(quick["hlo"])
    tick = collectives(within(module, body_of_ticks(module)))
    sent = sorted(size(each.type) for each in tick if each.opcode == "collective-permute")
    assert sorted(each.bytes for each in predicted.messages if each.kind == "collective-permute") == sent
    own = 4 * (2 * (6 * 6 + 6) + 6 + 12 * 3)  # of each device parameters of two layers, or of an end
    summed = sum(size(each.type) for each in tick if each.opcode == "all-reduce")
    assert own <= sum(each.bytes for each in predicted.messages if each.kind == "all-reduce") <= summed


def test_the_device_with_the_most_to_do_decides() -> None:
    found = {count: plan().predict(sizes(stack=count), MACHINES["cpu"]).compute for count in (1, 2, 4, 8)}
    layers = (found[2] - found[4]) * 4  # eight of them: a device has four, or two, and an end
    assert found[4] - found[8] == pytest.approx(layers / 8)
    assert layers < found[1] < layers + 2 * (found[8] - layers / 8) + 1e-12


def test_auto_takes_what_a_stream_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jax.devices", lambda: [None] * 8)
    assert plan(mesh="auto", batch=4096).mesh in (
        sizes(stack=8),
        sizes(sample=2, stack=4),
        sizes(sample=4, stack=2),
    )
    monkeypatch.setattr("jax.devices", lambda: [None] * 7)
    with pytest.raises(DiagnosticError, match="no mesh of 7 devices is for this network"):
        _ = plan(mesh="auto", batch=BATCH).mesh


def test_it_is_told_which_stages_a_device_has() -> None:
    told = assigned(plan(mesh="stack=2"))
    assert told[1:] == [
        "device 0 of stack has the stages before, i 1 to 4",
        "device 1 of stack has the stages i 5 to 8, behind",
    ]
    assert assigned(plan(mesh="sample=2")) == []
