"""What an iteration costs on a mesh of devices, predicted from how its tensors are split.

Compute: each constraint's operations, divided by the devices that share its value; dots are counted as
choose_representation.py counts them, other constraints at so many operations an entry of their copies.

Communication follows from the shardings by one rule. What is *read from* is split by some axes, what is
*made of it* by others: along an axis that only the first has, devices add up what each has found, an
all-reduce; along one that only a written value has and not its copies, each gets the others' entries, an
all-gather. A shift sends one iteration's entries to the next device. With p devices and n bytes on each:

    all-reduce  2 n (p - 1) / p / bandwidth + 2 ceil(log2 p) latency      (Thakur et al., "Optimization of
    all-gather    n (p - 1)     / bandwidth +   ceil(log2 p) latency       collective communication operations
    permute       n             / bandwidth +                latency       in MPICH", 2005)

Those of one kind and axes in a part are taken for one, as XLA combines them. The forward pass counts by its
products, divided by the iterations that follow; its loops run stage by stage, so that the stack axis does not
make it faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, log2, prod

from xdsl.ir import SSAValue

from pjc.dialects import proj
from pjc.dialects.asking import OverSamplesOp, RespondSharedOp
from pjc.dialects.assigned import Assigned
from pjc.dialects.axes import MESH_AXES
from pjc.dialects.layout import ShardingAttr
from pjc.dialects.ops import operation_of
from pjc.dialects.view import element_bytes, shape_of

ENTRY_OPERATIONS = 30
"""Operations of a constraint other than a dot, for each number of its copies in an iteration."""


@dataclass(frozen=True)
class Machine:
    """A kind of device, and the links between devices.

    Attributes:
        operations: floating-point operations a second that an iteration achieves on one device.
        bandwidth: bytes a second that a device sends while it receives as many.
        latency: seconds until a message of no bytes arrives.
    """

    operations: float
    bandwidth: float
    latency: float


MACHINES = {
    "cpu": Machine(operations=2e10, bandwidth=2e9, latency=5e-5),
    "gpu": Machine(operations=1e13, bandwidth=2e11, latency=5e-6),
    "tpu": Machine(operations=1e13, bandwidth=1e11, latency=2e-6),
}
"""By JAX's platforms. CPU: virtual devices of one computer, set by hand so that the tables of
docs/parallel.md are roughly met. GPU and TPU: assumed, a fifth of an accelerator's float32 peak, and links as
NVLink 4 and TPU interconnects have them."""


@dataclass(frozen=True)
class Message:
    """A collective that an iteration cannot do without.

    Attributes:
        kind: "all-reduce", "all-gather" or "collective-permute".
        axes: the axes of the mesh along which devices take part.
        bytes: of its operand on one device.
        part: the part of the iteration.
        node: what it is for.
    """

    kind: str
    axes: tuple[str, ...]
    bytes: int
    part: str
    node: str


@dataclass(frozen=True)
class Prediction:
    """What an iteration is predicted to cost: seconds, and what is sent."""

    compute: float
    forward: float
    communication: float
    messages: tuple[Message, ...] = field(repr=False)

    @property
    def seconds(self) -> float:
        """The sum of the terms: nothing is assumed to overlap."""
        return self.compute + self.forward + self.communication

    @property
    def bytes(self) -> int:
        """The operands of all collectives, on one device."""
        return sum(message.bytes for message in self.messages)


@dataclass(frozen=True)
class CostModel:
    """The costs of an annotated program on a machine.

    Attributes:
        program: annotated by proj-partition, for the whole batch.
        operations: those of each dot in an iteration, by its label.
        machine: the device and its links.
        iterations: how many follow a forward pass.
    """

    program: proj.ProgramOp
    operations: Mapping[str, int]
    machine: Machine
    iterations: int = 50

    def predict(self) -> Prediction:
        """Return what an iteration costs."""
        messages = tuple(self.messages())
        groups: dict[tuple[str, tuple[str, ...], str], int] = {}
        for message in messages:
            key = message.kind, message.axes, message.part
            groups[key] = groups.get(key, 0) + message.bytes
        communication = sum(self.time(kind, axes, size) for (kind, axes, _), size in groups.items())
        return Prediction(
            self.compute() / self.machine.operations,
            self.forward() / self.machine.operations / self.iterations,
            communication,
            messages,
        )

    def time(self, kind: str, axes: tuple[str, ...], size: int) -> float:
        """Return the seconds of a collective with an operand of ``size`` bytes on each device."""
        devices = self._pieces(axes)
        hops = ceil(log2(devices)) if devices > 1 else 0
        sent, messages = {
            "all-reduce": (2 * size * (devices - 1) / devices, 2 * hops),
            "all-gather": (size * (devices - 1), hops),
            "collective-permute": (size, 1),
        }[kind]
        return sent / self.machine.bandwidth + messages * self.machine.latency

    def compute(self) -> float:
        """Return the operations of an iteration on one device: on that which has the most."""
        values = self._values()
        work: dict[str, float] = {}
        for label, count in self.operations.items():
            work[label] = count / self._pieces(_axes(values.get(label)))
        for variable in self.program.variables().values():
            node = variable.node.data
            if node not in self.operations and variable.role.data == "copies":
                work[node] = work.get(node, 0) + ENTRY_OPERATIONS * self._local(variable)
        assigned = Assigned.of(self.program)
        if assigned is None:
            return sum(work.values())
        loads = [0.0] * assigned.devices
        for node, operations in work.items():
            loads[assigned.device(node)] += operations
        return max(loads)

    def forward(self) -> float:
        """Return the operations of a forward pass on one device: those of its products."""
        values = self._values()
        total = 0.0
        for op in self.program.walk():
            if isinstance(op, proj.EvaluateOp):
                axes = _axes(values.get(op.node.data))
                loop = op.parent_op()
                count = loop.count.value.data if isinstance(loop, proj.ForOp) else 1
                inputs = [shape_of(each) for each in op.inputs]
                work = operation_of(op.operator.data).work(inputs, shape_of(op.result)) * count
                total += work / self._pieces(tuple(axis for axis in axes if axis != "stack"))
        return total

    def messages(self) -> Iterator[Message]:
        """Yield the collectives of an iteration."""
        yield from self._sweep_messages()
        variables, held = self.program.variables(), self.program.held()
        assigned = Assigned.of(self.program)
        for name, part in self.program.part_ops().items():
            for told in [] if assigned is None else assigned.told(name):
                size = self._bytes(variables[told])
                yield Message("all-reduce", ("stack",), size, name, variables[told].node.data)
            for op in part.body.block.ops:
                match op:
                    case proj.GatherOp():
                        copies = [variables[path.variable.data] for path in op.paths]
                        yield from self._sums(name, op.node.data, copies, op)
                        yield from self._shifts(name, op.node.data, op)
                    case proj.ProjectSharedOp() | proj.ProjectHalfwayOp() if isinstance(
                        op.value.owner, proj.GatherOp
                    ):
                        for index in op.wanted.get_values():
                            mean = held[proj.Place(op.node.data, "mean", index)]
                            yield from self._sums(name, op.node.data, [op.value.owner], mean)
                    case proj.WriteOp():
                        yield from self._writes(name, op, variables)

    def _sweep_messages(self) -> Iterator[Message]:
        """Yield the collectives of a sweep: what samples ask of parameters, and what columns ask of rows."""
        sweep, mesh = self.program.sweep_op(), self.program.mesh
        if sweep is None or mesh is None:
            return
        sizes = mesh.sizes()
        for op in sweep.walk():
            match op:
                case OverSamplesOp() if op.everywhere is not None and sizes["sample"] > 1:
                    yield Message("all-reduce", ("sample",), _bytes_of(op.result), "asks", "")
                case RespondSharedOp() if op.operand_index.value.data == 0 and sizes["feature"] > 1:
                    size = _bytes_of(op.response) // sizes["sample"]
                    yield Message("all-reduce", ("feature",), size, "asks", op.node.data)

    def _sums(
        self,
        part: str,
        node: str,
        sources: list[proj.VariableOp] | list[proj.GatherOp],
        made: proj.VariableOp | proj.GatherOp,
    ) -> Iterator[Message]:
        own = _axes(made.sharding)
        axes = self._used({axis for source in sources for axis in _axes(source.sharding)} - set(own))
        if axes:
            yield Message("all-reduce", axes, self._bytes(made), part, node)

    def _writes(
        self, part: str, op: proj.WriteOp, variables: Mapping[str, proj.VariableOp]
    ) -> Iterator[Message]:
        source = _source_of(op)
        if source is None:
            return
        for path in op.paths:
            target = variables[path.variable.data]
            axes = self._used(set(_axes(source.sharding)) - set(_axes(target.sharding)) - {"stack"})
            if axes:
                size = self._bytes(source)
                yield Message("all-gather", axes, size, part, source.node.data)
        yield from self._shifts(part, source.node.data, op, source)

    def _shifts(
        self,
        part: str,
        node: str,
        op: proj.GatherOp | proj.WriteOp,
        value: proj.VariableOp | proj.GatherOp | None = None,
    ) -> Iterator[Message]:
        shaped = value if isinstance(op, proj.WriteOp) else op
        if shaped is None or "stack" not in self._used(set(_axes(shaped.sharding))):
            return
        first = shape_of(shaped.sharded_type())[0]
        local = self._bytes(shaped) * self._pieces(("stack",))
        for path in op.paths:
            for step in path.way():
                if step.to_neighbours:
                    yield Message("collective-permute", ("stack",), local // first, part, node)

    def _values(self) -> dict[str, ShardingAttr | None]:
        gathers = [op for op in self.program.walk() if isinstance(op, proj.GatherOp)]
        return {op.node.data: op.sharding for op in gathers}

    def _pieces(self, axes: tuple[str, ...]) -> int:
        assert self.program.mesh is not None
        sizes = self.program.mesh.sizes()
        return prod(sizes[axis] for axis in axes)

    def _used(self, axes: set[str]) -> tuple[str, ...]:
        return tuple(axis for axis in MESH_AXES if axis in axes and self._pieces((axis,)) > 1)

    def _bytes(self, op: proj.VariableOp | proj.GatherOp) -> int:
        """Return the bytes of a tensor on one device."""
        return self._local(op) * element_bytes(op.sharded_type())

    def _local(self, op: proj.VariableOp | proj.GatherOp) -> int:
        """Return the entries of a tensor on one device."""
        return prod(shape_of(op.sharded_type())) // self._pieces(_axes(op.sharding))


def _axes(sharding: ShardingAttr | None) -> tuple[str, ...]:
    """Return all axes that split a tensor."""
    return () if sharding is None else tuple(axis for axes in sharding.axes() for axis in axes)


def _source_of(op: proj.WriteOp) -> proj.GatherOp | None:
    """Return the gather whose sharding a written value has: its own, or of what it projects."""
    owner = op.value.owner
    if isinstance(owner, proj.GatherOp):
        return owner
    if isinstance(owner, proj.ProjectOp | proj.ProjectSharedOp | proj.ProjectHalfwayOp):
        made = owner.value.owner
        if op.value is owner.new_value and isinstance(made, proj.GatherOp):
            return made
    return None


def _bytes_of(value: SSAValue) -> int:
    """Return the bytes of a tensor."""
    return prod(shape_of(value)) * element_bytes(value.type)
