"""Where the samples of a batch are in each tensor of a program, and whether anything mixes them.

Devices can each take a share of the samples only if no operation reads two samples at once. What rows are,
and where they are after an operation, is said in rows.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from pjc.dialects import ops, proj
from pjc.dialects.asking import PLACES_OF_SAMPLES, DemandInSetOp, DemandOp
from pjc.dialects.layout import MeshAttr
from pjc.dialects.shapes import Shape
from pjc.dialects.steps import Rows, Step
from pjc.dialects.streaming import StageOp
from pjc.dialects.view import GatherOp, ViewOp, shape_of
from pjc.passes.analysis.rows import (
    Layout,
    Mixed,
    after_step,
    joined,
    leaves_samples,
    looked_up,
    operation_layouts,
    possible_rows,
)


@dataclass
class Samples:
    """The rows of a program's values, nodes and variables; making one raises Mixed where samples mix."""

    program: proj.ProgramOp
    batch: int
    values: dict[SSAValue, Layout] = field(default_factory=dict)
    nodes: dict[str, Layout] = field(default_factory=dict)
    variables: dict[str, Layout] = field(default_factory=dict)
    copies: dict[str, Layout] = field(default_factory=dict)
    """The rows of all copies that a node holds: those of its inputs, read together."""

    held: dict[str, dict[proj.Place, str]] = field(default_factory=dict)
    """The names of the variables that each node holds."""

    def __post_init__(self) -> None:
        for place, variable in self.program.held().items():
            self.held.setdefault(place.node, {})[place] = variable.sym_name.data
        for op in self.program.forward_op().body.block.ops:
            if isinstance(op, proj.WriteOp):
                self._write(op)
            else:
                self._evaluate(op)
        for name, variable in self.program.variables().items():
            node = variable.node.data
            if variable.role.data == "copies" and node in self.copies:
                layouts = self.variables.get(name, Layout()), self.copies[node]
                self.variables[name] = joined(layouts, f"'{node}'")
        for part in self.program.part_ops().values():
            for op in part.body.block.ops:
                self._project(op)
        for op in self.program.walk():
            if isinstance(op, DemandOp):
                _check_loss(op, op.rows)
            elif isinstance(op, DemandInSetOp):
                _check_set(op, op.rows)

    def rows_of(self, op: Operation) -> Rows | None:
        """Return the rows of the tensor of an op that can be sharded."""
        match op:
            case proj.VariableOp():
                layout = self.variables.get(op.sym_name.data, Layout())
            case ops.ParameterOp():
                layout = self.nodes[op.label.data]
            case proj.GatherOp():
                layout = self.nodes[op.node.data]
            case proj.DatumOp():
                layout = self._leaf(op)
            case _:
                raise TypeError(f"{op.name} has no sharding")
        return layout.resolved()

    def _leaf(self, op: Operation) -> Layout:
        shape = shape_of(op.results[0])
        if isinstance(op, proj.DatumOp):
            return Layout(Rows(0) if shape and shape[0] == self._samples_in(op) else None)
        if isinstance(op, ops.ConstantOp) and op.number is None:
            return Layout()
        return self._same_along(range(len(shape)), shape)

    def _samples_in(self, op: proj.DatumOp) -> int:
        """Return how many samples data have: those of a batch, or in a stage of a stream those of a piece."""
        forward = op.parent_op()
        of_stage = forward is not None and isinstance(forward.parent_op(), StageOp)
        return self.batch // self.program.pieces if of_stage else self.batch

    def _same_along(self, axes: Iterable[int], shape: Shape) -> Layout:
        """Return the layout of a tensor that is the same along some axes."""
        return Layout(None, possible_rows(shape, axes, self.batch))

    def _evaluate(self, op: Operation) -> None:
        match op:
            case proj.DatumOp() | ops.ConstantOp():
                self.values[op.results[0]] = self._leaf(op)
            case ops.ParameterOp():
                self.values[op.result] = self.nodes[op.label.data] = Layout()
            case proj.EvaluateOp():
                self.values[op.result] = self.nodes[op.node.data] = self._evaluated(op)
            case ViewOp():
                self.values[op.results[0]] = self._viewed(op)
            case proj.ForOp():
                self._repeat(op)

    def _repeat(self, loop: proj.ForOp) -> None:
        """Follow a loop until what it carries has the same rows in every iteration.

        Cutting the first axis into iterations, and laying them one after another, changes no rows.
        """
        block, end = loop.body.block, loop.body.block.last_op
        assert isinstance(end, proj.NextOp)
        count = loop.count.value.data
        for value in loop.scanned:
            rows = self.values[value].rows
            if rows is not None and rows.axis == 0 and shape_of(value)[0] % (count * rows.inner * self.batch):
                raise Mixed(f"loop '{loop.label.data}' runs over samples")
        carried = [self.values[each] for each in loop.inits]
        for _ in range(len(carried) + 2):
            given = [*carried, *(self.values[each] for each in loop.scanned)]
            self.values.update(zip(block.args, given, strict=True))
            for op in block.ops:
                self._evaluate(op)
            new = [
                joined([one, self.values[value]], f"loop '{loop.label.data}'")
                for one, value in zip(carried, end.carried, strict=True)
            ]
            if new == carried:
                break
            carried = new
        for result, value in zip(loop.collected, end.collected, strict=True):
            self.values[result] = self.values[value]

    def _viewed(self, op: ViewOp) -> Layout:
        if isinstance(op, GatherOp):
            return looked_up(self.values[op.table], self.values[op.indices], f"'{op.name}'")
        steps = [(op.step(index), value) for index, value in enumerate(op.operands)]
        return joined((self._along(self.values[v], [s], shape_of(v)) for s, v in steps), f"'{op.name}'")

    def _along(self, layout: Layout, steps: Sequence[Step], shape: Shape) -> Layout:
        """Return the layout at the end of a path."""
        for step in steps:
            label = step.datum()
            if label is not None:
                layout = looked_up(layout, self._datum(label), f"view '{step}'")
            elif layout.rows is not None:
                layout = Layout(after_step(layout.rows, step, shape, self.batch))
            else:
                layout = self._perhaps_after(layout, step, shape)
            shape = step.result_shape(shape)
        return layout

    def _perhaps_after(self, layout: Layout, step: Step, shape: Shape) -> Layout:
        found = set()
        for rows in layout.perhaps:
            try:
                found.add(after_step(rows, step, shape, self.batch))
            except Mixed:
                continue
        found |= self._same_along(step.repeated(shape), step.result_shape(shape)).perhaps
        return Layout(None, frozenset(found))

    def _datum(self, label: str) -> Layout:
        found = self.program.forward_op().body.block.ops
        return next(self._leaf(op) for op in found if isinstance(op, proj.DatumOp) and op.label.data == label)

    def _evaluated(self, op: proj.EvaluateOp) -> Layout:
        layouts = [self.values[each] for each in op.inputs]
        read, found = operation_layouts(op, layouts, f"'{op.node.data}'")
        if read is not None:
            self.copies[op.node.data] = read
        return found

    def _write(self, op: proj.WriteOp) -> None:
        for path in op.paths:
            name = path.variable.data
            layout = self._along(self.values[op.value], path.way(), shape_of(op.value))
            known = self.variables.get(name)
            layouts = [layout] if known is None else [known, layout]
            self.variables[name] = joined(layouts, f"'@{name}'")

    def _project(self, op: Operation) -> None:
        """Look at what the forward pass does not show: losses, sets, and factors that start from zero."""
        match op:
            case proj.ProjectHalfwayOp():
                for name in op.held:
                    factor = next(each for each in self.held[op.node.data] if each.role == name.data)
                    self.variables.setdefault(self.held[op.node.data][factor], self.nodes[op.node.data])
            case proj.ProjectLossOp():
                _check_loss(op, self._copies_of(op.node.data).resolved())
            case proj.ProjectSetOp():
                _check_set(op, self._copies_of(op.node.data).resolved())

    def _copies_of(self, node: str) -> Layout:
        """Return the layout of the copies that a loss or a set holds."""
        return self.variables[self.held[node][proj.Place(node, "copies", 0)]]


