"""Turn the body of a loop into constraints on the values of all its iterations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, view
from pjc.dialects.loops import AtOp, ForOp, YieldOp, is_inside
from pjc.dialects.view import ViewOp, shape_of, tensor_like


def liftable(loop: ForOp) -> bool:
    """Whether all iterations of a loop can be one family of constraints; else it is unrolled.

    What an iteration carries to the next must come from a constraint, not merely move through views from
    what it was carried itself.
    """
    for op in loop.body.block.ops:
        if isinstance(op, ViewOp) and not op.STEP.can_lift():
            return False
    moved: nx.DiGraph[int] = nx.DiGraph()
    for index, value in enumerate(loop.yield_op().carried):
        moved.add_edges_from((index, source) for source in _arguments_behind(value, loop))
    return nx.is_directed_acyclic_graph(moved)


def _arguments_behind(value: SSAValue, loop: ForOp) -> set[int]:
    """Return the carried values whose entries a value holds, through views within the body."""
    owner = value.owner
    if isinstance(value, BlockArgument):
        return {value.index} if is_inside(value, loop) else set()
    if isinstance(owner, ViewOp) and is_inside(value, loop):
        return {index for operand in owner.operands for index in _arguments_behind(operand, loop)}
    return set()


@dataclass
class Lifting:
    """One loop's conversion. ``values`` holds what stands for the network's values above the loop."""

    loop: ForOp
    values: Mapping[SSAValue, SSAValue]
    put: Callable[[Operation, Operation], Operation]
    """Puts a new op into the problem; the other is that of the network that it stands for."""
    stacked: dict[SSAValue, SSAValue] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.loop.iterations

    @property
    def attribute(self) -> feas.LoopAttr:
        """What marks an op as one that repeats with the loop."""
        return feas.LoopAttr(self.loop.label.data, self.count)

    def run(self) -> list[SSAValue]:
        """Add the family's constraints; return what stands for the loop's results."""
        end = self.loop.yield_op()
        shifts = self.carry()
        for op in self.loop.body.block.ops:
            if isinstance(op, ops.SetOp):
                required = raised(op, [self.lifted(op.value)], self.count)
                feas.put_in_loop(required, self.attribute)
                self.put(required, op)
            elif not isinstance(op, YieldOp):
                self.stacked[op.results[0]] = self.lifted_op(op)
        for argument, shift in shifts.items():
            later = self.lifted(end.carried[argument.index])
            self.move_above(later, shift)
            shift.operands[1] = later
        finals = [self.last(self.lifted(value)) for value in end.carried]
        return [*finals, *(self.lifted(value) for value in end.collected)]

    def carry(self) -> dict[BlockArgument, view.ShiftOp]:
        """Add a shift for each carried value; what it shifts is made further below."""
        shifts = {}
        for argument, init in zip(self.loop.body.block.args, self.loop.inits, strict=True):
            start = self.values[init]
            first = self.add(view.ReshapeOp(start, (1, *shape_of(start))), self.loop)
            if self.count == 1:
                self.stacked[argument] = first
                continue
            kind = tensor_like(first, (self.count, *shape_of(start)))
            later = ops.InputOp("later", kind)
            shift = view.ShiftOp(first, later.result)
            self.stacked[argument] = self.inside(shift, self.loop)
            shifts[argument] = shift
        return shifts

    def move_above(self, value: SSAValue, shift: view.ShiftOp) -> None:
        """Move what makes a value above the shift that reads it, where no iteration makes it.

        That is a slice of what stands above the loop, a parameter or a number that is carried as it is, or a
        shift of such. Only what iterations make may stand behind a shift that reads it.
        """
        op = value.owner
        if not isinstance(op, Operation) or op.parent is None or not shift.is_before_in_block(op):
            return
        if feas.loop_of(op) is None or isinstance(op, view.ShiftOp):
            for operand in op.operands:
                self.move_above(operand, shift)
            op.detach()
            assert shift.parent is not None
            shift.parent.insert_op_before(op, shift)

    def add(self, op: Operation, old: Operation) -> SSAValue:
        """Add an op that does not repeat, like a view of the values of all iterations."""
        return self.put(op, old).results[0]

    def inside(self, op: Operation, old: Operation) -> SSAValue:
        """Add an op that repeats with the loop."""
        feas.put_in_loop(op, self.attribute)
        return self.add(op, old)

    def lifted(self, value: SSAValue) -> SSAValue:
        """Return a value of all iterations; one from above is repeated."""
        if value not in self.stacked:
            self.stacked[value] = self.repeated(self.values[value])
        return self.stacked[value]

    def repeated(self, whole: SSAValue) -> SSAValue:
        """Return a value that all iterations read whole, once for each of them."""
        shape = shape_of(whole)
        repeat = view.BroadcastOp(whole, (self.count, *shape), range(1, len(shape) + 1))
        return self.inside(repeat, self.loop)

    def last(self, value: SSAValue) -> SSAValue:
        """Return the value of the last iteration."""
        shape = shape_of(value)
        starts = [self.count - 1, *[0] * (len(shape) - 1)]
        cut = self.add(view.SliceOp(value, starts, shape, [1] * len(shape)), self.loop)
        return self.add(view.ReshapeOp(cut, shape[1:]), self.loop)

    def lifted_op(self, op: Operation) -> SSAValue:
        """Add what stands for an op of the body in all iterations."""
        match op:
            case ops.ParameterOp():
                kind = tensor_like(op.result, (self.count, *shape_of(op.result)))
                return self.add(ops.ParameterOp(op.label.data, op.init, kind, self.count, op.members), op)
            case ops.ConstantOp() if op.number is not None:
                return self.add(raised(op, [], self.count), op)
            case ops.ConstantOp():
                return self.repeated(self.add(op.clone(), op))
            case AtOp():
                return self.at(op)
            case ViewOp():
                operands = [self.lifted(each) for each in op.operands]
                return self.inside(op.changed(operands, lambda step: step.lifted(self.count)), op)
            case ops.DotOp() if len(shape_of(op.rhs)) == 2 and not is_inside(op.rhs, self.loop):
                return self.product_with_one(op)
        return self.inside(raised(op, [self.lifted(each) for each in op.operands], self.count), op)

    def at(self, op: AtOp) -> SSAValue:
        """Return the slices that the iterations read, along a first axis."""
        axis, first, step = op.numbers()
        value = self.values[op.operand]
        rank = len(shape_of(value))
        front = (axis, *(i for i in range(rank) if i != axis))
        turned = value if axis == 0 else self.add(view.TransposeOp(value, front), op)
        shape = shape_of(turned)
        limits = (first + (self.count - 1) * step + 1, *shape[1:])
        starts, strides = (first, *[0] * (rank - 1)), (step, *[1] * (rank - 1))
        if limits == shape and first == 0 and step == 1:
            return turned
        return self.add(view.SliceOp(turned, starts, limits, strides), op)

    def product_with_one(self, op: ops.DotOp) -> SSAValue:
        """Multiply the rows of all iterations by a matrix that they share: one product."""
        rows = self.lifted(op.lhs)
        count, k, n = shape_of(rows)
        flat = self.inside(view.ReshapeOp(rows, (count * k, n)), op)
        one = ops.DotOp(flat, self.values[op.rhs], op.called)
        one.units, one.levels = op.units, op.levels
        product = self.inside(one, op)
        return self.inside(view.ReshapeOp(product, (count, k, shape_of(product)[-1])), op)


def raised(op: Operation, operands: Sequence[SSAValue], count: int) -> Operation:
    """Return the op on operands that have one more axis, the first, which counts iterations.

    Raises:
        PassFailedException: for what is no node: a loop in a loop.
    """
    if isinstance(op, ForOp):
        raise PassFailedException(f"loop '{op.label.data}' is inside another loop; run net-unnest first")
    if not isinstance(op, ops.NodeOp):
        raise PassFailedException(f"'{op.name}' in a loop has no counterpart for all iterations at once")
    return type(op).create(
        operands=operands,
        properties={**op.properties, **op.lifted_properties(1)},
        attributes=dict(op.attributes),
        result_types=[tensor_like(result, (count, *shape_of(result))) for result in op.results],
    )
