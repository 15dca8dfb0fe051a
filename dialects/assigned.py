"""Which device does what, where constraints are given to devices one by one (``proj.program .. assigned``).

Every device has room for the whole state, and keeps that part of it up to date which its constraints read or
write. After a part is projected, the devices tell each other what they changed in the variables that several
of them use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from xdsl.ir import Operation

from pjc.dialects import proj

NODE_OPS = (
    proj.GatherOp,
    proj.ProjectOp,
    proj.ProjectLossOp,
    proj.ProjectSetOp,
    proj.ProjectSharedOp,
    proj.ProjectHalfwayOp,
)


@dataclass(frozen=True)
class Assigned:
    """The constraints of a program by device, and what the devices share."""

    program: proj.ProgramOp
    devices: int

    @classmethod
    def of(cls, program: proj.ProgramOp) -> Assigned | None:
        """Return the assignment that a program is annotated with, if it is."""
        if program.assigned is None or program.mesh is None:
            return None
        return cls(program, program.mesh.sizes()["stack"])

    def device(self, node: str) -> int:
        """Return the device of a node: the first for what nothing is said of."""
        return self._devices.get(node, 0)

    @cached_property
    def _devices(self) -> dict[str, int]:
        """The device of each node; a parameter's is that of the first that reads it."""
        found = dict(self.program.device_of())
        variables = self.program.variables()
        for op in self.program.walk():
            if isinstance(op, proj.GatherOp) and op.node.data not in found:
                reader = variables[op.paths.data[0].variable.data].node.data
                found[op.node.data] = found.get(reader, 0)
        return found

    def ops(self, part: str, device: int) -> list[Operation]:
        """Return what a device does of a part: its own nodes' writes, and all that they need."""
        block = self.program.part_ops()[part].body.block
        mine: set[Operation] = set()
        for op in reversed(list(block.ops)):
            if isinstance(op, proj.WriteOp):
                wanted = self._device_of_op(op) == device
            else:
                wanted = any(use.operation in mine for result in op.results for use in result.uses)
            if wanted:
                mine.add(op)
        return [op for op in block.ops if op in mine]

    def written(self, part: str) -> list[str]:
        """Return the variables that a part writes."""
        block = self.program.part_ops()[part].body.block
        writes = [op for op in block.ops if isinstance(op, proj.WriteOp)]
        return list(dict.fromkeys(path.variable.data for op in writes for path in op.paths))

    def told(self, part: str) -> list[str]:
        """Return the variables that a part writes and several devices use."""
        return [name for name in self.written(part) if name in self.common]

    @cached_property
    def common(self) -> frozenset[str]:
        """The variables that several devices use."""
        users: dict[str, set[int]] = {}
        for part in self.program.part_ops():
            for device in range(self.devices):
                for op in self.ops(part, device):
                    for name in _used(op):
                        users.setdefault(name, set()).add(device)
        return frozenset(name for name, found in users.items() if len(found) > 1)

    def _device_of_op(self, op: Operation) -> int:
        """Return the device of the node whose value or copies an op writes; data are the first device's."""
        owner = op.operands[0].owner
        return self.device(owner.node.data) if isinstance(owner, NODE_OPS) else 0


def _used(op: Operation) -> list[str]:
    """Return the variables that an op reads or writes."""
    match op:
        case proj.ReadOp():
            return [op.variable.data]
        case proj.GatherOp() | proj.WriteOp():
            return [path.variable.data for path in op.paths]
    return []