def _check_loss(op: proj.ProjectLossOp | DemandOp, rows: Rows | None) -> None:
    """Raise Mixed where a loss reads several samples together, as it does along axes behind its target's."""
    if rows is not None and rows.axis >= max(len(shape_of(op.target)), 1):
        raise Mixed(f"'{op.node.data}' reads several samples at once")


def _check_set(op: proj.ProjectSetOp | DemandInSetOp, rows: Rows | None) -> None:
    """Raise Mixed where a set is one of values of several samples together."""
    if rows is not None and not leaves_samples(op.kind.data, op.fields.data, rows.axis):
        raise Mixed(f"'{op.node.data}' is a set of values of several samples")


def different_sizes(whole: proj.ProgramOp, part: proj.ProgramOp, count: int) -> str | None:
    """Return what one share of the samples does differently from the whole; None if only sizes differ.

    ``part`` is the program for ``1 / count`` of the batch of ``whole``. If that is annotated, tensors split
    over samples are so much smaller, else some may be; and all else is equal.
    """
    mine, others = list(whole.walk()), list(part.walk())
    if [op.name for op in mine] != [op.name for op in others]:
        return "the program for a share of the batch has other operations"
    for op, other in zip(mine[1:], others[1:], strict=True):
        for one, two in zip(op.results, other.results, strict=True):
            if not _fits(one.type, two.type, count):
                return f"'{op.name}' gives {one.type} for the whole batch, and {two.type} for a share of it"
        if isinstance(op, DemandOp | DemandInSetOp) and op.rows is None and _is_smaller(other, op):
            return f"'{op.node.data}' is of a value that grows with the batch, though no sample reads it"
        for key in ("fields", "value", "weights", "operator", "node", "label", "sym_name", "family", "form"):
            if op.properties.get(key) != other.properties.get(key):
                return f"'{op.name}' has another {key} for a share of the batch"
        if whole.mesh is not None and isinstance(op, proj.SHARDED) and isinstance(other, proj.SHARDED):
            shape, smaller = shape_of(op.sharded_type()), shape_of(other.sharded_type())
            axes = op.sharding.axes() if op.sharding is not None else ((),) * len(shape)
            expected = tuple(
                size // count if "sample" in each else size for size, each in zip(shape, axes, strict=True)
            )
            if smaller != expected:
                return f"a tensor of shape {list(shape)} has shape {list(smaller)} for a share of the batch"
        if (
            isinstance(op, proj.GatherOp)
            and isinstance(other, proj.GatherOp)
            and _readers(op) != _readers(other)
        ):
            return f"'{op.node.data}' has other readers for a share of the batch"
    return None


