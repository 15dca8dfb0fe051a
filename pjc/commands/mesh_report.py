"""What ``--explain`` says about a mesh: how tensors are split, and what devices send each other."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from pjc.commands.shared import cell, say, shown_bytes
from pjc.dialects import proj
from pjc.dialects.streaming import StageOp
from pjc.dialects.view import element_bytes, shape_of
from pjc.mesh import show as show_mesh
from pjc.passes.analysis.graph import only

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pjc.driver import Compilation
    from pjc.mesh_plan import MeshPlan
    from pjc.runtime.collectives import Collective

TIMES = {
    "iteration": "an iteration",
    "step": "each step of a loop in it",
    "last": "the last iteration only",
}


def show(console: Console, compilation: Compilation) -> None:
    """Print for each constraint and tensor its sharding, and the collectives of an iteration."""
    from pjc.runtime.collectives import iteration_collectives

    placement = compilation.mesh_plan
    assert placement.mesh is not None
    partition = placement.partition()
    say(console, "")
    say(console, f"mesh {show_mesh(placement.mesh)}")
    console.print(shardings(partition.program))
    for note in partition.notes:
        say(console, note)
    for line in assigned(placement):
        say(console, line)
    say(console, "")
    program = compilation.program()
    found = iteration_collectives(program.lowered(program.main_entry).compile().as_text())
    if found:
        console.print(collectives(found))
    for line in totals(found, "a tick" if partition.program.stage_ops() else TIMES["iteration"]):
        say(console, line)
    predicted = placement.predict()
    tick = " in a tick" if partition.program.stage_ops() else ""
    say(
        console,
        f"predicted{tick}: {shown_bytes(predicted.bytes)} in {len(predicted.messages)} collectives; "
        f"{predicted.compute * 1e6:.0f} us to compute, {predicted.communication * 1e6:.0f} us to communicate",
    )


def shardings(program: proj.ProgramOp) -> Table:
    """Return a table of what each node gives and holds: its shape, sharding, and bytes on one device."""

    table = _table(("constraint", "tensor", "shape", "split by", "a device"), right=("a device",))
    nodes: dict[str, list[proj.GatherOp | proj.VariableOp]] = {}
    for op in program.walk():
        if isinstance(op, proj.GatherOp):
            nodes.setdefault(op.node.data, []).insert(0, op)
        elif isinstance(op, proj.VariableOp):
            nodes.setdefault(op.node.data, []).append(op)
    for node, ops in nodes.items():
        for index, op in enumerate(ops):
            name = "value" if isinstance(op, proj.GatherOp) else _shown_role(op.place)
            shape = shape_of(op.sharded_type())
            split = "" if op.sharding is None else op.sharding.show()
            table.add_row(
                "" if index else cell(node),
                cell(name),
                "x".join(map(str, shape)) or "1",
                cell(split),
                shown_bytes(element_bytes(op.sharded_type()) * prod(shape) // _pieces(program, op)),
            )
    return table


def assigned(placement: MeshPlan) -> list[str]:
    """Return what a graph partitioner gives, or would give, to each device of the stack axis."""
    assert placement.mesh is not None
    count = placement.mesh["stack"]
    stages = only(placement.whole, proj.ProgramOp).stage_ops()
    if count == 1 or stages:
        return _stages_of(stages, count)
    found = placement.assignment(count)
    taken = placement.can_assign(placement.mesh)
    takes = "takes" if taken else "could take"
    lines = [""] + [
        f"device {index} of stack {takes} {', '.join(labels) or 'nothing'}: {load / 1e6:.1f} MFlop"
        for index, (labels, load) in enumerate(zip(found.devices, found.loads, strict=True))
    ]
    return [
        *lines,
        f"cut {shown_bytes(found.cut)} of {shown_bytes(found.total)} an iteration, largest load "
        f"{found.balance:.2f} times the mean"
        + (
            "" if taken else "; beside loops, or with feature, all devices of stack compute these constraints"
        ),
    ]


def _stages_of(stages: Sequence[StageOp], devices: int) -> list[str]:
    """Return which stages of a stream each device along stack has."""
    lines = [""] if stages and devices > 1 else []
    for device in range(devices if lines else 0):
        has = []
        for stage in stages:
            name, own = stage.label.data, stage.count // devices
            if stage.home == "shared":
                has.append(
                    f"{name} {own * device + 1} to {own * (device + 1)}"
                    if own > 1
                    else f"{name} {device + 1}"
                )
            elif device == (0 if stage.home == "first" else devices - 1):
                has.append(name)
        lines.append(f"device {device} of stack has the stages {', '.join(has)}")
    return lines


def _shown_role(place: proj.Place) -> str:
    """Return what a variable is called in the table: its role, and its operand if it is of one."""
    return place.role if place.operand is None else f"{place.role} {place.operand}"


def _pieces(program: proj.ProgramOp, op: proj.GatherOp | proj.VariableOp) -> int:
    assert program.mesh is not None
    sizes = program.mesh.sizes()
    return 1 if op.sharding is None else prod(sizes[axis] for axes in op.sharding.axes() for axis in axes)


def collectives(found: Sequence[Collective]) -> Table:
    """Return a table of the collectives of an iteration."""

    table = _table(("collective", "bytes", "gives", "runs in", "for"), right=("bytes",))
    for each in found:
        table.add_row(each.kind, f"{each.bytes:,}", cell(each.shapes), TIMES[each.when], cell(each.source))
    return table


def totals(found: Sequence[Collective], once: str = TIMES["iteration"]) -> list[str]:
    """Return a line for each of the times at which collectives run, with their number and bytes.

    ``once`` is what they are told of first: an iteration, or what stands for one.
    """
    lines = []
    for when, words in {**TIMES, "iteration": once}.items():
        sizes = [each.bytes for each in found if each.when == when]
        if sizes or when == "iteration":
            lines.append(f"{len(sizes)} collectives of {sum(sizes):,} bytes a device in {words}")
    return lines


def _table(titles: Sequence[str], right: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    return table