def share_shardings(whole: proj.ProgramOp, part: proj.ProgramOp) -> None:
    """Annotate one share of the samples as the whole is, of which it differs in sizes alone.

    It is not cut again: the sample axis of its mesh has one device.
    """
    assert whole.mesh is not None
    share_places(whole, part)
    for op, other in zip(whole.walk(), part.walk(), strict=True):
        if isinstance(op, proj.SHARDED) and isinstance(other, proj.SHARDED):
            other.sharding = op.sharding
    part.mesh = MeshAttr(1, whole.mesh.feature.data, whole.mesh.stack.data)
    part.assigned = whole.assigned


def share_places(whole: proj.ProgramOp, part: proj.ProgramOp) -> None:
    """Say of one share of the samples where they are as it is said of the whole: so few may not tell."""
    for op, other in zip(whole.walk(), part.walk(), strict=True):
        for name in PLACES_OF_SAMPLES & {*op.properties, *other.properties}:
            if name in op.properties:
                other.properties[name] = op.properties[name]
            else:
                del other.properties[name]


def _is_smaller(op: Operation, whole: DemandOp | DemandInSetOp) -> bool:
    return isinstance(op, DemandOp | DemandInSetOp) and op.value.type != whole.value.type


def _readers(op: proj.GatherOp) -> list[tuple[str, int, int]]:
    return [(path.variable.data, path.nodes.data, path.group.data) for path in op.paths]


def _fits(one: Attribute, two: Attribute, count: int) -> bool:
    """Whether one type is another with at most one dimension so much smaller."""
    if not isinstance(one, TensorType) or not isinstance(two, TensorType):
        return one == two
    sizes = list(zip(one.get_shape(), two.get_shape(), strict=True))
    differ = [(a, b) for a, b in sizes if a != b]
    return len(differ) <= 1 and all(a == b * count for a, b in differ)
